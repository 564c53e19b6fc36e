package schema

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// source is what the Go source of a package says of its types.
type source struct {
	name  string
	types map[string]declaration
}

type declaration struct {
	doc  string
	expr ast.Expr
}

func (r *reader) source(pkg string) (*source, error) {
	if s, ok := r.sources[pkg]; ok {
		return s, nil
	}
	found, err := build.Import(pkg, ".", 0)
	if err != nil {
		return nil, fmt.Errorf("finding the Go source of %q, which holds the comments: %w", pkg, err)
	}
	s := &source{found.Name, map[string]declaration{}}
	for _, name := range append(found.GoFiles, found.CgoFiles...) {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(found.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parsing the Go source of %q: %w", pkg, err)
		}
		for _, decl := range file.Decls {
			decl, ok := decl.(*ast.GenDecl)
			if !ok || decl.Tok != token.TYPE {
				continue
			}
			for _, spec := range decl.Specs {
				spec := spec.(*ast.TypeSpec)
				doc := spec.Doc
				if doc == nil && len(decl.Specs) == 1 {
					doc = decl.Doc
				}
				s.types[spec.Name.Name] = declaration{flat(doc), spec.Type}
			}
		}
	}
	r.sources[pkg] = s
	return s, nil
}

// flat is the text of a comment, a line for each paragraph.
func flat(c *ast.CommentGroup) string {
	paragraphs := strings.Split(strings.TrimSpace(c.Text()), "\n\n")
	for i, p := range paragraphs {
		paragraphs[i] = strings.Join(strings.Fields(p), " ")
	}
	return strings.Join(paragraphs, "\n")
}

// declaration finds a named type in its source.
func (r *reader) declaration(t reflect.Type) (doc string, expr ast.Expr, err error) {
	if t.Name() == "" {
		return "", nil, nil
	}
	s, err := r.source(t.PkgPath())
	if err != nil {
		return "", nil, err
	}
	name := title(t)
	d, ok := s.types[name]
	if !ok {
		return "", nil, fmt.Errorf("the Go source of %q declares no type %s: is it another version, or is the type inside a function?", t.PkgPath(), name)
	}
	for { // type A B has the fields of B
		other, ok := d.expr.(*ast.Ident)
		if !ok || s.types[other.Name].expr == nil {
			return d.doc, d.expr, nil
		}
		d.expr = s.types[other.Name].expr
	}
}

// fields returns the comment on a struct type, written as expr where it has no
// name, and its fields.
func (r *reader) fields(t reflect.Type, expr ast.Expr) (string, fields, error) {
	doc := ""
	if t.Name() != "" {
		var err error
		if doc, expr, err = r.declaration(t); err != nil {
			return "", nil, err
		}
	}
	s, ok := expr.(*ast.StructType)
	if !ok {
		return "", nil, fmt.Errorf("the Go source of %q does not list the fields of %s", t.PkgPath(), t)
	}
	var f fields
	for _, field := range s.Fields.List {
		names := field.Names
		if len(names) == 0 {
			names = []*ast.Ident{embedded(field.Type)}
		}
		for _, name := range names {
			f = append(f, namedField{name.Name, field})
		}
	}
	return doc, f, nil
}

func embedded(expr ast.Expr) *ast.Ident {
	switch x := expr.(type) {
	case *ast.Ident:
		return x
	case *ast.SelectorExpr:
		return x.Sel
	case *ast.IndexExpr:
		return embedded(x.X)
	case *ast.StarExpr:
		return embedded(x.X)
	}
	return ast.NewIdent("_")
}

// fields are those of a struct, in order.
type fields []namedField

type namedField struct {
	name string
	*ast.Field
}

func (f fields) index(name string) int {
	return slices.IndexFunc(f, func(field namedField) bool { return field.name == name })
}

func (f fields) expr(name string) ast.Expr {
	if i := f.index(name); i >= 0 {
		return f[i].Type
	}
	return nil
}

// above is the comment above a field alone.
func (f fields) above(name string) string {
	if i := f.index(name); i >= 0 {
		return flat(f[i].Doc)
	}
	return ""
}

// comment is the one above a field or else behind it or else above a sibling
// that begins with this field's name too, as in "PoolMax and PoolMin bound".
func (f fields) comment(name string) comment {
	own := func(field namedField) comment {
		return parse(cmp.Or(flat(field.Doc), flat(field.Comment)), func(word string) bool { return f.index(word) >= 0 })
	}
	if i := f.index(name); i >= 0 {
		if c := own(f[i]); !c.empty() {
			return c
		}
	}
	for _, sibling := range f {
		if c := own(sibling); c.speaksOf(name) {
			return c
		}
	}
	return comment{}
}

// typeComment is that of a leaf's type, if it is one of the package pkg.
func (r *reader) typeComment(t reflect.Type, pkg string) comment {
	if t.PkgPath() != pkg || t.Name() == "" {
		return comment{}
	}
	doc, _, err := r.declaration(t)
	if err != nil {
		return comment{}
	}
	c := parse(doc, func(word string) bool { return word == t.Name() })
	for i := range c.lead {
		c.lead[i].itself = true
	}
	return c
}

// comment is a text that begins, as Go's do, with the names of what it is about.
type comment struct {
	lead []word
	rest string
}

type word struct {
	text   string // with what follows it: a comma, an "and"
	name   string // the field that it names
	itself bool   // it names the type of the field that it describes
}

func parse(text string, field func(string) bool) comment {
	c := comment{rest: text}
	for {
		first, rest, _ := strings.Cut(c.rest, " ")
		name := strings.TrimSuffix(first, ",")
		switch {
		case field(name):
			c.lead = append(c.lead, word{text: strings.TrimPrefix(first, name) + " ", name: name})
		case len(c.lead) > 0 && (first == "and" || first == "or"):
			c.lead[len(c.lead)-1].text += first + " "
		default:
			return c
		}
		c.rest = rest
	}
}

func (c comment) empty() bool { return len(c.lead) == 0 && c.rest == "" }

func (c comment) speaksOf(field string) bool {
	for _, w := range c.lead {
		if w.name == field {
			return true
		}
	}
	return false
}

// namer finds the settings of one struct by the names of their fields.
type namer map[string]*node

// about is the comment on a setting, with names that its reader knows.
func (n *node) about(name func(*node) string) string {
	var b strings.Builder
	for _, w := range n.doc.lead {
		switch {
		case w.itself:
			b.WriteString(name(n))
		case n.names[w.name] != nil:
			b.WriteString(name(n.names[w.name]))
		default:
			b.WriteString(w.name)
		}
		b.WriteString(w.text)
	}
	return b.String() + n.doc.rest
}
