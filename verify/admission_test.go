package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/render"
)

// ofPolicy makes a breakage of every policy.
func ofPolicy(rule, how string, change func(*admissionv1.ValidatingAdmissionPolicySpec)) breakage {
	return breakage{how, rule, func(_ *Unit, o render.Object) bool {
		p, ok := o.(*admissionv1.ValidatingAdmissionPolicy)
		if ok {
			change(&p.Spec)
		}
		return ok
	}}
}

// ofBinding makes a breakage of every binding.
func ofBinding(rule, how string, change func(*admissionv1.ValidatingAdmissionPolicyBindingSpec)) breakage {
	return breakage{how, rule, func(_ *Unit, o render.Object) bool {
		b, ok := o.(*admissionv1.ValidatingAdmissionPolicyBinding)
		if ok {
			change(&b.Spec)
		}
		return ok
	}}
}

// admitting makes a breakage of an annotation of every tenant's namespace that has it.
func admitting(how, annotation string, change func(string) string) breakage {
	return breakage{how, "admission/namespace", func(u *Unit, o render.Object) bool {
		ns, ok := o.(*corev1.Namespace)
		if !ok || ns.Annotations[annotation] == "" {
			return false
		}
		ns.Annotations[annotation] = change(ns.Annotations[annotation])
		return true
	}}
}

func TestBreaksOfAdmission(t *testing.T) {
	t.Parallel()
	fleet := examples(t)[0]
	const enforced, policy = "admission/enforced", "admission/policy"
	some := func(key string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: "x"}}
	}
	ways := []breakage{
		ofPolicy(enforced, "let pass what cannot be evaluated", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.FailurePolicy = new(admissionv1.Ignore) }),
		ofPolicy(enforced, "refuse nothing", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.Validations = nil }),
		ofPolicy(enforced, "ask an object", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.ParamKind = &admissionv1.ParamKind{APIVersion: "v1", Kind: "ConfigMap"}
		}),
		ofPolicy(enforced, "match nothing", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.MatchConstraints = nil }),
		ofPolicy(enforced, "match some namespaces", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.NamespaceSelector.MatchLabels = map[string]string{corev1.LabelMetadataName: "acme"}
		}),
		ofPolicy(enforced, "match all namespaces of today", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.NamespaceSelector.MatchExpressions[0].Operator = metav1.LabelSelectorOpIn
			for _, u := range fleet.Units {
				s.MatchConstraints.NamespaceSelector.MatchExpressions[0].Values = append(s.MatchConstraints.NamespaceSelector.MatchExpressions[0].Values, u.Name)
			}
		}),
		ofPolicy(enforced, "match what is no tenant's", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.NamespaceSelector.MatchExpressions[0].Operator = metav1.LabelSelectorOpDoesNotExist
		}),
		ofPolicy(enforced, "match what carries a label", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.MatchConstraints.ObjectSelector = some("x") }),
		ofPolicy(enforced, "match one version", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.MatchPolicy = new(admissionv1.Exact)
		}),
		ofPolicy(enforced, "leave some out", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.ExcludeResourceRules = s.MatchConstraints.ResourceRules
		}),
		ofPolicy(policy, "match every namespace", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.MatchConstraints.NamespaceSelector = nil }),
		ofPolicy(policy, "look at nothing that changes", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.MatchConditions[0].Expression = "false" }),
		ofPolicy(policy, "leave somebody out", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConditions = append(s.MatchConditions, admissionv1.MatchCondition{Name: "nobody", Expression: "request.userInfo.username != 'mallory'"})
		}),
		ofBinding(enforced, "write down only", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.ValidationActions = []admissionv1.ValidationAction{admissionv1.Audit}
		}),
		ofBinding(enforced, "warn only", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.ValidationActions = []admissionv1.ValidationAction{admissionv1.Warn}
		}),
		ofBinding(enforced, "bind another policy", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) { s.PolicyName = "another" }),
		ofBinding(enforced, "bind some namespaces", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.MatchResources = &admissionv1.MatchResources{NamespaceSelector: some(corev1.LabelMetadataName)}
		}),
		ofBinding(enforced, "bind what carries a label", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.MatchResources = &admissionv1.MatchResources{ObjectSelector: some("x")}
		}),
		ofBinding(enforced, "bind some kinds", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.MatchResources = &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{}}}
		}),
		ofBinding(policy, "bind with a parameter", func(s *admissionv1.ValidatingAdmissionPolicyBindingSpec) {
			s.ParamRef = &admissionv1.ParamRef{Name: "x"}
		}),
		admitting("add a host", render.HostsAnnotation, func(s string) string { return s + ",wayne.example.com" }),
		admitting("add another tenant's host", render.HostsAnnotation, func(s string) string { return s + ",db.prod.globex.example" }),
		admitting("have no hosts", render.HostsAnnotation, func(string) string { return "" }),
		admitting("have another host", render.HostsAnnotation, func(string) string { return "wayne.example.com" }),
		admitting("go before the platform", render.PriorityAnnotation, func(string) string { return "system-cluster-critical" }),
		admitting("have no priority", render.PriorityAnnotation, func(string) string { return "" }),
		admitting("add a place of another tenant's", render.SecretsAnnotation, func(s string) string { return s + ",vault:prod/umbrella/settings" }),
		admitting("have no places", render.SecretsAnnotation, func(string) string { return "" }),
		admitting("drop a place", render.SecretsAnnotation, func(s string) string { _, rest, _ := strings.Cut(s, ","); return rest }),
		{"claim a host that nobody declares", "admission/namespace", func(u *Unit, o render.Object) bool {
			return claims(func(*Unit, string) string { return "wayne.example.com" })(u, o)
		}},
		custom("admission/namespace", "take a value from elsewhere", "external-secrets.io/ExternalSecret", []any{map[string]any{
			"secretKey": "x", "remoteRef": map[string]any{"key": "prod/globex/another", "property": "x"},
		}}, "spec", "data"),
	}
	n := tally{rules: admissionRules}
	n.breakAll(t, fleet, ways)
	for _, u := range fleet.Units {
		for _, o := range u.Objects {
			switch w := o.Object.(type) {
			case *admissionv1.ValidatingAdmissionPolicyBinding:
				n.expect(t, fleet.with(u.Name, o.File, nil), breakage{"delete a binding", enforced, nil}, o.File)
				n.expect(t, fleet.with(u.Name, o.File, nil), breakage{"delete a binding that is declared", policy, nil}, o.File)
			case *admissionv1.ValidatingAdmissionPolicy:
				n.expect(t, fleet.with(u.Name, o.File, nil), breakage{"delete a policy", enforced, nil}, o.File)
				n.expect(t, fleet.with(u.Name, o.File, nil), breakage{"delete a policy that is declared", policy, nil}, o.File)
				for _, m := range policyMutants(w) {
					n.expect(t, fleet.with(u.Name, o.File, m.policy), breakage{m.how, m.rule, nil}, o.File)
				}
			}
		}
	}
	n.log(t)
}

// A policyMutant is a policy with one part of it wrong.
type policyMutant struct {
	how, rule string
	policy    *admissionv1.ValidatingAdmissionPolicy
}

// policyMutants weakens every part of a policy on its own.
func policyMutants(p *admissionv1.ValidatingAdmissionPolicy) []policyMutant {
	var list []policyMutant
	add := func(rule, how string, change func(*admissionv1.ValidatingAdmissionPolicySpec)) {
		q := p.DeepCopy()
		change(&q.Spec)
		list = append(list, policyMutant{how, rule, q})
	}
	const enforced, policy = "admission/enforced", "admission/policy"
	for i := range p.Spec.Validations {
		if len(p.Spec.Validations) > 1 {
			add(policy, "drop a validation", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
				s.Validations = slices.Delete(s.Validations, i, i+1)
			})
		}
		add(policy, "let everything pass a validation", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.Validations[i].Expression = "true" })
		add(policy, "say something else", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.Validations[i].Message = "no" })
	}
	for i := range p.Spec.Variables {
		add(policy, "find nothing", func(s *admissionv1.ValidatingAdmissionPolicySpec) { s.Variables[i].Expression = "[]" })
	}
	for i, rule := range p.Spec.MatchConstraints.ResourceRules {
		at := func(s *admissionv1.ValidatingAdmissionPolicySpec) *admissionv1.NamedRuleWithOperations {
			return &s.MatchConstraints.ResourceRules[i]
		}
		for j := range rule.Resources {
			add(enforced, "drop a resource", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
				at(s).Resources = slices.Delete(at(s).Resources, j, j+1)
			})
		}
		for j, operation := range rule.Operations {
			add(enforced, fmt.Sprintf("drop %s", operation), func(s *admissionv1.ValidatingAdmissionPolicySpec) {
				at(s).Operations = slices.Delete(at(s).Operations, j, j+1)
			})
		}
		add(enforced, "drop a rule", func(s *admissionv1.ValidatingAdmissionPolicySpec) {
			s.MatchConstraints.ResourceRules = slices.Delete(s.MatchConstraints.ResourceRules, i, i+1)
		})
		add(enforced, "match another version", func(s *admissionv1.ValidatingAdmissionPolicySpec) { at(s).APIVersions = []string{"v9"} })
		add(enforced, "match another group", func(s *admissionv1.ValidatingAdmissionPolicySpec) { at(s).APIGroups = []string{"example.com"} })
		add(enforced, "match one name", func(s *admissionv1.ValidatingAdmissionPolicySpec) { at(s).ResourceNames = []string{"api"} })
		add(enforced, "match what has no namespace", func(s *admissionv1.ValidatingAdmissionPolicySpec) { at(s).Scope = new(admissionv1.ClusterScope) })
	}
	return list
}

// TestAdmissionOfOthers has policies that are not the platform's, which nobody counts on.
func TestAdmissionOfOthers(t *testing.T) {
	fleet := examples(t)[0]
	warns := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicy"}, ObjectMeta: metav1.ObjectMeta{Name: "labels.example.com"},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: new(admissionv1.Ignore),
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.OperationAll},
				Rule:       admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}},
			}}}},
			Validations: []admissionv1.Validation{{Expression: "has(object.metadata.labels)"}},
		},
	}
	if all := found(admissionRules, fleet.and(render.PlatformUnit, warns)); len(all) > 0 {
		t.Errorf("a policy that warns: %v", all)
	}
	// A fleet without tenants has nothing to guard.
	alone := fleet
	alone.Units = fleet.Units[:1]
	alone.Facts.Admission = nil
	alone.Units[0].Objects = slices.DeleteFunc(slices.Clone(alone.Units[0].Objects), func(o Object) bool { return strings.Contains(o.ID(), "Admission") })
	if all := found(admissionRules, alone); len(all) > 0 {
		t.Errorf("a platform alone: %v", all)
	}
	// An object of a kind that the policies do not know may claim what it likes here; names/host looks at it.
	gateway := &gatewayv1.Gateway{TypeMeta: metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway"}, ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "acme"}}
	if all := found(admissionRules, examples(t)[0].and("acme", gateway)); len(all) > 0 {
		t.Errorf("a Gateway: %v", all)
	}
}
