// Package operators says of custom resources what their operators would say, in a control plane that has none.
package operators

import (
	"context"
	"fmt"
	"io"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
)

// simulated are the resources that get the condition Ready: databases of CloudNativePG and certificates of
// cert-manager.
var simulated = []schema.GroupVersionResource{
	{Group: "postgresql.cnpg.io", Version: "v1", Resource: "clusters"},
	{Group: "cert-manager.io", Version: "v1", Resource: "certificates"},
}

// Run gives every resource the condition Ready soon after it was created or changed, and does nothing else that
// an operator does. It returns when ctx ends. An API server that does not answer is asked again; progress is told.
func Run(ctx context.Context, client dynamic.Interface, progress io.Writer) {
	said := ""
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		for _, resource := range simulated {
			if err := ready(ctx, client.Resource(resource)); err != nil && ctx.Err() == nil && err.Error() != said {
				said = err.Error()
				fmt.Fprintf(progress, "simulating the operator of %s: %s\n", resource.Resource, said)
			}
		}
	}, 200*time.Millisecond)
}

func ready(ctx context.Context, client dynamic.NamespaceableResourceInterface) error {
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, o := range list.Items {
		if isReady(o) {
			continue
		}
		status := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": o.GetAPIVersion(),
			"kind":       o.GetKind(),
			"metadata":   map[string]any{"name": o.GetName(), "namespace": o.GetNamespace()},
			"status": map[string]any{"conditions": []any{map[string]any{
				"type":               "Ready",
				"status":             "True",
				"reason":             "Simulated",
				"message":            "no operator runs here",
				"observedGeneration": o.GetGeneration(),
				"lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
			}}},
		}}
		if _, err := client.Namespace(o.GetNamespace()).ApplyStatus(ctx, o.GetName(), status, metav1.ApplyOptions{FieldManager: "tenantry-local", Force: true}); err != nil {
			return err
		}
	}
	return nil
}

// isReady tells whether the condition is about the resource as it is now.
func isReady(o unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Ready" {
			return c["status"] == "True" && c["observedGeneration"] == o.GetGeneration()
		}
	}
	return false
}
