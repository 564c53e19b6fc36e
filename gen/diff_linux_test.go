package gen

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tenantry/tenantry/render"
)

// BenchmarkDiff runs gen diff as a process of its own, over 1,000 tenants: of which one has a new image, and all have; all
// have a new label on every object; and other policies, of one and of all. Against a git revision, and between two
// directories.
func BenchmarkDiff(b *testing.B) {
	module := b.TempDir()
	b.Chdir(module)
	units, err := render.Units(thousand())
	if err != nil {
		b.Fatal(err)
	}
	files := goldenFiles(units)
	// What is the same keeps its date, as when gen has written it.
	written := map[string]string{}
	write := func(dir string, edit func(unit, text string) string) {
		for _, f := range files {
			text := edit(strings.Split(f.path, "/")[1], string(f.data))
			name := filepath.Join(dir, filepath.FromSlash(f.path))
			if written[name] == text {
				continue
			}
			written[name] = text
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
		}
	}
	git := func(args ...string) {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=n", "GIT_AUTHOR_EMAIL=n@example.com", "GIT_COMMITTER_NAME=n", "GIT_COMMITTER_EMAIL=n@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	if err := os.WriteFile("go.mod", []byte("module example.com/infra\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	policies := func(text string) string {
		if !strings.Contains(text, "kind: NetworkPolicy") {
			return text
		}
		return strings.ReplaceAll(text, "port: 443\n", "port: 444\n")
	}
	same := func(_, text string) string { return text }
	write("golden", same)
	git("init", "-q")
	git("add", "golden")
	git("commit", "-qm", "before")
	write("old", same)
	executable, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for _, row := range []struct {
		name string
		edit func(unit, text string) string
	}{
		{"one", func(unit, text string) string {
			if unit != "tenant-500" {
				return text
			}
			return strings.ReplaceAll(text, "app:v1", "app:v2")
		}},
		{"images", func(_, text string) string { return strings.ReplaceAll(text, "app:v1", "app:v2") }},
		{"labels", func(_, text string) string {
			return strings.ReplaceAll(text, "managed-by: tenantry", "managed-by: others")
		}},
		{"policy", func(unit, text string) string {
			if unit != "tenant-500" {
				return text
			}
			return policies(text)
		}},
		{"policies", func(_, text string) string { return policies(text) }},
	} {
		write("golden", row.edit)
		for _, args := range [][]string{{"-base", "HEAD"}, {"old", "golden"}} {
			b.Run(fmt.Sprintf("%s/%s", row.name, strings.TrimPrefix(args[0], "-")), func(b *testing.B) {
				var usage syscall.Rusage
				for b.Loop() {
					cmd := exec.Command(executable)
					cmd.Args = append([]string{"gen", "diff"}, args...)
					cmd.Env = append(os.Environ(), "GEN_FLEETS=thousand")
					// It exits with 1 where something is to be acknowledged.
					if out, err := cmd.Output(); err != nil && cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "prod") {
						b.Fatalf("%v: %.200s", err, out)
					}
					usage = *cmd.ProcessState.SysUsage().(*syscall.Rusage)
				}
				b.ReportMetric(float64(usage.Maxrss)/1024, "MiB")
				b.ReportMetric(float64(usage.Utime.Nano()+usage.Stime.Nano())/1e9, "cpu-s")
			})
		}
	}
}
