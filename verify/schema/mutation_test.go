package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	apischema "k8s.io/apimachinery/pkg/runtime/schema"
)

// A mutant is an object that was valid and is not: one thing in it was changed.
type mutant struct {
	class  string
	path   string // where the problem is
	object map[string]any
}

// A mutator goes through an object along its schema and makes all mutants that the schema tells of.
type mutator struct {
	set     *Set
	root    map[string]any
	seen    map[string]bool // class and path, without indices
	mutants []mutant
}

// add makes a mutant by change, which gets the value at path in a copy of the object and returns a new one. The
// problem is at path or below it.
func (m *mutator) add(class string, path []step, below string, change func(any) any) {
	name := strings.TrimPrefix((&walk{path: path}).at()+below, ".")
	var shape []step
	for _, s := range path {
		s.index = 0
		shape = append(shape, s)
	}
	id := class + (&walk{path: shape}).at() + strings.TrimRight(below, "0123456789]")
	if m.seen[id] {
		return
	}
	m.seen[id] = true
	m.mutants = append(m.mutants, mutant{class, name, edited(m.root, path, change).(map[string]any)})
}

// edited is a copy of a value in which what is at path is changed.
func edited(value any, path []step, change func(any) any) any {
	if len(path) == 0 {
		return change(value)
	}
	switch v := value.(type) {
	case map[string]any:
		v = maps.Clone(v)
		v[path[0].name] = edited(v[path[0].name], path[1:], change)
		return v
	case []any:
		v = slices.Clone(v)
		v[path[0].index] = edited(v[path[0].index], path[1:], change)
		return v
	default:
		panic(fmt.Sprintf("unhandled %T", v))
	}
}

func become(value any) func(any) any { return func(any) any { return value } }

func (m *mutator) value(n *node, value any, path []step) {
	n = m.set.resolve(n)
	path = slices.Clip(path)
	if !(n.Type == "" && !n.IntOrString && n.Format == "") {
		wrong := map[string]any{"object": "text", "array": "text", "string": 7, "integer": "text", "number": "text", "boolean": "text", "": map[string]any{}}[n.Type]
		m.add("type", path, "", become(wrong))
	}
	switch v := value.(type) {
	case map[string]any:
		m.object(n, v, path)
	case []any:
		m.list(n, v, path)
	case string:
		m.text(n, path)
	}
	if _, _, ok := toNumber(value); ok {
		if n.Minimum != nil {
			m.add("range", path, "", become(*n.Minimum-1))
		}
		if n.Maximum != nil {
			m.add("range", path, "", become(*n.Maximum+1))
		}
		switch n.Format {
		case "int32":
			m.add("format", path, "", become(math.MaxInt32+1.0))
		case "int64":
			m.add("format", path, "", become(math.MaxInt64*2.0))
		}
		if n.Type == "integer" {
			m.add("type", path, "", become(1.5))
		}
	}
	if n.Enum != nil {
		m.add("enum", path, "", become(map[bool]any{true: "Bogus", false: 7}[n.Type == "string"]))
	}
}

func (m *mutator) object(n *node, fields map[string]any, path []step) {
	if n.AdditionalProperties == nil && !n.PreserveUnknown {
		m.add("unknown", path, ".bogusField", func(o any) any {
			o = maps.Clone(o.(map[string]any))
			o.(map[string]any)["bogusField"] = "x"
			return o
		})
	}
	for _, name := range n.Required {
		if field := n.Properties[name]; field != nil && field.Default != nil {
			continue // a server adds it
		}
		m.add("required", path, "."+name, func(o any) any {
			o = maps.Clone(o.(map[string]any))
			delete(o.(map[string]any), name)
			return o
		})
	}
	for name, value := range fields {
		switch {
		case n.Properties[name] != nil:
			m.value(n.Properties[name], value, append(path, step{name: name}))
		case n.AdditionalProperties != nil:
			m.value(n.AdditionalProperties, value, append(path, step{name: name, key: true}))
		}
	}
}

func (m *mutator) list(n *node, items []any, path []step) {
	again := func(items any) any { return append(slices.Clone(items.([]any)), items.([]any)[0]) }
	if n.ListType != "" && len(items) > 0 {
		m.add("duplicate", path, fmt.Sprintf("[%d]", len(items)), again)
	}
	if n.MinItems != nil && *n.MinItems > 0 {
		m.add("size", path, "", become([]any{}))
	}
	if n.MaxItems != nil && len(items) > 0 {
		m.add("size", path, "", func(items any) any {
			for len(items.([]any)) <= *n.MaxItems {
				items = again(items)
			}
			return items
		})
	}
	for i, item := range items {
		m.value(n.Items, item, append(path, step{index: i}))
	}
}

func (m *mutator) text(n *node, path []step) {
	if n.MinLength != nil && *n.MinLength > 0 {
		m.add("size", path, "", become(""))
	}
	if n.MaxLength != nil {
		m.add("size", path, "", become(strings.Repeat("x", *n.MaxLength+1)))
	}
	if n.pattern != nil {
		m.add("pattern", path, "", become("no such\x00text!"))
	}
	if n.Format != "" && n.Format != "int32" {
		m.add("format", path, "", become("no such text!"))
	}
}

// mutantsOf returns the mutants of all golden objects, each change once for each kind of object.
func mutantsOf(t testing.TB) map[apischema.GroupVersionKind][]mutant {
	t.Helper()
	seen := map[apischema.GroupVersionKind]map[string]bool{}
	mutants := map[apischema.GroupVersionKind][]mutant{}
	for _, g := range goldens(t) {
		kind, problem := g.set.kindOf(g.object)
		if problem != nil {
			t.Fatal(problem)
		}
		if seen[kind] == nil {
			seen[kind] = map[string]bool{}
		}
		m := &mutator{set: g.set, root: g.object, seen: seen[kind]}
		schema := g.set.kinds[kind].Schema
		m.object(schema, g.object, nil)
		mutants[kind] = append(mutants[kind], m.mutants...)
	}
	return mutants
}

func TestMutations(t *testing.T) {
	set, err := For("1.37")
	if err != nil {
		t.Fatal(err)
	}
	classes := map[string]int{}
	for kind, list := range mutantsOf(t) {
		for _, m := range list {
			if m.path == "apiVersion" || m.path == "kind" {
				continue // TestUnknownKind
			}
			classes[m.class]++
			problems := set.Validate(m.object)
			if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Path == m.path }) {
				text, _ := json.Marshal(m.object)
				t.Errorf("%s: nothing is wrong at %s (%s): %v\n%.2000s", say(kind), m.path, m.class, problems, text)
			}
			if len(problems) > 3 && m.class != "size" { // a list that is too long says things twice
				t.Errorf("%s: one change at %s (%s) is told as %d problems: %v", say(kind), m.path, m.class, len(problems), problems)
			}
		}
	}
	// A schema that has lost what it demands has no mutants. Golden files come and go: about half of today's.
	for class, least := range map[string]int{
		"unknown": 200, "type": 800, "required": 100, "enum": 40, "duplicate": 15, "pattern": 25, "range": 4, "size": 25, "format": 70,
	} {
		if classes[class] < least {
			t.Errorf("%d mutants of %s, less than %d", classes[class], class, least)
		}
	}
	t.Logf("%v", classes)
}
