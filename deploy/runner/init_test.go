package runner

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestANewRepositoryDeploys builds what gen init makes and asks its deploy command for help.
func TestANewRepositoryDeploys(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "infra")
	run := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = in
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	run(root, "run", "./cmd/gen", "init", "-replace", root, dir)
	for _, module := range []string{"", "deploy"} { // the sums that go mod tidy would ask a proxy for
		sums, err := os.ReadFile(filepath.Join(root, module, "go.sum"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, module, "go.sum"), sums, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(dir, "run", "./cmd/gen")
	out := run(filepath.Join(dir, "deploy"), "run", ".", "-h")
	if !strings.Contains(out, "usage: go -C deploy run .") {
		t.Errorf("-h printed %s", out)
	}
}
