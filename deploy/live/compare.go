package live

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/tenantry/tenantry/render"
)

// manager is who applies golden files.
const manager = "tenantry"

var (
	secrets  = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	secret   = schema.GroupKind{Kind: "Secret"}
	replicas = fieldpath.MakePathOrDie("spec", "replicas")

	// Of these each item is told by itself, whether golden has any or not.
	itemised = fieldpath.NewSet(
		fieldpath.MakePathOrDie("metadata", "annotations"),
		fieldpath.MakePathOrDie("metadata", "finalizers"),
		fieldpath.MakePathOrDie("metadata", "labels"),
	)
)

// A comparison is of one golden object with the live one.
type comparison struct {
	unit   render.Unit
	golden render.Object
	kind   schema.GroupKind
	live   map[string]any
	notes  []note         // of the live object
	fields *fieldpath.Set // of golden
	report Report
}

// compare tells how the live object differs from a golden file, or that there is none.
func (c *Cluster) compare(ctx context.Context, unit render.Unit, file render.File, scaled map[string]autoscalingv2.HorizontalPodAutoscalerSpec) (Report, error) {
	x := &comparison{unit: unit, golden: file.Object, kind: file.Object.GetObjectKind().GroupVersionKind().GroupKind(), fields: fieldpath.NewSet()}
	live, err := c.look(ctx, x)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", x.name(), err)
	}
	if live == nil {
		x.tell(Difference{What: Missing})
		return x.report, nil
	}
	x.live = live.Object
	if x.notes, err = notes(live.GetManagedFields()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", x.name(), err)
	}
	if at := live.GetDeletionTimestamp(); at != nil {
		x.tell(Difference{What: Added, Path: ".metadata.deletionTimestamp", Live: at.UTC().Format(time.RFC3339)})
	}
	applied, err := c.try(ctx, x, file.YAML)
	switch status, refused := errors.AsType[*apierrors.StatusError](err); {
	case refused && apierrors.IsInvalid(err):
		x.refused(status)
	case err != nil:
		return nil, fmt.Errorf("comparing %s with golden: %w", x.name(), x.harmless(err))
	default:
		all, err := notes(applied.GetManagedFields())
		if err != nil {
			return nil, fmt.Errorf("comparing %s with golden: %w", x.name(), err)
		}
		for _, n := range all {
			if n.is(x.manager()) {
				x.fields = n.fields
			}
		}
		if x.fields.Empty() {
			return nil, fmt.Errorf("comparing %s with golden: the API server keeps no note of who writes what", x.name())
		}
		x.changed(applied.Object)
	}
	scaler, autoscaled := scaled[x.name()]
	if !x.fields.Empty() {
		x.added(autoscaled)
	}
	if autoscaled {
		x.stopped(scaler)
	}
	if x.kind == secret {
		x.keys()
	}
	x.report.sort()
	return x.report, nil
}

func (x *comparison) name() string { return id(x.kind.Kind, x.golden) }

// manager is in whose name golden is tried. A golden Secret has no data: tried in the name of who applied the
// data, it would take it away, which an immutable Secret and some types refuse.
func (x *comparison) manager() string {
	if x.kind == secret {
		return manager + "-drift"
	}
	return manager
}

// look reads the live object, of a Secret only the metadata; nil when there is none.
func (c *Cluster) look(ctx context.Context, x *comparison) (*unstructured.Unstructured, error) {
	if x.kind != secret {
		return c.Get(ctx, x.golden)
	}
	found, err := c.secret(x).Get(ctx, x.golden.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return tree(found, err)
}

// try is what the live object would be if golden was applied.
func (c *Cluster) try(ctx context.Context, x *comparison, yaml []byte) (*unstructured.Unstructured, error) {
	options := metav1.PatchOptions{
		FieldManager: x.manager(), Force: new(true), DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationIgnore,
	}
	if x.kind == secret {
		return tree(c.secret(x).Patch(ctx, x.golden.GetName(), types.ApplyYAMLPatchType, yaml, options))
	}
	resource, err := c.resource(x.golden)
	if err != nil {
		return nil, err
	}
	return resource.Patch(ctx, x.golden.GetName(), types.ApplyYAMLPatchType, yaml, options)
}

// secret is where a Secret's metadata is served: no value leaves the API server.
func (c *Cluster) secret(x *comparison) metadata.ResourceInterface {
	return c.metadata.Resource(secrets).Namespace(x.golden.GetNamespace())
}

func tree(o *metav1.PartialObjectMetadata, err error) (*unstructured.Unstructured, error) {
	if err != nil {
		return nil, err
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	return &unstructured.Unstructured{Object: fields}, err
}

// tell adds a difference to the report.
func (x *comparison) tell(d Difference) {
	d.Fleet, d.Unit, d.Object = x.unit.Fleet, x.unit.Name, x.name()
	if x.kind == secret { // an annotation can hold all of it: kubectl apply makes such a one
		d.Golden, d.Live, d.Reason = nil, nil, ""
	}
	x.report = append(x.report, d)
}

// harmless is an error that cannot hold the value of a Secret: API servers and their webhooks echo bodies.
func (x *comparison) harmless(err error) error {
	if status, ok := errors.AsType[*apierrors.StatusError](err); ok && x.kind == secret {
		return fmt.Errorf("the API server answers %d %s", status.Status().Code, status.Status().Reason)
	}
	return err
}

// refused tells why golden cannot be applied over the live object, such as a selector that cannot be changed.
// What golden's fields are is not known then: those that were applied last stand for them, if any were.
func (x *comparison) refused(err *apierrors.StatusError) {
	for _, n := range x.notes {
		if n.is(manager) {
			x.fields = n.fields
		}
	}
	details := err.Status().Details
	if details == nil || len(details.Causes) == 0 {
		x.tell(Difference{What: Refused, Reason: err.Status().Message})
		return
	}
	for _, cause := range details.Causes {
		x.tell(Difference{What: Refused, Path: "." + cause.Field, Reason: cause.Message})
	}
}

// changed tells which fields of golden have another value, or none.
func (x *comparison) changed(applied map[string]any) {
	told := map[string]bool{}
	x.fields.Leaves().Iterate(func(path fieldpath.Path) {
		golden, ok := at(applied, path)
		if !ok {
			return // all of a Secret but its metadata
		}
		live, ok := at(x.live, path)
		n := len(path)
		if !ok {
			for n = 1; ; n++ {
				if _, ok := at(x.live, path[:n]); !ok {
					break
				}
			}
			golden, _ = at(applied, path[:n])
		}
		if told[show(path[:n])] {
			return
		}
		diff(show(path[:n]), golden, live, func(part string, golden, live any) {
			told[show(path[:n])] = true
			d := Difference{What: Changed, Path: part, Golden: golden, Live: live}
			switch {
			case live == nil:
				d.What = Removed
			case golden == nil:
				d.What = Added
			}
			d.by(writer(x.notes, path))
			x.tell(d)
		})
	})
}

// added tells the fields that golden has not, by who wrote them: a field that nobody wrote is a default.
func (x *comparison) added(autoscaled bool) {
	known := branches(x.fields.Union(itemised))
	found := map[string]*note{}
	values := map[string]any{}
	for i := range x.notes {
		n := &x.notes[i]
		n.fields.Difference(x.fields).Iterate(func(path fieldpath.Path) {
			top := topmost(path, known)
			switch {
			case top == nil,
				x.kind == secret && (*top[0].FieldName == "data" || *top[0].FieldName == "stringData"),               // see keys
				n.is(manager) && len(top) == 3 && strings.HasPrefix(show(top), `.metadata.annotations["pulumi.com/`), // Pulumi's, for itself
				autoscaled && top.Equals(replicas), // see stopped
				theirs(x.kind, show(top)):
				return
			}
			value, ok := at(x.live, top)
			if !ok && x.kind != secret && n.APIVersion == x.live["apiVersion"] {
				return // a field that is not written when it is empty
			}
			if last := found[show(top)]; last == nil || last.compare(*n) < 0 {
				found[show(top)], values[show(top)] = n, value
			}
		})
	}
	for path, n := range found {
		d := Difference{What: Added, Path: path, Live: values[path]}
		d.by(n)
		x.tell(d)
	}
}

// stopped tells that nothing runs of what an autoscaler scales: it does not begin again by itself, and the API
// server keeps no note of who changed a number that nobody had written. Any other number is the autoscaler's
// to choose, who puts back what a person chose.
func (x *comparison) stopped(scaler autoscalingv2.HorizontalPodAutoscalerSpec) {
	least := int64(1)
	if scaler.MinReplicas != nil {
		least = int64(*scaler.MinReplicas)
	}
	if n, _ := at(x.live, replicas); n != int64(0) || least == 0 || x.fields.Has(replicas) {
		return
	}
	d := Difference{What: Changed, Path: show(replicas), Golden: least, Live: int64(0)}
	d.by(writer(x.notes, replicas))
	x.tell(d)
}

// autoscaled are the objects of a unit whose number of replicas is an autoscaler's, and its bounds.
func autoscaled(unit render.Unit) map[string]autoscalingv2.HorizontalPodAutoscalerSpec {
	scaled := map[string]autoscalingv2.HorizontalPodAutoscalerSpec{}
	for _, file := range unit.Files {
		if scaler, ok := file.Object.(*autoscalingv2.HorizontalPodAutoscaler); ok {
			scaled[scaler.Namespace+"/"+scaler.Spec.ScaleTargetRef.Kind+"/"+scaler.Spec.ScaleTargetRef.Name] = scaler.Spec
		}
	}
	return scaled
}

// keys tells which keys a Secret lacks, has too many, or has from somebody else. Which it has is known from who
// wrote them.
func (x *comparison) keys() {
	written := map[string][]note{}
	for _, n := range x.notes {
		for _, field := range []string{"data", "stringData"} {
			n.fields.WithPrefix(fieldpath.FieldNameElement(field)).Iterate(func(path fieldpath.Path) {
				key := *path[0].FieldName
				written[key] = append(written[key], n)
			})
		}
	}
	tell := func(what What, key string, by *note) {
		d := Difference{What: what, Path: show(fieldpath.MakePathOrDie("data", key))}
		d.by(by)
		x.tell(d)
	}
	wanted := map[string]bool{}
	for name := range x.golden.GetAnnotations() {
		key, ok := strings.CutPrefix(name, render.SecretPrefix)
		if !ok {
			continue
		}
		wanted[key] = true
		if all := written[key]; len(all) == 0 {
			tell(Removed, key, nil)
		} else if by := stranger(all, key); by != nil {
			tell(Changed, key, by)
		}
	}
	for key, all := range written {
		if !wanted[key] {
			last := slices.MaxFunc(all, note.compare)
			tell(Added, key, &last)
		}
	}
}

// stranger is the note of whoever the value of a key is from, if that is not who applies golden. A value that
// somebody applied as stringData leaves the older note of whose it was, so that there time decides.
func stranger(all []note, key string) *note {
	slices.SortFunc(all, note.compare)
	last := all[len(all)-1]
	ours := slices.IndexFunc(all, func(n note) bool { return n.is(manager) })
	if last.is(manager) || ours >= 0 && (!last.fields.Has(fieldpath.MakePathOrDie("stringData", key)) || last.when().Before(all[ours].when())) {
		return nil
	}
	return &last
}
