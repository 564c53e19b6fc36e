package review

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// columns of a terminal.
const columns = 100

// Colours of a terminal.
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

// colours of the verdicts, in their order.
var colours = []string{green, yellow, yellow, yellow, yellow, red, red}

// WriteText writes the report for a terminal: the verdict, what is to be acknowledged, and the changes, the worst
// first. Long values are cut to what differs. With color it is coloured.
func (r Report) WriteText(w io.Writer, color bool) error {
	t := text{color: color}
	if len(r.Fleets) == 0 && len(r.Changes) == 0 {
		t.line(0, "nothing changes")
	} else {
		t.line(0, "%s", t.paint(strings.ToUpper(r.Verdict.String()), bold, colours[r.Verdict]))
		for _, f := range r.Fleets {
			summary := f.summary(func(names []string) string { return some(names, 5) })
			t.prose(1, f.Name+", "+f.Verdict.String()+": "+summary)
		}
	}
	t.missing(r.Missing)
	for _, s := range r.sections() {
		t.line(0, "")
		t.line(0, "%s: %s", t.paint(s.verdict.String(), bold, colours[s.verdict]), count(s.size(), "change"))
		for _, g := range s.groups {
			t.prose(1, g.title(8), bold)
			reason := ""
			for _, alike := range g.alike() {
				t.changes(alike, reason)
				reason = alike[0].Reason
			}
		}
	}
	t.list("acknowledged", r.Acknowledged)
	t.list("acknowledged, and covers nothing here", r.Leftover)
	_, err := io.WriteString(w, t.b.String())
	return err
}

type text struct {
	b     strings.Builder
	color bool
}

func (t *text) line(indent int, format string, args ...any) {
	t.b.WriteString(strings.TrimRight(strings.Repeat("  ", indent)+fmt.Sprintf(format, args...), " ") + "\n")
}

func (t *text) paint(s string, codes ...string) string {
	if !t.color {
		return s
	}
	return "\x1b[" + strings.Join(codes, ";") + "m" + s + "\x1b[0m"
}

// prose writes words in lines of at most so many columns.
func (t *text) prose(indent int, words string, codes ...string) {
	line := ""
	for word := range strings.FieldsSeq(visible(words)) {
		switch {
		case line == "":
			line = word
		case 2*indent+utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > columns:
			t.line(indent, "%s", t.paint(line, codes...))
			line = "  " + word
		default:
			line += " " + word
		}
	}
	if line != "" {
		t.line(indent, "%s", t.paint(line, codes...))
	}
}

// missing says what to write.
func (t *text) missing(list []Missing) {
	if len(list) == 0 {
		return
	}
	t.line(0, "")
	t.line(0, "%s", t.paint(lacks(list), bold, red))
	fleet := ""
	for _, m := range list {
		if m.Line != "" && m.Fleet != fleet {
			fleet = m.Fleet
			t.prose(1, "Take the change back, or have it reviewed: put this into Acknowledged of the fleet "+fleet+" in tenants/")
		}
		t.line(2, "%s", cmp.Or(strings.TrimSpace(visible(m.Line)), visible(m.Fleet+": "+m.Object)+": nothing permits this"))
		t.prose(3, m.Why)
	}
}

// list writes acknowledgements that there are.
func (t *text) list(what string, list []Missing) {
	if len(list) == 0 {
		return
	}
	t.line(0, "")
	t.line(0, "%s", t.paint(what, bold))
	for _, m := range list {
		t.prose(1, fmt.Sprintf("%s: %s %s: %s", m.Fleet, m.Object, strings.ToLower(m.Loss), m.Why))
	}
}

// changes writes one change, or several that are alike; told is the reason of the one before.
func (t *text) changes(alike []Change, told string) {
	c := alike[0]
	if len(alike) > 1 {
		var objects []string
		for _, c := range alike {
			objects = append(objects, c.Object)
		}
		t.prose(2, fmt.Sprintf("%s: %s", c.Action, strings.Join(objects, ", ")))
	} else {
		t.prose(2, c.title())
	}
	if c.Reason != told {
		t.prose(3, c.Reason)
	}
	for _, f := range c.Fields {
		t.field(f, c.Reason)
	}
}

func (t *text) field(f Field, reason string) {
	before, after := shortened(visible(f.Before), visible(f.After), columns-12)
	path, own := visible(f.Path), ""
	if f.Differs {
		own = " (each unit its own)"
	}
	switch {
	case before == "" || after == "":
		mark, code := "+", green
		if after == "" {
			mark, code = "-", red
		}
		t.line(3, "%s %s: %s%s", t.paint(mark, code), path, before+after, own)
	case utf8.RuneCountInString(path+before+after+own)+14 <= columns:
		t.line(3, "%s %s: %s → %s%s", t.paint("~", yellow), path, t.paint(before, red), t.paint(after, green), own)
	default:
		t.line(3, "%s %s:%s", t.paint("~", yellow), path, own)
		t.line(5, "%s", t.paint("- "+before, red))
		t.line(5, "%s", t.paint("+ "+after, green))
	}
	if f.Reason != "" && f.Reason != reason {
		t.prose(5, f.Verdict.String()+": "+f.Reason, faint)
	}
}
