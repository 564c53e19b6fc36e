package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// TestUp deploys a fleet with Pulumi, twice in one directory.
func TestUp(t *testing.T) {
	cache := isolatedCache(t)
	dir := filepath.Join(t.TempDir(), "kept")
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		t.Fatal(err)
	}
	var keys [2][]byte
	for i := range keys {
		r := newUp(t, cache, "-dir", dir)
		r.start(t)
		r.await(t, "it runs until interrupted", func() bool { return strings.Contains(r.said(t), "it runs until interrupted") })
		table, err := os.ReadFile(r.stdout)
		if err != nil {
			t.Fatal(err)
		}
		rows := strings.Split(strings.TrimSpace(string(table)), "\n")
		for _, u := range units {
			if u.Fleet == "staging" && !slices.ContainsFunc(rows, func(row string) bool { return strings.HasPrefix(row, u.Name+" ") }) {
				t.Errorf("nothing runs of %s", u.Name)
			}
		}
		row := regexp.MustCompile(`^\S+ +(Deployment|StatefulSet|Job)/\S+ +([1-9]\d*)/([1-9]\d*) +registry\.example\.com/\S+$`)
		for _, text := range rows[1:] {
			if m := row.FindStringSubmatch(text); m == nil || m[2] != m[3] {
				t.Errorf("row %q is not of a workload that is ready", text)
			}
		}
		if t.Failed() {
			t.Logf("%s\n%s", table, r.said(t))
		}
		for _, name := range []string{"passphrase", "master-key"} {
			path := filepath.Join(dir, "deploy", name)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s is not private: %v, %v", name, info.Mode(), err)
			}
			keys[i] = append(keys[i], data...)
		}
		children := below(processes(t), []int{r.cmd.Process.Pid})
		if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := r.cmd.Wait(); err != nil {
			t.Errorf("interrupted: %v", err)
		}
		gone(t, children)
	}
	if !bytes.Equal(keys[0], keys[1]) {
		t.Error("the second run has other keys, which Pulumi's state cannot be read with")
	}
}

// TestUpInterrupted: Pulumi ends in order, and nothing is left behind.
func TestUpInterrupted(t *testing.T) {
	cache := isolatedCache(t)
	r := newUp(t, cache)
	r.start(t)
	r.await(t, "a unit to begin", func() bool { return strings.Contains(r.said(t), "staging.platform: begun") }) // a provider is asked for its version before
	children := r.awaitProvider(t)
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](r.cmd.Wait()); !ok || exit.ExitCode() != 1 {
		t.Errorf("interrupted: %v, want exit code 1", exit)
	}
	if said := r.said(t); !strings.HasSuffix(said, "\ninterrupted\n") || strings.Count(said, "interrupt") != 1 {
		t.Errorf("the deploy command did not end by itself, or says more than that it was interrupted:\n%s", said)
	}
	gone(t, children)
	left, err := filepath.Glob(filepath.Join(cache, "tenantry", "run", "*"))
	if err != nil || left != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestUpKilled: deploying to a cluster that stays does not go on.
func TestUpKilled(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Options{Nodes: cluster.Nodes(tenants.Fleets()[0]), Contexts: []string{"staging"}, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	r := newUp(t, isolatedCache(t), "-dir", t.TempDir())
	r.cmd.Env = append(r.cmd.Env, "KUBECONFIG="+c.Kubeconfig())
	r.start(t)
	children := r.awaitProvider(t)
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait() // killed
	gone(t, children)
	// It was at the platform, and the tenants come after it.
	if _, err := client.CoreV1().Namespaces().Get(t.Context(), "acme", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("a tenant is deployed all the same: %v", err)
	}
}

// TestUpElsewhere: a cluster that stays must not lose its state.
func TestUpElsewhere(t *testing.T) {
	t.Setenv("KUBECONFIG", "somebody's")
	err := run(t.Context(), []string{"up"}, io.Discard, t.Output())
	if _, usage := errors.AsType[usageError](err); !usage {
		t.Errorf("%v, want that -dir is missing", err)
	}
}

// A running is the command up in a process of its own.
type running struct {
	cmd            *exec.Cmd
	stdout, stderr string // files
}

func newUp(t *testing.T, cache string, args ...string) *running {
	t.Helper()
	dir := t.TempDir()
	return &running{command(t, cache, append([]string{"up"}, args...)...), filepath.Join(dir, "stdout"), filepath.Join(dir, "stderr")}
}

func (r *running) start(t *testing.T) {
	t.Helper()
	for path, to := range map[string]*io.Writer{r.stdout: &r.cmd.Stdout, r.stderr: &r.cmd.Stderr} {
		file, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		*to = file
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if r.cmd.ProcessState == nil {
			_ = r.cmd.Process.Kill()
			_ = r.cmd.Wait()
		}
	})
}

// awaitProvider returns all processes of the command as soon as Pulumi's provider is one of them.
func (r *running) awaitProvider(t *testing.T) (children []int) {
	t.Helper()
	r.await(t, "Pulumi's provider", func() bool {
		all := processes(t)
		children = below(all, []int{r.cmd.Process.Pid})
		return slices.ContainsFunc(all, func(p process) bool {
			return slices.Contains(children, p.pid) && strings.HasPrefix(p.name, "pulumi-resource")
		})
	})
	return children
}

func (r *running) said(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(r.stderr)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// await waits for something that the command does, and fails when it ends before.
func (r *running) await(t *testing.T, what string, seen func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 5*time.Minute, true, func(context.Context) (bool, error) {
		for _, p := range processes(t) {
			if p.pid == r.cmd.Process.Pid && strings.HasPrefix(p.state, "Z") {
				return false, fmt.Errorf("the command has ended")
			}
		}
		return seen(), nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v\n%s", what, err, r.said(t))
	}
}
