package review_test

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/local/placeholder"
	"github.com/tenantry/tenantry/render"
)

const (
	golden    = "../../golden"
	manager   = "tenantry"
	namespace = "review"
)

// A subject is an object that is mutated.
type subject struct {
	tree tree // as its golden file has it, under a name of its own
	text []byte
	live tree // as an API server has it
	all  bool // every field that the schema knows, besides those that the object has
}

func (s *subject) gvk() schema.GroupVersionKind { return gvkOf(s.tree) }

// rename gives a subject a name that no other has, in the one namespace.
func (s *subject) rename(i int) {
	metadata := s.tree["metadata"].(tree)
	metadata["name"] = fmt.Sprintf("%s-%d", strings.ToLower(s.gvk().Kind), i)
	if _, ok := metadata["namespace"]; ok {
		metadata["namespace"] = namespace
	}
	var err error
	if s.text, err = render.Encode(&unstructured.Unstructured{Object: s.tree}); err != nil {
		panic(err)
	}
	s.live = clone(s.tree).(tree)
	if values, ok := s.tree["stringData"].(tree); ok {
		data := tree{}
		for key, value := range values {
			data[key] = base64.StdEncoding.EncodeToString([]byte(value.(string)))
		}
		s.live["data"] = data
	}
}

// readGolden reads of each kind one object with most of its fields, and others that have a field more.
func readGolden(t *testing.T) []*subject {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(golden, "*", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("there are no golden files")
	}
	pair, err := placeholder.KeyPair()
	if err != nil {
		t.Fatal(err)
	}
	byKind := map[schema.GroupVersionKind][]tree{}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var o unstructured.Unstructured
		if data, err = yaml.YAMLToJSON(data); err != nil {
			t.Fatal(err)
		}
		if err := o.UnmarshalJSON(data); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if o.GetKind() == "Secret" && o.Object["type"] == "kubernetes.io/tls" {
			values := tree{}
			for key, value := range pair {
				values[key] = string(value)
			}
			o.Object["stringData"] = values
		}
		byKind[o.GroupVersionKind()] = append(byKind[o.GroupVersionKind()], o.Object)
	}
	var subjects []*subject
	for _, kind := range slices.SortedFunc(maps.Keys(byKind), func(a, b schema.GroupVersionKind) int { return cmp.Compare(a.String(), b.String()) }) {
		objects := byKind[kind]
		slices.SortStableFunc(objects, func(a, b tree) int { return len(rendered(b)) - len(rendered(a)) })
		seen := map[string]bool{}
		for i, o := range objects {
			news := false
			for field := range rendered(o) {
				news = news || !seen[field]
				seen[field] = true
			}
			if news {
				subjects = append(subjects, &subject{tree: o, all: i == 0})
			}
		}
	}
	return subjects
}

// rendered are the fields that an object has.
func rendered(o tree) map[string]bool {
	fields := map[string]bool{}
	var walk func(any, []any)
	walk = func(value any, path []any) {
		switch v := value.(type) {
		case tree:
			for key, item := range v {
				walk(item, append(slices.Clone(path), key))
			}
		case []any:
			for i, item := range v {
				walk(item, append(slices.Clone(path), i))
			}
		default:
			fields[fieldOf(path)] = true
		}
	}
	for key, value := range o {
		if key != "metadata" {
			walk(value, []any{key})
		}
	}
	return fields
}

// others are objects of kinds that review knows and no fleet renders so far, or in a state that none is in.
func others() []*subject {
	var out []*subject
	for _, text := range []string{
		`{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"x","namespace":"x"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"x","volumeMode":"Filesystem","resources":{"requests":{"storage":"5Gi"}}}}`,
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x","namespace":"x"},"immutable":true,"data":{"a":"b"}}`,
		`{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"x"},"provisioner":"example.com/x","parameters":{"a":"b"},"reclaimPolicy":"Retain","volumeBindingMode":"WaitForFirstConsumer"}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"x"},"rules":[{"apiGroups":[""],"resources":["pods"],"verbs":["get"]}]}`,
		`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":"x"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"x"},"subjects":[{"kind":"ServiceAccount","name":"x","namespace":"x"}]}`,
		`{"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"x","namespace":"x"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"x","image":"example.com/x"}]}}}}`,
		`{"apiVersion":"monitoring.coreos.com/v1","kind":"ServiceMonitor","metadata":{"name":"x","namespace":"x"},"spec":{"selector":{"matchLabels":{"a":"b"}},"endpoints":[{"port":"http"}]}}`,
		`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicy","metadata":{"name":"x"},"spec":{"failurePolicy":"Fail","matchConstraints":{"resourceRules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["CREATE"],"resources":["pods"]}]},"validations":[{"expression":"true","message":"x"}]}}`,
		`{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicyBinding","metadata":{"name":"x"},"spec":{"policyName":"x","validationActions":["Audit"]}}`,
	} {
		var u unstructured.Unstructured
		if err := u.UnmarshalJSON([]byte(text)); err != nil {
			panic(err)
		}
		out = append(out, &subject{tree: u.Object, all: true})
	}
	return out
}
