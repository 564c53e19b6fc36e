package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/tenantry/tenantry/render"
)

// recoverAll mends the state of the chosen units, and of those that are named though golden/ no longer has them.
func (c *call) recoverAll(ctx context.Context, chosen []render.Unit) error {
	if _, err := c.cluster.Deployed(ctx); err != nil { // Pulumi would say for each object that there is no cluster
		return err
	}
	for _, name := range c.names {
		if !slices.ContainsFunc(chosen, func(u render.Unit) bool { return u.Name == name }) {
			chosen = append(chosen, render.Unit{Fleet: c.name, Name: name})
		}
	}
	secrets, err := c.ready(ctx, chosen)
	if err != nil {
		return err
	}
	return c.end(ctx, c.together(ctx, chosen, func(u render.Unit) outcome { return c.recoverOne(ctx, u, secrets[u.Name]) }), nil)
}

// recoverOne mends a unit's state after a run was killed, or builds it again after it was lost: it breaks the
// lock of a dead run, forgets operations that never ended, adopts the objects of golden/ that live in the
// cluster, reads every object anew, and ends with a preview. It writes nothing to the cluster.
//
// It works on a copy, which replaces the state at once when it is whole. Whatever fails before that, or kills
// the process, leaves the state as it was.
func (c *call) recoverOne(ctx context.Context, unit render.Unit, secrets map[string]map[string]string) outcome {
	return c.work(ctx, unit.Name, scrubber(secrets), func(dir string, o *outcome) error {
		for _, part := range []string{"stack", "copy", "state"} {
			if err := os.Mkdir(filepath.Join(dir, part), 0o700); err != nil {
				return err
			}
		}
		run := program(unit, c.fleet, secrets)
		stack, locks, err := c.claim(ctx, filepath.Join(dir, "stack"), unit, run)
		if err != nil {
			return err
		}
		broken, err := export(ctx, stack)
		if err != nil {
			return fmt.Errorf("reading the state: %w", err)
		}
		mended, found, err := c.rebuild(ctx, dir, broken, unit, run)
		if err != nil {
			return fmt.Errorf("the state is as it was: %w", err)
		}
		if err := replace(ctx, stack, broken, mended, len(locks) > 0); err != nil {
			return err
		}
		found.locks = locks
		o.result, o.changes = "recovered", found.counts()
		said := found.String()
		if len(unit.Files) > 0 {
			next, waits := &plan{}, 0
			err = watch(func(stream chan<- events.EngineEvent) error {
				_, err := stack.Preview(ctx, optpreview.EventStreams(stream), optpreview.SuppressProgress(), optpreview.SuppressOutputs())
				return err
			}, func(e apitype.EngineEvent) {
				next.read(e)
				if e.ResourcePreEvent != nil && e.ResourcePreEvent.Metadata.Op == apitype.OpUpdate && len(e.ResourcePreEvent.Metadata.Diffs) == 0 {
					waits++
				}
			})
			if err != nil {
				return fmt.Errorf("the state is mended (%s), but up would fail: %w", said, diagnosis(err, next.diagnostics))
			}
			said += "; " + prospect(next.counts, waits)
		}
		c.report.tell(Event{Event: "note", Unit: unit.Name, Text: stack.Name() + ": " + said})
		return nil
	})
}

// prospect is what up would do, when waits of its updates are only to see objects become ready that are not.
func prospect(changes map[string]int, waits int) string {
	left := map[string]int{}
	for op, n := range changes {
		if op == string(apitype.OpUpdate) {
			n -= waits
		}
		if n > 0 && op != string(apitype.OpSame) {
			left[op] = n
		}
	}
	said := "up would change nothing"
	if len(left) > 0 {
		said = "up would do: " + counts(left)
	}
	if waits > 0 {
		said += ", and wait for " + many(waits, "object that is not ready", "objects that are not ready")
	}
	return said
}

// claim opens a unit's stack, which it makes if it was lost, unless anybody may be at work on it. It returns the
// locks that dead runs have left, which are still there.
func (c *call) claim(ctx context.Context, dir string, unit render.Unit, run pulumi.RunFunc) (auto.Stack, []lock, error) {
	w, err := c.workspace(ctx, dir, run)
	if err != nil {
		return auto.Stack{}, nil, err
	}
	name := c.name + "." + unit.Name
	if err := mendAttributes(c.state, name); err != nil {
		return auto.Stack{}, nil, err
	}
	if len(unit.Files) == 0 {
		if _, err := auto.SelectStack(ctx, name, w); auto.IsSelectStack404Error(err) {
			return auto.Stack{}, nil, fmt.Errorf("neither golden/ nor the state has %s", name)
		}
	}
	// Asked to make a stack, Pulumi first says who has locked it and then whether it is there: no other question
	// shows the locks and changes nothing.
	var locks []lock
	if err = w.CreateStack(ctx, name); err != nil && !auto.IsCreateStack409Error(err) {
		if locks, err = locksIn(err); err != nil {
			return auto.Stack{}, nil, err
		}
		host, err := os.Hostname()
		if err != nil {
			return auto.Stack{}, nil, err
		}
		for _, l := range locks {
			if err := l.breakable(host, pulumiRuns, c.breakLock); err != nil {
				return auto.Stack{}, nil, err
			}
		}
	}
	aside, err := setAside(c.state, name)
	if err != nil {
		return auto.Stack{}, nil, err
	}
	if aside != "" {
		c.report.tell(Event{Event: "note", Unit: unit.Name, Text: fmt.Sprintf("%s: the state is cut off, as by a full disk: it is kept as %s, and built again", name, aside)})
	}
	stack, err := auto.SelectStack(ctx, name, w)
	if auto.IsSelectStack404Error(err) {
		// Not there, and perhaps locked: its run was killed while it made the stack. Pulumi breaks only locks of
		// what exists, and another stack can be given the name in spite of the lock.
		if err := w.CreateStack(ctx, name+"-lost"); err != nil && !auto.IsCreateStack409Error(err) {
			return stack, nil, diagnosis(err, nil)
		}
		if _, err := command(ctx, w, name+"-lost", nil, "stack", "rename", name); err != nil {
			return stack, nil, err
		}
		stack, err = auto.SelectStack(ctx, name, w)
	}
	if err != nil {
		return stack, nil, diagnosis(err, nil)
	}
	return stack, locks, nil
}

// mendAttributes removes what makes a state unreadable. Where the backend is a folder, Pulumi's CLI keeps a file of
// attributes beside each of its own, and writes it in place: a run that is killed meanwhile leaves it empty. Pulumi
// can do without it, and where this command names the backend, it does.
func mendAttributes(backend, stack string) error {
	root, err := stateFolder(backend)
	if root == nil {
		return err
	}
	defer func() { _ = root.Close() }()
	for _, pattern := range []string{"stacks/" + project + "/" + stack + ".json.attrs", "locks/organization/" + project + "/" + stack + "/*.attrs"} {
		files, err := fs.Glob(root.FS(), pattern)
		if err != nil {
			return err
		}
		for _, file := range files {
			text, err := root.ReadFile(file)
			if err == nil && !json.Valid(text) {
				err = root.Remove(file)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) { // its run may just have ended
				return err
			}
		}
	}
	return nil
}

// stateFolder is where a backend that is a folder keeps its files; nil for another one, and where there is none yet.
func stateFolder(backend string) (*os.Root, error) {
	folder, ok := strings.CutPrefix(backend, "file://")
	if !ok {
		return nil, nil
	}
	folder, _, _ = strings.Cut(folder, "?")
	root, err := os.OpenRoot(filepath.Join(filepath.FromSlash(folder), ".pulumi"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return root, err
}

// setAside renames a stack's state if it is cut off, and returns its new name. Pulumi puts what it could write in the
// place of the state where the device of the folder is full.
func setAside(backend, stack string) (string, error) {
	root, err := stateFolder(backend)
	if root == nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	file := "stacks/" + project + "/" + stack + ".json"
	text, err := root.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && json.Valid(text) {
		return "", nil
	}
	if err == nil {
		err = root.Rename(file, file+".cut-off")
	}
	return filepath.Join(root.Name(), filepath.FromSlash(file+".cut-off")), err
}

// rebuild makes a whole state out of a broken one: in a copy in dir, where Pulumi can read every object into it
// without writing to the unit's own.
func (c *call) rebuild(ctx context.Context, dir, broken string, unit render.Unit, run pulumi.RunFunc) (string, findings, error) {
	var found findings
	aside := *c
	aside.state = "file://" + filepath.ToSlash(filepath.Join(dir, "state"))
	stack, _, err := aside.open(ctx, filepath.Join(dir, "copy"), unit.Name, run)
	if err != nil {
		return "", found, fmt.Errorf("copying it: %w", err)
	}
	if keyless(broken) { // it was killed before it had any; nor has it anything else then
		if broken, err = export(ctx, stack); err != nil {
			return "", found, fmt.Errorf("copying it: %w", err)
		}
	}
	// The copy is encrypted as the state is, and not with the key that it was made with.
	if err := stack.Workspace().SaveStackSettings(ctx, stack.Name(), &workspace.ProjectStack{}); err != nil {
		return "", found, err
	}
	adopted, found, err := adopt(ctx, broken, unit, run, c.cluster.Get)
	if err != nil {
		return "", found, err
	}
	if err := restore(ctx, stack, adopted); err != nil {
		return "", found, fmt.Errorf("copying it: %w", err)
	}
	refreshed := &plan{}
	err = watch(func(stream chan<- events.EngineEvent) error {
		_, err := stack.Refresh(ctx, optrefresh.EventStreams(stream), optrefresh.SuppressProgress(), optrefresh.SuppressOutputs())
		return err
	}, refreshed.read)
	if err != nil {
		return "", found, fmt.Errorf("reading what lives in the cluster: %w", diagnosis(err, refreshed.diagnostics))
	}
	mended, err := export(ctx, stack)
	if err != nil {
		return "", found, fmt.Errorf("reading the copy: %w", err)
	}
	found.gone = refreshed.counts[string(apitype.OpDelete)]
	return mended, found, nil
}

// replace puts the mended state in the place of the broken one, if that is still what it was.
func replace(ctx context.Context, stack auto.Stack, broken, mended string, locked bool) error {
	now, err := export(ctx, stack)
	if err != nil {
		return fmt.Errorf("reading the state again: %w", err)
	}
	if now != broken {
		return errors.New("somebody changed the state meanwhile: it is as they left it; run recover again when they are done")
	}
	if locked {
		if err := stack.Cancel(ctx); err != nil {
			return fmt.Errorf("breaking the lock: %w", err)
		}
	}
	if err := restore(ctx, stack, mended); err != nil {
		return fmt.Errorf("replacing the state: %w", err)
	}
	return nil
}

// export is a stack's state as JSON, its secrets encrypted. The Automation API's own export decrypts them.
func export(ctx context.Context, stack auto.Stack) (string, error) {
	return command(ctx, stack.Workspace(), stack.Name(), nil, "stack", "export")
}

// restore replaces a stack's state, in one write. Values that are secret but not yet encrypted go to Pulumi
// through a pipe; the Automation API's own import would put them into a file.
func restore(ctx context.Context, stack auto.Stack, state string) error {
	_, err := command(ctx, stack.Workspace(), stack.Name(), strings.NewReader(state), "stack", "import")
	return err
}

// command runs Pulumi's CLI for a stack, and returns what it prints.
func command(ctx context.Context, w auto.Workspace, stack string, stdin io.Reader, args ...string) (string, error) {
	var env []string
	for name, value := range w.GetEnvVars() {
		env = append(env, name+"="+value)
	}
	stdout, stderr, _, err := w.PulumiCommand().Run(ctx, w.WorkDir(), stdin, nil, nil, env, append(args, "--stack", stack)...)
	if err != nil {
		return "", diagnosis(fmt.Errorf("pulumi %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr)), nil)
	}
	return stdout, nil
}

// findings are what was wrong with a state.
type findings struct {
	locks   []lock
	pending int // operations
	adopted int // objects
	gone    int // objects
}

func (f findings) counts() map[string]int {
	counts := map[string]int{"unlocked": len(f.locks), "dropped": f.pending, "adopted": f.adopted, "gone": f.gone}
	for what, n := range counts {
		if n == 0 {
			delete(counts, what)
		}
	}
	return counts
}

func (f findings) String() string {
	var parts []string
	for _, l := range f.locks {
		parts = append(parts, "lock of "+l.String()+" broken")
	}
	if f.pending > 0 {
		parts = append(parts, many(f.pending, "pending operation", "pending operations")+" dropped")
	}
	if f.adopted > 0 {
		parts = append(parts, many(f.adopted, "object", "objects")+" adopted")
	}
	if f.gone > 0 {
		parts = append(parts, many(f.gone, "object", "objects")+" forgotten that the cluster no longer has")
	}
	if len(parts) == 0 {
		return "nothing was broken"
	}
	return strings.Join(parts, ", ")
}

func many(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// keyless tells whether a state does not say what encrypts it.
func keyless(state string) bool {
	var s struct {
		Deployment struct {
			SecretsProviders any `json:"secrets_providers"`
		}
	}
	return json.Unmarshal([]byte(state), &s) == nil && s.Deployment.SecretsProviders == nil
}
