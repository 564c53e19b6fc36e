// Package flux_test takes golden directories the way Flux does.
package flux_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/kustomize"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

const golden = "../../golden"

// objects are trees, by the kind, the namespace and the name of each.
type objects map[string]map[string]any

func (all objects) add(t *testing.T, tree map[string]any) {
	t.Helper()
	u := unstructured.Unstructured{Object: tree}
	id := u.GroupVersionKind().String() + " " + u.GetNamespace() + "/" + u.GetName()
	if _, twice := all[id]; twice {
		t.Errorf("%s is there twice", id)
	}
	all[id] = tree
}

// read is what stands in the files of a directory.
func read(t *testing.T, dir string) objects {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s has no files: %v", dir, err)
	}
	all := objects{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var tree map[string]any
		if err := yaml.UnmarshalStrict(text, &tree); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all.add(t, tree)
	}
	return all
}

// built is what kustomize-controller would apply: its own generator writes a kustomization.yaml into a copy of the
// artifact, and its own limits hold for building it.
func built(t *testing.T, artifact string, spec kustomizev1.KustomizationSpec) objects {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(artifact)); err != nil {
		t.Fatal(err)
	}
	tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&kustomizev1.Kustomization{Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, spec.Path)
	if _, err := kustomize.NewGenerator(root, unstructured.Unstructured{Object: tree}).WriteFile(dir); err != nil {
		t.Fatal(err)
	}
	result, err := kustomize.SecureBuild(root, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	all := objects{}
	for _, r := range result.Resources() {
		text, err := r.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var tree map[string]any
		if err := yaml.Unmarshal(text, &tree); err != nil {
			t.Fatal(err)
		}
		all.add(t, tree)
	}
	return all
}

// TestEveryDirectoryIsTakenAsItIs: of whatever is in golden/, a generated kustomization makes the same objects.
func TestEveryDirectoryIsTakenAsItIs(t *testing.T) {
	units, err := filepath.Glob(filepath.Join(golden, "*", "*"))
	if err != nil || len(units) < 10 {
		t.Fatalf("%v: %v", units, err)
	}
	n := 0
	for _, unit := range units {
		want := read(t, unit)
		if diff := cmp.Diff(want, built(t, unit, kustomizev1.KustomizationSpec{Path: "./"})); diff != "" {
			t.Errorf("%s (-golden +built):\n%s", unit, diff)
		}
		n += len(want)
	}
	t.Logf("%d objects of %d units", n, len(units))
}

// TestStagesMakeAWholeTenant: what Flux is told to apply of a unit, stage by stage, is each of its objects once.
func TestStagesMakeAWholeTenant(t *testing.T) {
	fleets := tenants.Fleets()
	units, err := render.Units(fleets)
	if err != nil {
		t.Fatal(err)
	}
	delivered := 0
	for _, fleet := range fleets {
		artifact := t.TempDir()
		files := filepath.Join(golden, fleet.Name)
		inside := artifact
		if _, git := fleet.Platform.Source.(render.GitRepository); git {
			inside = filepath.Join(artifact, "golden", fleet.Name)
		}
		if err := os.CopyFS(inside, os.DirFS(files)); err != nil {
			t.Fatal(err)
		}
		applied := map[string]objects{} // by directory of the unit
		for _, u := range units {
			if u.Fleet != fleet.Name || u.Name != render.PlatformUnit {
				continue
			}
			for _, f := range u.Files {
				k, ok := f.Object.(*kustomizev1.Kustomization)
				if !ok {
					continue
				}
				var spec struct{ Spec kustomizev1.KustomizationSpec }
				if err := yaml.Unmarshal(f.YAML, &spec); err != nil {
					t.Fatal(err)
				}
				unit := filepath.Base(spec.Spec.Path)
				if applied[unit] == nil {
					applied[unit] = objects{}
				}
				stage := built(t, artifact, spec.Spec)
				if len(stage) == 0 {
					t.Errorf("%s applies nothing", k.Name)
				}
				for _, id := range slices.Sorted(maps.Keys(stage)) {
					applied[unit].add(t, stage[id])
				}
			}
		}
		for _, u := range units {
			_, pulled := u.Delivery.(render.Flux)
			got, told := applied[u.Name]
			if u.Fleet != fleet.Name || !pulled && !told {
				continue
			}
			delivered++
			if diff := cmp.Diff(read(t, filepath.Join(files, u.Name)), got); diff != "" {
				t.Errorf("%s/%s (-golden +applied):\n%s", u.Fleet, u.Name, diff)
			}
			t.Logf("%s/%s: %d objects", u.Fleet, u.Name, len(got))
		}
	}
	if delivered != 3 {
		t.Errorf("%d units are delivered, want prod/stark, tower/platform and tower/stark", delivered)
	}
}
