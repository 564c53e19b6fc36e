package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tenantry/tenantry/render"
)

// identityRules hold what accounts may do at the API server against what they are declared to do. Whoever may
// make pods in a namespace, or what makes pods, holds every account of that namespace: what lies within one
// namespace is therefore not told apart further.
var identityRules = []Rule{
	{
		ID:       "identity/bounds",
		Protects: "Nobody who is bound moves his bounds: roles, bindings, accounts and their tokens, quotas, limits, network policies, namespaces, and what the cluster admits.",
		check:    powers("identity/bounds"),
	},
	{
		ID:       "identity/cluster-wide",
		Protects: "What a fleet's objects grant ends at a namespace.",
		check:    clusterWide,
	},
	{
		ID:       "identity/cross-tenant",
		Protects: "No account of a tenant reads or changes anything of another tenant.",
		check:    subjects("identity/cross-tenant"),
	},
	{
		ID: "identity/delivery",
		Protects: "What Flux applies are the reviewed bytes, and all of them. It applies a tenant by an account that may change that tenant " +
			"alone, and the tenant's bounds by another, and deletes nothing that holds data.",
		check: delivered,
	},
	{
		ID:       "identity/escalation",
		Protects: "Nobody gives himself, or becomes somebody with, more rights than he has.",
		check:    powers("identity/escalation"),
	},
	{
		ID:       "identity/pods",
		Protects: "Pods come of workloads that a review shows; where somebody may make one by itself, an exception says why.",
		check:    powers("identity/pods"),
	},
	{
		ID:       "identity/shell",
		Protects: "Nobody gets into a running container, or past the network policies, through the API server.",
		check:    powers("identity/shell"),
	},
	{
		ID:       "identity/token",
		Protects: "Only a pod whose account is declared to do something can speak for it.",
		check:    tokens,
	},
	{
		ID:       "identity/undeclared",
		Protects: "Accounts may do what the fleet's values say, and whoever may do something is an account of the fleet.",
		check:    subjects("identity/undeclared"),
	},
	{
		ID:       "identity/unseen-role",
		Protects: "What is granted stands where a reviewer sees it, and no other role of the cluster grows by it.",
		check:    unseenRoles,
	},
	{
		ID:       "identity/wildcard",
		Protects: "A grant ends: it does not grow with what the cluster learns to serve.",
		check:    powers("identity/wildcard"),
	},
}

// A role is a Role or a ClusterRole of a unit.
type role struct {
	unit   *Unit
	object Object
	rules  []rbacv1.PolicyRule
}

// An access is the roles and bindings of a fleet.
type access struct {
	roles    []role
	within   map[string][]role // by unit
	cluster  []role
	bindings []binding
	grants   map[grantee][]Grant
}

// A grantee is an account of the namespace home that is granted something in a namespace.
type grantee struct{ namespace, home, account string }

// A binding is a RoleBinding or a ClusterRoleBinding of a unit.
type binding struct {
	unit     *Unit
	object   Object
	cluster  bool
	to       rbacv1.RoleRef
	subjects []rbacv1.Subject
}

func newAccess(f *Fleet) *access {
	a := &access{within: map[string][]role{}, grants: map[grantee][]Grant{}}
	for i := range f.Units {
		u := &f.Units[i]
		for _, o := range u.Objects {
			switch w := o.Object.(type) {
			case *rbacv1.Role:
				a.roles = append(a.roles, role{u, o, w.Rules})
				a.within[u.Name] = append(a.within[u.Name], role{u, o, w.Rules})
			case *rbacv1.ClusterRole:
				a.roles = append(a.roles, role{u, o, w.Rules})
				a.cluster = append(a.cluster, role{u, o, w.Rules})
			case *rbacv1.RoleBinding:
				a.bindings = append(a.bindings, binding{u, o, false, w.RoleRef, w.Subjects})
			case *rbacv1.ClusterRoleBinding:
				a.bindings = append(a.bindings, binding{u, o, true, w.RoleRef, w.Subjects})
			}
		}
	}
	for _, g := range f.Facts.Grants {
		to := grantee{g.Namespace, cmp.Or(g.Home, g.Namespace), g.Account}
		a.grants[to] = append(a.grants[to], g)
	}
	return a
}

// A power is something that no rendered role may hold.
type power struct {
	rule   string // identifier
	holds  func(r *rbacv1.PolicyRule) bool
	field  string // of the rule, which gives it
	says   string // after "whoever is bound to it "
	remedy string
}

var powerList = []power{
	{"identity/wildcard", func(r *rbacv1.PolicyRule) bool { return wild(r.Verbs) }, "verbs", "may do everything with it, what later versions add included", "name the verbs"},
	{"identity/wildcard", func(r *rbacv1.PolicyRule) bool { return wild(r.APIGroups) }, "apiGroups", "has it in every group, those that are installed later included", "name the groups"},
	{"identity/wildcard", func(r *rbacv1.PolicyRule) bool { return wild(r.Resources) }, "resources", "has every resource, those that are installed later included", "name the resources"},
	{"identity/wildcard", func(r *rbacv1.PolicyRule) bool { return wild(r.NonResourceURLs) }, "nonResourceURLs", "has every path of the API server's", "name the paths"},

	{"identity/escalation", func(r *rbacv1.PolicyRule) bool { return does(r, "escalate") }, "verbs", "may write roles with rights that he has not", "take the verb escalate out"},
	{"identity/escalation", func(r *rbacv1.PolicyRule) bool { return does(r, "bind") }, "verbs", "may bind roles with rights that he has not", "take the verb bind out"},
	{"identity/escalation", func(r *rbacv1.PolicyRule) bool {
		return slices.ContainsFunc(r.Verbs, func(v string) bool { return v == "*" || strings.HasPrefix(v, "impersonate") })
	}, "verbs", "may be somebody else", "take the verb impersonate out"},
	{"identity/escalation", func(r *rbacv1.PolicyRule) bool {
		return does(r, "approve", "sign", "attest") && over(r, "certificates.k8s.io", "signers")
	}, "resources", "may have certificates of anybody signed", "take signers out"},

	{"identity/shell", func(r *rbacv1.PolicyRule) bool {
		return over(r, "", "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "pods/ephemeralcontainers", "services/proxy", "nodes/proxy")
	}, "resources", "gets into running containers, or to their ports past the network policies", "take the subresource out"},
	{"identity/pods", func(r *rbacv1.PolicyRule) bool {
		return changes(r, "delete", "deletecollection") && over(r, "", "pods")
	}, "resources", "may make or change pods by themselves", "let it change what makes pods, or make an exception that says why"},

	{"identity/bounds", func(r *rbacv1.PolicyRule) bool {
		return changes(r) && slices.ContainsFunc(bounds, func(b bound) bool { return over(r, b.group, b.resources...) })
	}, "resources", "may move what keeps it in its bounds", "leave get, list and watch alone"},
}

// A bound is what keeps tenants in their bounds, or makes it possible to get around what does.
type bound struct {
	group     string
	resources []string
}

var bounds = []bound{
	{"", []string{
		"bindings", "endpoints", "limitranges", "namespaces", "namespaces/finalize", "namespaces/status", "nodes", "nodes/status", "persistentvolumes",
		"pods/binding", "pods/status", "resourcequotas", "resourcequotas/status", "serviceaccounts", "serviceaccounts/token", "services/status",
	}},
	{"admissionregistration.k8s.io", []string{"*"}},
	{"apiextensions.k8s.io", []string{"*"}},
	{"apiregistration.k8s.io", []string{"*"}},
	{"authentication.k8s.io", []string{"*"}},
	{"cert-manager.io", []string{"clusterissuers"}},
	{"certificates.k8s.io", []string{"*"}},
	{"cilium.io", []string{"*"}},
	{"crd.projectcalico.org", []string{"*"}},
	{"discovery.k8s.io", []string{"endpointslices"}},
	{"external-secrets.io", []string{"clusterexternalsecrets", "clustersecretstores"}},
	{"flowcontrol.apiserver.k8s.io", []string{"*"}},
	{"gateway.envoyproxy.io", []string{"envoypatchpolicies", "envoyproxies"}},
	{"gateway.networking.k8s.io", []string{"backendtlspolicies", "gatewayclasses", "gateways", "referencegrants"}},
	{"helm.toolkit.fluxcd.io", []string{"*"}},
	{"kustomize.toolkit.fluxcd.io", []string{"*"}},
	{"networking.k8s.io", []string{"ingressclasses", "ingresses/status", "ipaddresses", "networkpolicies", "servicecidrs"}},
	{"node.k8s.io", []string{"*"}},
	{"policy.networking.k8s.io", []string{"*"}},
	{"projectcalico.org", []string{"*"}},
	{"rbac.authorization.k8s.io", []string{"*"}},
	{"scheduling.k8s.io", []string{"*"}},
	{"source.toolkit.fluxcd.io", []string{"*"}},
	{"storage.k8s.io", []string{"*"}},
}

// wild says that a list holds a wildcard: "*", and parts of a resource or a path.
func wild(list []string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "*") })
}

// does says that a rule has one of the verbs.
func does(r *rbacv1.PolicyRule, verbs ...string) bool {
	return slices.ContainsFunc(r.Verbs, func(v string) bool { return v == "*" || slices.Contains(verbs, v) })
}

// changes says that a rule has a verb that changes something, and is none of those that are left out.
func changes(r *rbacv1.PolicyRule, but ...string) bool {
	return slices.ContainsFunc(r.Verbs, func(v string) bool {
		return !slices.Contains([]string{"get", "list", "watch"}, v) && !slices.Contains(but, v)
	})
}

// over says that a rule is about one of the resources of a group; "*" is all of them.
func over(r *rbacv1.PolicyRule, group string, resources ...string) bool {
	if !slices.Contains(r.APIGroups, "*") && !slices.Contains(r.APIGroups, group) {
		return false
	}
	return slices.ContainsFunc(r.Resources, func(have string) bool {
		return slices.ContainsFunc(resources, func(want string) bool {
			resource, sub, _ := strings.Cut(want, "/")
			haveResource, haveSub, _ := strings.Cut(have, "/")
			switch {
			case have == "*", want == "*", have == want:
				return true
			case strings.Contains(have, "/"):
				return (haveResource == "*" || haveResource == resource) && (haveSub == "*" && sub != "" || haveSub == sub)
			}
			return false
		})
	})
}

// powers makes the check of a rule about what roles hold, whether somebody is bound to them or not.
func powers(id string) func(*subject) []Finding {
	return func(s *subject) []Finding {
		var findings []Finding
		for _, r := range s.access.roles {
			for i := range r.rules {
				for _, p := range powerList {
					if p.rule == id && p.holds(&r.rules[i]) {
						findings = append(findings, s.finding(id, r.unit.Name, r.object, fmt.Sprintf("rules[%d].%s", i, p.field),
							fmt.Sprintf("whoever is bound to it %s: %s", p.says, inWords(&r.rules[i])), p.remedy))
					}
				}
			}
		}
		return findings
	}
}

func inWords(r *rbacv1.PolicyRule) string {
	if len(r.NonResourceURLs) > 0 {
		return strings.Join(r.Verbs, ", ") + " " + strings.Join(r.NonResourceURLs, ", ")
	}
	var of []string
	for _, resource := range r.Resources {
		for _, group := range r.APIGroups {
			of = append(of, strings.TrimSuffix(resource+"."+group, "."))
		}
	}
	return strings.Join(r.Verbs, ", ") + " " + some(of, 6)
}

// granted is the roles that a binding gives to its subjects, those that are aggregated included.
func (a *access) granted(b binding) []role {
	roles := a.cluster
	if b.to.Kind == "Role" {
		roles = a.within[b.unit.Name]
	}
	var list []role
	for _, r := range roles {
		if r.object.GetName() == b.to.Name {
			list = append(list, a.aggregated(r, nil)...)
		}
	}
	return list
}

// aggregated is a role and all whose rules the control plane adds to it.
func (a *access) aggregated(r role, seen []string) []role {
	list := []role{r}
	c, ok := r.object.Object.(*rbacv1.ClusterRole)
	if !ok || c.AggregationRule == nil || slices.Contains(seen, c.Name) {
		return list
	}
	for _, s := range c.AggregationRule.ClusterRoleSelectors {
		picks, err := metav1.LabelSelectorAsSelector(&s)
		if err != nil {
			continue // the API server refuses it
		}
		for _, other := range a.cluster {
			if other.object.GetName() != c.Name && picks.Matches(labels.Set(other.object.GetLabels())) {
				list = append(list, a.aggregated(other, append(seen, c.Name))...)
			}
		}
	}
	return list
}

// holder says whose a subject is: the namespace and the name of an account; an empty name is all accounts of
// the namespace, and both empty everybody. ok is false where nobody can tell.
func holder(s rbacv1.Subject, in string) (namespace, account string, ok bool) {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		if s.Namespace == "" {
			s.Namespace = in
		}
		return s.Namespace, s.Name, true
	case rbacv1.UserKind:
		if rest, is := strings.CutPrefix(s.Name, "system:serviceaccount:"); is {
			namespace, account, ok = strings.Cut(rest, ":")
			return namespace, account, ok
		}
		return "", "", s.Name == "system:anonymous"
	case rbacv1.GroupKind:
		if rest, is := strings.CutPrefix(s.Name, "system:serviceaccounts:"); is {
			return rest, "", true
		}
		return "", "", slices.Contains([]string{"system:authenticated", "system:serviceaccounts", "system:unauthenticated"}, s.Name)
	}
	return "", "", false
}

func (f *Fleet) tenant(namespace string) bool {
	return namespace != render.PlatformUnit && slices.ContainsFunc(f.Units, func(u Unit) bool { return u.Name == namespace })
}

// subjects makes the check of a rule about whom bindings within a namespace name, and what they give them.
func subjects(id string) func(*subject) []Finding {
	return func(s *subject) []Finding {
		var findings []Finding
		for _, b := range s.access.bindings {
			if b.cluster {
				continue
			}
			here := b.unit.Name
			for i, who := range b.subjects {
				namespace, account, known := holder(who, here)
				found, message, remedy := "identity/undeclared", "", "bind an account of the namespace, by its name"
				switch {
				case !known:
					message = fmt.Sprintf("who the %s %q is, nobody can tell from the fleet", strings.ToLower(who.Kind), who.Name)
				case namespace == "":
					found, message = "identity/cross-tenant", fmt.Sprintf("the %s %q is the accounts of every tenant", strings.ToLower(who.Kind), who.Name)
				case namespace != here && s.tenant(namespace):
					found, message = "identity/cross-tenant", fmt.Sprintf("%q is of the tenant %s", who.Name, namespace)
				case namespace != here && s.access.grants[grantee{here, namespace, account}] == nil:
					message = fmt.Sprintf("%q is of the namespace %s", who.Name, namespace)
				case account == "":
					message = "every account of the namespace has it, those of pods that nobody thought of included"
				default:
					message = s.beyondGrants(b, grantee{here, namespace, account})
					remedy = "take out what it has no use for, or declare it in the fleet's values"
				}
				if message != "" && found == id {
					findings = append(findings, s.finding(id, here, b.object, fmt.Sprintf("subjects[%d]", i), message, remedy))
				}
			}
		}
		return findings
	}
}

// beyondGrants says what a binding gives an account beyond what is declared; empty when nothing.
func (s *subject) beyondGrants(b binding, to grantee) string {
	grants := s.access.grants[to]
	for _, r := range s.access.granted(b) {
		for i := range r.rules {
			p := &r.rules[i]
			if !slices.ContainsFunc(grants, func(g Grant) bool { return g.covers(p) }) {
				return fmt.Sprintf("the account %s may %s, by rules[%d] of %s, which no value declares", to.account, inWords(p), i, r.object.ID())
			}
		}
	}
	return ""
}

func (g *Grant) covers(r *rbacv1.PolicyRule) bool {
	if len(g.Verbs)+len(g.Resources) == 0 {
		return true
	}
	all := func(list, of []string) bool {
		return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(of, s) })
	}
	return all(r.Verbs, g.Verbs) && all(r.Resources, g.Resources) && all(r.APIGroups, []string{""})
}

func clusterWide(s *subject) []Finding {
	var findings []Finding
	for _, b := range s.access.bindings {
		for i, who := range b.subjects {
			if b.cluster {
				findings = append(findings, s.finding("identity/cluster-wide", b.unit.Name, b.object, fmt.Sprintf("subjects[%d]", i),
					fmt.Sprintf("%s %s has it in every namespace: %s/%s", strings.ToLower(who.Kind), who.Name, b.to.Kind, b.to.Name),
					"bind a Role in the namespace that it is for"))
			}
		}
	}
	return findings
}

func unseenRoles(s *subject) []Finding {
	var findings []Finding
	for _, b := range s.access.bindings {
		if len(s.access.granted(b)) == 0 {
			findings = append(findings, s.finding("identity/unseen-role", b.unit.Name, b.object, "roleRef",
				fmt.Sprintf("the fleet renders no %s %s: what it allows is written elsewhere, and may change there", b.to.Kind, b.to.Name), "write a Role beside the binding, with what it is to allow"))
		}
	}
	for _, r := range s.access.roles {
		for key := range r.object.GetLabels() {
			if strings.HasPrefix(key, "rbac.authorization.k8s.io/aggregate-to-") {
				findings = append(findings, s.finding("identity/unseen-role", r.unit.Name, r.object, "metadata.labels",
					"the label "+key+" adds what it allows to a role of the cluster's own, wherever that is bound", "take the label out"))
			}
		}
	}
	return findings
}

func tokens(s *subject) []Finding {
	var findings []Finding
	tell := func(u *Unit, o Object, field, message, remedy string) {
		findings = append(findings, s.finding("identity/token", u.Name, o, field, message, remedy))
	}
	mounts := map[string]bool{} // accounts by namespace/name whose pods have a token unless they decline it
	declares := map[string]bool{}
	for _, g := range s.Facts.Grants {
		declares[g.Namespace+"/"+g.Account] = len(g.Verbs) > 0 // pods have no account of another namespace
	}
	bound := map[string]bool{}
	for _, b := range s.access.bindings {
		for _, who := range b.subjects {
			if namespace, account, known := holder(who, b.unit.Name); known {
				bound[namespace+"/"+account] = true
			}
		}
	}
	for i := range s.Units {
		u := &s.Units[i]
		closed := false
		for _, o := range u.Objects {
			switch w := o.Object.(type) {
			case *corev1.ServiceAccount:
				off := w.AutomountServiceAccountToken != nil && !*w.AutomountServiceAccountToken
				mounts[u.Name+"/"+w.Name] = !off
				closed = closed || w.Name == "default" && off
				if !off {
					tell(u, o, "automountServiceAccountToken", "every pod of the account has its token, unless the pod declines it", "set it to false, and to true in the pod that needs one")
				}
			case *corev1.Secret:
				if w.Type == corev1.SecretTypeServiceAccountToken {
					tell(u, o, "type", "the Secret holds a token of "+w.Annotations[corev1.ServiceAccountNameKey]+" that never ends", "take it out; a pod is given a token that ends")
				}
			}
		}
		for _, o := range u.Objects {
			if ns, ok := o.Object.(*corev1.Namespace); ok && ns.Name == u.Name && !closed {
				tell(u, o, "", "pods that name no account have a token of the account default", "render the ServiceAccount default with automountServiceAccountToken: false")
			}
		}
	}
	for _, t := range s.pods {
		id := t.unit.Name + "/" + t.account()
		may := declares[id] && bound[id]
		own, rendered := mounts[id]
		if t.made && !rendered && !t.solver() {
			continue // the account is the operator's too
		}
		// A pod that is written here declines for itself; one that an operator makes is bound by its account.
		has := !t.made || own || !rendered
		if t.spec.AutomountServiceAccountToken != nil {
			has = *t.spec.AutomountServiceAccountToken
		}
		if has && !may {
			tell(t.unit, t.object, t.at("automountServiceAccountToken"), fmt.Sprintf("its pods may have a token of the account %s, which is declared to do nothing", t.account()), "set it to false")
		}
		for i, v := range t.spec.Volumes {
			if v.Projected == nil {
				continue
			}
			for j, source := range v.Projected.Sources {
				at := t.at(fmt.Sprintf("volumes[%d].projected.sources[%d]", i, j))
				if source.ServiceAccountToken != nil && !may {
					tell(t.unit, t.object, at, fmt.Sprintf("its pods have a token of the account %s, for %s", t.account(), orAPI(source.ServiceAccountToken.Audience)), "take it out")
				}
				if source.PodCertificate != nil && !may {
					tell(t.unit, t.object, at, "its pods have a certificate of their own, signed by "+source.PodCertificate.SignerName, "take it out")
				}
			}
		}
	}
	return findings
}

func orAPI(audience string) string {
	if audience == "" {
		return "the API server"
	}
	return audience
}
