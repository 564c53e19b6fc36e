package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// keepCommand is the word by which this program calls itself: keep COMMAND ARGUMENTS…
const keepCommand = "keep"

// graceful is how long deploying may take to end when it is interrupted. Pulumi is given ten seconds of it.
const graceful = 30 * time.Second

// keep runs a command and returns its exit code. When life ends before the command does, which it does with the
// process that holds its other end, the command is interrupted; what of its process group is left when grace
// is over is killed.
func keep(life io.Reader, stderr io.Writer, grace time.Duration, args []string) int {
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec // the command is the one that up names
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	// Only the command is interrupted: it does the same to what it has started, and twice would be a haste.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state says it
		close(ended)
	}()
	over := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, life)
		close(over)
	}()
	select {
	case <-ended:
		return cmd.ProcessState.ExitCode()
	case <-over:
	}
	_ = cmd.Process.Signal(os.Interrupt) // fails if it has just ended
	select {
	case <-ended:
	case <-time.After(grace):
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
	}
	return cmd.ProcessState.ExitCode()
}
