package schema

import (
	"fmt"
	"slices"
	"strings"
)

// markdown writes the page: a section for each group, a table in each section.
func markdown(t *tree) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `# Configuration

Generated from Go package %s: do not edit.

%s

A setting is a field of Go's %s and a variable of the application's environment. Without a value the
application assumes the default; an empty variable is an unset one. A secret stands in its variable or in the file
that the variable with _FILE behind its name names. Under *from*, a preset is what infrastructure writes when the
tenant sets nothing, and a fact is a value of what infrastructure has created: where it is alone, the tenant cannot
set it.
`, code(t.root.typ.PkgPath()), prose(t.root.doc), code(title(t.root.typ)))
	section(&b, t.root, 2)
	return []byte(b.String())
}

// section writes what is in a group: its settings, then the groups in it.
func section(b *strings.Builder, g *group, level int) {
	var rows []string
	for _, n := range g.nodes {
		if n.leaf != nil {
			rows = append(rows, row(n.leaf, n.about(func(n *node) string { return n.field })))
		}
	}
	table(b, rows)
	for _, n := range g.nodes {
		switch {
		case n.group != nil:
			heading(b, level, n.group.path, n.group.doc)
			section(b, n.group, level+1)
		case n.choice != nil:
			heading(b, level, n.choice.goPath, n.choice.doc)
			alternatives(b, n.choice, level+1)
		}
	}
}

func alternatives(b *strings.Builder, c *choice, level int) {
	words := make([]string, len(c.variants))
	for i, v := range c.variants {
		words[i] = title(v.typ)
	}
	if c.Name != "" {
		s := &leaf{Setting: c.Setting, goPath: c.goPath}
		table(b, []string{row(s, "Which of "+strings.Join(words, ", ")+".")})
	} else {
		fmt.Fprintf(b, "\nExactly one of %s must be given.", codes(c.Either))
		if c.Preset != "" {
			fmt.Fprintf(b, " Where the tenant does not choose, it is %s.", title(c.variants[slices.IndexFunc(c.variants, func(v variant) bool { return v.word == c.Preset })].typ))
		}
		b.WriteString("\n")
	}
	for _, v := range c.variants {
		heading(b, level, c.goPath+": "+title(v.typ), v.doc)
		fmt.Fprintf(b, "\nRead when %s.\n", v.condition.markdown())
		section(b, v.group, level+1)
	}
}

func heading(b *strings.Builder, level int, title, doc string) {
	fmt.Fprintf(b, "\n%s %s\n", strings.Repeat("#", min(level, 6)), title)
	if doc != "" {
		fmt.Fprintf(b, "\n%s\n", prose(doc))
	}
}

func table(b *strings.Builder, rows []string) {
	if len(rows) == 0 {
		return
	}
	b.WriteString("\n| variable | field | value | default | from | meaning |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		b.WriteString(r)
	}
}

func row(l *leaf, about string) string {
	value := l.wire()
	if len(l.OneOf) > 0 {
		value = codes(l.OneOf)
	}
	assumed := "none"
	switch {
	case l.Required:
		assumed = "required"
	case l.Default != nil && *l.Default == "":
		assumed = "empty"
	case l.Default != nil:
		assumed = code(*l.Default)
	}
	cells := []string{code(l.Name), code(l.goPath), value, assumed, origin(l), strings.ReplaceAll(prose(about), "\n\n", "<br>")}
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(cell, "|", `\|`)
	}
	return "| " + strings.TrimRight(strings.Join(cells, " | "), " ") + " |\n"
}

// origin is who gives a setting its value.
func origin(l *leaf) string {
	from := "tenant"
	if l.Secret {
		from = "secret source"
	}
	if l.Fact != "" {
		fact := "fact " + code(l.Fact)
		if l.True != "" {
			fact += fmt.Sprintf(" (true: %s, false: %s)", code(l.True), code(l.False))
		}
		if l.Derived {
			return fact
		}
		return from + ", else " + fact
	}
	if l.Preset != "" {
		from += ", else preset " + code(l.Preset)
	}
	return from
}

func (c condition) markdown() string {
	switch {
	case c.witness != nil:
		return code(c.witness.Name) + " is given"
	case c.assumed:
		return code(c.name) + " is " + code(c.word) + " or unset"
	}
	return code(c.name) + " is " + code(c.word)
}

func codes(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = code(word)
	}
	return strings.Join(quoted, ", ")
}

// code writes a code span, fenced by more backticks than are in it.
func code(s string) string {
	if s == "" {
		return ""
	}
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}

// prose writes a Go comment, which knows no markup.
func prose(s string) string {
	return strings.NewReplacer("\n", "\n\n", "<", "&lt;", "*", `\*`, "[", `\[`).Replace(s)
}
