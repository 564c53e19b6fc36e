package operators

import (
	"context"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"

	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/crds"
)

func TestRun(t *testing.T) {
	c, err := cluster.Start(t.Context(), cluster.Options{Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := crds.Install(t.Context(), c.Config()); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	specs := []map[string]any{
		{"instances": int64(1), "storage": map[string]any{"size": "1Gi"}},
		{"secretName": "edge-tls", "dnsNames": []any{"example.com"}, "issuerRef": map[string]any{"name": "issuer"}},
	}
	kinds := []string{"Cluster", "Certificate"}
	objects := make([]*unstructured.Unstructured, len(simulated))
	for i, resource := range simulated {
		o := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": "one"}, "spec": specs[i]}}
		o.SetGroupVersionKind(resource.GroupVersion().WithKind(kinds[i]))
		if objects[i], err = client.Resource(resource).Namespace("default").Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if readiness(objects[i]) != 0 {
			t.Errorf("%s is ready before anybody says so", kinds[i])
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	group.Go(func() { Run(ctx, client, t.Output()) })
	readyAt := func(generation int64) {
		t.Helper()
		for i, resource := range simulated {
			err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
				var err error
				objects[i], err = client.Resource(resource).Namespace("default").Get(ctx, "one", metav1.GetOptions{})
				return err == nil && readiness(objects[i]) == generation, err
			})
			if err != nil {
				t.Errorf("%s of generation %d is not ready: %v: %v", kinds[i], generation, err, objects[i].Object)
			}
		}
	}
	readyAt(1)
	for i, change := range []string{`{"spec":{"instances":2}}`, `{"spec":{"secretName":"another"}}`} {
		one := client.Resource(simulated[i]).Namespace("default")
		if _, err := one.Patch(t.Context(), "one", types.MergePatchType, []byte(change), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	readyAt(2)
}

// readiness is the generation of which the only condition says that it is ready, or 0.
func readiness(o *unstructured.Unstructured) int64 {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	if len(conditions) != 1 {
		return 0
	}
	c, _ := conditions[0].(map[string]any)
	generation, _ := c["observedGeneration"].(int64)
	if c["type"] != "Ready" || c["status"] != "True" {
		return 0
	}
	return generation
}
