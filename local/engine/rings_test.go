package engine_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tenantry/tenantry/render"
)

// testRings deploys three tenants in three rings, with something in the way of one after the other.
func testRings(t *testing.T, w *world) {
	s := spec{
		Tenants: map[string][]string{"ring-one": nil, "ring-two": nil, "ring-three": nil},
		Rings:   []render.Ring{{Name: "canary", Tenants: []string{"ring-one"}}, {Name: "early", Tenants: []string{"ring-two"}}},
	}
	r := w.repository(t, trial, s)
	t.Run("a canary that fails stops the rings after it", func(t *testing.T) {
		mend := w.refuse(t, "ring-one")
		got := r.run(t, "up")
		checkTable(t, got, "canary ring-one failed", "early ring-two not begun", "everyone ring-three not begun")
		if !strings.Contains(got.stderr, "what is not begun waits for what failed: mend it, and run up again") || got.code != 1 {
			t.Errorf("want exit code 1 and why: %s", got)
		}
		if said := errorOf(t, got, "ring-one"); !strings.HasPrefix(said, "ring-one/Deployment/api: ") || !strings.Contains(said, refusal) {
			t.Errorf("the error names no object and no reason: %s", said)
		}
		if found := r.look(t, "ring-two", "ring-three"); len(found) > 0 {
			t.Errorf("later rings have %d objects", len(found))
		}
		mend()
	})
	t.Run("a ring in the middle that fails leaves the one before it as it is", func(t *testing.T) {
		mend := w.refuse(t, "ring-two")
		got := r.run(t, "up")
		checkTable(t, got, "canary ring-one applied", "early ring-two failed", "everyone ring-three not begun")
		if got.code != 1 {
			t.Errorf("want exit code 1: %s", got)
		}
		r.complete(t, "ring-one")
		if found := r.look(t, "ring-three"); len(found) > 0 {
			t.Errorf("the last ring has %d objects", len(found))
		}
		mend()
	})
	t.Run("mended, it goes on with the rest only", func(t *testing.T) {
		before := r.look(t, "ring-one", "ring-two")
		got := r.must(t, "up")
		checkTable(t, got, "early ring-two applied", "everyone ring-three applied")
		after := r.complete(t, "ring-one", "ring-two")
		for name, operation := range changes(before, after) {
			if strings.HasPrefix(name, "ring-one/") || operation != "create" {
				t.Errorf("%s: %s", name, operation)
			}
		}
		r.settled(t, "ring-one", "ring-two", "ring-three")
	})

	s.Tenants["ring-two"], s.Tenants["ring-three"] = []string{"a ConfigMap"}, []string{"a ConfigMap"}
	r = w.repository(t, trial, s)
	heal := w.sicken(t, "ring-one")
	const complaint = "ring-one/Deployment/api: InProgress: "
	t.Run("a canary that is sick later stops the next ring", func(t *testing.T) {
		before := r.look(t, "ring-one", "ring-two", "ring-three")
		got := r.run(t, "up", "-wait", "1s")
		checkTable(t, got, "early ring-two not begun", "everyone ring-three not begun")
		if said := "the ring early was not begun: after 1s these are not healthy:\n" + complaint; got.code != 1 || !strings.Contains(got.stderr, said) {
			t.Errorf("want exit code 1 and %q: %s", said, got)
		}
		unchanged(t, before, r.look(t, "ring-one", "ring-two", "ring-three"))
	})
	t.Run("a unit that is named does not wait", func(t *testing.T) {
		checkTable(t, r.must(t, "up", "ring-two"), "early ring-two applied")
	})
	t.Run("the next ring begins when the canary is healthy again", func(t *testing.T) {
		n := r.command(t, "up")
		n.start(t)
		eventually(t, func(context.Context) error {
			if said := n.said(t, "stderr"); !strings.Contains(said, "the ring everyone waits until the ones before it are healthy:\n"+complaint) {
				return fmt.Errorf("it does not wait: %s", said)
			}
			return nil
		})
		if found := changes(nil, r.look(t, "ring-three")); found["ring-three/ConfigMap/more"] != "" {
			t.Error("the last ring has begun")
		}
		heal()
		got := n.wait(t)
		if got.code != 0 {
			t.Error(got)
		}
		checkTable(t, got, "everyone ring-three applied")
		r.settled(t, "ring-one", "ring-two", "ring-three")
	})
}

// checkTable compares the ring, the unit and the result of each row.
func checkTable(t *testing.T, r result, want ...string) {
	t.Helper()
	var got []string
	for i, line := range strings.Split(strings.TrimSpace(r.stdout), "\n") {
		if cells := cells(line); i > 0 && len(cells) > 2 && cells[1] != "platform" {
			got = append(got, strings.Join(cells[:3], " "))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s%s", diff, r)
	}
}

// refusal is what the API server says of what refuse refuses.
const refusal = "no such thing on a Monday"

// refuse makes the API server refuse every new Deployment in a namespace until mend is called.
func (w *world) refuse(t *testing.T, namespace string) (mend func()) {
	t.Helper()
	return w.police(t, namespace, registrationv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
		func([]byte) string { return refusal },
		func(ctx context.Context, namespace string) error {
			_, err := w.client.AppsV1().Deployments(namespace).Create(ctx, tool("probe"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		})
}

// police makes the API server refuse to create a resource in a namespace, though not to preview that, until mend is
// called: it asks a webhook, which says why of an object. create tries to, elsewhere.
func (w *world) police(t *testing.T, namespace string, resource registrationv1.Rule, says func(object []byte) string, create func(context.Context, string) error) (mend func()) {
	t.Helper()
	probed := "probe-" + namespace // the other one may not be there yet
	if _, err := w.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: probed}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	hook := httptest.NewTLSServer(http.HandlerFunc(func(to http.ResponseWriter, from *http.Request) {
		var asked admissionv1.AdmissionReview
		if err := json.NewDecoder(from.Body).Decode(&asked); err != nil || asked.Request == nil {
			http.Error(to, "this is no review", http.StatusBadRequest)
			return
		}
		answer := admissionv1.AdmissionReview{TypeMeta: asked.TypeMeta, Response: &admissionv1.AdmissionResponse{UID: asked.Request.UID}}
		if asked.Request.Namespace == namespace && *asked.Request.DryRun {
			answer.Response.Allowed = true
		} else {
			answer.Response.Result = &metav1.Status{Message: says(asked.Request.Object.Raw)}
		}
		_ = json.NewEncoder(to).Encode(answer)
	}))
	t.Cleanup(hook.Close)
	hooks := w.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	name := "refuse-in-" + namespace
	_, err := hooks.Create(t.Context(), &registrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []registrationv1.ValidatingWebhook{{
		Name:                    name + ".example.com",
		ClientConfig:            registrationv1.WebhookClientConfig{URL: &hook.URL, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hook.Certificate().Raw})},
		Rules:                   []registrationv1.RuleWithOperations{{Operations: []registrationv1.OperationType{registrationv1.Create}, Rule: resource}},
		MatchConditions:         []registrationv1.MatchCondition{{Name: "there", Expression: fmt.Sprintf("request.namespace in [%q, %q]", namespace, probed)}},
		SideEffects:             new(registrationv1.SideEffectClassNone),
		AdmissionReviewVersions: []string{"v1"},
	}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func(ctx context.Context) error {
		if err := create(ctx, probed); err == nil || !strings.Contains(err.Error(), name) {
			return fmt.Errorf("the webhook is not asked: %w", err)
		}
		return nil
	})
	mended := false
	mend = func() {
		if mended {
			return
		}
		mended = true
		ctx := context.WithoutCancel(t.Context())
		if err := hooks.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, func(ctx context.Context) error { return create(ctx, probed) })
		if err := w.client.CoreV1().Namespaces().Delete(ctx, probed, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(mend)
	return mend
}

// sicken gives the API of a tenant pods that no node takes, until heal is called.
func (w *world) sicken(t *testing.T, namespace string) (heal func()) {
	t.Helper()
	patch := func(value string) {
		t.Helper()
		text := fmt.Sprintf(`{"spec":{"template":{"spec":{"nodeSelector":%s}}}}`, value)
		if _, err := w.client.AppsV1().Deployments(namespace).Patch(t.Context(), "api", types.MergePatchType, []byte(text), metav1.PatchOptions{FieldManager: "somebody"}); err != nil {
			t.Fatal(err)
		}
	}
	patch(`{"no-such":"node"}`)
	return func() { patch("null") }
}
