package review_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A node is a part of the schema that an API server publishes.
type node struct {
	Ref         string           `json:"$ref"`
	AllOf       []*node          `json:"allOf"`
	Type        string           `json:"type"`
	Format      string           `json:"format"`
	Enum        []any            `json:"enum"`
	Pattern     string           `json:"pattern"`
	Properties  map[string]*node `json:"properties"`
	Additional  json.RawMessage  `json:"additionalProperties"`
	Items       *node            `json:"items"`
	Required    []string         `json:"required"`
	IntOrString bool             `json:"x-kubernetes-int-or-string"`
	MapKeys     []string         `json:"x-kubernetes-list-map-keys"`
	OneOf       []*node          `json:"oneOf"`
	Kinds       []struct {
		Group, Version, Kind string
	} `json:"x-kubernetes-group-version-kind"`
}

// schemas are what the API server publishes of the kinds that it serves.
type schemas struct {
	components map[string]*node
	kinds      map[schema.GroupVersionKind]*node
}

// readSchemas reads what an API server publishes of Kubernetes' own kinds: it stands in the module that the control
// plane is built from.
func readSchemas(t *testing.T) *schemas {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "-C", "../controlplane", "mod", "download", "-json", "k8s.io/kubernetes")
	download.Env = append(os.Environ(), "GOWORK=off")
	out, err := download.Output()
	if err != nil {
		t.Fatalf("downloading the module of Kubernetes: %v\n%s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(module.Dir, "api", "openapi-spec", "v3", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	s := &schemas{map[string]*node{}, map[schema.GroupVersionKind]*node{}}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.read(data); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if len(s.kinds) == 0 {
		t.Fatal("no schemas were found")
	}
	return s
}

// read adds a document of OpenAPI.
func (s *schemas) read(data []byte) error {
	var doc struct {
		Components struct {
			Schemas map[string]*node `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	for name, n := range doc.Components.Schemas {
		s.components[name] = n
		if len(n.Kinds) == 1 {
			s.kinds[schema.GroupVersionKind(n.Kinds[0])] = n
		}
	}
	return nil
}

func (s *schemas) resolve(n *node) *node {
	for n != nil {
		switch {
		case n.Ref != "":
			n = s.components[n.Ref[strings.LastIndex(n.Ref, "/")+1:]]
		case len(n.AllOf) == 1 && n.Type == "" && n.Properties == nil:
			n = n.AllOf[0]
		default:
			return n
		}
	}
	return &node{}
}

// values is what a map holds; nil where it is no map.
func (s *schemas) values(n *node) *node {
	var v node
	if len(n.Additional) == 0 || json.Unmarshal(n.Additional, &v) != nil {
		return nil
	}
	return s.resolve(&v)
}

// A mutation is one field of an object that is changed, added or removed.
type mutation struct {
	*mutator
	field string // with * for an item: spec.template.spec.containers.*.image
	how   string // change, add, remove
	path  []any
	// values are what may be put there, of which an API server may not take all; nil takes the field out.
	values []any
}

// trees are the ways to do it: beside what is there, and then instead of what it may exclude.
func (m *mutation) trees(yield func(alone bool, changed tree) bool) {
	for _, alone := range []bool{false, true} {
		if alone && (m.how != "add" || len(m.path) < 3) {
			return
		}
		for _, v := range m.values {
			if o := m.with(m.path, v, alone); !equality.Semantic.DeepEqual(o, m.tree) && !yield(alone, o) {
				return
			}
		}
	}
}

type tree = map[string]any

// depth is how deep in an object fields are looked for that it does not have: further down are only the terms of
// terms. Of pod templates, which are the same everywhere, a Deployment's is looked at in full.
func (m *mutator) depth(path []any) int {
	for i, p := range path[:len(path)-1] {
		if p == "template" && path[i+1] == "spec" && m.tree["kind"] != "Deployment" {
			return i + 3
		}
	}
	return 13
}

// mutations are those of every field of an object: those that it has, and with all those that the schema knows.
func (s *schemas) mutations(subject *subject) []*mutation {
	m := &mutator{schemas: s, subject: subject}
	root := s.resolve(s.kinds[subject.gvk()])
	for _, name := range slices.Sorted(maps.Keys(root.Properties)) {
		if name != "apiVersion" && name != "kind" && name != "metadata" && name != "status" {
			m.visit(s.resolve(root.Properties[name]), subject.tree[name], []any{name})
		}
	}
	return m.list
}

type mutator struct {
	*schemas
	*subject
	list []*mutation
}

func (m *mutator) add(path []any, how string, values ...any) {
	m.list = append(m.list, &mutation{m, fieldOf(path), how, slices.Clone(path), values})
}

func fieldOf(path []any) string {
	var b strings.Builder
	for _, p := range path {
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		if name, ok := p.(string); ok {
			b.WriteString(name)
		} else {
			b.WriteByte('*')
		}
	}
	return b.String()
}

// visit makes mutations of what stands at a path, nil for nothing, and of all below.
func (m *mutator) visit(n *node, value any, path []any) {
	if value == nil && (!m.all || len(path) > m.depth(path)) {
		return
	}
	present := value != nil
	values := m.values(n)
	switch {
	case len(n.Properties) > 0:
		fields, _ := value.(tree)
		for _, name := range slices.Sorted(maps.Keys(n.Properties)) {
			if name == "ephemeralContainers" {
				continue // none are in a template
			}
			m.visit(m.resolve(n.Properties[name]), fields[name], append(slices.Clone(path), name))
		}
		if present && len(path) > 1 {
			m.add(path, "remove", nil)
		}
	case values != nil:
		entries, _ := value.(tree)
		for i, key := range slices.Sorted(maps.Keys(entries)) {
			if i == 0 {
				m.visit(values, entries[key], append(slices.Clone(path), key))
			}
		}
		var ways []any
		for _, key := range []string{"example.com/x", "x", "cpu", "pods"} {
			entry := maps.Clone(entries)
			if entry == nil {
				entry = tree{}
			}
			entry[key] = m.sample(values, key)
			ways = append(ways, entry)
		}
		m.add(path, "add", ways...)
	case n.Type == "array":
		items, _ := value.([]any)
		item := m.resolve(n.Items)
		if len(item.Properties) > 0 {
			var first any
			if len(items) > 0 {
				first = items[0]
			}
			m.visit(item, first, append(slices.Clone(path), 0))
			if len(items) > 0 {
				m.add(path, "remove", items[1:])
				if another, ok := clone(items[0]).(tree); ok {
					for _, key := range append(n.MapKeys, "name") {
						if text, ok := another[key].(string); ok {
							another[key] = text + "x"
						}
					}
					m.add(path, "change", append(slices.Clone(items), another))
				}
			}
			return
		}
		var ways []any
		for _, v := range m.candidates(item, last(path), nil) {
			ways = append(ways, []any{v})
			if present {
				ways = append(ways, append(slices.Clone(items), v))
			}
		}
		how := "add"
		if present {
			how = "change"
			m.add(path, "remove", nil)
		}
		m.add(path, how, ways...)
	case present:
		m.add(path, "change", m.candidates(n, last(path), value)...)
		m.add(path, "remove", nil)
	default:
		m.add(path, "add", m.candidates(n, last(path), nil)...)
	}
}

func last(path []any) string {
	for _, p := range slices.Backward(path) {
		if name, ok := p.(string); ok {
			return name
		}
	}
	return ""
}

// with is the object with a value at a path, nil to take it out. What is missing on the way is made, with what its
// schema requires; alone leaves out what stands beside what is made and is not required.
func (m *mutator) with(path []any, value any, alone bool) tree {
	object := clone(m.tree).(tree)
	var put func(at any, n *node, path []any) any
	put = func(at any, n *node, rest []any) any {
		if len(rest) == 0 {
			return clone(value)
		}
		if i, isIndex := rest[0].(int); isIndex {
			list, _ := at.([]any)
			for len(list) <= i {
				list = append(list, nil)
			}
			list[i] = put(list[i], m.resolve(n.Items), rest[1:])
			return list
		}
		key := rest[0].(string)
		fields, _ := at.(tree)
		made := fields == nil
		if made || alone && len(rest) < len(path)-1 && (len(rest) == 1 || fields[key] == nil) {
			kept := fields
			fields = tree{}
			for _, name := range n.Required {
				if name == key {
					continue
				}
				if v, ok := kept[name]; ok {
					fields[name] = v
				} else {
					fields[name] = m.sample(m.resolve(n.Properties[name]), name)
				}
			}
			if made && n.Properties["image"] != nil && n.Properties["terminationMessagePath"] != nil {
				fields["image"], fields["restartPolicy"] = "example.com/x", "Always" // so that an init container may have probes
			}
			for _, name := range []string{"name", "matchLabels"} {
				if v, ok := kept[name]; ok {
					fields[name] = v
				}
			}
		}
		if key == "values" && fields["operator"] != nil {
			fields["operator"] = "In" // another has none
		}
		next := m.resolve(n.Properties[key])
		if n.Properties[key] == nil {
			if v := m.values(n); v != nil {
				next = v
			}
		}
		v := put(fields[key], next, rest[1:])
		if v == nil {
			delete(fields, key)
		} else {
			fields[key] = v
		}
		return fields
	}
	root := m.kinds[gvkOf(object)]
	return put(object, m.resolve(root), path).(tree)
}

// sample is a value that a field may have.
func (m *mutator) sample(n *node, name string) any {
	switch {
	case len(n.Properties) > 0:
		out := tree{}
		for _, r := range n.Required {
			out[r] = m.sample(m.resolve(n.Properties[r]), r)
		}
		return out
	case m.values(n) != nil:
		return tree{}
	case n.Type == "array":
		item := m.resolve(n.Items)
		return []any{m.sample(item, name)}
	}
	return m.candidates(n, name, nil)[0]
}

// texts are what strings may have to look like.
var texts = []any{"x", "1", "2Gi", "10s", "https://example.com", "10.1.2.3", "10.1.0.0/16", "/x", "0 1 * * *", "a.example.com", "example.com/x", "eDE=", "Always", "kubernetes.io/hostname"}

// named are samples for fields whose names say what they have to look like.
var named = map[string][]any{
	"path": {"/x"}, "mountPath": {"/x"}, "devicePath": {"/x"}, "cidr": {"10.1.0.0/16"}, "port": {int64(81), "http"}, "operator": {"Exists", "In"},
	"effect": {"NoSchedule"}, "topologyKey": {"kubernetes.io/hostname"}, "storage": {"7Gi"}, "size": {"99Gi"}, "schedule": {"5 5 * * *", "0 5 5 * * *"},
	"clusterIP": {"None", "10.96.0.77"}, "ip": {"10.1.2.3"}, "protocol": {"UDP"}, "hostname": {"x.example.com"}, "mode": {int64(256), "Strict"},
	"divisor": {"1"}, "resource": {"limits.cpu"}, "fieldPath": {"metadata.name"}, "type": {"x", "Utilization", "Opaque", "Localhost", "Pod"}, "whenUnsatisfiable": {"ScheduleAnyway"},
	"maxSkew": {int64(2)}, "clusterIPs": {"10.96.0.77"}, "ipFamilies": {"IPv6", "IPv4"}, "apiGroup": {"rbac.authorization.k8s.io"}, "apiVersion": {"v1", "apps/v1"},
	"serviceAccountName": {"default"}, "except": {"10.1.2.0/24"},
	"nameservers": {"10.1.2.3"}, "externalIPs": {"10.1.2.3"}, "managedBy": {"example.com/x"}, "finalizers": {"example.com/x"}, "restartPolicy": {"Always"},
}

// candidates are values of a scalar that are not the one it has.
func (m *mutator) candidates(n *node, name string, is any) []any {
	var list []any
	add := func(values ...any) {
		for _, v := range values {
			if v != is {
				list = append(list, v)
			}
		}
	}
	number := n.Type == "integer" || n.Type == "number" || n.IntOrString || n.Format == "int-or-string"
	switch {
	case len(n.Enum) > 0:
		for _, e := range n.Enum {
			if e != "" {
				add(e)
			}
		}
	case n.Type == "boolean":
		add(true, false)
	}
	for _, v := range named[name] {
		_, text := v.(string)
		if len(n.Enum) == 0 && n.Type != "boolean" && (text && n.Type != "integer" || !text && (number || n.Type == "")) {
			add(v)
		}
	}
	switch {
	case len(n.Enum) > 0 || n.Type == "boolean":
	case number:
		if i, ok := is.(int64); ok {
			add(i+1, i-1, i*2)
		}
		add(int64(1), int64(2), int64(0), int64(70), int64(1000), int64(3), int64(6), int64(10), int64(30), int64(420), int64(600))
		if n.Type != "integer" && n.Type != "number" {
			add("50%", "2Gi", "http")
		}
	case n.Type == "string" || n.Type == "":
		if text, ok := is.(string); ok {
			add(text+"x", text+"1", "x"+text, "1"+text, strings.TrimSuffix(text, "0")+"1")
			if i, err := strconv.Atoi(text); err == nil {
				add(strconv.Itoa(i + 1))
			}
		}
		add(texts...)
	default:
		add(tree{"x": "y"}, tree{})
	}
	if pattern, err := regexp.Compile(n.Pattern); err == nil && n.Pattern != "" {
		list = slices.DeleteFunc(list, func(v any) bool {
			text, ok := v.(string)
			return ok && !pattern.MatchString(text)
		})
	}
	if len(list) == 0 {
		list = append(list, "x")
	}
	return list
}

func clone(value any) any {
	switch v := value.(type) {
	case tree:
		out := make(tree, len(v))
		for key, item := range v {
			out[key] = clone(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = clone(item)
		}
		return out
	}
	return value
}

func gvkOf(object tree) schema.GroupVersionKind {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	return schema.FromAPIVersionAndKind(apiVersion, kind)
}
