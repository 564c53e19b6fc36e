package verify

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tenantry/tenantry/render"
)

// admissionRules hold what the API server refuses against what these rules promise. What an expression in CEL means
// they cannot tell: that is tested against a real API server.
var admissionRules = []Rule{
	{
		ID:       "admission/enforced",
		Protects: "Whoever asks the API server for it, past every review, is refused what a tenant must not have; and also when the server cannot tell.",
		check:    enforced,
	},
	{
		ID:       "admission/namespace",
		Protects: "A tenant's namespace lets it have its own hosts, its own secret values and the priority of its tier, and nothing of others.",
		check:    namespacesAdmit,
	},
	{
		ID:       "admission/policy",
		Protects: "The policies of the API server say what was tested.",
		check:    policiesDeclared,
	},
}

// A kind that tenants have in their namespaces, and of which they could take more than is theirs.
type guarded struct{ group, version, resource string }

var guardedKinds = []guarded{
	{"", "v1", "pods"},
	{"", "v1", "pods/ephemeralcontainers"},
	{"", "v1", "replicationcontrollers"},
	{"", "v1", "secrets"},
	{"", "v1", "services"},
	{"apps", "v1", "daemonsets"},
	{"apps", "v1", "deployments"},
	{"apps", "v1", "replicasets"},
	{"apps", "v1", "statefulsets"},
	{"batch", "v1", "cronjobs"},
	{"batch", "v1", "jobs"},
	{"cert-manager.io", "v1", "certificates"},
	{"external-secrets.io", "v1", "externalsecrets"},
	{"externaldns.k8s.io", "v1alpha1", "dnsendpoints"},
	{"gateway.networking.k8s.io", "v1", "grpcroutes"},
	{"gateway.networking.k8s.io", "v1", "httproutes"},
	{"gateway.networking.k8s.io", "v1", "listenersets"},
	{"gateway.networking.k8s.io", "v1", "referencegrants"},
	{"gateway.networking.k8s.io", "v1", "tcproutes"},
	{"gateway.networking.k8s.io", "v1", "tlsroutes"},
	{"gateway.networking.k8s.io", "v1", "udproutes"},
	{"monitoring.coreos.com", "v1", "podmonitors"},
	{"monitoring.coreos.com", "v1", "servicemonitors"},
	{"networking.k8s.io", "v1", "ingresses"},
	{"postgresql.cnpg.io", "v1", "clusters"},
	{"postgresql.cnpg.io", "v1", "poolers"},
	{"rbac.authorization.k8s.io", "v1", "rolebindings"},
}

func (g guarded) String() string { return strings.TrimSuffix(g.resource+"."+g.group, ".") }

// by says that a policy is about every object of the kind that is created or changed.
func (g guarded) by(p *admissionv1.ValidatingAdmissionPolicy) bool {
	has := func(list []string, want string) bool {
		return slices.Contains(list, want) || slices.Contains(list, "*")
	}
	return p.Spec.MatchConstraints != nil && slices.ContainsFunc(p.Spec.MatchConstraints.ResourceRules, func(r admissionv1.NamedRuleWithOperations) bool {
		all := slices.Contains(r.Operations, admissionv1.OperationAll)
		return (all || slices.Contains(r.Operations, admissionv1.Create) && slices.Contains(r.Operations, admissionv1.Update)) &&
			has(r.APIGroups, g.group) && has(r.APIVersions, g.version) && len(r.ResourceNames) == 0 &&
			(slices.Contains(r.Resources, g.resource) || slices.Contains(r.Resources, "*/*") || slices.Contains(r.Resources, "*") && !strings.Contains(g.resource, "/")) &&
			(r.Scope == nil || *r.Scope != admissionv1.ClusterScope)
	})
}

// A flaw is what keeps a policy from refusing something, and where that stands.
type flaw struct {
	unit    *Unit
	object  Object
	field   string
	message string
	remedy  string
}

// An enforcement is what decides about policies, besides themselves.
type enforcement struct {
	spaces   []labels.Set // the labels of tenants' namespaces, and of one that is yet to come
	bindings map[string][]bindingOf
}

// A bindingOf is the binding of a policy, and where it stands.
type bindingOf struct {
	unit    *Unit
	object  Object
	binding *admissionv1.ValidatingAdmissionPolicyBinding
}

func enforced(s *subject) []Finding {
	if !slices.ContainsFunc(s.Units, func(u Unit) bool { return u.Name != render.PlatformUnit }) {
		return nil
	}
	e := enforcement{spaces: []labels.Set{{render.TenantLabel: "one-more", corev1.LabelMetadataName: "one-more"}}, bindings: map[string][]bindingOf{}}
	for i := range s.Units {
		u := &s.Units[i]
		for _, o := range u.Objects {
			switch w := o.Object.(type) {
			case *corev1.Namespace:
				if u.Name != render.PlatformUnit {
					e.spaces = append(e.spaces, labelled(w.Labels, map[string]string{corev1.LabelMetadataName: w.Name}))
				}
			case *admissionv1.ValidatingAdmissionPolicyBinding:
				e.bindings[w.Spec.PolicyName] = append(e.bindings[w.Spec.PolicyName], bindingOf{u, o, w})
			}
		}
	}
	var findings []Finding
	left := slices.Clone(guardedKinds)
	for i := range s.Units {
		u := &s.Units[i]
		for _, o := range u.Objects {
			p, ok := o.Object.(*admissionv1.ValidatingAdmissionPolicy)
			if !ok || !slices.ContainsFunc(guardedKinds, func(g guarded) bool { return g.by(p) }) {
				continue
			}
			f, ours := e.flaw(u, o, p), strings.HasSuffix(p.Name, ".tenantry.dev")
			if f != nil && ours { // others are not counted on
				findings = append(findings, s.finding("admission/enforced", f.unit.Name, f.object, f.field, f.message, f.remedy))
			}
			if f == nil || ours {
				left = slices.DeleteFunc(left, func(g guarded) bool { return g.by(p) })
			}
		}
	}
	if len(left) > 0 {
		words := make([]string, len(left))
		for i, g := range left {
			words[i] = g.String()
		}
		findings = append(findings, Finding{
			Rule: "admission/enforced", Fleet: s.Name, Unit: render.PlatformUnit, Object: "ValidatingAdmissionPolicy",
			Message: "no policy looks at what is created and changed in every tenant's namespace of " + some(words, 6),
			Remedy:  "render the policy and its binding with the platform",
		})
	}
	return findings
}

// flaw is the first of a policy, or of its binding; nil when it refuses what its expressions do.
func (e *enforcement) flaw(u *Unit, o Object, p *admissionv1.ValidatingAdmissionPolicy) *flaw {
	spec := &p.Spec
	switch {
	case spec.FailurePolicy != nil && *spec.FailurePolicy != admissionv1.Fail:
		return &flaw{u, o, "spec.failurePolicy", "it lets pass what it fails to understand", "make it Fail"}
	case len(spec.Validations) == 0:
		return &flaw{u, o, "spec.validations", "it refuses nothing", "say what must hold"}
	case spec.ParamKind != nil:
		return &flaw{u, o, "spec.paramKind", "what it refuses stands in an object that somebody may change", "take it out"}
	}
	if field, message := e.narrows(spec.MatchConstraints); message != "" {
		return &flaw{u, o, "spec.matchConstraints" + field, message, "let it hold in every namespace with the label " + render.TenantLabel}
	}
	var found *flaw
	for _, b := range e.bindings[p.Name] {
		at := func(field, message, remedy string) {
			found = cmp.Or(found, &flaw{b.unit, b.object, field, message, remedy})
		}
		match := b.binding.Spec.MatchResources
		field, message := e.narrows(match)
		switch {
		case !slices.Contains(b.binding.Spec.ValidationActions, admissionv1.Deny):
			at("spec.validationActions", fmt.Sprintf("what the policy finds is not refused: %v", b.binding.Spec.ValidationActions), "make it Deny")
		case message != "":
			at("spec.matchResources"+field, message, "take it out")
		case match != nil && len(match.ResourceRules) > 0:
			at("spec.matchResources.resourceRules", "it binds the policy for some kinds alone", "take it out")
		default:
			return nil
		}
	}
	return cmp.Or(found, &flaw{u, o, "metadata.name", "no binding puts it into effect", "render a ValidatingAdmissionPolicyBinding with validationActions: [Deny]"})
}

// narrows says what keeps a match from holding in every tenant's namespace.
func (e *enforcement) narrows(m *admissionv1.MatchResources) (field, message string) {
	switch {
	case m == nil:
		return "", ""
	case m.MatchPolicy != nil && *m.MatchPolicy != admissionv1.Equivalent:
		return ".matchPolicy", "another version of the same kind passes it by"
	case len(m.ExcludeResourceRules) > 0:
		return ".excludeResourceRules", "it leaves some out"
	case m.ObjectSelector != nil && len(m.ObjectSelector.MatchLabels)+len(m.ObjectSelector.MatchExpressions) > 0:
		return ".objectSelector", "an object that is labelled otherwise passes it by"
	case m.NamespaceSelector == nil:
		return "", ""
	}
	picks, err := metav1.LabelSelectorAsSelector(m.NamespaceSelector)
	if err != nil {
		return ".namespaceSelector", err.Error()
	}
	for _, space := range e.spaces {
		if !picks.Matches(space) {
			return ".namespaceSelector", "it does not pick the namespace " + space[corev1.LabelMetadataName]
		}
	}
	return "", ""
}

// policiesDeclared holds policies and bindings against those that the fleet's values ask for, field by field.
func policiesDeclared(s *subject) []Finding {
	var findings []Finding
	remedy := "run make gen; to refuse something else, change what renders the policies, and test it"
	for _, want := range s.Facts.Admission {
		declared := Object{Object: want}
		found := false
		for _, u := range s.Units {
			if u.Name != render.PlatformUnit {
				continue
			}
			for _, o := range u.Objects {
				if o.ID() != declared.ID() {
					continue
				}
				found = true
				if field := differs(o.Object, want); field != "" {
					findings = append(findings, s.finding("admission/policy", u.Name, o, field, "it is not what the fleet's values ask for", remedy))
				}
			}
		}
		if !found {
			findings = append(findings, Finding{
				Rule: "admission/policy", Fleet: s.Name, Unit: render.PlatformUnit, Object: declared.ID(), Message: "it is not rendered", Remedy: remedy,
			})
		}
	}
	return findings
}

// differs is the first field in which the specs of two objects of one type differ; empty when there is none.
func differs(a, b render.Object) string {
	x, y := reflect.ValueOf(a).Elem().FieldByName("Spec"), reflect.ValueOf(b).Elem().FieldByName("Spec")
	for field := range x.Type().Fields() {
		if !reflect.DeepEqual(x.FieldByIndex(field.Index).Interface(), y.FieldByIndex(field.Index).Interface()) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			return "spec." + name
		}
	}
	return ""
}

// namespacesAdmit holds what a tenant's namespace lets it have against what is declared, and what its objects claim.
func namespacesAdmit(s *subject) []Finding {
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		for _, o := range u.Objects {
			ns, ok := o.Object.(*corev1.Namespace)
			if !ok || u.Name == render.PlatformUnit || ns.Name != u.Name {
				continue
			}
			tell := func(o Object, field, message, remedy string) {
				findings = append(findings, s.finding("admission/namespace", u.Name, o, field, message, remedy))
			}
			listed := func(annotation string) []string {
				return strings.FieldsFunc(ns.Annotations[annotation], func(r rune) bool { return r == ',' })
			}
			hosts, places := listed(render.HostsAnnotation), listed(render.SecretsAnnotation)
			tier, declared := s.Facts.Tiers[u.Name]
			if class := "tenant-" + tier; declared && ns.Annotations[render.PriorityAnnotation] != class {
				tell(o, "metadata.annotations", fmt.Sprintf("the tenant's pods may have the priority %q", ns.Annotations[render.PriorityAnnotation]), "make "+render.PriorityAnnotation+" "+class)
			}
			for _, host := range hosts {
				if declared && !slices.Contains(s.Facts.Hosts[u.Name], host) {
					tell(o, "metadata.annotations", "the tenant may claim "+host+", which no value declares", "take it out of "+render.HostsAnnotation+", or add it to the tenant's Hosts")
				}
			}
			taken := map[string]bool{}
			for _, o := range u.Objects {
				for _, claimed := range hostsOf(o) {
					if host := claimed.text; strings.Contains(host, ".") && internal(host) == "" && !slices.Contains(hosts, host) {
						tell(o, claimed.field, "the API server would refuse "+host+", which is not among the tenant's hosts", "add it to the tenant's Hosts")
					}
				}
				for field, place := range placesOf(o) {
					taken[place] = true
					if !slices.Contains(places, place) {
						tell(o, field, "the API server would refuse "+place+", which is not among the tenant's places", "add it to "+render.SecretsAnnotation+" of the namespace")
					}
				}
			}
			for _, place := range places {
				if !taken[place] {
					tell(o, "metadata.annotations", "the tenant may take values from "+place+", and nothing does", "take it out of "+render.SecretsAnnotation)
				}
			}
		}
	}
	return findings
}

// placesOf is where an ExternalSecret takes values from, as <store>:<key>, by the field that says so.
func placesOf(o Object) map[string]string {
	places := map[string]string{}
	if e, ok := externalSecretOf(o); ok {
		for i, d := range e.Spec.Data {
			places[fmt.Sprintf("spec.data[%d].remoteRef.key", i)] = e.Spec.Store.Name + ":" + d.RemoteRef.Key
		}
	}
	return places
}
