package runner

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tenantry/tenantry/render"
)

// recoverAll mends the state of the chosen units, and of those that are named though golden/ no longer has them.
func (c *call) recoverAll(ctx context.Context, chosen []render.Unit) error {
	if _, err := c.cluster.Deployed(ctx); err != nil { // Pulumi would say for each object that there is no cluster
		return err
	}
	secrets, err := fillAll(environment(), chosen)
	if err != nil {
		return err
	}
	cli, err := findPulumi(ctx)
	if err != nil {
		return err
	}
	c.pulumi = terse{cli}
	for _, name := range c.names {
		if !slices.ContainsFunc(chosen, func(u render.Unit) bool { return u.Name == name }) {
			chosen = append(chosen, render.Unit{Fleet: c.name, Name: name})
		}
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
		said += fmt.Sprintf(", and wait for %d objects that are not ready", waits)
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
	unknown := fmt.Errorf("neither golden/ nor the state has %s", name)
	// Asked to make a stack, Pulumi first says who has locked it and then whether it is there: no other question
	// shows the locks and changes nothing.
	err = w.CreateStack(ctx, name)
	if err == nil && len(unit.Files) == 0 {
		return auto.Stack{}, nil, errors.Join(unknown, w.RemoveStack(ctx, name))
	}
	var locks []lock
	if err != nil && !auto.IsCreateStack409Error(err) {
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
	stack, err := auto.SelectStack(ctx, name, w)
	switch {
	case auto.IsSelectStack404Error(err) && len(unit.Files) == 0:
		return stack, nil, unknown
	case auto.IsSelectStack404Error(err):
		// Locked, but not there: its run was killed while it made the stack. Pulumi breaks only locks of what
		// exists, and another stack can be given the name in spite of the lock.
		if err := w.CreateStack(ctx, name+"-lost"); err != nil {
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
	folder, ok := strings.CutPrefix(backend, "file://")
	if !ok {
		return nil
	}
	folder, _, _ = strings.Cut(folder, "?")
	root, err := os.OpenRoot(filepath.Join(filepath.FromSlash(folder), ".pulumi"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
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
	for _, part := range []struct {
		n         int
		one, more string
	}{
		{f.pending, "pending operation dropped", "pending operations dropped"},
		{f.adopted, "object adopted", "objects adopted"},
		{f.gone, "object forgotten that the cluster no longer has", "objects forgotten that the cluster no longer has"},
	} {
		switch part.n {
		case 0:
		case 1:
			parts = append(parts, "1 "+part.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.more))
		}
	}
	if len(parts) == 0 {
		return "nothing was broken"
	}
	return strings.Join(parts, ", ")
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

// A getter returns the live object that a described one names; nil for none.
type getter func(context.Context, render.Object) (*unstructured.Unstructured, error)

// adopt adds to a state what a unit's program registers and the cluster has, but the state lacks, and takes from
// it the operations that never ended. What such an operation was about to create, and did, it adopts too, though
// golden/ may have gone on: up deletes it then.
//
// What is added has no outputs yet; a refresh must follow. What the state has besides stays as it is, what this
// code knows nothing of as well.
func adopt(ctx context.Context, broken string, unit render.Unit, run pulumi.RunFunc, get getter) (string, findings, error) {
	var found findings
	var state map[string]any
	decoder := json.NewDecoder(strings.NewReader(broken))
	decoder.UseNumber() // as it is, whatever its size
	if err := decoder.Decode(&state); err != nil {
		return "", found, fmt.Errorf("reading it: %w", err)
	}
	deployment, ok := state["deployment"].(map[string]any)
	if !ok {
		return "", found, errors.New("reading it: it has no deployment")
	}
	resources, _ := deployment["resources"].([]any)
	known := map[resource.URN]bool{}
	r := registry{provider: rand.Text()}
	for _, entry := range resources {
		entry, ok := entry.(map[string]any)
		if !ok {
			return "", found, errors.New("reading it: an entry is no resource")
		}
		urn, _ := entry["urn"].(string)
		known[resource.URN(urn)] = true
		if id, ok := entry["id"].(string); ok && entry["type"] == string(providerType) {
			r.provider = id
		}
		// It was deleted to be made anew, and either was or was not: the refresh sees to it.
		delete(entry, "pendingReplacement")
	}
	if err := pulumi.RunErr(run, pulumi.WithMocks(project, unit.Fleet+"."+unit.Name, &r)); err != nil {
		return "", found, err
	}
	var errs []error
	for _, entry := range r.entries {
		if known[entry.URN] {
			continue
		}
		if objectName(string(entry.URN)) != "" {
			lives, err := lives(ctx, get, unit, entry.Inputs)
			if err != nil {
				errs = append(errs, err)
			}
			if !lives {
				continue
			}
			found.adopted++
		}
		entry.Dependencies = slices.DeleteFunc(entry.Dependencies, func(urn resource.URN) bool { return !known[urn] })
		resources = append(resources, entry)
		known[entry.URN] = true
	}
	pending, _ := deployment["pending_operations"].([]any)
	found.pending = len(pending)
	for _, operation := range pending {
		operation, _ := operation.(map[string]any)
		entry, _ := operation["resource"].(map[string]any)
		inputs, ok := entry["inputs"].(map[string]any)
		urn, _ := entry["urn"].(string)
		if !ok || operation["type"] != string(apitype.OperationTypeCreating) || known[resource.URN(urn)] || objectName(urn) == "" {
			continue
		}
		if lives, err := lives(ctx, get, unit, inputs); err != nil || !lives {
			continue // somebody else's, then: it was never created
		}
		entry["id"] = idOf(inputs)
		resources = append(resources, entry)
		known[resource.URN(urn)] = true
		found.adopted++
	}
	if err := errors.Join(errs...); err != nil {
		return "", findings{}, err
	}
	deployment["resources"] = resources
	delete(deployment, "pending_operations")
	mended, err := json.Marshal(state)
	return string(mended), found, err
}

// lives tells whether the object that inputs describe is in the cluster as the unit's own. One of its name that
// is not is an error: it is not ours to change.
func lives(ctx context.Context, get getter, unit render.Unit, inputs map[string]any) (bool, error) {
	o := &unstructured.Unstructured{Object: inputs}
	name := strings.TrimPrefix(o.GetNamespace()+"/", "/") + o.GetKind() + "/" + o.GetName()
	found, err := get(ctx, o)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", name, err)
	}
	if found == nil {
		return false, nil
	}
	labels := found.GetLabels()
	owner := labels["app.kubernetes.io/part-of"] + "." + labels["app.kubernetes.io/instance"]
	switch {
	case labels["app.kubernetes.io/managed-by"] == "tenantry" && owner == unit.Fleet+"."+unit.Name:
		if found.GetDeletionTimestamp() != nil {
			return false, fmt.Errorf("%s is being deleted: run recover again when it is gone", name)
		}
		return true, nil
	case o.GetKind() == "ServiceAccount" && o.GetName() == "default":
		return false, nil // Kubernetes makes one in every namespace, and up takes it over
	default:
		return false, fmt.Errorf("the cluster has a %s that is not of %s.%s: its labels do not say so. Rename either, or label it as golden/ does if it is", name, unit.Fleet, unit.Name)
	}
}

// idOf is the ID that Pulumi's Kubernetes provider gives an object.
func idOf(inputs map[string]any) resource.ID {
	o := unstructured.Unstructured{Object: inputs}
	return resource.ID(strings.TrimPrefix(o.GetNamespace()+"/", "/") + o.GetName())
}

const providerType tokens.Type = "pulumi:providers:kubernetes"

// A registry is the engine's place taken: it writes down what a program registers, as the engine writes it into
// a state, each after what it depends on.
type registry struct {
	provider string // its ID
	mu       sync.Mutex
	entries  []apitype.ResourceV3
}

// NewResource is pulumi.MockResourceMonitor's.
func (r *registry) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	rpc := args.RegisterRPC
	stack := resource.URN(rpc.GetParent())
	entry := apitype.ResourceV3{
		URN:      resource.NewURN(stack.Stack(), stack.Project(), "", tokens.Type(args.TypeToken), args.Name),
		Type:     tokens.Type(args.TypeToken),
		Custom:   true,
		Parent:   stack,
		Provider: rpc.GetProvider(),
		Protect:  rpc.GetProtect(),
	}
	if version := rpc.GetVersion(); version != "" && entry.Type == providerType {
		args.Inputs["version"] = resource.NewProperty(version)
	}
	entry.Inputs, _ = plain(resource.NewProperty(args.Inputs)).(map[string]any)
	if entry.Type == providerType {
		entry.ID, entry.Outputs = resource.ID(r.provider), entry.Inputs
	} else {
		entry.ID = idOf(entry.Inputs)
	}
	for _, urn := range rpc.GetDependencies() {
		entry.Dependencies = append(entry.Dependencies, resource.URN(urn))
	}
	for _, key := range rpc.GetAdditionalSecretOutputs() {
		entry.AdditionalSecretOutputs = append(entry.AdditionalSecretOutputs, resource.PropertyKey(key))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) == 0 {
		r.entries = append(r.entries, apitype.ResourceV3{URN: stack, Type: resource.RootStackType})
	}
	r.entries = append(r.entries, entry)
	return string(entry.ID), args.Inputs, nil
}

// Call is pulumi.MockResourceMonitor's. Programs of units call nothing.
func (*registry) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("unexpected call of %s", args.Token)
}

// plain is a value as it stands in a state. Pulumi encrypts what is marked as secret before it writes it.
func plain(v resource.PropertyValue) any {
	switch {
	case v.IsSecret():
		text, err := json.Marshal(plain(v.SecretValue().Element))
		if err != nil {
			panic(fmt.Sprintf("a secret that came from JSON is none: %v", err))
		}
		return map[string]any{resource.SigKey: resource.SecretSig, "plaintext": string(text)}
	case v.IsObject():
		object := map[string]any{}
		for key, value := range v.ObjectValue() {
			object[string(key)] = plain(value)
		}
		return object
	case v.IsArray():
		array := []any{}
		for _, value := range v.ArrayValue() {
			array = append(array, plain(value))
		}
		return array
	default:
		return v.V // null, bool, number, string: golden files have no more
	}
}
