package engine_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/tenantry/tenantry/deploy/runner"
	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/clustertest"
	"github.com/tenantry/tenantry/local/operators"
	"github.com/tenantry/tenantry/local/placeholder"
	"github.com/tenantry/tenantry/render"
)

// patience is for one run of the command, and for anything else that is waited for.
const patience = 4 * time.Minute

// What every secret begins with. None may be seen anywhere.
const canary = "CANARY-5e1f0c-"

const passphrase = canary + "passphrase"

// masterKey is 32 bytes that begin with a canary, in base64.
var masterKey = base64.StdEncoding.EncodeToString([]byte(canary + "master-key-of-tests")[:32])

// A suite is what all tests share, and all that any run of the command has left for others to read.
type suite struct {
	dir  string
	bin  string // has the test binary by the names of the commands
	path string // value of PATH
	runs atomic.Int64

	repositories atomic.Int64
	secrets      sync.Map // every value that any Secret had, and where
}

func newSuite(t testing.TB) *suite {
	t.Helper()
	s := &suite{dir: t.TempDir()}
	s.bin = filepath.Join(s.dir, "bin")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{s.bin, filepath.Join(s.dir, "runs"), filepath.Join(s.dir, "home")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{deployCommand, genCommand, limitCommand} {
		if err := os.Symlink(self, filepath.Join(s.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	if s.path, err = build.Path(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
	return s
}

// A world is a control plane and the state of what is deployed to it.
type world struct {
	*suite
	cluster *cluster.Cluster
	client  kubernetes.Interface
	dynamic dynamic.Interface
	kinds   []schema.GroupVersionResource
	state   string // URL of Pulumi's backend
}

// newWorld starts a control plane for a fleet, with everything but the fleet.
func newWorld(t testing.TB, s *suite, fleet render.Fleet) *world {
	t.Helper()
	c := clustertest.WithDefinitions(t, cluster.Options{Nodes: cluster.Nodes(fleet), Contexts: []string{fleet.Name}})
	w := &world{suite: s, cluster: c}
	var err error
	config := c.Config()
	config.WarningHandler = rest.NoWarnings{}
	if w.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.kinds, err = listed(w.client.Discovery()); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(s.dir, "state."+fleet.Name)
	if err := os.Mkdir(state, 0o700); err != nil {
		t.Fatal(err)
	}
	w.state = "file://" + state
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		operators.Run(ctx, w.dynamic, io.Discard)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return w
}

// stateDir is the folder of Pulumi's state.
func (w *world) stateDir() string { return strings.TrimPrefix(w.state, "file://") }

// A repository has tenants of its own, and golden/ of them.
type repository struct {
	*world
	fleet string
	units []render.Unit
	dir   string
	env   []string
}

// repository makes one with the fleet that a spec tells of.
func (w *world) repository(t testing.TB, fleet string, s spec) *repository {
	t.Helper()
	r := &repository{world: w, fleet: fleet, dir: filepath.Join(w.suite.dir, "repositories", fmt.Sprintf("%04d", w.repositories.Add(1)))}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	all, err := render.Units(s.fleets())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all {
		if u.Fleet == fleet {
			r.units = append(r.units, u)
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "go.mod"), []byte("module example.com/infra\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	values, err := placeholder.Environment(r.units)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		if value == placeholder.Value {
			value = canary + strings.ToLower(name)
		}
		r.env = append(r.env, name+"="+value)
	}
	r.env = append(
		r.env, specVariable+"="+string(text), "PATH="+w.path, "HOME="+filepath.Join(w.dir, "home"), "KUBECONFIG="+w.cluster.Kubeconfig(),
		"PULUMI_HOME="+filepath.Join(w.suite.dir, "home", "pulumi"), "PULUMI_BACKEND_URL="+w.state,
		"PULUMI_CONFIG_PASSPHRASE="+passphrase, runner.MasterKey+"="+masterKey,
	)
	generate := exec.CommandContext(t.Context(), filepath.Join(w.bin, genCommand))
	generate.Dir, generate.Env = r.dir, r.env
	if out, err := generate.CombinedOutput(); err != nil {
		t.Fatalf("rendering golden/: %v\n%s", err, out)
	}
	return r
}

// get is the value of a variable of the runs.
func (r *repository) get(name string) string {
	for _, entry := range slices.Backward(r.env) {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

// set sets a variable of the runs to come.
func (r *repository) set(name, value string) { r.env = append(r.env, name+"="+value) }

// unset takes a variable from the runs to come.
func (r *repository) unset(name string) {
	r.env = slices.DeleteFunc(r.env, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
}

// playing is a folder for PATH in which the test binary goes by a name.
func (r *repository) playing(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(r.dir, "playing-"+name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// runVariable names the run that a process belongs to.
const runVariable = "TENANTRY_ENGINE_RUN"

// A run is one run of the deploy command.
type run struct {
	cmd  *exec.Cmd
	id   string
	dir  string // has stdout, stderr and tmp/
	hung bool
}

// A result is how a run ended.
type result struct {
	code           int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
}

// command prepares a run of the deploy command.
func (r *repository) command(t testing.TB, args ...string) *run {
	t.Helper()
	return r.process(t, append([]string{filepath.Join(r.bin, deployCommand), args[0], "-fleet", r.fleet}, args[1:]...)...)
}

// process prepares a process in a group of its own.
func (r *repository) process(t testing.TB, args ...string) *run {
	t.Helper()
	id := fmt.Sprintf("%d-%04d", os.Getpid(), r.runs.Add(1)) // another process may run the same tests
	n := &run{id: id, dir: filepath.Join(r.suite.dir, "runs", id)}
	tmp := filepath.Join(n.dir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(args[0], args[1:]...)
	n.cmd.Dir = r.dir
	n.cmd.Env = append(slices.Clone(r.env), "TMPDIR="+tmp, runVariable+"="+id)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return n
}

// run runs the deploy command to its end.
func (r *repository) run(t testing.TB, args ...string) result {
	t.Helper()
	n := r.command(t, args...)
	n.start(t)
	return n.wait(t)
}

// must runs the deploy command, which has to exit with 0.
func (r *repository) must(t testing.TB, args ...string) result {
	t.Helper()
	got := r.run(t, args...)
	if got.code != 0 {
		t.Fatalf("%s: %s", strings.Join(args, " "), got)
	}
	return got
}

// pulumi runs Pulumi's own command to its end.
func (r *repository) pulumi(t testing.TB, args ...string) result {
	t.Helper()
	n := r.process(t, append([]string{"env", "pulumi"}, args...)...) // env looks for it where the variable PATH says
	n.start(t)
	return n.wait(t)
}

// start starts a run. Its output goes to files, so that waiting for it is waiting for one process.
func (n *run) start(t testing.TB) {
	t.Helper()
	for name, to := range map[string]*io.Writer{"stdout": &n.cmd.Stdout, "stderr": &n.cmd.Stderr} {
		if *to != nil {
			continue
		}
		file, err := os.Create(filepath.Join(n.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		*to = file
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if n.cmd.ProcessState == nil {
			_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
			_ = n.cmd.Wait()
		}
	})
}

// ended is closed when the run has ended, which it may take no more than patience for.
func (n *run) ended() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		hanging := time.AfterFunc(patience, func() { _ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL) })
		_ = n.cmd.Wait() // the state says it
		n.hung = !hanging.Stop()
	}()
	return ended
}

// wait waits for the end of a run, and looks for what it has left.
func (n *run) wait(t testing.TB) result {
	t.Helper()
	<-n.ended()
	n.leavesNothing(t)
	return n.result(t)
}

// result is how a run that has ended did so.
func (n *run) result(t testing.TB) result {
	t.Helper()
	if n.hung {
		t.Fatalf("%q took more than %s:\n%s%s", n.cmd.Args, patience, n.said(t, "stdout"), n.said(t, "stderr"))
	}
	return result{n.cmd.ProcessState.ExitCode(), n.said(t, "stdout"), n.said(t, "stderr")}
}

// said is what a run has written so far.
func (n *run) said(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(n.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(data)
}

// leavesNothing fails if a process or a temporary file of a run is there after its end.
func (n *run) leavesNothing(t testing.TB) {
	t.Helper()
	if left := processesOf(t, n.id); len(left) > 0 {
		t.Errorf("%q left the processes %v", n.cmd.Args, left)
	}
	left, err := filepath.Glob(filepath.Join(n.dir, "tmp", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("%q left %v", n.cmd.Args, left)
	}
}

// events are the lines of -format json.
func (r result) events(t testing.TB) []runner.Event {
	t.Helper()
	var all []runner.Event
	for line := range strings.Lines(r.stdout) {
		var e runner.Event
		decoder := json.NewDecoder(strings.NewReader(line))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, e)
	}
	return all
}

// eventually polls until check returns nil, and fails with its last error.
func eventually(t testing.TB, check func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("%w: %w", err, last))
	}
}
