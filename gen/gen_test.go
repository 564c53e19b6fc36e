package gen

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// TestMain makes the test binary the command when it is called gen. The command's fleets are those that
// the variable GEN_FLEETS names, in fixtures or in mistaken.
func TestMain(m *testing.M) {
	_ = os.Setenv("GORACE", quick)
	testscript.Main(m, map[string]func(){"gen": func() {
		limitFiles(os.Getenv("GEN_FILE_SIZE"))
		name := os.Getenv("GEN_FLEETS")
		if bad, ok := mistaken[name]; ok {
			f := fleets("acme", "globex")
			bad.make(&f[0])
			os.Exit(Main(f))
		}
		os.Exit(Main(fixtures[name]()))
	}})
}

// quick keeps the race detector from waiting a second at the end of each process.
const quick = "atexit_sleep_ms=0"

// fixtures are fleets by name.
var fixtures = map[string]func() []render.Fleet{
	"": func() []render.Fleet { return fleets("acme", "globex") },
	"image": func() []render.Fleet {
		f := fleets("acme", "globex")
		f[0].Tenants[0].API.Image = "registry.example.com/app:v2"
		return f
	},
	"acknowledged": func() []render.Fleet {
		f := fleets("acme", "globex")
		f[0].Acknowledged = []render.Acknowledgement{{Object: "Namespace/acme", Loss: render.Deleted, Why: "it moves out", Until: "9999-12-31"}}
		return f
	},
	"expired": func() []render.Fleet {
		f := fleets("acme", "globex")
		f[0].Acknowledged = []render.Acknowledgement{{Object: "Namespace/acme", Loss: render.Deleted, Why: "it moved out", Until: "2026-01-01"}}
		return f
	},
	"acme":     func() []render.Fleet { return fleets("acme") },
	"platform": func() []render.Fleet { return fleets() },
	"none":     func() []render.Fleet { return nil },
	"portal": func() []render.Fleet {
		f := fleets("acme")
		f[0].Tenants[0].Settings = portal.Settings{Doppler: portal.Doppler{Project: "portal", Config: "acme"}}
		return f
	},
	"thousand": thousand,
	"ten":      func() []render.Fleet { return fleets(numbered(10, "tenant")...) },
	// What this prints is more than a pipe holds (64 KiB), so that nobody can miss the middle of a run.
	"many": func() []render.Fleet { return fleets(numbered(24, strings.Repeat("tenant", 9))...) },
}

func numbered(n int, word string) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", word, i)
	}
	return names
}

// thousand is a fleet of 1,000 tenants with everything that runs in a cluster.
func thousand() []render.Fleet {
	f := fleets(numbered(1000, "tenant")...)
	f[0].Platform = render.Platform{
		Gateway: &render.SharedGateway{}, Addresses: []string{"203.0.113.1"}, Issuer: render.ClusterIssuer{Name: "it"},
		Prometheus: &render.Peer{Namespace: "monitoring", Labels: map[string]string{"app": "prometheus"}},
	}
	for i := range f[0].Tenants {
		t := &f[0].Tenants[i]
		t.API.Scale = render.Autoscale{Min: 2, Max: 10, CPU: 70}
		t.API.ReadsPods = true
		t.Store = render.S3{Endpoint: "https://s3.example.com", Bucket: t.Name}
		t.Settings = portal.Settings{Doppler: portal.Doppler{Project: "portal", Config: t.Name}}
		t.Edge, t.DNS = render.Gateway{Host: t.Name + ".example.com"}, render.ExternalDNS{}
		t.Cache = render.Valkey{Memory: "512Mi"}
		t.Database = render.CloudNativePG{
			Instances: 3, Image: "registry.example.com/postgres:18", Storage: "50Gi",
			Backup: render.Backup{To: render.S3{Endpoint: "https://s3.example.com", Bucket: t.Name + "-backup"}},
		}
	}
	return f
}

// fleets is one fleet on a bare cluster.
func fleets(names ...string) []render.Fleet {
	fleet := render.Fleet{
		Name: "prod",
		Cluster: render.Cluster{
			Kubernetes: "1.36", APIServers: []string{"10.0.0.10/32"}, Registry: "registry.example.com",
			Pools: []render.Pool{{Name: "shared", Nodes: 3, CPU: "7500m", Memory: "28Gi", Ephemeral: "100Gi", Pods: 110}},
		},
	}
	for _, name := range names {
		fleet.Tenants = append(fleet.Tenants, render.Tenant{
			Name: name,
			Tier: render.Standard,
			API: render.Service{
				Image: "registry.example.com/app:v1", Port: 8080, Scale: render.Fixed{Replicas: 2}, Live: "/live", Ready: "/ready",
			},
			Database: render.Postgres{
				Image: "registry.example.com/postgres:18.2", Storage: "20Gi", Backup: render.Backup{To: render.NoStore{}},
			},
			Cache: render.Valkey{Memory: "256Mi", Plaintext: true},
			Store: render.NoStore{},
			Edge: render.Ingress{
				Class: "traefik", Host: name + ".example.com", Proxy: render.Peer{Namespace: "traefik"}, Certificate: render.Provided{},
			},
			DNS: render.ManualDNS{}, Placement: render.SharedNodes{}, Secrets: render.Generated{}, Settings: struct{}{},
		})
	}
	return []render.Fleet{fleet}
}

var long = strings.Repeat("a", 64)

// mistaken has one mistake each, and the one line that tells of it.
var mistaken = map[string]struct {
	make func(*render.Fleet)
	want string
}{
	"two tenants of one name": {
		func(f *render.Fleet) { f.Tenants[1].Name = "acme" },
		`fleets[prod].tenants[acme].name: Duplicate value: "acme"`,
	},
	"two tenants of one name, which two files write": {
		func(f *render.Fleet) { f.Tenants[0].Name, f.Tenants[1].Name = "wayne", "wayne" },
		`fleets[prod].tenants[wayne].name: Duplicate value: "wayne"`,
	},
	"an upper-case name": {
		func(f *render.Fleet) { f.Tenants[0].Name = "Acme" },
		`fleets[prod].tenants[Acme].name: Invalid value: "Acme": `,
	},
	"a name of 64 characters": {
		func(f *render.Fleet) { f.Tenants[0].Name = long },
		`fleets[prod].tenants[` + long + `].name: Invalid value: "` + long + `": must be no more than 63 `,
	},
	"two tenants with one host": {
		func(f *render.Fleet) { f.Tenants[1].Edge = f.Tenants[0].Edge },
		`fleets[prod].tenants[globex].edge: Duplicate value: "acme.example.com": fleets[prod].tenants[acme] `,
	},
	"negative replicas": {
		func(f *render.Fleet) { f.Tenants[0].API.Scale = render.Fixed{Replicas: -1} },
		`fleets[prod].tenants[acme].api.scale.replicas: Invalid value: -1: `,
	},
	"min above max": {
		func(f *render.Fleet) { f.Tenants[0].API.Scale = render.Autoscale{Min: 3, Max: 2, CPU: 70} },
		`fleets[prod].tenants[acme].api.scale.m`,
	},
	"a quantity of 10Gb": {
		func(f *render.Fleet) {
			f.Tenants[0].Database = render.Postgres{Image: "registry.example.com/postgres:18.2", Storage: "10Gb", Backup: render.Backup{To: render.NoStore{}}}
		},
		`fleets[prod].tenants[acme].database.storage: Invalid value: "10Gb": `,
	},
	"a schedule of minute 61": {
		func(f *render.Fleet) {
			f.Tenants[0].Workloads = []render.Workload{render.CronJob{Name: "report", Command: []string{"report"}, Schedule: "61 * * * *"}}
		},
		`fleets[prod].tenants[acme].workloads[0].schedule: Invalid value: "61 * * * *": `,
	},
	"an image without tag or digest": {
		func(f *render.Fleet) { f.Tenants[0].API.Image = "registry.example.com/app" },
		`fleets[prod].tenants[acme].api.image: Invalid value: "registry.example.com/app": `,
	},
	"no database": {
		func(f *render.Fleet) { f.Tenants[0].Database = nil },
		`fleets[prod].tenants[acme].database: Required value: `,
	},
	"an external database without a secret": {
		func(f *render.Fleet) {
			f.Tenants[0].Database = render.ExternalPostgres{Host: "db.example.com", Database: "app", User: "app"}
		},
		`fleets[prod].tenants[acme].database.password: Required value: `,
	},
}

// A mistake is told once, and changes nothing.
func TestMistakes(t *testing.T) {
	module := newModule(t)
	mustRun(t, module, "")
	if err := os.MkdirAll(filepath.Join(module, "tenants"), 0o755); err != nil {
		t.Fatal(err)
	}
	for file, tenants := range map[string][]string{"acme.go": {"acme"}, "rest.go": {"globex", "wayne"}, "wayne.go": {"wayne"}} {
		text := "package tenants\n"
		for i, name := range tenants {
			text += fmt.Sprintf("var %s%d = render.Tenant{Name: %q}\n", strings.TrimSuffix(file, ".go"), i, name)
		}
		if err := os.WriteFile(filepath.Join(module, "tenants", file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before := age(t, module)
	for name, bad := range mistaken {
		t.Run(name, func(t *testing.T) {
			want := bad.want
			for tenant, files := range map[string]string{"acme": "tenants/acme.go", "globex": "tenants/rest.go", "wayne": "tenants/rest.go, tenants/wayne.go"} {
				if strings.HasPrefix(want, "fleets[prod].tenants["+tenant+"]") {
					want = files + ": " + want
				}
			}
			for _, args := range [][]string{nil, {"check"}} {
				r := runGen(t, module, name, args...)
				lines := strings.Split(r.stderr, "\n")
				if r.code != 1 || r.stdout != "" || len(lines) != 3 || !strings.HasPrefix(lines[0], want) || lines[1] != "1 mistake; golden/ is unchanged" || lines[2] != "" {
					t.Errorf("gen %s: exit code %d, stdout %q, stderr:\n%s\nwant one line that starts with\n%s", args, r.code, r.stdout, r.stderr, want)
				}
			}
			if diff := cmp.Diff(before, snapshot(t, module)); diff != "" {
				t.Errorf("files were touched (-before +after):\n%s", diff)
			}
		})
	}
}

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               func(env *testscript.Env) error { env.Setenv("GORACE", quick); return nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// code N COMMAND... runs a command that must exit with N.
			"code": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				got := 0
				if err := ts.Exec(args[1], args[2:]...); err != nil {
					exit, ok := errors.AsType[*exec.ExitError](err)
					if !ok {
						ts.Fatalf("%v", err)
					}
					got = exit.ExitCode()
				}
				if got != want {
					ts.Fatalf("exit code %d, want %d", got, want)
				}
			},
			// age DIR makes everything below DIR old.
			"age": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(name string, d fs.DirEntry, err error) error {
					if err != nil || d.Type() == fs.ModeSymlink {
						return err
					}
					return os.Chtimes(name, old, old)
				}))
			},
			// touched DIR FILE... says that exactly those files below DIR are not old, or not regular.
			"touched": func(ts *testscript.TestScript, _ bool, args []string) {
				var got []string
				dir := ts.MkAbs(args[0])
				ts.Check(filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
					if err != nil || d.IsDir() {
						return err
					}
					info, err := d.Info()
					if err == nil && (!info.Mode().IsRegular() || !info.ModTime().Equal(old)) {
						rel, _ := filepath.Rel(dir, name)
						got = append(got, filepath.ToSlash(rel))
					}
					return err
				}))
				if !slices.Equal(got, args[1:]) {
					ts.Fatalf("touched %q", got)
				}
			},
		},
	})
}

var old = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// newModule is a directory with a go.mod.
func newModule(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/infra\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// genCommand is gen as a process of its own.
func genCommand(t *testing.T, module, fixture string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Args[0] = "gen"
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GEN_FLEETS="+fixture, "PWD="+module)
	return cmd
}

type result struct {
	stdout, stderr string
	code           int
}

func runGen(t *testing.T, module, fixture string, args ...string) result {
	t.Helper()
	return finish(t, genCommand(t, module, fixture, args...))
}

func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func mustRun(t *testing.T, module, fixture string, args ...string) string {
	t.Helper()
	r := runGen(t, module, fixture, args...)
	if r.code != 0 {
		t.Fatalf("gen %s: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// rendered is the golden directory of a fixture, by path.
func rendered(t *testing.T, fixture string) map[string]string {
	t.Helper()
	units, err := render.Units(fixtures[fixture]())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, u := range units {
		for _, f := range u.Files {
			files[filepath.Join(u.Fleet, u.Name, f.Name)] = string(f.YAML)
		}
	}
	return files
}

// tree is every file below dir, by path.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		files[rel] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// age makes every file below dir old, so that snapshot tells whether it is written again.
func age(t *testing.T, dir string) map[string]string {
	t.Helper()
	for name := range tree(t, dir) {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	return snapshot(t, dir)
}

// snapshot is what tree is, with the times.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := tree(t, dir)
	for name := range files {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] += info.ModTime().String()
	}
	return files
}

// What the command compiles stays typed API structs and little else: no Pulumi, no client, no server.
func TestDependencies(t *testing.T) {
	const most = 150
	allowed := []string{
		"github.com/caarlos0/env/",
		"github.com/cert-manager/cert-manager/pkg/apis/",
		"github.com/distribution/reference",
		"github.com/fluxcd/kustomize-controller/api/",
		"github.com/fluxcd/pkg/apis/",
		"github.com/fluxcd/source-controller/api/",
		"github.com/fxamacker/cbor/",
		"github.com/go-logr/logr",
		"github.com/json-iterator/go",
		"github.com/modern-go/",
		"github.com/opencontainers/go-digest",
		"github.com/prometheus-operator/prometheus-operator/pkg/apis/",
		"github.com/robfig/cron/",
		"github.com/rogpeppe/go-internal/diff",
		"github.com/rogpeppe/go-internal/txtar",
		"github.com/tenantry/tenantry/",
		"github.com/x448/float16",
		"go.yaml.in/yaml/",
		"golang.org/x/net/",
		"golang.org/x/text/",
		"golang.org/x/tools/txtar",
		"gopkg.in/inf.v0",
		"k8s.io/api/",
		"k8s.io/apiextensions-apiserver/pkg/apis/",
		"k8s.io/apimachinery/",
		"k8s.io/component-base/version",
		"k8s.io/klog/",
		"k8s.io/kube-openapi/",
		"k8s.io/pod-security-admission/",
		"k8s.io/utils/",
		"sigs.k8s.io/controller-runtime/pkg/scheme",
		"sigs.k8s.io/gateway-api/apis/",
		"sigs.k8s.io/json",
		"sigs.k8s.io/randfill",
		"sigs.k8s.io/structured-merge-diff/",
		"sigs.k8s.io/yaml",
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "../cmd/gen").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	used := map[string]bool{}
	for _, p := range packages {
		i := slices.IndexFunc(allowed, func(prefix string) bool { return strings.HasPrefix(p+"/", strings.TrimSuffix(prefix, "/")+"/") })
		if i < 0 {
			t.Errorf("cmd/gen depends on %s, which no entry of the list in this test allows", p)
			continue
		}
		used[allowed[i]] = true
	}
	if len(packages) > most {
		t.Errorf("cmd/gen depends on %d packages, more than %d", len(packages), most)
	}
	for _, prefix := range allowed {
		if !used[prefix] {
			t.Errorf("cmd/gen depends on no package of %s: take it off the list in this test", prefix)
		}
	}
	t.Logf("%d packages", len(packages))
}
