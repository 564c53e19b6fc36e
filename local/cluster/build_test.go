package cluster

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func writeModule(t *testing.T, dir, source string) {
	t.Helper()
	for name, data := range map[string]string{"go.mod": "module example.com/small\n\ngo 1.26\n", "main.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestBuildOnce(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	writeModule(t, dir, "package main\n\nfunc main() { println(1) }\n")
	const callers = 4
	said := make([]bytes.Buffer, callers)
	paths := make([]string, callers)
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			var err error
			if paths[i], err = build(t.Context(), dir, cache, &said[i]); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	builds := 0
	for i := range callers {
		builds += strings.Count(said[i].String(), "built in")
		if paths[i] != paths[0] {
			t.Errorf("%s and %s", paths[i], paths[0])
		}
	}
	if builds != 1 {
		t.Errorf("built %d times, want once", builds)
	}
	if out, err := exec.Command(paths[0]).CombinedOutput(); err != nil || string(out) != "1\n" {
		t.Errorf("%v: %q", err, out)
	}

	// A change is another binary; what nobody uses any more is swept with it.
	old := time.Now().Add(-2 * unused)
	if err := os.Chtimes(paths[0], old, old); err != nil {
		t.Fatal(err)
	}
	writeModule(t, dir, "package main\n\nfunc main() { println(2) }\n")
	path, err := build(t.Context(), dir, cache, &said[0])
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path).CombinedOutput(); err != nil || string(out) != "2\n" {
		t.Errorf("%v: %q", err, out)
	}
	if exists(paths[0]) {
		t.Error("an unused binary is kept")
	}
}

func TestBuildFails(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	writeModule(t, dir, "package main\n\nfunc main() { nothing() }\n")
	if _, err := build(t.Context(), dir, cache, t.Output()); err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("the compiler's word is missing: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, filepath.Base(dir)+"-*"))
	if err != nil || left != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestProcessEnds starts a shell that ends with its input, as the components do.
func TestProcessEnds(t *testing.T) {
	p, err := startProcess(t.TempDir(), "reader", "/bin/sh", "-c", "echo started; cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(p.err.Error(), "started") {
		t.Errorf("the end of the log is missing: %v", p.err)
	}
}
