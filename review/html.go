package review

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/verify"
)

var (
	//go:embed page.html
	pageTemplate string
	//go:embed page.css
	pageStyle string
	//go:embed page.js
	pageScript string

	page = template.Must(template.New("page").Funcs(template.FuncMap{
		"visible": visible,
		"title":   title,
		"count":   count,
		"lacks":   lacks,
		"some":    func(names []string) string { return visible(some(names, 5)) },
		"all":     func(names []string) string { return visible(strings.Join(names, ", ")) },
		"means":   func(v Verdict) string { return meanings[v] },
		"named":   func(f Fleet) string { return visible(f.summary(func(names []string) string { return some(names, 5) })) },
		"marked":  marked,
		"breaks":  func(path string) []string { return strings.SplitAfter(visible(path), ".") },
	}).Parse(pageTemplate))
)

// A view is what the page shows.
type view struct {
	Report
	Sections []viewSection
	Verdicts []Verdict // that occur, the worst first
	Kinds    []string
	Names    []string // of all units that change
	Missing  []paste
	Matrices []matrix

	Style  template.CSS
	Script template.JS
	Policy string
}

type viewSection struct {
	Verdict Verdict
	Size    int
	Groups  []viewGroup
}

type viewGroup struct {
	Parties []party
	Outlier bool
	Alike   [][]Change
}

// A paste is what is to be put into one fleet.
type paste struct {
	Fleet   string
	Missing []Missing
	Lines   string
}

// A matrix is who reaches whom in a fleet, before and after.
type matrix struct {
	Fleet   string
	Columns []matrixColumn
	Rows    []matrixRow // those that change first
	Changed int         // rows
}

type matrixColumn struct{ Where, What, Class string }

type matrixRow struct {
	Sender  string
	Changed bool
	Cells   [][]matrixEntry // for each column
}

type matrixEntry struct {
	Place, What       string
	Gone, Come, Stays []string
	Because           []string
}

// WriteHTML writes the report as one page that needs nothing else: no other file, no network, and no script to be
// read. It is complete, with who reaches whom before and after.
func (r Report) WriteHTML(w io.Writer) error {
	v := view{Report: r, Policy: "default-src 'none'; style-src " + hash(pageStyle) + "; script-src " + hash(pageScript) + "; base-uri 'none'; form-action 'none'"}
	v.Style, v.Script = template.CSS(pageStyle), template.JS(pageScript) //nolint:gosec // the two are this package's own files
	for _, s := range r.sections() {
		section := viewSection{Verdict: s.verdict, Size: s.size()}
		for _, g := range s.groups {
			section.Groups = append(section.Groups, viewGroup{g.parties, g.outlier, g.alike()})
		}
		v.Sections = append(v.Sections, section)
		v.Verdicts = append(v.Verdicts, s.verdict)
	}
	for _, c := range r.Changes {
		kind, _, _ := strings.Cut(c.Object, "/")
		v.Kinds = append(v.Kinds, kind)
		v.Names = append(v.Names, c.Units...)
	}
	slices.Sort(v.Kinds)
	v.Kinds = slices.Compact(v.Kinds)
	slices.Sort(v.Names)
	v.Names = slices.Compact(v.Names)
	for _, m := range r.Missing {
		i := slices.IndexFunc(v.Missing, func(p paste) bool { return p.Fleet == m.Fleet })
		if i < 0 {
			i = len(v.Missing)
			v.Missing = append(v.Missing, paste{Fleet: m.Fleet})
		}
		p := &v.Missing[i]
		p.Missing = append(p.Missing, m)
		if m.Line != "" {
			p.Lines += visible(strings.TrimSpace(m.Line)) + "\n"
		}
	}
	for _, f := range r.Fleets {
		if m := f.matrix(); len(m.Rows) > 0 {
			v.Matrices = append(v.Matrices, m)
		}
	}
	var b bytes.Buffer // so that a half-written page never looks like a whole one
	if err := page.Execute(&b, v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// hash names a text in a Content-Security-Policy.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// matrix is who reaches whom, as a table.
func (f Fleet) matrix() matrix {
	rows := f.reach()
	m := matrix{Fleet: f.Name}
	column := func(c cell) matrixColumn {
		to := matrixColumn{c.where, c.what, "declared"}
		switch {
		case c.where == verify.OwnNamespace:
			to.What, to.Class = "", "own"
		case c.where == verify.OtherTenants:
			to.What, to.Class = "", "wrong"
		case c.where == verify.AllTenants:
			to.What = ""
		case c.where == verify.OutsideWorld:
			to.Class = "outside"
		}
		return to
	}
	for _, r := range rows {
		for _, c := range r.cells {
			if to := column(c); !slices.Contains(m.Columns, to) {
				m.Columns = append(m.Columns, to)
			}
		}
	}
	rank := func(c matrixColumn) int {
		return slices.Index([]string{verify.OwnNamespace, verify.OtherTenants, render.PlatformUnit, "", verify.AllTenants, verify.OutsideWorld}, c.Where)
	}
	slices.SortFunc(m.Columns, func(a, b matrixColumn) int {
		other := func(c matrixColumn) int {
			if i := rank(c); i >= 0 {
				return i
			}
			return rank(matrixColumn{})
		}
		return cmp.Or(cmp.Compare(other(a), other(b)), cmp.Compare(a.Where, b.Where), cmp.Compare(a.What, b.What))
	})
	for _, r := range rows {
		row := matrixRow{Sender: r.sender(), Changed: r.changed(), Cells: make([][]matrixEntry, len(m.Columns))}
		for _, c := range r.cells {
			i := slices.Index(m.Columns, column(c))
			e := matrixEntry{Place: c.place(), Gone: c.gone(), Come: c.come(), Stays: c.stays(), Because: c.because}
			if m.Columns[i].What == "" {
				e.What = c.what
			}
			row.Cells[i] = append(row.Cells[i], e)
		}
		if row.Changed {
			m.Changed++
		}
		m.Rows = append(m.Rows, row)
	}
	slices.SortStableFunc(m.Rows, func(a, b matrixRow) int {
		switch {
		case a.Changed == b.Changed:
			return 0
		case a.Changed:
			return -1
		}
		return 1
	})
	return m
}

// A part is a piece of a value.
type part struct {
	Text    string
	Differs bool
}

// marked is a value in pieces, with the words that differ from another value apart; nothing where there is none.
func marked(value, other string) []part {
	value, other = visible(value), visible(other)
	switch {
	case value == "":
		return nil
	case other == "":
		return []part{{value, false}}
	}
	a, b := []rune(value), []rune(other)
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		from++
	}
	end := 0
	for end < len(a)-from && end < len(b)-from && a[len(a)-1-end] == b[len(b)-1-end] {
		end++
	}
	word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	for from > 0 && word(a[from-1]) {
		from--
	}
	for end > 0 && word(a[len(a)-end]) {
		end--
	}
	return []part{{string(a[:from]), false}, {string(a[from : len(a)-end]), true}, {string(a[len(a)-end:]), false}}
}
