package engine_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/render"
)

// BenchmarkApply measures the deploy command against kubectl, each as whole processes, on one control plane and with the
// same files but for the names of the tenants. They take turns, so that whatever else the machine does is there for both.
//
// kubectl is done when the API server has all objects, and the deploy command when they are ready, so that what
// kubectl then waits for is measured as well.
func BenchmarkApply(b *testing.B) {
	const fleet = 100
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		if kubectl, err = build.Kubectl.Binary(b.Context(), b.Output()); err != nil {
			b.Fatal(err)
		}
	}
	all := spec{Copies: fleet}
	for b.Loop() {
		w := newWorld(b, newSuite(b), all.fleets()[0])
		r := w.repository(b, trial, all)
		r.must(b, "up", "platform")
		rest := r.tenants()
		next := func(n int) []string {
			units := rest[:n]
			rest = rest[n:]
			return units
		}
		for _, test := range []struct {
			units, rounds int
		}{{1, 5}, {20, 1}} {
			var applied, ready, up time.Duration
			for range test.rounds {
				units := next(test.units)
				took := since(func() { r.kubectl(b, kubectl, r.apply(units...)...) })
				applied += took
				ready += took
				ready += since(func() { r.ready(b, kubectl, units) })
				units = next(test.units)
				up += since(func() { r.must(b, append([]string{"up"}, units...)...) })
			}
			n := time.Duration(test.rounds)
			b.Logf("%d new units: kubectl %s, and %s until they are ready; up %s, which is %.1f and %.1f times as long", test.units,
				(applied / n).Round(10*time.Millisecond), (ready / n).Round(10*time.Millisecond), (up / n).Round(10*time.Millisecond),
				up.Seconds()/applied.Seconds(), up.Seconds()/ready.Seconds())
			b.ReportMetric(up.Seconds()/applied.Seconds(), fmt.Sprintf("%d-units-ratio", test.units))
		}
		// A fleet that is unchanged needs only to be there: deploying all of it would prove no more.
		r.kubectl(b, kubectl, r.apply(rest...)...)
		unchanged := since(func() {
			if got := r.must(b, "up"); got.stdout != "" {
				b.Error(got)
			}
		})
		b.Logf("no change of %d units: %s", fleet, unchanged.Round(10*time.Millisecond))
		b.ReportMetric(unchanged.Seconds(), "unchanged-s")
	}
}

func since(do func()) time.Duration {
	begin := time.Now()
	do()
	return time.Since(begin)
}

// tenants are the names of all.
func (r *repository) tenants() []string {
	var names []string
	for _, u := range r.units {
		if u.Name != render.PlatformUnit {
			names = append(names, u.Name)
		}
	}
	return names
}

// apply are the arguments with which kubectl applies units: first their namespaces, which it would not sort to the
// front.
func (r *repository) apply(units ...string) []string {
	args := []string{"apply", "--server-side"}
	for _, unit := range units {
		args = append(args, "-f", filepath.Join("golden", r.fleet, unit, "namespace-"+unit+".yaml"))
	}
	for _, unit := range units {
		args = append(args, "-f", filepath.Join("golden", r.fleet, unit))
	}
	return args
}

// ready waits as kubectl does until what was applied runs.
func (r *repository) ready(b *testing.B, path string, units []string) {
	b.Helper()
	selector := "--selector=app.kubernetes.io/instance in (" + strings.Join(units, ",") + ")"
	r.kubectl(b, path, "wait", "--timeout=5m", "--for=condition=Complete", "job", "--all-namespaces", selector)
	r.kubectl(b, path, "wait", "--timeout=5m", "--for=condition=Available", "deployment", "--all-namespaces", selector)
	r.kubectl(b, path, "wait", "--timeout=5m", "--for=jsonpath={.status.readyReplicas}=1", "statefulset", "--all-namespaces", selector)
}

// kubectl runs kubectl to its end.
func (r *repository) kubectl(b *testing.B, path string, args ...string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), path, append([]string{"--context", r.fleet}, args...)...)
	cmd.Dir, cmd.Env = r.dir, r.env
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("kubectl %s: %v\n%s", args[0], err, out)
	}
}
