package runner

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tenantry/tenantry/deploy/live"
	"github.com/tenantry/tenantry/render"
)

// An outcome is what became of one unit.
type outcome struct {
	unit    string
	ring    string
	result  string
	changes map[string]int
	steps   []step
	took    time.Duration
	err     error
}

// apply previews or applies the units, wave after wave.
func (c *call) apply(ctx context.Context, chosen, all []render.Unit) (err error) {
	if c.deployed, err = c.ask(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.deployed)) {
		if !slices.ContainsFunc(all, func(u render.Unit) bool { return u.Fleet == c.name && u.Name == name }) {
			c.report.tell(Event{Event: "note", Text: fmt.Sprintf("%s.%s is deployed, and tenants/ has it no longer: to take it from the cluster, run destroy -fleet %[1]s %[2]s", c.name, name)})
		}
	}
	changed := slices.Clone(chosen)
	if !c.all {
		changed = slices.DeleteFunc(changed, func(u render.Unit) bool { return c.deployed[u.Name] == u.Digest })
	}
	if len(changed) == 0 {
		c.report.tell(Event{Event: "note", Text: "every unit is deployed as it stands in golden/; -all looks at them all the same"})
		return nil
	}
	if c.deployed[render.PlatformUnit] == "" && changed[0].Name != render.PlatformUnit && c.verb == "up" {
		return fmt.Errorf("the platform of %s is not deployed, and every tenant leans on it: name it too, or name no unit", c.name)
	}
	secrets, err := c.ready(ctx, changed)
	if err != nil {
		return err
	}

	var outcomes []outcome
	var stop error
	waves := c.waves(changed)
	for i, wave := range waves {
		if stop == nil && c.verb == "up" {
			stop = c.gate(ctx, wave)
		}
		if stop != nil || ctx.Err() != nil {
			for _, u := range wave {
				outcomes = append(outcomes, outcome{unit: u.Name, ring: c.ringOf(u.Name), result: "not begun"})
			}
			continue
		}
		done := c.together(ctx, wave, func(u render.Unit) outcome { return c.one(ctx, u, secrets[u.Name]) })
		outcomes = append(outcomes, done...)
		if c.verb == "up" && i+1 < len(waves) && slices.ContainsFunc(done, func(o outcome) bool { return o.err != nil }) {
			stop = errors.New("what is not begun waits for what failed: mend it, and run up again")
		}
	}
	return c.end(ctx, outcomes, stop)
}

// waves are the platform, and then the tenants by ring.
func (c *call) waves(units []render.Unit) [][]render.Unit {
	waves := make([][]render.Unit, len(ringsOf(c.fleet)))
	for _, u := range units {
		i := c.wave(u.Name)
		waves[i] = append(waves[i], u)
	}
	return slices.DeleteFunc(waves, func(wave []render.Unit) bool { return len(wave) == 0 })
}

// gate waits until the rings before a wave are healthy: not only what this run has applied, so that a run
// that goes on after a failed one cannot pass by what stopped it. Units that were named need no gate: they are
// how a sick fleet is mended.
func (c *call) gate(ctx context.Context, wave []render.Unit) error {
	if len(c.names) > 0 || wave[0].Name == render.PlatformUnit {
		return nil
	}
	var before []string
	for _, t := range c.fleet.Tenants {
		if c.fleet.RingOf(t.Name) < c.fleet.RingOf(wave[0].Name) {
			before = append(before, t.Name)
		}
	}
	if len(before) == 0 {
		return nil
	}
	ring := c.ringOf(wave[0].Name)
	deadline := time.NewTimer(c.wait)
	defer deadline.Stop()
	for told := false; ; {
		sick, err := c.cluster.Unhealthy(ctx, before)
		if err != nil {
			return fmt.Errorf("looking at the health of the rings before %s: %w", ring, err)
		}
		if len(sick) == 0 {
			return nil
		}
		if !told {
			c.report.tell(Event{Event: "note", Ring: ring, Text: fmt.Sprintf("the ring %s waits until the ones before it are healthy:\n%s", ring, lines(sick))})
			told = true
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-deadline.C:
			return fmt.Errorf("the ring %s was not begun: after %s these are not healthy:\n%s\nMend them and run up again; a unit that is named on the command line is applied without waiting", ring, c.wait, lines(sick))
		case <-time.After(2 * time.Second):
		}
	}
}

func lines(sick []live.Complaint) string {
	var text []string
	for _, c := range sick {
		text = append(text, c.String())
	}
	return strings.Join(text, "\n")
}

// together works on a few units at a time. What is not begun when ctx ends, is not.
func (c *call) together(ctx context.Context, units []render.Unit, do func(render.Unit) outcome) []outcome {
	outcomes := make([]outcome, len(units))
	var wait sync.WaitGroup
	slots := make(chan struct{}, c.parallel)
	for i, u := range units {
		slots <- struct{}{}
		if ctx.Err() != nil {
			outcomes[i] = outcome{unit: u.Name, ring: c.ringOf(u.Name), result: "not begun"}
			<-slots
			continue
		}
		wait.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = do(u)
		})
	}
	wait.Wait()
	return outcomes
}

// temporary is the variable that is set where the state goes when the run has ended, and nothing of it is worth mending.
const temporary = "TENANTRY_TEMPORARY_STATE"

// interrupted is the error of what ended because whoever runs this wanted it to.
type interrupted string

func (i interrupted) Error() string { return string(i) }

// end prints what became of every unit, and joins what went wrong.
func (c *call) end(ctx context.Context, outcomes []outcome, stop error) error {
	var errs []error
	if err := c.report.table(outcomes); err != nil {
		errs = append(errs, err)
	}
	for _, o := range outcomes {
		if _, told := errors.AsType[interrupted](o.err); o.err != nil && !told {
			errs = append(errs, fmt.Errorf("%s.%s: %w", c.name, o.unit, o.err))
		}
	}
	if ctx.Err() != nil {
		stop = interrupted("interrupted")
		begun := func(o outcome) bool { return o.result != "not begun" }
		if os.Getenv(temporary) == "" && slices.ContainsFunc(outcomes, begun) {
			stop = interrupted("interrupted: what was begun may need recover before the next up")
		}
	}
	return errors.Join(append(errs, stop)...)
}
