package main

import (
	"context"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tenantry/tenantry/local/crds"
)

// customs returns the schemas of all versions of the operators' custom resources that are served.
func customs(ctx context.Context) ([]definition, error) {
	resources, err := crds.Load(ctx)
	if err != nil {
		return nil, err
	}
	var definitions []definition
	for _, r := range resources {
		found, err := resource(r)
		if err != nil {
			return nil, fmt.Errorf("reading the definition %s: %w", r.GetName(), err)
		}
		definitions = append(definitions, found...)
	}
	return definitions, nil
}

func resource(u *unstructured.Unstructured) ([]definition, error) {
	text, err := json.Marshal(u.Object["spec"])
	if err != nil {
		return nil, err
	}
	var spec struct {
		Group string
		Names struct{ Kind string }
		// Of the former, deprecated API of definitions, which no source uses.
		PreserveUnknownFields bool
		Versions              []struct {
			Name       string
			Served     bool
			Deprecated bool
			Schema     struct{ OpenAPIV3Schema node }
		}
	}
	if err := json.Unmarshal(text, &spec); err != nil {
		return nil, err
	}
	if spec.PreserveUnknownFields {
		return nil, fmt.Errorf("it preserves unknown fields")
	}
	var definitions []definition
	for _, v := range spec.Versions {
		if !v.Served {
			continue
		}
		if v.Deprecated {
			return nil, fmt.Errorf("version %s is deprecated, which package verify/schema does not know to tell", v.Name)
		}
		rules := 0
		schema, err := convert(v.Schema.OpenAPIV3Schema, &rules)
		if err != nil {
			return nil, fmt.Errorf("version %s: %w", v.Name, err)
		}
		// The server checks these three itself.
		properties := schema["properties"].(node)
		if metadata, ok := properties["metadata"].(node); ok && len(metadata) > 1 {
			return nil, fmt.Errorf("version %s restricts the metadata", v.Name)
		}
		properties["apiVersion"], properties["kind"] = node{"type": "string"}, node{"type": "string"}
		properties["metadata"] = node{"$ref": "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
		kind := gvk{spec.Group, v.Name, spec.Names.Kind}
		definitions = append(definitions, definition{Name: kind.Group + "." + kind.Version + "." + kind.Kind, Kind: &kind, Rules: rules, Schema: schema})
	}
	return definitions, nil
}

// convert adds to rules how many rules in CEL the schema has.
func convert(in node, rules *int) (node, error) {
	part := func(in node) (node, error) { return convert(in, rules) }
	return rewrite(in, part, func(out node, key string, value any) error {
		switch key {
		case "description", "title", "example", "externalDocs", "x-kubernetes-map-type":
			// For people, and for who merges changes.
		case "x-kubernetes-validations":
			*rules += len(value.([]any))
		case "type", "required", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems",
			"minProperties", "maxProperties", "nullable", "default", "x-kubernetes-int-or-string",
			"x-kubernetes-preserve-unknown-fields", "x-kubernetes-list-map-keys":
			out[key] = value
		case "x-kubernetes-list-type":
			if value != "atomic" {
				out[key] = value
			}
		case "format":
			switch value {
			case "int32", "int64", "double", "date-time", "byte", "ipv4", "ipv6":
				out[key] = value
			default:
				return fmt.Errorf("package verify/schema does not know the format %v", value)
			}
		default:
			return fmt.Errorf("package verify/schema does not know this keyword")
		}
		return nil
	})
}
