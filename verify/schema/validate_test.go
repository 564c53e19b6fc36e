package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
)

func texts(problems []Problem) string {
	var lines []string
	for _, p := range problems {
		line := strings.TrimPrefix(p.Path+": "+p.Message, ": ")
		lines = append(lines, strings.TrimSuffix(line+": "+p.Remedy, ": "))
	}
	return strings.Join(lines, "\n")
}

// A Deployment with every mistake that somebody is likely to make, and what is told of it.
func TestMessages(t *testing.T) {
	o := decode(t, `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  lables: {app: api}
  labels: {version: 2, tier: null}
spec:
  replica: 2
  revisionHistoryLimit: "3"
  paused: "true"
  selector: [app]
  strategy: {type: rollingUpdate, rollingUpdate: {maxSurge: 1.5}}
  template:
    spec:
      containers:
      - name: api
        image: example.com/api:v1
        imagePullPolcy: Always
        imagePullPolicy: always
        ports:
        - {containerPort: 80}
        - {containerPort: 80, protocol: TCP}
        - {containerPort: 80, protocol: UDP}
        - {name: http}
        resources: {limits: {memory: 1 GB, cpu: 0.5}}
      - name: api
      volumes:
      - {name: tmp, configmap: {}}
      tolerations:
      - {key: a, tolerationSecond: 30000000000}
`)
	want := `
metadata.labels[tier]: must be text, not null: leave the field out
metadata.labels[version]: must be text, not 2: quote it
metadata.lables: there is no such field: did you mean labels, which is there too?
spec.paused: must be true or false, not "true": leave out the quotes
spec.replica: there is no such field: did you mean replicas?
spec.revisionHistoryLimit: must be a whole number, not "3": leave out the quotes
spec.selector: must be an object, not a list
spec.strategy.rollingUpdate.maxSurge: must be a whole number or text, not 1.5
spec.strategy.type: must be one of "Recreate", "RollingUpdate", not "rollingUpdate": did you mean "RollingUpdate"?
spec.template.spec.containers[0].imagePullPolcy: there is no such field: did you mean imagePullPolicy, which is there too?
spec.template.spec.containers[0].imagePullPolicy: must be one of "Always", "IfNotPresent", "Never", not "always": did you mean "Always"?
spec.template.spec.containers[0].ports[1]: has the containerPort and protocol that [0] has already, by which the items are told apart
spec.template.spec.containers[0].ports[3].containerPort: is required, and is not there
spec.template.spec.containers[0].resources.limits[memory]: must be a number with one of the suffixes m, k, M, G, T, Ki, Mi, Gi, Ti, such as 50Gi, not "1 GB"
spec.template.spec.containers[1]: has the name that [0] has already, by which the items are told apart
spec.template.spec.tolerations[0].tolerationSecond: there is no such field: did you mean tolerationSeconds?
spec.template.spec.volumes[0].configmap: there is no such field: did you mean configMap?
`
	got := "\n" + texts(latest(t).Validate(o)) + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What no golden object has, one keyword at a time. The schema is that of a field x of a custom resource.
func TestKeywords(t *testing.T) {
	for _, row := range []struct{ schema, value, want string }{
		{`{"type": "object"}`, `{"a": 1}`, "x.a: there is no such field: leave it out, there are none"},
		{`{"type": "object", "x-kubernetes-preserve-unknown-fields": true}`, `{"a": 1}`, ""},
		{`{"x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "object"}}}`, `{"a": {"b": 1}, "c": [1]}`, "x.a.b: there is no such field: leave it out, there are none"},
		{`{"type": "object", "additionalProperties": {"type": "integer"}}`, `{"a.b/c": "1"}`, `x[a.b/c]: must be a whole number, not "1": leave out the quotes`},
		{`{"type": "object", "properties": {"a": {}}, "required": ["a"]}`, `{}`, "x.a: is required, and is not there"},
		{`{"type": "object", "properties": {"a": {"default": 1}}, "required": ["a"]}`, `{}`, ""},
		{`{"type": "object", "properties": {"a": {"type": "integer", "default": 1}}, "required": ["a"]}`, `{"a": null}`, "x.a: must be a whole number, not null: leave the field out"},
		{`{"type": "object", "properties": {"a": {"type": "object", "default": {}, "properties": {"b": {"default": 1}}, "required": ["b"]}}, "required": ["a"]}`, `{}`, ""},
		{`{"type": "array", "items": {"type": "object", "properties": {"a": {"default": 1}}, "required": ["a"]}}`, `[{}]`, ""},
		{`{"type": "object", "additionalProperties": {"type": "object", "properties": {"a": {"default": 1}}, "required": ["a"]}}`, `{"k": {}}`, ""},
		{`{"type": "string", "nullable": true}`, `null`, ""},
		{`{"type": "string"}`, `null`, "x: must be text, not null: leave the field out"},
		{`{}`, `null`, ""},
		{`{"type": "object"}`, `{"": 1}`, "x[]: there is no such field: leave it out, there are none"},

		{`{"type": "number"}`, `1.5`, ""},
		{`{"type": "number"}`, `"1.5"`, `x: must be a number, not "1.5": leave out the quotes`},
		{`{"type": "integer"}`, `1.5`, "x: must be a whole number, not 1.5"},
		{`{"type": "integer"}`, `1.0`, ""},
		{`{"type": "integer"}`, `1e19`, "x: must be a number of 64 bits, not 10000000000000000000"},
		{`{"type": "integer", "format": "int32"}`, `-2147483649`, "x: must be between -2147483648 and 2147483647, not -2147483649"},
		{`{"type": "integer", "minimum": 1, "maximum": 65535}`, `0`, "x: must be at least 1, not 0"},
		{`{"type": "integer", "minimum": 1, "maximum": 65535}`, `65536`, "x: must be at most 65535, not 65536"},
		{`{"type": "integer", "minimum": 1, "maximum": 65535}`, `65535`, ""},
		{`{"type": "integer", "enum": [301, 302]}`, `303`, "x: must be one of 301, 302, not 303"},
		{`{"type": "integer", "enum": [301, 302]}`, `302`, ""},
		{`{"x-kubernetes-int-or-string": true}`, `true`, "x: must be a whole number or text, not true"},
		{`{"x-kubernetes-int-or-string": true, "pattern": "^[0-9]+%$"}`, `5`, ""},
		{`{"x-kubernetes-int-or-string": true, "pattern": "^[0-9]+%$"}`, `"5"`, `x: must match ^[0-9]+%$, not "5"`},

		{`{"type": "string", "minLength": 2, "maxLength": 3}`, `"ß"`, "x: must have at least 2 characters, not 1"},
		{`{"type": "string", "minLength": 2, "maxLength": 3}`, `"ßßß"`, ""},
		{`{"type": "string", "minLength": 2, "maxLength": 3}`, `"ßßßß"`, "x: must have at most 3 characters, not 4"},
		{`{"type": "string", "format": "date-time"}`, `"2026-11-23"`, `x: must be a time such as 2006-01-02T15:04:05Z, not "2026-11-23"`},
		{`{"type": "string", "format": "date-time"}`, `"2026-11-23T01:02:03.5+01:00"`, ""},
		{`{"type": "string", "format": "micro-time"}`, `"2026-11-23T01:02:03.5Z"`, `x: must be a time such as 2006-01-02T15:04:05.000000Z, not "2026-11-23T01:02:03.5Z"`},
		{`{"type": "string", "format": "micro-time"}`, `"2026-11-23T01:02:03.000005Z"`, ""},
		{`{"type": "string", "format": "base64"}`, `""`, ""},
		{`{"type": "string", "format": "base64"}`, `"YQ"`, `x: must be base64, not "YQ"`},
		{`{"type": "string", "format": "byte"}`, `""`, `x: must be base64 on one line, and not empty, not ""`},
		{`{"type": "string", "format": "byte"}`, `"YQ=="`, ""},
		{`{"type": "string", "format": "byte"}`, `"YQ==\n"`, `x: must be base64 on one line, and not empty, not "YQ==\n"`},
		{`{"format": "ipv4"}`, `"::1"`, `x: must be an IPv4 address such as 203.0.113.7, not "::1"`},
		{`{"format": "ipv4"}`, `7`, ""}, // as for a server: a format says nothing of other types
		{`{"format": "ipv6"}`, `"::1"`, ""},
		{`{"format": "ipv6"}`, `"1.2.3.4"`, `x: must be an IPv6 address such as 2001:db8::7, not "1.2.3.4"`},
		{`{"format": "quantity"}`, `0.5`, ""},
		{`{"format": "quantity"}`, `" 1.5Gi"`, ""},
		{`{"format": "quantity"}`, `"10Gb"`, `x: must be a number with one of the suffixes m, k, M, G, T, Ki, Mi, Gi, Ti, such as 50Gi, not "10Gb"`},
		{`{"format": "quantity"}`, `[]`, "x: must be a quantity, not a list"},

		{`{"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}`, `[]`, "x: must have at least 1 items, not 0"},
		{`{"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2}`, `["a", "a", "a"]`, "x: must have at most 2 items, not 3"},
		{`{"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}`, `["a", "b", "a"]`, "x[2]: is what [0] is already"},
		{`{"type": "array", "items": {"type": "integer"}, "x-kubernetes-list-type": "set"}`, `[1, 1.0]`, "x[1]: is what [0] is already"},
		{
			`{"type": "array", "items": {"type": "object", "properties": {"a": {}, "b": {}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a", "b"]}`,
			`[{"a": 1}, {"b": 1}, {"a": "1"}, {"a": 1, "b": 1}, {"b": 1}]`, "x[4]: has the a and b that [1] has already, by which the items are told apart",
		},
		{
			`{"type": "array", "items": {"type": "object", "properties": {"a": {"default": "c"}}}, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}`,
			`[{}, {"a": "c"}]`, "x[1]: has the a that [0] has already, by which the items are told apart",
		},
		{`{"type": "object", "x-kubernetes-preserve-unknown-fields": true, "minProperties": 1, "maxProperties": 1}`, `{}`, "x: must have at least 1 fields, not 0"},
		{`{"type": "object", "x-kubernetes-preserve-unknown-fields": true, "minProperties": 1, "maxProperties": 1}`, `{"a": 1, "b": 1}`, "x: must have at most 1 fields, not 2"},

		{`{"type": "string", "allOf": [{"pattern": "a"}, {"pattern": "b"}]}`, `"b"`, `x: must match a, not "b"`},
		{`{"type": "string", "anyOf": [{"format": "ipv4"}, {"enum": ["any"]}]}`, `"any"`, ""},
		{`{"type": "string", "anyOf": [{"minLength": 9}, {"enum": ["any"]}]}`, `"b"`, `x: fits nothing that is allowed here: must have at least 9 characters, not 1; or must be one of "any", not "b"`},
		{`{"type": "object", "properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}`, `{"a": 1}`, ""},
		{`{"type": "object", "properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}`, `{}`, "x: fits nothing that is allowed here: a is required, and is not there; or b is required, and is not there"},
		{`{"type": "object", "properties": {"a": {}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}`, `{"a": 1, "b": 1}`, "x: fits 2 of 2 things of which it may be only one"},
		{`{"type": "object", "properties": {"a": {"default": 1}, "b": {}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}`, `{"b": 1}`, "x: fits 2 of 2 things of which it may be only one"},
		{`{"type": "string", "not": {"enum": ["a"]}}`, `"a"`, "x: is what it may not be"},
		{`{"type": "string", "not": {"enum": ["a"]}}`, `"b"`, ""},
	} {
		sets, err := load(strings.NewReader(fmt.Sprintf(`{"minors": [37], "definitions": [{"name": "x", "kind": {"Version": "v1", "Kind": "X"},
			"schema": {"properties": {"apiVersion": {}, "kind": {}, "x": %s}}}]}`, row.schema)))
		if err != nil {
			t.Fatalf("%s: %v", row.schema, err)
		}
		var value any
		if err := json.Unmarshal([]byte(row.value), &value); err != nil {
			t.Fatal(err)
		}
		o := map[string]any{"apiVersion": "v1", "kind": "X", "x": value}
		before := fmt.Sprint(o)
		if got := texts(sets[0].Validate(o)); got != row.want {
			t.Errorf("%s of %s:\n%s\nwant\n%s", row.value, row.schema, got, row.want)
		}
		if after := fmt.Sprint(o); after != before {
			t.Errorf("%s: %s became %s", row.schema, before, after)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, row := range []struct {
		value     any
		n         float64
		whole, ok bool
	}{
		{int(7), 7, true, true},
		{int32(7), 7, true, true},
		{int64(7), 7, true, true},
		{uint64(7), 7, true, true},
		{7.0, 7, true, true},
		{7.5, 7.5, false, true},
		{json.Number("7"), 7, true, true},
		{json.Number("7.5"), 7.5, false, true},
		{json.Number("7e400"), 0, false, false},
		{json.Number("seven"), 0, false, false},
		{math.Inf(1), 0, false, false},
		{math.NaN(), 0, false, false},
		{"7", 0, false, false},
		{nil, 0, false, false},
		{true, 0, false, false},
	} {
		if n, whole, ok := toNumber(row.value); n != row.n || whole != row.whole || ok != row.ok {
			t.Errorf("%T %v: %v, %t, %t", row.value, row.value, n, whole, ok)
		}
	}
}

func TestUnknownKind(t *testing.T) {
	for _, row := range []struct{ object, want string }{
		{`null`, "is no object"},
		{`{}`, "apiVersion: must be a group and a version such as apps/v1, or v1"},
		{`{apiVersion: 1, kind: Pod}`, "apiVersion: must be a group and a version such as apps/v1, or v1"},
		{`{apiVersion: a/b/c, kind: Pod}`, "apiVersion: must be a group and a version such as apps/v1, or v1"},
		{`{apiVersion: apps/, kind: Pod}`, "apiVersion: must be a group and a version such as apps/v1, or v1"},
		{`{apiVersion: v1}`, "kind: must be the name of a kind such as Deployment"},
		{`{apiVersion: v1, kind: [Pod]}`, "kind: must be the name of a kind such as Deployment"},
		{`{apiVersion: apps/v1, kind: Deploymnet}`, "kind: there is no apps/v1 Deploymnet in Kubernetes 1.37: did you mean Deployment?"},
		{`{apiVersion: v1, kind: pod}`, "kind: there is no v1 pod in Kubernetes 1.37: did you mean Pod?"},
		{`{apiVersion: v1, kind: Deployment}`, "apiVersion: there is no v1 Deployment in Kubernetes 1.37: use apps/v1"},
		{`{apiVersion: v1, kind: PodList}`, "kind: there is no v1 PodList in Kubernetes 1.37"},
		{`{apiVersion: policy/v1beta1, kind: PodDisruptionBudget}`, "apiVersion: policy/v1beta1 PodDisruptionBudget is gone since Kubernetes 1.25: use policy/v1 PodDisruptionBudget"},
		{`{apiVersion: policy/v1beta1, kind: PodSecurityPolicy}`, "kind: there is no policy/v1beta1 PodSecurityPolicy in Kubernetes 1.37"},
		{`{apiVersion: certificates.k8s.io/v1beta1, kind: ClusterTrustBundle}`, "apiVersion: certificates.k8s.io/v1beta1 ClusterTrustBundle is not served by default: use certificates.k8s.io/v1"},
		{`{apiVersion: coordination.k8s.io/v1alpha2, kind: LeaseCandidate}`, "apiVersion: coordination.k8s.io/v1alpha2 LeaseCandidate is not served by default"},
		{`{apiVersion: cert-manager.io/v1alpha2, kind: Certificate}`, "apiVersion: cert-manager.io/v1alpha2 Certificate is not served by default: use cert-manager.io/v1"},
		{`{apiVersion: example.com/v1, kind: Deployment}`, "there is no schema of example.com/v1 Deployment: nothing in it was looked at"},
	} {
		if got := texts(latest(t).Validate(decode(t, row.object))); got != row.want {
			t.Errorf("%s: %s, want %s", row.object, got, row.want)
		}
	}
}

// What a Secret holds is told by no message.
func TestSecret(t *testing.T) {
	o := decode(t, `{apiVersion: v1, kind: Secret, metadata: {name: x}, data: {password: correct horse}, stringData: {pin: 271828}, immutable: correct horse}`)
	got := texts(latest(t).Validate(o))
	if strings.Count(got, "\n") != 2 || strings.Contains(got, "horse") || strings.Contains(got, "271828") {
		t.Errorf("%s", got)
	}
}

// A definition holds schemas that hold schemas, as deep as somebody nests them.
func TestDepth(t *testing.T) {
	for levels, want := range map[int]string{
		400:     "",
		100_000: "lies deeper than 1000 levels",
	} {
		schema := map[string]any{"type": "object"}
		for range levels {
			schema = map[string]any{"type": "object", "properties": map[string]any{"a": schema}}
		}
		o := decode(t, `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: as.example.com},
			spec: {group: example.com, scope: Cluster, names: {plural: as, kind: A}}}`)
		o["spec"].(map[string]any)["versions"] = []any{map[string]any{
			"name": "v1", "served": true, "storage": true, "schema": map[string]any{"openAPIV3Schema": schema},
		}}
		var messages []string
		for _, p := range latest(t).Validate(o) {
			messages = append(messages, p.Message)
		}
		if got := strings.Join(messages, "\n"); got != want {
			t.Errorf("%d levels: %s, want %s", levels, got, want)
		}
	}
}

// Whatever an object holds, Validate returns, says the same again and leaves the object as it was.
func FuzzValidate(f *testing.F) {
	set := latest(f)
	kinds := slices.SortedFunc(maps.Keys(set.kinds), func(a, b apischema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	seen := map[apischema.GroupVersionKind]bool{}
	for _, g := range goldens(f) {
		kind, _ := set.kindOf(g.object)
		if seen[kind] {
			continue
		}
		seen[kind] = true
		text, err := json.Marshal(g.object)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint(slices.Index(kinds, kind)), text)
	}
	f.Fuzz(func(t *testing.T, kind uint, text []byte) {
		var o map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		if kind%2 == 0 {
			d.UseNumber()
		}
		if d.Decode(&o) != nil || o == nil {
			return
		}
		k := kinds[kind%uint(len(kinds))]
		o["apiVersion"], o["kind"] = k.GroupVersion().String(), k.Kind
		before, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		problems := set.Validate(o)
		if again := set.Validate(o); !slices.Equal(problems, again) {
			t.Errorf("%v, and then %v", problems, again)
		}
		if after, _ := json.Marshal(o); !bytes.Equal(before, after) {
			t.Errorf("%s became %s", before, after)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	list := goldens(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, g := range list {
			g.set.Validate(g.object)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(list)), "ns/object")
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		if _, err := unpack(); err != nil {
			b.Fatal(err)
		}
	}
}
