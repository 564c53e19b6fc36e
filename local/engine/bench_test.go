package engine_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/render"
)

// BenchmarkApply measures the deploy command against kubectl, each as whole processes, with the same files, and on a
// control plane of its own that is as new. kubectl goes first.
//
// kubectl is done when the API server has all objects, and the deploy command when they are ready, so that what
// kubectl then waits for is measured as well.
func BenchmarkApply(b *testing.B) {
	const few, many, fleet = 1, 20, 100
	kubectl, err := exec.LookPath("kubectl")
	if err != nil {
		if kubectl, err = build.Kubectl.Binary(b.Context(), b.Output()); err != nil {
			b.Fatal(err)
		}
	}
	all := spec{Copies: fleet}
	for b.Loop() {
		applied := map[string]time.Duration{}
		b.Run("kubectl", func(b *testing.B) {
			w := newWorld(b, newSuite(b), all.fleets()[0])
			r := w.repository(b, trial, all)
			r.kubectl(b, kubectl, r.apply("platform")...)
			measure := func(name string, units []string) {
				applied[name] = took(func() { r.kubectl(b, kubectl, r.apply(units...)...) })
				ready := applied[name] + took(func() { r.ready(b, kubectl, units) })
				b.Logf("%s: applied in %s, ready after %s", name, applied[name].Round(10*time.Millisecond), ready.Round(10*time.Millisecond))
				applied[name+", ready"] = ready
			}
			measure("1 unit", r.tenants(0, few))
			measure("20 units", r.tenants(few, few+many))

			// A fleet that is unchanged needs only to be there: deploying all of it would prove no more.
			r.kubectl(b, kubectl, r.apply(r.tenants(few+many, fleet)...)...)
			unchanged := took(func() {
				if got := r.must(b, "up"); got.stdout != "" {
					b.Error(got)
				}
			})
			b.Logf("no change of %d units: %s", fleet, unchanged.Round(10*time.Millisecond))
			b.ReportMetric(unchanged.Seconds(), "unchanged-s")
		})
		b.Run("up", func(b *testing.B) {
			w := newWorld(b, newSuite(b), all.fleets()[0])
			r := w.repository(b, trial, all)
			r.must(b, "up", "platform")
			measure := func(name string, units []string) {
				up := took(func() { r.must(b, append([]string{"up"}, units...)...) })
				b.Logf("%s: %s, %.2f times kubectl, %.2f times kubectl and its waiting", name, up.Round(10*time.Millisecond),
					up.Seconds()/applied[name].Seconds(), up.Seconds()/applied[name+", ready"].Seconds())
				b.ReportMetric(up.Seconds()/applied[name].Seconds(), strings.ReplaceAll(name, " ", "-")+"-ratio")
				b.ReportMetric(up.Seconds()/applied[name+", ready"].Seconds(), strings.ReplaceAll(name, " ", "-")+"-ready-ratio")
			}
			measure("1 unit", r.tenants(0, few))
			measure("20 units", r.tenants(few, few+many))
		})
	}
}

func took(do func()) time.Duration {
	begin := time.Now()
	do()
	return time.Since(begin)
}

// tenants are the names of some, by their place in the fleet.
func (r *repository) tenants(from, to int) []string {
	var names []string
	for _, u := range r.units {
		if u.Name != render.PlatformUnit {
			names = append(names, u.Name)
		}
	}
	return names[from:to]
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
	r.kubectl(b, path, "wait", "--for=condition=Complete", "job", "--all-namespaces", selector)
	r.kubectl(b, path, "wait", "--for=condition=Available", "deployment", "--all-namespaces", selector)
	r.kubectl(b, path, "wait", "--for=jsonpath={.status.readyReplicas}=1", "statefulset", "--all-namespaces", selector)
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
