package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/tenantry/tenantry/gen"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// TestMain makes the test binary the command of a repository with so many tenants where TENANTS says how many.
func TestMain(m *testing.M) {
	if count, err := strconv.Atoi(os.Getenv("TENANTS")); err == nil {
		os.Exit(gen.Main([]render.Fleet{fleetOf(count)}))
	}
	os.Exit(m.Run())
}

// fleetOf is the example fleet with so many tenants instead of its own. Each has everything that runs in a cluster and
// an address of its own to reach, so that no two are alike, and there is a node for each.
func fleetOf(count int) render.Fleet {
	f := tenants.Fleets()[0]
	like := f.Tenants[0]
	f.Tenants, f.Rings = nil, nil
	f.Cluster.Pools = []render.Pool{{Name: "shared", Nodes: int32(count), CPU: "15500m", Memory: "60Gi", Ephemeral: "200Gi", Pods: 110}}
	for i := range count {
		t := like
		t.Name = fmt.Sprintf("tenant-%04d", i)
		t.Edge = render.Gateway{Host: t.Name + ".example.com"}
		t.Egress = []render.Egress{{CIDR: fmt.Sprintf("198.51.%d.%d/32", i/256, i%256), Port: 587}}
		database := like.Database.(render.CloudNativePG)
		store := database.Backup.To.(render.S3)
		store.Bucket = t.Name + "-backup"
		database.Backup.To = store
		t.Database = database
		f.Tenants = append(f.Tenants, t)
	}
	return f
}

// BenchmarkVerify runs whole processes: gen verify of what is rendered, and gen verify golden of the files. Besides
// the time it reports the processor time and the most memory of any run.
func BenchmarkVerify(b *testing.B) {
	for _, count := range []int{100, 300, 1000} {
		dir := b.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/infra\n"), 0o644); err != nil {
			b.Fatal(err)
		}
		run := func(b *testing.B, args ...string) *syscall.Rusage {
			b.Helper()
			cmd := exec.CommandContext(b.Context(), os.Args[0], args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), fmt.Sprintf("TENANTS=%d", count), "GOMAXPROCS=2")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil {
				b.Fatalf("%v\n%.2000s", err, out.Bytes())
			}
			return cmd.ProcessState.SysUsage().(*syscall.Rusage)
		}
		for _, from := range []string{"rendered", "golden"} {
			b.Run(fmt.Sprintf("%s/tenants=%d", from, count), func(b *testing.B) {
				args := []string{"verify"}
				if from == "golden" {
					args = append(args, "golden")
					run(b)
				}
				var cpu, most float64
				for b.Loop() {
					usage := run(b, args...)
					cpu += float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
					most = max(most, float64(usage.Maxrss)/1024)
				}
				b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
				b.ReportMetric(most, "peak-MiB")
			})
		}
	}
}
