package verify

import (
	"cmp"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/tenantry/tenantry/verify/schema"
)

// validityRules ask what an API server would make of each object, as far as schemas can say it.
var validityRules = []Rule{
	{
		ID:       "validity/schema",
		Protects: "The API server takes every object as it is: nothing is refused half-way through a deploy, and no field is dropped.",
		check: func(s *subject) []Finding {
			return s.validity(func(set *schema.Set, unit string, o Object) []Finding {
				tree, err := treeOf(o)
				if err != nil {
					return []Finding{s.finding("validity/schema", unit, o, "", fmt.Sprintf("cannot be read as a tree: %v", err), "look at the object's type")}
				}
				var findings []Finding
				for _, p := range set.Validate(tree) {
					findings = append(findings, s.finding("validity/schema", unit, o, p.Path, p.Message, cmp.Or(p.Remedy, "see kubectl explain for what the field takes")))
				}
				return findings
			})
		},
	},
	{
		ID:       "validity/deprecated",
		Protects: "The cluster can be upgraded: no object is of an API that one of the next two minor versions no longer has.",
		check: func(s *subject) []Finding {
			if _, err := s.schemas(); err != nil {
				return nil // which the rule above tells
			}
			return s.validity(func(set *schema.Set, unit string, o Object) []Finding {
				d, found := set.Deprecation(o.GetObjectKind().GroupVersionKind())
				if !found {
					return nil
				}
				message, remedy := deprecation(d)
				return []Finding{s.finding("validity/deprecated", unit, o, "apiVersion", message, remedy)}
			})
		},
	},
}

// deprecation says when an API goes and what to use instead.
func deprecation(d schema.Deprecation) (message, remedy string) {
	message, remedy = "is deprecated since Kubernetes "+d.Deprecated, "there is no replacement: find out what its authors recommend"
	if d.Removed != "" {
		message += " and gone in " + d.Removed
	}
	if !d.Replacement.Empty() {
		remedy = fmt.Sprintf("use %s of %s", d.Replacement.Kind, d.Replacement.GroupVersion())
	}
	return message, remedy
}

// schemas are those of the fleet's own minor version, or of the newest there is where the fleet declares none.
func (s *subject) schemas() (*schema.Set, error) {
	return schema.For(cmp.Or(s.Facts.Kubernetes, schema.Newest()))
}

// rulesInCEL counts the rules in CEL of the definitions of all kinds that there are.
func rulesInCEL(fleets []Fleet) int {
	seen, sum := map[apischema.GroupVersionKind]bool{}, 0
	for i := range fleets {
		s := &subject{Fleet: &fleets[i]}
		set, err := s.schemas()
		if err != nil {
			continue // which a rule tells
		}
		for _, u := range s.Units {
			for _, o := range u.Objects {
				if kind := o.GetObjectKind().GroupVersionKind(); !seen[kind] {
					seen[kind] = true
					rules, _ := set.Rules(kind)
					sum += rules
				}
			}
		}
	}
	return sum
}

// validity asks about every object.
func (s *subject) validity(ask func(*schema.Set, string, Object) []Finding) []Finding {
	set, err := s.schemas()
	if err != nil {
		return []Finding{{
			Rule: "validity/schema", Fleet: s.Name, Unit: s.Units[0].Name, Object: "Fleet/" + s.Name, Message: err.Error(),
			Remedy: "declare a minor version that this version of Tenantry knows, or take a newer Tenantry",
		}}
	}
	var findings []Finding
	for _, u := range s.Units {
		found := make([][]Finding, len(u.Objects))
		each(len(u.Objects), func(i int) { found[i] = ask(set, u.Name, u.Objects[i]) })
		for _, f := range found {
			findings = append(findings, f...)
		}
	}
	return findings
}

// treeOf is the object as its file has it: without a status, and without the nulls that Go types make of lists
// that are not there.
func treeOf(o Object) (map[string]any, error) {
	if u, ok := o.Object.(*unstructured.Unstructured); ok {
		return u.Object, nil
	}
	tree, err := kruntime.DefaultUnstructuredConverter.ToUnstructured(o.Object)
	if err != nil {
		return nil, err
	}
	delete(tree, "status")
	withoutNulls(tree)
	return tree, nil
}

func withoutNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if value == nil {
				delete(v, key)
			}
			withoutNulls(value)
		}
	case []any:
		for _, item := range v {
			withoutNulls(item)
		}
	}
}
