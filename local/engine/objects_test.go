package engine_test

import (
	"cmp"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"github.com/tenantry/tenantry/render"
)

// objects are those of a fleet that the cluster has, by name: acme/Deployment/api. What controllers have made of
// them is not among them, but for the claims of a StatefulSet, which outlive it.
type objects map[string]*unstructured.Unstructured

// look lists the objects of all kinds that carry the labels of a unit; of all units where none is named.
func (r *repository) look(t *testing.T, units ...string) objects {
	t.Helper()
	selector := "app.kubernetes.io/managed-by=tenantry,app.kubernetes.io/part-of=" + r.fleet
	if len(units) > 0 {
		selector += ",app.kubernetes.io/instance in (" + strings.Join(units, ",") + ")"
	}
	found := objects{}
	for _, kind := range r.kinds {
		all, err := r.dynamic.Resource(kind).List(t.Context(), metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range all.Items {
			name := objectName(o.GetNamespace(), o.GetKind(), o.GetName())
			if len(o.GetOwnerReferences()) == 0 {
				found[name] = &o
			}
			if o.GetKind() == "Secret" {
				r.remember(t, name, &o)
			}
		}
	}
	return found
}

// listed are all kinds of which a cluster can list the objects, but for the endpoints of Services, which have the
// labels of the Service and no owner.
func listed(client discovery.DiscoveryInterface) ([]schema.GroupVersionResource, error) {
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return nil, err
	}
	var kinds []schema.GroupVersionResource
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, err
		}
		for _, kind := range list.APIResources {
			if slices.Contains(kind.Verbs, "list") && kind.Kind != "Endpoints" {
				kinds = append(kinds, version.WithResource(kind.Name))
			}
		}
	}
	return kinds, nil
}

func objectName(namespace, kind, name string) string {
	return strings.TrimPrefix(namespace+"/", "/") + kind + "/" + name
}

// names is what golden has of a unit.
func (r *repository) names(unit string) []string {
	var all []string
	for _, u := range r.units {
		if u.Name != unit {
			continue
		}
		for _, f := range u.Files {
			all = append(all, nameOf(f.Object))
		}
	}
	slices.Sort(all)
	return all
}

func nameOf(o render.Object) string {
	return objectName(o.GetNamespace(), o.GetObjectKind().GroupVersionKind().Kind, o.GetName())
}

// changes tell what has become of objects: create, delete, replace or update, by name. Whose content and whose
// note of our last change are the same has not changed, whatever a controller has written into its status.
func changes(before, after objects) map[string]string {
	found := map[string]string{}
	for name, o := range after {
		old, was := before[name]
		switch {
		case !was:
			found[name] = "create"
		case old.GetUID() != o.GetUID():
			found[name] = "replace"
		case old.GetResourceVersion() != o.GetResourceVersion() && !gocmp.Equal(ours(old), ours(o)):
			found[name] = "update"
		}
	}
	for name := range before {
		if after[name] == nil {
			found[name] = "delete"
		}
	}
	return found
}

// ours is an object without its resource version, its status, the notes of what others have written, and without its
// replicas where an autoscaler counts them.
func ours(o *unstructured.Unstructured) map[string]any {
	o = o.DeepCopy()
	unstructured.RemoveNestedField(o.Object, "status")
	o.SetResourceVersion("")
	o.SetManagedFields(slices.DeleteFunc(o.GetManagedFields(), func(n metav1.ManagedFieldsEntry) bool { return n.Manager != "tenantry" }))
	if o.GetKind() == "Deployment" && !slices.ContainsFunc(o.GetManagedFields(), func(n metav1.ManagedFieldsEntry) bool {
		return strings.Contains(n.FieldsV1.GetRawString(), `"f:replicas"`)
	}) {
		unstructured.RemoveNestedField(o.Object, "spec", "replicas")
		o.SetGeneration(0)
	}
	return o.Object
}

// unchanged fails if anything is not what it was.
func unchanged(t *testing.T, before, after objects) {
	t.Helper()
	if got := changes(before, after); len(got) > 0 {
		t.Errorf("these have changed: %v", got)
	}
}

// complete fails unless the cluster has each object of golden once, and claims of StatefulSets. Without units it is
// all of them, and nothing else may be there.
func (r *repository) complete(t *testing.T, units ...string) objects {
	t.Helper()
	found := r.look(t, units...)
	var want []string
	for _, u := range r.units {
		if len(units) == 0 || slices.Contains(units, u.Name) {
			want = append(want, r.names(u.Name)...)
		}
	}
	slices.Sort(want)
	var got []string
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if !strings.Contains(name, "/PersistentVolumeClaim/data-") { // that of a StatefulSet
			got = append(got, name)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("objects of %v (-golden +cluster):\n%s", units, diff)
	}
	return found
}

// settled fails unless deploying again would change nothing: the engine sees only what is the same, the cluster
// has what golden has, and nothing of it is touched by looking.
func (r *repository) settled(t *testing.T, units ...string) objects {
	t.Helper()
	found := r.complete(t, units...)
	got := r.must(t, append([]string{"up", "-all", "-format", "json"}, units...)...)
	n := 0
	for _, e := range got.events(t) {
		if e.Event != "summary" {
			continue
		}
		n++
		if e.Result != "unchanged" || len(e.Changes) != 1 || e.Changes["same"] != len(r.names(e.Unit))+engineResources {
			t.Errorf("up -all: %s: %s %v", e.Unit, e.Result, e.Changes)
		}
	}
	if want := cmp.Or(len(units), len(r.units)); n != want {
		t.Errorf("up -all ended with %d of %d units:\n%s", n, want, got)
	}
	if got := r.run(t, append([]string{"drift"}, units...)...); got.code != 0 {
		t.Errorf("drift: %s", got)
	}
	unchanged(t, found, r.look(t, units...))
	return found
}

// engineResources are those of each stack that are no objects: the stack itself and the provider.
const engineResources = 2

// secretValues are the values of a Secret, by key.
func secretValues(t *testing.T, o *unstructured.Unstructured) map[string]string {
	t.Helper()
	data, _, err := unstructured.NestedStringMap(o.Object, "data")
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range data {
		plain, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		data[key] = string(plain)
	}
	return data
}
