package main

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// A release is what a minor version of Kubernetes is read from.
type release struct {
	minor   int // of Kubernetes 1
	version string
	sum     string // of k8s.io/kubernetes, as in go.sum
}

// Patch releases do not change schemas. What is read from the newest is what controlplane runs.
var releases = []release{
	{35, "v1.35.4", "h1:o/8dBC/pHVpYoGV4OAIytAlNPZbdYVTXJHoYvXC4qzM="},
	{36, "v1.36.3", "h1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o="},
	{37, "v1.37.2", "h1:A2VDEiObzkYqFTKhSsn0ZEb0RlLEXpHWj93gi2HqEwE="},
}

// served are the versions that an API server serves unless it is told otherwise: alpha and beta are off, see
// DefaultAPIResourceConfigSource in k8s.io/kubernetes/pkg/controlplane.
var served = regexp.MustCompile(`^v[0-9]+$`)

// special are types that encode themselves, of which the OpenAPI document says less than their decoder does.
var special = map[string]node{
	"io.k8s.apimachinery.pkg.api.resource.Quantity":   {"format": "quantity"},
	"io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"x-kubernetes-int-or-string": true, "format": "int32"},
	"io.k8s.apimachinery.pkg.apis.meta.v1.Time":       {"type": "string", "format": "date-time"},
	"io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime":  {"type": "string", "format": "micro-time"},
	"io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1":   {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
	"io.k8s.apimachinery.pkg.runtime.RawExtension":    {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
	apiextensions + "JSON":                            {"x-kubernetes-preserve-unknown-fields": true},
	apiextensions + "JSONSchemaPropsOrArray":          {"$ref": apiextensions + "JSONSchemaProps"}, // an array is refused
	apiextensions + "JSONSchemaPropsOrBool":           {"x-kubernetes-preserve-unknown-fields": true, "anyOf": []any{node{"type": "boolean"}, node{"type": "object"}}},
	apiextensions + "JSONSchemaPropsOrStringArray":    {"x-kubernetes-preserve-unknown-fields": true},
}

const apiextensions = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."

// builtins returns the schemas of all kinds of objects that a release serves by default, and those that they refer
// to. They are for no minor yet.
func builtins(ctx context.Context, r release) ([]definition, error) {
	dir, err := download(ctx, "k8s.io/kubernetes", r.version, r.sum)
	if err != nil {
		return nil, err
	}
	c := converter{schemas: map[string]node{}}
	kinds, err := c.readDocuments(filepath.Join(dir, "api/openapi-spec/v3"))
	if err != nil {
		return nil, err
	}
	// The documents leave out the enumerations that a server publishes.
	enums, err := enumerations(filepath.Join(dir, "pkg/generated/openapi/zz_generated.openapi.go"))
	if err != nil {
		return nil, err
	}
	if err := c.addEnumerations(enums); err != nil {
		return nil, err
	}
	return c.definitions(kinds)
}

// A converter rewrites the schemas of one release.
type converter struct {
	schemas map[string]node
	needed  []string // names of schemas that were referred to
}

// readDocuments reads the OpenAPI documents of a directory and returns the kinds that can be applied.
func (c *converter) readDocuments(dir string) (map[gvk]bool, error) {
	kinds := map[gvk]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "*_openapi.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var doc struct {
			Paths map[string]struct {
				Patch *struct {
					Kind gvk `json:"x-kubernetes-group-version-kind"`
				} `json:"patch"`
			} `json:"paths"`
			Components struct {
				Schemas map[string]node `json:"schemas"`
			} `json:"components"`
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			return nil, fmt.Errorf("reading %s: %w", filepath.Base(file), err)
		}
		for path, item := range doc.Paths {
			if item.Patch != nil && strings.HasSuffix(path, "/{name}") && served.MatchString(item.Patch.Kind.Version) {
				kinds[item.Patch.Kind] = true
			}
		}
		for name, schema := range doc.Components.Schemas {
			if other, twice := c.schemas[name]; twice && !reflect.DeepEqual(other, schema) {
				schema = node{"differs": "between documents"} // an unknown keyword, if anybody needs it
			}
			c.schemas[name] = schema
		}
	}
	if len(kinds) == 0 {
		return nil, fmt.Errorf("no kinds in %s", dir)
	}
	return kinds, nil
}

// definitions converts the schemas of kinds and all that they refer to.
func (c *converter) definitions(kinds map[gvk]bool) ([]definition, error) {
	roots := map[string]*gvk{}
	for name, schema := range c.schemas {
		list, _ := schema["x-kubernetes-group-version-kind"].([]any)
		for _, one := range list {
			k := one.(node)
			kind := gvk{k["group"].(string), k["version"].(string), k["kind"].(string)}
			if kinds[kind] {
				delete(kinds, kind)
				roots[name] = &kind
				c.needed = append(c.needed, name)
			}
		}
	}
	if len(kinds) > 0 {
		return nil, fmt.Errorf("no schemas of %v", slices.Collect(maps.Keys(kinds)))
	}
	var definitions []definition
	done := map[string]bool{}
	for len(c.needed) > 0 {
		name := c.needed[0]
		c.needed = c.needed[1:]
		if done[name] {
			continue
		}
		done[name] = true
		in, found := c.schemas[name]
		if s, ok := special[name]; ok {
			in = s
		} else if !found {
			return nil, fmt.Errorf("no schema %s", name)
		}
		schema, err := c.convert(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		definitions = append(definitions, definition{Name: name, Kind: roots[name], Schema: schema})
	}
	return definitions, nil
}

func (c *converter) convert(in node) (node, error) {
	if name := reference(in); name != "" {
		c.needed = append(c.needed, name)
		return node{"$ref": name}, nil
	}
	return rewrite(in, c.convert, func(out node, key string, value any) error {
		switch key {
		case "description", "default", "x-kubernetes-group-version-kind", "x-kubernetes-map-type", "x-kubernetes-patch-merge-key",
			"x-kubernetes-patch-strategy", "x-kubernetes-unions":
			// For people and clients, or what the server's code does.
		case "type", "required", "enum", "x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields":
			out[key] = value
		case "format":
			if value == "byte" {
				value = "base64" // Go's decoder, which takes more than the format of custom resources does
			}
			out[key] = value
		case "x-kubernetes-list-type":
			if value != "atomic" {
				out[key] = value
			}
		case "x-kubernetes-list-map-keys":
			out[key] = value
			defaults, err := c.keyDefaults(in["items"].(node), value.([]any))
			if err != nil {
				return err
			}
			if len(defaults) > 0 {
				out["keyDefaults"] = defaults
			}
		default:
			return fmt.Errorf("package verify/schema does not know this keyword")
		}
		return nil
	})
}

// reference is the name of the schema that a schema only refers to. One in allOf is a reference that has a
// description or a default beside it.
func reference(in node) string {
	if all, ok := in["allOf"].([]any); ok && len(all) == 1 {
		in = all[0].(node)
	}
	name, _ := in["$ref"].(string)
	return strings.TrimPrefix(name, "#/components/schemas/")
}

// keyDefaults are the defaults of the fields by which items of a list are told apart.
func (c *converter) keyDefaults(items node, keys []any) (node, error) {
	if name := reference(items); name != "" {
		items = c.schemas[name]
	}
	fields, ok := items["properties"].(node)
	if !ok {
		return nil, fmt.Errorf("items without properties")
	}
	required, _ := items["required"].([]any)
	defaults := node{}
	for _, key := range keys {
		field, ok := fields[key.(string)].(node)
		if !ok {
			return nil, fmt.Errorf("items without %s", key)
		}
		if value := field["default"]; value != nil && !slices.Contains(required, key) {
			defaults[key.(string)] = value
		}
	}
	return defaults, nil
}

// An enumeration is what a property may be, or each item or value of one that is a list or a map.
type enumeration struct {
	values []any
	in     string // "items" or "additionalProperties"
}

func (c *converter) addEnumerations(enums map[string]map[string]enumeration) error {
	added := 0
	for name, fields := range enums {
		schema, found := c.schemas[name]
		if !found {
			continue // configuration files of components are described there too
		}
		properties, _ := schema["properties"].(node)
		for field, e := range fields {
			target, _ := properties[field].(node)
			if e.in != "" {
				target, _ = target[e.in].(node)
			}
			if target["type"] != "string" {
				return fmt.Errorf("%s.%s has an enumeration but is no text", name, field)
			}
			target["enum"] = e.values
			added++
		}
	}
	if added == 0 {
		return fmt.Errorf("no enumerations")
	}
	return nil
}

// enumerations reads them from the code that describes types to the API server: functions that return one literal
// each, and a map that says which function is for which type.
func enumerations(file string) (map[string]map[string]enumeration, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	packages := map[string]string{} // import paths by name
	for _, i := range parsed.Imports {
		path, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return nil, err
		}
		if i.Name != nil {
			packages[i.Name.Name] = path
		}
	}
	functions := map[string]map[string]enumeration{}
	names := map[string]string{} // of schemas, by function
	for _, d := range parsed.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			pair, ok := n.(*ast.KeyValueExpr)
			if !ok {
				return true
			}
			if function, name := registration(pair, packages); function != "" {
				names[function] = name
				return false
			}
			if ident, ok := pair.Key.(*ast.Ident); !ok || ident.Name != "Properties" {
				return true
			}
			fields := map[string]enumeration{}
			for _, element := range pair.Value.(*ast.CompositeLit).Elts {
				field := element.(*ast.KeyValueExpr)
				if e, ok := enumerationOf(field.Value); ok {
					fields[text(field.Key).(string)] = e
				}
			}
			if len(fields) > 0 {
				functions[f.Name.Name] = fields
			}
			return false
		})
	}
	enums := map[string]map[string]enumeration{}
	for function, fields := range functions {
		if names[function] == "" {
			return nil, fmt.Errorf("nobody calls %s", function)
		}
		enums[names[function]] = fields
	}
	return enums, nil
}

// registration reads `v1.Pod{}.OpenAPIModelName(): schema_pkg_Pod(ref)`: the function and the name of its schema.
func registration(pair *ast.KeyValueExpr, packages map[string]string) (function, name string) {
	call, ok := pair.Value.(*ast.CallExpr)
	if !ok {
		return "", ""
	}
	ident, ok := call.Fun.(*ast.Ident)
	key, isCall := pair.Key.(*ast.CallExpr)
	if !ok || !isCall {
		return "", ""
	}
	method, ok := key.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	literal, ok := method.X.(*ast.CompositeLit)
	if !ok {
		return "", ""
	}
	named := literal.Type.(*ast.SelectorExpr)
	host, rest, _ := strings.Cut(packages[named.X.(*ast.Ident).Name], "/")
	labels := strings.Split(host, ".")
	slices.Reverse(labels)
	return ident.Name, strings.Join(labels, ".") + "." + strings.ReplaceAll(rest, "/", ".") + "." + named.Sel.Name
}

// enumerationOf reads the literal of one property.
func enumerationOf(property ast.Expr) (enumeration, bool) {
	var found enumeration
	ast.Inspect(property, func(n ast.Node) bool {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		if ident, ok := pair.Key.(*ast.Ident); ok {
			switch ident.Name {
			case "Items":
				found.in = "items"
			case "AdditionalProperties":
				found.in = "additionalProperties"
			case "Enum":
				for _, value := range pair.Value.(*ast.CompositeLit).Elts {
					found.values = append(found.values, text(value))
				}
			}
		}
		return true
	})
	return found, len(found.values) > 0
}

// text is the value of a string literal.
func text(e ast.Expr) any {
	s, err := strconv.Unquote(e.(*ast.BasicLit).Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}
	return s
}

// A lifecycle is when a kind of object goes away, in minor versions of Kubernetes.
type lifecycle struct {
	gvk
	Deprecated  int  `json:"deprecated,omitempty"`
	Removed     int  `json:"removed,omitempty"`
	Replacement *gvk `json:"replacement,omitempty"`
}

// lifecycles reads those of all types of k8s.io/api, also of those that are gone.
func lifecycles() []lifecycle {
	var list []lifecycle
	for k, t := range scheme.Scheme.AllKnownTypes() {
		if strings.HasSuffix(k.Kind, "List") {
			continue
		}
		l := lifecycle{gvk: gvk(k)}
		o := reflect.New(t).Interface()
		if d, ok := o.(interface{ APILifecycleDeprecated() (int, int) }); ok {
			_, l.Deprecated = d.APILifecycleDeprecated()
		}
		if r, ok := o.(interface{ APILifecycleRemoved() (int, int) }); ok {
			_, l.Removed = r.APILifecycleRemoved()
		}
		if r, ok := o.(interface {
			APILifecycleReplacement() schema.GroupVersionKind
		}); ok {
			l.Replacement = new(gvk(r.APILifecycleReplacement()))
		}
		if l.Deprecated != 0 {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b lifecycle) int { return compareKinds(a.gvk, b.gvk) })
	return list
}
