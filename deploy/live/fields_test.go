package live

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/yaml"
)

func fields(t *testing.T, json string) *fieldpath.Set {
	t.Helper()
	set := &fieldpath.Set{}
	if err := set.FromJSON(strings.NewReader(json)); err != nil {
		t.Fatal(err)
	}
	return set
}

func object(t *testing.T, text string) any {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestTopmost tells where a field that was added begins.
func TestTopmost(t *testing.T) {
	golden := fields(t, `{"f:metadata":{"f:labels":{"f:app.kubernetes.io/name":{}}},"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:port":{}}},"f:emptyDir":{}}}`)
	for _, test := range []struct {
		name, added string
		want        []string
	}{
		{"a label beside others", `{"f:metadata":{"f:labels":{".":{},"f:a.example.com/b":{},"f:plain":{}}}}`, []string{`.metadata.labels.plain`, `.metadata.labels["a.example.com/b"]`}},
		{"the first annotation", `{"f:metadata":{"f:annotations":{".":{},"f:a":{}}}}`, []string{`.metadata.annotations.a`}},
		{"a finalizer", `{"f:metadata":{"f:finalizers":{".":{},"v:\"example.com/x\"":{}}}}`, []string{`.metadata.finalizers["example.com/x"]`}},
		{"an item of a list", `{"f:spec":{"f:ports":{"k:{\"port\":81,\"protocol\":\"TCP\"}":{".":{},"f:port":{},"f:name":{}}}}}`, []string{`.spec.ports[port=81,protocol="TCP"]`}},
		{"a field of an item", `{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:nodePort":{}}}}}`, []string{`.spec.ports[port=80,protocol="TCP"].nodePort`}},
		{"something in an empty field", `{"f:spec":{"f:emptyDir":{"f:medium":{}}}}`, []string{`.spec.emptyDir.medium`}},
		{"a whole branch", `{"f:other":{"f:deep":{"f:deeper":{}}}}`, []string{`.other`}},
		{"an index", `{"f:spec":{"f:list":{"i:0":{}}}}`, []string{`.spec.list`}},
		{"what golden has", `{"f:metadata":{"f:labels":{"f:app.kubernetes.io/name":{}}},"f:spec":{"f:ports":{".":{},"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{}}}}}`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			known := branches(golden.Union(itemised))
			var got []string
			fields(t, test.added).Iterate(func(path fieldpath.Path) {
				if top := topmost(path, known); top != nil {
					got = append(got, show(top))
				}
			})
			slices.Sort(got)
			if diff := cmp.Diff(test.want, slices.Compact(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAt(t *testing.T) {
	tree := object(t, `{spec: {ports: [{port: 80, protocol: UDP, name: a}, {port: 80, protocol: TCP, name: b}], set: [v, w], list: [1, 2]}}`)
	for path, want := range map[string]any{
		`{"f:spec":{"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{"f:name":{}}}}}`: "b",
		`{"f:spec":{"f:ports":{"k:{\"port\":81,\"protocol\":\"TCP\"}":{"f:name":{}}}}}`: nil,
		`{"f:spec":{"f:set":{"v:\"w\"":{}}}}`:                                           "w",
		`{"f:spec":{"f:set":{"v:\"z\"":{}}}}`:                                           nil,
		`{"f:spec":{"f:list":{"i:1":{}}}}`:                                              float64(2),
		`{"f:spec":{"f:list":{"i:2":{}}}}`:                                              nil,
		`{"f:spec":{"f:set":{"f:v":{}}}}`:                                               nil,
		`{"f:nosuch":{"f:x":{}}}`:                                                       nil,
	} {
		fields(t, path).Iterate(func(path fieldpath.Path) {
			if got, ok := at(tree, path); got != want || ok != (want != nil) {
				t.Errorf("%s is %v, %v; want %v", show(path), got, ok, want)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	for _, test := range []struct {
		name, golden, live string
		want               []string
	}{
		{"the same", `{a: [1, {b: 2}], c: {}}`, `{c: {}, a: [1, {b: 2}]}`, nil},
		{"a value", `{a: {b: 1, c: 2}}`, `{a: {b: 1, c: "2"}}`, []string{`.a.c: 2 → "2"`}},
		{"a field less", `{a: {b: 1}}`, `{a: {}}`, []string{`.a.b: 1 → null`}},
		{"a field more", `{a: {}}`, `{a: {"b/c": {d: 1}}}`, []string{`.a["b/c"]: null → {"d":1}`}},
		{"in an item", `[{a: 1}, {a: 2}]`, `[{a: 1}, {a: 3}]`, []string{`[1].a: 2 → 3`}},
		{"an item more", `{l: [1]}`, `{l: [1, 2]}`, []string{`.l: [1] → [1,2]`}},
		{"another shape", `{l: [1]}`, `{l: {"0": 1}}`, []string{`.l: [1] → {"0":1}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			diff("", object(t, test.golden), object(t, test.live), func(path string, golden, live any) {
				got = append(got, path+": "+literal(golden)+" → "+literal(live))
			})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWriter tells whose name stands beside a field that several wrote.
func TestWriter(t *testing.T) {
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, minute string, fields string) metav1.ManagedFieldsEntry {
		e := metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, FieldsV1: &metav1.FieldsV1{}}
		e.FieldsV1.SetRawBytes([]byte(fields))
		if minute != "" {
			e.Time = new(metav1.Time)
			if err := e.Time.UnmarshalQueryParameter("2026-11-23T15:" + minute + ":00Z"); err != nil {
				t.Fatal(err)
			}
		}
		return e
	}
	all, err := notes([]metav1.ManagedFieldsEntry{
		entry(manager, metav1.ManagedFieldsOperationApply, "30", `{"f:a":{},"f:b":{},"f:c":{}}`),
		entry("early", metav1.ManagedFieldsOperationUpdate, "10", `{"f:a":{},"f:b":{}}`),
		entry("late", metav1.ManagedFieldsOperationUpdate, "20", `{"f:b":{}}`),
		entry(manager, metav1.ManagedFieldsOperationUpdate, "", `{"f:d":{}}`), // not what golden is applied by
	})
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{"a": "early", "b": "late", "c": manager, "d": manager, "e": ""} {
		got := ""
		if n := writer(all, fieldpath.MakePathOrDie(field)); n != nil {
			got = n.Manager
		}
		if got != want {
			t.Errorf("%s was written by %q, want %q", field, got, want)
		}
	}
	if n := writer(all, fieldpath.MakePathOrDie("d")); !n.when().IsZero() {
		t.Errorf("d was written at %s", n.when())
	}
	if all[3].is(manager) {
		t.Error("an update is taken for what was applied")
	}
	if _, err := notes([]metav1.ManagedFieldsEntry{entry("x", "Update", "", `{"broken`)}); err == nil {
		t.Error("fields that cannot be read are taken for none")
	}
}
