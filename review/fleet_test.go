package review

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/verify"
)

func TestWeigh(t *testing.T) {
	const (
		certain = "certain"
		nothing = "[]"
	)
	for _, row := range []struct{ kind, before, after, want, why string }{
		{"apps/v1 Deployment", "spec: {template: {metadata: {labels: {a.b/c: d, e: f}}}}", "spec: {template: {metadata: {labels: {a.b/c: x, e: x}}}}", "[a.b/c e]", "labels of pods"},
		{"apps/v1 Deployment", "spec: {template: {metadata: {}}}", "spec: {template: {metadata: {labels: {a: b}}}}", certain, "all labels of pods"},
		{"batch/v1 Job", "spec: {template: {spec: {}}}", "spec: {template: {metadata: {labels: {a: b}}, spec: {}}}", certain, "all that pods are called"},
		{"batch/v1 CronJob", "spec: {}", "spec: {jobTemplate: {spec: {template: {}}}}", certain, "pods at all"},
		{"apps/v1 Deployment", "spec: {template: {metadata: {annotations: {a: b}}}}", "spec: {template: {metadata: {annotations: {a: c}}}}", nothing, "no policy picks by annotations"},
		{"apps/v1 Deployment", "", "spec: {template: {spec: {containers: [{name: a, ports: [{name: p, containerPort: 1}]}]}}}", certain, "ports have names that policies use"},
		{"apps/v1 Deployment", "spec: {template: {spec: {containers: [{name: a, ports: [{containerPort: 1}]}]}}}", "spec: {template: {spec: {containers: [{name: a, ports: [{containerPort: 1, name: p}]}]}}}", certain, "a port has a name"},
		{"apps/v1 Deployment", "spec: {template: {spec: {containers: [{name: a}]}}}", "spec: {template: {spec: {containers: [{name: a}, {name: b, ports: [{containerPort: 1, name: p}]}]}}}", certain, "a container brings a port"},
		{"apps/v1 Deployment", "spec: {template: {spec: {containers: [{name: a}]}}}", "spec: {template: {spec: {containers: [{name: a}, {name: b}]}}}", nothing, "a container brings none"},
		{"apps/v1 Deployment", "spec: {template: {spec: {hostNetwork: false}}}", "spec: {template: {spec: {hostNetwork: true}}}", certain, "no policy binds pods in the network of their node"},
		{"apps/v1 Deployment", "spec: {template: {spec: {dnsPolicy: None}}}", "spec: {template: {spec: {dnsPolicy: Default}}}", nothing, "nobody is reached by it"},
		{"v1 Namespace", "metadata: {name: it, labels: {a: b}}", "metadata: {name: it, labels: {a: c}}", "[a]", "a label of a namespace"},
		{"v1 Namespace", "metadata: {name: it, annotations: {a: b}}", "metadata: {name: it, annotations: {a: c}}", nothing, "no policy picks by annotations"},
		{"rbac.authorization.k8s.io/v1 ClusterRole", "metadata: {name: it, labels: {a: b}}", "metadata: {name: it, labels: {a: c}}", certain, "roles are gathered by labels"},
		{"rbac.authorization.k8s.io/v1 Role", "metadata: {name: it, labels: {a: b}}", "metadata: {name: it, labels: {a: c}}", nothing, "a role of a namespace is not"},
		{"networking.k8s.io/v1 NetworkPolicy", "metadata: {name: it, labels: {a: b}}", "metadata: {name: it, labels: {a: c}}", nothing, "nothing picks a policy"},
		{"networking.k8s.io/v1 NetworkPolicy", "spec: {podSelector: {}}", "spec: {podSelector: {matchLabels: {a: b}}}", certain, "what a policy picks"},
		{"kustomize.toolkit.fluxcd.io/v1 Kustomization", "spec: {path: ./a}", "spec: {path: ./b}", certain, "what a Kustomization applies, and by whose rights"},
		{"postgresql.cnpg.io/v1 Pooler", "spec: {template: {metadata: {labels: {a: b}}}}", "spec: {template: {metadata: {labels: {a: c}}}}", "[a]", "labels of pods that an operator makes"},
		{"postgresql.cnpg.io/v1 Cluster", "spec: {inheritedMetadata: {labels: {a: b}}}", "spec: {inheritedMetadata: {labels: {a: c}}}", "[a]", "labels that an operator hands on"},
		{"v1 ConfigMap", "data: {a: b}", "data: {a: c}", nothing, "it lets nothing happen"},
	} {
		before, after := objectOf(t, row.kind, row.before), objectOf(t, row.kind, row.after)
		s := weigh(before, after, compareFields(schemas(t), before, after))
		got := fmt.Sprint(s.labels)
		if s.certain {
			got = certain
		}
		if got != row.want {
			t.Errorf("%s: %s: %s, and not %s", row.kind, row.why, got, row.want)
		}
	}
}

func TestMatters(t *testing.T) {
	const policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  labels:\n    own: a\n  name: it\nspec:\n  podSelector:\n    matchLabels:\n      picked: a\n"
	flows := verify.Facts{Flows: []verify.Flow{{To: verify.End{Pods: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "flows", Operator: "Exists"}}}}}}}
	for _, row := range []struct {
		file, text, label string
		want              bool
		why               string
	}{
		{"networkpolicy-it.yaml", policy, "picked", true, "a policy picks by it"},
		{"networkpolicy-it.yaml", policy, "own", false, "a policy has it itself"},
		{"networkpolicy-it.yaml", policy, "flows", true, "a flow is declared by it"},
		{"networkpolicy-it.yaml", policy + "# \\x70\n", "other", true, "a policy may say so in other words"},
		{"networkpolicy-it.yaml", "kind: NetworkPolicy\nspec: &a {}\n", "other", true, "a policy may refer to it"},
		{"mine.yaml", policy, "picked", true, "a file that is not named after a kind may be a policy"},
		{"configmap-it.yaml", policy, "picked", false, "a file is what its name says"},
	} {
		units := []*unitPair{{fleet: "prod", name: "acme", same: []string{row.file}}}
		states := States{Read: func(string) ([]byte, error) { return []byte(row.text), nil }}
		if got := states.matters(units, flows, stake{labels: []string{row.label}}); got != row.want {
			t.Errorf("%s: %s: %t", row.file, row.why, got)
		}
		changed := []*unitPair{{fleet: "prod", name: "acme", files: []File{{Path: "prod/acme/" + row.file, Before: []byte(row.text)}}}}
		if got := states.matters(changed, flows, stake{labels: []string{row.label}}); got != (row.want || row.file == "configmap-it.yaml") {
			t.Errorf("%s that changes: %s: %t", row.file, row.why, got)
		}
	}
	if (States{}).matters(nil, flows, stake{}) {
		t.Error("nothing is at stake")
	}
}

// TestValuesOnce has fields that change alike beside one another, and one with a reason of its own between two.
func TestValuesOnce(t *testing.T) {
	of := func(path string, f Field) Field {
		f.Path, f.Before, f.After = path, "1", "2"
		return f
	}
	c := Change{Reason: "so it is", Fields: []Field{
		of("a", Field{}), of("b", Field{Reason: "so it is"}), of("c", Field{Reason: "its own"}), of("d", Field{}), of("e", Field{Differs: true}),
		{Path: "f", Before: "1", After: "3"},
	}}
	want := []string{
		"  a", "  b", "- 1", "+ 2",
		"  c", "  # nothing restarts: its own", "- 1", "+ 2",
		"  d", "- 1", "+ 2",
		"  e", "- 1", "+ 2", "  # each unit has its own; this is the first one's",
		"  f", "- 1", "+ 3",
	}
	if diff := cmp.Diff(want, c.diff()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
