package engine_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// testExample deploys prod, which has rings, to a control plane of its own, with the state where it is by default.
// The other fleet of this repository is what the module's own command deploys in its tests.
func testExample(t *testing.T, trial *world) {
	fleets := tenants.Fleets()
	fleet := fleets[slices.IndexFunc(fleets, func(f render.Fleet) bool { return f.Name == "prod" })]
	w := newWorld(t, trial.suite, fleet)
	w.state = ""
	r := w.repository(t, fleet.Name, spec{Example: true})
	got := r.must(t, "up", "-format", "json")
	rings, results := []string{}, map[string]string{}
	for _, e := range got.events(t) {
		switch e.Event {
		case "begin":
			if !slices.Contains(rings, e.Ring) {
				rings = append(rings, e.Ring)
			}
			if e.Ring != rings[len(rings)-1] {
				t.Errorf("%s of the ring %s begins after the ring %s", e.Unit, e.Ring, rings[len(rings)-1])
			}
		case "summary":
			results[e.Unit] = e.Result
		}
	}
	if want := []string{"", "canary", "early", "everyone"}; !slices.Equal(rings, want) {
		t.Errorf("rings %q, want %q", rings, want)
	}
	var pushed []string
	for _, u := range r.units {
		want := "applied"
		if _, pulled := u.Delivery.(render.Flux); pulled {
			want = ""
		} else {
			pushed = append(pushed, u.Name)
		}
		if results[u.Name] != want {
			t.Errorf("%s: %q, want %q", u.Name, results[u.Name], want)
		}
	}
	before := r.settled(t, pushed...)
	t.Logf("%d of %d units, %d objects", len(pushed), len(r.units), len(before))

	again := r.must(t, "up")
	if again.stdout != "" || again.stderr != "left to Flux, which delivers them: stark\nevery unit is deployed as it stands in golden/; -all looks at them all the same\n" {
		t.Errorf("up without -all: %s", again)
	}
	r.set("PULUMI_BACKEND_URL", "file://"+filepath.Join(r.dir, "state"))
	own := r.underPulumi(t).pulumi(t, "up", "-s", "prod.initech", "--yes", "--non-interactive")
	if want := "    " + strconv.Itoa(len(r.names("initech"))+engineResources) + " unchanged\n"; own.code != 0 || strings.Count(own.stdout, want) != 2 {
		t.Errorf("Pulumi's own command: want %q of preview and up: %s", want, own)
	}
	unchanged(t, before, r.look(t, pushed...))

	// A test of the test: drift does find things, and repairing them is not nothing.
	if err := w.client.CoreV1().Services("initech").Delete(t.Context(), "api", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	drift := r.run(t, "drift")
	if drift.code != 1 || !strings.Contains(drift.stdout, "initech/Service/api") || !strings.Contains(drift.stdout, "missing") {
		t.Errorf("drift without a Service: %s", drift)
	}
	repair := r.must(t, "up", "-repair", "-format", "json", "initech")
	if got := repair.operations(t); len(got) != 1 || got["initech/Service/api"] != "create" {
		t.Errorf("repairing does %v: %s", got, repair)
	}
	r.settled(t, "initech")
}
