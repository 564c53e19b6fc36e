//go:build effects

package review_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/clustertest"
	"github.com/tenantry/tenantry/review"
)

var table = flag.String("table", "", "write what was asked and what came out of it into this file")

// A row is one field of one kind, changed in one way.
type row struct {
	kind, field, how string
	predicted        review.Effect
	actual           review.Effect
	covered          bool // the API server takes such an object when it is new
	why              string
	before, after    tree
}

func (r row) String() string {
	if !r.covered {
		return fmt.Sprintf("%s\t%s\t%s\tnot covered: %s", r.kind, r.field, r.how, r.why)
	}
	return fmt.Sprintf("%s\t%s\t%s\tforeseen %s\tis %s\t%s", r.kind, r.field, r.how, r.predicted, r.actual, r.why)
}

type world struct {
	dynamic  dynamic.Interface
	mapper   meta.RESTMapper
	provider *provider
	fresh    atomic.Int64
}

// TestEffects changes, adds and removes every field of every kind that the fleets render, as far as an API server
// takes a new object with it, and holds what package review foresees against what happens. No operator runs here: of
// custom resources it is what their definitions say, their rules of transition included.
func TestEffects(t *testing.T) {
	c := clustertest.WithDefinitions(t, cluster.Options{Nodes: []cluster.Node{}}) // no pod runs
	config := c.Config()
	config.WarningHandler = rest.NoWarnings{}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))}
	if w.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	served, err := published(client.Discovery())
	if err != nil {
		t.Fatal(err)
	}
	subjects := append(readGolden(t), others()...)
	w.apply(t, &subject{tree: tree{"apiVersion": "v1", "kind": "Namespace", "metadata": tree{"name": namespace}}})
	for i, s := range subjects {
		s.rename(i)
		w.apply(t, s)
	}
	w.provider = newProvider(t, c.Kubeconfig())

	type job struct {
		subject  *subject
		mutation mutation
	}
	var jobs []job
	for _, s := range subjects {
		for _, m := range append(served.mutations(s.gvk(), s.tree, s.all), served.defaults(s.tree, s.live)...) {
			jobs = append(jobs, job{s, m})
		}
	}
	rows := make([]row, len(jobs))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(jobs)); i = next.Add(1) - 1 {
				r, err := w.try(t.Context(), jobs[i].subject, jobs[i].mutation)
				if err != nil {
					t.Errorf("%s %s: %v", jobs[i].subject.gvk().Kind, jobs[i].mutation.field, err)
				}
				rows[i] = r
			}
		})
	}
	wait.Wait()
	report(t, rows)
}

// report counts, and fails with every row that was not foreseen.
func report(t *testing.T, rows []row) {
	t.Helper()
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.field, b.field), cmp.Compare(a.how, b.how))
	})
	var text strings.Builder
	covered, fields, all, safe, wrong := 0, map[string]bool{}, map[string]bool{}, 0, 0
	outcomes := map[review.Effect]int{}
	kinds := map[string]bool{}
	for _, r := range rows {
		fmt.Fprintln(&text, r)
		all[r.kind+" "+r.field] = true
		if !r.covered {
			continue
		}
		covered++
		kinds[r.kind] = true
		fields[r.kind+" "+r.field] = true
		outcomes[r.actual]++
		if r.predicted < r.actual {
			safe++
		}
		// What a default is, package review knows of some fields only, and takes the others for a change.
		if r.predicted < r.actual || r.predicted > r.actual && r.how != "default" {
			wrong++
			if wrong <= 200 {
				t.Error(r)
			}
		}
	}
	t.Logf("%d kinds, %d of %d fields covered, by %d changes: %v; %d not foreseen, %d of them taken for safer than they are",
		len(kinds), len(fields), len(all), covered, outcomes, wrong, safe)
	if *table != "" {
		if err := os.WriteFile(*table, []byte(text.String()), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// try finds a way of a mutation that the API server takes in a new object, and asks what happens to the one that is
// there.
func (w *world) try(ctx context.Context, s *subject, m mutation) (row, error) {
	r := row{kind: s.gvk().Kind, field: m.field, how: m.how, why: "there is no other value"}
	for changed := range m.trees {
		if gocmp.Equal(changed, s.tree) {
			continue
		}
		if err := w.create(ctx, changed); err != nil {
			if !refusal(err) {
				return r, err
			}
			r.why = err.Error()
			continue
		}
		r.covered, r.why, r.before, r.after = true, "", s.tree, changed
		var err error
		if r.actual, r.why, err = w.outcome(ctx, s, changed); err != nil {
			return r, err
		}
		before, err := yaml.Marshal(s.tree)
		if err != nil {
			return r, err
		}
		after, err := yaml.Marshal(changed)
		if err != nil {
			return r, err
		}
		if r.predicted, err = review.Foresee(before, after); err != nil {
			return r, err
		}
		return r, nil
	}
	return r, nil
}

// refusal tells whether an error is the API server's verdict on an object.
func refusal(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) || strings.Contains(err.Error(), "failed to create typed patch object")
}

// create asks whether an API server takes a new object.
func (w *world) create(ctx context.Context, o tree) error {
	u := &unstructured.Unstructured{Object: clone(o).(tree)}
	u.SetName(fmt.Sprintf("fresh-%d", w.fresh.Add(1)))
	if u.GetKind() == "Namespace" {
		u.SetName(u.GetName() + "-namespace")
	}
	r, err := w.resource(u)
	if err != nil {
		return err
	}
	body, err := u.MarshalJSON()
	if err != nil {
		return err
	}
	_, err = r.Patch(ctx, u.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
		FieldManager: manager, FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll},
	})
	return err
}

// outcome asks the provider and the API server what happens to an object that becomes another.
func (w *world) outcome(ctx context.Context, s *subject, changed tree) (review.Effect, string, error) {
	replaced, err := w.provider.replaces(ctx, s.live, s.tree, changed)
	if err != nil {
		return 0, "", err
	}
	if len(replaced) > 0 {
		return review.Replaces, strings.Join(replaced, ", "), nil
	}
	u := &unstructured.Unstructured{Object: changed}
	r, err := w.resource(u)
	if err != nil {
		return 0, "", err
	}
	body, err := u.MarshalJSON()
	if err != nil {
		return 0, "", err
	}
	got, err := r.Patch(ctx, u.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: manager, Force: new(true), DryRun: []string{metav1.DryRunAll}})
	switch {
	case err != nil && refusal(err):
		return review.Refused, err.Error(), nil
	case err != nil:
		return 0, "", err
	}
	if pods := template(s.live); pods != nil && !gocmp.Equal(pods, template(got.Object)) {
		return review.Restarts, "", nil
	}
	return review.InPlace, "", nil
}

// template is the pod template of a workload whose pods follow it.
func template(o tree) any {
	switch o["kind"] {
	case "Deployment", "StatefulSet", "DaemonSet":
		spec, _ := o["spec"].(tree)
		return spec["template"]
	}
	return nil
}

func (w *world) resource(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := u.GroupVersionKind()
	mapping, err := w.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return w.dynamic.Resource(mapping.Resource).Namespace(u.GetNamespace()), nil
	}
	return w.dynamic.Resource(mapping.Resource), nil
}

// apply makes a subject.
func (w *world) apply(t *testing.T, s *subject) {
	t.Helper()
	u := &unstructured.Unstructured{Object: s.tree}
	r, err := w.resource(u)
	if err != nil {
		t.Fatal(err)
	}
	body, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Patch(t.Context(), u.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: manager, Force: new(true)})
	if err != nil {
		t.Fatalf("%s/%s: %v", u.GetKind(), u.GetName(), err)
	}
	s.live = got.Object
}

// published reads what an API server publishes of the kinds that it serves.
func published(d discovery.DiscoveryInterface) (*schemas, error) {
	paths, err := d.OpenAPIV3().Paths()
	if err != nil {
		return nil, err
	}
	s := &schemas{map[string]*node{}, map[schema.GroupVersionKind]*node{}}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if path != "api/v1" && !strings.HasPrefix(path, "apis/") {
			continue
		}
		data, err := paths[path].Schema("application/json")
		if err != nil {
			return nil, err
		}
		var doc struct {
			Components struct {
				Schemas map[string]*node `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(data, &doc); err != nil {
			return nil, fmt.Errorf("reading the schema of %s: %w", path, err)
		}
		for name, n := range doc.Components.Schemas {
			s.components[name] = n
			for _, k := range n.Kinds {
				if len(n.Kinds) == 1 {
					s.kinds[schema.GroupVersionKind(k)] = n
				}
			}
		}
	}
	return s, nil
}

// defaults are mutations that write down what the API server sets by itself.
func (s *schemas) defaults(object, live tree) []mutation {
	m := &mutator{schemas: s, object: object}
	var walk func(is, has any, path []any)
	walk = func(is, has any, path []any) {
		switch has := has.(type) {
		case tree:
			fields, ok := is.(tree)
			if !ok {
				m.add(path, "default", has)
				return
			}
			for _, name := range slices.Sorted(maps.Keys(has)) {
				if len(path) > 0 || name != "apiVersion" && name != "kind" && name != "metadata" && name != "status" {
					walk(fields[name], has[name], append(slices.Clone(path), name))
				}
			}
		case []any:
			items, ok := is.([]any)
			if !ok || len(items) != len(has) {
				if is == nil {
					m.add(path, "default", has)
				}
				return
			}
			for i := range has {
				walk(items[i], has[i], append(slices.Clone(path), i))
			}
		default:
			if is == nil {
				m.add(path, "default", has)
			}
		}
	}
	walk(object, live, nil)
	return m.list
}
