package render

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// securedNamespace enforces Pod Security "restricted" at the cluster's version.
func (s scope) securedNamespace() Object {
	m := s.cluster(s.unit, "namespace", s.unit)
	for _, mode := range []string{"enforce", "audit", "warn"} {
		m.Labels["pod-security.kubernetes.io/"+mode] = "restricted"
		m.Labels["pod-security.kubernetes.io/"+mode+"-version"] = "v" + s.fleet.Cluster.Kubernetes
	}
	return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: m}
}

// namespace is a tenant's namespace with its quota and limits.
func (s scope) namespace(tier Tier) []Object {
	return []Object{
		s.securedNamespace(),
		&corev1.ResourceQuota{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
			ObjectMeta: s.named("tier", "isolation", "isolation"),
			Spec:       corev1.ResourceQuotaSpec{Hard: tier.Quota()},
		},
		&corev1.LimitRange{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
			ObjectMeta: s.named("containers", "isolation", "isolation"),
			Spec:       limits(),
		},
		// Pods that name no account get this one, which can do nothing and has no token.
		s.serviceAccount("default", "isolation", "isolation"),
	}
}

// serviceAccount is an identity without a token in its pods; the one workload that needs a token asks for
// it in its own pod.
func (s scope) serviceAccount(name, component, app string) Object {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   s.named(name, component, app),
		AutomountServiceAccountToken: new(false),
	}
}

// looks are the verbs that change nothing.
var looks = []string{"get", "list", "watch"}

// account is whom a binding names: an account of a namespace.
func account(namespace, name string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: name, Namespace: namespace}
}

// grant is a Role of the unit's namespace and its binding to an account.
func (s scope) grant(name, component, app string, to rbacv1.Subject, rules ...rbacv1.PolicyRule) []Object {
	return []Object{
		&rbacv1.Role{
			TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"},
			ObjectMeta: s.named(name, component, app),
			Rules:      rules,
		},
		&rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
			ObjectMeta: s.named(name, component, app),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
			Subjects:   []rbacv1.Subject{to},
		},
	}
}

// boundKinds are the kinds that keep a tenant in its bounds. The tenant's own deploy identity may look at them
// and change none.
var boundKinds = map[string]bool{
	"Namespace": true, "ResourceQuota": true, "LimitRange": true, "NetworkPolicy": true,
	"ServiceAccount": true, "Role": true, "RoleBinding": true,
}

// deployer is what the tenant's own deploy identity may do: change, in the tenant's namespace, the kinds that
// the tenant is made of, but not those that bound it. What keeps the tenant apart from others is applied by
// the fleet's identity.
func (s scope) deployer(objects []Object, to rbacv1.Subject, more ...rbacv1.PolicyRule) []Object {
	change, look := map[string][]string{}, map[string][]string{}
	for _, o := range objects {
		gvk := o.GetObjectKind().GroupVersionKind()
		if gvk.Kind == "Namespace" {
			continue
		}
		list := change
		if boundKinds[gvk.Kind] {
			list = look
		}
		if plural := resourceOf(gvk.Kind); !slices.Contains(list[gvk.Group], plural) {
			list[gvk.Group] = append(list[gvk.Group], plural)
		}
	}
	if !slices.Contains(change[""], "configmaps") {
		change[""] = append(change[""], "configmaps") // the release
	}
	rules := slices.Concat(
		policyRules(change, slices.Concat(looks, []string{"create", "update", "patch", "delete"})...),
		policyRules(look, looks...),
		more)
	return s.grant(deployerName, deployerName, deployerName, to, rules...)
}

func policyRules(byGroup map[string][]string, verbs ...string) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for group, resources := range byGroup {
		slices.Sort(resources)
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs})
	}
	slices.SortFunc(rules, func(a, b rbacv1.PolicyRule) int { return strings.Compare(a.APIGroups[0], b.APIGroups[0]) })
	return rules
}

// resourceOf is the plural under which RBAC knows a kind, by the rule that Kubernetes names resources by.
func resourceOf(kind string) string {
	s := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(s, "endpoints"):
		return s
	case strings.HasSuffix(s, "s"), strings.HasSuffix(s, "x"), strings.HasSuffix(s, "ch"), strings.HasSuffix(s, "sh"):
		return s + "es"
	case strings.HasSuffix(s, "y") && !strings.HasSuffix(s, "ay") && !strings.HasSuffix(s, "ey"):
		return strings.TrimSuffix(s, "y") + "ies"
	default:
		return s + "s"
	}
}

// adopt copies extra objects into the unit: its namespace, its labels. The objects themselves stay as they
// are, since other fleets may hold the same ones.
func (s scope) adopt(extra []Object) []Object {
	adopted := make([]Object, 0, len(extra))
	for _, o := range extra {
		text, err := json.Marshal(o)
		u := &unstructured.Unstructured{}
		if err == nil {
			err = json.Unmarshal(text, &u.Object)
		}
		if err != nil {
			panic(fmt.Sprintf("extra object %s was not validated: %v", o.GetName(), err))
		}
		if !clusterScoped[u.GetKind()] {
			u.SetNamespace(s.unit)
		}
		u.SetLabels(with(u.GetLabels(), s.labels("extra", "extra")))
		adopted = append(adopted, u)
	}
	return adopted
}
