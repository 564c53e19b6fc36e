package render

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TenantLabel stands on every object and pod of a tenant, and on nothing else.
const TenantLabel = "tenantry.dev/tenant"

// meta is where an object belongs; it makes the metadata of every object that render creates.
type meta struct {
	fleet, unit string
	tenant      bool
}

// named is the metadata of one object of a component. app is the software that it is about.
func (m meta) named(name, component, app string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: m.unit, Labels: m.labels(component, app)}
}

// cluster is the metadata of a cluster-scoped object.
func (m meta) cluster(name, component, app string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Labels: m.labels(component, app)}
}

func (m meta) labels(component, app string) map[string]string {
	labels := selector(m.unit, app)
	labels["app.kubernetes.io/component"] = component
	labels["app.kubernetes.io/part-of"] = m.fleet
	labels["app.kubernetes.io/managed-by"] = "tenantry"
	if m.tenant {
		labels[TenantLabel] = m.unit
	}
	return labels
}

// selector picks the pods of one piece of software in one unit. Selectors are immutable: nothing that may
// ever change belongs here.
func selector(unit, app string) map[string]string {
	return map[string]string{"app.kubernetes.io/name": app, "app.kubernetes.io/instance": unit}
}

// with is a copy of m with more entries.
func with(m, more map[string]string) map[string]string {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]string{}
	}
	maps.Copy(m, more)
	return m
}

// applyOrder ranks kinds: what others need comes first, and what makes a workload run safely (limits,
// policies, secrets, databases) comes before the workload. A kind that is not listed is a custom resource
// and is applied with the databases; the release ConfigMap comes last whatever its rank.
var applyOrder = []string{
	"Namespace",
	"CustomResourceDefinition",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
	"PriorityClass", "RuntimeClass", "StorageClass", "GatewayClass", "ClusterIssuer",
	"ResourceQuota", "LimitRange",
	"NetworkPolicy",
	"ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding",
	"ExternalSecret", "Secret", "ConfigMap",
	"Issuer", "Certificate",
	"PersistentVolume", "PersistentVolumeClaim",
	"ObjectStore", "Cluster",
	"", // custom resources
	"Service",
	"StatefulSet",
	"Pooler", "Database", "ScheduledBackup",
	"Job", // migrations run to their end before a new version serves
	"Deployment", "DaemonSet", "CronJob",
	"HorizontalPodAutoscaler", "PodDisruptionBudget",
	"Gateway", "ListenerSet", "HTTPRoute", "BackendTrafficPolicy", "Ingress", "DNSEndpoint",
	"PodMonitor", "ServiceMonitor", "PrometheusRule",
	"GitRepository", "OCIRepository", "Kustomization",
}

var rankOf = func() map[string]int {
	ranks := map[string]int{}
	for i, kind := range applyOrder {
		ranks[kind] = i
	}
	return ranks
}()

func rank(kind string) int {
	if r, ok := rankOf[kind]; ok {
		return r
	}
	return rankOf[""]
}

// compareObjects is the total order of a unit's objects.
func compareObjects(a, b Object) int {
	x, y := a.GetObjectKind().GroupVersionKind(), b.GetObjectKind().GroupVersionKind()
	return cmp.Or(
		cmp.Compare(rank(x.Kind), rank(y.Kind)),
		cmp.Compare(x.Group, y.Group),
		cmp.Compare(x.Kind, y.Kind),
		cmp.Compare(a.GetNamespace(), b.GetNamespace()),
		cmp.Compare(a.GetName(), b.GetName()),
	)
}

// fileNames names the golden file of each object: <kind>-<name>.yaml, with the namespace or the group
// added where two objects would share a file. No object's name holds an underscore, so no two files meet.
func fileNames(objects []Object) []string {
	short := func(o Object) string {
		return strings.ToLower(o.GetObjectKind().GroupVersionKind().Kind) + "-" + o.GetName()
	}
	shared := map[string][]Object{}
	for _, o := range objects {
		shared[short(o)] = append(shared[short(o)], o)
	}
	names := make([]string, len(objects))
	for i, o := range objects {
		gvk := o.GetObjectKind().GroupVersionKind()
		kind, name := strings.ToLower(gvk.Kind), o.GetName()
		others := shared[short(o)]
		if slices.ContainsFunc(others, func(p Object) bool { return p.GetObjectKind().GroupVersionKind().Group != gvk.Group }) {
			kind += "_" + cmp.Or(gvk.Group, "core")
		}
		if slices.ContainsFunc(others, func(p Object) bool { return p.GetNamespace() != o.GetNamespace() }) {
			name = cmp.Or(o.GetNamespace(), "cluster") + "_" + name
		}
		names[i] = kind + "-" + name + ".yaml"
	}
	return names
}
