package verify

import (
	"fmt"
	"slices"
	"strings"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/tenantry/tenantry/render"
)

func namespacesOwned(s *subject) []Finding {
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		own := false
		for _, o := range u.Objects {
			if ns, ok := o.Object.(*corev1.Namespace); ok {
				own = own || ns.Name == u.Name
				if ns.Name != u.Name && (u.Name != render.PlatformUnit || s.tenant(ns.Name)) {
					findings = append(findings, s.finding("names/namespace", u.Name, o, "metadata.name", "the namespace "+ns.Name+" is not "+u.Name+"'s", "take it out"))
				}
			}
		}
		if !own {
			findings = append(findings, Finding{
				Rule: "names/namespace", Fleet: s.Name, Unit: u.Name, Object: "Namespace/" + u.Name,
				Message: "it is not rendered: what it enforces and admits is written elsewhere, if it is there", Remedy: "render the Namespace with the unit",
			})
		}
	}
	return findings
}

func clusterScopedObjects(s *subject) []Finding {
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		for _, o := range u.Objects {
			kind := o.GetObjectKind().GroupVersionKind().Kind
			if u.Name != render.PlatformUnit && kind != "Namespace" && o.GetNamespace() == "" {
				findings = append(findings, s.finding("names/cluster-scoped", u.Name, o, "kind", "a "+kind+" is of the whole cluster", "move it to the platform's extra objects"))
			}
		}
	}
	return findings
}

// tenantLabels holds the label by which everything tells tenants apart against the unit that carries it.
func tenantLabels(s *subject) []Finding {
	var findings []Finding
	look := func(u *Unit, o Object, field string, labels map[string]string) {
		got, labelled := labels[render.TenantLabel]
		switch {
		case u.Name == render.PlatformUnit && labelled:
			findings = append(findings, s.finding("names/label", u.Name, o, field, "the platform's own counts as of the tenant "+got, "take "+render.TenantLabel+" out"))
		case u.Name != render.PlatformUnit && got != u.Name:
			findings = append(findings, s.finding("names/label", u.Name, o, field, fmt.Sprintf("%s is %q, and it is of %s", render.TenantLabel, got, u.Name), "make it "+u.Name))
		}
	}
	for i := range s.Units {
		for _, o := range s.Units[i].Objects {
			look(&s.Units[i], o, "metadata.labels", o.GetLabels())
		}
	}
	for _, t := range s.pods {
		if t.solver() {
			continue // cert-manager's own, which carry its labels alone
		}
		at := "metadata.labels"
		if before, ok := strings.CutSuffix(t.field, ".spec"); ok {
			at = before + ".metadata.labels"
		}
		if t.made {
			at = t.field
		}
		look(t.unit, t.object, at, t.meta.Labels)
	}
	return findings
}

func addressesTaken(s *subject) []Finding {
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		for _, o := range u.Objects {
			tell := func(field, message, remedy string) {
				findings = append(findings, s.finding("names/address", u.Name, o, field, message, remedy))
			}
			look := func(spec *corev1.ServiceSpec, field string) {
				if len(spec.ExternalIPs) > 0 {
					tell(field+".externalIPs", fmt.Sprintf("it takes what the cluster sends to %s", strings.Join(spec.ExternalIPs, ", ")), "take it out")
				}
				if (spec.Type == corev1.ServiceTypeNodePort || spec.Type == corev1.ServiceTypeLoadBalancer) && u.Name != render.PlatformUnit {
					tell(field+".type", "a "+string(spec.Type)+" lets clients in past the edge", "make it a ClusterIP, and give the tenant an edge")
				}
			}
			switch w := o.Object.(type) {
			case *corev1.Service:
				look(&w.Spec, "spec")
				switch {
				case w.Spec.Type == corev1.ServiceTypeExternalName && u.Name != render.PlatformUnit:
					tell("spec.type", "the one entrance of all tenants would go to "+w.Spec.ExternalName+" for it, wherever that leads", "have the application name what it calls, in its settings")
				case w.Spec.Type != corev1.ServiceTypeExternalName && len(w.Spec.Selector) == 0:
					tell("spec.selector", "it picks no pod, so that whoever writes its endpoints says where its traffic goes", "select the pods that it is for")
				}
			case *corev1.Endpoints: //nolint:staticcheck // deprecated, and still served
				tell("kind", "its addresses may be anybody's", "take it out, and have a Service select pods")
			case *unstructured.Unstructured:
				switch gvk := w.GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
				case "postgresql.cnpg.io/Cluster":
					var c cnpgCluster
					convert(w, &c)
					for i, a := range c.Spec.Managed.Services.Additional {
						look(&a.Template.Spec, fmt.Sprintf("spec.managed.services.additional[%d].serviceTemplate.spec", i))
					}
				case "postgresql.cnpg.io/Pooler":
					var p cnpgPooler
					convert(w, &p)
					look(&p.Spec.Service.Spec, "spec.serviceTemplate.spec")
				}
			}
		}
	}
	return findings
}

// acrossReferences finds what reaches from one namespace into another. Declared are parents: what a tenant
// attaches to the platform's Gateway, or to a ListenerSet there.
func acrossReferences(s *subject) []Finding {
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		for _, o := range u.Objects {
			tell := func(message, field string, args ...any) {
				findings = append(findings, s.finding("names/cross-namespace", u.Name, o, fmt.Sprintf(field, args...), message, "refer to what is in the object's own namespace"))
			}
			into := func(namespace *gatewayv1.Namespace, field string, args ...any) {
				if namespace != nil && string(*namespace) != o.GetNamespace() {
					tell("it reaches into the namespace "+string(*namespace), field, args...)
				}
			}
			parents := func(refs []gatewayv1.ParentReference) {
				for i, p := range refs {
					kind := "Gateway"
					if p.Kind != nil {
						kind = string(*p.Kind)
					}
					if p.Namespace == nil || string(*p.Namespace) != render.PlatformUnit || kind != "Gateway" && kind != "ListenerSet" {
						into(p.Namespace, "spec.parentRefs[%d].namespace", i)
					}
				}
			}
			admitted := func(from *gatewayv1.FromNamespaces, selector *metav1.LabelSelector, field string, args ...any) {
				switch {
				case from == nil || *from != gatewayv1.NamespacesFromAll && *from != gatewayv1.NamespacesFromSelector:
				case *from == gatewayv1.NamespacesFromAll, u.Name != render.PlatformUnit:
					tell("it lets other namespaces in: "+string(*from), field+".from", args...)
				default:
					if picks, err := metav1.LabelSelectorAsSelector(selector); err == nil && picks.Matches(labels.Set{}) {
						tell("it lets every namespace in that has no labels", field+".selector", args...)
					}
				}
			}
			switch w := o.Object.(type) {
			case *gatewayv1.Gateway:
				if w.Spec.AllowedListeners != nil && w.Spec.AllowedListeners.Namespaces != nil {
					admitted(w.Spec.AllowedListeners.Namespaces.From, w.Spec.AllowedListeners.Namespaces.Selector, "spec.allowedListeners.namespaces")
				}
				for i, l := range w.Spec.Listeners {
					if l.AllowedRoutes != nil && l.AllowedRoutes.Namespaces != nil {
						admitted(l.AllowedRoutes.Namespaces.From, l.AllowedRoutes.Namespaces.Selector, "spec.listeners[%d].allowedRoutes.namespaces", i)
					}
					if l.TLS != nil {
						for j, c := range l.TLS.CertificateRefs {
							into(c.Namespace, "spec.listeners[%d].tls.certificateRefs[%d].namespace", i, j)
						}
					}
				}
			case *gatewayv1.ListenerSet:
				if p := w.Spec.ParentRef; p.Namespace == nil || string(*p.Namespace) != render.PlatformUnit {
					into(p.Namespace, "spec.parentRef.namespace")
				}
				for i, l := range w.Spec.Listeners {
					if l.AllowedRoutes != nil && l.AllowedRoutes.Namespaces != nil {
						admitted(l.AllowedRoutes.Namespaces.From, l.AllowedRoutes.Namespaces.Selector, "spec.listeners[%d].allowedRoutes.namespaces", i)
					}
					if l.TLS != nil {
						for j, c := range l.TLS.CertificateRefs {
							into(c.Namespace, "spec.listeners[%d].tls.certificateRefs[%d].namespace", i, j)
						}
					}
				}
			case *gatewayv1.HTTPRoute:
				parents(w.Spec.ParentRefs)
				mirrors := func(filters []gatewayv1.HTTPRouteFilter, field string, args ...any) {
					for _, f := range filters {
						if f.RequestMirror != nil {
							into(f.RequestMirror.BackendRef.Namespace, field, args...)
						}
						if f.ExternalAuth != nil {
							into(f.ExternalAuth.BackendRef.Namespace, field, args...)
						}
					}
				}
				for i, r := range w.Spec.Rules {
					mirrors(r.Filters, "spec.rules[%d].filters", i)
					for j, b := range r.BackendRefs {
						into(b.Namespace, "spec.rules[%d].backendRefs[%d].namespace", i, j)
						mirrors(b.Filters, "spec.rules[%d].backendRefs[%d].filters", i, j)
					}
				}
			case *gatewayv1.GRPCRoute:
				parents(w.Spec.ParentRefs)
				for i, r := range w.Spec.Rules {
					for j, b := range r.BackendRefs {
						into(b.Namespace, "spec.rules[%d].backendRefs[%d].namespace", i, j)
					}
				}
			case *gatewayv1.TLSRoute:
				parents(w.Spec.ParentRefs)
				for i, r := range w.Spec.Rules {
					for j, b := range r.BackendRefs {
						into(b.Namespace, "spec.rules[%d].backendRefs[%d].namespace", i, j)
					}
				}
			case *gatewayv1.TCPRoute:
				parents(w.Spec.ParentRefs)
				for i, r := range w.Spec.Rules {
					for j, b := range r.BackendRefs {
						into(b.Namespace, "spec.rules[%d].backendRefs[%d].namespace", i, j)
					}
				}
			case *gatewayv1.UDPRoute:
				parents(w.Spec.ParentRefs)
				for i, r := range w.Spec.Rules {
					for j, b := range r.BackendRefs {
						into(b.Namespace, "spec.rules[%d].backendRefs[%d].namespace", i, j)
					}
				}
			case *gatewayv1.ReferenceGrant:
				for i, from := range w.Spec.From {
					into(&from.Namespace, "spec.from[%d].namespace", i)
				}
			case *networkingv1.Ingress:
				for key, value := range w.Annotations {
					namespace, _, two := strings.Cut(value, "/")
					if two && namespace != u.Name && (s.tenant(namespace) || namespace == render.PlatformUnit) {
						tell(key+" refers to "+value, "metadata.annotations")
					}
					if strings.Contains(key, "snippet") {
						tell(key+" becomes part of what the one controller of all tenants does", "metadata.annotations")
					}
				}
			case *monitoringv1.PodMonitor:
				s.monitored(u, w.Spec.NamespaceSelector, tell)
			case *monitoringv1.ServiceMonitor:
				s.monitored(u, w.Spec.NamespaceSelector, tell)
			case *corev1.PersistentVolumeClaim:
				copies(&w.Spec, "spec", u, tell)
			case *appsv1.StatefulSet:
				for i := range w.Spec.VolumeClaimTemplates {
					copies(&w.Spec.VolumeClaimTemplates[i].Spec, fmt.Sprintf("spec.volumeClaimTemplates[%d].spec", i), u, tell)
				}
			}
		}
	}
	return append(findings, affinities(s)...)
}

func (f *Fleet) monitored(u *Unit, of monitoringv1.NamespaceSelector, tell func(message, field string, args ...any)) {
	others := slices.DeleteFunc(slices.Clone(of.MatchNames), func(name string) bool { return name == u.Name })
	if u.Name != render.PlatformUnit && (of.Any || len(others) > 0) {
		tell("it has other namespaces scraped as this one", "spec.namespaceSelector")
	}
}

// copies tells of a claim whose volume is made of another namespace's.
func copies(c *corev1.PersistentVolumeClaimSpec, field string, u *Unit, tell func(message, field string, args ...any)) {
	if ref := c.DataSourceRef; ref != nil && ref.Namespace != nil && *ref.Namespace != u.Name {
		tell("its volume is made of one of the namespace "+*ref.Namespace, "%s.dataSourceRef.namespace", field)
	}
}

// affinities finds pods that keep others of other namespaces off their nodes, or seek them.
func affinities(s *subject) []Finding {
	var findings []Finding
	for _, t := range s.pods {
		if t.spec.Affinity == nil {
			continue
		}
		look := func(term corev1.PodAffinityTerm, field string, args ...any) {
			others := slices.DeleteFunc(slices.Clone(term.Namespaces), func(name string) bool { return name == t.unit.Name })
			if term.NamespaceSelector != nil || len(others) > 0 {
				findings = append(findings, s.finding("names/cross-namespace", t.unit.Name, t.object, t.at(fmt.Sprintf(field, args...)),
					"where its pods run depends on those of other namespaces, and theirs on it", "leave namespaces and namespaceSelector out"))
			}
		}
		if a := t.spec.Affinity.PodAffinity; a != nil {
			for i, term := range a.RequiredDuringSchedulingIgnoredDuringExecution {
				look(term, "affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[%d]", i)
			}
			for i, term := range a.PreferredDuringSchedulingIgnoredDuringExecution {
				look(term.PodAffinityTerm, "affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[%d]", i)
			}
		}
		if a := t.spec.Affinity.PodAntiAffinity; a != nil {
			for i, term := range a.RequiredDuringSchedulingIgnoredDuringExecution {
				look(term, "affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[%d]", i)
			}
			for i, term := range a.PreferredDuringSchedulingIgnoredDuringExecution {
				look(term.PodAffinityTerm, "affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[%d]", i)
			}
		}
	}
	return findings
}
