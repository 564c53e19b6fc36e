// Local runs a Kubernetes control plane on this machine; go -C local run . -h tells the rest.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/crds"
)

const help = `usage: go -C local run . up [-dir DIR]
       go -C local run . build

up starts etcd, an API server, a controller manager, a scheduler and three simulated nodes, installs the
custom resources that tenants use, prints the path of a kubeconfig and runs until it is interrupted.

  -dir DIR   keep state, logs and the kubeconfig there; without it nothing is left behind

build only builds what up needs and the user's cache directory does not have. The first time it compiles
Kubernetes from its Go modules, which takes ten minutes or more.

example:
  go -C local run . up -dir /tmp/local        # and, when it is ready, in another terminal:
  KUBECONFIG=/tmp/local/kubeconfig kubectl get nodes
`

func main() {
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

// run returns nil when ctx ends after the control plane was ready.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	command := ""
	if len(args) > 0 && (args[0] == "up" || args[0] == "build") {
		command, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet(command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := ""
	if command == "up" {
		flags.StringVar(&dir, "dir", "", "")
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
		return cluster.Build(ctx, stderr)
	}
	c, err := cluster.Start(ctx, cluster.Options{Dir: dir, Progress: stderr})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := crds.Install(ctx, c.Config()); err != nil {
		return err
	}
	fmt.Fprintln(stderr, "ready, until interrupted")
	fmt.Fprintln(stdout, c.Kubeconfig())
	select {
	case <-c.Dead():
		return c.Err()
	case <-ctx.Done():
		return nil
	}
}
