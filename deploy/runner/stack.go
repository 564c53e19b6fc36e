package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/tenantry/tenantry/deploy/live"
	"github.com/tenantry/tenantry/render"
)

// project is the name under which Pulumi keeps all stacks.
const project = "tenantry"

// one previews or applies one unit.
func (c *call) one(ctx context.Context, unit render.Unit, secrets map[string]map[string]string) (o outcome) {
	hide := scrubber(secrets)
	return c.work(ctx, unit.Name, hide, func(dir string, o *outcome) error {
		stack, fresh, err := c.open(ctx, dir, unit.Name, program(unit, c.fleet, secrets))
		if err != nil {
			return fmt.Errorf("opening the stack: %w", err)
		}
		planned := &plan{}
		if c.verb == "preview" || !fresh { // a stack without a state has nothing to lose
			if planned, err = c.plan(ctx, stack); err != nil {
				return err
			}
		}
		if c.verb == "preview" {
			o.result, o.changes, o.steps = "previewed", planned.counts, planned.steps
			for _, s := range planned.steps {
				c.report.tell(Event{Event: "resource", Unit: unit.Name, Op: s.op, Object: s.object})
			}
			if fresh {
				return remove(ctx, stack)
			}
			return nil
		}
		if changes := planned.counts; len(changes) == 1 && changes[string(apitype.OpSame)] > 0 {
			o.result, o.changes = "unchanged", changes
			if c.deployed[unit.Name] == live.Changing {
				return c.cluster.Change(ctx, unit, false)
			}
			return nil
		}
		deployed := c.deployed[unit.Name] != ""
		if deployed {
			if err := c.cluster.Change(ctx, unit, true); err != nil {
				return err
			}
		}
		applied := &plan{}
		err = watch(func(stream chan<- events.EngineEvent) error {
			options := []optup.Option{optup.EventStreams(stream), optup.SuppressProgress(), optup.SuppressOutputs()}
			if c.repair {
				options = append(options, optup.Refresh())
			}
			_, err := stack.Up(ctx, options...)
			return err
		}, func(e apitype.EngineEvent) {
			c.follow(unit.Name, hide, e)
			applied.read(e)
		})
		o.changes = applied.counts
		if err != nil {
			return applied.failure(err)
		}
		if deployed {
			if err := c.cluster.Change(ctx, unit, false); err != nil {
				return err
			}
		}
		o.result = "applied"
		return nil
	})
}

// plan previews, and refuses what would lose data without an acknowledgement. What is acknowledged it takes
// Pulumi's protection from, and previews again.
func (c *call) plan(ctx context.Context, stack auto.Stack) (*plan, error) {
	for {
		p := &plan{}
		err := watch(func(stream chan<- events.EngineEvent) error {
			options := []optpreview.Option{optpreview.EventStreams(stream), optpreview.SuppressProgress(), optpreview.SuppressOutputs()}
			if c.repair {
				options = append(options, optpreview.Refresh())
			}
			_, err := stack.Preview(ctx, options...)
			return err
		}, p.read)
		if auto.IsSelectStack404Error(err) { // see terse
			return nil, fmt.Errorf("%s is deployed, and there is no state of it in %s: run recover, which builds it again, or name the backend that has it with -state", stack.Name(), c.state)
		}
		if refusal := p.refusal(c.fleet, time.Now()); refusal != nil {
			return nil, refusal
		}
		if err == nil && len(p.diagnostics) == 0 {
			return p, nil
		}
		unprotected := false
		for _, l := range p.losses {
			if l.held {
				if err := c.unprotect(ctx, stack, l.urn); err != nil {
					return nil, err
				}
				unprotected = true
			}
		}
		if unprotected && len(p.diagnostics) == 0 {
			continue
		}
		if err == nil {
			err = fmt.Errorf("the preview of %s found mistakes", stack.Name())
		}
		return nil, p.failure(err)
	}
}

// unprotect lets go of one object whose loss is acknowledged.
func (c *call) unprotect(ctx context.Context, stack auto.Stack, urn string) error {
	w := stack.Workspace()
	env := make([]string, 0, len(w.GetEnvVars()))
	for name, value := range w.GetEnvVars() {
		env = append(env, name+"="+value)
	}
	_, stderr, _, err := w.PulumiCommand().Run(ctx, w.WorkDir(), nil, nil, nil, env, "state", "unprotect", urn, "--yes", "--stack", stack.Name())
	if err != nil {
		return fmt.Errorf("taking the protection from %s: %w: %s", objectName(urn), err, stderr)
	}
	return nil
}

// work runs do for one unit, in a folder of its own, for two stacks must not share one, and tells how it went.
func (c *call) work(ctx context.Context, unit string, hide hider, do func(dir string, o *outcome) error) (o outcome) {
	o = outcome{unit: unit, ring: c.ringOf(unit), result: "failed"}
	c.report.tell(Event{Event: "begin", Unit: unit, Ring: o.ring})
	begin := time.Now()
	defer func() {
		o.took = time.Since(begin)
		c.report.tell(o.event("end"))
	}()
	dir, err := os.MkdirTemp("", "tenantry-"+c.fleet.Name+"."+unit+"-")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }()
		err = do(dir, &o)
	}
	if err != nil {
		o.result, o.err = "failed", hide.error(err)
	}
	if err != nil && ctx.Err() != nil { // and what Pulumi says of that is no diagnosis
		o.err = interrupted("interrupted")
	}
	return o
}

// follow tells of an object that was changed, once: the two halves of a replacement are part of it. And of what
// Pulumi waits for.
func (c *call) follow(unit string, hide hider, e apitype.EngineEvent) {
	switch {
	case e.ResOutputsEvent != nil:
		m := e.ResOutputsEvent.Metadata
		if m.Op == apitype.OpCreateReplacement || m.Op == apitype.OpDeleteReplaced || m.Op == apitype.OpSame || m.Op == apitype.OpRefresh {
			return
		}
		if object := objectName(m.URN); object != "" {
			c.report.tell(Event{Event: "resource", Unit: unit, Op: string(m.Op), Object: object})
		}
	case e.DiagnosticEvent != nil && e.DiagnosticEvent.Ephemeral:
		text := strings.TrimSpace(plainText(e.DiagnosticEvent.Message)) // nothing, when the waiting is over
		if object := objectName(e.DiagnosticEvent.URN); object != "" && text != "" {
			c.report.tell(Event{Event: "waiting", Unit: unit, Object: object, Text: hide.text(text)})
		}
	}
}

// open returns a unit's stack, and whether it was made just now.
func (c *call) open(ctx context.Context, dir, unit string, run pulumi.RunFunc) (stack auto.Stack, fresh bool, err error) {
	name := c.fleet.Name + "." + unit
	w, err := c.workspace(ctx, dir, run)
	if err != nil {
		return stack, false, err
	}
	// Each question costs the start of a process: what the cluster does not have is likely to be new.
	if c.verb == "up" && c.deployed[unit] == "" {
		stack, err = auto.NewStack(ctx, name, w)
		if !auto.IsCreateStack409Error(err) {
			return stack, err == nil, diagnosed(err)
		}
	}
	stack, err = auto.SelectStack(ctx, name, w)
	if auto.IsSelectStack404Error(err) {
		fresh = true
		stack, err = auto.NewStack(ctx, name, w)
	}
	return stack, fresh, diagnosed(err)
}

// workspace is the folder from which Pulumi's CLI works on a stack.
func (c *call) workspace(ctx context.Context, dir string, run pulumi.RunFunc) (auto.Workspace, error) {
	backend := c.state
	if strings.HasPrefix(backend, "file://") && !strings.Contains(backend, "?") {
		backend += "?metadata=skip" // see mendAttributes
	}
	home, err := privateHome(dir)
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		"PULUMI_HOME":              home,
		"PULUMI_BACKEND_URL":       backend, // the user's would go before the project's
		"PULUMI_SKIP_UPDATE_CHECK": "true",
		// A workspace that is thrown away must not make a new salt each time.
		"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
	}
	if os.Getenv("GOGC") == "" { // a fifth of what Pulumi computes is tidying up, of which short lives need less
		env["GOGC"], env["GOMEMLIMIT"] = "400", "400MiB"
	}
	if c.repair {
		env["PULUMI_K8S_ENABLE_PATCH_FORCE"] = "true" // what others have written over is taken back
	}
	return auto.NewLocalWorkspace(ctx,
		auto.Pulumi(c.pulumi),
		auto.WorkDir(dir),
		auto.Program(run),
		auto.Project(workspace.Project{
			Name:    tokens.PackageName(project),
			Runtime: workspace.NewProjectRuntimeInfo("go", nil),
			Backend: &workspace.ProjectBackend{URL: backend},
		}),
		auto.SecretsProvider(c.secrets),
		auto.EnvVars(env),
	)
}

// privateHome makes what Pulumi takes for the user's folder ~/.pulumi, and which goes when the workspace does. Only the
// plugins are the user's own. Pulumi notes which stack each workspace has selected, which for those that are thrown away
// would add up; and it logs all that it does, which costs a fifth of its time and repeats what API servers say: it goes
// without a log where it cannot make the folder.
func privateHome(dir string) (string, error) {
	users := os.Getenv("PULUMI_HOME")
	if users == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		users = filepath.Join(home, ".pulumi")
	}
	plugins, err := filepath.Abs(filepath.Join(users, "plugins"))
	if err != nil {
		return "", err
	}
	private := filepath.Join(dir, "home")
	return private, errors.Join(
		os.MkdirAll(plugins, 0o700),
		os.Mkdir(private, 0o700),
		os.Symlink(plugins, filepath.Join(private, "plugins")),
		os.WriteFile(filepath.Join(private, "logs"), nil, 0o600),
	)
}

// watch gives each of Pulumi's events to see while do runs. Pulumi does not close the stream when it fails
// early, so that the end of do is the end.
func watch(do func(chan<- events.EngineEvent) error, see func(apitype.EngineEvent)) error {
	stream, returned, done := make(chan events.EngineEvent), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case e, open := <-stream:
				if !open {
					return
				}
				if e.Error == nil {
					see(e.EngineEvent)
				}
			case <-returned:
				return
			}
		}
	}()
	err := do(stream)
	close(returned)
	<-done
	return err
}
