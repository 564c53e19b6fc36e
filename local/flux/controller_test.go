package flux_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/local/build"
	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/clustertest"
	"github.com/tenantry/tenantry/local/operators"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// A world is a control plane with Flux's kustomize-controller, locked down. In the place of source-controller this
// test serves artifacts.
type world struct {
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
	artifacts sync.Map // bytes by path
	server    *httptest.Server
}

// TestController has the real controller deliver the fleet tower.
func TestController(t *testing.T) {
	fleets := tenants.Fleets()
	fleet := fleets[slices.IndexFunc(fleets, func(f render.Fleet) bool { return f.Name == "tower" })]
	units, err := render.Units(fleets)
	if err != nil {
		t.Fatal(err)
	}
	binary, err := build.KustomizeController.Binary(t.Context(), t.Output())
	if err != nil {
		t.Fatal(err)
	}
	c := clustertest.WithDefinitions(t, cluster.Options{Nodes: cluster.Nodes(fleet)})
	w := &world{}
	if w.client, err = kubernetes.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	if w.dynamic, err = dynamic.NewForConfig(c.Config()); err != nil {
		t.Fatal(err)
	}
	w.mapper = restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(w.client.Discovery()))
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		data, ok := w.artifacts.Load(r.URL.Path)
		if !ok {
			http.NotFound(rw, r)
			return
		}
		_, _ = rw.Write(data.([]byte))
	}))
	t.Cleanup(w.server.Close)
	var group sync.WaitGroup
	t.Cleanup(group.Wait) // t.Context has ended by then
	group.Go(func() { operators.Run(t.Context(), w.dynamic, t.Output()) })

	// As docs/deploying.md has it.
	dir := filepath.Join(golden, fleet.Name)
	for _, name := range []string{"namespace-platform.yaml", "serviceaccount-fleet.yaml", "ocirepository-golden.yaml", "kustomization-platform.yaml"} {
		w.apply(t, filepath.Join(dir, "platform", name))
	}
	_, err = w.client.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "tenantry-fleet"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "fleet", Namespace: render.PlatformUnit}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	revision := w.publish(t, dir, nil)
	controller := exec.CommandContext(t.Context(), binary, "--metrics-addr=0", "--health-addr=127.0.0.1:0", "--requeue-dependency=500ms",
		"--no-cross-namespace-refs=true", "--default-service-account=nobody", "--no-remote-bases=true", "--interval-jitter-percentage=0")
	controller.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(), "RUNTIME_NAMESPACE=flux-system", "HOME="+t.TempDir(), "TMPDIR="+t.TempDir())
	controller.Cancel = func() error { return controller.Process.Signal(syscall.SIGTERM) }
	controller.WaitDelay = 10 * time.Second
	said := &bytes.Buffer{}
	controller.Stdout, controller.Stderr = said, said
	if err := controller.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = controller.Wait() // its context has ended
		if t.Failed() {
			t.Log(said.String())
		}
	})

	arrived := t.Run("every object arrives, and the migration before the workloads", func(t *testing.T) {
		w.ready(t, "stark", revision)
		n := 0
		for _, u := range units {
			if u.Fleet != fleet.Name {
				continue
			}
			for _, f := range u.Files {
				n++
				live := w.get(t, f.Object.GetObjectKind().GroupVersionKind(), f.Object.GetNamespace(), f.Object.GetName())
				if live == nil {
					t.Errorf("%s/%s did not arrive", u.Name, f.Name)
					continue
				}
				want := f.Object.GetAnnotations()["tenantry.dev/stage"]
				by := live.GetLabels()["kustomize.toolkit.fluxcd.io/name"]
				if expect := map[string]string{"": "platform", "bounds": "stark.bounds", "foundation": "stark.foundation", "workload": "stark"}[want]; by != expect {
					t.Errorf("%s/%s is applied by %s, want %s", u.Name, f.Name, by, expect)
				}
			}
		}
		t.Logf("%d objects", n)
		jobs, err := w.client.BatchV1().Jobs("stark").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(jobs.Items) != 1 || !complete(jobs.Items[0]) {
			t.Fatalf("the migration: %v %v", err, jobs)
		}
		api, err := w.client.AppsV1().Deployments("stark").Get(t.Context(), "api", metav1.GetOptions{})
		if err != nil || api.CreationTimestamp.Before(jobs.Items[0].Status.CompletionTime) {
			t.Errorf("the API is made at %v, before the migration is done at %v: %v", api.CreationTimestamp, jobs.Items[0].Status.CompletionTime, err)
		}
	})
	if !arrived {
		return // what follows leans on it
	}
	t.Run("what golden no longer has is deleted, but for what holds data", func(t *testing.T) {
		w.ready(t, "stark", w.publish(t, dir, func(name string, data []byte) []byte {
			if name == "stark/statefulset-cache.yaml" || name == "stark/poddisruptionbudget-api.yaml" {
				return nil
			}
			return data
		}))
		if w.get(t, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "StatefulSet"}, "stark", "cache") == nil {
			t.Error("the cache is gone")
		}
		w.eventually(t, "the budget goes", func(context.Context) (string, error) {
			if w.get(t, schema.GroupVersionKind{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"}, "stark", "api") != nil {
				return "it is there", nil
			}
			return "", nil
		})
	})
	// What golden could never have, since it is rendered: a tenant's directory with something in it that is not the tenant's.
	for _, row := range []struct{ what, object, name, text string }{
		{
			"the account of a tenant changes nothing outside the tenant's namespace", "ConfigMap/platform/intruder", "stark/configmap-intruder.yaml",
			"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: intruder\n  namespace: platform\n  annotations:\n    tenantry.dev/stage: foundation\n",
		},
		{
			"nor the tenant's bounds", "ResourceQuota/stark/intruder", "stark/resourcequota-intruder.yaml",
			"apiVersion: v1\nkind: ResourceQuota\nmetadata:\n  name: intruder\n  namespace: stark\n  annotations:\n    tenantry.dev/stage: foundation\nspec:\n  hard:\n    pods: \"1000\"\n",
		},
	} {
		t.Run(row.what, func(t *testing.T) {
			w.publish(t, dir, nil, row.name, row.text)
			w.eventually(t, "it is refused", func(ctx context.Context) (string, error) {
				status, message, _, err := w.condition(ctx, "stark.foundation")
				if err == nil && (status != "False" || !strings.Contains(message, row.object+" dry-run failed (Forbidden)") || !strings.Contains(message, "system:serviceaccount:platform:stark.deployer")) {
					return status + ": " + message, nil
				}
				return "", err
			})
			var o unstructured.Unstructured
			if err := yaml.Unmarshal([]byte(row.text), &o.Object); err != nil {
				t.Fatal(err)
			}
			if w.get(t, o.GroupVersionKind(), o.GetNamespace(), o.GetName()) != nil {
				t.Error("it was applied")
			}
		})
	}
	t.Run("deleting what delivers a tenant deletes nothing of it", func(t *testing.T) {
		kustomizations := w.dynamic.Resource(schema.GroupVersionResource{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations"}).Namespace(render.PlatformUnit)
		for _, name := range []string{"platform", "stark", "stark.foundation", "stark.bounds"} { // the platform would make the others again
			if err := kustomizations.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			w.eventually(t, name+" goes", func(ctx context.Context) (string, error) {
				if _, err := kustomizations.Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
					return "it is there", err
				}
				return "", nil
			})
		}
		for _, kind := range []string{"Deployment/api", "StatefulSet/cache"} {
			kind, name, _ := strings.Cut(kind, "/")
			if o := w.get(t, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind}, "stark", name); o == nil || o.GetDeletionTimestamp() != nil {
				t.Errorf("%s %s is gone", kind, name)
			}
		}
	})
}

func complete(j batchv1.Job) bool { return j.Status.CompletionTime != nil }

// eventually asks until what is wrong is "", and fails with it after five minutes.
func (w *world) eventually(t *testing.T, what string, wrong func(context.Context) (string, error)) {
	t.Helper()
	last := ""
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, 5*time.Minute, true, func(ctx context.Context) (bool, error) {
		var err error
		last, err = wrong(ctx)
		return err == nil && last == "", err
	})
	if err != nil {
		t.Fatalf("%s: %v: %s", what, err, last)
	}
}

// resource is where objects of a kind are served.
func (w *world) resource(t *testing.T, kind schema.GroupVersionKind, namespace string) dynamic.ResourceInterface {
	t.Helper()
	mapping, err := w.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		t.Fatal(err)
	}
	if namespace == "" {
		return w.dynamic.Resource(mapping.Resource)
	}
	return w.dynamic.Resource(mapping.Resource).Namespace(namespace)
}

// get is an object; nil where there is none.
func (w *world) get(t *testing.T, kind schema.GroupVersionKind, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := w.resource(t, kind, namespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (w *world) apply(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var o unstructured.Unstructured
	if err := yaml.Unmarshal(text, &o.Object); err != nil {
		t.Fatal(err)
	}
	_, err = w.resource(t, o.GroupVersionKind(), o.GetNamespace()).Patch(t.Context(), o.GetName(), types.ApplyYAMLPatchType, text, metav1.PatchOptions{FieldManager: "kubectl"})
	if err != nil {
		t.Fatal(err)
	}
}

// publish makes an artifact of a directory, says so in the source's status, and returns the revision. change may change
// a file, or leave it out; extra are names and texts of more.
func (w *world) publish(t *testing.T, dir string, change func(name string, data []byte) []byte, extra ...string) string {
	t.Helper()
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zip)
	add := func(name string, data []byte) {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("%v: %v", paths, err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, dir+string(filepath.Separator)))
		if change != nil {
			data = change(name, data)
		}
		if data != nil {
			add(name, data)
		}
	}
	for i := 0; i < len(extra); i += 2 {
		add(extra[i], []byte(extra[i+1]))
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(packed.Bytes())
	digest := "sha256:" + hex.EncodeToString(sum[:])
	w.artifacts.Store("/"+digest, packed.Bytes())
	revision := "stable@" + digest
	status, err := json.Marshal(map[string]any{"status": map[string]any{
		"observedGeneration": 1,
		"artifact": map[string]any{
			"path": digest, "url": w.server.URL + "/" + digest, "revision": revision, "digest": digest, "size": packed.Len(),
			"lastUpdateTime": time.Now().UTC().Format(time.RFC3339),
		},
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "Succeeded", "message": "served by a test", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
		}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	sources := w.dynamic.Resource(schema.GroupVersionResource{Group: "source.toolkit.fluxcd.io", Version: "v1", Resource: "ocirepositories"}).Namespace(render.PlatformUnit)
	if _, err := sources.Patch(t.Context(), "golden", types.MergePatchType, status, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	return revision
}

// condition is what a Kustomization says of itself, and the revision that it has applied last.
func (w *world) condition(ctx context.Context, name string) (status, message, revision string, err error) {
	k, err := w.dynamic.Resource(schema.GroupVersionResource{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Resource: "kustomizations"}).
		Namespace(render.PlatformUnit).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return "", "is not there", "", nil
	}
	if err != nil {
		return "", "", "", err
	}
	revision, _, _ = unstructured.NestedString(k.Object, "status", "lastAppliedRevision")
	conditions, _, _ := unstructured.NestedSlice(k.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			status, _ = c["status"].(string)
			message, _ = c["message"].(string)
		}
	}
	return status, message, revision, nil
}

// ready waits until a Kustomization is ready at a revision.
func (w *world) ready(t *testing.T, name, revision string) {
	t.Helper()
	w.eventually(t, name+" becomes ready", func(ctx context.Context) (string, error) {
		var all []string
		for _, each := range []string{"platform", "stark.bounds", "stark.foundation", "stark"} {
			status, message, applied, err := w.condition(ctx, each)
			if err != nil {
				return "", err
			}
			if each == name && status == "True" && applied == revision {
				return "", nil
			}
			all = append(all, each+": "+status+": "+message)
		}
		return strings.Join(all, "\n"), nil
	})
}
