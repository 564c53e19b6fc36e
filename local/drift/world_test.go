// Package drift_test deploys a fleet to a real API server, lets people and controllers change it, and asks
// package live of deploy/ what it notices.
package drift_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/deploy/live"
	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/clustertest"
	"github.com/tenantry/tenantry/local/operators"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

const (
	fleet  = "staging"
	extra  = "extra"          // a unit that has what no tenant has
	canary = "CANARY-7b2f09-" // begins the value of every Secret
)

// A world is a fleet and the control plane that it is deployed to.
type world struct {
	units   []render.Unit
	client  kubernetes.Interface
	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	cluster *cluster.Cluster
}

func newWorld(t *testing.T) *world {
	t.Helper()
	fleets := tenants.Fleets()
	all, err := render.Units(fleets)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{units: append(slices.DeleteFunc(all, func(u render.Unit) bool { return u.Fleet != fleet }), extraUnit(t))}
	options := cluster.Options{Contexts: []string{fleet}}
	for _, f := range fleets {
		if f.Name == fleet {
			options.Nodes = cluster.Nodes(f)
		}
	}
	w.cluster = clustertest.Start(t, options)
	t.Setenv("KUBECONFIG", w.cluster.Kubeconfig())
	config := w.cluster.Config()
	config.WarningHandler = rest.NoWarnings{}
	if w.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if w.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	w.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(w.client.Discovery()))
	return w
}

// simulate lets the operators say what they say, until the function that it returns is called.
func (w *world) simulate(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		operators.Run(ctx, w.dynamic, io.Discard)
	}()
	return func() {
		cancel()
		<-ended
	}
}

// extraUnit has a claim of its own and a StatefulSet whose claims have the fleet's labels.
func extraUnit(t *testing.T) render.Unit {
	t.Helper()
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: name, Namespace: extra, Labels: labels(extra)}
	}
	claim := corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}
	namespace := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: named(extra)}
	namespace.Namespace = ""
	template := corev1.PersistentVolumeClaim{ObjectMeta: named("data"), Spec: claim}
	template.Namespace = ""
	unit := render.Unit{Fleet: fleet, Name: extra}
	for _, o := range []render.Object{
		namespace,
		&corev1.PersistentVolumeClaim{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}, ObjectMeta: named("bound"), Spec: claim},
		&appsv1.StatefulSet{
			TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"}, ObjectMeta: named("claiming"),
			Spec: appsv1.StatefulSetSpec{
				Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "claiming"}}, Template: podTemplate("claiming", nil),
				VolumeClaimTemplates: []corev1.PersistentVolumeClaim{template},
			},
		},
	} {
		data, err := render.Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		unit.Files = append(unit.Files, render.File{Name: o.GetName(), Object: o, YAML: data})
	}
	return unit
}

// labels are those of an object of a tenant.
func labels(tenant string) map[string]string {
	return map[string]string{
		"app.kubernetes.io/managed-by": "tenantry", "app.kubernetes.io/part-of": fleet, "app.kubernetes.io/instance": tenant,
		render.TenantLabel: tenant,
	}
}

func podTemplate(app string, nodes map[string]string) corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": app}},
		Spec: corev1.PodSpec{
			Containers:   []corev1.Container{{Name: "main", Image: "registry.example.com/main:1"}},
			NodeSelector: nodes, RestartPolicy: corev1.RestartPolicyAlways,
			SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(int64(10001)), RunAsGroup: new(int64(10001))}, // as the platform's policies want it
		},
	}
}

// applied is a file as Pulumi applies it.
func applied(t *testing.T, file render.File) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(file.YAML, &o.Object); err != nil {
		t.Fatal(err)
	}
	if o.GetKind() == "Secret" {
		values := map[string]any{}
		for name := range o.GetAnnotations() {
			if key, ok := strings.CutPrefix(name, "secret.tenantry.dev/"); ok {
				values[key] = base64.StdEncoding.EncodeToString([]byte(canary + key))
			}
		}
		o.Object["data"] = values
	}
	annotations := map[string]string{"pulumi.com/patchFieldManager": "tenantry", "pulumi.com/skipAwait": "true"}
	maps.Copy(annotations, o.GetAnnotations())
	o.SetAnnotations(annotations)
	return o
}

// resource is where objects of a kind are served.
func (w *world) resource(t *testing.T, kind schema.GroupVersionKind, namespace string) dynamic.ResourceInterface {
	t.Helper()
	mapping, err := w.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		t.Fatal(err)
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return w.dynamic.Resource(mapping.Resource).Namespace(namespace)
	}
	return w.dynamic.Resource(mapping.Resource)
}

// apply applies an object in the name of tenantry.
func (w *world) apply(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	_, err := w.resource(t, o.GroupVersionKind(), o.GetNamespace()).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: "tenantry", Force: true})
	if err != nil {
		t.Fatalf("%s %s/%s: %v", o.GetKind(), o.GetNamespace(), o.GetName(), err)
	}
}

// find is an object of golden.
func (w *world) find(t *testing.T, kind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	for _, u := range w.units {
		for _, f := range u.Files {
			if f.Object.GetObjectKind().GroupVersionKind().Kind == kind && f.Object.GetNamespace() == namespace && f.Object.GetName() == name {
				return applied(t, f)
			}
		}
	}
	t.Fatalf("no %s %s/%s in golden", kind, namespace, name)
	return nil
}

// patch changes an object of golden as somebody else.
func (w *world) patch(t *testing.T, manager, kind, namespace, name, patch string) {
	t.Helper()
	how := types.MergePatchType
	if strings.HasPrefix(patch, "[") {
		how = types.JSONPatchType
	}
	o := w.find(t, kind, namespace, name)
	if _, err := w.resource(t, o.GroupVersionKind(), namespace).Patch(t.Context(), name, how, []byte(patch), metav1.PatchOptions{FieldManager: manager}); err != nil {
		t.Fatalf("%s %s/%s: %v", kind, namespace, name, err)
	}
}

// remove deletes an object of golden.
func (w *world) remove(t *testing.T, kind, namespace, name string) {
	t.Helper()
	o := w.find(t, kind, namespace, name)
	if err := w.resource(t, o.GroupVersionKind(), namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatalf("%s %s/%s: %v", kind, namespace, name, err)
	}
}

// scale sets the replicas of a Deployment through the subresource.
func (w *world) scale(t *testing.T, manager, namespace, name string, replicas int32) {
	t.Helper()
	scale := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if _, err := w.client.AppsV1().Deployments(namespace).UpdateScale(t.Context(), name, scale, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		t.Fatal(err)
	}
}

// create creates a typed object as somebody else.
func (w *world) create(t *testing.T, manager string, o runtime.Object) types.UID {
	t.Helper()
	data, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &u.Object); err != nil {
		t.Fatal(err)
	}
	kinds, _, err := kinds.ObjectKinds(o)
	if err != nil {
		t.Fatal(err)
	}
	u.SetGroupVersionKind(kinds[0])
	made, err := w.resource(t, kinds[0], u.GetNamespace()).Create(t.Context(), u, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		t.Fatal(err)
	}
	return made.GetUID()
}

// open is the cluster as the deploy command sees it.
func open(t *testing.T) *live.Cluster {
	t.Helper()
	c, err := live.Open(fleet)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// eventually polls until check returns nil, and fails with its last error.
func eventually(t *testing.T, check func(context.Context) error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 3*time.Minute, true, func(ctx context.Context) (bool, error) {
		last = check(ctx)
		return last == nil, nil
	})
	if err != nil {
		t.Fatal(fmt.Errorf("%w: %w", err, last))
	}
}
