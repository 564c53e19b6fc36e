// Local runs a Kubernetes control plane on this machine, and a fleet in it; go -C local run . -h tells the rest.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"k8s.io/client-go/dynamic"

	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/crds"
	"github.com/tenantry/tenantry/local/operators"
	"github.com/tenantry/tenantry/local/placeholder"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

const help = `usage: go -C local run . up [-dir DIR] [-fleet NAME]
       go -C local run . start [-dir DIR] [-fleet NAME]
       go -C local run . placeholders
       go -C local run . build

up      deploys a fleet to a control plane of its own and prints a table of what runs there, until it is
        interrupted. Where KUBECONFIG is set it deploys to the cluster of the context that is named after
        the fleet instead, starts nothing and ends with the table; then it wants -dir.
start   starts etcd, an API server, a controller manager, a scheduler and simulated nodes, installs the
        custom resources that tenants use, prints the path of a kubeconfig, with a context for each fleet,
        and runs until it is interrupted
placeholders
        prints, as JSON for TENANTRY_ENVIRONMENT, a value for each variable that Secrets of any fleet take from the
        environment; those that are set there go before it
build   only builds what the others and the tests need and the user's cache directory does not have, and prints the PATH
        on which deploying finds Pulumi

The first time, Kubernetes is compiled from its Go modules, and for up and build also Pulumi and its Kubernetes
provider where they are not installed: ten minutes or more for each of the three.

  -dir DIR      keep all state, logs, keys and the kubeconfig there; without it nothing is left behind
  -fleet NAME   the fleet that is deployed, or that the nodes are for (default staging, the smaller one)

Secrets that the fleet takes from the environment and that are not there are placeholders. The keys are the
environment's TENANTRY_MASTER_KEY and PULUMI_CONFIG_PASSPHRASE, or random.

examples:
  go -C local run . up
  go -C local run . start -dir /tmp/local     # and, when it is ready, in another terminal:
  KUBECONFIG=/tmp/local/kubeconfig kubectl get nodes
`

func main() {
	if len(os.Args) > 2 && os.Args[1] == keepCommand {
		os.Exit(keep(os.Stdin, os.Stderr, graceful, os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if ctx.Err() != nil {
		switch {
		case errors.Is(err, errDeploying):
			os.Exit(1) // the deploy command has said it
		case errors.Is(err, context.Canceled):
			err = errors.New("interrupted")
		}
	}
	stop()
	os.Exit(exit(err, os.Stderr))
}

// exit says what went wrong and maps it to 1, or to 2 where the command line is wrong.
func exit(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(stderr, "local: %s; -h helps\n", usage)
		return 2
	}
	fmt.Fprintln(stderr, "local:", err)
	return 1
}

type usageError string

func (e usageError) Error() string { return string(e) }

// run returns nil when ctx ends after all that was asked for was ready.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	const commands = "up, start, placeholders, build"
	command := ""
	if len(args) > 0 && slices.Contains(strings.Split(commands, ", "), args[0]) {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var dir, name string
	if command == "up" || command == "start" {
		flags.StringVar(&dir, "dir", "", "")
		flags.StringVar(&name, "fleet", "staging", "")
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help)
		return nil
	case command == "" && len(args) == 0:
		return usageError("the command is missing: there are " + commands)
	case command == "" && err != nil:
		return usageError(fmt.Sprintf("%s stands before the command, which comes first: %s", args[0], commands))
	case command == "":
		return usageError(fmt.Sprintf("there is no command %q, but %s", args[0], commands))
	case err != nil:
		return usageError(err.Error())
	case flags.NArg() > 0:
		return usageError(fmt.Sprintf("unexpected %q", flags.Arg(0)))
	case command == "build":
		return buildAll(ctx, stdout, stderr)
	}
	fleets := tenants.Fleets()
	if command == "placeholders" {
		return printPlaceholders(fleets, stdout)
	}
	i := slices.IndexFunc(fleets, func(f render.Fleet) bool { return f.Name == name })
	if i < 0 {
		return usageError(fmt.Sprintf("there is no fleet %q, but %s", name, names(fleets)))
	}
	if command == "up" {
		pushed := slices.DeleteFunc(slices.Clone(fleets), pulled)
		if pulled(fleets[i]) {
			return usageError(fmt.Sprintf("Flux delivers all of the fleet %s, and up would deploy nothing: name one of %s", name, names(pushed)))
		}
		return up(ctx, dir, fleets[i], stdout, stderr)
	}
	return withControlPlane(ctx, dir, fleets[i], stderr, func(ctx context.Context, c *cluster.Cluster) error {
		fmt.Fprintln(stderr, "ready, until interrupted")
		fmt.Fprintln(stdout, c.Kubeconfig())
		<-ctx.Done()
		return nil
	})
}

func names(fleets []render.Fleet) string {
	var names []string
	for _, f := range fleets {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

// pulled tells whether Flux delivers every unit of a fleet.
func pulled(f render.Fleet) bool {
	flux := func(d render.Delivery) bool {
		_, flux := d.(render.Flux)
		return flux
	}
	return flux(f.Platform.Delivery) && !slices.ContainsFunc(f.Tenants, func(t render.Tenant) bool { return !flux(t.Delivery) })
}

func printPlaceholders(fleets []render.Fleet, stdout io.Writer) error {
	units, err := render.Units(fleets)
	if err != nil {
		return err
	}
	values, err := placeholder.Environment(units)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(values)
}

func buildAll(ctx context.Context, stdout, stderr io.Writer) error {
	for _, p := range []build.Program{build.ControlPlane, build.Kwok, build.KustomizeController} {
		if _, err := p.Binary(ctx, stderr); err != nil {
			return err
		}
	}
	path, err := build.Path(ctx, stderr)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, path)
	return nil
}

// withControlPlane calls do with a control plane that is ready for a fleet. The context that do gets ends with ctx,
// and when a component dies.
func withControlPlane(ctx context.Context, dir string, fleet render.Fleet, stderr io.Writer, do func(context.Context, *cluster.Cluster) error) (err error) {
	o := cluster.Options{Dir: dir, Nodes: cluster.Nodes(fleet), Progress: stderr}
	for _, f := range tenants.Fleets() {
		o.Contexts = append(o.Contexts, f.Name)
	}
	c, err := cluster.Start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := crds.Install(ctx, c.Config()); err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() { operators.Run(ctx, client, stderr) })
	group.Go(func() {
		select {
		case <-c.Dead():
			cancel()
		case <-ctx.Done():
		}
	})
	err = do(ctx, c)
	select {
	case <-c.Dead():
		return errors.Join(err, c.Err())
	default:
		return err
	}
}
