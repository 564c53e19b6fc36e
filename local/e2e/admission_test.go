package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/tenantry/tenantry/render"
)

// An attempt is something that the API server must refuse in a tenant's namespace: a golden object, or another
// one, with one thing changed.
type attempt struct {
	policy string // by which, without .tenantry.dev
	says   string // part of the message of the validation that refuses
	why    string
	from   string // tenant/Kind/name, of which a Pod is made of the template; or the object as JSON, in acme
	patch  string // operation path value, with semicolons between several
}

// The objects that most attempts start from. All others stand where they are used.
const (
	aPod      = "pod of acme/Deployment/api"
	aWorkload = "acme/Deployment/api"
	aCronJob  = "umbrella/CronJob/invoices"
	aRoute    = "acme/HTTPRoute/edge"
	aListener = "acme/ListenerSet/edge"
	aHost     = "acme/Certificate/edge"
	aService  = "acme/Service/api"
	anIngress = "globex/Ingress/edge"
	aSecret   = "globex/ExternalSecret/settings"
	aBinding  = "acme/RoleBinding/deployer"
	aMonitor  = "umbrella/PodMonitor/api"
	aGrant    = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":"ReferenceGrant","metadata":{"name":"grant"},` +
		`"spec":{"from":[{"group":"gateway.networking.k8s.io","kind":"HTTPRoute","namespace":"acme"}],"to":[{"group":"","kind":"Service"}]}}`
)

// attempts are those against what is no pod.
var attempts = []attempt{
	{"certificates", "tenant's hosts", "another tenant's host", aHost, `replace /spec/dnsNames/0 "umbrella.example.com"`},
	{"certificates", "tenant's hosts", "a wildcard over others", aHost, `replace /spec/dnsNames/0 "*.example.com"`},
	{"certificates", "tenant's hosts", "a second host", aHost, `add /spec/dnsNames/- "umbrella.example.com"`},
	{"certificates", "tenant's hosts", "the old name for a host", aHost, `add /spec/commonName "umbrella.example.com"`},
	{"certificates", "tenant's hosts", "a name without a dot, of the cluster's issuer", aHost, `add /spec/dnsNames/- "kubernetes"`},
	{"certificates", "tenant's hosts", "another namespace's Service", "acme/Certificate/cache", `add /spec/dnsNames/- "api.globex.svc"`},
	{"certificates", "tenant's hosts", "another namespace's Service in full", "acme/Certificate/cache", `add /spec/dnsNames/- "api.globex.svc.cluster.local"`},
	{"certificates", "hosts alone", "an authority", aHost, `add /spec/isCA true`},
	{"certificates", "hosts alone", "an address", aHost, `add /spec/ipAddresses ["10.0.0.10"]`},
	{"certificates", "hosts alone", "an identity", aHost, `add /spec/uris ["spiffe://cluster.local/ns/globex/sa/api"]`},
	{"certificates", "hosts alone", "a mail address", aHost, `add /spec/emailAddresses ["root@example.com"]`},
	{"certificates", "hosts alone", "a subject as it is", aHost, `add /spec/literalSubject "CN=umbrella.example.com"`},
	{"certificates", "hosts alone", "another name", aHost, `add /spec/otherNames [{"oid":"1.3.6.1.4.1.311.20.2.3","utf8Value":"x"}]`},
	{"certificates", "hosts alone", "an issuer of another group", aHost, `replace /spec/issuerRef {"name":"x","kind":"Issuer","group":"example.com"};add /spec/isCA true`},

	{"databases", "podPatch", "pods of a database", "acme/Cluster/database", `add /metadata/annotations {"cnpg.io/podPatch":"[]"}`},
	{"databases", "podPatch", "pods of a pooler", "umbrella/Pooler/database-pooler", `add /metadata/annotations {"cnpg.io/podPatch":"[]"}`},

	{"dnsendpoints", "tenant's hosts", "another tenant's record", "acme/DNSEndpoint/edge", `replace /spec/endpoints/0/dnsName "umbrella.example.com"`},
	{"dnsendpoints", "tenant's hosts", "every name below", "acme/DNSEndpoint/edge", `replace /spec/endpoints/0/dnsName "*.example.com"`},
	{"dnsendpoints", "tenant's hosts", "no name", "acme/DNSEndpoint/edge", `remove /spec/endpoints/0/dnsName`},

	{"externalsecrets", "tenant's places", "another tenant's values", aSecret, `replace /spec/data/0/remoteRef/key "prod/umbrella/settings"`},
	{"externalsecrets", "tenant's places", "another store", aSecret, `replace /spec/secretStoreRef/name "another"`},
	{"externalsecrets", "name each value", "whatever there is", aSecret, `add /spec/dataFrom [{"find":{"name":{"regexp":".*"}}}]`},
	{"externalsecrets", "sourceRef", "another store for one value", aSecret, `add /spec/data/0/sourceRef {"storeRef":{"name":"another"}}`},
	{
		"externalsecrets", "sourceRef", "another store for all", aSecret,
		`replace /spec/secretStoreRef {"kind":"SecretStore","name":"own"};add /spec/dataFrom [{"sourceRef":{"storeRef":{"name":"another"}}}]`,
	},

	{"ingresses", "tenant's hosts", "another tenant's host", anIngress, `replace /spec/rules/0/host "umbrella.example.com"`},
	{"ingresses", "tenant's hosts", "a wildcard", anIngress, `replace /spec/rules/0/host "*.example.com"`},
	{"ingresses", "tenant's hosts", "every host", anIngress, `remove /spec/rules/0/host`},
	{"ingresses", "tenant's hosts", "what nobody answers to", anIngress, `add /spec/defaultBackend {"service":{"name":"api","port":{"name":"http"}}}`},
	{"ingresses", "tls names", "another tenant's host in the certificate", anIngress, `replace /spec/tls/0/hosts/0 "umbrella.example.com"`},
	{"ingresses", "tls names", "a certificate for every host", anIngress, `remove /spec/tls/0/hosts`},
	{"ingresses", "external-dns", "another tenant's record", anIngress, `add /metadata/annotations/external-dns.alpha.kubernetes.io~1hostname "portal.prod.globex.example, umbrella.example.com"`},
	{"ingresses", "server-alias", "another tenant's host as an alias", anIngress, `add /metadata/annotations/nginx.ingress.kubernetes.io~1server-alias "umbrella.example.com"`},
	{"ingresses", "a snippet", "a piece of configuration", anIngress, `add /metadata/annotations/nginx.ingress.kubernetes.io~1configuration-snippet "return 200"`},
	{"ingresses", "another namespace", "another tenant's Secret", anIngress, `add /metadata/annotations/nginx.ingress.kubernetes.io~1auth-tls-secret "acme/edge-tls"`},

	{"listenersets", "tenant's hosts", "another tenant's host", aListener, `replace /spec/listeners/0/hostname "umbrella.example.com"`},
	{"listenersets", "tenant's hosts", "every host", aListener, `remove /spec/listeners/0/hostname`},
	{"listenersets", "tenant's hosts", "a port for itself", aListener, `replace /spec/listeners/0/protocol "TCP";remove /spec/listeners/0/tls;remove /spec/listeners/0/hostname`},
	{"listenersets", "parentRef", "another tenant's Gateway", aListener, `replace /spec/parentRef/namespace "globex"`},
	{"listenersets", "a certificate is", "another tenant's certificate", aListener, `add /spec/listeners/0/tls/certificateRefs/0/namespace "globex"`},
	{"listenersets", "allowedRoutes", "routes of everybody", aListener, `replace /spec/listeners/0/allowedRoutes/namespaces/from "All"`},
	{"listenersets", "allowedRoutes", "routes of some", aListener, `replace /spec/listeners/0/allowedRoutes/namespaces {"from":"Selector","selector":{}}`},

	{"monitors", "namespaceSelector", "another namespace", aMonitor, `add /spec/namespaceSelector {"matchNames":["acme"]}`},
	{"monitors", "namespaceSelector", "every namespace", aMonitor, `add /spec/namespaceSelector {"any":true}`},

	{"referencegrants", "take the grant out", "routes of another tenant", aGrant, `replace /spec/from/0/namespace "globex"`},

	{"rolebindings", "a subject", "an account of another tenant", aBinding, `replace /subjects/0/namespace "globex"`},
	{"rolebindings", "a subject", "the account by which Flux applies another tenant", aBinding, `replace /subjects/0 {"kind":"ServiceAccount","name":"stark.deployer","namespace":"platform"}`},
	{"rolebindings", "a subject", "the account by which the platform is applied", aBinding, `replace /subjects/0 {"kind":"ServiceAccount","name":"fleet","namespace":"platform"}`},
	{
		"rolebindings", "a subject", "all accounts of another tenant", aBinding,
		`add /subjects/- {"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:serviceaccounts:globex"}`,
	},
	{
		"rolebindings", "a subject", "an account of another tenant by its user name", aBinding,
		`add /subjects/- {"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"system:serviceaccount:globex:api"}`,
	},
	{"rolebindings", "a subject", "everybody", aBinding, `add /subjects/- {"apiGroup":"rbac.authorization.k8s.io","kind":"Group","name":"system:authenticated"}`},
	{"rolebindings", "a subject", "nobody known", aBinding, `add /subjects/- {"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"system:anonymous"}`},

	{"routes", "tenant's hosts", "another tenant's host", aRoute, `replace /spec/hostnames/0 "umbrella.example.com"`},
	{"routes", "tenant's hosts", "one host more", aRoute, `add /spec/hostnames/- "umbrella.example.com"`},
	{"routes", "tenant's hosts", "every host", aRoute, `remove /spec/hostnames`},
	{"routes", "tenant's hosts", "every host, by an empty list", aRoute, `replace /spec/hostnames []`},
	{
		"routes", "tenant's hosts", "every host of gRPC",
		`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"GRPCRoute","metadata":{"name":"route"},"spec":{"hostnames":["HOST"],"rules":[{"backendRefs":[{"name":"api","port":80}]}]}}`,
		`remove /spec/hostnames`,
	},
	{"routes", "external-dns", "another tenant's record", aRoute, `add /metadata/annotations {"external-dns.alpha.kubernetes.io/hostname":"umbrella.example.com"}`},
	{"routes", "a parent", "another tenant's listener", aRoute, `add /spec/parentRefs/0/namespace "umbrella"`},
	{"routes", "a parent", "something else of the platform's", aRoute, `add /spec/parentRefs/- {"group":"","kind":"Service","name":"collector","namespace":"platform","port":4318}`},
	{"routes", "traffic goes", "another tenant's API", aRoute, `add /spec/rules/0/backendRefs/0/namespace "globex"`},
	{
		"routes", "traffic goes", "a copy to another tenant's API", aRoute,
		`add /spec/rules/0/filters [{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"api","namespace":"globex","port":80}}}]`,
	},
	{
		"routes", "traffic goes", "a copy of what one backend gets", aRoute,
		`add /spec/rules/0/backendRefs/0/filters [{"type":"RequestMirror","requestMirror":{"backendRef":{"name":"api","namespace":"globex","port":80}}}]`,
	},

	{
		"secrets", "never ends", "a token for good", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"token"}}`,
		`add /metadata/annotations {"kubernetes.io/service-account.name":"api"};add /type "kubernetes.io/service-account-token"`,
	},

	{"services", "make the Service a ClusterIP", "another tenant's API by its name", aService, `replace /spec {"type":"ExternalName","externalName":"api.globex.svc.cluster.local"}`},
	{"services", "make the Service a ClusterIP", "a load balancer", aService, `replace /spec/type "LoadBalancer";add /spec/allocateLoadBalancerNodePorts false`},
	{"services", "externalIPs", "what others send to a database", aService, `add /spec/externalIPs ["10.80.0.1"]`},
	{"services", "external-dns", "another tenant's record", aService, `add /metadata/annotations {"external-dns.alpha.kubernetes.io/hostname":"umbrella.example.com"}`},
	{"services", "external-dns", "another tenant's record within", aService, `add /metadata/annotations {"external-dns.alpha.kubernetes.io/internal-hostname":"umbrella.example.com"}`},
}

// podAttempts are those against a pod and against whatever makes pods. Their paths begin at the pod's spec.
var podAttempts = []attempt{
	{"", "may be root", "root in a user namespace", "", `add /hostUsers false;replace /securityContext/runAsUser 0;remove /securityContext/runAsNonRoot`},
	{"", "may be root", "nobody says that it is not root", "", `add /hostUsers false;remove /securityContext/runAsNonRoot`},
	{"", "may be root", "one container that is root", "", `add /hostUsers false;add /containers/0/securityContext/runAsUser 0`},
	{"", "may be root", "one container that may be root", "", `add /hostUsers false;add /containers/0/securityContext/runAsNonRoot false`},
	{"", "may be root", "an initial container that may be root", "", `add /hostUsers false;add /initContainers [{"name":"first","image":"registry.example.com/x:1",` +
		`"resources":{"limits":{"cpu":"1m","memory":"1Mi","ephemeral-storage":"1Mi"}},` +
		`"securityContext":{"runAsNonRoot":false,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]`},
	{"", "may be root", "root's group", "", `replace /securityContext/runAsGroup 0`},
	{"", "root's group", "root's group beside its own", "", `add /securityContext/supplementalGroups [0]`},
	{"", "root's group", "root's group for its files", "", `replace /securityContext/fsGroup 0`},
	{"", "registries", "an image of Docker Hub's", "", `replace /containers/0/image "valkey/valkey:9.0.1"`},
	{"", "registries", "a registry that is called alike", "", `replace /containers/0/image "registry.example.com.evil.example/api:1"`},
	{"", "registries", "an initial image", "", `add /initContainers [{"name":"first","image":"elsewhere.example.net/library/x:1",` +
		`"resources":{"limits":{"cpu":"1m","memory":"1Mi","ephemeral-storage":"1Mi"}},"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]`},
	{"", "registries", "an image as a volume", "", `add /volumes/- {"name":"image","image":{"reference":"elsewhere.example.net/library/x:1"}}`},
	{"", "nodeName", "a node by its name", "", `add /nodeName "node-1"`},
	{"", "toleration", "every node", "", `add /tolerations [{"operator":"Exists"}]`},
	{"", "toleration", "every tenant's nodes", "", `add /tolerations [{"key":"tenantry.dev/tenant","operator":"Exists"}]`},
	{"", "toleration", "another tenant's nodes", "", `add /tolerations [{"key":"tenantry.dev/tenant","value":"globex"}]`},
	{"", "toleration", "the control plane", "", `add /tolerations [{"key":"node-role.kubernetes.io/control-plane","operator":"Exists"}]`},
	{"", "priorityClassName", "to go before everybody", "", `replace /priorityClassName "platform"`},
	{"", "priorityClassName", "to go before the cluster", "", `replace /priorityClassName "system-cluster-critical"`},
	{"", "an affinity", "to keep everybody away", "", `add /affinity {"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{},"namespaceSelector":{}}]}}`},
	{"", "an affinity", "to keep one away", "", `add /affinity {"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"podAffinityTerm":{"topologyKey":"kubernetes.io/hostname","labelSelector":{},"namespaces":["globex"]}}]}}`},
	{"", "an affinity", "to be near another", "", `add /affinity {"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{},"namespaces":["globex"]}]}}`},
	{"", "an affinity", "to be rather near everybody", "", `add /affinity {"podAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"podAffinityTerm":{"topologyKey":"kubernetes.io/hostname","labelSelector":{},"namespaceSelector":{}}}]}}`},
}

// allAttempts are the attempts with those against pods in each place where a pod's spec stands.
func allAttempts() []attempt {
	all := slices.Clone(attempts)
	for _, place := range []struct{ policy, from, spec string }{
		{"pods", aPod, "/spec"}, {"workloads", aWorkload, "/spec/template/spec"}, {"cronjobs", aCronJob, "/spec/jobTemplate/spec/template/spec"},
	} {
		for _, a := range podAttempts {
			a.policy, a.from = place.policy, place.from
			a.patch = inSpec(a.patch, place.spec)
			all = append(all, a)
		}
	}
	return all
}

// changed is the object with the operations of a patch.
func changed(t *testing.T, u *unstructured.Unstructured, patch string) *unstructured.Unstructured {
	t.Helper()
	var operations []map[string]any
	for one := range strings.SplitSeq(patch, ";") {
		words := strings.SplitN(one, " ", 3)
		operation := map[string]any{"op": words[0], "path": words[1]}
		if len(words) == 3 {
			operation["value"] = json.RawMessage(words[2])
		}
		operations = append(operations, operation)
	}
	text, err := json.Marshal(operations)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatal(err)
	}
	before, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	after, err := decoded.Apply(before)
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	into := &unstructured.Unstructured{}
	if err := into.UnmarshalJSON(after); err != nil {
		t.Fatal(err)
	}
	return into
}

// base is what an attempt starts from: a new object, which a tenant may have.
func (w *world) base(t *testing.T, from string) *unstructured.Unstructured {
	t.Helper()
	if strings.HasPrefix(from, "{") {
		u := &unstructured.Unstructured{}
		if err := u.UnmarshalJSON([]byte(strings.ReplaceAll(from, "HOST", w.host(t)))); err != nil {
			t.Fatal(err)
		}
		u.SetNamespace("acme")
		return u
	}
	golden, isPod := strings.CutPrefix(from, "pod of ")
	words := strings.Split(golden, "/")
	for _, o := range w.objects {
		if o.GetNamespace() == words[0] && o.GetKind() == words[1] && o.GetName() == words[2] {
			if isPod {
				return podFrom(t, o.Unstructured)
			}
			return again(o.Unstructured)
		}
	}
	t.Fatalf("no %s in golden", from)
	return nil
}

// again is the object under another name.
func again(u *unstructured.Unstructured) *unstructured.Unstructured {
	u = u.DeepCopy()
	u.SetName(u.GetName()[:min(len(u.GetName()), 50)] + "-again")
	return u
}

// templates is where pods' templates stand, by kind.
var templates = map[string][]string{
	"Deployment": {"spec", "template"}, "StatefulSet": {"spec", "template"}, "Job": {"spec", "template"}, "CronJob": {"spec", "jobTemplate", "spec", "template"},
}

// podFrom is a pod of the template of a workload.
func podFrom(t *testing.T, u *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	template, found, err := unstructured.NestedMap(u.Object, templates[u.GetKind()]...)
	if err != nil || !found {
		t.Fatalf("%s %s has no template: %v", u.GetKind(), u.GetName(), err)
	}
	pod := &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetNamespace(u.GetNamespace())
	pod.SetName(u.GetName() + "-again")
	claims, _, _ := unstructured.NestedSlice(u.Object, "spec", "volumeClaimTemplates")
	volumes, _, _ := unstructured.NestedSlice(template, "spec", "volumes")
	for _, c := range claims {
		name, _, _ := unstructured.NestedString(c.(map[string]any), "metadata", "name")
		volumes = append(volumes, map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name + "-" + u.GetName() + "-0"}})
	}
	if err := unstructured.SetNestedSlice(template, volumes, "spec", "volumes"); err != nil {
		t.Fatal(err)
	}
	return pod
}

// A person is somebody with every right in one tenant's namespace, and none elsewhere.
const person = "person@example.com"

// persons makes one in each tenant's namespace, until the test ends.
func (w *world) persons(t *testing.T) dynamic.Interface {
	t.Helper()
	for _, tenant := range w.fleet.Tenants {
		bindings := w.client.RbacV1().RoleBindings(tenant.Name)
		_, err := bindings.Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "person"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: person}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := bindings.Delete(context.WithoutCancel(t.Context()), "person", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	config := w.cluster.Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: person, Groups: []string{"system:authenticated"}}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// tryCreate asks the server to create an object, and creates nothing.
func (w *world) tryCreate(ctx context.Context, as dynamic.Interface, u *unstructured.Unstructured) error {
	kind := u.GroupVersionKind()
	mapping, err := w.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	_, err = as.Resource(mapping.Resource).Namespace(u.GetNamespace()).Create(ctx, u, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}

// refusedBy fails unless an error is a policy's, for the reason that one of its validations gives. It returns which.
func refusedBy(err error, policy *admissionv1.ValidatingAdmissionPolicy, says string) (int, error) {
	switch {
	case err == nil:
		return 0, fmt.Errorf("accepted")
	case !errors.IsForbidden(err) || !contains(err, "ValidatingAdmissionPolicy '"+policy.Name+"' with binding '"+policy.Name+"'"):
		return 0, fmt.Errorf("refused by another: %w", err)
	}
	for i, v := range policy.Spec.Validations {
		if strings.Contains(v.Message, says) && contains(err, v.Message) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("refused for another reason: %w", err)
}

// policies are those of the platform, by name.
func (w *world) policies(t *testing.T) map[string]*admissionv1.ValidatingAdmissionPolicy {
	t.Helper()
	list, err := w.client.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=admission"})
	if err != nil {
		t.Fatal(err)
	}
	policies := map[string]*admissionv1.ValidatingAdmissionPolicy{}
	for i := range list.Items {
		policies[strings.TrimSuffix(list.Items[i].Name, ".tenantry.dev")] = &list.Items[i]
	}
	if len(policies) == 0 {
		t.Fatal("there are none")
	}
	return policies
}

// testAdmission attempts everything that the policies of admission are there to refuse: as the tenant's own deploy
// identity where that has the kind at all, and as somebody with every right in the namespace.
//
// The attempts are by and against the tenants that prod and staging share. The policies of a fleet without those are made
// by the same code, and that the fleet's own objects pass them is what applying them has shown.
func testAdmission(t *testing.T, w *world) {
	policies := w.policies(t)
	if w.fleet.Name == "tower" {
		return
	}
	anybody := w.persons(t)
	deployers := map[string]dynamic.Interface{}
	for _, tenant := range w.fleet.Tenants {
		client, err := dynamic.NewForConfig(w.configOf(t, accountOf(tenant, "deployer")))
		if err != nil {
			t.Fatal(err)
		}
		deployers[tenant.Name] = client
	}
	all := allAttempts()
	mayDeploy := func(u *unstructured.Unstructured) bool {
		t.Helper()
		mapping, err := w.mapper.RESTMapping(u.GroupVersionKind().GroupKind())
		if err != nil {
			t.Fatal(err)
		}
		tenant := w.fleet.Tenants[slices.IndexFunc(w.fleet.Tenants, func(t render.Tenant) bool { return t.Name == u.GetNamespace() })]
		ok, err := w.allowed(t.Context(), accountOf(tenant, "deployer"), attributes(u.GetNamespace(), "create", mapping.Resource.Group, mapping.Resource.Resource))
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}

	t.Run("the types fit", func(t *testing.T) { testTypes(t, w, policies) })

	t.Run("every golden object passes", func(t *testing.T) {
		passed, pods := 0, 0
		for _, o := range w.objects {
			if deployers[o.GetNamespace()] == nil {
				continue
			}
			if err := w.tryCreate(t.Context(), anybody, again(o.Unstructured)); err != nil {
				t.Errorf("%s: %v", o.file, err)
			}
			passed++
			if templates[o.GetKind()] == nil {
				continue
			}
			// The quota comes last, and has been used by those that run.
			if err := w.tryCreate(t.Context(), anybody, podFrom(t, o.Unstructured)); err != nil && !contains(err, "exceeded quota") {
				t.Errorf("a pod of %s: %v", o.file, err)
			}
			pods++
		}
		t.Logf("%d objects, %d pods", passed, pods)
	})

	t.Run("what operators make passes", func(t *testing.T) {
		for _, text := range operated {
			if err := w.tryCreate(t.Context(), w.dynamic, w.base(t, text)); err != nil && !contains(err, "exceeded quota") {
				t.Errorf("%s: %v", text, err)
			}
		}
	})

	refused := map[string]map[int]int{}
	byDeployer := 0
	t.Run("every attempt is refused", func(t *testing.T) {
		for _, a := range all {
			policy := policies[a.policy]
			if policy == nil {
				t.Fatalf("there is no policy %s", a.policy)
			}
			base := w.base(t, a.from)
			identities := map[string]dynamic.Interface{"a person": anybody}
			if mayDeploy(base) {
				identities["the deployer"] = deployers[base.GetNamespace()]
				byDeployer++
			}
			for who, client := range identities {
				if err := w.tryCreate(t.Context(), client, base); err != nil && !contains(err, "exceeded quota") {
					t.Errorf("%s: %s: %s, unchanged: %v", a.policy, who, a.from, err)
				}
				i, err := refusedBy(w.tryCreate(t.Context(), client, changed(t, base, a.patch)), policy, a.says)
				if err != nil {
					t.Errorf("%s: %s takes %s: %v", a.policy, who, a.why, err)
					continue
				}
				if refused[a.policy] == nil {
					refused[a.policy] = map[int]int{}
				}
				refused[a.policy][i]++
			}
		}
		for name, policy := range policies {
			for i, v := range policy.Spec.Validations {
				if refused[name][i] == 0 {
					t.Errorf("%s: nothing was attempted against spec.validations[%d]: %s", name, i, v.Message)
				}
			}
		}
		t.Logf("%d attempts, %d of them as the deployer too, against %d policies", len(all), byDeployer, len(policies))
	})

	t.Run("changing is refused like creating", func(t *testing.T) { testChanging(t, w, anybody, policies) })

	t.Run("without the policy every attempt succeeds", func(t *testing.T) {
		bindings := w.client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
		for _, name := range slices.Sorted(maps.Keys(policies)) {
			if err := bindings.Delete(t.Context(), policies[name].Name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, a := range all {
				if a.policy != name {
					continue
				}
				base := w.base(t, a.from)
				err := eventually(t.Context(), func(ctx context.Context) error { // the server hears of it a little later
					err := w.tryCreate(ctx, anybody, changed(t, base, a.patch))
					if err != nil && contains(err, "exceeded quota") {
						return nil
					}
					return err
				})
				if err != nil {
					t.Errorf("%s: %s: %v", name, a.why, err)
				}
			}
		}
	})
}

// host is acme's.
func (w *world) host(t *testing.T) string {
	t.Helper()
	hosts, _, _ := unstructured.NestedStringSlice(w.base(t, aRoute).Object, "spec", "hostnames")
	if len(hosts) != 1 {
		t.Fatalf("hosts %q", hosts)
	}
	return hosts[0]
}

// operated are objects as operators make them in acme's namespace, in the parts that a policy looks at: those by
// which cert-manager 1.21 proves a host (pkg/issuer/acme/http), and those of CloudNativePG 1.30 (pkg/specs).
var operated = []string{
	`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"cm-acme-http-solver-x","labels":{"acme.cert-manager.io/http01-solver":"true"}},"spec":{
		"automountServiceAccountToken":false,"enableServiceLinks":false,"restartPolicy":"OnFailure","nodeSelector":{"kubernetes.io/os":"linux"},
		"securityContext":{"runAsNonRoot":true,"seccompProfile":{"type":"RuntimeDefault"}},
		"containers":[{"name":"acmesolver","image":"registry.example.com/jetstack/cert-manager-acmesolver:v1.21.2","imagePullPolicy":"IfNotPresent","args":["--listen-port=8089"],
			"ports":[{"name":"http","containerPort":8089}],"resources":{"requests":{"cpu":"10m","memory":"64Mi"},"limits":{"cpu":"100m","memory":"64Mi"}},
			"securityContext":{"readOnlyRootFilesystem":true,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`,
	`{"apiVersion":"v1","kind":"Service","metadata":{"name":"cm-acme-http-solver-x","annotations":{"auth.istio.io/8089":"NONE"}},"spec":{
		"type":"ClusterIP","ports":[{"name":"http","port":8089,"targetPort":8089}],"selector":{"acme.cert-manager.io/http01-solver":"true"}}}`,
	`{"apiVersion":"gateway.networking.k8s.io/v1","kind":"HTTPRoute","metadata":{"name":"cm-acme-http-solver-x"},"spec":{"hostnames":["HOST"],
		"parentRefs":[{"group":"gateway.networking.k8s.io","kind":"Gateway","name":"shared","namespace":"platform","sectionName":"http"}],
		"rules":[{"matches":[{"path":{"type":"Exact","value":"/.well-known/acme-challenge/x"}}],
			"backendRefs":[{"group":"","kind":"Service","name":"cm-acme-http-solver-x","namespace":"acme","port":8089,"weight":1}]}]}}`,
	`{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"cm-acme-http-solver-x","annotations":{
		"nginx.ingress.kubernetes.io/whitelist-source-range":"0.0.0.0/0,::/0"}},"spec":{"ingressClassName":"nginx",
		"rules":[{"host":"HOST","http":{"paths":[{"path":"/.well-known/acme-challenge/x","pathType":"ImplementationSpecific",
			"backend":{"service":{"name":"cm-acme-http-solver-x","port":{"number":8089}}}}]}}]}}`,
	`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"database-9","annotations":{"cnpg.io/podSpec":"{}"},"labels":{"cnpg.io/cluster":"database","cnpg.io/podRole":"instance"}},"spec":{
		"hostname":"database-9","priorityClassName":"tenant-standard","serviceAccountName":"default","terminationGracePeriodSeconds":1800,
		"affinity":{"podAntiAffinity":{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"podAffinityTerm":{"topologyKey":"kubernetes.io/hostname",
			"labelSelector":{"matchExpressions":[{"key":"cnpg.io/cluster","operator":"In","values":["database"]}]}}}]}},
		"securityContext":{"runAsNonRoot":true,"runAsUser":26,"runAsGroup":26,"fsGroup":26,"seccompProfile":{"type":"RuntimeDefault"}},
		"initContainers":[{"name":"bootstrap-controller","image":"registry.example.com/cloudnative-pg/cloudnative-pg:1.30.0","command":["/manager","bootstrap","/controller/manager"],
			"securityContext":{"allowPrivilegeEscalation":false,"privileged":false,"readOnlyRootFilesystem":true,"runAsNonRoot":true,"capabilities":{"drop":["ALL"]},"seccompProfile":{"type":"RuntimeDefault"}}}],
		"containers":[{"name":"postgres","image":"registry.example.com/parametric_portal/postgres:18.2-1","command":["/controller/manager","instance","run"],
			"securityContext":{"allowPrivilegeEscalation":false,"privileged":false,"readOnlyRootFilesystem":true,"runAsNonRoot":true,"capabilities":{"drop":["ALL"]},"seccompProfile":{"type":"RuntimeDefault"}}}],
		"volumes":[{"name":"pgdata","persistentVolumeClaim":{"claimName":"database-9"}},{"name":"scratch-data","emptyDir":{}}]}}`,
	`{"apiVersion":"v1","kind":"Service","metadata":{"name":"database-x"},"spec":{"type":"ClusterIP","ports":[{"name":"postgres","port":5432}],"selector":{"cnpg.io/cluster":"database","cnpg.io/instanceRole":"primary"}}}`,
	`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"database"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"database"},
		"subjects":[{"kind":"ServiceAccount","name":"database","namespace":"acme"}]}`,
	`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"database-x"},"type":"kubernetes.io/basic-auth","stringData":{"username":"app","password":"placeholder"}}`,
}

// testTypes waits until the controller manager has held every expression against the types of what it is about, and
// looks for what does not fit. A policy that does not fit must be told of.
func testTypes(t *testing.T, w *world, policies map[string]*admissionv1.ValidatingAdmissionPolicy) {
	api := w.client.AdmissionregistrationV1().ValidatingAdmissionPolicies()
	checked := func(name string) (*admissionv1.TypeChecking, error) {
		var result *admissionv1.TypeChecking
		err := eventually(t.Context(), func(ctx context.Context) error {
			p, err := api.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if p.Status.ObservedGeneration != p.Generation || p.Status.TypeChecking == nil {
				return fmt.Errorf("%s: not yet checked", name)
			}
			result = p.Status.TypeChecking
			return nil
		})
		return result, err
	}
	for _, policy := range policies {
		result, err := checked(policy.Name)
		if err != nil {
			t.Fatal(err)
		}
		for _, warning := range result.ExpressionWarnings {
			t.Errorf("%s: %s: %s", policy.Name, warning.FieldRef, warning.Warning)
		}
	}
	for _, name := range []string{"workloads", "routes"} { // a kind of Kubernetes' own, and a custom resource
		wrong := policies[name].DeepCopy()
		wrong.ObjectMeta = metav1.ObjectMeta{Name: "wrong-" + name}
		wrong.Spec.Validations = []admissionv1.Validation{{Expression: "object.spec.unheardOf == 1"}}
		if _, err := api.Create(t.Context(), wrong, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if result, err := checked(wrong.Name); err != nil || len(result.ExpressionWarnings) != 1 {
			t.Errorf("%s: %v, %v", name, result, err)
		}
		if err := api.Delete(t.Context(), wrong.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// testChanging changes what is there.
func testChanging(t *testing.T, w *world, anybody dynamic.Interface, policies map[string]*admissionv1.ValidatingAdmissionPolicy) {
	route, err := w.resource(w.base(t, aRoute))
	if err != nil {
		t.Fatal(err)
	}
	there, err := route.Get(t.Context(), "edge", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	routes := anybody.Resource(gvr(t, w, there)).Namespace("acme")
	dry := metav1.UpdateOptions{DryRun: []string{metav1.DryRunAll}}
	if _, err := routes.Update(t.Context(), changed(t, there, `add /metadata/labels/one-more "label"`), dry); err != nil {
		t.Errorf("a label: %v", err)
	}
	_, err = routes.Update(t.Context(), changed(t, there, `replace /spec/hostnames ["umbrella.example.com"]`), dry)
	if _, err := refusedBy(err, policies["routes"], "tenant's hosts"); err != nil {
		t.Errorf("another tenant's host: %v", err)
	}
	_, err = routes.Update(t.Context(), changed(t, there, `add /metadata/annotations {"external-dns.alpha.kubernetes.io/hostname":"umbrella.example.com"}`), dry)
	if _, err := refusedBy(err, policies["routes"], "external-dns"); err != nil {
		t.Errorf("another tenant's record: %v", err)
	}

	// A container that is put into a pod that runs.
	pods, err := w.dynamic.Resource(gvr(t, w, w.base(t, aPod))).Namespace("acme").List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/name=api"})
	if err != nil || len(pods.Items) == 0 {
		t.Fatalf("%d pods, %v", len(pods.Items), err)
	}
	running := &pods.Items[0]
	for _, c := range []struct{ says, image string }{{"", "registry.example.com/debug:1"}, {"registries", "elsewhere.example.net/library/busybox:1"}} {
		text := fmt.Sprintf(`add /spec/ephemeralContainers [{"name":"debug","image":%q,"securityContext":{"runAsNonRoot":true,"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]`, c.image)
		_, err := anybody.Resource(gvr(t, w, running)).Namespace("acme").Update(t.Context(), changed(t, running, text), dry, "ephemeralcontainers")
		if c.says == "" && err != nil {
			t.Errorf("a harmless container: %v", err)
		}
		if c.says != "" {
			if _, err := refusedBy(err, policies["pods"], c.says); err != nil {
				t.Errorf("a container from %s: %v", c.image, err)
			}
		}
	}
}

func gvr(t *testing.T, w *world, u *unstructured.Unstructured) schema.GroupVersionResource {
	t.Helper()
	mapping, err := w.mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
	if err != nil {
		t.Fatal(err)
	}
	return mapping.Resource
}
