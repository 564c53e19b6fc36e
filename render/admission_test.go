package render_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tenantry/tenantry/render"
)

// TestNamespaceSaysWhatItsObjectsMayHave has hosts and values of all sources, those of extra objects too.
func TestNamespaceSaysWhatItsObjectsMayHave(t *testing.T) {
	acme, hooli := tenant("acme"), tenant("hooli")
	acme.Hosts = []string{"docs.acme.example.com", "app.acme.example.com"}
	acme.Secrets = render.ExternalSecrets{Store: "vault"}
	acme.Cache = render.ExternalRedis{Host: "redis.acme.example", Password: render.ExternalSecrets{Store: "safe", Path: "acme"}, CIDRs: []string{"198.51.100.7/32"}}
	acme.Extra = []render.Object{&unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": map[string]any{"name": "more"},
		"spec": map[string]any{
			"secretStoreRef": map[string]any{"kind": "ClusterSecretStore", "name": "vault"},
			"data":           []any{map[string]any{"secretKey": "x", "remoteRef": map[string]any{"key": "prod/acme/more", "property": "x"}}},
		},
	}}}
	hooli.Edge, hooli.DNS = render.NoEdge{}, render.ManualDNS{}
	units, err := render.Units([]render.Fleet{fleet(acme, hooli)})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]string{}
	for _, u := range units {
		for _, f := range u.Files {
			if f.Object.GetObjectKind().GroupVersionKind().Kind == "Namespace" {
				got[u.Name] = f.Object.GetAnnotations()
			}
		}
	}
	want := map[string]map[string]string{
		"platform": nil,
		"acme": {
			render.HostsAnnotation:    "acme.example.com,app.acme.example.com,docs.acme.example.com",
			render.PriorityAnnotation: "tenant-basic",
			render.SecretsAnnotation:  "safe:acme/cache,vault:prod/acme/more",
		},
		"hooli": {render.PriorityAnnotation: "tenant-basic"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)\n" + diff)
	}
}

// TestAdmission has policies of every fleet, and each with a binding. What they refuse is tested in local/e2e.
func TestAdmission(t *testing.T) {
	f := fleet()
	f.Cluster.Registries = []string{"ghcr.example/operators"}
	f.Cluster.Domain = "cluster.example"
	var text strings.Builder
	bound := map[string]bool{}
	policies := 0
	for _, o := range render.Admission(&f) {
		switch o := o.(type) {
		case *admissionv1.ValidatingAdmissionPolicy:
			policies++
			for _, v := range o.Spec.Validations {
				if v.Message == "" || *v.Reason != metav1.StatusReasonForbidden {
					t.Errorf("%s: a refusal that does not say what to do: %s", o.Name, v.Expression)
				}
			}
			for _, v := range o.Spec.Variables {
				text.WriteString(v.Expression)
			}
		case *admissionv1.ValidatingAdmissionPolicyBinding:
			bound[o.Spec.PolicyName] = true
		}
	}
	if policies < 10 || len(bound) != policies {
		t.Errorf("%d policies, %d bound", policies, len(bound))
	}
	for _, part := range []string{`["registry.example.com/", "ghcr.example/operators/"]`, `".svc.cluster.example"`} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("no variable has %s", part)
		}
	}
}
