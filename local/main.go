// Local runs a Kubernetes control plane on this machine, and a fleet in it; go -C local run . -h tells the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"

	"k8s.io/client-go/dynamic"

	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/crds"
	"github.com/tenantry/tenantry/local/operators"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

const help = `usage: go -C local run . up [-dir DIR] [-fleet NAME]
       go -C local run . start [-dir DIR] [-fleet NAME]
       go -C local run . build

up      deploys a fleet to a control plane of its own and prints a table of what runs there, until it is
        interrupted. Where KUBECONFIG is set it deploys to the cluster of the context that is named after
        the fleet instead, starts nothing and ends with the table; then it wants -dir.
start   starts etcd, an API server, a controller manager, a scheduler and simulated nodes, installs the
        custom resources that tenants use, prints the path of a kubeconfig, with a context for each fleet,
        and runs until it is interrupted
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
	command := ""
	if len(args) > 0 && slices.Contains([]string{"up", "start", "build"}, args[0]) {
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
	case err != nil:
		return usageError(err.Error())
	case flags.NArg() > 0:
		return usageError(fmt.Sprintf("unexpected %q", flags.Arg(0)))
	case command == "":
		return usageError("missing command")
	case command == "build":
		return buildAll(ctx, stdout, stderr)
	}
	fleets := tenants.Fleets()
	i := slices.IndexFunc(fleets, func(f render.Fleet) bool { return f.Name == name })
	if i < 0 {
		return usageError(fmt.Sprintf("there is no fleet %q", name))
	}
	if command == "up" {
		return up(ctx, dir, fleets[i], stdout, stderr)
	}
	return withControlPlane(ctx, dir, fleets[i], stderr, func(ctx context.Context, c *cluster.Cluster) error {
		fmt.Fprintln(stderr, "ready, until interrupted")
		fmt.Fprintln(stdout, c.Kubeconfig())
		<-ctx.Done()
		return nil
	})
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
