package render_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// TestDecodeGolden decodes everything that is rendered, and none of it by way of YAML.
func TestDecodeGolden(t *testing.T) {
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range units {
		for _, f := range u.Files {
			tree, ok := render.Decode(f.YAML)
			if !ok {
				t.Errorf("%s/%s/%s is not read", u.Fleet, u.Name, f.Name)
				continue
			}
			if diff := cmp.Diff(fromYAML(t, f.YAML), tree); diff != "" {
				t.Errorf("%s/%s/%s (-YAML +Decode):\n%s", u.Fleet, u.Name, f.Name, diff)
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, row := range []struct{ text, why string }{
		{"", "nothing"},
		{"a: 1", "the last line does not end"},
		{"a: 1\n---\n", "a second document"},
		{"b: 1\na: 2\n", "keys in another order, so that two could be the same"},
		{"a: 1\na: 2\n", "a key twice"},
		{"a: yes\n", "a boolean to some readers"},
		{"a: 0x10\n", "a number in other words"},
		{"a: 010\n", "an octal number to some readers"},
		{"a: 1.0\n", "an integer to Kubernetes"},
		{"a: 1e3\n", "a number in other words"},
		{"a: null\n", "nothing to appliers"},
		{"a: 'b'\n", "other quotes"},
		{"a: &x b\n", "an anchor"},
		{"a: {b: 1}\n", "flow style"},
		{"a: b # c\n", "a comment"},
		{"# c\na: b\n", "a comment"},
		{"a:\n    b: 1\n", "another indentation"},
		{"a:\n  - b\n", "another indentation"},
		{"a:\n", "null"},
		{"a: \n", "null"},
		{"a: b \n", "a blank at the end"},
		{"a: >\n  b\n", "a folded block"},
		{"a: |-\n  b\n", "a block of one line, which Encode writes as it is"},
		{"a: |+\n  b\n  c\n\n", "line breaks at the end"},
		{"a: \"\\x41\"\n", "another escape"},
		{"a: \"\\ud800\"\n", "half a rune"},
		{"a: \"b\n  c\"\n", "text that is folded"},
		{"a: \"b\tc\"\n", "a tab as it is"},
		{"a: \xff\n", "no UTF-8"},
		{"- a\n", "no map"},
		{"a: b\r\n", "line ends of another kind"},
		{"a:\n" + string(bytes.Repeat([]byte("- "), 100_000)) + "b\n", "deeper than any API"},
	} {
		if tree, ok := render.Decode([]byte(row.text)); ok {
			t.Errorf("%.40q, %s: decoded to %v", row.text, row.why, tree)
		}
	}
}

// FuzzDecode looks for text that means something else to a reader of YAML.
func FuzzDecode(f *testing.F) {
	units, err := render.Units(tenants.Fleets()[:1])
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(units[0].Files, units[1].Files...) {
		f.Add(file.YAML)
	}
	for _, text := range []string{
		"a: |-\n  b\n\n  c\nd: |\n  e\n  f\n", "a:\n- - 1\n  - b: c\n    d:\n    - e\n- {}\n", "\"<<\": 1\n", "\"a: b\": -0.5\n", "a: \"\\u0007\\\"\\U0001f600\"\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, ok := render.Decode(text)
		if !ok {
			return
		}
		if diff := cmp.Diff(fromYAML(t, text), tree); diff != "" {
			t.Fatalf("(-YAML +Decode):\n%s", diff)
		}
	})
}

func fromYAML(t *testing.T, text []byte) map[string]any {
	t.Helper()
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatalf("no YAML: %v", err)
	}
	var tree map[string]any
	if err := json.Unmarshal(asJSON, &tree); err != nil {
		t.Fatal(err)
	}
	return tree
}

func BenchmarkDecode(b *testing.B) {
	units, err := render.Units([]render.Fleet{fleet(tenant("acme"))})
	if err != nil {
		b.Fatal(err)
	}
	files := units[1].Files
	size := int64(0)
	for _, f := range files {
		size += int64(len(f.YAML))
	}
	b.Run("render", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			for _, f := range files {
				if _, ok := render.Decode(f.YAML); !ok {
					b.Fatal("not read")
				}
			}
		}
	})
	b.Run("sigs.k8s.io-yaml", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			for _, f := range files {
				var tree map[string]any
				if err := yaml.Unmarshal(f.YAML, &tree); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
