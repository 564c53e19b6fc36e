package schema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// A golden is one file's object and the set of the minor version of its fleet.
type golden struct {
	file   string
	set    *Set
	object map[string]any
}

func goldens(t testing.TB) []golden {
	t.Helper()
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string]*Set{}
	for _, f := range tenants.Fleets() {
		if sets[f.Name], err = For(f.Cluster.Kubernetes); err != nil {
			t.Fatal(err)
		}
	}
	var list []golden
	for _, u := range units {
		for _, f := range u.Files {
			g := golden{file: u.Fleet + "/" + u.Name + "/" + f.Name, set: sets[u.Fleet]}
			if err := yaml.UnmarshalStrict(f.YAML, &g.object); err != nil {
				t.Fatalf("%s: %v", g.file, err)
			}
			list = append(list, g)
		}
	}
	return list
}

func latest(t testing.TB) *Set {
	t.Helper()
	set, err := For("1.37")
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestGolden(t *testing.T) {
	list := goldens(t)
	for _, g := range list {
		for _, p := range g.set.Validate(g.object) {
			t.Errorf("%s: %s: %s", g.file, p.Path, p.Message)
		}
	}
	t.Logf("%d objects", len(list))
}

func TestFor(t *testing.T) {
	for _, minor := range []string{"1.35", "1.36", "1.37"} {
		set, err := For(minor)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(set.kinds); n < 80 {
			t.Errorf("%s: %d kinds", minor, n)
		}
	}
	for _, minor := range []string{"", "1", "1.34", "1.037", "v1.37", "1.37.2", "2.37"} {
		_, err := For(minor)
		if want := fmt.Sprintf("no schemas of Kubernetes %q: there are those of 1.35, 1.36, 1.37", minor); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", minor, err, want)
		}
	}
}

func TestMinors(t *testing.T) {
	// New in 1.37, by its own documents.
	o := decode(t, `{apiVersion: resource.k8s.io/v1, kind: DeviceTaintRule, metadata: {name: x}, spec: {taint: {key: example.com/x, effect: None}}}`)
	for minor, want := range map[string]int{"1.35": 1, "1.36": 1, "1.37": 0} {
		set, err := For(minor)
		if err != nil {
			t.Fatal(err)
		}
		if problems := set.Validate(o); len(problems) != want {
			t.Errorf("%s: %v", minor, problems)
		}
	}
}

func TestRules(t *testing.T) {
	set := latest(t)
	for _, row := range []struct {
		kind  apischema.GroupVersionKind
		some  bool
		known bool
	}{
		{apischema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}, true, true},
		{apischema.GroupVersionKind{Group: "externaldns.k8s.io", Version: "v1alpha1", Kind: "DNSEndpoint"}, false, true},
		{apischema.GroupVersionKind{Version: "v1", Kind: "Pod"}, false, true},
		{apischema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Pod"}, false, false},
	} {
		if n, known := set.Rules(row.kind); n > 0 != row.some || known != row.known {
			t.Errorf("%v: %d rules, %t", row.kind, n, known)
		}
	}
}

func TestDeprecation(t *testing.T) {
	kind := func(group, version, kind string) apischema.GroupVersionKind {
		return apischema.GroupVersionKind{Group: group, Version: version, Kind: kind}
	}
	for _, row := range []struct {
		reason string
		minor  string
		kind   apischema.GroupVersionKind
		want   string
	}{
		{"stays", "1.37", kind("apps", "v1", "Deployment"), ""},
		{"deprecated although it is v1", "1.37", kind("", "v1", "Endpoints"), "1.33, , discovery.k8s.io/v1, Kind=EndpointSlice"},
		{"long gone, with a replacement of its own", "1.37", kind("extensions", "v1beta1", "Ingress"), "1.14, 1.22, networking.k8s.io/v1, Kind=Ingress"},
		{"gone, and its replacement too", "1.37", kind("flowcontrol.apiserver.k8s.io", "v1beta1", "FlowSchema"), "1.23, 1.26, flowcontrol.apiserver.k8s.io/v1, Kind=FlowSchema"},
		{"gone, and its replacement is a misprint", "1.37", kind("networking.k8s.io", "v1beta1", "IngressClass"), "1.19, 1.22, networking.k8s.io/v1, Kind=IngressClass"},
		{"gone two minors later", "1.35", kind("networking.k8s.io", "v1beta1", "IPAddress"), "1.34, 1.37, networking.k8s.io/v1, Kind=IPAddress"},
		{"deprecated two minors later", "1.35", kind("certificates.k8s.io", "v1beta1", "ClusterTrustBundle"), "1.37, 1.40, "},
		{"deprecated three minors later", "1.37", kind("lifecycle.k8s.io", "v1alpha1", "EvictionRequest"), ""},
	} {
		set, err := For(row.minor)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if d, ok := set.Deprecation(row.kind); ok {
			got = fmt.Sprintf("%s, %s, %v", d.Deprecated, d.Removed, d.Replacement)
			got = strings.TrimSuffix(got, "/, Kind=")
		}
		if got != row.want {
			t.Errorf("%s: %s: %q, want %q", row.reason, say(row.kind), got, row.want)
		}
	}
}

// A schema that Validate would not understand, or would go around in for ever, is refused when it is read.
func TestLoad(t *testing.T) {
	for _, row := range []struct{ schema, want string }{
		{`{"type": "object"}`, ""},
		{`{"properties": {"next": {"$ref": "x"}}}`, ""}, // as deep as the object is
		{`{"$ref": "x"}`, "a reference to x, which leads back to itself"},
		{`{"$ref": "y"}`, "a reference to y, which leads back to itself"},
		{`{"items": {"anyOf": [{"$ref": "z"}]}}`, "a reference to z, which is none"},
		{`{"uniqueItems": true}`, `unknown field "uniqueItems"`},
		{`{"type": "text"}`, `unknown type "text"`},
		{`{"properties": {"a": {"format": "uri"}}}`, `unknown format "uri"`},
		{`{"not": {"pattern": "("}}`, "missing closing )"},
		{`{"x-kubernetes-list-type": "map", "items": {}}`, `unknown list type "map"`},
		{`{"x-kubernetes-list-type": "set", "items": {"type": "object"}}`, `unknown list type "set"`},
		{`{"properties": {"a": null}}`, "a part is null"},
		{`null`, "a part is null"},
	} {
		_, err := load(strings.NewReader(`{"minors": [37], "definitions": [{"name": "x", "schema": ` + row.schema + `}, {"name": "y", "schema": {"$ref": "x"}}]}`))
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%s: %v, want %q", row.schema, err, row.want)
		}
	}
	if _, err := load(strings.NewReader(`{"minors": [37], "definitions": [{"name": "x", "schema": {}}, {"name": "x", "minors": [37], "schema": {}}]}`)); err == nil || !strings.Contains(err.Error(), "two of x in Kubernetes 1.37") {
		t.Errorf("two definitions of one name: %v", err)
	}
}

func TestEnumerations(t *testing.T) {
	// The documents of Kubernetes leave them out; the generator gets them from elsewhere.
	for _, minor := range []string{"1.35", "1.36", "1.37"} {
		set, err := For(minor)
		if err != nil {
			t.Fatal(err)
		}
		got := set.definitions["io.k8s.api.core.v1.Container"].Schema.Properties["imagePullPolicy"].Enum
		if diff := cmp.Diff([]any{"Always", "IfNotPresent", "Never"}, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", minor, diff)
		}
		got = set.definitions["io.k8s.api.networking.v1.NetworkPolicySpec"].Schema.Properties["policyTypes"].Items.Enum
		if diff := cmp.Diff([]any{"Egress", "Ingress"}, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", minor, diff)
		}
	}
}

func decode(t testing.TB, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := yaml.UnmarshalStrict([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}
