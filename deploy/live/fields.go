package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// A note is one of those that the API server keeps of who wrote which fields of an object.
type note struct {
	metav1.ManagedFieldsEntry
	fields *fieldpath.Set
}

// notes reads those of an object.
func notes(entries []metav1.ManagedFieldsEntry) ([]note, error) {
	var all []note
	for _, e := range entries {
		n := note{e, &fieldpath.Set{}}
		if e.FieldsV1 != nil {
			if err := n.fields.FromJSON(bytes.NewReader(e.FieldsV1.GetRawBytes())); err != nil {
				return nil, fmt.Errorf("reading the fields of %s: %w", e.Manager, err)
			}
		}
		all = append(all, n)
	}
	return all, nil
}

// is tells whether a note is of what a manager applied.
func (n note) is(manager string) bool {
	return n.Manager == manager && n.Operation == metav1.ManagedFieldsOperationApply && n.Subresource == ""
}

// writer is the note of whoever wrote a field last; nil when nobody did.
func writer(all []note, path fieldpath.Path) *note {
	wrote := slices.DeleteFunc(slices.Clone(all), func(n note) bool { return !n.fields.Has(path) })
	if len(wrote) == 0 {
		return nil
	}
	last := slices.MaxFunc(wrote, note.compare)
	return &last
}

// compare orders notes by how much they say about who made something other than golden: that of whoever applies
// golden comes first, and the latest one last.
func (n note) compare(other note) int {
	switch {
	case n.is(manager) && !other.is(manager):
		return -1
	case !n.is(manager) && other.is(manager):
		return 1
	}
	return n.when().Compare(other.when())
}

// when is zero for what was written through a subresource such as scale: the API server does not say.
func (n note) when() time.Time {
	if n.Time == nil {
		return time.Time{}
	}
	return n.Time.UTC()
}

// by says who wrote what differs; nil says nothing.
func (d *Difference) by(n *note) {
	if n != nil {
		d.Manager, d.Time = n.Manager, n.when()
	}
}

// branches are all paths that lead to a field of a set, and the fields.
func branches(fields *fieldpath.Set) *fieldpath.Set {
	all := fieldpath.NewSet()
	fields.Iterate(func(path fieldpath.Path) {
		for n := range path {
			all.Insert(path[:n+1].Copy())
		}
	})
	return all
}

// topmost is the shortest beginning of a path that is in no branch; nil when all of it is.
func topmost(path fieldpath.Path, branches *fieldpath.Set) fieldpath.Path {
	for n := range path {
		if !branches.Has(path[:n+1]) {
			return path[:n+1]
		}
	}
	return nil
}

// at is the part of an object that a path leads to.
func at(tree any, path fieldpath.Path) (any, bool) {
	for _, step := range path {
		switch {
		case step.FieldName != nil:
			fields, _ := tree.(map[string]any)
			next, ok := fields[*step.FieldName]
			if !ok {
				return nil, false
			}
			tree = next
		case step.Index != nil:
			items, _ := tree.([]any)
			if *step.Index >= len(items) {
				return nil, false
			}
			tree = items[*step.Index]
		default:
			items, _ := tree.([]any)
			i := slices.IndexFunc(items, func(item any) bool { return picks(step, item) })
			if i < 0 {
				return nil, false
			}
			tree = items[i]
		}
	}
	return tree, true
}

// picks tells whether a step by key or by value leads to an item of a list.
func picks(step fieldpath.PathElement, item any) bool {
	if step.Value != nil {
		return value.Equals(*step.Value, value.NewValueInterface(item))
	}
	fields, ok := item.(map[string]any)
	if !ok || step.Key == nil {
		return false
	}
	for _, key := range *step.Key {
		if v, ok := fields[key.Name]; !ok || !value.Equals(key.Value, value.NewValueInterface(v)) {
			return false
		}
	}
	return true
}

var word = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// show writes a path as people do: .metadata.labels["app.kubernetes.io/name"],
// .spec.containers[name="api"].ports[containerPort=80,protocol="TCP"].
func show(path fieldpath.Path) string {
	var text strings.Builder
	for _, step := range path {
		switch {
		case step.FieldName != nil:
			text.WriteString(showField(*step.FieldName))
		case step.Index != nil:
			fmt.Fprintf(&text, "[%d]", *step.Index)
		case step.Value != nil:
			fmt.Fprintf(&text, "[%s]", literal((*step.Value).Unstructured()))
		case step.Key != nil:
			var keys []string
			for _, key := range *step.Key {
				keys = append(keys, key.Name+"="+literal(key.Value.Unstructured()))
			}
			fmt.Fprintf(&text, "[%s]", strings.Join(keys, ","))
		}
	}
	return text.String()
}

func showField(name string) string {
	if word.MatchString(name) {
		return "." + name
	}
	return "[" + literal(name) + "]"
}

// literal is a value as JSON has it, on one line.
func literal(v any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// diff tells each part in which two values differ: the deepest that both have, or the topmost that one has. A
// value that is not there is nil. Lists of different lengths differ as a whole, since the API server replaces them as
// a whole: those whose items it tells apart by a key never come here.
func diff(path string, golden, live any, tell func(path string, golden, live any)) {
	g, gok := golden.(map[string]any)
	l, lok := live.(map[string]any)
	if gok && lok {
		all := maps.Clone(g)
		maps.Copy(all, l)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			diff(path+showField(name), g[name], l[name], tell)
		}
		return
	}
	gs, gok := golden.([]any)
	ls, lok := live.([]any)
	if gok && lok && len(gs) == len(ls) {
		for i := range gs {
			diff(fmt.Sprintf("%s[%d]", path, i), gs[i], ls[i], tell)
		}
		return
	}
	if !reflect.DeepEqual(golden, live) {
		tell(path, golden, live)
	}
}
