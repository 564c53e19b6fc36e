package path_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/clustertest"
	"github.com/tenantry/tenantry/local/placeholder"
)

// A merged world has a cluster.
type merged struct {
	*world
	client kubernetes.Interface
}

// TestMerge goes on to a cluster.
func TestMerge(t *testing.T) {
	w := &merged{world: newWorld(t)}
	w.start(t)
	inOrder(t, w, []part[*merged]{
		{"the first commit is deployed, ring after ring", testFirst},
		{"merged, a ring fails, the rest stays, and the next run finishes", testRings},
		{"drift is told in an issue that closes itself", testDrift},
	})
}

// start starts a control plane and says to the hub how it is deployed to. The tenants need no operator.
func (w *merged) start(t *testing.T) {
	t.Helper()
	var err error
	if w.path, err = build.Path(t.Context(), t.Output()); err != nil {
		t.Fatal(err)
	}
	c := clustertest.Start(t, cluster.Options{Contexts: []string{"prod"}})
	if w.client, err = kubernetes.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := os.ReadFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(strings.TrimPrefix(w.environments[""].vars["PULUMI_BACKEND_URL"], "file://"), 0o700); err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"KUBECONFIG": string(kubeconfig), "PULUMI_CONFIG_PASSPHRASE": canary + "passphrase",
		"TENANTRY_MASTER_KEY": base64.StdEncoding.EncodeToString([]byte(canary + "master-key-of-tests")[:32]),
	}
	pair, err := placeholder.KeyPair()
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile(`environment:([A-Z0-9_]+)`).FindAllStringSubmatch(command(t, w.dir, nil, "grep", "-rh", "environment:", "golden"), -1) {
		name := match[1]
		switch {
		case strings.HasSuffix(name, "TLS_CRT"):
			secrets[name] = string(pair["tls.crt"])
		case strings.HasSuffix(name, "TLS_KEY"):
			secrets[name] = string(pair["tls.key"])
		default:
			secrets[name] = canary + strings.ToLower(name)
		}
	}
	w.environments[""].vars["DEPLOY"] = "true"
	w.environments["drift"] = environment{secrets: map[string]string{"KUBECONFIG": string(kubeconfig)}}
	for _, ring := range []string{"platform", "canary", "everyone"} {
		w.environments["prod-"+ring] = environment{secrets: secrets}
	}
}

// image is what a tenant's API runs.
func (w *merged) image(t *testing.T, tenant string) string {
	t.Helper()
	d, err := w.client.AppsV1().Deployments(tenant).Get(t.Context(), "api", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return d.Spec.Template.Spec.Containers[0].Image
}

func (w *merged) runs(t *testing.T, images map[string]string) {
	t.Helper()
	got := map[string]string{}
	for tenant := range images {
		got[tenant] = strings.TrimPrefix(w.image(t, tenant), "registry.example.com/app:")
	}
	if diff := cmp.Diff(images, got); diff != "" {
		t.Fatalf("images (-want +got):\n%s", diff)
	}
}

func testFirst(t *testing.T, w *merged) {
	r := w.workflow(t, "deploy.yml", w.push(t))
	r.ended(t, map[string]string{"build": "success", "ring": "success", "tell": "success"}, "prod-platform success", "prod-canary success", "prod-everyone success")
	w.runs(t, map[string]string{"acme": "v1.0.0", "beta": "v1.0.0"})
	if len(w.issues) > 0 {
		t.Errorf("an issue for nothing: %+v", w.issues[0])
	}
	for _, want := range []string{"| prod |  | applied | 1: platform |", "| prod | canary | applied | 1: beta |", "| prod | everyone | applied | 1: acme |"} {
		if !strings.Contains(r.summaries, want) {
			t.Errorf("the summary lacks %q:\n%s", want, r.summaries)
		}
	}
}

func testRings(t *testing.T, w *merged) {
	git(t, w.dir, "switch", "-q", "-c", "bump")
	w.edit(t, "tenants/fleets.go", "v1.0.0", "v1.2.0")
	w.gen(t)
	w.commit(t, "a change")
	git(t, w.dir, "switch", "-q", "main")
	git(t, w.dir, "merge", "-q", "--no-ff", "-m", "merge bump", "bump")
	git(t, w.dir, "push", "-q", w.origin, "main")
	mend := w.refuse(t, "beta")
	r := w.workflow(t, "deploy.yml", w.push(t))
	r.ended(t, map[string]string{"build": "success", "ring": "failure", "tell": "success"}, "prod-platform success", "prod-canary failure", "prod-everyone cancelled")
	w.runs(t, map[string]string{"acme": "v1.0.0", "beta": "v1.0.0"})
	if len(w.issues) != 1 || w.issues[0].closed || w.issues[0].label != "deploy" {
		t.Fatalf("want one open issue: %+v", w.issues)
	}
	for _, want := range []string{r.trigger.sha, "| prod | canary | failed | 1: beta |", "beta/Deployment/api", refusal, fmt.Sprintf("/actions/runs/%d", r.id)} {
		if !strings.Contains(w.issues[0].body, want) {
			t.Errorf("the issue lacks %q:\n%s", want, w.issues[0].body)
		}
	}
	if strings.Contains(w.issues[0].body, canary) {
		t.Error("a secret is in the issue")
	}

	again := w.workflow(t, "deploy.yml", w.push(t))
	again.ended(t, map[string]string{"build": "success", "ring": "failure", "tell": "success"}, "prod-platform success", "prod-canary failure", "prod-everyone cancelled")
	if len(w.issues) != 1 || !strings.Contains(w.issues[0].body, fmt.Sprintf("/actions/runs/%d", again.id)) {
		t.Fatalf("want the same issue, as of now: %+v", w.issues)
	}

	mend()
	r = w.workflow(t, "deploy.yml", w.push(t))
	r.ended(t, map[string]string{"build": "success", "ring": "success", "tell": "success"}, "prod-platform success", "prod-canary success", "prod-everyone success")
	w.runs(t, map[string]string{"acme": "v1.2.0", "beta": "v1.2.0"})
	if len(w.issues) != 1 || !w.issues[0].closed || !strings.Contains(w.issues[0].comments[0], r.trigger.sha) {
		t.Errorf("the issue is not closed: %+v", w.issues[0])
	}
}

// testDrift leaves the vulnerabilities out, for which a database would be asked.
func testDrift(t *testing.T, w *merged) {
	night := w.push(t)
	night.event, night.skip = "schedule", []string{"vulnerabilities"}
	results := func(drift string) map[string]string {
		return map[string]string{"drift": drift, "tell": "success", "vulnerabilities": "skipped"}
	}
	look := func(result string) {
		t.Helper()
		w.workflow(t, "nightly.yml", night).ended(t, results(result), "drift "+result)
	}
	patch := func(image string) {
		t.Helper()
		text := fmt.Sprintf(`[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"registry.example.com/app:%s"}]`, image)
		if _, err := w.client.AppsV1().Deployments("acme").Patch(t.Context(), "api", types.JSONPatchType, []byte(text), metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
			t.Fatal(err)
		}
	}
	look("success")
	if len(w.issues) != 1 {
		t.Fatalf("drift of nothing: %+v", w.issues[1])
	}
	patch("v0.0.1")
	look("failure")
	look("failure")
	if len(w.issues) != 2 || w.issues[1].closed || w.issues[1].label != "drift" {
		t.Fatalf("want one open issue: %+v", w.issues)
	}
	for _, want := range []string{"acme/Deployment/api", "v0.0.1", "somebody"} {
		if !strings.Contains(w.issues[1].body, want) {
			t.Errorf("the issue lacks %q:\n%s", want, w.issues[1].body)
		}
	}
	kubeconfig := w.environments["drift"].secrets["KUBECONFIG"]
	w.environments["drift"].secrets["KUBECONFIG"] = "nothing"
	look("failure") // what cannot be looked at is not well
	w.environments["drift"].secrets["KUBECONFIG"] = kubeconfig
	patch("v1.2.0")
	look("success")
	if len(w.issues) != 2 || !w.issues[1].closed {
		t.Errorf("the issue is not closed: %+v", w.issues[1])
	}
}

// refusal is what the API server says of what refuse refuses.
const refusal = "not on a Friday"

// refuse makes the API server refuse changes of Deployments in a namespace until mend is called.
func (w *merged) refuse(t *testing.T, namespace string) (mend func()) {
	t.Helper()
	policies, bindings := w.client.AdmissionregistrationV1().ValidatingAdmissionPolicies(), w.client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	const name = "refuse"
	if _, err := policies.Create(t.Context(), &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
		}}}},
		Validations: []admissionv1.Validation{{Expression: fmt.Sprintf("request.namespace != %q", namespace), Message: refusal}},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := bindings.Create(t.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// probe changes nothing, and is refused or not.
	refused := func(want bool) {
		t.Helper()
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
			_, err := w.client.AppsV1().Deployments(namespace).Patch(ctx, "api", types.MergePatchType, []byte(`{"metadata":{"annotations":{"probe":"1"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
			return (err != nil && strings.Contains(err.Error(), refusal)) == want, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	refused(true)
	return func() {
		t.Helper()
		if err := bindings.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := policies.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		refused(false)
	}
}
