package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/tenantry/tenantry/render"
)

// reach is what one tenant must not do to another: all that holds or moves its data, decides what runs, or widens
// what anybody may do.
var reach = []struct {
	group     string
	resources string
	verbs     string
}{
	{"", "secrets configmaps pods services persistentvolumeclaims serviceaccounts", "get list watch create update patch delete deletecollection"},
	{"", "pods/exec pods/attach pods/portforward serviceaccounts/token", "get create"},
	{"", "pods/log", "get"},
	{"", "serviceaccounts users groups", "impersonate"},
	{"", "resourcequotas limitranges", "create update patch delete deletecollection"},
	{"apps", "deployments statefulsets", "get list watch create update patch delete deletecollection"},
	{"apps", "deployments/scale statefulsets/scale", "update patch"},
	{"batch", "jobs cronjobs", "get list watch create update patch delete deletecollection"},
	{"networking.k8s.io", "networkpolicies ingresses", "get list watch create update patch delete deletecollection"},
	{"gateway.networking.k8s.io", "httproutes listenersets", "get list watch create update patch delete deletecollection"},
	{"postgresql.cnpg.io", "clusters databases backups", "get list watch create update patch delete deletecollection"},
	{"rbac.authorization.k8s.io", "roles rolebindings", "get list watch create update patch delete deletecollection bind escalate"},
}

// allowed asks the server's authorizer about a service account.
func (w *world) allowed(ctx context.Context, who account, a authorizationv1.ResourceAttributes) (bool, error) {
	review, err := w.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "system:serviceaccount:" + who.namespace + ":" + who.name,
			Groups:             []string{"system:serviceaccounts", "system:serviceaccounts:" + who.namespace, "system:authenticated"},
			ResourceAttributes: &a,
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}

// attributes describes a request; the resource may be one below another, as in pods/exec.
func attributes(namespace, verb, group, resource string) authorizationv1.ResourceAttributes {
	resource, sub, _ := strings.Cut(resource, "/")
	return authorizationv1.ResourceAttributes{Namespace: namespace, Verb: verb, Group: group, Resource: resource, Subresource: sub}
}

// as is a client with a real token of the service account.
func (w *world) as(t *testing.T, who account) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(w.configOf(t, who))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// configOf has a real token of the service account.
func (w *world) configOf(t *testing.T, who account) *rest.Config {
	t.Helper()
	token, err := w.client.CoreV1().ServiceAccounts(who.namespace).CreateToken(t.Context(), who.name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := w.cluster.Config()
	config.CertData, config.KeyData = nil, nil
	config.BearerToken = token.Status.Token
	config.QPS = -1
	return config
}

// An account is one that acts for a tenant.
type account struct{ namespace, name string }

// accountOf is a tenant's account of a name. The deployer of one that Flux delivers is the platform's.
func accountOf(t render.Tenant, name string) account {
	if _, pulled := t.Delivery.(render.Flux); pulled && name == "deployer" {
		return account{render.PlatformUnit, t.Name + ".deployer"}
	}
	return account{t.Name, name}
}

// testIsolation has each identity of each tenant ask for itself what it may do elsewhere.
func testIsolation(t *testing.T, w *world) {
	asked := 0
	for _, from := range w.fleet.Tenants {
		namespaces := []string{"", "platform", metav1.NamespaceSystem, metav1.NamespaceDefault} // the first is all of them at once
		for _, to := range w.fleet.Tenants {
			if to.Name != from.Name {
				namespaces = append(namespaces, to.Name)
			}
		}
		for _, account := range []string{"deployer", "api", "default"} {
			client := w.as(t, accountOf(from, account))
			may := func(ctx context.Context, a authorizationv1.ResourceAttributes) (bool, error) {
				review, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
					Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &a},
				}, metav1.CreateOptions{})
				return err == nil && review.Status.Allowed, err
			}
			own, err := may(t.Context(), attributes(from.Name, "patch", "apps", "deployments"))
			if err != nil || own != (account == "deployer") {
				t.Errorf("%s of %s may deploy to its own namespace: %t, %v", account, from.Name, own, err)
			}
			group, ctx := errgroup.WithContext(t.Context())
			group.SetLimit(8)
			for _, namespace := range namespaces {
				for _, what := range reach {
					for resource := range strings.FieldsSeq(what.resources) {
						for verb := range strings.FieldsSeq(what.verbs) {
							asked++
							group.Go(func() error {
								ok, err := may(ctx, attributes(namespace, verb, what.group, resource))
								if ok {
									t.Errorf("%s of %s may %s %s in %q", account, from.Name, verb, resource, namespace)
								}
								return err
							})
						}
					}
				}
			}
			if err := group.Wait(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d questions", asked)

	// What the authorizer answers is what the server does: one pair of tenants, with a real token.
	a, b := w.fleet.Tenants[0].Name, render.PlatformUnit
	if len(w.fleet.Tenants) > 1 {
		b = w.fleet.Tenants[1].Name
	}
	deployer := w.as(t, accountOf(w.fleet.Tenants[0], "deployer"))
	if _, err := deployer.CoreV1().ConfigMaps(a).List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("deployer of %s lists its own configuration: %v", a, err)
	}
	if _, err := deployer.CoreV1().ConfigMaps(b).List(t.Context(), metav1.ListOptions{}); !errors.IsForbidden(err) {
		t.Errorf("deployer of %s lists the configuration of %s: %v", a, b, err)
	}
}

// testBounds asks what each tenant's identities may do in their own namespace.
func testBounds(t *testing.T, w *world) {
	type row struct {
		account, verb, group, resource string
		want                           bool
		why                            string
	}
	rows := []row{
		{"deployer", "patch", "apps", "deployments", true, "rolling out is its purpose"},
		{"deployer", "create", "batch", "jobs", true, "so are migrations"},
		{"deployer", "patch", "", "configmaps", true, "so is configuration"},
		{"deployer", "create", "", "pods", false, "pods come from what is rendered"},
		{"deployer", "create", "", "pods/exec", false, "deploying needs no shell"},
		{"deployer", "create", "", "serviceaccounts/token", false, "it would become another identity"},
		{"deployer", "impersonate", "", "serviceaccounts", false, "so would this"},
		{"api", "list", "", "secrets", false, "it gets its secrets from its environment"},
		{"api", "patch", "apps", "deployments", false, "it reads and nothing else"},
		{"default", "list", "", "pods", false, "what needs no API gets none"},
	}
	for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection"} {
		for _, bound := range []row{
			{group: "networking.k8s.io", resource: "networkpolicies"},
			{group: "", resource: "resourcequotas"},
			{group: "", resource: "limitranges"},
			{group: "", resource: "serviceaccounts"},
			{group: "", resource: "namespaces"},
			{group: "rbac.authorization.k8s.io", resource: "roles"},
			{group: "rbac.authorization.k8s.io", resource: "rolebindings"},
		} {
			rows = append(rows, row{"deployer", verb, bound.group, bound.resource, false, "a tenant does not set its own bounds"})
		}
	}
	for _, tenant := range w.fleet.Tenants {
		for _, r := range rows {
			a := attributes(tenant.Name, r.verb, r.group, r.resource)
			got, err := w.allowed(t.Context(), accountOf(tenant, r.account), a)
			if err != nil {
				t.Fatal(err)
			}
			if got != r.want {
				t.Errorf("%s of %s may %s %s: %t, want %t: %s", r.account, tenant.Name, r.verb, r.resource, got, r.want, r.why)
			}
		}
	}
	name := w.fleet.Tenants[0].Name
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "more", Namespace: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}},
	}
	_, err := w.as(t, accountOf(w.fleet.Tenants[0], "deployer")).RbacV1().Roles(name).Create(t.Context(), role, metav1.CreateOptions{})
	if !errors.IsForbidden(err) {
		t.Errorf("deployer of %s creates a role: %v", name, err)
	}
	for _, tenant := range w.fleet.Tenants {
		if _, err := w.client.CoreV1().Pods(tenant.Name).Create(t.Context(), pod(tenant.Name), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err != nil {
			t.Errorf("%s: a harmless pod: %v", tenant.Name, err)
		}
		for _, r := range refused {
			p := pod(tenant.Name)
			r.change(p)
			_, err := w.client.CoreV1().Pods(tenant.Name).Create(t.Context(), p, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err := refusedFor(err, r.reason); err != nil {
				t.Errorf("%s: %s: %v", tenant.Name, r.name, err)
			}
		}
	}
}

// refused are pods that no tenant's namespace takes.
var refused = []struct {
	name   string
	change func(*corev1.Pod)
	reason string
}{
	{"a privileged pod", func(p *corev1.Pod) {
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
	}, `violates PodSecurity "restricted`},
	{"a pod that runs as root", func(p *corev1.Pod) {
		p.Spec.SecurityContext.RunAsNonRoot, p.Spec.SecurityContext.RunAsUser = nil, nil
	}, `violates PodSecurity "restricted`},
	{"a pod on the node's network", func(p *corev1.Pod) { p.Spec.HostNetwork = true }, `violates PodSecurity "restricted`},
	{"a pod over quota", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources = tooMuch()
	}, "exceeded quota: tier"},
}

func refusedFor(err error, reason string) error {
	if err == nil {
		return fmt.Errorf("accepted")
	}
	if !errors.IsForbidden(err) || !contains(err, reason) {
		return fmt.Errorf("refused for another reason: %w", err)
	}
	return nil
}
