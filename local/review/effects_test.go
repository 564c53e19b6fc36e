package review_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/clustertest"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/review"
	known "github.com/tenantry/tenantry/verify/schema"
)

var table = flag.String("table", "", "write what was asked and what came out of it into this file")

// A row is one field of one kind, changed in one way.
type row struct {
	kind, field, how string
	covered          bool // the API server takes such an object
	foreseen, actual review.Effect
	idle             bool // the API server has the same object as before
	why              string
}

func (r row) String() string {
	if !r.covered {
		return fmt.Sprintf("%s\t%s\t%s\tno value: %q", r.kind, r.field, r.how, r.why)
	}
	actual := r.actual.String()
	if r.idle {
		actual += ", and changes nothing"
	}
	return fmt.Sprintf("%s\t%s\t%s\tforeseen %s\tis %s\t%q", r.kind, r.field, r.how, r.foreseen, actual, r.why)
}

type world struct {
	dynamic  dynamic.Interface
	mapper   meta.RESTMapper
	provider *provider
	known    *known.Set
	requests atomic.Int64
}

// TestEffects changes, adds and removes every field of every kind that the fleets render, as far as a value is found
// that an API server takes, and holds what package review foresees against what happens. Where nothing happens at all,
// package review may take it for more. No operator runs here: of custom resources it is what their definitions say, their
// rules of transition included.
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
	if w.known, err = known.For(known.Newest()); err != nil {
		t.Fatal(err)
	}
	subjects := append(readGolden(t), others()...)
	var served *schemas
	if err := wait.PollUntilContextTimeout(t.Context(), time.Second, time.Minute, true, func(context.Context) (bool, error) {
		served, err = published(client.Discovery()) // that of a definition comes some time after it
		return err == nil && !slices.ContainsFunc(subjects, func(s *subject) bool { return served.kinds[s.gvk()] == nil }), err
	}); err != nil {
		t.Fatal(err)
	}
	w.apply(t, &subject{tree: tree{"apiVersion": "v1", "kind": "Namespace", "metadata": tree{"name": namespace}}})
	w.apply(t, &subject{tree: tree{ // of the claim, which grows
		"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": tree{"name": "x"}, "provisioner": "example.com/x", "allowVolumeExpansion": true,
	}})
	for i, s := range subjects {
		s.rename(i)
		w.apply(t, s)
	}
	w.provider = newProvider(t, c.Kubeconfig())
	for _, s := range subjects { // with what controllers make of it
		if err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			s.live, err = w.patch(ctx, &unstructured.Unstructured{Object: s.tree})
			status, _ := s.live["status"].(tree)
			return s.live["kind"] != "PersistentVolumeClaim" || status["phase"] == "Bound", err
		}); err != nil {
			t.Fatal(err)
		}
	}

	// What several objects of a kind have is asked of one, of the first of which there is an answer.
	jobs := map[string][]*mutation{}
	for _, s := range subjects {
		for _, m := range append(served.mutations(s), served.defaults(s)...) {
			key := fmt.Sprintf("%s %s %s", s.gvk(), m.field, m.how)
			jobs[key] = append(jobs[key], m)
		}
	}
	keys := slices.Sorted(maps.Keys(jobs))
	rows := make([][]row, len(keys))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(keys)); i = next.Add(1) - 1 {
				for _, m := range jobs[keys[i]] {
					var err error
					if rows[i], err = w.try(t.Context(), m); err != nil {
						t.Errorf("%s: %v", keys[i], err)
					} else if rows[i][0].covered {
						break
					}
				}
			}
		})
	}
	workers.Wait()
	t.Logf("%d requests", w.requests.Load())
	report(t, slices.Concat(rows...))
}

// report counts, and fails with every row that was not foreseen.
func report(t *testing.T, rows []row) {
	t.Helper()
	var text strings.Builder
	kinds, fields, asked := map[string]bool{}, map[string]bool{}, map[string]bool{}
	outcomes, changes, idle, cautious := map[review.Effect]int{}, 0, 0, 0
	for _, r := range rows {
		fmt.Fprintln(&text, r)
		name := r.kind + " " + r.field
		asked[name] = true
		if !r.covered {
			continue
		}
		kinds[r.kind], fields[name] = true, true
		outcomes[r.actual]++
		changes++
		if r.idle {
			idle++
		}
		switch {
		case r.foreseen == r.actual:
		case r.foreseen > r.actual && r.idle: // a default that is not known, an alias, a field that is not served yet
			cautious++
		default:
			t.Error(r)
		}
	}
	t.Logf("%d kinds, %d changes of %d fields: %d in place (of which %d change nothing, and %d of these are taken for a change), %d restart, %d replaced, %d refused; no value was found for %d fields",
		len(kinds), changes, len(fields), outcomes[review.InPlace], idle, cautious, outcomes[review.Restarts], outcomes[review.Replaces], outcomes[review.Refused], len(asked)-len(fields))
	if len(kinds) < 47 || len(fields) < 3300 || outcomes[review.Restarts] < 700 || outcomes[review.Replaces] < 200 || outcomes[review.Refused] < 25 {
		t.Error("that is less than there is")
	}
	if cautious > 30 {
		t.Error("that is more caution than needed: teach package review what else is a default")
	}
	if *table != "" {
		if err := os.WriteFile(*table, []byte(text.String()), 0o600); err != nil {
			t.Error(err)
		}
	}
}

const (
	// few are the values of a mutation of which each is looked at: package review may take one of them for a default.
	few = 15
	// patience is how many values the API server may refuse: where it takes one, it is one of the first.
	patience = 4
)

// try asks what happens with the first value that the API server takes, and with each of a few others of which package
// review foresees something else.
func (w *world) try(ctx context.Context, m *mutation) ([]row, error) {
	none := row{kind: m.gvk().Kind, field: m.field, how: m.how, why: "there is no other value"}
	var rows []row
	refused := map[bool]int{}
	for alone, changed := range m.trees {
		if refused[alone] == patience {
			continue
		}
		if problems := w.known.Validate(changed); len(problems) > 0 {
			none.why = fmt.Sprint(problems)
			continue
		}
		text, err := render.Encode(&unstructured.Unstructured{Object: changed})
		if err != nil {
			return nil, err
		}
		foreseen, err := review.Foresee(m.text, text)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(rows, func(r row) bool { return r.foreseen == foreseen }) {
			continue
		}
		r := row{kind: none.kind, field: m.field, how: m.how, covered: true, foreseen: foreseen}
		err = w.ask(ctx, m.subject, changed, refused[alone] > 0, &r)
		switch {
		case err == nil:
			if rows = append(rows, r); len(m.values) > few {
				return rows, nil
			}
		case refusal(err):
			none.why = err.Error()
			refused[alone]++
		default:
			return nil, err
		}
	}
	if rows == nil {
		rows = []row{none}
	}
	return rows, nil
}

// refusal tells whether an error is the API server's verdict on an object. What it cannot convert to its own types, it
// says with a status of 500.
func refusal(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) ||
		strings.Contains(err.Error(), "failed to create typed patch object") || strings.Contains(err.Error(), "unable to convert")
}

// ask asks the provider and the API server what happens to an object that becomes another. The error is a refusal
// where the API server does not take it as a new object either: with doubt, that is asked first.
func (w *world) ask(ctx context.Context, s *subject, changed tree, doubt bool, r *row) error {
	replaced, err := w.provider.replaces(ctx, s.live, s.tree, changed)
	if err != nil {
		return err
	}
	isNew := func() error {
		fresh := &unstructured.Unstructured{Object: clone(changed).(tree)}
		fresh.SetName("fresh")
		_, err := w.patch(ctx, fresh)
		return err
	}
	if len(replaced) > 0 {
		r.actual, r.why = review.Replaces, strings.Join(replaced, ", ")
		return isNew()
	}
	if doubt {
		if err := isNew(); err != nil {
			return err
		}
	}
	got, err := w.patch(ctx, &unstructured.Unstructured{Object: changed})
	switch {
	case err == nil:
	case !refusal(err):
		return err
	case doubt:
		r.actual, r.why = review.Refused, err.Error()
		return nil
	default:
		r.actual, r.why = review.Refused, err.Error()
		return isNew()
	}
	if pods := template(s.live); pods != nil && !equality.Semantic.DeepEqual(pods, template(got)) {
		r.actual = review.Restarts
	}
	r.idle = equality.Semantic.DeepEqual(content(got), content(s.live))
	return nil
}

// patch has the API server apply an object as Pulumi's provider does, and forget it.
func (w *world) patch(ctx context.Context, u *unstructured.Unstructured) (tree, error) {
	w.requests.Add(1)
	r, err := w.resource(u)
	if err != nil {
		return nil, err
	}
	body, err := u.MarshalJSON()
	if err != nil {
		return nil, err
	}
	got, err := r.Patch(ctx, u.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
		FieldManager: manager, Force: new(true), FieldValidation: metav1.FieldValidationStrict, DryRun: []string{metav1.DryRunAll},
	})
	if err != nil {
		return nil, err
	}
	return got.Object, nil
}

// content is what an object says of itself.
func content(o tree) tree {
	o = maps.Clone(o)
	delete(o, "metadata")
	delete(o, "status")
	return o
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
		if err := s.read(data); err != nil {
			return nil, fmt.Errorf("reading the schema of %s: %w", path, err)
		}
	}
	return s, nil
}

// defaults are mutations that write down what the API server sets by itself.
func (s *schemas) defaults(subject *subject) []*mutation {
	m := &mutator{schemas: s, subject: subject}
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
	walk(subject.tree, subject.live, nil)
	return m.list
}
