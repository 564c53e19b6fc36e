package schema

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// runtime is a module of its own: a paragraph of imports, then one for each
// declaration. Of both, a generated module gets what it uses.
//
//go:embed runtime.ts
var runtime string

// effect writes the module: the types, how they are loaded, and the runtime.
func effect(t *tree) []byte {
	w := writer{uses: t.uses, taken: map[string]bool{}, names: map[*group]string{}, shapes: map[string]string{}}
	w.declare(t.root, "")
	load := fmt.Sprintf("/** The settings that the environment holds, or everything that is wrong with it. */\nexport const load: Effect.Effect<%s, ConfigError.ConfigError> = %s\n",
		w.names[t.root], w.load(t.root, "", ""))
	types := slices.DeleteFunc(w.types, func(s string) bool { return s == "" }) // known by another name
	body := strings.Join(types, "\n") + "\n" + load

	imports, declarations, _ := strings.Cut(runtime, "\n\n")
	body += used(declarations, body)
	mentioned := identifiers(body)
	var head strings.Builder
	fmt.Fprintf(&head, "// Generated from Go package %s: do not edit.\n", t.root.typ.PkgPath())
	for line := range strings.Lines(imports) {
		before, list, _ := strings.Cut(line, "{")
		list, after, _ := strings.Cut(list, "}")
		names := slices.DeleteFunc(strings.Split(strings.TrimSpace(list), ", "), func(name string) bool { return !mentioned[name] })
		if len(names) > 0 {
			fmt.Fprintf(&head, "%s{ %s }%s", before, strings.Join(names, ", "), after)
		}
	}
	return []byte(head.String() + "\n\n" + body)
}

var declared = regexp.MustCompile(`(?m)^(?:function|interface|type) (\w+)`)

// used returns the declarations that code mentions and those that these do.
func used(declarations, code string) string {
	paragraphs := strings.Split(strings.TrimSuffix(declarations, "\n"), "\n\n")
	keep := make([]bool, len(paragraphs))
	mentioned := identifiers(code)
	for again := true; again; {
		again = false
		for i, p := range paragraphs {
			if !keep[i] && mentioned[declared.FindStringSubmatch(p)[1]] {
				keep[i], again = true, true
				maps.Copy(mentioned, identifiers(p))
			}
		}
	}
	var b strings.Builder
	for i, p := range paragraphs {
		if keep[i] {
			b.WriteString("\n" + p + "\n")
		}
	}
	return b.String()
}

var (
	noCode     = regexp.MustCompile("(?s)/\\*.*?\\*/|//[^\n]*|\"(?:[^\"\\\\\n]|\\\\.)*\"|`[^`]*`")
	inTemplate = regexp.MustCompile(`\$\{[^}]*\}`)
	identifier = regexp.MustCompile(`\w+`)
)

// identifiers returns the words of code outside of comments and strings.
func identifiers(code string) map[string]bool {
	code = noCode.ReplaceAllStringFunc(code, func(s string) string {
		return " " + strings.Join(inTemplate.FindAllString(s, -1), " ")
	})
	words := map[string]bool{}
	for _, word := range identifier.FindAllString(code, -1) {
		words[word] = true
	}
	return words
}

type writer struct {
	uses   map[reflect.Type]int
	types  []string          // declarations, in order
	taken  map[string]bool   // names of types
	names  map[*group]string // of their types
	shapes map[string]string // name by Go type and body
}

// globals are what a type of the module may not be called.
var globals = strings.Fields(`Config ConfigError Duration Effect Either Option Redacted Parser Bounds
	Array Boolean Function Infinity Map Math NaN Number Object Promise Readonly ReadonlyArray Record RegExp Set String Symbol`)

// name picks a free name for a type: that of the Go type or else its path.
func (w *writer) name(t reflect.Type, path string) string {
	parts := strings.Split(path, ".")
	for i := range parts {
		parts[i] = capital(parts[i])
	}
	path = strings.Join(parts, "")
	first := cmp.Or(title(t), path, "Settings")
	path = cmp.Or(path, first)
	name := capital(first)
	for n := 1; w.taken[name] || slices.Contains(globals, name); n++ {
		name = path
		if n > 1 {
			name += strconv.Itoa(n)
		}
	}
	w.taken[name] = true
	return name
}

// declare writes the type of a group before those of the groups in it, except
// where the same Go type has been written with the same fields.
func (w *writer) declare(g *group, tag string) {
	at := len(w.types)
	w.types = append(w.types, "")
	shared := w.uses[g.typ] > 1
	name := ""
	if !shared {
		name = w.name(g.typ, g.path)
	}
	var b strings.Builder
	if tag != "" {
		fmt.Fprintf(&b, "  readonly _tag: %s\n", quote(tag))
	}
	for _, n := range g.nodes {
		switch {
		case n.leaf != nil:
			facts := ""
			if !shared {
				facts = fmt.Sprintf("`%s`: %s", n.leaf.Name, n.leaf.wire())
				switch {
				case n.leaf.Required:
					facts += ", required"
				case n.leaf.Default != nil:
					facts += ", by default " + cmp.Or(code(*n.leaf.Default), "empty")
				}
			}
			b.WriteString(block("  ", n.about(func(n *node) string { return n.key }), facts))
			fmt.Fprintf(&b, "  readonly %s: %s\n", n.key, typeOf(n.leaf))
		case n.group != nil:
			w.declare(n.group, "")
			fmt.Fprintf(&b, "  readonly %s: %s\n", n.key, w.names[n.group])
		default:
			fmt.Fprintf(&b, "  readonly %s: %s\n", n.key, w.union(n.choice))
		}
	}
	shape := fmt.Sprint(g.typ.PkgPath(), " ", g.typ.String(), "\n", b.String())
	if known, ok := w.shapes[shape]; ok && shared {
		w.names[g] = known
		return // nothing in it was written either
	}
	if shared {
		name = w.name(g.typ, g.path)
	}
	w.names[g], w.shapes[shape] = name, name
	w.types[at] = block("", g.doc) + "export interface " + name + " {\n" + b.String() + "}\n"
}

func (w *writer) union(c *choice) string {
	at := len(w.types)
	w.types = append(w.types, "")
	name := w.name(c.typ, c.goPath)
	var variants []string
	for _, v := range c.variants {
		w.declare(v.group, title(v.typ))
		variants = append(variants, w.names[v.group])
	}
	w.types[at] = block("", c.doc) + "export type " + name + " = " + strings.Join(variants, " | ") + "\n"
	return name
}

// load writes how a group is loaded.
func (w *writer) load(g *group, tag, indent string) string {
	// A Config reads variables that are known beforehand; a choice needs more.
	open, end := "Config.all({", "})"
	if choosing(g) {
		open, end = "Effect.all({", "}, { mode: \"validate\" }).pipe(Effect.mapError(together))"
	}
	inner := indent + "  "
	var lines []string
	if tag != "" {
		lines = append(lines, fmt.Sprintf("%s_tag: Config.succeed(%s as const)", inner, quote(tag)))
	}
	for _, n := range g.nodes {
		var read string
		switch {
		case n.leaf != nil:
			read = readerOf(n.leaf)
		case n.group != nil:
			read = w.load(n.group, "", inner)
		default:
			read = w.choice(n.choice, inner)
		}
		lines = append(lines, inner+n.key+": "+read)
	}
	if len(lines) == 0 {
		return open + end
	}
	return open + "\n" + strings.Join(lines, ",\n") + "\n" + indent + end
}

func choosing(g *group) bool {
	return slices.ContainsFunc(g.nodes, func(n *node) bool { return n.choice != nil || n.group != nil && choosing(n.group) })
}

func (w *writer) choice(c *choice, indent string) string {
	inner := indent + "  "
	var lines []string
	for _, v := range c.variants {
		if c.Name == "" {
			var given []string
			for _, name := range v.witness.variables() {
				given = append(given, quote(name))
			}
			lines = append(lines, fmt.Sprintf("%s{\n%s  given: [%s],\n%s  read: %s\n%s}", inner, inner, strings.Join(given, ", "),
				inner, w.load(v.group, title(v.typ), inner+"  "), inner))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s%s: %s", inner, quote(v.word), w.load(v.group, title(v.typ), inner)))
	}
	body := "\n" + strings.Join(lines, ",\n") + "\n" + indent
	union := make([]string, len(c.variants))
	for i, v := range c.variants {
		union[i] = w.names[v.group]
	}
	if c.Name == "" {
		return fmt.Sprintf("exactlyOne<%s>([%s])", strings.Join(union, " | "), body)
	}
	otherwise := "undefined"
	if c.Default != nil {
		otherwise = quote(*c.Default)
	}
	return fmt.Sprintf("choice<%s>(%s, %s, {%s})", strings.Join(union, " | "), quote(c.Name), otherwise, body)
}

func typeOf(l *leaf) string {
	var t string
	switch {
	case l.Secret:
		t = "Redacted.Redacted"
	case len(l.OneOf) > 0:
		words := make([]string, len(l.OneOf))
		for i, word := range l.OneOf {
			words[i] = quote(word)
		}
		t = strings.Join(words, " | ")
	case l.Type == "boolean":
		t = "boolean"
	case l.typ == durationType:
		t = "Duration.Duration"
	case l.Type == "integer", l.Type == "number":
		t = "number"
	default:
		t = "string"
	}
	if l.optional() {
		return "Option.Option<" + t + ">"
	}
	return t
}

// readerOf writes how a leaf is read.
func readerOf(l *leaf) string {
	name := quote(l.Name)
	switch {
	case l.Secret && l.Required:
		return "requiredSecret(" + name + ")"
	case l.Secret:
		return "optionalSecret(" + name + ")"
	case l.Required:
		return "required(" + name + ", " + parserOf(l) + ")"
	case l.optional():
		return "optional(" + name + ", " + parserOf(l) + ")"
	}
	return "defaulted(" + name + ", " + quote(*l.Default) + ", " + parserOf(l) + ")"
}

func parserOf(l *leaf) string {
	var args []string
	switch {
	case len(l.OneOf) > 0:
		for _, word := range l.OneOf {
			args = append(args, quote(word))
		}
		return "oneOf(" + strings.Join(args, ", ") + ")"
	case l.typ == durationType:
		args = append(args, quote(l.Unit))
	case l.Type == "boolean", l.Type == "cron":
		return l.Type
	case l.Type == "string":
		return "text"
	}
	if bounds := boundsOf(l); len(bounds) > 0 {
		args = append(args, "{ "+strings.Join(bounds, ", ")+" }")
	}
	name := l.Type
	if l.typ == durationType {
		name = "duration"
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

func boundsOf(l *leaf) (bounds []string) {
	low, high := l.limits()
	if low != nil {
		bounds = append(bounds, "min: "+decimal(*low))
	}
	if high != nil {
		bounds = append(bounds, "max: "+decimal(*high))
	}
	if l.unsigned() {
		bounds = append(bounds, "unsigned: true")
	}
	return bounds
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func capital(name string) string {
	first, size := utf8.DecodeRuneInString(name)
	return string(unicode.ToUpper(first)) + name[size:]
}

// quote writes a JavaScript string.
func quote(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always can be
	return strings.TrimSuffix(b.String(), "\n")
}

// block writes a doc comment of paragraphs, nothing when all are empty.
func block(indent string, paragraphs ...string) string {
	paragraphs = slices.DeleteFunc(strings.Split(strings.Join(paragraphs, "\n"), "\n"), func(p string) bool { return p == "" })
	if len(paragraphs) == 0 {
		return ""
	}
	var lines []string
	for i, p := range paragraphs {
		if i > 0 {
			lines = append(lines, "")
		}
		line := ""
		for word := range strings.FieldsSeq(strings.ReplaceAll(p, "*/", "*\\/")) {
			if line != "" && len(indent)+len(line)+len(word) > 100 {
				lines, line = append(lines, line), ""
			}
			line = strings.TrimSpace(line + " " + word)
		}
		lines = append(lines, line)
	}
	if len(lines) == 1 {
		return indent + "/** " + lines[0] + " */\n"
	}
	var b strings.Builder
	b.WriteString(indent + "/**\n")
	for _, line := range lines {
		b.WriteString(strings.TrimRight(indent+" * "+line, " ") + "\n")
	}
	b.WriteString(indent + " */\n")
	return b.String()
}
