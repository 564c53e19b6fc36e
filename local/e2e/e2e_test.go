// Package e2e_test applies every golden file to a real API server, one control plane per fleet, and asks it
// whether what was applied is what it should be.
package e2e_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"

	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/clustertest"
	"github.com/tenantry/tenantry/local/placeholder"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

const golden = "../../golden"

// A world is a fleet and the control plane that it is applied to.
type world struct {
	fleet   render.Fleet
	objects []object // of all units, in the order in which they are applied
	client  kubernetes.Interface
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	cluster *cluster.Cluster
}

func TestGolden(t *testing.T) {
	fleets := tenants.Fleets()
	units, err := render.Units(fleets)
	if err != nil {
		t.Fatal(err)
	}
	for _, fleet := range fleets {
		t.Run(fleet.Name, func(t *testing.T) {
			w := newWorld(t, fleet, units)
			for _, step := range []struct {
				name string
				run  func(*testing.T, *world)
			}{ // each leans on those before it
				{"the API server accepts every object", testDryRun},
				{"every object is applied", testApply},
				{"controllers make all of it run", testSettle},
				{"applying it again changes nothing", testApplyAgain},
				{"tenants cannot reach each other", testIsolation},
				{"tenants keep to their bounds", testBounds},
				{"Pod Security says what the rules say", testPods},
				{"the API server refuses what review would find", testAdmission},
				{"the suite can fail", testControls},
			} {
				if !t.Run(step.name, func(t *testing.T) { step.run(t, w) }) {
					t.FailNow()
				}
			}
		})
	}
}

func newWorld(t *testing.T, fleet render.Fleet, units []render.Unit) *world {
	t.Helper()
	w := &world{fleet: fleet, objects: readGolden(t, fleet, units)}
	c := clustertest.WithDefinitions(t, cluster.Options{Nodes: cluster.Nodes(fleet)})
	w.cluster = c
	config := c.Config()
	config.WarningHandlerWithContext = recorder{}
	var err error
	if w.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	w.mapper = newMapper(w.client.Discovery())
	return w
}

// readGolden reads the fleet's files in the order of their units: the bytes are those of the repository, and
// none is left out.
func readGolden(t *testing.T, fleet render.Fleet, units []render.Unit) []object {
	t.Helper()
	pair, err := placeholder.KeyPair()
	if err != nil {
		t.Fatal(err)
	}
	var objects []object
	var want []string
	for _, u := range units {
		if u.Fleet != fleet.Name {
			continue
		}
		for _, f := range u.Files {
			name := filepath.Join(u.Fleet, u.Name, f.Name)
			data, err := os.ReadFile(filepath.Join(golden, name))
			if err != nil {
				t.Fatal(err)
			}
			objects = append(objects, newObject(t, name, data, pair))
			want = append(want, name)
		}
	}
	paths, err := filepath.Glob(filepath.Join(golden, fleet.Name, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		name := strings.TrimPrefix(path, golden+string(filepath.Separator))
		if !slices.Contains(want, name) {
			t.Errorf("%s: what is no longer rendered would not be tested; run make gen", name)
		}
	}
	if len(objects) == 0 {
		t.Fatalf("fleet %s has no golden files", fleet.Name)
	}
	return objects
}
