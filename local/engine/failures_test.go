package engine_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/tenantry/tenantry/local/cluster"
)

// mends recovers units and deploys them, after which there is nothing left to do, and nothing of what was there is
// another object now. Recovering touches nothing.
func (r *repository) mends(t *testing.T, units ...string) {
	t.Helper()
	before := r.look(t, units...)
	got := r.must(t, append([]string{"recover"}, units...)...)
	unchanged(t, before, r.look(t, units...))
	for _, unit := range units {
		if !strings.Contains(got.stderr, "\ntrial."+unit+": ") {
			t.Errorf("recover says nothing of %s: %s", unit, got)
		}
	}
	r.must(t, append([]string{"up"}, units...)...)
	after := r.settled(t, units...)
	for name, operation := range changes(before, after) {
		switch {
		case operation == "create", operation == "update":
		case operation == "delete" && strings.HasSuffix(name, "/ConfigMap/more"): // by a half of testKills
		case operation == "replace" && strings.HasSuffix(name, "/Deployment/tool") && selects(before[name]) != selects(after[name]):
		default:
			t.Errorf("%s: %s", name, operation)
		}
	}
}

// selects is the selector of a tool.
func selects(o *unstructured.Unstructured) string {
	name, _, _ := unstructured.NestedString(o.Object, "spec", "selector", "matchLabels", "tool")
	return name
}

// testKills kills the runner, or Pulumi below it, at moments of no choice while they create and while they change
// tenants, and mends all of them afterwards.
func testKills(t *testing.T, w *world) {
	const n = 10
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	old, now := spec{Tenants: map[string][]string{}}, spec{Tenants: map[string][]string{}}
	var units, there []string
	for i := range n {
		unit := fmt.Sprintf("killed-%d", i)
		units = append(units, unit)
		now.Tenants[unit] = []string{"another tool", "memory", "a setting", "a StatefulSet of 1Gi"}
		if i%4 < 2 { // so that of either victim there are both
			there = append(there, unit)
			old.Tenants[unit] = []string{"a tool", "a ConfigMap", "a StatefulSet of 1Gi"}
		}
	}
	w.repository(t, trial, old).must(t, append([]string{"up"}, there...)...)
	r := w.repository(t, trial, now)
	halfway := 0
	for i, unit := range units {
		n := r.command(t, "up", "-format", "json", unit)
		n.start(t)
		events := len(r.names(unit)) // at least, of a unit that is new
		if slices.Contains(there, unit) {
			events = 4
		}
		lines, more := 1+random.IntN(events), time.Duration(random.IntN(100))*time.Millisecond
		victim := "deploy"
		if i%2 == 1 {
			victim = "pulumi"
		}
		ended := n.ended()
		tick := time.NewTicker(5 * time.Millisecond)
		for strings.Count(n.said(t, "stdout"), `"unit":"`+unit+`"`) < lines && !closed(ended) {
			<-tick.C
		}
		select {
		case <-time.After(more):
		case <-ended:
		}
		hit := false
		for !hit && !closed(ended) { // Pulumi is not there all the time
			for pid, name := range processesOf(t, n.id) {
				hit = name == victim && syscall.Kill(pid, syscall.SIGKILL) == nil || hit
			}
		}
		tick.Stop()
		<-ended
		got := n.result(t)
		if hit && !strings.Contains(got.stdout, `"result":"applied"`) {
			halfway++
		}
		t.Logf("%s: %s killed %s after %d events: %t, exit code %d", unit, victim, more, lines, hit, got.code)
		if victim == "pulumi" && hit && (got.code != 1 || !strings.Contains(got.stderr, "trial."+unit+": ")) {
			t.Errorf("Pulumi was killed: want exit code 1 and what failed: %s", got)
		}
		// What is orphaned ends by itself; but for the provider, which knows nothing of its engine's end.
		eventually(t, func(context.Context) error {
			for _, name := range processesOf(t, n.id) {
				if name == "pulumi" || name == "deploy" {
					return fmt.Errorf("%s is still there", name)
				}
			}
			return nil
		})
		for pid, name := range processesOf(t, n.id) {
			t.Logf("%s: %s is left", unit, name)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if halfway < n*8/10 {
		t.Errorf("only %d runs were killed before their end", halfway)
	}
	r.mends(t, units...)
}

// testOutages takes the API server, its storage or the right to ask it away while a run changes objects.
func testOutages(t *testing.T, w *world) {
	for _, test := range []struct {
		name, unit string
		outage     func(*testing.T, *repository)
	}{
		{"the API server is restarted", "restarted", func(t *testing.T, _ *repository) {
			if err := w.cluster.Restart(t.Context(), cluster.APIServer); err != nil {
				t.Fatal(err)
			}
		}},
		{"etcd stands still for 20 seconds", "paused", func(t *testing.T, _ *repository) {
			if err := w.cluster.Pause(cluster.Etcd); err != nil {
				t.Fatal(err)
			}
			<-time.After(20 * time.Second)
			if err := w.cluster.Resume(cluster.Etcd); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := w.repository(t, trial, spec{Tenants: map[string][]string{test.unit: {"a StatefulSet of 1Gi", "a tool"}}})
			n := r.command(t, "up", "-format", "json", test.unit)
			n.start(t)
			eventually(t, func(context.Context) error {
				if !strings.Contains(n.said(t, "stdout"), `"resource"`) {
					return fmt.Errorf("nothing is created: %s", n.said(t, "stderr"))
				}
				return nil
			})
			test.outage(t, r)
			got := n.wait(t)
			end := checkEvents(t, got)[test.unit]
			t.Logf("exit code %d: %s", got.code, end.Error)
			if got.code != 0 && (got.code != 1 || end.Result != "failed" || !strings.Contains(end.Error, "127.0.0.1")) {
				t.Errorf("want exit code 0, or 1 and who did not answer: %s", got)
			}
			r.mends(t, test.unit)
		})
	}
}

// testFailures are those of one run each, in which nobody is killed.
func testFailures(t *testing.T, w *world) {
	t.Run("credentials that expire on the way", func(t *testing.T) {
		r := w.repository(t, trial, spec{Tenants: map[string][]string{"expired": nil}})
		expired, err := w.cluster.ExpiredKubeconfig()
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(r.dir, "kubeconfig")
		for i, from := range []string{w.cluster.Kubeconfig(), expired} {
			data, err := os.ReadFile(from)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile([]string{path, path + ".expired"}[i], data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		valid := r.get("KUBECONFIG")
		r.set("KUBECONFIG", path)
		n := r.command(t, "up", "expired")
		n.start(t)
		eventually(t, func(context.Context) error {
			if !strings.Contains(n.said(t, "stderr"), "trial.expired: begun\n") {
				return fmt.Errorf("it has not begun: %s", n.said(t, "stderr"))
			}
			return nil
		})
		if err := os.Rename(path+".expired", path); err != nil {
			t.Fatal(err)
		}
		got := n.wait(t)
		if said := errorOf(t, got, "expired"); got.code != 1 || !strings.Contains(said, "provide credentials") && !strings.Contains(said, "Unauthorized") {
			t.Errorf("want exit code 1 and why: %s", got)
		}
		r.set("KUBECONFIG", valid)
		r.mends(t, "expired")
	})
	t.Run("a webhook that refuses one object", func(t *testing.T) {
		r := w.repository(t, trial, spec{Tenants: map[string][]string{"policed": nil}})
		mend := w.refuse(t, "policed")
		got := r.run(t, "up", "policed")
		if said := errorOf(t, got, "policed"); got.code != 1 || !strings.HasPrefix(said, "policed/Deployment/api: ") || !strings.Contains(said, refusal) {
			t.Errorf("want exit code 1, the object and the reason: %s", got)
		}
		mend()
		r.mends(t, "policed")
	})
	t.Run("a change that fails and is taken back", func(t *testing.T) {
		before, after := spec{Tenants: map[string][]string{"reverted": nil}}, spec{Tenants: map[string][]string{"reverted": {"memory", "a tool"}}}
		r := w.repository(t, trial, before)
		r.must(t, "up", "reverted")
		was := r.complete(t, "reverted")
		mend := w.refuse(t, "reverted")
		got := w.repository(t, trial, after).run(t, "up", "reverted")
		mend()
		if now := changes(was, r.look(t, "reverted")); got.code != 1 || now["reverted/Deployment/api"] != "update" {
			t.Fatalf("want that it fails half-way: %v, %s", now, got)
		}
		if row := r.must(t, "up", "reverted").row("reverted"); !slices.Contains(row, "applied") {
			t.Errorf("the table says %q", row)
		}
		r.settled(t, "reverted")
		if again := r.must(t, "up", "reverted"); again.stdout != "" {
			t.Errorf("up without -all: %s", again)
		}
	})
	t.Run("a passphrase that is not the state's", func(t *testing.T) {
		s := spec{Tenants: map[string][]string{"encrypted": nil}}
		w.repository(t, trial, s).must(t, "up", "encrypted")
		s.Tenants["encrypted"] = []string{"a ConfigMap"}
		for _, test := range []struct {
			make func(*repository)
			told func(*testing.T, result) string // where it is told
			want string
		}{
			{
				func(r *repository) { r.set("PULUMI_CONFIG_PASSPHRASE", canary+"another") },
				func(t *testing.T, r result) string { return errorOf(t, r, "encrypted") },
				"PULUMI_CONFIG_PASSPHRASE is not the one that this stack's state was encrypted with\n",
			},
			{
				func(r *repository) { r.unset("PULUMI_CONFIG_PASSPHRASE") },
				func(_ *testing.T, r result) string { return r.stderr }, // no unit has begun
				"the environment lacks PULUMI_CONFIG_PASSPHRASE: set them, such as with a secret manager that runs this command\n",
			},
		} {
			r := w.repository(t, trial, s)
			before := r.look(t, "encrypted")
			test.make(r)
			for _, verb := range []string{"preview", "up", "recover"} {
				if got := r.run(t, verb, "encrypted"); got.code != 1 || !strings.HasSuffix(test.told(t, got), test.want) {
					t.Errorf("%s: want exit code 1 and %q: %s", verb, test.want, got)
				}
			}
			unchanged(t, before, r.look(t, "encrypted"))
		}
		w.repository(t, trial, s).mends(t, "encrypted")
	})
	t.Run("two runs at once on one unit", func(t *testing.T) {
		r := w.repository(t, trial, spec{Tenants: map[string][]string{"twice": nil}})
		first := r.command(t, "up", "twice")
		first.start(t)
		locks := filepath.Join(w.stateDir(), ".pulumi", "locks", "organization", "tenantry", "trial.twice", "*.json")
		eventually(t, func(context.Context) error {
			found, err := filepath.Glob(locks)
			if err == nil && len(found) == 0 || r.has(t.Context(), "secrets", "twice") != nil {
				err = fmt.Errorf("it is not at work: %s", first.said(t, "stderr"))
			}
			return err
		})
		stopped := processesOf(t, first.id)
		for pid := range stopped {
			if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
		before := r.look(t, "twice")
		for verb, want := range map[string]string{
			"up":      "another run is at work on this stack, begun by ",
			"recover": "wait until it ends",
		} {
			if got := r.run(t, verb, "twice"); got.code != 1 || !strings.Contains(errorOf(t, got, "twice"), want) {
				t.Errorf("%s: want exit code 1 and %q: %s", verb, want, got)
			}
		}
		unchanged(t, before, r.look(t, "twice"))
		for pid := range maps.Keys(stopped) {
			if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
		}
		if got := first.wait(t); got.code != 0 {
			t.Errorf("the first run: %s", got)
		}
		r.mends(t, "twice")
	})
}

// testFullDisk has no room for the last objects of a state. Pulumi tries each write ten times, which takes it half a
// minute, so that there is no room for much more than the last one.
func testFullDisk(t *testing.T, w *world) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets a program fail to write without privileges")
	}
	r := w.repository(t, trial, spec{Tenants: map[string][]string{"roomy": nil, "tight": nil}})
	r.must(t, "up", "roomy")
	state, err := os.Stat(filepath.Join(w.stateDir(), ".pulumi", "stacks", "tenantry", "trial.roomy.json"))
	if err != nil {
		t.Fatal(err)
	}
	size := strconv.FormatInt(state.Size()-200, 10)
	n := r.process(t, filepath.Join(r.bin, limitCommand), size, filepath.Join(r.bin, deployCommand), "up", "-fleet", trial, "tight")
	n.start(t)
	got := n.wait(t)
	if said := errorOf(t, got, "tight"); got.code != 1 || said != "there is no space left on the device that the state is on: make room, then run recover and up again\n" {
		t.Errorf("want exit code 1 and why: %s", got)
	}
	r.mends(t, "tight")
}

// testLostState deletes the folder of the state and has it built again.
func testLostState(t *testing.T, w *world) {
	aside := *w
	aside.state = "file://" + filepath.Join(w.suite.dir, "state.lost")
	if err := os.Mkdir(aside.stateDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	units := []string{"lost-cluster", "lost-set", "lost-small"}
	s := spec{Tenants: map[string][]string{
		"lost-small": {"generated secrets", "a ConfigMap", "a claim of 1Gi"}, "lost-set": {"a StatefulSet of 1Gi", "a tool"}, "lost-cluster": {"a Cluster of 1Gi"},
	}}
	r := aside.repository(t, trial, s)
	r.must(t, append([]string{"up"}, units...)...)
	before := r.still(t, units...)
	if err := os.RemoveAll(filepath.Join(aside.stateDir(), ".pulumi")); err != nil {
		t.Fatal(err)
	}
	t.Run("up refuses", func(t *testing.T) {
		got := r.run(t, append([]string{"up", "-all"}, units...)...)
		for _, unit := range units {
			if want := unit + " is deployed, and there is no state of it in "; !strings.HasPrefix(errorOf(t, got, unit), "trial."+want) || got.code != 1 {
				t.Errorf("want exit code 1 and %q: %s", want, got)
			}
		}
	})
	t.Run("recover builds it again", func(t *testing.T) {
		got := r.must(t, append([]string{"recover"}, units...)...)
		for _, unit := range units {
			if want := fmt.Sprintf("trial.%s: %d objects adopted; up would change nothing\n", unit, len(r.names(unit))); !strings.Contains(got.stderr, want) {
				t.Errorf("nobody says %q: %s", want, got)
			}
		}
	})
	t.Run("nothing is left to do", func(t *testing.T) {
		preview := r.must(t, append([]string{"preview", "-all", "-format", "json"}, units...)...)
		for unit, e := range checkEvents(t, preview) {
			if len(e.Changes) != 1 || e.Changes["same"] != len(r.names(unit))+engineResources {
				t.Errorf("preview of %s: %v", unit, e.Changes)
			}
		}
		r.settled(t, units...)
	})
	t.Run("no object was touched", func(t *testing.T) {
		if diff := gocmp.Diff(versions(before), versions(r.look(t, units...))); diff != "" {
			t.Errorf("UID and resource version (-before +after):\n%s", diff)
		}
	})
}

// still looks at objects when nobody changes them any more.
func (r *repository) still(t *testing.T, units ...string) objects {
	t.Helper()
	found := r.complete(t, units...)
	eventually(t, func(context.Context) error {
		before := found
		found = r.look(t, units...)
		if diff := gocmp.Diff(versions(before), versions(found)); diff != "" {
			return fmt.Errorf("somebody is at work:\n%s", diff)
		}
		return nil
	})
	return found
}

// versions are the UID and the resource version of objects, by name.
func versions(all objects) map[string]string {
	found := map[string]string{}
	for name, o := range all {
		found[name] = string(o.GetUID()) + " " + o.GetResourceVersion()
	}
	return found
}

// has fails while a unit has no resource of a kind of the core group.
func (r *repository) has(ctx context.Context, resource, unit string) error {
	list, err := r.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: resource}).Namespace(unit).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + unit})
	if err == nil && len(list.Items) == 0 {
		err = fmt.Errorf("%s has no %s", unit, resource)
	}
	return err
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
