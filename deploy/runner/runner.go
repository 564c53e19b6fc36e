// Package runner applies a repository's units with Pulumi's engine and Kubernetes provider, one stack per
// unit. What it applies are the bytes of golden/, and nothing else.
//
// A repository's own deploy command is one line:
//
//	func main() { os.Exit(runner.Main("../golden", tenants.Fleets())) }
package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"

	"github.com/tenantry/tenantry/deploy/live"
	"github.com/tenantry/tenantry/gen"
	"github.com/tenantry/tenantry/render"
)

const usage = `usage: go -C deploy run . COMMAND -fleet NAME [flags] [UNIT…]
       go -C deploy run . stages
       go -C deploy run . report FILE…

preview   shows what up would do, and changes nothing
up        applies the units whose golden files differ from what is deployed: the platform,
          then the tenants, ring after ring. Each ring waits until the one before it is
          healthy; a failed one stops the rest, and running up again goes on from there
drift     compares golden with the cluster: fields that were changed, added or removed by
          others, objects that are missing and objects that no golden file knows
recover   mends the state after a run that was killed, and builds a lost state again from
          golden and what is live. It changes nothing in the cluster
destroy   takes a tenant that tenants/ no longer has from the cluster. It keeps what holds
          data, and says what; see Acknowledged in render.Fleet
stages    prints the fleets and their rings as JSON, in the order in which a change reaches them
report    makes Markdown of the files to which runs with -format json have written

Without UNIT it is every unit of the fleet, but for destroy, and but for those that Flux delivers,
which only drift looks at. The kubeconfig must have a context
that is named after the fleet, so that no fleet is applied to another's cluster. Secrets come
from the environment: each missing variable is named before anything is changed.

flags, before or after the units; a command refuses those that are not for it:
  -fleet NAME      the fleet
  -state URL       all but drift: Pulumi's backend (default: $PULUMI_BACKEND_URL, or the folder
                   state/ beside golden/)
  -secrets URL     preview, up, recover: what encrypts a new state: passphrase (default), or a
                   key of a cloud's key service, such as awskms://alias/name?region=eu-west-1
  -parallel N      all but drift: units at a time (default 4)
  -all             preview, up: also the units whose golden files have not changed
  -repair          preview, up: -all, and look at every object in the cluster: what golden has and
                   others have changed or deleted there is set back
  -through RING    preview, up: no ring after this one; the first is platform
  -wait DURATION   up: how long a ring may take to become healthy (default 10m)
  -break-lock      recover: also break locks whose owners ran on other machines
  -format FORMAT   text (default), or json: one event a line, on standard output

environment:
  TENANTRY_MASTER_KEY        32 bytes in base64; generated secrets are derived from it
  PULUMI_CONFIG_PASSPHRASE   encrypts secrets in Pulumi's state
  TENANTRY_ENVIRONMENT       a JSON object of more variables for Secrets

exit status: 0 done, 1 failed or found drift, 2 wrong usage, which go run makes 1

example:
  go -C deploy run . preview -fleet staging acme
  go -C deploy run . up -fleet prod -through canary
`

// Main runs the command line of this process and returns the exit code: 0 done, 1 failed, 2 wrong usage. Under
// Pulumi's own CLI, which says so in the environment, it is the program of the stack that the CLI chose.
func Main(golden string, fleets []render.Fleet) int {
	if os.Getenv("PULUMI_MONITOR") != "" {
		if err := underPulumi(golden, fleets); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A reader that leaves early must not end a run in the middle: it goes on, and fails when it ends.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	err := run(ctx, golden, fleets, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintf(os.Stderr, "%v; -h helps\n", err)
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
	verb      string
	name      string // of the fleet
	state     string // URL of Pulumi's backend
	beside    string // folder of the backend, if it is the one beside golden/
	secrets   string
	parallel  int
	all       bool
	repair    bool
	through   string // name of the last ring
	wait      time.Duration
	breakLock bool
	json      bool
	names     []string

	fleet    render.Fleet
	pulled   []string // units of the fleet that Flux delivers, and that are not touched
	report   *reporter
	cluster  *live.Cluster
	deployed map[string]string                  // digests by unit
	ask      func() (map[string]string, error)  // the cluster for them, once
	find     func() (auto.PulumiCommand, error) // Pulumi's CLI, looked for once
	pulumi   auto.PulumiCommand
}

func run(ctx context.Context, golden string, fleets []render.Fleet, args []string, stdout, stderr io.Writer) (err error) {
	c, err := parse(fleets, args, stdout)
	if err != nil {
		return err
	}
	switch c.verb {
	case "stages":
		return json.NewEncoder(stdout).Encode(stages(fleets))
	case "report":
		return writeReport(stdout, c.names)
	}
	defer func() {
		if _, told := errors.AsType[interrupted](err); err != nil && ctx.Err() != nil && !told {
			err = interrupted("interrupted: nothing was changed")
		}
		if err != nil && c.json {
			newReporter(c.name, stdout, stderr, true).tell(Event{Event: "failed", Error: err.Error()})
		}
	}()
	c.find = sync.OnceValues(func() (auto.PulumiCommand, error) {
		cli, err := findPulumi(ctx)
		return terse{cli, c.isDeployed}, err
	})
	open := sync.OnceValues(func() (*live.Cluster, error) { return live.Open(c.name) })
	c.ask = sync.OnceValues(func() (map[string]string, error) {
		cluster, err := open()
		if err != nil {
			return nil, err
		}
		return cluster.Deployed(ctx)
	})
	if c.verb == "preview" || c.verb == "up" { // while this process renders
		go func() { _, _ = c.ask() }()
		go func() { _, _ = c.find() }()    // it starts two processes
		defer func() { _, _ = c.find() }() // and none of them outlives this one
	}
	all, err := reviewed(golden, fleets)
	if err != nil {
		return err
	}
	chosen, err := c.choose(fleets, all)
	if err != nil {
		return err
	}
	c.report = newReporter(c.name, stdout, stderr, c.json)
	defer c.report.close()
	if len(c.pulled) > 0 && c.verb != "destroy" {
		c.report.tell(Event{Event: "note", Text: fmt.Sprintf("left to Flux, which delivers them: %s", strings.Join(c.pulled, ", "))})
		if len(chosen) == 0 {
			return nil // the cluster may be out of reach
		}
	}
	c.state = cmp.Or(c.state, os.Getenv("PULUMI_BACKEND_URL"))
	if c.state == "" {
		if c.beside, err = filepath.Abs(filepath.Join(golden, "..", "state")); err != nil {
			return err
		}
		c.state = "file://" + filepath.ToSlash(c.beside)
	}
	if c.cluster, err = open(); err != nil {
		return err
	}
	switch c.verb {
	case "drift":
		return c.drift(ctx, chosen, all, stdout)
	case "destroy":
		return c.destroy(ctx)
	case "recover":
		return c.recoverAll(ctx, chosen)
	}
	return c.apply(ctx, chosen, all)
}

// reviewed is every unit as it is rendered, if that is what golden/ holds.
func reviewed(golden string, fleets []render.Fleet) ([]render.Unit, error) {
	rendered, difference, err := gen.Check(golden, fleets)
	if err != nil {
		return nil, err
	}
	if difference != "" {
		return nil, errors.New("golden/ is not what the code renders, so what would be applied was not reviewed: run make gen, and have the change reviewed")
	}
	return rendered, nil
}

// ready finds what is needed to work on the units, before any of them begins: Pulumi, and the values of their Secrets.
// It makes the folder of the state if it is the one beside golden/.
func (c *call) ready(ctx context.Context, units []render.Unit) (map[string]map[string]map[string]string, error) {
	fill, err := environment()
	if err != nil {
		return nil, err
	}
	if c.pulumi, err = c.find(); err != nil {
		return nil, err
	}
	if err := c.passphrase(ctx, fill.lacking, units); err != nil {
		return nil, err
	}
	secrets, err := fill.fill(units...)
	if err != nil || c.beside == "" {
		return secrets, err
	}
	if err := os.MkdirAll(c.beside, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for Pulumi's state: %w", err)
	}
	return secrets, nil
}

// passphrase notes that PULUMI_CONFIG_PASSPHRASE is missing, unless it is set, be it to nothing, or its file is, or key
// services encrypt the state of every unit. Only where neither is set does it ask for the states.
func (c *call) passphrase(ctx context.Context, lacking map[string]bool, units []render.Unit) error {
	const variable = "PULUMI_CONFIG_PASSPHRASE"
	if _, set := os.LookupEnv(variable); set || os.Getenv(variable+"_FILE") != "" {
		return nil
	}
	anew := !strings.Contains(c.secrets, "://") // of a state that is yet to be made
	if _, err := os.Stat(c.beside); c.beside != "" && errors.Is(err, fs.ErrNotExist) {
		if anew {
			lacking[variable] = true
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "tenantry-"+c.name+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	w, err := c.workspace(ctx, dir, nil)
	if err != nil {
		return err
	}
	asked := c.together(ctx, units, func(u render.Unit) outcome {
		state, err := command(ctx, w, c.name+"."+u.Name, nil, "stack", "export")
		var s struct {
			Deployment struct {
				SecretsProviders struct{ Type string } `json:"secrets_providers"`
			}
		}
		switch {
		case err == nil && !keyless(state):
			_ = json.Unmarshal([]byte(state), &s) // what is wrong is told when the unit begins
			return outcome{result: s.Deployment.SecretsProviders.Type}
		case anew && (err == nil || strings.Contains(err.Error(), "no stack named")):
			return outcome{result: "passphrase"}
		}
		return outcome{}
	})
	if slices.ContainsFunc(asked, func(o outcome) bool { return o.result == "passphrase" }) {
		lacking[variable] = true
	}
	return nil
}

// commands are the words that a command line begins with, and the names of the flags that go with each.
var commands = []struct{ verb, flags string }{
	{"preview", "fleet state secrets parallel all repair through format"},
	{"up", "fleet state secrets parallel all repair through wait format"},
	{"drift", "fleet format"},
	{"recover", "fleet state secrets parallel break-lock format"},
	{"destroy", "fleet state parallel format"},
	{"stages", ""},
	{"report", ""},
}

func parse(fleets []render.Fleet, args []string, stdout io.Writer) (*call, error) {
	c := &call{parallel: 4, wait: 10 * time.Minute}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		c.verb, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(c.verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.name, "fleet", "", "")
	flags.StringVar(&c.state, "state", "", "")
	flags.StringVar(&c.secrets, "secrets", "passphrase", "")
	flags.Func("parallel", "", func(text string) (err error) {
		if c.parallel, err = strconv.Atoi(text); err != nil || c.parallel < 1 {
			return errors.New("want a number, at least 1")
		}
		return nil
	})
	flags.StringVar(&c.through, "through", "", "")
	flags.BoolVar(&c.all, "all", false, "")
	flags.BoolVar(&c.repair, "repair", false, "")
	flags.Func("wait", "", func(text string) (err error) {
		if c.wait, err = time.ParseDuration(text); err != nil {
			return errors.New("want a duration, such as 10m")
		}
		return nil
	})
	flags.BoolVar(&c.breakLock, "break-lock", false, "")
	format := flags.String("format", "text", "")
	var err error
	c.names, err = operands(flags, args)
	c.all = c.all || c.repair
	c.json = *format == "json"
	var verbs []string
	for _, k := range commands {
		verbs = append(verbs, k.verb)
	}
	i := slices.Index(verbs, c.verb)
	switch {
	case errors.Is(err, flag.ErrHelp) || c.verb == "help":
		fmt.Fprint(stdout, usage)
		return nil, flag.ErrHelp
	case c.verb == "" && len(args) > 0:
		return nil, usageError(fmt.Sprintf("%s stands before the command, which comes first: %s", args[0], strings.Join(verbs, ", ")))
	case c.verb == "":
		return nil, usageError("the command is missing: there are " + strings.Join(verbs, ", "))
	case i < 0:
		return nil, usageError(fmt.Sprintf("there is no command %q, but %s", c.verb, strings.Join(verbs, ", ")))
	case err != nil:
		return nil, usageError(err.Error())
	}
	own := strings.Fields(commands[i].flags)
	flags.Visit(func(f *flag.Flag) {
		switch {
		case err != nil || slices.Contains(own, f.Name):
		case len(own) == 0:
			err = usageError(fmt.Sprintf("%s takes no flags: leave out -%s", c.verb, f.Name))
		default:
			err = usageError(fmt.Sprintf("%s takes no -%s, but -%s", c.verb, f.Name, strings.Join(own, ", -")))
		}
	})
	switch {
	case err != nil:
		return nil, err
	case c.verb == "report" && len(c.names) == 0:
		return nil, usageError("report wants the names of files")
	case c.verb == "stages" && len(c.names) > 0:
		return nil, usageError(fmt.Sprintf("extra argument %q: stages takes none", c.names[0]))
	case c.verb == "report" || c.verb == "stages":
	case c.name == "":
		return nil, usageError("-fleet is missing: there are " + fleetNames(fleets))
	case *format != "text" && *format != "json":
		return nil, usageError("-format must be text or json")
	case c.through != "" && len(c.names) > 0:
		return nil, usageError("-through is for a whole fleet: leave out " + strings.Join(c.names, ", "))
	case c.verb == "destroy" && len(c.names) == 0:
		return nil, usageError("destroy wants the names of the units")
	}
	return c, nil
}

// operands reads the flags, which may stand anywhere after the command, and returns the other arguments.
func operands(flags *flag.FlagSet, args []string) (names []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		rest := flags.Args()
		if read := len(args) - len(rest); len(rest) == 0 || read > 0 && args[read-1] == "--" {
			return append(names, rest...), nil
		}
		names, args = append(names, rest[0]), rest[1:]
	}
}

func fleetNames(fleets []render.Fleet) string {
	var names []string
	for _, f := range fleets {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// choose picks the units that the command line names.
func (c *call) choose(fleets []render.Fleet, all []render.Unit) ([]render.Unit, error) {
	i := slices.IndexFunc(fleets, func(f render.Fleet) bool { return f.Name == c.name })
	if i < 0 {
		return nil, usageError(fmt.Sprintf("there is no fleet %q, but %s", c.name, fleetNames(fleets)))
	}
	c.fleet = fleets[i]
	rings := ringsOf(c.fleet)
	last := slices.Index(rings, cmp.Or(c.through, render.Everyone))
	if last < 0 {
		return nil, usageError(fmt.Sprintf("the fleet %s has no ring %q, but %s", c.name, c.through, strings.Join(rings, ", ")))
	}
	var chosen []render.Unit
	var known []string
	for _, u := range all {
		if u.Fleet == c.name {
			known = append(known, u.Name)
		}
		if u.Fleet != c.name || c.wave(u.Name) > last || len(c.names) > 0 && !slices.Contains(c.names, u.Name) {
			continue
		}
		// A fleet whose platform is pulled may be out of reach, and Flux sets back what others change there.
		if pulled(u.Delivery) && (c.verb != "drift" || len(c.names) == 0 && pulled(c.fleet.Platform.Delivery)) {
			c.pulled = append(c.pulled, u.Name)
			continue
		}
		chosen = append(chosen, u)
	}
	for _, name := range c.names {
		if c.verb != "destroy" && slices.Contains(c.pulled, name) {
			return nil, usageError(fmt.Sprintf("Flux delivers %s.%s, and nothing is pushed to it: merge the change, and ask flux get kustomizations what became of it", c.name, name))
		}
		if c.verb == "destroy" && slices.Contains(known, name) {
			return nil, usageError(fmt.Sprintf("tenants/ still has %s: take it out there, have that reviewed, and destroy it then", name))
		}
		if c.verb != "destroy" && c.verb != "recover" && !slices.Contains(known, name) {
			return nil, usageError(fmt.Sprintf("the fleet %s has no unit %q, but %s", c.name, name, strings.Join(known, ", ")))
		}
	}
	return chosen, nil
}

// ringsOf names what a change reaches one after the other: the platform, and the rings of tenants.
func ringsOf(f render.Fleet) []string {
	names := []string{render.PlatformUnit}
	for _, ring := range f.Rings {
		names = append(names, ring.Name)
	}
	return append(names, render.Everyone)
}

// wave is the index in ringsOf of what a unit is applied with.
func (c *call) wave(unit string) int {
	if unit == render.PlatformUnit {
		return 0
	}
	return 1 + c.fleet.RingOf(unit)
}

// pulled tells whether Flux brings what is delivered so, and nothing is to be pushed.
func pulled(d render.Delivery) bool {
	_, flux := d.(render.Flux)
	return flux
}

// ringOf is the name of the ring that a unit is applied with; "" for the platform, and where there are none.
func (c *call) ringOf(unit string) string {
	if unit == render.PlatformUnit || len(c.fleet.Rings) == 0 {
		return ""
	}
	return ringsOf(c.fleet)[c.wave(unit)]
}

// A stage is a part of a fleet that is applied by itself: up -fleet FLEET -through RING.
type stage struct {
	Fleet string `json:"fleet"`
	Ring  string `json:"ring"`
}

// stages are all of them, in the order in which a change reaches them. A fleet that Flux delivers whole has none.
func stages(fleets []render.Fleet) []stage {
	all := []stage{}
	for _, f := range fleets {
		if pulled(f.Platform.Delivery) && !slices.ContainsFunc(f.Tenants, func(t render.Tenant) bool { return !pulled(t.Delivery) }) {
			continue
		}
		for _, ring := range ringsOf(f) {
			all = append(all, stage{f.Name, ring})
		}
	}
	return all
}
