package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tenantry/tenantry/local/crds"
)

// writeStrict writes the schemas of one minor version, such as "1.36", and of the custom resources for programs that
// read JSON Schema: dir/<group>-<version>-<kind>.json in lower case, where the core group is called v1. It takes them
// straight from the modules and makes no use of what package verify/schema is given. A field that no schema has is
// refused.
func writeStrict(ctx context.Context, dir, minor string) error {
	i := slices.IndexFunc(releases, func(r release) bool { return fmt.Sprintf("1.%d", r.minor) == minor })
	if i < 0 {
		return fmt.Errorf("no release of Kubernetes %s is pinned", minor)
	}
	source, err := download(ctx, "k8s.io/kubernetes", releases[i].version, releases[i].sum)
	if err != nil {
		return err
	}
	c := converter{schemas: map[string]node{}}
	kinds, err := c.readDocuments(filepath.Join(source, "api/openapi-spec/v3"))
	if err != nil {
		return err
	}
	definitions, roots := node{}, map[gvk]any{}
	for name, schema := range c.schemas {
		if definitions[name], err = strict(schema); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		list, _ := schema["x-kubernetes-group-version-kind"].([]any)
		for _, one := range list {
			k := one.(node)
			if kind := (gvk{k["group"].(string), k["version"].(string), k["kind"].(string)}); kinds[kind] {
				roots[kind] = node{"$ref": "definitions.json#/definitions/" + name}
			}
		}
	}
	resources, err := crds.Load(ctx)
	if err != nil {
		return err
	}
	for _, r := range resources {
		text, err := json.Marshal(r.Object["spec"])
		if err != nil {
			return err
		}
		var spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Served bool
				Schema struct{ OpenAPIV3Schema node }
			}
		}
		if err := json.Unmarshal(text, &spec); err != nil {
			return err
		}
		for _, v := range spec.Versions {
			if v.Served {
				schema, err := strict(v.Schema.OpenAPIV3Schema)
				if err != nil {
					return fmt.Errorf("%s of %s: %w", spec.Names.Kind, spec.Group, err)
				}
				schema["properties"].(node)["metadata"] = node{"$ref": "definitions.json#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
				roots[gvk{spec.Group, v.Name, spec.Names.Kind}] = schema
			}
		}
	}
	files := map[string]any{"definitions.json": node{"definitions": definitions}}
	for kind, schema := range roots {
		files[strings.ToLower(cmp.Or(kind.Group, kind.Version)+"-"+kind.Version+"-"+kind.Kind)+".json"] = schema
	}
	for name, value := range files {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// strict is a schema of OpenAPI 3.0 as one of JSON Schema, draft 4, that knows all its fields. Keywords of Kubernetes'
// own are left out: JSON Schema lets them pass.
func strict(in node) (node, error) {
	out, err := rewrite(in, strict, func(out node, key string, value any) error {
		switch key {
		case "$ref":
			out[key] = "definitions.json#/definitions/" + strings.TrimPrefix(value.(string), "#/components/schemas/")
		case "description", "default", "example", "externalDocs", "nullable", "title":
		default:
			if !strings.HasPrefix(key, "x-") {
				out[key] = value
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if in["nullable"] == true && out["type"] != nil {
		out["type"] = []any{out["type"], "null"}
	}
	if in["properties"] != nil && in["type"] == "object" && in["additionalProperties"] == nil && in["x-kubernetes-preserve-unknown-fields"] != true {
		out["additionalProperties"] = false
	}
	return out, nil
}
