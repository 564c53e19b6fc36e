package drift_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// testHealth makes workloads of the unit extra ill, one after the other, and removes them.
func testHealth(t *testing.T, w *world) {
	nowhere := map[string]string{"no-such": "node"}
	job := func(name string, spec batchv1.JobSpec, nodes map[string]string) *batchv1.Job {
		spec.Template = podTemplate(name, nodes)
		spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
		return &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: extra, Labels: labels(extra)}, Spec: spec}
	}
	stuck := deployment(extra, "stuck", labels(extra))
	stuck.Spec.Template.Spec.NodeSelector = nowhere
	w.create(t, "test", stuck)
	w.create(t, "test", job("runs", batchv1.JobSpec{}, nowhere))
	w.create(t, "test", job("failed", batchv1.JobSpec{ActiveDeadlineSeconds: new(int64(1))}, nowhere))
	w.create(t, "test", job("done", batchv1.JobSpec{}, nil))
	nightly := &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "nightly", Namespace: extra, Labels: labels(extra)}, Spec: batchv1.CronJobSpec{
		Schedule: "0 0 1 1 *", Suspend: new(true), JobTemplate: batchv1.JobTemplateSpec{Spec: job("nightly", batchv1.JobSpec{}, nil).Spec},
	}}
	run := job("nightly-now", batchv1.JobSpec{}, nowhere)
	run.OwnerReferences = []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: "nightly", UID: w.create(t, "test", nightly), Controller: new(true)}}
	w.create(t, "test", run)
	database := w.find(t, "Cluster", "hooli", "database")
	status := `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"Test","message":"instances are missing","lastTransitionTime":"2026-11-23T15:00:00Z"}]}}`
	clusters := w.resource(t, database.GroupVersionKind(), "hooli")
	if _, err := clusters.Patch(t.Context(), "database", types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	database = w.find(t, "Cluster", "umbrella", "database")
	if _, err := w.resource(t, database.GroupVersionKind(), "umbrella").Patch(t.Context(), "database", types.MergePatchType, []byte(`{"status":null}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}

	sick := func(ctx context.Context, units ...string) []string {
		complaints, err := open(t).Unhealthy(ctx, units)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, c := range complaints {
			texts = append(texts, c.Unit+" "+c.String())
		}
		slices.Sort(texts)
		return texts
	}
	want := []string{
		"extra extra/Deployment/stuck: InProgress: Available: 0/1",
		"extra extra/Job/failed: Failed: Job Failed. failed: 1/1",
		"extra extra/Job/runs: InProgress: Complete is not true",
		"hooli hooli/Cluster/database: InProgress: instances are missing",
		"umbrella umbrella/Cluster/database: InProgress: Ready is not true",
	}
	eventually(t, func(ctx context.Context) error {
		if diff := gocmp.Diff(want, sick(ctx, "acme", "hooli", "umbrella", extra)); diff != "" {
			return fmt.Errorf("(-want +got):\n%s", diff)
		}
		return nil
	})
	if diff := gocmp.Diff(want[:3], sick(t.Context(), "acme", extra)); diff != "" {
		t.Errorf("of two units (-want +got):\n%s", diff)
	}
	if got := sick(t.Context()); got != nil {
		t.Errorf("of no unit: %q", got)
	}

	background := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground)}
	if err := w.client.AppsV1().Deployments(extra).Delete(t.Context(), "stuck", background); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"runs", "failed", "done", "nightly-now"} {
		if err := w.client.BatchV1().Jobs(extra).Delete(t.Context(), name, background); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.client.BatchV1().CronJobs(extra).Delete(t.Context(), "nightly", background); err != nil {
		t.Fatal(err)
	}
}
