// Package schema writes a configuration schema (see package config) for other
// runtimes and for people. It describes what [config.Load] reads and adds the
// comments that stand in the schema's Go source.
package schema

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"go/ast"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tenantry/tenantry/config"
)

// Package returns the files of an npm package, by name, through which a
// TypeScript application reads the environment that [config.Project] asks for:
// index.ts for the Effect library, and schema.json, the environment as a JSON
// Schema. It is private to a workspace and holds its sources: nothing builds it.
//
// Settings is a schema struct or a pointer to one; its values do not matter.
// The Go source of its package is looked for from the working directory.
func Package(settings any) (map[string][]byte, error) {
	t, err := read(settings)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, file := range txtar.Parse([]byte(t.fill.Replace(manifests))).Files {
		files[file.Name] = file.Data
	}
	files["index.ts"] = effect(t)
	files["schema.json"], err = jsonSchema(t)
	return files, err
}

// Markdown returns a page that lists every setting by group. It takes what
// [Package] takes.
func Markdown(settings any) ([]byte, error) {
	t, err := read(settings)
	if err != nil {
		return nil, err
	}
	return markdown(t), nil
}

// manifests are the files that differ only in names.
//
//go:embed package.txtar
var manifests string

// tree is a schema with its structure and its comments.
type tree struct {
	root *group
	uses map[reflect.Type]int // how often a group type stands in it
	fill *strings.Replacer    // what varies in the files of the package
}

// group is a struct of settings: the schema itself, a group or a variant.
type group struct {
	path  string // of Go fields, such as Cache.TLS; empty for the schema itself
	typ   reflect.Type
	doc   string
	nodes []*node
}

// node is a field: of leaf, group and choice exactly one is set.
type node struct {
	field string // in Go
	key   string // elsewhere
	doc   comment
	names namer // what its comment may call the settings beside it

	leaf   *leaf
	group  *group
	choice *choice
}

type leaf struct {
	config.Setting
	goPath string       // of its field
	typ    reflect.Type // without a pointer or config.Derived around it
	when   []condition  // all must hold, or it is not read
}

// choice is an interface field. Without a discriminator its Name is empty and
// exactly one witness must be given.
type choice struct {
	config.Setting
	goPath   string // of its field
	typ      reflect.Type
	doc      string
	when     []condition
	variants []variant
}

type variant struct {
	condition
	*group
}

// condition is what makes a variant the chosen one: the discriminator's word
// or, without a discriminator, that the witness is given.
type condition struct {
	name    string // of the discriminator
	word    string
	assumed bool // also when the discriminator is unset
	witness *leaf
}

func (c condition) String() string {
	switch {
	case c.witness != nil:
		return c.witness.Name + " is given"
	case c.assumed:
		return c.name + " is " + c.word + " or unset"
	}
	return c.name + " is " + c.word
}

// optional reports whether the loaded setting may be absent. An empty default
// of what is no text says nothing.
func (l *leaf) optional() bool {
	return !l.Required && (l.Default == nil || *l.Default == "" && (l.Type != "string" || len(l.OneOf) > 0))
}

// wire says in words what stands in the variable.
func (l *leaf) wire() string {
	var words string
	switch {
	case l.Secret:
		return "secret"
	case len(l.OneOf) > 0:
		return "one of " + strings.Join(l.OneOf, ", ")
	case l.Type == "boolean":
		return "true or false"
	case l.Type == "cron":
		return "schedule of five fields"
	case l.Unit != "":
		words = "integer in " + l.Unit
	default:
		words = l.Type
	}
	switch {
	case l.Min != "" && l.Max != "":
		words += ", " + l.Min + " to " + l.Max
	case l.Min != "":
		words += ", at least " + l.Min
	case l.Max != "":
		words += ", at most " + l.Max
	}
	return words
}

// variables are those that may hold the value or name the file that does.
func (l *leaf) variables() []string {
	if l.Secret {
		return []string{l.Name, l.Name + "_FILE"}
	}
	return []string{l.Name}
}

// read walks the type of settings beside what config says of it: both go by
// declaration order.
func read(settings any) (*tree, error) {
	list, err := config.Settings(settings)
	if err != nil {
		return nil, err
	}
	typ := reflect.TypeOf(settings)
	if typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	r := reader{next: list, sources: map[string]*source{}, uses: map[reflect.Type]int{}}
	root := r.group(typ, nil, spot{})
	if len(r.errs) > 0 {
		return nil, errors.Join(r.errs...)
	}
	src, err := r.source(typ.PkgPath())
	if err != nil {
		return nil, err
	}
	return &tree{root, r.uses, strings.NewReplacer("PACKAGE", src.name, "SOURCE", typ.PkgPath())}, nil
}

type reader struct {
	next    []config.Setting
	sources map[string]*source // by package path
	uses    map[reflect.Type]int
	errs    []error
}

// spot is where the walk stands.
type spot struct {
	depth int // in Setting.Path
	path  string
	pkg   string // of the innermost type that has a name
	when  []condition
}

func (at spot) into(field string) spot {
	at.depth++
	at.path = strings.TrimPrefix(at.path+"."+field, ".")
	return at
}

func (r *reader) take() config.Setting {
	s := r.next[0]
	r.next = r.next[1:]
	return s
}

// key is the name of the field at this depth, which the next setting is in.
func (r *reader) key(depth int) string {
	if len(r.next) == 0 {
		return ""
	}
	path := strings.Split(r.next[0].Path, ".")
	return path[min(depth, len(path)-1)]
}

// group reads a struct type, written as expr where it has no name.
func (r *reader) group(t reflect.Type, expr ast.Expr, at spot) *group {
	r.uses[t]++
	if t.Name() != "" {
		at.pkg = t.PkgPath()
	}
	g := &group{path: at.path, typ: t}
	doc, fields, err := r.fields(t, expr)
	if err != nil {
		r.errs = append(r.errs, err)
	}
	g.doc = doc
	names := namer{}
	keys := map[string]bool{}
	for f := range t.Fields() {
		_, tagged := f.Tag.Lookup("env")
		n := &node{field: f.Name, doc: fields.comment(f.Name), names: names}
		inner := at.into(f.Name)
		switch {
		case f.Name == "_":
			continue
		case f.Type.Kind() == reflect.Interface:
			n.key = r.key(at.depth)
			n.choice = r.choice(t, f, inner, fields.above(f.Name))
		case f.Type.Kind() == reflect.Struct && !tagged && f.Anonymous:
			g.nodes = append(g.nodes, r.group(f.Type, fields.expr(f.Name), at).nodes...)
			continue
		case f.Type.Kind() == reflect.Struct && !tagged:
			first := len(r.next)
			n.key = r.key(at.depth)
			n.group = r.group(f.Type, fields.expr(f.Name), inner)
			if len(r.next) == first {
				continue // an empty group
			}
			n.group.doc = cmp.Or(fields.above(f.Name), n.group.doc)
		default:
			n.key = r.key(at.depth)
			n.leaf = &leaf{Setting: r.take(), goPath: inner.path, typ: unwrapped(f.Type), when: at.when}
			names[f.Name] = n
			if n.doc.empty() {
				n.doc = r.typeComment(n.leaf.typ, at.pkg)
			}
		}
		if f.Anonymous {
			r.errs = append(r.errs, fmt.Errorf("%s: an embedded field that is no group needs a name", inner.path))
		}
		g.nodes = append(g.nodes, n)
	}
	for _, n := range g.nodes {
		if keys[n.key] {
			r.errs = append(r.errs, fmt.Errorf("%s: two fields are called %q outside of Go", at.path, n.key))
		}
		keys[n.key] = true
	}
	return g
}

func (r *reader) choice(holder reflect.Type, f reflect.StructField, at spot, above string) *choice {
	c := &choice{goPath: at.path, typ: f.Type, when: at.when}
	c.Preset = f.Tag.Get("preset")
	if _, named := f.Tag.Lookup("env"); named {
		c.Setting = r.take()
	}
	if doc, _, err := r.declaration(f.Type); err != nil {
		r.errs = append(r.errs, err)
	} else {
		c.doc = cmp.Or(doc, above) // the field's tends to speak of nil
	}
	chooser, _ := reflect.TypeAssert[config.Chooser](reflect.New(holder))
	for _, listed := range chooser.Choices() {
		t := reflect.TypeOf(listed.Variant)
		if !t.Implements(f.Type) {
			continue
		}
		v := variant{condition: condition{name: c.Name, word: listed.Word}}
		v.assumed = c.Default != nil && *c.Default == listed.Word
		if slices.ContainsFunc(c.variants, func(other variant) bool { return other.typ.Name() == t.Name() }) {
			r.errs = append(r.errs, fmt.Errorf("%s: two variants are called %s", at.path, t.Name()))
		}
		inner := at
		if c.Name == "" {
			v.witness = new(leaf) // known after its group
		}
		inner.when = append(slices.Clip(at.when), v.condition)
		v.group = r.group(t, nil, inner)
		if c.Name == "" {
			w := witness(v.group)
			w.when = at.when // given is what it may be at any time
			*v.witness = *w
			c.Either = w.Either
		}
		c.variants = append(c.variants, v)
	}
	return c
}

// witness finds the leaf that shows a variant.
func witness(g *group) *leaf {
	for _, n := range g.nodes {
		switch {
		case n.leaf != nil && len(n.leaf.Either) > 0:
			return n.leaf
		case n.group != nil:
			if l := witness(n.group); l != nil {
				return l
			}
		}
	}
	return nil
}

// unwrapped takes the pointer or config.Derived off a leaf's type.
func unwrapped(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	if get, ok := t.MethodByName("Get"); ok && t.PkgPath() == configPath {
		return get.Type.Out(0)
	}
	return t
}

// limits are the bounds on the wire, those of a small Go type included.
func (l *leaf) limits() (low, high *float64) {
	for _, bound := range []struct {
		tag string
		to  **float64
	}{{l.Min, &low}, {l.Max, &high}} {
		if f, err := strconv.ParseFloat(bound.tag, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			*bound.to = new(f)
		}
	}
	if l.Type == "integer" && l.typ.Bits() < 64 {
		least, most := -math.Ldexp(1, l.typ.Bits()-1), math.Ldexp(1, l.typ.Bits()-1)-1
		if l.unsigned() {
			least, most = 0, math.Ldexp(1, l.typ.Bits())-1
		}
		if low == nil || *low < least {
			low = new(least)
		}
		if high == nil || *high > most {
			high = new(most)
		}
	}
	return low, high
}

func (l *leaf) unsigned() bool {
	return l.Type == "integer" && l.typ.Kind() >= reflect.Uint && l.typ.Kind() <= reflect.Uintptr
}

var durationType = reflect.TypeFor[time.Duration]()

var configPath = reflect.TypeFor[config.Setting]().PkgPath()

// title is the name of a type without its parameters.
func title(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return name
}
