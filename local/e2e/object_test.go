package e2e_test

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/local/placeholder"
)

// manager is the owner of the fields that are applied.
const manager = "tenantry"

// An object is one golden file.
type object struct {
	file string // below golden/
	*unstructured.Unstructured
	body []byte // what is sent: the file's bytes, but for a Secret
}

func newObject(t *testing.T, file string, data []byte, pair map[string][]byte) object {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.UnmarshalStrict(data, &u.Object); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if u.GetKind() != "Secret" {
		return object{file, u, data}
	}
	// A file says where each value comes from. Here all are placeholders, but a certificate is a certificate.
	values := map[string]any{}
	for key := range u.GetAnnotations() {
		if name, ok := strings.CutPrefix(key, "secret.tenantry.dev/"); ok {
			values[name] = base64.StdEncoding.EncodeToString([]byte(placeholder.Value))
		}
	}
	if u.Object["type"] == string(corev1.SecretTypeTLS) {
		for name, value := range pair {
			values[name] = base64.StdEncoding.EncodeToString(value)
		}
	}
	if len(values) == 0 {
		t.Errorf("%s: a Secret that names no value", file)
	}
	u.Object["data"] = values
	body, err := u.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return object{file, u, body}
}

func newMapper(d discovery.DiscoveryInterface) *restmapper.DeferredDiscoveryRESTMapper {
	return restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(d))
}

// resource is where an object of this kind and namespace is served.
func (w *world) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := o.GroupVersionKind()
	mapping, err := w.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return w.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
	}
	return w.dynamic.Resource(mapping.Resource), nil
}

// apply sends the object as deploying does, and returns what the server made of it and the warnings that it
// gave. It does not take fields from other managers.
func (w *world) apply(ctx context.Context, o object, dryRun ...string) (*unstructured.Unstructured, []string, error) {
	r, err := w.resource(o.Unstructured)
	if err != nil {
		return nil, nil, err
	}
	var warnings []string
	ctx = context.WithValue(ctx, recorder{}, &warnings)
	got, err := r.Patch(ctx, o.GetName(), types.ApplyYAMLPatchType, o.body, metav1.PatchOptions{
		FieldManager: manager, FieldValidation: metav1.FieldValidationStrict, DryRun: dryRun,
	})
	return got, warnings, err
}

// A recorder appends the warnings of a request to the list that its context carries.
type recorder struct{}

func (recorder) HandleWarningHeaderWithContext(ctx context.Context, _ int, _, text string) {
	if list, ok := ctx.Value(recorder{}).(*[]string); ok {
		*list = append(*list, text)
	}
}
