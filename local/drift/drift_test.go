package drift_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/tenantry/tenantry/deploy/live"
	"github.com/tenantry/tenantry/local/crds"
	"github.com/tenantry/tenantry/render"
)

var kinds = scheme.Scheme

func TestDrift(t *testing.T) {
	w := newWorld(t)
	stop := func() {}
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{ // each leans on those before it
		{"an empty cluster, without the kinds of operators, lacks everything", func(t *testing.T) {
			report := w.drift(t)
			for _, d := range report {
				if d.What != live.Missing {
					t.Errorf("%+v", d)
				}
			}
			if got, want := len(report), w.objects(); got != want {
				t.Errorf("%d objects are missing, want %d", got, want)
			}
			if complaints, err := open(t).Unhealthy(t.Context(), []string{"acme"}); err != nil || complaints != nil {
				t.Errorf("unhealthy: %v, %v", complaints, err)
			}
		}},
		{"what is applied settles", func(t *testing.T) {
			if err := crds.Install(t.Context(), w.cluster.Config()); err != nil {
				t.Fatal(err)
			}
			w.mapper.Reset()
			for _, u := range w.units {
				for _, f := range u.Files {
					w.apply(t, applied(t, f))
				}
			}
			stop = w.simulate(t)
			eventually(t, w.settled)
		}},
		{"a fleet that only controllers touched does not differ", func(t *testing.T) {
			begin := time.Now()
			differ(t, nil, w.drift(t))
			t.Logf("%d objects in %s", w.objects(), time.Since(begin).Round(time.Millisecond))
		}},
		{"health", func(t *testing.T) {
			stop()
			testHealth(t, w)
		}},
		{"every change is noticed, and nothing else", func(t *testing.T) { testChanges(t, w) }},
	} {
		if !t.Run(step.name, step.run) {
			break
		}
	}
	stop()
}

func (w *world) objects() int {
	n := 0
	for _, u := range w.units {
		n += len(u.Files)
	}
	return n
}

// drift asks about the named units; about all if none is named.
func (w *world) drift(t *testing.T, names ...string) live.Report {
	t.Helper()
	units := slices.DeleteFunc(slices.Clone(w.units), func(u render.Unit) bool { return len(names) > 0 && !slices.Contains(names, u.Name) })
	report, err := open(t).Drift(t.Context(), units, w.units)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// settled fails until controllers have done their work: pods run, autoscalers have scaled, claims are bound.
func (w *world) settled(ctx context.Context) error {
	c, err := live.Open(fleet)
	if err != nil {
		return err
	}
	var names []string
	for _, u := range w.units {
		names = append(names, u.Name)
	}
	complaints, err := c.Unhealthy(ctx, names)
	if err != nil || len(complaints) > 0 {
		return fmt.Errorf("unhealthy: %v: %w", complaints, err)
	}
	scalers, err := w.client.AutoscalingV2().HorizontalPodAutoscalers("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	if len(scalers.Items) == 0 {
		return errors.New("there is no autoscaler")
	}
	for _, scaler := range scalers.Items {
		d, err := w.client.AppsV1().Deployments(scaler.Namespace).Get(ctx, scaler.Spec.ScaleTargetRef.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if *d.Spec.Replicas < *scaler.Spec.MinReplicas {
			return fmt.Errorf("%s/%s is not yet scaled", scaler.Namespace, scaler.Name)
		}
	}
	claims, err := w.client.CoreV1().PersistentVolumeClaims(extra).List(ctx, metav1.ListOptions{LabelSelector: render.TenantLabel})
	if err != nil {
		return err
	}
	if len(claims.Items) != 2 || slices.ContainsFunc(claims.Items, func(c corev1.PersistentVolumeClaim) bool { return c.Status.Phase != corev1.ClaimBound }) {
		return errors.New("the claims are not yet bound")
	}
	return nil
}

// differ compares a report with what it should be, in whatever order. Times are only checked to be there.
func differ(t *testing.T, want, got live.Report) {
	t.Helper()
	normal := func(r live.Report) live.Report {
		r = slices.Clone(r)
		for i := range r {
			d := &r[i]
			d.Fleet = fleet
			if !d.Time.IsZero() {
				if age := time.Since(d.Time); age < -time.Minute || age > time.Hour {
					t.Errorf("%s %s: written at %s", d.Object, d.Path, d.Time)
				}
				d.Time = time.Time{}
			}
			if strings.HasSuffix(d.Reason, "field is immutable") {
				d.Reason = "field is immutable"
			}
		}
		slices.SortFunc(r, func(a, b live.Difference) int {
			return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Path, b.Path))
		})
		return r
	}
	if diff := gocmp.Diff(append(live.Report{}, normal(want)...), append(live.Report{}, normal(got)...)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// changes are what people do to a fleet, and how that is told.
var changes = []struct {
	name string
	do   func(*testing.T, *world)
	want live.Report
}{
	{
		"a label",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-label", "Deployment", "acme", "api", `{"metadata":{"labels":{"by-hand":"yes"}}}`)
		},
		live.Report{{Unit: "acme", Object: "acme/Deployment/api", What: live.Added, Path: `.metadata.labels.by-hand`, Live: "yes", Manager: "kubectl-label"}},
	},
	{
		"annotations of a custom resource, one of them such as Pulumi's",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-annotate", "HTTPRoute", "acme", "edge", `{"metadata":{"annotations":{"example.com/note":"hello","pulumi.com/waitFor":"nothing"}}}`)
		},
		live.Report{
			{Unit: "acme", Object: "acme/HTTPRoute/edge", What: live.Added, Path: `.metadata.annotations["example.com/note"]`, Live: "hello", Manager: "kubectl-annotate"},
			{Unit: "acme", Object: "acme/HTTPRoute/edge", What: live.Added, Path: `.metadata.annotations["pulumi.com/waitFor"]`, Live: "nothing", Manager: "kubectl-annotate"},
		},
	},
	{
		"a label is another",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-label", "Namespace", "", "globex", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
		},
		live.Report{{
			Unit: "globex", Object: "Namespace/globex", What: live.Changed, Path: `.metadata.labels["pod-security.kubernetes.io/enforce"]`,
			Golden: "restricted", Live: "privileged", Manager: "kubectl-label",
		}},
	},
	{
		"a sidecar",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-edit", "Deployment", "initech", "api", `[{"op":"add","path":"/spec/template/spec/containers/-","value":{"name":"sidecar","image":"registry.example.com/sidecar:1"}}]`)
		},
		live.Report{{
			Unit: "initech", Object: "initech/Deployment/api", What: live.Added, Path: `.spec.template.spec.containers[name="sidecar"]`, Manager: "kubectl-edit",
			Live: map[string]any{
				"name": "sidecar", "image": "registry.example.com/sidecar:1", "imagePullPolicy": "IfNotPresent", "resources": map[string]any{},
				"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
			},
		}},
	},
	{
		"a variable is another, and one more",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-set", "Deployment", "hooli", "api", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`)
			o := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "api", "namespace": "hooli"},
				"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": []any{
					map[string]any{"name": "api", "env": []any{map[string]any{"name": "PORT", "value": "5000"}, map[string]any{"name": "MORE", "value": "1"}}},
				}}}},
			}}
			if _, err := w.resource(t, o.GroupVersionKind(), "hooli").Apply(t.Context(), "api", o, metav1.ApplyOptions{FieldManager: "somebody", Force: true}); err != nil {
				t.Fatal(err)
			}
		},
		live.Report{
			{Unit: "hooli", Object: "hooli/Deployment/api", What: live.Added, Path: `.spec.template.metadata.annotations["kubectl.kubernetes.io/restartedAt"]`, Live: "now", Manager: "kubectl-set"},
			{Unit: "hooli", Object: "hooli/Deployment/api", What: live.Changed, Path: `.spec.template.spec.containers[name="api"].env[name="PORT"].value`, Golden: "4000", Live: "5000", Manager: "somebody"},
			{Unit: "hooli", Object: "hooli/Deployment/api", What: live.Added, Path: `.spec.template.spec.containers[name="api"].env[name="MORE"]`, Live: map[string]any{"name": "MORE", "value": "1"}, Manager: "somebody"},
		},
	},
	{
		"a field is gone",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-patch", "Deployment", "umbrella", "mailer", `[{"op":"remove","path":"/spec/template/spec/containers/0/securityContext/capabilities"}]`)
		},
		live.Report{{
			Unit: "umbrella", Object: "umbrella/Deployment/mailer", What: live.Removed, Path: `.spec.template.spec.containers[name="mailer"].securityContext.capabilities`,
			Golden: map[string]any{"drop": []any{"ALL"}},
		}},
	},
	{
		"a policy lets everybody in",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-patch", "NetworkPolicy", "acme", "default-deny", `{"spec":{"ingress":[{}]}}`)
		},
		live.Report{{Unit: "acme", Object: "acme/NetworkPolicy/default-deny", What: live.Added, Path: `.spec.ingress`, Live: []any{map[string]any{}}, Manager: "kubectl-patch"}},
	},
	{
		"a policy lets out to another port",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-edit", "NetworkPolicy", "acme", "database", `[{"op":"replace","path":"/spec/egress/1/ports/1/port","value":22}]`)
		},
		live.Report{{Unit: "acme", Object: "acme/NetworkPolicy/database", What: live.Changed, Path: `.spec.egress[1].ports[1].port`, Golden: int64(8000), Live: int64(22), Manager: "kubectl-edit"}},
	},
	{
		"replicas",
		func(t *testing.T, w *world) { w.scale(t, "kubectl", "platform", "collector", 5) },
		live.Report{{Unit: "platform", Object: "platform/Deployment/collector", What: live.Changed, Path: `.spec.replicas`, Golden: int64(2), Live: int64(5), Manager: "kubectl"}},
	},
	{
		"an autoscaler is put out of work",
		func(t *testing.T, w *world) { w.scale(t, "kubectl", "umbrella", "thumbnails", 0) },
		live.Report{{Unit: "umbrella", Object: "umbrella/Deployment/thumbnails", What: live.Changed, Path: `.spec.replicas`, Golden: int64(2), Live: int64(0)}},
	},
	{
		"an autoscaler decides otherwise than somebody",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-edit", "Deployment", "globex", "api", `{"spec":{"replicas":3}}`)
			w.scale(t, "kube-controller-manager", "globex", "api", 4)
		},
		nil,
	},
	{
		"an object is gone",
		func(t *testing.T, w *world) { w.remove(t, "Service", "acme", "cache") },
		live.Report{{Unit: "acme", Object: "acme/Service/cache", What: live.Missing}},
	},
	{
		"an object does not go",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-patch", "ConfigMap", "acme", "cache", `{"metadata":{"finalizers":["example.com/hold"]}}`)
			w.remove(t, "ConfigMap", "acme", "cache")
		},
		live.Report{
			{Unit: "acme", Object: "acme/ConfigMap/cache", What: live.Added, Path: `.metadata.deletionTimestamp`, Live: "now"},
			{Unit: "acme", Object: "acme/ConfigMap/cache", What: live.Added, Path: `.metadata.finalizers["example.com/hold"]`, Live: "example.com/hold", Manager: "kubectl-patch"},
		},
	},
	{
		"an object is another, which cannot become golden",
		func(t *testing.T, w *world) {
			w.remove(t, "Deployment", "umbrella", "api")
			w.create(t, "kubectl-create", deployment("umbrella", "api", nil))
		},
		live.Report{{Unit: "umbrella", Object: "umbrella/Deployment/api", What: live.Refused, Path: `.spec.selector`, Reason: "field is immutable"}},
	},
	{
		"finalizers of operators, and one of them where it does not belong",
		func(t *testing.T, w *world) {
			w.patch(t, "manager", "Database", "acme", "database", `{"metadata":{"finalizers":["cnpg.io/deleteDatabase"]}}`)
			w.patch(t, "envoy-gateway", "GatewayClass", "", "envoy", `{"metadata":{"finalizers":["gateway-exists-finalizer.gateway.networking.k8s.io"]}}`)
			w.patch(t, "external-secrets", "ExternalSecret", "globex", "settings", `{"metadata":{"finalizers":["externalsecrets.external-secrets.io/externalsecret-cleanup"]}}`)
			w.patch(t, "manager", "Cluster", "acme", "database", `{"metadata":{"finalizers":["cnpg.io/deleteDatabase"]}}`)
		},
		live.Report{{Unit: "acme", Object: "acme/Cluster/database", What: live.Added, Path: `.metadata.finalizers["cnpg.io/deleteDatabase"]`, Live: "cnpg.io/deleteDatabase", Manager: "manager"}},
	},
	{
		"golden has less than what was deployed",
		func(t *testing.T, w *world) {
			o := w.find(t, "ConfigMap", "acme", "settings")
			if err := unstructured.SetNestedField(o.Object, "1", "data", "FORMER"); err != nil {
				t.Fatal(err)
			}
			w.apply(t, o)
		},
		live.Report{{Unit: "acme", Object: "acme/ConfigMap/settings", What: live.Added, Path: `.data.FORMER`, Live: "1", Manager: "tenantry"}},
	},
	{
		"keys of a Secret",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-patch", "Secret", "acme", "settings", `{"stringData":{"ENCRYPTION_KEY":"`+canary+`changed","new.key":"`+canary+`added"}}`)
			w.patch(t, "kubectl-patch", "Secret", "acme", "settings", `[{"op":"remove","path":"/data/DOPPLER_TOKEN"}]`)
		},
		live.Report{
			{Unit: "acme", Object: "acme/Secret/settings", What: live.Changed, Path: `.data.ENCRYPTION_KEY`, Manager: "kubectl-patch"},
			{Unit: "acme", Object: "acme/Secret/settings", What: live.Added, Path: `.data["new.key"]`, Manager: "kubectl-patch"},
			{Unit: "acme", Object: "acme/Secret/settings", What: live.Removed, Path: `.data.DOPPLER_TOKEN`},
		},
	},
	{
		"keys of a Secret, applied as text",
		func(t *testing.T, w *world) {
			o := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "settings", "namespace": "umbrella"},
				"stringData": map[string]any{"ENCRYPTION_KEY": canary + "changed", "new.key": canary + "added"},
			}}
			if _, err := w.resource(t, o.GroupVersionKind(), "umbrella").Apply(t.Context(), "settings", o, metav1.ApplyOptions{FieldManager: "somebody", Force: true}); err != nil {
				t.Fatal(err)
			}
		},
		live.Report{
			{Unit: "umbrella", Object: "umbrella/Secret/settings", What: live.Changed, Path: `.data.ENCRYPTION_KEY`, Manager: "somebody"},
			{Unit: "umbrella", Object: "umbrella/Secret/settings", What: live.Added, Path: `.data["new.key"]`, Manager: "somebody"},
		},
	},
	{
		"the rest of a Secret, with its values in an annotation",
		func(t *testing.T, w *world) {
			w.patch(t, "kubectl-client-side-apply", "Secret", "initech", "edge-tls", `{"immutable":true,"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"`+canary+`applied"},"labels":{"tenantry.dev/tenant":"`+canary+`label"}}}`)
		},
		live.Report{
			{Unit: "initech", Object: "initech/Secret/edge-tls", What: live.Added, Path: `.immutable`, Manager: "kubectl-client-side-apply"},
			{Unit: "initech", Object: "initech/Secret/edge-tls", What: live.Added, Path: `.metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]`, Manager: "kubectl-client-side-apply"},
			{Unit: "initech", Object: "initech/Secret/edge-tls", What: live.Changed, Path: `.metadata.labels["tenantry.dev/tenant"]`, Manager: "kubectl-client-side-apply"},
		},
	},
	{
		"objects more",
		func(t *testing.T, w *world) {
			ours := labels("platform")
			delete(ours, render.TenantLabel)
			w.create(t, "kubectl-create", configMap("platform", "more", ours))
			w.create(t, "kubectl-create", configMap("acme", "more", map[string]string{render.TenantLabel: "acme"}))
			w.create(t, "kubectl-create", configMap("acme", "not-ours", map[string]string{"app.kubernetes.io/managed-by": "helm", "app.kubernetes.io/part-of": fleet}))
		},
		live.Report{
			{Unit: "platform", Object: "platform/ConfigMap/more", What: live.Unknown, Manager: "kubectl-create"},
			{Unit: "acme", Object: "acme/ConfigMap/more", What: live.Unknown, Manager: "kubectl-create"},
		},
	},
	{
		"objects of another fleet",
		func(t *testing.T, w *world) {
			theirs := labels("acme")
			theirs["app.kubernetes.io/part-of"] = "prod"
			w.create(t, "kubectl-create", configMap("acme", "of-prod", theirs))
			delete(theirs, render.TenantLabel)
			w.create(t, "kubectl-create", configMap("acme", "of-prods-platform", theirs))
		},
		// Of a tenant there is nothing in this cluster but what this fleet has.
		live.Report{{Unit: "acme", Object: "acme/ConfigMap/of-prod", What: live.Unknown, Manager: "kubectl-create"}},
	},
	{
		"a tenant that is no more",
		func(t *testing.T, w *world) {
			w.create(t, "kubectl-create", &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "wayne", Labels: labels("wayne")}})
			w.create(t, "kubectl-create", deployment("wayne", "api", labels("wayne")))
			w.create(t, "kubectl-create", &corev1.Service{
				ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "wayne", Labels: labels("wayne")},
				Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": "api"}, Ports: []corev1.ServicePort{{Port: 80}}},
			})
			// What controllers make of it is there, and it has the labels.
			eventually(t, func(ctx context.Context) error {
				of := metav1.ListOptions{LabelSelector: render.TenantLabel + "=wayne"}
				pods, err := w.client.CoreV1().Pods("wayne").List(ctx, of)
				if err != nil || len(pods.Items) != 1 {
					return fmt.Errorf("%d pods: %w", len(pods.Items), err)
				}
				sets, err := w.client.AppsV1().ReplicaSets("wayne").List(ctx, of)
				if err != nil || len(sets.Items) != 1 {
					return fmt.Errorf("%d sets: %w", len(sets.Items), err)
				}
				endpoints, err := w.client.CoreV1().Endpoints("wayne").List(ctx, of)
				if err != nil || len(endpoints.Items) != 1 {
					return fmt.Errorf("%d endpoints: %w", len(endpoints.Items), err)
				}
				slices, err := w.client.DiscoveryV1().EndpointSlices("wayne").List(ctx, of)
				if err != nil || len(slices.Items) != 1 {
					return fmt.Errorf("%d slices: %w", len(slices.Items), err)
				}
				return nil
			})
		},
		live.Report{
			{Unit: "wayne", Object: "Namespace/wayne", What: live.Unknown, Manager: "kubectl-create"},
			{Unit: "wayne", Object: "wayne/Deployment/api", What: live.Unknown, Manager: "kubectl-create"},
			{Unit: "wayne", Object: "wayne/Service/api", What: live.Unknown, Manager: "kubectl-create"},
		},
	},
}

func testChanges(t *testing.T, w *world) {
	var want live.Report
	for _, change := range changes {
		t.Run(change.name, func(t *testing.T) { change.do(t, w) })
		want = append(want, change.want...)
	}
	got := w.drift(t)
	for i := range got {
		if got[i].Path == ".metadata.deletionTimestamp" {
			got[i].Live = "now"
		}
	}
	differ(t, want, got)

	t.Run("as text and as JSON without a value of a Secret", func(t *testing.T) {
		var out strings.Builder
		if err := got.Write(&out); err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{out.String(), string(data)} {
			if !strings.Contains(text, "ENCRYPTION_KEY") {
				t.Errorf("the Secret is not told:\n%s", text)
			}
			for _, secret := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))[:16]} {
				if strings.Contains(text, secret) {
					t.Errorf("a value of a Secret is told:\n%s", text)
				}
			}
		}
	})
	t.Run("of the units that were asked about", func(t *testing.T) {
		asked := []string{"acme", "umbrella"}
		got := w.drift(t, asked...)
		for i := range got {
			if got[i].Path == ".metadata.deletionTimestamp" {
				got[i].Live = "now"
			}
		}
		differ(t, slices.DeleteFunc(want, func(d live.Difference) bool { return !slices.Contains(asked, d.Unit) }), got)
	})
}

func configMap(namespace, name string, labels map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels}}
}

// deployment is one whose pods have the same labels and any image.
func deployment(namespace, name string, labels map[string]string) *appsv1.Deployment {
	template := podTemplate(name, nil)
	maps.Copy(template.Labels, labels)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels},
		Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}, Template: template},
	}
}
