// Package schema tells whether an API server would take an object, as far as a schema can say it: fields that are
// unknown, missing or of the wrong type, values outside an enumeration, a format, a pattern or a range, and list
// items that have the same key.
//
// It knows the APIs that each supported minor version of Kubernetes serves by default, and the custom resources of
// the operators that package render makes objects for. It is strict where a server's defaults would be lenient: an
// unknown field is a problem, and so is a kind that it does not know. Nothing is read but what is built in.
//
// What only a server can say is not looked at: rules in CEL, which [Set.Rules] counts, what the code of an API
// server or of a webhook refuses, and fields that a server drops because their feature is off. The end-to-end suite
// in local/ asks a real server.
package schema

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	apischema "k8s.io/apimachinery/pkg/runtime/schema"
)

//go:generate go -C ../../local run ./schemas
//go:embed schemas.json.gz
var packed []byte

// A Set is what is known of one minor version of Kubernetes. Any number of goroutines may use it.
type Set struct {
	minor       int                    // of Kubernetes 1
	definitions map[string]*definition // by name
	kinds       map[apischema.GroupVersionKind]*definition
	lifecycles  map[apischema.GroupVersionKind]*lifecycle
}

// Newest is the newest minor version that For knows, such as "1.37".
func Newest() string {
	sets, err := all()
	if err != nil || len(sets) == 0 {
		return ""
	}
	return name(sets[len(sets)-1].minor)
}

// For returns the set of a minor version such as "1.37".
func For(minor string) (*Set, error) {
	sets, err := all()
	if err != nil {
		return nil, err
	}
	var known []string
	for _, s := range sets {
		if name(s.minor) == minor {
			return s, nil
		}
		known = append(known, name(s.minor))
	}
	return nil, fmt.Errorf("no schemas of Kubernetes %q: there are those of %s", minor, strings.Join(known, ", "))
}

// name is how a minor version is written.
func name(minor int) string { return "1." + strconv.Itoa(minor) }

// Rules is how many rules in CEL the definition of a kind has, none of which Validate evaluates. It returns false
// for a kind that the set does not know.
func (s *Set) Rules(kind apischema.GroupVersionKind) (int, bool) {
	d, ok := s.kinds[kind]
	if !ok {
		return 0, false
	}
	return d.Rules, true
}

// A Deprecation is when an API goes away, in minor versions such as "1.40".
type Deprecation struct {
	Deprecated  string
	Removed     string                     // empty: that has not been decided
	Replacement apischema.GroupVersionKind // empty: there is none
}

// Deprecation tells of an API that is deprecated or gone in this minor version or in one of the two after it.
func (s *Set) Deprecation(kind apischema.GroupVersionKind) (Deprecation, bool) {
	l := s.lifecycles[kind]
	if l == nil || l.Deprecated > s.minor+2 {
		return Deprecation{}, false
	}
	d := Deprecation{Deprecated: name(l.Deprecated), Replacement: s.replacement(l)}
	if l.Removed != 0 {
		d.Removed = name(l.Removed)
	}
	return d, true
}

// replacement is what to use instead, if that is served: many that have been named are gone themselves, and there is
// a later version of the same kind.
func (s *Set) replacement(l *lifecycle) apischema.GroupVersionKind {
	if l.Replacement != nil && s.kinds[*l.Replacement] != nil {
		return *l.Replacement
	}
	var latest apischema.GroupVersionKind
	for k := range s.kinds {
		if k.GroupKind() == l.GroupKind() && k != l.GroupVersionKind && k.Version > latest.Version {
			latest = k
		}
	}
	return latest
}

// A document is what the command in local/schemas writes.
type document struct {
	Minors      []int         `json:"minors"` // ascending
	Definitions []*definition `json:"definitions"`
	Lifecycles  []*lifecycle  `json:"lifecycles"`
}

// A definition is a schema that others refer to by its name.
type definition struct {
	Name   string                      `json:"name"`
	Minors []int                       `json:"minors"` // none: all of them, for it is of a custom resource
	Kind   *apischema.GroupVersionKind `json:"kind"`   // of which it is the schema
	Rules  int                         `json:"rules"`
	Schema *node                       `json:"schema"`
}

// A lifecycle is when a kind goes away.
type lifecycle struct {
	apischema.GroupVersionKind
	Deprecated  int                         `json:"deprecated"`
	Removed     int                         `json:"removed"` // 0: not decided
	Replacement *apischema.GroupVersionKind `json:"replacement"`
}

// A node is a schema or a part of one: the keywords of structural schemas in custom resource definitions, as far as
// any schema here uses them. Those below allOf, anyOf, oneOf and not judge values and make no field known.
type node struct {
	Ref string `json:"$ref"` // the name of a definition; all else is empty then

	Type        string `json:"type"` // empty: any
	Format      string `json:"format"`
	IntOrString bool   `json:"x-kubernetes-int-or-string"`
	Nullable    bool   `json:"nullable"`
	Enum        []any  `json:"enum"`    // scalars
	Default     any    `json:"default"` // of a custom resource: set before anything is judged

	Pattern   string   `json:"pattern"`
	MinLength *int     `json:"minLength"`
	MaxLength *int     `json:"maxLength"`
	Minimum   *float64 `json:"minimum"`
	Maximum   *float64 `json:"maximum"`

	Properties           map[string]*node `json:"properties"`
	AdditionalProperties *node            `json:"additionalProperties"`
	PreserveUnknown      bool             `json:"x-kubernetes-preserve-unknown-fields"`
	Required             []string         `json:"required"`
	MinProperties        *int             `json:"minProperties"`
	MaxProperties        *int             `json:"maxProperties"`

	Items       *node          `json:"items"`
	MinItems    *int           `json:"minItems"`
	MaxItems    *int           `json:"maxItems"`
	ListType    string         `json:"x-kubernetes-list-type"` // set, map or neither
	ListMapKeys []string       `json:"x-kubernetes-list-map-keys"`
	KeyDefaults map[string]any `json:"keyDefaults"` // what a field of ListMapKeys is when it is left out

	AllOf []*node `json:"allOf"`
	AnyOf []*node `json:"anyOf"`
	OneOf []*node `json:"oneOf"`
	Not   *node   `json:"not"`

	pattern  *regexp.Regexp
	defaults bool // whether there are any below
}

// all returns the sets, ascending. They share the definitions that are the same.
var all = sync.OnceValues(unpack)

func unpack() ([]*Set, error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpacking the schemas: %w", err)
	}
	return load(r)
}

func load(r io.Reader) ([]*Set, error) {
	var doc document
	d := json.NewDecoder(r)
	d.DisallowUnknownFields() // else something that a schema demands would be ignored
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("reading the schemas: %w", err)
	}
	patterns := map[string]*regexp.Regexp{}
	for _, d := range doc.Definitions {
		if err := d.Schema.prepare(patterns); err != nil {
			return nil, fmt.Errorf("reading the schema %s: %w", d.Name, err)
		}
	}
	var sets []*Set
	for _, minor := range doc.Minors {
		s := &Set{minor, map[string]*definition{}, map[apischema.GroupVersionKind]*definition{}, map[apischema.GroupVersionKind]*lifecycle{}}
		for _, d := range doc.Definitions {
			if d.Minors != nil && !slices.Contains(d.Minors, minor) {
				continue
			}
			if s.definitions[d.Name] != nil {
				return nil, fmt.Errorf("reading the schemas: two of %s in Kubernetes %s", d.Name, name(minor))
			}
			s.definitions[d.Name] = d
			if d.Kind != nil {
				s.kinds[*d.Kind] = d
			}
		}
		for _, d := range doc.Definitions {
			if s.definitions[d.Name] != d {
				continue // of another minor
			}
			if err := s.checkReferences(d.Schema); err != nil {
				return nil, fmt.Errorf("reading the schema %s of Kubernetes %s: %w", d.Name, name(minor), err)
			}
		}
		for _, l := range doc.Lifecycles {
			s.lifecycles[l.GroupVersionKind] = l
		}
		sets = append(sets, s)
	}
	return sets, nil
}

// prepare compiles patterns, each once, and refuses what Validate would not understand.
func (n *node) prepare(patterns map[string]*regexp.Regexp) error {
	if n == nil {
		return errors.New("a part is null")
	}
	if !slices.Contains([]string{"", "object", "array", "string", "integer", "number", "boolean"}, n.Type) {
		return fmt.Errorf("unknown type %q", n.Type)
	}
	if n.Type == "integer" && n.Format == "" {
		n.Format = "int64" // as in a server
	}
	if _, ok := formats[n.Format]; !ok && n.Format != "" {
		return fmt.Errorf("unknown format %q", n.Format)
	}
	switch {
	case n.ListType == "set" && n.Items != nil && slices.Contains([]string{"string", "integer"}, n.Items.Type) && n.ListMapKeys == nil:
	case n.ListType == "map" && n.Items != nil && n.ListMapKeys != nil:
	case n.ListType != "" || n.ListMapKeys != nil:
		return fmt.Errorf("unknown list type %q with keys %q", n.ListType, n.ListMapKeys)
	}
	if n.Pattern != "" {
		if patterns[n.Pattern] == nil {
			compiled, err := regexp.Compile(n.Pattern)
			if err != nil {
				return err
			}
			patterns[n.Pattern] = compiled
		}
		n.pattern = patterns[n.Pattern]
	}
	n.defaults = n.Default != nil
	for part := range n.parts() {
		if err := part.prepare(patterns); err != nil {
			return err
		}
		n.defaults = n.defaults || part.defaults
	}
	return nil
}

// parts yields the schemas that a schema holds.
func (n *node) parts() iter.Seq[*node] {
	return func(yield func(*node) bool) {
		for _, p := range n.Properties {
			if !yield(p) {
				return
			}
		}
		for _, p := range slices.Concat(n.AllOf, n.AnyOf, n.OneOf) {
			if !yield(p) {
				return
			}
		}
		for _, p := range []*node{n.AdditionalProperties, n.Items, n.Not} {
			if p != nil && !yield(p) {
				return
			}
		}
	}
}

// checkReferences refuses references to nothing and those that only lead back to themselves. A schema that holds
// itself, further down in the object, is right.
func (s *Set) checkReferences(n *node) error {
	seen := map[string]bool{}
	for at := n; at.Ref != ""; at = s.definitions[at.Ref].Schema {
		if s.definitions[at.Ref] == nil {
			return fmt.Errorf("a reference to %s, which is none", at.Ref)
		}
		if seen[at.Ref] {
			return fmt.Errorf("a reference to %s, which leads back to itself", at.Ref)
		}
		seen[at.Ref] = true
	}
	for part := range n.parts() {
		if err := s.checkReferences(part); err != nil {
			return err
		}
	}
	return nil
}

// resolve follows references.
func (s *Set) resolve(n *node) *node {
	for n.Ref != "" {
		n = s.definitions[n.Ref].Schema
	}
	return n
}
