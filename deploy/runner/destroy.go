package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/tenantry/tenantry/render"
)

// destroy takes the named units from the cluster.
func (c *call) destroy(ctx context.Context) error {
	units := make([]render.Unit, len(c.names))
	for i, name := range c.names {
		units[i] = render.Unit{Fleet: c.name, Name: name}
	}
	if _, err := c.ready(ctx, units); err != nil {
		return err
	}
	return c.end(ctx, c.together(ctx, units, func(u render.Unit) outcome { return c.destroyOne(ctx, u.Name) }), nil)
}

// A leftover is what destroying a unit does with its objects: keep those that hold data, and what guards and
// names them, and delete the rest.
type leftover struct {
	keep   []string // objects that hold data
	guard  []string // objects that are kept with them
	remove []string // URNs
	locked []string // URNs of those whose loss is acknowledged and that Pulumi protects
}

// leave decides by a stack's state. Workloads, jobs and the release go in any case. As long as anything with
// data stays, its namespace, network policies, roles, configuration and Secrets stay as well.
func (c *call) leave(resources []apitype.ResourceV3, now time.Time) leftover {
	var l leftover
	var guards []apitype.ResourceV3
	for _, r := range resources {
		object := objectName(string(r.URN))
		if object == "" {
			continue
		}
		kind, _, _ := splitURN(string(r.URN))
		switch {
		case r.Protect || holdsData(kind):
			if !c.fleet.Acknowledges(object, render.Deleted, now) {
				l.keep = append(l.keep, object)
				continue
			}
			l.remove = append(l.remove, string(r.URN))
			if r.Protect {
				l.locked = append(l.locked, string(r.URN))
			}
		case phase(kind[strings.LastIndex(kind, ":")+1:]) >= phaseJob || strings.HasSuffix(object, "/ConfigMap/"+releaseName):
			l.remove = append(l.remove, string(r.URN))
		default:
			guards = append(guards, r)
		}
	}
	for _, r := range guards {
		if len(l.keep) > 0 {
			l.guard = append(l.guard, objectName(string(r.URN)))
		} else {
			l.remove = append(l.remove, string(r.URN))
		}
	}
	slices.Sort(l.keep)
	return l
}

func (c *call) destroyOne(ctx context.Context, unit string) outcome {
	return c.work(ctx, unit, nil, func(dir string, o *outcome) error {
		stack, fresh, err := c.open(ctx, dir, unit, func(*pulumi.Context) error { return nil })
		if err != nil {
			return fmt.Errorf("opening the stack: %w", err)
		}
		if fresh {
			if err := stack.Workspace().RemoveStack(ctx, stack.Name()); err != nil {
				return err
			}
			return fmt.Errorf("there is no state of %s: if its objects are still in the cluster, put it back into tenants/ and run recover first", stack.Name())
		}
		exported, err := stack.Export(ctx)
		if err != nil {
			return diagnosis(err, nil)
		}
		var state apitype.DeploymentV3
		if err := json.Unmarshal(exported.Deployment, &state); err != nil {
			return fmt.Errorf("reading the state: %w", err)
		}
		l := c.leave(state.Resources, time.Now())
		for _, urn := range l.locked {
			if err := c.unprotect(ctx, stack, urn); err != nil {
				return err
			}
		}
		options := []optdestroy.Option{optdestroy.SuppressProgress(), optdestroy.SuppressOutputs()}
		if len(l.keep) > 0 {
			options = append(options, optdestroy.Target(l.remove))
		}
		done := &plan{}
		if len(l.remove) > 0 || len(l.keep) == 0 {
			err = watch(func(stream chan<- events.EngineEvent) error {
				_, err := stack.Destroy(ctx, append(options, optdestroy.EventStreams(stream))...)
				return err
			}, func(e apitype.EngineEvent) {
				c.follow(unit, nil, e)
				done.read(e)
			})
			if err != nil {
				return done.failure(err)
			}
		}
		o.changes = map[string]int{"delete": done.counts[string(apitype.OpDelete)], "kept": len(l.keep) + len(l.guard)}
		if len(l.keep) > 0 {
			o.result = "data kept"
			c.report.tell(Event{Event: "note", Unit: unit, Text: kept(c.name, unit, l, time.Now())})
			return nil
		}
		o.result = "destroyed"
		return remove(ctx, stack)
	})
}

// remove forgets a stack that has nothing left.
func remove(ctx context.Context, stack auto.Stack) error {
	if err := stack.Workspace().RemoveStack(ctx, stack.Name()); err != nil {
		return fmt.Errorf("removing the empty stack: %w", err)
	}
	return nil
}

// kept says what stays in the cluster, and how it would go.
func kept(fleet, unit string, l leftover, now time.Time) string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s.%s keeps its data: %s\nand %s, such as its network policies.\nTo delete that too, have the loss reviewed: put into Acknowledged of the fleet %s in tenants/\n", fleet, unit, strings.Join(l.keep, ", "), many(len(l.guard), "object that guards it", "objects that guard it"), fleet)
	for _, object := range l.keep {
		fmt.Fprintln(&text, acknowledgement(object, render.Deleted, now))
	}
	text.WriteString("and run destroy again.")
	return text.String()
}
