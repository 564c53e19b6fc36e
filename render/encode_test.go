package render

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// awkward are texts that some YAML reader takes for something else, and texts that need care in a block.
var awkward = []string{
	"", " ", "yes", "No", "on", "y", "true", "null", "~", "1", "-1", "+1", "1.0", ".5", "1e3", "1E3", "0x1f", "0o7", "0b1", "1_000", "12:30:45", "190:20:30",
	"2026-01-01", "2026-01-01T00:00:00Z", ".inf", "-.inf", ".nan", ".NaN", "=", "<<", "-", "- a", "? a", ": a", "a: b", "a:", "a #b", "#a", "&a", "*a", "!a", "%a", "@a", "`a",
	"[a]", "{a}", "a, b", "|", ">", "'a'", `"a"`, `a\b`, "50Gi", "250m", "10.0.0.0/8", "1.5Gi", "30s", "1e3Mi", "::1", "a::b", "sha-1a2b3c4", "1234567e8", "00", "08", "0.1.2",
	"\ttab", "tab\t", "a\tb", " lead", "trail ", "a\nb", "a\nb\n", "a\n\nb\n\n", "\na", "a\n b\n  c\n", " a\nb", "a \nb", "a\n \nb", "---", "...", "--- a", "a\n---\nb", "a\r\nb",
	"\u0085", "\u00a0", "\u2028", "\ufeff", "\u007f", "é", "日本", "😀", "\U000e0001", "\x00", "#!/bin/sh\nset -eu\n",
}

// read is the tree that independent readers see in YAML.
func read(t *testing.T, text []byte) any {
	t.Helper()
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	return tree
}

// canonical is the same tree read as JSON.
func canonical(t *testing.T, tree any) any {
	t.Helper()
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var again any
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	return again
}

func TestEmitterKeepsEveryText(t *testing.T) {
	for _, s := range awkward {
		tree := map[string]any{
			"value":  s,
			"key":    map[string]any{"k" + s: "v"},
			"list":   []any{s, []any{s}, map[string]any{"a": s, "b": []any{s}}},
			"nested": map[string]any{"deep": map[string]any{"er": s}, "z": "end"},
		}
		out := appendMap(nil, tree, 0)
		if got, want := read(t, out), canonical(t, tree); !reflect.DeepEqual(got, want) {
			t.Errorf("%q reads back as %v from:\n%s", s, got, out)
		}
	}
}

func TestEmitterLooksAsPeopleWriteIt(t *testing.T) {
	tree := map[string]any{
		"image": "registry.example.com/api:v1.2", "size": "50Gi", "cpu": "250m", "yes": "yes", "number": json.Number("7"), "text": "7",
		"script": "set -eu\necho\n", "chomped": "a\nb", "list": []any{map[string]any{"a": "b", "c": json.Number("1")}, "d"}, "empty": map[string]any{}, "none": []any{}, "cidr": "10.0.0.0/8",
	}
	want := `chomped: |-
  a
  b
cidr: 10.0.0.0/8
cpu: 250m
empty: {}
image: registry.example.com/api:v1.2
list:
- a: b
  c: 1
- d
none: []
number: 7
script: |
  set -eu
  echo
size: 50Gi
text: "7"
"yes": "yes"
`
	if got := string(appendMap(nil, tree, 0)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func FuzzEmitter(f *testing.F) {
	for _, s := range awkward {
		text, err := json.Marshal(map[string]any{"a": s, s: []any{s, map[string]any{"b": s}}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var tree map[string]any
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&tree) != nil || len(tree) == 0 || lossless("", tree) != nil || hasFloat(tree) {
			return
		}
		out := appendMap(nil, tree, 0)
		if got, want := read(t, out), canonical(t, tree); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v\nreads back as\n%v\nfrom:\n%s", want, got, out)
		}
	})
}

// hasFloat leaves out what readers of YAML round differently from readers of JSON: 1e400, 1E+2.
func hasFloat(value any) bool {
	switch v := value.(type) {
	case json.Number:
		_, err := v.Int64()
		return err != nil
	case map[string]any:
		for _, item := range v {
			if hasFloat(item) {
				return true
			}
		}
	case []any:
		if slices.ContainsFunc(v, hasFloat) {
			return true
		}
	}
	return false
}

func TestEncodeRefusesWhatAppliersLose(t *testing.T) {
	for _, row := range []struct {
		reason string
		spec   any
		want   string
	}{
		{"appliers drop nulls", map[string]any{"a": []any{nil}}, "spec.a[0] is null"},
		{"JSON readers round it", map[string]any{"a": int64(1<<53 + 1)}, "spec.a is an integer beyond 2^53"},
		{"the largest that is kept", map[string]any{"a": int64(1 << 53)}, ""},
	} {
		_, err := Encode(&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Thing", "spec": row.spec}})
		if got := ""; err != nil {
			got = err.Error()
			if row.want == "" || !strings.Contains(got, row.want) {
				t.Errorf("%s: got %q, want %q", row.reason, got, row.want)
			}
		} else if row.want != "" {
			t.Errorf("%s: got no error, want %q", row.reason, row.want)
		}
	}
}

func TestEncodeLeavesOutWhatNobodySaid(t *testing.T) {
	pod := &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Name: "a"}}
	pod.Spec.Containers = []corev1.Container{{Name: "c"}}
	pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	got, err := Encode(pod)
	if err != nil {
		t.Fatal(err)
	}
	want := `apiVersion: v1
kind: Pod
metadata:
  name: a
spec:
  containers:
  - name: c
    resources: {}
  volumes:
  - emptyDir: {}
    name: v
`
	if string(got) != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
