package build

import (
	"bytes"
	"errors"
	"io/fs"
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
	write(t, filepath.Join(dir, "go.mod"), "module example.com/small\n\ngo 1.26\n")
	write(t, filepath.Join(dir, "main.go"), source)
}

func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// small is the program of the module in dir.
func small(dir string) Program { return Program{dir: dir, binary: "small"} }

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
			if paths[i], err = small(dir).in(t.Context(), cache, &said[i]); err != nil {
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
	if err := os.Chtimes(filepath.Dir(paths[0]), old, old); err != nil {
		t.Fatal(err)
	}
	writeModule(t, dir, "package main\n\nfunc main() { println(2) }\n")
	path, err := small(dir).in(t.Context(), cache, &said[0])
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path).CombinedOutput(); err != nil || string(out) != "2\n" {
		t.Errorf("%v: %q", err, out)
	}
	if _, err := os.Stat(filepath.Dir(paths[0])); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an unused binary is kept: %v", err)
	}
}

func TestBuildFails(t *testing.T) {
	dir, cache := t.TempDir(), t.TempDir()
	writeModule(t, dir, "package main\n\nfunc main() { nothing() }\n")
	if _, err := small(dir).in(t.Context(), cache, t.Output()); err == nil || !strings.Contains(err.Error(), "undefined: nothing") {
		t.Errorf("the compiler's word is missing: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "*-*"))
	if err != nil || left != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestEmbed builds a program with a file of another module.
func TestEmbed(t *testing.T) {
	const path, version = "sigs.k8s.io/yaml", "v1.6.0"
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeModule(t, dir, "package main\n\nimport _ \"embed\"\n\n//go:embed text\nvar text string\n\nfunc main() { print(text) }\n")
	write(t, filepath.Join(dir, "go.mod"), "module example.com/small\n\ngo 1.26\n\nrequire "+path+" "+version+"\n")
	write(t, filepath.Join(dir, "go.sum"), string(sums))
	p := small(dir)
	p.embed = &embed{"text", path, "ABSENT"}
	if _, err := p.in(t.Context(), t.TempDir(), t.Output()); err == nil {
		t.Error("a file that is not there is embedded")
	}
	p.embed.path = "RELEASE.md"
	binary, err := p.in(t.Context(), t.TempDir(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "# Release Process") {
		t.Errorf("%v: %q", err, out)
	}
}
