package render

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The annotations of a tenant's Namespace that say what the API server lets the tenant's objects have. None of the
// tenant's own identities can write a Namespace.
const (
	HostsAnnotation    = "tenantry.dev/hosts"          // the tenant's hosts, with commas between them
	PriorityAnnotation = "tenantry.dev/priority-class" // of the tenant's pods
	SecretsAnnotation  = "tenantry.dev/secrets"        // <store>:<key> of its external secrets, with commas between them
)

// admits writes onto the Namespace among a tenant's objects what all of them are to have.
func (s scope) admits(objects []Object) {
	var places []string
	for _, o := range objects {
		if o.GetObjectKind().GroupVersionKind().Kind != "ExternalSecret" {
			continue
		}
		var e externalSecret // or an extra object like it
		if text, err := json.Marshal(o); err != nil || json.Unmarshal(text, &e) != nil {
			continue // the API server refuses it
		}
		for _, d := range e.Spec.Data {
			places = append(places, e.Spec.SecretStoreRef.Name+":"+d.RemoteRef.Key)
		}
	}
	annotations := map[string]string{PriorityAnnotation: s.priority}
	for name, list := range map[string][]string{HostsAnnotation: s.tenant.hosts(), SecretsAnnotation: places} {
		if len(list) > 0 {
			slices.Sort(list)
			annotations[name] = strings.Join(slices.Compact(list), ",")
		}
	}
	for _, o := range objects {
		if ns, ok := o.(*corev1.Namespace); ok {
			ns.Annotations = annotations
		}
	}
}

// A guard is what the API server refuses of some kinds in a tenant's namespace, whoever asks for it.
type guard struct {
	name      string // of the policy, before .tenantry.dev
	kinds     []admissionv1.Rule
	part      string   // of an object that is looked at, besides its annotations. Default "spec"
	variables []string // name and expression by turns
	refusals  []refusal
}

// A refusal is an expression that must hold, in CEL, or a variable with a list of what is wrong, which leads the
// message and must be empty.
type refusal struct {
	holds   string
	wrong   string
	message string // says what to do
}

func kinds(group, version string, resources ...string) admissionv1.Rule {
	return admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{version}, Resources: resources}
}

// Admission is the policies by which the API server itself refuses, in the namespaces of tenants, what the rules of
// package verify find in review. They hold for everybody: an operator that makes pods and routes for a tenant, and
// a person with every right in the namespace.
func Admission(f *Fleet) []Object {
	m := meta{fleet: f.Name, unit: PlatformUnit}
	var objects []Object
	for _, g := range f.guards() {
		o := m.cluster(g.name+".tenantry.dev", "admission", "admission")
		objects = append(objects, g.policy(o), &admissionv1.ValidatingAdmissionPolicyBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicyBinding"},
			ObjectMeta: *o.DeepCopy(),
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName:        o.Name,
				ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			},
		})
	}
	return objects
}

func (g *guard) policy(o metav1.ObjectMeta) Object {
	spec := admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: new(admissionv1.Fail),
		// All of it is one value to server-side apply, the defaults included.
		MatchConstraints: &admissionv1.MatchResources{
			MatchPolicy:       new(admissionv1.Equivalent),
			ObjectSelector:    &metav1.LabelSelector{},
			NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: TenantLabel, Operator: metav1.LabelSelectorOpExists}}},
		},
		// What nobody changes was admitted before, and may lose a finalizer or get another label whatever it is.
		MatchConditions: []admissionv1.MatchCondition{{Name: "changed", Expression: g.changed()}},
	}
	for _, rule := range g.kinds {
		rule.Scope = new(admissionv1.NamespacedScope)
		spec.MatchConstraints.ResourceRules = append(spec.MatchConstraints.ResourceRules, admissionv1.NamedRuleWithOperations{
			RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}, Rule: rule},
		})
	}
	for pair := range slices.Chunk(g.variables, 2) {
		spec.Variables = append(spec.Variables, admissionv1.Variable{Name: pair[0], Expression: pair[1]})
	}
	for _, r := range g.refusals {
		v := admissionv1.Validation{Expression: r.holds, Message: r.message, Reason: new(metav1.StatusReasonForbidden)}
		if r.wrong != "" {
			v.Expression = "variables." + r.wrong + ".size() == 0"
			v.MessageExpression = "variables." + r.wrong + ".join(', ') + " + celText(": "+r.message)
		}
		spec.Validations = append(spec.Validations, v)
	}
	return &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: o,
		Spec:       spec,
	}
}

// changed tells whether an object is new, or differs in what is looked at.
func (g *guard) changed() string {
	part := cmp.Or(g.part, "spec")
	return "request.operation == 'CREATE' || object.?" + part + " != oldObject.?" + part + " || object.metadata.?annotations != oldObject.metadata.?annotations"
}

// celText is a text in CEL, whose escapes are Go's.
func celText(s string) string { return strconv.Quote(s) }

// annotated is a list that an annotation of the namespace holds.
func annotated(annotation string) string {
	return "namespaceObject.metadata.?annotations[?'" + annotation + "'].orValue('').split(',').filter(word, word != '')"
}

// foreign is the hosts of a list, in CEL, that are not the tenant's. An empty one is every host.
func foreign(claimed string) string {
	return "(" + claimed + ").filter(host, !(host in variables.hosts)).map(host, host == '' ? 'every host' : host)"
}

var ownHosts = refusal{
	wrong: "foreign", message: "not among the tenant's hosts, which its namespace has as " + HostsAnnotation + ": claim one of those, or have the host added to the tenant",
}

// ownRecords keeps external-dns from making records of other hosts because of an annotation.
var ownRecords = refusal{
	holds: "object.metadata.?annotations.orValue({}).all(key, !(key.startsWith('external-dns.alpha.kubernetes.io/') && key.endsWith('hostname')) || " +
		"object.metadata.annotations[key].split(',').all(host, host.trim() in variables.hosts))",
	message: "an annotation of external-dns names a host that is not among " + HostsAnnotation + " of the namespace: take it out, or have the host added to the tenant",
}

// pods is what is refused of pods, whose spec an expression leads to.
func (f *Fleet) pods(name, spec string, rules ...admissionv1.Rule) guard {
	var registries []string
	for _, place := range append([]string{f.Cluster.Registry}, f.Cluster.Registries...) {
		registries = append(registries, celText(place+"/"))
	}
	list := func(field string) string { return "dyn(variables.spec.?" + field + ".orValue([]))" }
	terms := func(kind string) string {
		return list("affinity.?"+kind+".?requiredDuringSchedulingIgnoredDuringExecution") + " + " +
			list("affinity.?"+kind+".?preferredDuringSchedulingIgnoredDuringExecution") + ".map(term, term.podAffinityTerm)"
	}
	effective := func(field, otherwise string) string {
		return "container.?securityContext.?" + field + ".orValue(variables.spec.?securityContext.?" + field + ".orValue(" + otherwise + "))"
	}
	return guard{
		name:  name,
		kinds: rules,
		variables: []string{
			"spec", spec,
			"containers", list("containers") + " + " + list("initContainers") + " + " + list("ephemeralContainers"),
			"rooted", "variables.containers.filter(container, !" + effective("runAsNonRoot", "false") + " || " + effective("runAsUser", "1") + " == 0 || " +
				effective("runAsGroup", "1") + " == 0).map(container, container.name)",
			"images", "variables.containers.map(container, container.?image.orValue('')) + " +
				list("volumes") + ".filter(volume, has(volume.image)).map(volume, volume.image.?reference.orValue(''))",
			"strange", "variables.images.filter(image, ![" + strings.Join(registries, ", ") + "].exists(registry, image.startsWith(registry)))",
			"class", "string(variables.spec.?priorityClassName.orValue(''))",
			"terms", terms("podAffinity") + " + " + terms("podAntiAffinity"),
		},
		refusals: []refusal{
			{
				wrong: "rooted", message: "may be root, in a user namespace too: set runAsNonRoot to true, and runAsUser and runAsGroup to numbers above 0",
			},
			{
				holds:   "!(0 in variables.spec.?securityContext.?supplementalGroups.orValue([])) && variables.spec.?securityContext.?fsGroup.orValue(1) != 0",
				message: "the pod is in root's group: take 0 out of supplementalGroups and fsGroup",
			},
			{
				wrong: "strange", message: "not from the fleet's registries: mirror the image to " + f.Cluster.Registry + ", or add its registry to the fleet's cluster",
			},
			{
				holds:   "variables.spec.?nodeName.orValue('') == ''" + map[bool]string{true: " || request.operation != 'CREATE'"}[spec == "object.spec"],
				message: "nodeName passes the scheduler by, and what a node is kept for: select nodes by their labels",
			},
			{
				holds: "variables.spec.?tolerations.orValue([]).all(t, t.?key.orValue('') != '' && !t.key.startsWith('node-role.kubernetes.io/') && (t.key != '" + TenantLabel + "' || " +
					"t.?operator.orValue('Equal') == 'Equal' && t.?value.orValue('') == request.namespace))",
				message: "a toleration admits to nodes that are kept for others: tolerate " + TenantLabel + " with the tenant's own name, and no taint of the control plane's",
			},
			{
				// A namespace that an older version rendered has any tier: its pods must still come back.
				holds:   "variables.class in ['', namespaceObject.metadata.?annotations[?'" + PriorityAnnotation + "'].orValue(variables.class.startsWith('tenant-') ? variables.class : '')]",
				message: "priorityClassName is not the tenant's, which its namespace has as " + PriorityAnnotation + ": name that one",
			},
			{
				holds:   "variables.terms.all(term, !has(term.namespaceSelector) && term.?namespaces.orValue([]).all(name, name == request.namespace))",
				message: "an affinity looks at pods of other namespaces: leave namespaces and namespaceSelector out",
			},
		},
	}
}

func (f *Fleet) guards() []guard {
	const gateway = "gateway.networking.k8s.io"
	hosts := []string{"hosts", annotated(HostsAnnotation)}
	inner := ".svc." + cmp.Or(f.Cluster.Domain, "cluster.local")
	// Parents are the platform's, or the tenant's own.
	parent := "(p.?namespace.orValue(request.namespace) == request.namespace || p.namespace == '" + PlatformUnit + "' && p.?kind.orValue('Gateway') in ['Gateway', 'ListenerSet'])"
	near := func(ref string) string { return ref + ".?namespace.orValue(request.namespace) == request.namespace" }
	filters := func(of string) string {
		return of + ".?filters.orValue([]).all(filter, " + near("filter.?requestMirror.?backendRef") + " && " + near("filter.?externalAuth.?backendRef") + ")"
	}
	const across = ": refer to what is in the tenant's own namespace"
	const shared = "object.spec.?secretStoreRef.?kind.orValue('SecretStore') == 'ClusterSecretStore'"
	return []guard{
		{
			name: "certificates", kinds: []admissionv1.Rule{kinds("cert-manager.io", "v1", "certificates")},
			variables: append(hosts,
				// What an issuer of the namespace signs, only that namespace trusts.
				"own", "object.spec.issuerRef.?kind.orValue('') in ['', 'Issuer'] && object.spec.issuerRef.?group.orValue('') in ['', 'cert-manager.io']",
				"names", "object.spec.?dnsNames.orValue([]) + [object.spec.?commonName.orValue('')].filter(name, name != '' && (name.contains('.') || !variables.own))",
				"foreign", foreign("variables.names.filter(name, !name.endsWith('.' + request.namespace + '.svc') && !name.endsWith('.' + request.namespace + "+celText(inner)+") && "+
					"!(variables.own && !name.contains('.')))"),
			),
			refusals: []refusal{
				ownHosts,
				{
					holds: "variables.own || !object.spec.?isCA.orValue(false) && !has(object.spec.literalSubject) && " +
						"[object.spec.?ipAddresses, object.spec.?uris, object.spec.?emailAddresses].all(list, list.orValue([]).size() == 0) && !has(object.spec.otherNames)",
					message: "the cluster's issuers certify hosts alone: leave isCA, literalSubject, ipAddresses, uris, emailAddresses and otherNames out",
				},
			},
		},
		f.pods("cronjobs", "object.spec.jobTemplate.spec.template.spec", kinds("batch", "v1", "cronjobs")),
		{
			name: "databases", kinds: []admissionv1.Rule{kinds("postgresql.cnpg.io", "v1", "*")},
			refusals: []refusal{{
				holds:   "!('cnpg.io/podPatch' in object.metadata.?annotations.orValue({}))",
				message: "cnpg.io/podPatch rewrites pods past all that is checked of them: take it out, and use the fields of the resource",
			}},
		},
		{
			name: "dnsendpoints", kinds: []admissionv1.Rule{kinds("externaldns.k8s.io", "v1alpha1", "dnsendpoints")},
			variables: append(hosts, "foreign", foreign("object.spec.?endpoints.orValue([]).map(e, e.?dnsName.orValue(''))")),
			refusals:  []refusal{ownHosts},
		},
		{
			name: "externalsecrets", kinds: []admissionv1.Rule{kinds("external-secrets.io", "v1", "externalsecrets")},
			variables: []string{
				"places", annotated(SecretsAnnotation),
				"foreign", shared + " ? object.spec.?data.orValue([]).map(d, object.spec.secretStoreRef.?name.orValue('') + ':' + d.remoteRef.key).filter(place, !(place in variables.places)) : []",
			},
			refusals: []refusal{
				{
					wrong: "foreign", message: "not among the tenant's places, which its namespace has as " + SecretsAnnotation + ": take a value from one of those",
				},
				{
					holds:   "!(" + shared + ") || object.spec.?dataFrom.orValue([]).size() == 0",
					message: "dataFrom takes whatever there is: name each value in data",
				},
				{
					holds:   "object.spec.?data.orValue([]).all(d, !has(d.sourceRef)) && object.spec.?dataFrom.orValue([]).all(d, !has(d.sourceRef))",
					message: "sourceRef takes values from other stores than the one that is looked at: use secretStoreRef",
				},
			},
		},
		{
			name: "ingresses", kinds: []admissionv1.Rule{kinds("networking.k8s.io", "v1", "ingresses")},
			variables: append(hosts,
				"annotations", "object.metadata.?annotations.orValue({})",
				"rules", "object.spec.?rules.orValue([]).map(rule, rule.?host.orValue(''))",
				"foreign", foreign("variables.rules + (has(object.spec.defaultBackend) || variables.rules.size() == 0 ? [''] : [])"),
			),
			refusals: []refusal{
				ownHosts,
				{
					holds:   "object.spec.?tls.orValue([]).all(tls, tls.?hosts.orValue([]).size() > 0 && tls.hosts.all(host, host in variables.hosts))",
					message: "tls names no host, or one that is not among " + HostsAnnotation + " of the namespace: name the tenant's own",
				},
				ownRecords,
				{
					holds:   "variables.annotations.all(key, !key.endsWith('/server-alias') || variables.annotations[key].split(',').all(host, host.trim() in variables.hosts))",
					message: "server-alias names a host that is not among " + HostsAnnotation + " of the namespace: take it out, or have the host added to the tenant",
				},
				{
					holds:   "variables.annotations.all(key, !key.contains('snippet'))",
					message: "a snippet becomes part of what the one controller of all tenants does: take it out",
				},
				{
					holds:   "variables.annotations.all(key, !variables.annotations[key].matches('^[a-z0-9][-a-z0-9]*/[a-z0-9][-.a-z0-9]*$') || variables.annotations[key].startsWith(request.namespace + '/'))",
					message: "an annotation refers to an object of another namespace" + across,
				},
			},
		},
		{
			name: "listenersets", kinds: []admissionv1.Rule{kinds(gateway, "v1", "listenersets")},
			variables: append(hosts, "foreign", foreign("object.spec.listeners.map(l, l.?hostname.orValue(''))")),
			refusals: []refusal{
				ownHosts,
				{
					holds:   "[object.spec.parentRef].all(p, " + parent + ")",
					message: "parentRef leads to another namespace: attach to the platform's Gateway",
				},
				{
					holds:   "object.spec.listeners.all(l, l.?tls.?certificateRefs.orValue([]).all(ref, " + near("ref") + "))",
					message: "a certificate is another namespace's" + across,
				},
				{
					holds:   "object.spec.listeners.all(l, !(l.?allowedRoutes.?namespaces.?from.orValue('Same') in ['All', 'Selector']))",
					message: "a listener lets routes of other namespaces in: let allowedRoutes be from the Same",
				},
			},
		},
		{
			name: "monitors", kinds: []admissionv1.Rule{kinds("monitoring.coreos.com", "v1", "podmonitors", "servicemonitors")},
			refusals: []refusal{{
				holds:   "!object.spec.?namespaceSelector.?any.orValue(false) && object.spec.?namespaceSelector.?matchNames.orValue([]).all(name, name == request.namespace)",
				message: "other namespaces would be scraped as this one: leave namespaceSelector out",
			}},
		},
		f.pods("pods", "object.spec", kinds("", "v1", "pods", "pods/ephemeralcontainers")),
		{
			name: "referencegrants", kinds: []admissionv1.Rule{kinds(gateway, "v1", "referencegrants")},
			refusals: []refusal{{
				holds:   "object.spec.from.all(from, from.namespace == request.namespace)",
				message: "other namespaces would refer to what is this tenant's: take the grant out",
			}},
		},
		{
			name: "rolebindings", kinds: []admissionv1.Rule{kinds("rbac.authorization.k8s.io", "v1", "rolebindings")}, part: "subjects",
			refusals: []refusal{{
				holds: "object.?subjects.orValue([]).all(s, s.kind == 'ServiceAccount' ? " + near("s") + " || " + // or the account by which Flux applies the tenant
					"s.?namespace.orValue('') == '" + PlatformUnit + "' && s.name == request.namespace + '." + deployerName + "' : !s.name.startsWith('system:') || " +
					"s.name.startsWith('system:serviceaccount:' + request.namespace + ':') || s.name == 'system:serviceaccounts:' + request.namespace)",
				message: "a subject is an account of another namespace, or everybody: bind accounts of the tenant's own namespace, by their names",
			}},
		},
		{
			name: "routes", kinds: []admissionv1.Rule{kinds(gateway, "v1", "grpcroutes", "httproutes", "tcproutes", "tlsroutes", "udproutes")},
			variables: append(hosts,
				"hostnames", "dyn(object.spec).?hostnames.orValue([])",
				"rules", "dyn(object.spec).?rules.orValue([])",
				"foreign", foreign("variables.hostnames.size() == 0 ? [''] : variables.hostnames"),
			),
			refusals: []refusal{
				ownHosts,
				ownRecords,
				{
					holds:   "object.spec.?parentRefs.orValue([]).all(p, " + parent + ")",
					message: "a parent is in another namespace: attach to a ListenerSet of the tenant, or to the platform's Gateway",
				},
				{
					holds:   "variables.rules.all(rule, " + filters("rule") + " && rule.?backendRefs.orValue([]).all(ref, " + near("ref") + " && " + filters("ref") + "))",
					message: "traffic goes to another namespace" + across,
				},
			},
		},
		{
			name: "secrets", kinds: []admissionv1.Rule{kinds("", "v1", "secrets")}, part: "type",
			refusals: []refusal{{
				holds:   "object.?type.orValue('') != 'kubernetes.io/service-account-token'",
				message: "a token in a Secret never ends: have one made that does, with kubectl create token",
			}},
		},
		{
			name: "services", kinds: []admissionv1.Rule{kinds("", "v1", "services")},
			variables: hosts,
			refusals: []refusal{
				{
					holds:   "object.spec.?type.orValue('ClusterIP') == 'ClusterIP'",
					message: "clients come in through the tenant's edge, and the entrance goes nowhere else: make the Service a ClusterIP",
				},
				{
					holds:   "object.spec.?externalIPs.orValue([]).size() == 0",
					message: "externalIPs takes what others send to those addresses: take it out",
				},
				ownRecords,
			},
		},
		f.pods("workloads", "object.spec.template.spec",
			kinds("apps", "v1", "daemonsets", "deployments", "replicasets", "statefulsets"), kinds("batch", "v1", "jobs"), kinds("", "v1", "replicationcontrollers")),
	}
}
