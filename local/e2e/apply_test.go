package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
)

// deadline is for all that controllers do after everything is applied.
const deadline = time.Minute

// eventually polls until check returns nil, and fails with its last error.
func eventually(ctx context.Context, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, deadline, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if ctx.Err() == nil {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return nil
}

func testDryRun(t *testing.T, w *world) {
	for _, o := range w.objects {
		if o.GetKind() != "Namespace" {
			continue
		}
		if _, _, err := w.apply(t.Context(), o); err != nil {
			t.Fatalf("%s: %v", o.file, err)
		}
	}
	for _, o := range w.objects {
		_, warnings, err := w.apply(t.Context(), o, metav1.DryRunAll)
		if err != nil {
			t.Errorf("%s: %v", o.file, err)
		}
		for _, text := range warnings {
			t.Errorf("%s: warning: %s", o.file, text)
		}
	}
	t.Logf("%d objects", len(w.objects))
}

func testApply(t *testing.T, w *world) {
	for _, o := range w.objects {
		_, warnings, err := w.apply(t.Context(), o)
		if err != nil {
			t.Errorf("%s: %v", o.file, err)
		}
		for _, text := range warnings {
			t.Errorf("%s: warning: %s", o.file, text)
		}
	}
}

// testSettle waits until all workloads are ready and all jobs complete, those of cron jobs too. Nothing on the
// way may have been refused by quota, Pod Security or priority.
func testSettle(t *testing.T, w *world) {
	ctx := t.Context()
	crons, err := w.client.BatchV1().CronJobs("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range crons.Items {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: c.Name + "-now", Labels: c.Spec.JobTemplate.Labels}, Spec: c.Spec.JobTemplate.Spec}
		if _, err := w.client.BatchV1().Jobs(c.Namespace).Create(ctx, job, metav1.CreateOptions{}); err != nil {
			t.Errorf("running cron job %s/%s now: %v", c.Namespace, c.Name, err)
		}
	}
	workloads := 0
	err = eventually(ctx, func(ctx context.Context) error {
		if err := w.refusals(ctx, ""); err != nil {
			return err
		}
		workloads, err = w.unsettled(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.refusals(ctx, ""); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d workloads", workloads)
}

// refusals is every event of a pod that could not be created. The server keeps events for an hour.
func (w *world) refusals(ctx context.Context, namespace string) error {
	events, err := w.client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=FailedCreate"})
	if err != nil {
		return err
	}
	var texts []string
	for _, e := range events.Items {
		if strings.Contains(e.Message, "status unknown for quota") {
			continue // the quota is so new that nobody has counted yet: the controller tries again
		}
		texts = append(texts, fmt.Sprintf("%s %s/%s: %s", e.InvolvedObject.Kind, e.Namespace, e.InvolvedObject.Name, e.Message))
	}
	if texts != nil {
		return fmt.Errorf("pods were refused:\n%s", strings.Join(texts, "\n"))
	}
	return nil
}

// unsettled counts the workloads and fails with those that are not where they should be.
func (w *world) unsettled(ctx context.Context) (int, error) {
	var texts []string
	say := func(kind string, o metav1.Object, text string, args ...any) {
		texts = append(texts, fmt.Sprintf("%s %s/%s: ", kind, o.GetNamespace(), o.GetName())+fmt.Sprintf(text, args...))
	}
	deployments, err := w.client.AppsV1().Deployments("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	for _, d := range deployments.Items {
		if s := d.Status; s.ObservedGeneration != d.Generation || s.AvailableReplicas != *d.Spec.Replicas || s.UpdatedReplicas != *d.Spec.Replicas {
			say("Deployment", &d, "%d of %d available", s.AvailableReplicas, *d.Spec.Replicas)
		}
	}
	sets, err := w.client.AppsV1().StatefulSets("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	for _, s := range sets.Items {
		if s.Status.ObservedGeneration != s.Generation || s.Status.ReadyReplicas != *s.Spec.Replicas {
			say("StatefulSet", &s, "%d of %d ready", s.Status.ReadyReplicas, *s.Spec.Replicas)
		}
	}
	jobs, err := w.client.BatchV1().Jobs("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return 0, err
	}
	for _, j := range jobs.Items {
		if j.Status.CompletionTime == nil {
			say("Job", &j, "not complete")
		}
	}
	if texts != nil {
		return 0, fmt.Errorf("not settled:\n%s", strings.Join(texts, "\n"))
	}
	return len(deployments.Items) + len(sets.Items) + len(jobs.Items), nil
}

// testApplyAgain proves that nothing that the server defaults or normalises, and nothing that a controller
// writes, is ours to set back.
func testApplyAgain(t *testing.T, w *world) {
	for _, o := range w.objects {
		if diff, err := w.applyAgain(t.Context(), o); err != nil {
			t.Errorf("%s: %v", o.file, err)
		} else if diff != "" {
			t.Errorf("%s: applying again changes it (-before +after):\n%s", o.file, diff)
		}
	}
}

// applyAgain returns what applying changes. A controller may write a status between the two looks, so that a
// new resource version by itself says nothing.
func (w *world) applyAgain(ctx context.Context, o object) (string, error) {
	r, err := w.resource(o.Unstructured)
	if err != nil {
		return "", err
	}
	before, err := r.Get(ctx, o.GetName(), metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	after, warnings, err := w.apply(ctx, o)
	if err != nil {
		return "", err
	}
	if warnings != nil {
		return "", fmt.Errorf("warnings: %q", warnings)
	}
	if before.GetResourceVersion() == after.GetResourceVersion() {
		return "", nil
	}
	return cmp.Diff(ours(before), ours(after)), nil
}

// ours is the object without its resource version, its status and the notes of other managers. Our own note
// stays: its time is that of our last change.
func ours(u *unstructured.Unstructured) map[string]any {
	u = u.DeepCopy()
	unstructured.RemoveNestedField(u.Object, "status")
	u.SetResourceVersion("")
	var notes []metav1.ManagedFieldsEntry
	for _, n := range u.GetManagedFields() {
		if n.Manager == manager {
			notes = append(notes, n)
		}
	}
	u.SetManagedFields(notes)
	return u.Object
}

// pod is one that a tenant's namespace takes.
func pod(namespace string) *corev1.Pod {
	return &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: "control", Namespace: namespace},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   new(true),
				RunAsUser:      new(int64(10001)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:  "control",
				Image: "registry.example.com/control:1",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// deployment has one replica of the pod.
func deployment(p *corev1.Pod) *appsv1.Deployment {
	labels := map[string]string{"control": p.Name}
	return &appsv1.Deployment{
		ObjectMeta: p.ObjectMeta,
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: p.Spec},
		},
	}
}
