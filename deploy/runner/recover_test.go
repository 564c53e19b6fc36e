package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/blang/semver"
	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
)

// newState is the state of a stack that was just made.
const newState = `{"version":3,"deployment":{"manifest":{"magic":"m"},"secrets_providers":{"type":"passphrase","state":{"salt":"s"}},"metadata":{}}}`

// everything is a cluster that has whatever it is asked for.
func everything(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
	return o.(*unstructured.Unstructured), nil
}

func nothing(context.Context, render.Object) (*unstructured.Unstructured, error) { return nil, nil }

func stateOf(t *testing.T, text string) apitype.DeploymentV3 {
	t.Helper()
	var state struct{ Deployment apitype.DeploymentV3 }
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	return state.Deployment
}

// TestALostStateIsWhatTheProgramRegisters adopts every unit of golden/ into an empty state.
func TestALostStateIsWhatTheProgramRegisters(t *testing.T) {
	for _, unit := range units(t) {
		t.Run(unit.Fleet+"."+unit.Name, func(t *testing.T) {
			secrets, err := filled().fill(unit)
			if err != nil {
				t.Fatal(err)
			}
			mended, found, err := adopt(t.Context(), newState, unit, program(unit, render.Fleet{}, secrets), everything)
			if err != nil {
				t.Fatal(err)
			}
			if found.adopted != len(unit.Files) {
				t.Errorf("adopted %d of %d", found.adopted, len(unit.Files))
			}
			resources := stateOf(t, mended).Resources
			if len(resources) != len(unit.Files)+2 || resources[0].Type != resource.RootStackType || resources[0].Custom || resources[1].Type != providerType || resources[1].ID == "" {
				t.Fatalf("has %d resources, and does not begin with the stack and its provider", len(resources))
			}
			if resources[1].Inputs["context"] != unit.Fleet || resources[1].Inputs["version"] != providerVersion.String() || !cmp.Equal(resources[1].Inputs, resources[1].Outputs) {
				t.Errorf("the provider is %v", resources[1].Inputs)
			}
			before := map[resource.URN]bool{resources[0].URN: true}
			for _, r := range resources[1:] {
				for _, urn := range append(r.Dependencies, r.Parent) {
					if !before[urn] {
						t.Errorf("%s comes before %s", r.URN, urn)
					}
				}
				if before[r.URN] {
					t.Errorf("%s is there twice", r.URN)
				}
				before[r.URN] = true
			}
			byID := map[string]apitype.ResourceV3{}
			for _, r := range resources[2:] {
				byID[fmt.Sprint(r.Inputs["apiVersion"], r.Inputs["kind"], r.ID)] = r
			}
			for _, file := range unit.Files {
				o, err := objectOf(file, nil)
				if err != nil {
					t.Fatal(err)
				}
				var tree map[string]any
				if err := yaml.Unmarshal(file.YAML, &tree); err != nil {
					t.Fatal(err)
				}
				id := file.Object.GetName()
				if ns := file.Object.GetNamespace(); ns != "" {
					id = ns + "/" + id
				}
				r := byID[fmt.Sprint(tree["apiVersion"], tree["kind"], id)]
				if want := "urn:pulumi:" + unit.Fleet + "." + unit.Name + "::tenantry::" + o.token + "::" + o.name; string(r.URN) != want {
					t.Errorf("%s: is %q, want %q", file.Name, r.URN, want)
				}
				if r.Protect != o.protect || !r.Custom || r.Provider != string(resources[1].URN)+"::"+string(resources[1].ID) {
					t.Errorf("%s: protected %t, provider %s", file.Name, r.Protect, r.Provider)
				}
				if o.phase > phaseNamespace && unit.Name != render.PlatformUnit && len(r.Dependencies) == 0 {
					t.Errorf("%s: depends on nothing", file.Name)
				}
				if o.secret != slices.Contains(r.AdditionalSecretOutputs, "stringData") {
					t.Errorf("%s: secret outputs %v", file.Name, r.AdditionalSecretOutputs)
				}
				delete(r.Inputs, "stringData")
				delete(r.Inputs["metadata"].(map[string]any), "annotations")
				delete(tree["metadata"].(map[string]any), "annotations")
				if diff := cmp.Diff(tree, r.Inputs); diff != "" {
					t.Errorf("%s: (-golden +state)\n%s", file.Name, diff)
				}
			}
			for rest := mended; ; { // each value of a secret stands in what Pulumi encrypts
				i := strings.Index(rest, canary)
				if i < 0 {
					break
				}
				if !strings.Contains(rest[max(0, i-400):i], `"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","plaintext":"`) {
					t.Errorf("plain text: …%.60s", rest[max(0, i-40):])
				}
				rest = rest[i+len(canary):]
			}
			again, found, err := adopt(t.Context(), mended, unit, program(unit, render.Fleet{}, secrets), everything)
			if err != nil || found.adopted+found.pending > 0 || !cmp.Equal(stateOf(t, again), stateOf(t, mended)) {
				t.Errorf("again: found %+v, %v", found, err)
			}
		})
	}
}

// tiny is a unit of a namespace, a ConfigMap in it and its default ServiceAccount.
func tiny(t *testing.T) render.Unit {
	t.Helper()
	labels := map[string]string{"app.kubernetes.io/managed-by": "tenantry", "app.kubernetes.io/part-of": "prod", "app.kubernetes.io/instance": "acme"}
	unit := render.Unit{Fleet: "prod", Name: "acme"}
	for name, o := range map[string]render.Object{
		"namespace": &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "acme", Labels: labels}},
		"configmap": &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "acme", Labels: labels}},
		"account":   &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "acme", Labels: labels}},
	} {
		text, err := render.Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		unit.Files = append(unit.Files, render.File{Name: name, Object: o, YAML: text})
	}
	slices.SortFunc(unit.Files, func(a, b render.File) int { return -strings.Compare(a.Name, b.Name) }) // the namespace first
	return unit
}

func tinyURN(name string) resource.URN {
	kind := map[string]string{"cluster": "pulumi:providers:kubernetes", "Namespace/acme": "kubernetes:core/v1:Namespace"}[name]
	if kind == "" {
		kind = "kubernetes:core/v1:" + strings.Split(name, "/")[1]
	}
	return resource.URN("urn:pulumi:prod.acme::tenantry::" + kind + "::" + name)
}

func resourceNames(resources []apitype.ResourceV3) (names []string) {
	for _, r := range resources {
		names = append(names, r.URN.Name())
	}
	slices.Sort(names)
	return names
}

func TestAdopt(t *testing.T) {
	unit := tiny(t)
	state := func(entries, pending string) string {
		return `{"version":4,"features":["new"],"deployment":{"manifest":{},"secrets_providers":{"type":"passphrase"},"resources":[` + entries + `],"pending_operations":[` + pending + `]}}`
	}
	const provider = `{"urn":"urn:pulumi:prod.acme::tenantry::pulumi:pulumi:Stack::tenantry-prod.acme","type":"pulumi:pulumi:Stack"},
		{"urn":"urn:pulumi:prod.acme::tenantry::pulumi:providers:kubernetes::cluster","type":"pulumi:providers:kubernetes","id":"theID","inputs":{},"custom":true}`
	entry := func(name, more string) string {
		return fmt.Sprintf(`{"urn":%q,"type":"t","custom":true%s}`, tinyURN(name), more)
	}
	pending := func(op, name, labels string) string {
		return fmt.Sprintf(`{"type":%q,"resource":{"urn":%q,"type":"t","custom":true,"inputs":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"acme","name":%q,"labels":%s}}}}`, op, tinyURN(name), name[strings.LastIndex(name, "/")+1:], labels)
	}
	const ours = `{"app.kubernetes.io/managed-by":"tenantry","app.kubernetes.io/part-of":"prod","app.kubernetes.io/instance":"acme"}`
	for _, test := range []struct {
		what  string
		state string
		get   getter
		found findings
		names []string
		fails string
	}{
		{
			what: "nothing lives: nothing is adopted", state: newState, get: nothing,
			names: []string{"cluster", "tenantry-prod.acme"},
		},
		{
			what: "what the state has is not asked for", state: state(provider+","+entry("Namespace/acme", "")+","+entry("acme/ConfigMap/a", "")+","+entry("acme/ServiceAccount/default", ""), ""),
			get: func(context.Context, render.Object) (*unstructured.Unstructured, error) {
				return nil, errors.New("asked")
			},
			names: []string{"Namespace/acme", "acme/ConfigMap/a", "acme/ServiceAccount/default", "cluster", "tenantry-prod.acme"},
		},
		{
			what: "operations are dropped, and what they did is kept", state: state(provider, pending("updating", "acme/ConfigMap/x", ours)+","+pending("creating", "acme/ConfigMap/a", ours)+","+pending("creating", "acme/ConfigMap/gone-from-golden", ours)+","+pending("creating", "acme/ConfigMap/theirs", "{}")),
			get:   everything,
			found: findings{pending: 4, adopted: 4},
			names: []string{"Namespace/acme", "acme/ConfigMap/a", "acme/ConfigMap/gone-from-golden", "acme/ServiceAccount/default", "cluster", "tenantry-prod.acme"},
		},
		{
			what: "operations that did nothing are dropped", state: state(provider, pending("creating", "acme/ConfigMap/gone-from-golden", ours)),
			get:   nothing,
			found: findings{pending: 1},
			names: []string{"cluster", "tenantry-prod.acme"},
		},
		{
			what: "others' objects, each named", state: newState,
			get: func(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
				theirs := o.(*unstructured.Unstructured).DeepCopy()
				theirs.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "tenantry", "app.kubernetes.io/part-of": "staging", "app.kubernetes.io/instance": "acme"})
				return theirs, nil
			},
			fails: "has a Namespace/acme that is not of prod.acme|has a acme/ConfigMap/a that is not of prod.acme",
		},
		{
			what: "an object that goes away", state: newState,
			get: func(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
				going := o.(*unstructured.Unstructured).DeepCopy()
				going.SetDeletionTimestamp(new(metav1.NewTime(time.Unix(1, 0))))
				return going, nil
			},
			fails: "acme/ConfigMap/a is being deleted",
		},
		{
			what: "a cluster that does not answer", state: newState,
			get: func(context.Context, render.Object) (*unstructured.Unstructured, error) {
				return nil, errors.New("forbidden")
			},
			fails: "looking for Namespace/acme: forbidden|looking for acme/ConfigMap/a: forbidden",
		},
		{what: "no state at all", state: `[]`, get: nothing, fails: "reading it"},
	} {
		t.Run(test.what, func(t *testing.T) {
			mended, found, err := adopt(t.Context(), test.state, unit, program(unit, render.Fleet{}, nil), test.get)
			if test.fails != "" {
				for text := range strings.SplitSeq(test.fails, "|") {
					if err == nil || !strings.Contains(err.Error(), text) {
						t.Errorf("got %v, want %q", err, text)
					}
				}
				if err != nil && strings.Contains(test.fails, "not of") && strings.Contains(err.Error(), "ServiceAccount") {
					t.Errorf("Kubernetes' own ServiceAccount is in the way: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if found.pending != test.found.pending || found.adopted != test.found.adopted {
				t.Errorf("found %+v", found)
			}
			got := stateOf(t, mended)
			if diff := cmp.Diff(test.names, resourceNames(got.Resources)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if len(got.PendingOperations) > 0 {
				t.Errorf("%d operations are left", len(got.PendingOperations))
			}
			for _, r := range got.Resources {
				if name := r.URN.Name(); name == "acme/ConfigMap/gone-from-golden" && r.ID != "acme/gone-from-golden" {
					t.Errorf("%s has the ID %q", name, r.ID)
				}
				if r.Provider != "" && !strings.HasPrefix(test.state, newState) && !strings.HasSuffix(r.Provider, "::theID") {
					t.Errorf("%s is of the provider %s, not of the state's", r.URN.Name(), r.Provider)
				}
			}
		})
	}
	t.Run("what is not understood stays", func(t *testing.T) {
		mended, _, err := adopt(t.Context(), state(provider+","+entry("Namespace/acme", `,"protect":true,"pendingReplacement":true,"tomorrow":{"n":12345678901234567890}`), ""), unit, program(unit, render.Fleet{}, nil), nothing)
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]bool{`"tomorrow":{"n":12345678901234567890}`: true, `"features":["new"]`: true, `"protect":true`: true, "pendingReplacement": false, "pending_operations": false} {
			if strings.Contains(mended, text) != want {
				t.Errorf("%s: %t, want %t", text, !want, want)
			}
		}
	})
	t.Run("no dependency on what is not there", func(t *testing.T) {
		mended, _, err := adopt(t.Context(), newState, unit, program(unit, render.Fleet{}, nil), func(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
			if o.GetNamespace() == "" {
				return nil, nil
			}
			return o.(*unstructured.Unstructured), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range stateOf(t, mended).Resources {
			if slices.Contains(r.Dependencies, tinyURN("Namespace/acme")) {
				t.Errorf("%s depends on a namespace that is not there", r.URN.Name())
			}
		}
	})
}

// A cli answers as Pulumi's does for one stack.
type cli struct {
	locked string // what it says of the lock
	exists bool
	state  string
	calls  []string
	stdin  string
}

func (*cli) Version() semver.Version { return cliVersion }

func (c *cli) Run(_ context.Context, _ string, stdin io.Reader, _, _ []io.Writer, _ []string, args ...string) (string, string, int, error) {
	failed := errors.New("exit status 255")
	line := strings.Join(args, " ")
	c.calls = append(c.calls, line)
	switch {
	case strings.HasPrefix(line, "stack init prod.acme "):
		switch {
		case c.locked != "":
			return "", "error: could not create stack: " + c.locked, 255, failed
		case c.exists:
			return "", "error: stack 'organization/tenantry/prod.acme' already exists", 255, failed
		}
		c.exists = true
	case strings.HasPrefix(line, "stack select"):
		if !c.exists {
			return "", "error: no stack named 'prod.acme' found", 255, failed
		}
	case strings.HasPrefix(line, "stack rename prod.acme"):
		c.exists = true
	case strings.HasPrefix(line, "stack rm"):
		c.exists = false
	case strings.HasPrefix(line, "stack export"):
		return c.state, "", 0, nil
	case strings.HasPrefix(line, "stack import"):
		text, err := io.ReadAll(stdin)
		c.stdin = string(text)
		return "", "", 0, err
	}
	return "", "", 0, nil
}

func lockedBy(who string, pid int) string {
	return fmt.Sprintf("the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.\n  s3://bucket/.pulumi/locks/organization/tenantry/prod.acme/61fa.json: created by %s (pid %d) at 2026-11-23T12:00:00Z", who, pid)
}

func TestClaim(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	alive := startPulumi(t)
	dead := exec.CommandContext(t.Context(), "go", "version")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	acme, removed := tiny(t), render.Unit{Fleet: "prod", Name: "acme"}
	for _, test := range []struct {
		what  string
		unit  render.Unit
		cli   cli
		force bool
		locks int
		fails []string // what the error says
	}{
		{what: "a state that is there", unit: acme, cli: cli{exists: true}},
		{what: "a lost state", unit: acme},
		{what: "a dead run's lock", unit: acme, cli: cli{exists: true, locked: lockedBy("ann@"+host, dead.Process.Pid)}, locks: 1},
		{what: "a dead run's lock on a stack that was never made", unit: acme, cli: cli{locked: lockedBy("ann@"+host, dead.Process.Pid)}, locks: 1},
		{what: "a live run's lock", unit: acme, cli: cli{exists: true, locked: lockedBy(`CORP\ann b@`+host, alive)}, fails: []string{fmt.Sprintf(`pid %d of CORP\ann b@`, alive), "2026-11-23T12:00:00Z", "wait until it ends"}},
		{what: "a live run's lock, by force", unit: acme, cli: cli{exists: true, locked: lockedBy("ann@"+host, alive)}, force: true, fails: []string{"wait until it ends"}},
		{what: "another machine's lock", unit: acme, cli: cli{exists: true, locked: lockedBy("ann@far", 7)}, fails: []string{"pid 7 of ann@far", "2026-11-23T12:00:00Z", "-break-lock"}},
		{what: "another machine's lock, by force", unit: acme, cli: cli{exists: true, locked: lockedBy("ann@far", 7)}, force: true, locks: 1},
		{what: "two locks, one alive", unit: acme, cli: cli{exists: true, locked: lockedBy("ann@"+host, dead.Process.Pid) + lockedBy("bob@"+host, alive)}, fails: []string{"bob@"}},
		{what: "a lock that cannot be read", unit: acme, cli: cli{exists: true, locked: "the stack is currently locked by gremlins"}, fails: []string{"gremlins"}},
		{what: "no backend", unit: acme, cli: cli{locked: "no such host"}, fails: []string{"no such host"}},
		{what: "a unit that was removed", unit: removed, cli: cli{exists: true}},
		{what: "a unit that never was", unit: removed, fails: []string{"neither golden/ nor the state has prod.acme"}},
		{what: "a unit that never was, locked", unit: removed, cli: cli{locked: lockedBy("ann@"+host, dead.Process.Pid)}, fails: []string{"neither golden/ nor the state has prod.acme"}},
	} {
		t.Run(test.what, func(t *testing.T) {
			c := &call{name: "prod", fleet: render.Fleet{Name: "prod"}, state: "s3://bucket", secrets: "passphrase", pulumi: &test.cli, breakLock: test.force}
			stack, locks, err := c.claim(t.Context(), t.TempDir(), test.unit, func(*pulumi.Context) error { return nil })
			if len(test.fails) == 0 {
				if err != nil || len(locks) != test.locks || stack.Name() != "prod.acme" || !test.cli.exists {
					t.Errorf("got %q, %d locks, %v", stack.Name(), len(locks), err)
				}
				return
			}
			for _, text := range test.fails {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("got %v, want %q", err, text)
				}
			}
			if slices.ContainsFunc(test.cli.calls, func(line string) bool {
				return strings.Contains(line, "cancel") || strings.Contains(line, "rename") || strings.Contains(line, "import")
			}) || test.unit.Files == nil && test.cli.exists {
				t.Errorf("something was changed: %q", test.cli.calls)
			}
		})
	}
}

// startPulumi starts a process that a lock may be of, and returns its pid.
func startPulumi(t *testing.T) int {
	t.Helper()
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		return os.Getpid() // any process may be Pulumi there
	}
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pulumi")
	if err := os.WriteFile(path, program, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: path, Args: []string{"sleep", "600"}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out) // until it is dead, though nobody has waited for it
		if pulumiRuns(cmd.Process.Pid) {
			t.Error("a zombie counts as alive")
		}
		_ = cmd.Wait()
		if pulumiRuns(cmd.Process.Pid) {
			t.Error("a process that is gone counts as alive")
		}
	})
	return cmd.Process.Pid
}

func TestAnotherProgramIsNotPulumi(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only where there is a /proc")
	}
	if pulumiRuns(os.Getpid()) {
		t.Error("the number of this process, which was given again, counts as Pulumi's")
	}
}

func TestReplace(t *testing.T) {
	for _, test := range []struct {
		what   string
		cli    cli
		locked bool
		calls  int
		fails  string
	}{
		{what: "free", cli: cli{exists: true, state: "broken"}, calls: 2},
		{what: "locked", cli: cli{exists: true, state: "broken"}, locked: true, calls: 3},
		{what: "somebody was at work meanwhile", cli: cli{exists: true, state: "whole"}, locked: true, calls: 1, fails: "as they left it"},
	} {
		t.Run(test.what, func(t *testing.T) {
			w, err := auto.NewLocalWorkspace(t.Context(), auto.Pulumi(&test.cli), auto.WorkDir(t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			stack, err := auto.SelectStack(t.Context(), "prod.acme", w)
			if err != nil {
				t.Fatal(err)
			}
			test.cli.calls = nil
			err = replace(t.Context(), stack, "broken", "mended", test.locked)
			if test.fails == "" && (err != nil || test.cli.stdin != "mended") {
				t.Errorf("wrote %q, %v", test.cli.stdin, err)
			}
			if test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails) || test.cli.stdin != "") {
				t.Errorf("wrote %q, %v", test.cli.stdin, err)
			}
			if len(test.cli.calls) != test.calls || slices.ContainsFunc(test.cli.calls, func(line string) bool { return strings.Contains(line, "cancel") }) != (test.locked && test.fails == "") {
				t.Errorf("called %q", test.cli.calls)
			}
			for _, line := range test.cli.calls {
				if strings.Contains(line, "--show-secrets") || strings.Contains(line, "--file") {
					t.Errorf("pulumi %s puts secrets where they can be read", line)
				}
			}
		})
	}
}

func TestFindingsAndProspectAreSaid(t *testing.T) {
	for want, f := range map[string]findings{
		"nothing was broken": {},
		"lock of pid 7 of ann@far broken, 2 pending operations dropped, 31 objects adopted": {locks: []lock{{user: "ann", host: "far", pid: 7}}, pending: 2, adopted: 31},
		"1 object adopted, 3 objects forgotten that the cluster no longer has":              {adopted: 1, gone: 3},
	} {
		if got := f.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, test := range []struct {
		changes map[string]int
		waits   int
		want    string
	}{
		{map[string]int{"same": 39}, 0, "up would change nothing"},
		{map[string]int{"same": 36, "update": 3}, 3, "up would change nothing, and wait for 3 objects that are not ready"},
		{map[string]int{"same": 30, "update": 4, "create": 5}, 3, "up would do: 5 create, 1 update, and wait for 3 objects that are not ready"},
	} {
		if got := prospect(test.changes, test.waits); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

func TestAttributesThatWereCutOffGo(t *testing.T) {
	folder := t.TempDir()
	for path, text := range map[string]string{
		"stacks/tenantry/prod.acme.json": "", "stacks/tenantry/prod.acme.json.attrs": "",
		"stacks/tenantry/prod.globex.json.attrs":             "",
		"locks/organization/tenantry/prod.acme/a.json":       "{",
		"locks/organization/tenantry/prod.acme/a.json.attrs": `{"user.cache`,
		"locks/organization/tenantry/prod.acme/b.json.attrs": `{"user.cache_control":""}`,
	} {
		path = filepath.Join(folder, ".pulumi", filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, backend := range []string{"s3://bucket", "file://" + filepath.ToSlash(t.TempDir()), "file://" + filepath.ToSlash(folder) + "?metadata=skip"} {
		if err := mendAttributes(backend, "prod.acme"); err != nil {
			t.Error(err)
		}
	}
	var left []string
	_ = filepath.WalkDir(folder, func(path string, d os.DirEntry, _ error) error {
		if !d.IsDir() {
			left = append(left, strings.TrimPrefix(path, filepath.Dir(filepath.Dir(path))+string(filepath.Separator)))
		}
		return nil
	})
	if want := []string{"prod.acme/a.json", "prod.acme/b.json.attrs", "tenantry/prod.acme.json", "tenantry/prod.globex.json.attrs"}; !slices.Equal(left, want) {
		t.Errorf("left are %q", left)
	}
}
