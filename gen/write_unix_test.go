//go:build unix

package gen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// limitFiles makes every write beyond that many bytes of a file fail, which root cannot escape either.
func limitFiles(size string) {
	if size == "" {
		return
	}
	n, err := strconv.ParseUint(size, 10, 64)
	if err != nil {
		panic(err)
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGXFSZ) // the write fails instead
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n}); err != nil {
		panic(err)
	}
}

// A disk that is full stops a run with the file's name, and leaves no part of a file.
func TestFullDisk(t *testing.T) {
	module, want := newModule(t), rendered(t, "")
	cmd := genCommand(t, module, "")
	cmd.Env = append(cmd.Env, "GEN_FILE_SIZE=1500")
	r := finish(t, cmd)
	if r.code != 1 || !strings.Contains(r.stderr, "writing golden/prod/") || !strings.Contains(r.stderr, syscall.EFBIG.Error()) {
		t.Fatalf("exit code %d, stderr %q", r.code, r.stderr)
	}
	got := tree(t, filepath.Join(module, "golden"))
	if n := strings.Count(r.stdout, "created "); n == 0 || n != len(got) || n == len(want) {
		t.Errorf("%d files were reported and %d are there, of %d", n, len(got), len(want))
	}
	for name, text := range got {
		if text != want[name] {
			t.Errorf("%s is not what is rendered:\n%s", name, text)
		}
	}
	mustRun(t, module, "")
	if diff := cmp.Diff(want, tree(t, filepath.Join(module, "golden"))); diff != "" {
		t.Errorf("after another run (-want +got):\n%s", diff)
	}
}

// A run that is killed leaves whole files, and the next run ends where it would have.
func TestKill(t *testing.T) {
	t.Parallel()
	module, want := newModule(t), rendered(t, "many")
	dir := filepath.Join(module, "golden")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	short := 0
	for range 6 {
		cmd := genCommand(t, module, "many")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for range random.IntN(200) {
			lines.Scan()
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, stdout)
		_ = cmd.Wait()

		got := tree(t, dir)
		if len(got) < len(want) {
			short++
		}
		for name, text := range got {
			if strings.HasPrefix(filepath.Base(name), ".tenantry-") {
				continue
			}
			if text != want[name] {
				t.Errorf("%s is not what is rendered:\n%s", name, text)
			}
		}
		if random.IntN(2) == 0 {
			mustRun(t, module, "many")
			if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
				t.Fatalf("after another run (-want +got):\n%s", diff)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	mustRun(t, module, "many")
	if diff := cmp.Diff(want, tree(t, dir)); diff != "" {
		t.Errorf("after the last run (-want +got):\n%s", diff)
	}
	if short == 0 {
		t.Error("no run was killed before its end")
	}
}

// Runs at once take turns: each file is written by one of them.
func TestTogether(t *testing.T) {
	module, want := newModule(t), rendered(t, "ten")
	results := make([]result, 4)
	var wait sync.WaitGroup
	for i := range results {
		cmd := genCommand(t, module, "ten")
		wait.Go(func() { results[i] = finish(t, cmd) })
	}
	wait.Wait()
	created := 0
	for _, r := range results {
		if r.code != 0 {
			t.Errorf("exit code %d: %s", r.code, r.stderr)
		}
		created += strings.Count(r.stdout, "created ")
	}
	if created != len(want) {
		t.Errorf("%d files were created, want each of %d once", created, len(want))
	}
	if diff := cmp.Diff(want, tree(t, filepath.Join(module, "golden"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A run waits for another's lock and can be told to stop.
func TestWaitIsCancelled(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			module := newModule(t)
			if err := os.Mkdir(filepath.Join(module, "golden"), 0o755); err != nil {
				t.Fatal(err)
			}
			held, err := os.Open(filepath.Join(module, "golden"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = held.Close() })
			if err := flock(held, false); err != nil {
				t.Fatal(err)
			}
			cmd := genCommand(t, module, "")
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stderr)
			if lines.Scan(); lines.Text() != "waiting for another run that writes golden/" {
				t.Fatalf("stderr %q", lines.Text())
			}
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if lines.Scan(); !strings.Contains(lines.Text(), sig.String()+" signal received") {
				t.Errorf("stderr %q", lines.Text())
			}
			_ = cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			if got := tree(t, filepath.Join(module, "golden")); len(got) > 0 {
				t.Errorf("%d files were written", len(got))
			}
		})
	}
}

// A run that is told to stop does so between two files.
func TestCancel(t *testing.T) {
	module := newModule(t)
	t.Chdir(module)
	ctx, cancel := context.WithCancelCause(t.Context())
	var stdout, stderr bytes.Buffer
	err := run(ctx, fixtures[""](), nil, writer(func(p []byte) (int, error) {
		cancel(errors.New("enough"))
		return stdout.Write(p)
	}), &stderr)
	want := fmt.Sprintf("stopping after 1 of %d changes, the next run makes the others: enough", len(rendered(t, "")))
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if got := tree(t, filepath.Join(module, "golden")); len(got) != 1 || strings.Count(stdout.String(), "\n") != 1 {
		t.Errorf("%d files were written and %q was printed", len(got), stdout.String())
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// A reader that has left changes nothing: not what is written, not the exit code, and nothing is said.
func TestClosedPipe(t *testing.T) {
	module := newModule(t)
	for _, row := range []struct {
		fixture, args string
		code          int
		stderr        string
	}{
		{"", "-h", 0, ""},
		{"", "", 0, ""},
		{"", "check", 0, ""},
		{"image", "check", 1, "golden/ is not what the code renders: run go run ./cmd/gen\n"},
	} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		_ = read.Close()
		cmd := genCommand(t, module, row.fixture, strings.Fields(row.args)...)
		cmd.Stdout = write
		r := finish(t, cmd)
		_ = write.Close()
		if r.code != row.code || r.stderr != row.stderr {
			t.Errorf("gen %s: exit code %d, stderr %q, want %d, %q", row.args, r.code, r.stderr, row.code, row.stderr)
		}
	}
	if diff := cmp.Diff(rendered(t, ""), tree(t, filepath.Join(module, "golden"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
