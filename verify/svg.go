package verify

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tenantry/tenantry/render"
)

// A column of the picture is what is reached.
type column struct {
	where, what string // what is empty where the cells name it
	width       int
}

// Sizes of the picture, in its own units.
const (
	nameWidth  = 230
	lineHeight = 16
	cellMargin = 8
	headHeight = 46
)

const svgStyle = `
svg { font: 12px system-ui, sans-serif; color-scheme: light dark; --ink: #1b1f24; --faint: #767f89; --line: #d7dce1; --page: #ffffff; --band: #f2f4f6;
  --own: #e6eaee; --declared: #d9e8fb; --outside: #dcf1e0; --guarded: #fbedcc; --wrong: #fbd5d3; }
@media (prefers-color-scheme: dark) { svg { --ink: #e4e8ec; --faint: #8b949e; --line: #31373e; --page: #0e1116; --band: #181d23;
  --own: #262c33; --declared: #14304f; --outside: #14371f; --guarded: #423312; --wrong: #5a1d1f; } }
text { fill: var(--ink); } .faint { fill: var(--faint); } .bold { font-weight: 600; } .title { font-size: 16px; font-weight: 600; }
.page { fill: var(--page); } .band { fill: var(--band); } line { stroke: var(--line); }
.own { fill: var(--own); } .declared { fill: var(--declared); } .outside { fill: var(--outside); } .guarded { fill: var(--guarded); } .wrong { fill: var(--wrong); }
`

// columns are all that some sender reaches, and always those that nobody should.
func (r Reachability) columns() []column {
	list := []column{{OwnNamespace, "", 170}, {OtherTenants, "", 120}}
	var platform, others, tenants []column
	for _, s := range r.Senders {
		for _, to := range s.Reaches {
			c := column{to.Where, to.What, 110}
			group := &others
			switch to.Where {
			case OwnNamespace, OtherTenants, OutsideWorld:
				continue
			case AllTenants:
				c, group = column{AllTenants, "", 190}, &tenants
			case render.PlatformUnit:
				group = &platform
			}
			if !slices.Contains(*group, c) {
				*group = append(*group, c)
			}
		}
	}
	byName := func(a, b column) int { return strings.Compare(a.where+" "+a.what, b.where+" "+b.what) }
	slices.SortFunc(platform, byName)
	slices.SortFunc(others, byName)
	list = slices.Concat(list, platform, others, tenants)
	for _, kind := range addressKinds {
		list = append(list, column{OutsideWorld, kind.name, 120})
	}
	return list
}

// class is the colour of what is reached.
func (c column) class() string {
	switch {
	case c.where == OwnNamespace:
		return "own"
	case c.where == OtherTenants, c.what == "metadata":
		return "wrong"
	case c.what == "API servers", c.what == "private":
		return "guarded"
	case c.where == OutsideWorld:
		return "outside"
	}
	return "declared"
}

// cell is the lines that say what a sender reaches in a column, and the reasons for it.
func (c column) cell(s Sender) (lines, because []string) {
	for _, to := range s.Reaches {
		if to.Where != c.where || c.what != "" && to.What != c.what {
			continue
		}
		line := to.traffic.short()
		if c.what == "" {
			line = to.What + " " + line
		}
		if len(to.Tenants) > 0 {
			line += fmt.Sprintf(" (%d)", len(to.Tenants))
		}
		lines = append(lines, fold(line, c.width/7)...)
		reason := to.String() + ": " + to.Traffic
		if len(to.Because) > 0 {
			reason += ", by " + strings.Join(to.Because, ", ")
		}
		because = append(because, reason)
	}
	return lines, because
}

// short is String without what a reader of a narrow cell knows.
func (t traffic) short() string {
	text := t.String()
	if rest, only := strings.CutPrefix(text, "TCP "); only && !strings.Contains(rest, ";") {
		return rest
	}
	if slices.Equal(t[tcp], t[udp]) && len(t[sctp]) == 0 {
		return strings.TrimPrefix(traffic{tcp: t[tcp]}.String(), "TCP ") + " TCP+UDP"
	}
	return text
}

// fold breaks text into lines of about so many characters.
func fold(text string, width int) []string {
	var lines []string
	for word := range strings.FieldsSeq(text) {
		if n := len(lines); n > 0 && utf8.RuneCountInString(lines[n-1])+1+utf8.RuneCountInString(word) <= width {
			lines[n-1] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	return lines
}

// WriteSVG draws the reachability: a row for each sender, a column for all that is reached, in each cell the
// ports, TCP where nothing else is said. It follows the reader's light or dark colours.
func (r Reachability) WriteSVG(w io.Writer) error {
	columns := r.columns()
	width := nameWidth
	for _, c := range columns {
		width += c.width
	}
	var body strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&body, format+"\n", args...) }
	text := func(x, y int, class, s string) {
		put(`<text x="%d" y="%d" class="%s">%s</text>`, x, y, class, html.EscapeString(s))
	}
	text(cellMargin, 26, "title", "Who reaches whom in "+r.Fleet)
	text(cellMargin, 46, "faint", "Ports are TCP unless said otherwise. (n) counts tenants. A pod and its own node always reach each other.")

	y := 60
	x := nameWidth
	for _, c := range columns {
		head := []string{c.where}
		if c.what != "" {
			head = append(fold(c.what, c.width/7), c.where)
			if len(head) > 3 {
				head = append(head[:2], c.where)
			}
		}
		for i, line := range head {
			text(x+cellMargin, y+cellMargin+(i+1)*14-4, map[bool]string{true: "bold", false: "faint"}[i < max(1, len(head)-1)], line)
		}
		x += c.width
	}
	y += headHeight + cellMargin

	previous := ""
	for _, s := range r.Senders {
		owner := s.Namespace
		switch {
		case len(s.Tenants) == 1:
			owner = "tenant " + s.Tenants[0]
		case len(s.Tenants) > 1:
			owner = fmt.Sprintf("%d tenants: %s", len(s.Tenants), some(s.Tenants, 6))
		case s.Addresses != "":
			owner = OutsideWorld
		}
		if owner != previous {
			put(`<rect class="band" x="0" y="%d" width="%d" height="24"/>`, y, width)
			text(cellMargin, y+16, "bold", owner)
			y += 24
			previous = owner
		}
		name := s.Addresses
		if name == "" {
			name = strings.Join(s.Pods, ", ")
		}
		names := fold(name, nameWidth/7)
		most := len(names)
		for _, c := range columns {
			lines, _ := c.cell(s)
			most = max(most, len(lines))
		}
		height := most*lineHeight + cellMargin
		for i, line := range names {
			text(cellMargin*2, y+(i+1)*lineHeight, "", line)
		}
		x := nameWidth
		for _, c := range columns {
			lines, because := c.cell(s)
			if len(lines) > 0 {
				put(`<g><title>%s</title><rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="3"/>`, html.EscapeString(strings.Join(because, "\n")), c.class(), x+2, y+2, c.width-4, height-4)
				for i, line := range lines {
					text(x+cellMargin, y+(i+1)*lineHeight, "", line)
				}
				put("</g>")
			} else if c.class() == "wrong" && (len(s.Tenants) > 0 || s.Namespace == render.PlatformUnit && c.where == OutsideWorld) {
				text(x+cellMargin, y+lineHeight, "faint", "–")
			}
			x += c.width
		}
		y += height
		put(`<line x1="0" x2="%d" y1="%d" y2="%d"/>`, width, y, y)
	}
	_, err := fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="Who reaches whom in %s">
<style>%s</style>
<rect class="page" width="100%%" height="100%%"/>
%s</svg>
`, width, y+cellMargin, width, y+cellMargin, html.EscapeString(r.Fleet), svgStyle, body.String())
	return err
}
