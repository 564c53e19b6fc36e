// Kwok simulates nodes: it makes each Node that carries the annotation kwok.x-k8s.io/node=fake ready, the
// pods bound to it running or complete, and provides a volume for each claim. No container runs.
//
// It takes kwok's own flags, leaves its stages in a file in the working directory, and ends when its standard
// input does, so that it does not outlive the process that started it, however that process ended.
package main

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"sigs.k8s.io/kwok/kustomize/stage/node/fast"
	"sigs.k8s.io/kwok/kustomize/stage/node/heartbeat"
	pod "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

//go:embed volume.yaml
var volume string

func main() {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		os.Exit(1)
	}
}

func run() error {
	stages := strings.Join([]string{
		fast.DefaultNodeInit,
		heartbeat.DefaultNodeHeartbeat, // not the one with leases: who starts again must wait for those of before to expire
		pod.DefaultPodReady,
		pod.DefaultPodComplete,
		pod.DefaultPodDelete,
		volume,
	}, "\n---\n")
	const file = "kwok-stages.yaml"
	if err := os.WriteFile(file, []byte(stages), 0o600); err != nil {
		return err
	}
	os.Args = append(os.Args, "--config="+file) // the configuration is read from os.Args, whatever flags are parsed

	flags := pflag.NewFlagSet("kwok", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := config.InitFlags(ctx, flags)
	if err != nil {
		return err
	}
	c := cmd.NewCommand(ctx)
	c.PersistentFlags().AddFlagSet(flags)
	return c.ExecuteContext(ctx)
}
