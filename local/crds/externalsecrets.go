package crds

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// externalSecrets is NOT the operator's definition. It has the fields that package render sets, with the types
// and the enumerations that the operator documents, and refuses all others: it proves that what is rendered
// keeps to that list, not that the operator would take it.
func externalSecrets() *unstructured.Unstructured {
	text := map[string]any{"type": "string"}
	object := func(properties map[string]any, required ...any) map[string]any {
		o := map[string]any{"type": "object", "properties": properties}
		if len(required) > 0 {
			o["required"] = required
		}
		return o
	}
	oneOf := func(values ...any) map[string]any { return map[string]any{"type": "string", "enum": values} }
	texts := map[string]any{"type": "object", "additionalProperties": text}
	spec := object(map[string]any{
		"refreshInterval": text,
		"secretStoreRef":  object(map[string]any{"kind": oneOf("SecretStore", "ClusterSecretStore"), "name": text}),
		"target": object(map[string]any{
			"name":           text,
			"creationPolicy": oneOf("Owner", "Orphan", "Merge", "None"),
			"deletionPolicy": oneOf("Delete", "Merge", "Retain"),
			"template":       object(map[string]any{"engineVersion": oneOf("v2"), "type": text, "data": texts}),
		}),
		"data": map[string]any{"type": "array", "items": object(map[string]any{
			"secretKey": text,
			"remoteRef": object(map[string]any{"key": text, "property": text}, "key"),
		}, "secretKey", "remoteRef")},
	})
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1",
		"kind":       "CustomResourceDefinition",
		"metadata":   map[string]any{"name": "externalsecrets.external-secrets.io"},
		"spec": map[string]any{
			"group": "external-secrets.io",
			"scope": "Namespaced",
			"names": map[string]any{"kind": "ExternalSecret", "listKind": "ExternalSecretList", "plural": "externalsecrets", "singular": "externalsecret"},
			"versions": []any{map[string]any{
				"name": "v1", "served": true, "storage": true,
				"schema": map[string]any{"openAPIV3Schema": object(map[string]any{"apiVersion": text, "kind": text, "metadata": map[string]any{"type": "object"}, "spec": spec}, "spec")},
			}},
		},
	}}
}
