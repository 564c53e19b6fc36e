// Controlplane is the Kubernetes control plane in one binary:
//
//	controlplane etcd|kube-apiserver|kube-controller-manager|kube-scheduler FLAGS...
//
// It ends when its standard input does, so that no component outlives the process that started it, however
// that process ended.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: controlplane etcd|kube-apiserver|kube-controller-manager|kube-scheduler FLAGS...")
		os.Exit(2)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	// Only the component that is asked for is constructed: each installs a signal handler, and the second
	// one in a process panics.
	switch os.Args[1] {
	case "etcd":
		etcdmain.Main(os.Args[1:])
	case "kube-apiserver":
		run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		run(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		run(scheduler.NewSchedulerCommand())
	default:
		fmt.Fprintf(os.Stderr, "controlplane: unknown component %q\n", os.Args[1])
		os.Exit(2)
	}
}

func run(c *cobra.Command) {
	c.SetArgs(os.Args[2:])
	os.Exit(cli.Run(c))
}
