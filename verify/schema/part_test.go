package schema

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
)

func TestPart(t *testing.T) {
	set, err := For(Newest())
	if err != nil {
		t.Fatal(err)
	}
	deployment := apischema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}
	for _, row := range []struct {
		kind      apischema.GroupVersionKind
		path      string // [] is an item
		known     bool
		quantity  bool
		unordered bool
		keys      []string
		why       string
	}{
		{deployment, "", true, false, false, nil, "the object itself"},
		{deployment, "spec.template.spec.containers", true, false, true, []string{"name"}, "a list with a key"},
		{deployment, "spec.template.spec.containers.[].ports", true, false, true, []string{"containerPort", "protocol"}, "a list with two"},
		{deployment, "spec.template.spec.containers.[].resources.limits.memory", true, true, false, nil, "a value of a map"},
		{deployment, "spec.template.spec.containers.[].args", true, false, false, nil, "an ordered list"},
		{deployment, "spec.nonsense.below", false, false, false, nil, "a field that is none"},
		{apischema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Any"}, "spec", false, false, false, nil, "a kind that is unknown"},
		{apischema.GroupVersionKind{Group: "postgresql.cnpg.io", Version: "v1", Kind: "Cluster"}, "spec.resources.requests.cpu", true, true, false, nil, "a quantity by its pattern"},
		{apischema.GroupVersionKind{Group: "cert-manager.io", Version: "v1", Kind: "Certificate"}, "spec.dnsNames", true, false, false, nil, "of a custom resource"},
	} {
		p := set.Part(row.kind)
		if row.path != "" {
			for name := range strings.SplitSeq(row.path, ".") {
				if name == "[]" {
					p = p.Item()
				} else {
					p = p.Field(name)
				}
			}
		}
		keys, _ := p.Keys()
		if p.Known() != row.known || p.Quantity() != row.quantity || p.Unordered() != row.unordered || !cmp.Equal(keys, row.keys) {
			t.Errorf("%s %s, %s: known %t, quantity %t, unordered %t, keys %q", row.kind.Kind, row.path, row.why, p.Known(), p.Quantity(), p.Unordered(), keys)
		}
	}
}
