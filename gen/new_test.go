package gen

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

func TestSpelling(t *testing.T) {
	for _, row := range []struct {
		why, from, to string
		text          string
		want          string
	}{
		{"a host and a bucket", "acme", "big-co", "acme.example.com s3://acme-backups", "big-co.example.com s3://big-co-backups"},
		{"an address", "acme", "big-co", "ops@acme.example", "ops@big-co.example"},
		{"a database", "acme", "big-co", "acme_ro", "big_co_ro"},
		{"a variable", "acme", "big-co", "ACME__TOKEN", "BIG_CO__TOKEN"},
		{"a type's name", "acme", "big-co", "Acme", "BigCo"},
		{"every one", "acme", "big-co", "acme acme/acme", "big-co big-co/big-co"},
		{"part of another word", "acme", "big-co", "acmes pacme acme2 2acme", "acmes pacme acme2 2acme"},
		{"the protocol", "acme", "big-co", "an ACME server", "an ACME server"},
		{"two words to one", "big-co", "acme", "big-co big_co BIG_CO BigCo bigCo", "acme acme ACME Acme acme"},
		{"two words to three", "big-co", "a-b-c", "big-co big_co BIG_CO BigCo bigCo", "a-b-c a_b_c A_B_C ABC aBC"},
		{"not half of two words", "big-co", "acme", "big co bigco", "big co bigco"},
	} {
		if got := newSpelling(row.from, row.to).text(row.text); got != row.want {
			t.Errorf("%s: %s for %s makes %q of %q, want %q", row.why, row.to, row.from, got, row.text, row.want)
		}
	}
	for _, row := range []struct{ why, from, to, id, want string }{
		{"itself", "acme", "big-co", "acme", "bigCo"},
		{"the first word", "acme", "big-co", "acmeImage", "bigCoImage"},
		{"a later word", "acme", "big-co", "defaultAcmeImage", "defaultBigCoImage"},
		{"exported", "acme", "big-co", "AcmeImage", "BigCoImage"},
		{"part of another word", "acme", "big-co", "acmes", "acmes"},
		{"part of a later word", "acme", "big-co", "defaultAcmes", "defaultAcmes"},
		{"two words", "big-co", "acme", "bigCoImage", "acmeImage"},
	} {
		if got := newSpelling(row.from, row.to).identifier(row.id); got != row.want {
			t.Errorf("%s: %s for %s makes %q of %q, want %q", row.why, row.to, row.from, got, row.id, row.want)
		}
	}
}

// scaffolded is a repository that init made, which takes this module from its source.
func scaffolded(t *testing.T) string {
	t.Helper()
	checkout, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "infra")
	if r := runGen(t, t.TempDir(), "", "init", dir, "-replace", checkout); r.code != 0 || strings.Contains(r.stderr, "-replace") {
		t.Fatalf("%+v", r)
	}
	sum, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sum, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// goTool runs the go command in another module and returns what it prints. What a fresh machine has not
// downloaded yet, it downloads.
func goTool(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off", "PWD="+dir)
	r := finish(t, cmd)
	if r.code != 0 {
		t.Fatalf("go %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// A repository that init makes works as it is, and so does a tenant that new adds to it.
func TestInit(t *testing.T) {
	t.Parallel()
	dir := scaffolded(t)
	for _, f := range txtar.Parse(archive).Files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name))
		if err != nil {
			t.Error(err)
		}
		if strings.HasSuffix(f.Name, ".go") {
			fmtOut, err := exec.CommandContext(t.Context(), "gofmt", "-l", filepath.Join(dir, f.Name)).CombinedOutput()
			if err != nil || len(fmtOut) > 0 {
				t.Errorf("%s is not formatted: %s", f.Name, fmtOut)
			}
		}
		if strings.Contains(string(text), "<no value>") || strings.Contains(string(text), "{{") {
			t.Errorf("%s holds what is left of a template:\n%s", f.Name, text)
		}
	}
	made := goTool(t, dir, "run", "./cmd/gen")
	if !strings.Contains(made, "created golden/prod/acme/deployment-api.yaml\n") {
		t.Errorf("the first run printed\n%s", made)
	}
	goTool(t, dir, "vet", "./...")
	goTool(t, dir, "test", "./...")
	if again := goTool(t, dir, "run", "./cmd/gen"); again != "" {
		t.Errorf("the second run printed\n%s", again)
	}

	if got, want := goTool(t, dir, "run", "./cmd/gen", "new", "big-co"), "created tenants/big-co.go\nupdated tenants/fleets.go\n"; got != want {
		t.Errorf("new printed %q, want %q", got, want)
	}
	before := tree(t, filepath.Join(dir, "golden"))
	more := goTool(t, dir, "run", "./cmd/gen")
	if regexp.MustCompile(`(?m)^updated golden/prod/acme/|^removed `).MatchString(more) || !strings.Contains(more, "created golden/prod/big-co/deployment-api.yaml\n") {
		t.Errorf("with a new tenant a run printed\n%s", more)
	}
	after := tree(t, filepath.Join(dir, "golden"))
	for name, text := range before {
		if after[name] != text && !strings.Contains(name, "platform") {
			t.Errorf("a new tenant changed %s", name)
		}
	}
	goTool(t, dir, "vet", "./...")
}

// A command refuses the repository of others before it reads or writes there, and does what takes no tenants of its own.
func TestForeignModule(t *testing.T) {
	t.Parallel()
	dir := scaffolded(t)
	goTool(t, dir, "run", "./cmd/gen")
	command := filepath.Join(t.TempDir(), "gen")
	goTool(t, dir, "build", "-o", command, "github.com/tenantry/tenantry/cmd/gen")
	before := age(t, dir)
	run := func(below string, args ...string) result {
		cmd := exec.CommandContext(t.Context(), command, args...)
		cmd.Dir = filepath.Join(dir, below)
		return finish(t, cmd)
	}
	for _, row := range []struct{ below, args, module string }{
		{"", "", "example.com/infra"},
		{"tenants", "", "example.com/infra"},
		{"", "check", "example.com/infra"},
		{"", "verify", "example.com/infra"},
		{"", "diff -base HEAD", "example.com/infra"},
		{"", "schema", "example.com/infra"},
		{"", "schema -check", "example.com/infra"},
		{"", "new globex", "example.com/infra"},
		{"deploy", "", "example.com/infra/deploy"},
	} {
		r := run(row.below, strings.Fields(row.args)...)
		want := "this command renders the tenants of module github.com/tenantry/tenantry, and "
		if r.code != 1 || r.stdout != "" || !strings.HasPrefix(r.stderr, want) || !strings.Contains(r.stderr, " is module "+row.module+": run go run ./cmd/gen there") {
			t.Errorf("gen %s in /%s: exit code %d, stdout %.200q, stderr %.500s", row.args, row.below, r.code, r.stdout, r.stderr)
		}
	}
	for _, args := range []string{"-h", "new -h", "diff golden golden", "verify golden", "init " + filepath.Join(t.TempDir(), "other")} {
		if r := run("", strings.Fields(args)...); r.stdout == "" || strings.Contains(r.stderr, "this command renders") {
			t.Errorf("gen %s: exit code %d\n%s", args, r.code, r.stderr)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, dir)); diff != "" {
		t.Errorf("files were touched (-before +after):\n%s", diff)
	}
}

// The version in go.mod is the one that this module asks for.
func TestInitGoVersion(t *testing.T) {
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`(?m)^go .*$`).Find(mod)
	files, err := origin{Module: "example.com/infra", Version: "v1.2.3", Replace: "/a b"}.files()
	if err != nil {
		t.Fatal(err)
	}
	got := string(files[0].Data)
	if diff := cmp.Diff("module example.com/infra\n\n"+string(want)+"\n\nrequire github.com/tenantry/tenantry v1.2.3\n\nreplace github.com/tenantry/tenantry => \"/a b\"\n", got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every tenant of this repository can be copied: the first one is rendered at once, the others compile.
func TestNewFromTenants(t *testing.T) {
	t.Parallel()
	dir := scaffolded(t)
	if err := os.RemoveAll(filepath.Join(dir, "tenants")); err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("../tenants/*.go")
	if err != nil || len(sources) == 0 {
		t.Fatal(sources, err)
	}
	if err := os.Mkdir(filepath.Join(dir, "tenants"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tenants", filepath.Base(name)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	goTool(t, dir, "run", "./cmd/gen", "new", "big-co")
	made := goTool(t, dir, "run", "./cmd/gen")
	if !strings.Contains(made, "/big-co/deployment-api.yaml\n") {
		t.Errorf("a run printed\n%s", made)
	}
	list, err := os.ReadDir(filepath.Join(dir, "golden", "prod"))
	if err != nil {
		t.Fatal(err)
	}
	for _, unit := range list {
		if name := unit.Name(); name != "platform" && name != "big-co" {
			mustRun(t, dir, "none", "new", "copy-of-"+name, "-from", name)
		}
	}
	goTool(t, dir, "vet", "./...")
}
