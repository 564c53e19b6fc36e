package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// asCommand makes the test binary the command, so that a process of its own can be killed.
const asCommand = "TENANTRY_LOCAL_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		name, args   string
		code         int
		stdout, tail string
	}{
		{"help goes to stdout", "-h", 0, help, ""},
		{"help of a command", "up -h", 0, help, ""},
		{"a command is needed", "", 2, "", "local: the command is missing: there are up, start, placeholders, build; -h helps\n"},
		{"a word that is no command", "down", 2, "", "local: there is no command \"down\", but up, start, placeholders, build; -h helps\n"},
		{"a flag before the command", "-fleet staging up", 2, "", "local: -fleet stands before the command, which comes first: up, start, placeholders, build; -h helps\n"},
		{"a flag of another command", "build -dir x", 2, "", "local: flag provided but not defined: -dir; -h helps\n"},
		{"an unknown flag", "up -nope", 2, "", "local: flag provided but not defined: -nope; -h helps\n"},
		{"too many words", "up now", 2, "", "local: unexpected \"now\"; -h helps\n"},
		{"a fleet that is none", "start -fleet nowhere", 2, "", "local: there is no fleet \"nowhere\", but staging, prod, tower; -h helps\n"},
		{"a fleet that Flux delivers", "up -fleet tower", 2, "", "local: Flux delivers all of the fleet tower, and up would deploy nothing: name one of staging, prod; -h helps\n"},
		{"a directory that cannot be", "start -dir /dev/null/x", 1, "", "local: taking a directory: mkdir /dev/null: not a directory\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			err := run(t.Context(), strings.Fields(test.args), &stdout, &stderr)
			if code := exit(err, &stderr); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			if stdout.String() != test.stdout || !strings.HasSuffix(stderr.String(), test.tail) {
				t.Errorf("stdout %q, stderr %q", &stdout, &stderr)
			}
		})
	}
}

// TestPlaceholders: the deploy command takes them from TENANTRY_ENVIRONMENT.
func TestPlaceholders(t *testing.T) {
	var stdout bytes.Buffer
	if err := run(t.Context(), []string{"placeholders"}, &stdout, t.Output()); err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(stdout.Bytes(), &values); err != nil {
		t.Fatal(err)
	}
	if values["UMBRELLA__STORE_ACCESS_KEY"] != "placeholder" || !strings.HasPrefix(values["INITECH__EDGE_TLS_CRT"], "-----BEGIN CERTIFICATE-----\n") {
		t.Errorf("got %v", values)
	}
}

// TestStart starts the command twice in one directory, once to be interrupted and once to be killed.
func TestStart(t *testing.T) {
	cache := isolatedCache(t)
	dir := filepath.Join(t.TempDir(), "state")

	first := start(t, cache, "-dir", dir)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("state is not private: %v, %v", info.Mode(), err)
	}
	children := childrenOf(t, first.Process.Pid)
	if len(children) != 5 {
		t.Errorf("%d components, want 5: %v", len(children), children)
	}
	t.Run("listens on loopback only", func(t *testing.T) { testSockets(t, children) })
	t.Run("one directory has one control plane", func(t *testing.T) {
		out, err := command(t, cache, "start", "-dir", dir).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "is another control plane's") {
			t.Errorf("%v: %s", err, out)
		}
	})
	namespace(t, dir, true)
	if err := first.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err != nil {
		t.Errorf("interrupted: %v", err)
	}
	gone(t, children)

	second := start(t, cache, "-dir", dir)
	namespace(t, dir, false) // what the first one stored
	children = childrenOf(t, second.Process.Pid)
	if err := second.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = second.Wait() // killed
	gone(t, children)
}

// TestDirectories: a killed control plane's private directory is removed by the next one, which leaves none.
func TestDirectories(t *testing.T) {
	cache := isolatedCache(t)
	private := func() []string {
		paths, err := filepath.Glob(filepath.Join(cache, "tenantry", "run", "*"))
		if err != nil {
			t.Fatal(err)
		}
		return paths
	}
	killed := start(t, cache)
	children := childrenOf(t, killed.Process.Pid)
	old := private()
	if err := killed.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait() // killed
	gone(t, children)
	if len(old) != 1 {
		t.Fatalf("directories %v, want one", old)
	}
	next := start(t, cache)
	if now := private(); len(now) != 1 || now[0] == old[0] {
		t.Errorf("directories %v, want one that is not %v", now, old)
	}
	// A component that dies ends all of it.
	children = childrenOf(t, next.Process.Pid)
	if err := syscall.Kill(children[len(children)-1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](next.Wait()); !ok || exit.ExitCode() != 1 {
		t.Errorf("a component died: %v, want exit code 1", exit)
	}
	gone(t, children)
	if now := private(); len(now) != 0 {
		t.Errorf("directories %v, want none", now)
	}
}

// isolatedCache is a user's cache directory that shares only the binaries with the real one.
func isolatedCache(t *testing.T) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(base, "tenantry")
	cache := t.TempDir()
	own := filepath.Join(cache, "tenantry")
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	// Whatever is not yet built is built here, in the cache that all tests share.
	if err := buildAll(t.Context(), io.Discard, t.Output()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(shared, "bin"), filepath.Join(own, "bin")); err != nil {
		t.Fatal(err)
	}
	return cache
}

func command(t *testing.T, cache string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := exec.Command("go", "env", "GOCACHE").Output() // which is in the user's cache directory too
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asCommand+"=1", "XDG_CACHE_HOME="+cache, "GOCACHE="+strings.TrimSpace(string(compiled)), "KUBECONFIG=")
	return cmd
}

// start starts the command and returns when it has printed where the kubeconfig is.
func start(t *testing.T, cache string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := command(t, cache, append([]string{"start"}, args...)...)
	// A file and a pipe that nobody copies: Wait must not wait for more than the process.
	stdout, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdout.Close() }()
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stderr.Close() }()
	cmd.Stdout, cmd.Stderr = out, stderr
	err = cmd.Start()
	_ = out.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_, _ = stderr.Seek(0, io.SeekStart)
		said, _ := io.ReadAll(stderr)
		t.Fatalf("no kubeconfig: %v\n%s", err, said)
	}
	if _, err := os.Stat(strings.TrimSpace(line)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// namespace creates a namespace, or looks for the one that was created.
func namespace(t *testing.T, dir string, create bool) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if create {
		o := metav1.ObjectMeta{Name: "kept"}
		_, err = client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: o}, metav1.CreateOptions{})
	} else {
		_, err = client.CoreV1().Namespaces().Get(t.Context(), "kept", metav1.GetOptions{})
	}
	if err != nil {
		t.Error(err)
	}
}

// gone waits until none of the processes is there, nor what they start meanwhile. One that nobody has asked about
// since its end counts as gone.
func gone(t *testing.T, pids []int) {
	t.Helper()
	var left []int
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) {
		left = nil
		all := processes(t)
		pids = append(pids, below(all, pids)...)
		for _, p := range all {
			if slices.Contains(pids, p.pid) && !strings.HasPrefix(p.state, "Z") {
				left = append(left, p.pid)
			}
		}
		return left == nil, nil
	})
	if err != nil {
		t.Errorf("processes %v are still there", left)
	}
}

// childrenOf is the processes that a process has started, in order.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var pids []int
	for _, p := range processes(t) {
		if p.parent == pid {
			pids = append(pids, p.pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// below is all that descends from the processes.
func below(all []process, pids []int) []int {
	var found []int
	for _, p := range all {
		if slices.Contains(pids, p.parent) && !slices.Contains(pids, p.pid) {
			found = append(found, p.pid)
		}
	}
	if found == nil {
		return nil
	}
	return append(found, below(all, append(slices.Clone(pids), found...))...)
}

type process struct {
	pid, parent int
	state, name string
}

func processes(t *testing.T) []process {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,stat=,comm=").Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []process
	for line := range strings.Lines(string(out)) {
		var p process
		if _, err := fmt.Sscan(line, &p.pid, &p.parent, &p.state, &p.name); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		all = append(all, p)
	}
	return all
}
