package gen

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/tenantry/tenantry/render"
)

const newHelp = `Writes tenants/NAME.go, a copy of another tenant's file with NAME wherever the other name
stands (identifiers, hosts, buckets, comments), and lists it after the other tenant in every
[]render.Tenant{...} and append(...) of tenants/. Tells where, and where else the other one is
named. NAME is the tenant's namespace: lower-case letters, digits and hyphens, a letter first,
at most 63.
`

func runNew(_ context.Context, c *call) error {
	from := c.flags.String("from", "", "copy `TENANT`'s file (default: the tenant that is listed first)")
	operands, err := c.parse(1, 1)
	if err != nil {
		return err
	}
	name := operands[0]
	module, err := moduleRoot()
	if err != nil {
		return err
	}
	if err := refused(name, c.fleets); err != nil {
		return err
	}
	root, err := os.OpenRoot(filepath.Join(module, "tenants"))
	if err != nil {
		return fmt.Errorf("opening tenants/: %w", err)
	}
	defer func() { _ = root.Close() }()
	pkg, err := parsePackage(root)
	if err != nil {
		return err
	}
	src, err := pkg.source(*from)
	if err != nil {
		return err
	}
	file := name + ".go"
	switch _, err := root.Lstat(file); {
	case err == nil:
		return fmt.Errorf("tenants/%s exists", file)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking for tenants/%s: %w", file, err)
	}
	made, err := pkg.copied(src, name)
	if err != nil {
		return err
	}
	lists := made.lists
	if err := writeFile(root, file, made.tenant); err != nil {
		return fmt.Errorf("writing tenants/%s: %w", file, err)
	}
	for i, list := range slices.Sorted(maps.Keys(lists)) {
		if err := writeFile(root, list, lists[list]); err != nil {
			for _, done := range slices.Sorted(maps.Keys(lists))[:i] {
				_ = writeFile(root, done, pkg.text[done])
			}
			_ = root.Remove(file)
			return fmt.Errorf("writing tenants/%s: %w", list, err)
		}
	}
	fmt.Fprintf(c.stdout, "created tenants/%s\n", file)
	for _, list := range slices.Sorted(maps.Keys(lists)) {
		fmt.Fprintf(c.stdout, "updated tenants/%s\n", list)
	}
	fmt.Fprintf(c.stderr, "tenants/%s is %s under another name: edit it, then run %s\n", file, src.name, self)
	fmt.Fprintf(c.stderr, "it is listed at %s\n", strings.Join(made.listed, ", "))
	if len(made.left) > 0 {
		fmt.Fprintf(c.stderr, "only %s is named at %s\n", src.name, strings.Join(made.left, ", "))
	}
	return nil
}

// refused is why no fleet can have a tenant of that name. The rule is render's own: it is asked.
func refused(name string, fleets []render.Fleet) error {
	if len(fleets) == 0 {
		fleets = make([]render.Fleet, 1)
	}
	for _, f := range fleets {
		if slices.ContainsFunc(f.Tenants, func(t render.Tenant) bool { return t.Name == name }) {
			return fmt.Errorf("%q is a tenant of the fleet %s already", name, f.Name)
		}
		f.Tenants = []render.Tenant{{Name: name}}
		_, err := render.Units([]render.Fleet{f})
		errs, ok := err.(interface{ Unwrap() []error })
		if !ok {
			continue
		}
		at := field.NewPath("fleets").Key(f.Name).Child("tenants").Key(name).Child("name").String()
		for _, err := range errs.Unwrap() {
			if e, ok := errors.AsType[*field.Error](err); ok && e.Field == at {
				return fmt.Errorf("%q cannot be a tenant's name: %s", name, cmp.Or(e.Detail, e.ErrorBody()))
			}
		}
	}
	return nil
}

// A sourcePackage is the package in tenants/, without its external tests.
type sourcePackage struct {
	fset  *token.FileSet
	files map[string]*ast.File // by name in tenants/
	text  map[string][]byte
}

func parsePackage(root *os.Root) (*sourcePackage, error) {
	p := &sourcePackage{token.NewFileSet(), map[string]*ast.File{}, map[string][]byte{}}
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("reading tenants/: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() || filepath.Ext(e.Name()) != ".go" {
			continue
		}
		text, err := root.ReadFile(e.Name())
		if err != nil {
			return nil, fmt.Errorf("reading tenants/: %w", err)
		}
		file, err := parser.ParseFile(p.fset, "tenants/"+e.Name(), text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		if !strings.HasSuffix(file.Name.Name, "_test") {
			p.files[e.Name()], p.text[e.Name()] = file, text
		}
	}
	return p, nil
}

// used is every identifier that a new declaration could collide with: what the package declares and
// imports, and what stands in the files that will speak of the new one.
func (p *sourcePackage) used(speaking map[string]bool) map[string]bool {
	used := map[string]bool{}
	for name, file := range p.files {
		for _, decl := range file.Decls {
			for _, id := range declares(decl) {
				used[id.Name] = true
			}
		}
		for _, imported := range file.Imports {
			if imported.Name != nil {
				used[imported.Name.Name] = true
			} else if path, err := strconv.Unquote(imported.Path.Value); err == nil {
				used[path[strings.LastIndex(path, "/")+1:]] = true
			}
		}
		if speaking[name] {
			names(file, func(id *ast.Ident) { used[id.Name] = true })
		}
	}
	return used
}

// names visits every identifier but those after a dot.
func names(n ast.Node, visit func(*ast.Ident)) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			names(n.X, visit)
			return false
		case *ast.Ident:
			visit(n)
		}
		return true
	})
}

// A sourceTenant is a tenant that is listed.
type sourceTenant struct {
	name       string // of the tenant
	identifier string // of its function or variable
	file       string // that declares it
}

// An entry is one element of a []render.Tenant{...}, or of what is appended to one: a function's call, or a variable.
type entry struct {
	file  string
	list  []ast.Expr
	end   token.Pos // of the list
	index int
	*ast.Ident
}

// entries lists those of all lists in the order of files and lines, and then what is appended.
func (p *sourcePackage) entries() []entry {
	var listed, appended []entry
	for _, file := range slices.Sorted(maps.Keys(p.files)) {
		add := func(to *[]entry, list []ast.Expr, end token.Pos) {
			for i, element := range list {
				if made, ok := element.(*ast.CallExpr); ok {
					element = made.Fun
				}
				if id, ok := element.(*ast.Ident); ok {
					*to = append(*to, entry{file, list, end, i, id})
				}
			}
		}
		ast.Inspect(p.files[file], func(n ast.Node) bool {
			switch list := n.(type) {
			case *ast.CompositeLit:
				if array, ok := list.Type.(*ast.ArrayType); ok && isTenant(array.Elt) {
					add(&listed, list.Elts, list.Rbrace)
				}
			case *ast.CallExpr:
				if to, ok := list.Fun.(*ast.Ident); ok && to.Name == "append" && len(list.Args) > 0 && !list.Ellipsis.IsValid() {
					add(&appended, list.Args[1:], list.Rparen)
				}
			}
			return true
		})
	}
	return append(listed, appended...)
}

func isTenant(e ast.Expr) bool {
	selector, ok := e.(*ast.SelectorExpr)
	return ok && selector.Sel.Name == "Tenant"
}

// source finds the listed tenant of that name, the first one listed for no name.
func (p *sourcePackage) source(name string) (sourceTenant, error) {
	var known []string
	for _, e := range p.entries() {
		t, ok := p.declared(e.Name)
		if !ok {
			continue
		}
		if name == "" || name == t.name {
			return t, nil
		}
		if !slices.Contains(known, t.name) {
			known = append(known, t.name)
		}
	}
	if name == "" {
		return sourceTenant{}, errors.New("tenants/ lists no tenant to copy: expected a []render.Tenant{...} of functions that return a render.Tenant{Name: \"...\"}")
	}
	return sourceTenant{}, fmt.Errorf("tenants/ lists no tenant %q to copy, only %s", name, strings.Join(known, ", "))
}

// declared finds the tenant that a function or a variable of the package holds.
func (p *sourcePackage) declared(identifier string) (sourceTenant, bool) {
	t := sourceTenant{identifier: identifier}
	for file, parsed := range p.files {
		for _, decl := range parsed.Decls {
			if !slices.ContainsFunc(declares(decl), func(id *ast.Ident) bool { return id.Name == identifier }) {
				continue
			}
			t.file = file
			ast.Inspect(decl, func(n ast.Node) bool {
				if value, ok := n.(*ast.CompositeLit); ok && isTenant(value.Type) && t.name == "" {
					t.name = nameIn(value)
				}
				return t.name == ""
			})
		}
	}
	return t, t.name != ""
}

func nameIn(tenant *ast.CompositeLit) string {
	for _, element := range tenant.Elts {
		if kv, ok := element.(*ast.KeyValueExpr); ok {
			key, _ := kv.Key.(*ast.Ident)
			value, _ := kv.Value.(*ast.BasicLit)
			if key != nil && key.Name == "Name" && value != nil && value.Kind == token.STRING {
				name, _ := strconv.Unquote(value.Value)
				return name
			}
		}
	}
	return ""
}

// declares lists what a declaration adds to the package.
func declares(decl ast.Decl) []*ast.Ident {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.Name != "init" {
			return []*ast.Ident{d.Name}
		}
	case *ast.GenDecl:
		var ids []*ast.Ident
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				ids = append(ids, s.Names...)
			case *ast.TypeSpec:
				ids = append(ids, s.Name)
			}
		}
		return slices.DeleteFunc(ids, func(id *ast.Ident) bool { return id.Name == "_" })
	}
	return nil
}

// A tenantCopy is a new tenant.
type tenantCopy struct {
	tenant       []byte            // its file
	lists        map[string][]byte // the files of lists with the tenant in them
	listed, left []string          // file:line of each place where it is listed, and where only its source is named
}

// copied puts a tenant's name in the place of another's.
func (p *sourcePackage) copied(src sourceTenant, name string) (tenantCopy, error) {
	var listed []entry
	speaking := map[string]bool{src.file: true}
	for _, e := range p.entries() {
		if e.Name == src.identifier {
			listed = append(listed, e)
			speaking[e.file] = true
		}
	}
	used := p.used(speaking)
	spell := newSpelling(src.name, name)
	renamed := map[string]string{}
	for _, decl := range p.files[src.file].Decls {
		for _, id := range declares(decl) {
			to := spell.identifier(id.Name)
			switch {
			case to == id.Name:
				return tenantCopy{}, fmt.Errorf("tenants/%s declares %s, which a copy would declare again: give %s a file of its own", src.file, id.Name, src.name)
			case token.IsKeyword(to) || to == "init" || types.Universe.Lookup(to) != nil:
				return tenantCopy{}, fmt.Errorf("%q cannot be a tenant's name: %s is a word of Go", name, to)
			case used[to]:
				return tenantCopy{}, fmt.Errorf("%q cannot be a tenant's name: package tenants has another %s", name, to)
			}
			renamed[id.Name] = to
		}
	}
	made := tenantCopy{lists: map[string][]byte{}}
	var err error
	made.tenant, err = format.Source(p.edited(src.file, p.respelled(p.files[src.file], spell, renamed)))
	if err != nil {
		return tenantCopy{}, fmt.Errorf("copying tenants/%s: %w", src.file, err)
	}
	edits := map[string][]edit{}
	for _, e := range listed {
		edits[e.file] = append(edits[e.file], p.inserted(e, spell, renamed))
	}
	for file := range edits {
		if made.lists[file], err = format.Source(p.edited(file, edits[file])); err != nil {
			return tenantCopy{}, fmt.Errorf("listing %s in tenants/%s: %w", name, file, err)
		}
	}
	for _, file := range slices.Sorted(maps.Keys(p.files)) {
		at := func(offset int) string {
			line := 1 + bytes.Count(p.text[file][:offset], []byte("\n"))
			for _, e := range edits[file] {
				if e.start < offset {
					line += strings.Count(e.text, "\n")
				}
			}
			return fmt.Sprintf("tenants/%s:%d", file, line)
		}
		for _, e := range edits[file] {
			made.listed = append(made.listed, at(e.start))
		}
		if file == src.file || strings.HasSuffix(file, "_test.go") {
			continue
		}
		naming(p.files[file], src, func(n ast.Node) {
			within := func(e entry) bool { return e.list[e.index].Pos() <= n.Pos() && n.Pos() < e.list[e.index].End() }
			if !slices.ContainsFunc(listed, within) {
				made.left = append(made.left, at(p.offset(n.Pos())))
			}
		})
	}
	made.left = slices.Compact(made.left)
	return made, nil
}

// naming visits every identifier and every string that is the tenant, but what declares a name.
func naming(n ast.Node, t sourceTenant, visit func(ast.Node)) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			return false
		case *ast.KeyValueExpr:
			naming(n.Value, t, visit)
			return false
		case *ast.SelectorExpr:
			naming(n.X, t, visit)
			return false
		case *ast.Ident:
			if n.Name == t.identifier {
				visit(n)
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && text == t.name {
				visit(n)
			}
		}
		return true
	})
}

// An edit replaces the bytes from start to end.
type edit struct {
	start, end int
	text       string
}

func (p *sourcePackage) offset(pos token.Pos) int { return p.fset.Position(pos).Offset }

func (p *sourcePackage) edited(file string, edits []edit) []byte {
	slices.SortFunc(edits, func(a, b edit) int { return cmp.Compare(a.start, b.start) })
	var out []byte
	at := 0
	for _, e := range edits {
		out = append(append(out, p.text[file][at:e.start]...), e.text...)
		at = e.end
	}
	return append(out, p.text[file][at:]...)
}

// respelled are the edits that put the new name into identifiers, strings and comments below n.
func (p *sourcePackage) respelled(n ast.Node, spell spelling, renamed map[string]string) []edit {
	var edits []edit
	replace := func(pos token.Pos, old, text string) {
		if old != text {
			edits = append(edits, edit{p.offset(pos), p.offset(pos) + len(old), text})
		}
	}
	names(n, func(id *ast.Ident) { replace(id.Pos(), id.Name, cmp.Or(renamed[id.Name], id.Name)) })
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); n.Kind == token.STRING && err == nil && spell.text(text) != text {
				quote := strconv.Quote
				if n.Value[0] == '`' {
					quote = func(s string) string { return "`" + s + "`" }
				}
				replace(n.Pos(), n.Value, quote(spell.text(text)))
			}
		}
		return true
	})
	file, ok := n.(*ast.File)
	if !ok {
		return edits
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			text := comment.Text
			// A comment that starts with what is declared below it speaks of that.
			start, rest, _ := strings.Cut(strings.TrimPrefix(text, "// "), " ")
			if to, ok := renamed[start]; ok {
				text = "// " + to + " " + spell.text(rest)
			} else {
				text = spell.text(text)
			}
			replace(comment.Pos(), comment.Text, text)
		}
	}
	return edits
}

// inserted lists the new tenant after the entry, on a line of its own if the entry has one.
func (p *sourcePackage) inserted(e entry, spell spelling, renamed map[string]string) edit {
	element := e.list[e.index]
	start, end := p.offset(element.Pos()), p.offset(element.End())
	within := p.respelled(element, spell, renamed)
	for i := range within {
		within[i].start -= start
		within[i].end -= start
	}
	one := &sourcePackage{text: map[string][]byte{"": p.text[e.file][start:end]}}
	text := string(one.edited("", within))

	next := e.end
	if e.index+1 < len(e.list) {
		next = e.list[e.index+1].Pos()
	}
	between := p.text[e.file][end:p.offset(next)]
	if line := strings.IndexByte(string(between), '\n'); line >= 0 {
		return edit{end + line + 1, end + line + 1, text + ",\n"}
	}
	return edit{end, end, ", " + text}
}

// A spelling puts one tenant's name in another's place, however Go, hosts, databases and variables spell it.
type spelling struct {
	forms map[string]string // kebab-case, snake_case, SNAKE_CASE, camelCase, CamelCase
	snake [2]string         // as it is beside an underscore
	camel [2]string
	upper string // SNAKE_CASE of the old name
	any   *regexp.Regexp
}

func newSpelling(from, to string) spelling {
	s := spelling{
		forms: map[string]string{},
		snake: [2]string{snake(from), snake(to)},
		camel: [2]string{camel(from), camel(to)},
		upper: strings.ToUpper(snake(from)),
	}
	// Of one word the forms are the same, and the later one holds.
	s.forms[s.camel[0]] = s.camel[1]
	s.forms[s.snake[0]] = s.snake[1]
	s.forms[from] = to
	s.forms[capital(s.camel[0])] = capital(s.camel[1])
	s.forms[s.upper] = strings.ToUpper(s.snake[1])
	s.any = regexp.MustCompile(strings.Join(slices.Sorted(maps.Keys(s.forms)), "|"))
	return s
}

func snake(name string) string { return strings.ReplaceAll(name, "-", "_") }

func camel(name string) string {
	words := strings.Split(name, "-")
	for i := range words[1:] {
		words[i+1] = capital(words[i+1])
	}
	return strings.Join(words, "")
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// identifier respells acme, acmeImage and defaultAcme, but not acmes.
func (s spelling) identifier(id string) string {
	ends := func(rest string) bool { return rest == "" || !lowerOrDigit(rest[0]) }
	if rest, ok := strings.CutPrefix(id, s.camel[0]); ok && ends(rest) {
		return s.camel[1] + rest
	}
	old := capital(s.camel[0])
	if i := strings.Index(id, old); i >= 0 && ends(id[i+len(old):]) {
		return id[:i] + capital(s.camel[1]) + id[i+len(old):]
	}
	return id
}

// text respells every word or part of a word that stands between other characters than letters and digits.
// Capitals are a variable's name beside an underscore and an abbreviation elsewhere.
func (s spelling) text(text string) string {
	var out strings.Builder
	at := 0
	for _, m := range s.any.FindAllStringIndex(text, -1) {
		var before, after byte
		if m[0] > 0 {
			before = text[m[0]-1]
		}
		if m[1] < len(text) {
			after = text[m[1]]
		}
		old := text[m[0]:m[1]]
		underscore := before == '_' || after == '_'
		if alphanumeric(before) || alphanumeric(after) || old == s.upper && !underscore && !strings.Contains(old, "_") {
			continue
		}
		to := s.forms[old]
		if old == s.snake[0] && underscore {
			to = s.snake[1]
		}
		out.WriteString(text[at:m[0]] + to)
		at = m[1]
	}
	return out.String() + text[at:]
}

func lowerOrDigit(b byte) bool { return 'a' <= b && b <= 'z' || '0' <= b && b <= '9' }

func alphanumeric(b byte) bool { return lowerOrDigit(b) || 'A' <= b && b <= 'Z' }
