package runner

import (
	"cmp"
	"context"
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

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/tenantry/tenantry/render"
)

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
		{map[string]int{"update": 1}, 1, "up would change nothing, and wait for 1 object that is not ready"},
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

// TestTheBackendIsTheOneThatIsNamed: Pulumi takes the variable's before the project's, so that a copy of the state
// would be the state itself.
func TestTheBackendIsTheOneThatIsNamed(t *testing.T) {
	t.Setenv("PULUMI_BACKEND_URL", "s3://the-users-own")
	c := &call{state: "s3://named", pulumi: &cli{}}
	w, err := c.workspace(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.GetEnvVars()["PULUMI_BACKEND_URL"]; got != c.state {
		t.Errorf("got %q, want %q", got, c.state)
	}
}

func TestAStateThatIsCutOffIsSetAside(t *testing.T) {
	folder := t.TempDir()
	backend, path := "file://"+filepath.ToSlash(folder), filepath.Join(folder, ".pulumi", "stacks", "tenantry", "prod.acme.json")
	if aside, err := setAside(backend, "prod.acme"); err != nil || aside != "" {
		t.Errorf("no folder: %q, %v", aside, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{`{"version":3}`: "", `{"version":`: path + ".cut-off", "": path + ".cut-off"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		aside, err := setAside(backend, "prod.acme")
		if err != nil || aside != want {
			t.Errorf("%q: %q, %v", text, aside, err)
		}
		if kept, err := os.ReadFile(cmp.Or(aside, path)); err != nil || string(kept) != text {
			t.Errorf("%q: kept is %q, %v", text, kept, err)
		}
	}
	for _, elsewhere := range []string{backend, "s3://bucket"} {
		if aside, err := setAside(elsewhere, "prod.globex"); err != nil || aside != "" {
			t.Errorf("%s: %q, %v", elsewhere, aside, err)
		}
	}
}
