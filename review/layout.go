package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A section is the changes of one verdict, as people read them: by who has them.
type section struct {
	verdict Verdict
	groups  []group
	folded  bool
}

// A group is what the same units have in common.
type group struct {
	parties []party
	outlier bool
	changes []Change
}

// A party is units that have the same names in some fleets.
type party struct {
	Fleets []string
	Units  []string
}

// sections are the changes, the worst first. One that several fleets share stands there once.
func (r Report) sections() []section {
	changes := slices.Clone(r.Changes)
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Compare(b.Verdict, a.Verdict) })
	parties := map[string][]party{}
	first := slices.DeleteFunc(changes, func(c Change) bool {
		key := c.key()
		known := parties[key]
		if i := slices.IndexFunc(known, func(p party) bool { return slices.Equal(p.Units, c.Units) }); i >= 0 {
			known[i].Fleets = append(known[i].Fleets, c.Fleet)
		} else {
			parties[key] = append(known, party{[]string{c.Fleet}, c.Units})
		}
		return known != nil
	})
	var list []section
	at := map[string]int{} // a group's index in the last section
	for _, c := range first {
		if n := len(list); n == 0 || list[n-1].verdict != c.Verdict {
			list = append(list, section{verdict: c.Verdict})
			clear(at)
		}
		s := &list[len(list)-1]
		who := parties[c.key()]
		key := fmt.Sprintf("%t %q", c.Outlier, who)
		i, known := at[key]
		if !known {
			i = len(s.groups)
			at[key] = i
			s.groups = append(s.groups, group{parties: who, outlier: c.Outlier})
		}
		s.groups[i].changes = append(s.groups[i].changes, c)
	}
	return list
}

// key is what a change has in common with the same one in another fleet.
func (c Change) key() string {
	c.Fleet, c.Units, c.File = "", nil, ""
	c.Fields = slices.Clone(c.Fields)
	for i := range c.Fields {
		if c.Fields[i].Differs {
			c.Fields[i].Before, c.Fields[i].After = "", ""
		}
	}
	return fmt.Sprintf("%q", []any{c})
}

// alike are the changes of which nothing is to be said but the object, together, and every other one alone.
func (g group) alike() [][]Change {
	bare := func(c Change) bool { return len(c.Fields) == 0 && c.From == "" }
	var list [][]Change
	for i, c := range g.changes {
		if i > 0 && bare(c) && bare(g.changes[i-1]) && c.Action == g.changes[i-1].Action && c.Reason == g.changes[i-1].Reason {
			list[len(list)-1] = append(list[len(list)-1], c)
		} else {
			list = append(list, []Change{c})
		}
	}
	return list
}

// title is who has the changes: "prod: acme".
func (g group) title(most int) string {
	unlike := ""
	if g.outlier {
		unlike = ", unlike most"
	}
	var list []string
	for _, p := range g.parties {
		who := ": " + some(p.Units, most)
		if len(p.Units) != 1 {
			who = ", " + count(len(p.Units), "unit") + who
		}
		list = append(list, some(p.Fleets, 5)+who)
	}
	return strings.Join(list, "; ") + unlike
}

// size is the number of changes.
func (s section) size() int {
	n := 0
	for _, g := range s.groups {
		n += len(g.changes)
	}
	return n
}

// summary is how much of the fleet changes: "500 of 503 units change, 1 is new: wayne". named writes some of the
// names.
func (f Fleet) summary(named func([]string) string) string {
	var parts []string
	if n := len(f.Changed); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %s", n, count(f.Of, "unit"))+plural(n, " changes", " change"))
	}
	if n := len(f.Added); n > 0 {
		parts = append(parts, fmt.Sprint(n)+plural(n, " is new", " are new")+" ("+named(f.Added)+")")
	}
	if n := len(f.Removed); n > 0 {
		parts = append(parts, fmt.Sprint(n)+plural(n, " is removed", " are removed")+" ("+named(f.Removed)+")")
	}
	if n := len(f.Renamed); n > 0 {
		var from, to []string
		for _, r := range f.Renamed {
			from, to = append(from, r.From), append(to, r.To)
		}
		parts = append(parts, fmt.Sprint(n)+plural(n, " is renamed", " are renamed")+" ("+named(from)+" to "+named(to)+")")
	}
	if parts == nil {
		return "no unit changes"
	}
	return strings.Join(parts, ", ")
}

// title is the change without its fields: "Job/migrate-2 renamed from Job/migrate-1".
func (c Change) title() string {
	if c.From != "" && c.From != c.Object {
		return fmt.Sprintf("%s %s from %s", c.Object, c.Action, c.From)
	}
	return fmt.Sprintf("%s %s", c.Object, c.Action)
}

func count(n int, what string) string { return fmt.Sprint(n) + " " + what + plural(n, "", "s") }

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// visible is the text with every character that would move the cursor, turn the direction of writing or not
// be seen written as Go writes it.
func visible(text string) string {
	clean := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if strings.IndexFunc(text, clean) < 0 {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := fmt.Sprintf("%+q", r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[size:]
	}
	return b.String()
}

// shortened is what differs of two long values, each at most so many characters, with a little of what is
// around it.
func shortened(before, after string, most int) (string, string) {
	a, b := []rune(before), []rune(after)
	if len(a) <= most && len(b) <= most {
		return before, after
	}
	from := 0
	for from < len(a) && from < len(b) && a[from] == b[from] {
		from++
	}
	from = max(0, from-most/4)
	cut := func(text []rune) string {
		if len(text) <= most {
			return string(text)
		}
		start := min(from, len(text)-most/2)
		end := min(len(text), start+most)
		short := string(text[start:end])
		if start > 0 {
			short = "…" + short
		}
		if end < len(text) {
			short += "…"
		}
		return short
	}
	return cut(a), cut(b)
}

// some lists at most so many of the words.
func some(words []string, most int) string {
	if len(words) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}
