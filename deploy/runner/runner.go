// Package runner applies a repository's units with Pulumi's engine and Kubernetes provider, one stack per
// unit. What it applies are the bytes of golden/, and nothing else.
//
// A repository's own deploy command is one line:
//
//	func main() { os.Exit(runner.Main("../golden", tenants.Fleets())) }
package runner

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/tenantry/tenantry/deploy/live"
	"github.com/tenantry/tenantry/gen"
	"github.com/tenantry/tenantry/render"
)

const usage = `usage: go -C deploy run . preview|up -fleet NAME [flags] [UNIT…]

preview   shows what up would do, and changes nothing
up        applies the units whose golden files differ from what is deployed: the platform
          first, then the tenants, a few at a time

Without UNIT it is every unit of the fleet. The kubeconfig must
have a context that is named after the fleet, so that no fleet is applied to another's
cluster. Secrets come from the environment: each missing variable is named before anything
is changed.

flags:
  -fleet NAME     the fleet
  -state URL      Pulumi's backend (default: file://, the folder state/ beside golden/)
  -parallel N     units at a time (default 4)
  -all            up: also the units whose golden files have not changed

environment:
  TENANTRY_MASTER_KEY        32 bytes in base64; generated secrets are derived from it
  PULUMI_CONFIG_PASSPHRASE   encrypts secrets in Pulumi's state

example:
  go -C deploy run . preview -fleet staging acme
`

// Main runs the command line of this process and returns the exit code: 0 done, 1 failed, 2 wrong usage.
func Main(golden string, fleets []render.Fleet) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, golden, fleets, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "%v\n\n%s", err, usage)
		return 2
	default:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
}

// usageError is a command line that means nothing.
type usageError string

func (e usageError) Error() string { return string(e) }

// A call is one run of the command.
type call struct {
	verb     string
	fleet    string
	state    string
	parallel int
	all      bool
	units    []string
	stdout   io.Writer
	stderr   io.Writer
}

func run(ctx context.Context, golden string, fleets []render.Fleet, args []string, stdout, stderr io.Writer) error {
	c, err := parse(args, stdout, stderr)
	if err != nil {
		return err
	}
	difference, err := gen.Check(golden, fleets)
	if err != nil {
		return err
	}
	if difference != "" {
		return errors.New("golden/ is not what the code renders, so what would be applied was not reviewed: run make gen, and have the change reviewed")
	}
	all, err := render.Units(fleets)
	if err != nil {
		return err
	}
	chosen, err := c.choose(all)
	if err != nil {
		return err
	}
	if c.state == "" {
		dir, err := filepath.Abs(filepath.Join(golden, "..", "state"))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making the folder for Pulumi's state: %w", err)
		}
		c.state = "file://" + filepath.ToSlash(dir)
	}
	if c.verb == "up" && !c.all {
		cluster, err := live.Open(c.fleet)
		if err != nil {
			return err
		}
		deployed, err := cluster.Deployed(ctx)
		if err != nil {
			return err
		}
		chosen = slices.DeleteFunc(chosen, func(u render.Unit) bool { return deployed[u.Name] == u.Digest })
		if len(chosen) == 0 {
			fmt.Fprintln(stderr, "every unit is deployed as it stands in golden/; -all applies them all the same")
			return nil
		}
	}
	secrets, err := fillAll(environment(), chosen)
	if err != nil {
		return err
	}
	return c.each(ctx, chosen, secrets)
}

func parse(args []string, stdout, stderr io.Writer) (*call, error) {
	c := &call{stdout: stdout, stderr: stderr}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		c.verb, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(c.verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.fleet, "fleet", "", "")
	flags.StringVar(&c.state, "state", "", "")
	flags.IntVar(&c.parallel, "parallel", 4, "")
	flags.BoolVar(&c.all, "all", false, "")
	err := flags.Parse(args)
	c.units = flags.Args()
	switch {
	case errors.Is(err, flag.ErrHelp) || c.verb == "help":
		fmt.Fprint(stdout, usage)
		return nil, flag.ErrHelp
	case err != nil:
		return nil, usageError(err.Error())
	case !slices.Contains([]string{"preview", "up"}, c.verb):
		return nil, usageError(fmt.Sprintf("unknown command %q", c.verb))
	case c.fleet == "":
		return nil, usageError("-fleet is missing")
	case c.parallel < 1:
		return nil, usageError("-parallel must be at least 1")
	}
	return c, nil
}

// choose picks the units that the command line names.
func (c *call) choose(all []render.Unit) ([]render.Unit, error) {
	of := slices.DeleteFunc(slices.Clone(all), func(u render.Unit) bool { return u.Fleet != c.fleet })
	if len(of) == 0 {
		return nil, usageError(fmt.Sprintf("there is no fleet %q", c.fleet))
	}
	var chosen []render.Unit
	for _, u := range of {
		if len(c.units) == 0 || slices.Contains(c.units, u.Name) {
			chosen = append(chosen, u)
		}
	}
	for _, name := range c.units {
		if !slices.ContainsFunc(chosen, func(u render.Unit) bool { return u.Name == name }) {
			return nil, usageError(fmt.Sprintf("the fleet %s has no unit %q", c.fleet, name))
		}
	}
	return chosen, nil
}

// fillAll fills the Secrets of all units, or names every variable that any of them lacks.
func fillAll(f *filler, units []render.Unit) ([]map[string]map[string]string, error) {
	filled := make([]map[string]map[string]string, len(units))
	var lacking missing
	var errs []error
	for i, u := range units {
		var err error
		filled[i], err = f.fill(u)
		if m, ok := errors.AsType[missing](err); ok {
			lacking = append(lacking, m...)
		} else if err != nil {
			errs = append(errs, err)
		}
	}
	if len(lacking) > 0 {
		slices.Sort(lacking)
		errs = append(errs, slices.Compact(lacking))
	}
	return filled, errors.Join(errs...)
}

// An outcome is what became of one unit.
type outcome struct {
	unit    string
	result  string
	changes string
	took    time.Duration
	err     error
}

// each runs the command on every unit: the platform by itself, then the tenants. A failed platform stops
// the rest.
func (c *call) each(ctx context.Context, units []render.Unit, secrets []map[string]map[string]string) error {
	var first, rest []int
	for i, u := range units {
		if u.Name == "platform" {
			first = append(first, i)
		} else {
			rest = append(rest, i)
		}
	}
	outcomes := make([]outcome, len(units))
	for i, u := range units {
		outcomes[i] = outcome{unit: u.Name, result: "not begun"}
	}
	failed := 0
	for _, group := range [][]int{first, rest} {
		if failed > 0 || ctx.Err() != nil {
			break
		}
		var wait sync.WaitGroup
		slots := make(chan struct{}, c.parallel)
		for _, i := range group {
			slots <- struct{}{}
			if ctx.Err() != nil {
				break
			}
			wait.Go(func() {
				defer func() { <-slots }()
				fmt.Fprintf(c.stderr, "%s %s.%s\n", c.verb, c.fleet, units[i].Name)
				outcomes[i] = c.one(ctx, units[i], secrets[i])
				fmt.Fprintf(c.stderr, "%s %s.%s: %s\n", c.verb, c.fleet, units[i].Name, outcomes[i].result)
			})
		}
		wait.Wait()
		for _, i := range group {
			if outcomes[i].err != nil {
				failed++
			}
		}
	}
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "UNIT\tRESULT\tCHANGES\tTIME")
	var errs []error
	for _, o := range outcomes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", o.unit, o.result, o.changes, o.took.Round(100*time.Millisecond))
		if o.err != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %w", c.fleet, o.unit, o.err))
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		errs = append(errs, context.Cause(ctx))
	}
	return errors.Join(errs...)
}
