package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// testControls does what the suite is there to notice, and fails where it goes unnoticed.
func testControls(t *testing.T, w *world) {
	tenant := w.fleet.Tenants[0].Name
	find := func(kind, namespace, name string) object {
		t.Helper()
		for _, o := range w.objects {
			if o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name {
				return o
			}
		}
		t.Fatalf("no %s %s/%s in golden", kind, namespace, name)
		return object{}
	}

	t.Run("an unknown field", func(t *testing.T) {
		for _, o := range []object{find("Deployment", tenant, "api"), first(t, w, "HTTPRoute"), first(t, w, "ExternalSecret")} {
			o.body = []byte(strings.Replace(string(o.body), "\nspec:\n", "\nspec:\n  unheardOf: 1\n", 1))
			if _, _, err := w.apply(t.Context(), o, metav1.DryRunAll); err == nil || !contains(err, "unheardOf") {
				t.Errorf("%s: %v", o.file, err)
			}
		}
	})
	t.Run("a warning", func(t *testing.T) {
		o := find("Deployment", tenant, "api")
		o.body = []byte(strings.ReplaceAll(string(o.body), "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"))
		_, warnings, err := w.apply(t.Context(), o, metav1.DryRunAll)
		if err != nil || len(warnings) != 1 {
			t.Errorf("%q, %v", warnings, err)
		}
	})
	t.Run("a change by hand", func(t *testing.T) {
		o := find("ConfigMap", tenant, "tenantry-release")
		_, err := w.client.CoreV1().ConfigMaps(tenant).Patch(t.Context(), o.GetName(), types.MergePatchType,
			[]byte(`{"data":{"digest":"another"}}`), metav1.PatchOptions{FieldManager: "somebody"})
		if err != nil {
			t.Fatal(err)
		}
		if diff, err := w.applyAgain(t.Context(), o); err == nil || !contains(err, "somebody") {
			t.Errorf("no conflict: %v\n%s", err, diff)
		}
	})
	t.Run("a pod that is refused", func(t *testing.T) {
		p := pod(tenant)
		p.Spec.Containers[0].Resources = tooMuch()
		if _, err := w.client.AppsV1().Deployments(tenant).Create(t.Context(), deployment(p), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		err := eventually(t.Context(), func(ctx context.Context) error {
			if err := w.refusals(ctx, tenant); err == nil || !contains(err, "exceeded quota") {
				return fmt.Errorf("refusals: %w", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := w.unsettled(t.Context()); err == nil || !contains(err, "control") {
			t.Errorf("settled: %v", err)
		}
	})
	t.Run("a tenant that may too much", func(t *testing.T) {
		o := find("Role", tenant, "deployer")
		o.body = []byte(strings.Replace(string(o.body), "rules:\n", "rules:\n- apiGroups: [\"\"]\n  resources: [resourcequotas]\n  verbs: [patch]\n", 1))
		if _, _, err := w.apply(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		err := eventually(t.Context(), func(ctx context.Context) error { // the authorizer hears of it a little later
			ok, err := w.allowed(ctx, accountOf(w.fleet.Tenants[0], "deployer"), attributes(tenant, "patch", "", "resourcequotas"))
			if err == nil && !ok {
				err = fmt.Errorf("denied")
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func first(t *testing.T, w *world, kind string) object {
	t.Helper()
	for _, o := range w.objects {
		if o.GetKind() == kind {
			return o
		}
	}
	t.Fatalf("no %s in golden", kind)
	return object{}
}

// tooMuch is more than any tier has.
func tooMuch() corev1.ResourceRequirements {
	list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000"), corev1.ResourceMemory: resource.MustParse("8Ti")}
	return corev1.ResourceRequirements{Requests: list, Limits: list}
}

func contains(err error, text string) bool { return strings.Contains(err.Error(), text) }
