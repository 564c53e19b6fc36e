// Package review_test holds what package review foresees of a change against what really happens.
package review_test

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/local/crds"
	"github.com/tenantry/tenantry/review"
)

// TestTransitionRules holds what package review foresees against every rule of the operators' definitions that compares
// a field with what it was, whether an object of the fleets has the field or not.
func TestTransitionRules(t *testing.T) {
	definitions, err := crds.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	for _, d := range definitions {
		group, _, _ := unstructured.NestedString(d.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(d.Object, "spec", "names", "kind")
		versions, _, _ := unstructured.NestedSlice(d.Object, "spec", "versions")
		for _, v := range versions {
			version := v.(tree)
			schema, _, _ := unstructured.NestedMap(version, "schema", "openAPIV3Schema")
			for _, path := range comparing(schema, nil) {
				rules++
				of := func(value string) []byte {
					var at any = value
					if property(schema, path)["type"] == "object" {
						at = tree{"name": value}
					}
					for _, key := range slices.Backward(path) {
						at = tree{key: at}
					}
					o := at.(tree)
					o["apiVersion"], o["kind"], o["metadata"] = group+"/"+version["name"].(string), kind, tree{"name": "x"}
					text, err := yaml.Marshal(o)
					if err != nil {
						t.Fatal(err)
					}
					return text
				}
				got, err := review.Foresee(of("a"), of("b"))
				if err != nil {
					t.Fatal(err)
				}
				if got < review.Replaces {
					t.Errorf("%s of %s/%s: a rule compares it with what it was, and it is foreseen %s", strings.Join(path, "."), group, kind, got)
				}
			}
		}
	}
	if rules < 20 {
		t.Errorf("only %d rules were found", rules)
	}
	t.Logf("%d rules", rules)
}

// comparing are the paths of the fields below which a rule compares with what was.
func comparing(schema tree, path []string) [][]string {
	var found [][]string
	rules, _ := schema["x-kubernetes-validations"].([]any)
	for _, r := range rules {
		text, _ := r.(tree)["rule"].(string)
		if !strings.Contains(text, "oldSelf") {
			continue
		}
		at := append([]string{}, path...)
		if _, field, named := strings.Cut(text, "oldSelf."); named { // of one field of what has the rule
			at = append(at, strings.Fields(field)[0])
		}
		found = append(found, at)
	}
	properties, _ := schema["properties"].(tree)
	for name, p := range properties {
		found = append(found, comparing(p.(tree), append(append([]string{}, path...), name))...)
	}
	return found
}

// property is the schema of a field.
func property(schema tree, path []string) tree {
	for _, name := range path {
		properties, _ := schema["properties"].(tree)
		schema, _ = properties[name].(tree)
	}
	return schema
}
