package review

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tenantMark stands for a tenant's own name, hashMark for the end of a name that is made of its object's content.
const (
	tenantMark = "{tenant}"
	hashMark   = "{hash}"
)

// replaceWord replaces a name where it stands as a word of its own: next to it are neither letters nor digits.
func replaceWord(s, name, by string) string {
	if name == "" || !strings.Contains(s, name) {
		return s
	}
	var out strings.Builder
	last := 0
	for from := 0; ; {
		i := strings.Index(s[from:], name)
		if i < 0 {
			break
		}
		start, end := from+i, from+i+len(name)
		if wordAt(s, start, end) {
			out.WriteString(s[last:start])
			out.WriteString(by)
			last, from = end, end
		} else {
			from = start + 1
		}
	}
	out.WriteString(s[last:])
	return out.String()
}

func wordAt(s string, start, end int) bool {
	return (start == 0 || !isAlphanumeric(rune(s[start-1]))) && (end == len(s) || !isAlphanumeric(rune(s[end])))
}

var hashed = regexp.MustCompile(`^(.+-)[0-9a-f]{8}$`)

// family is the name that all objects share whose names end with a hash of their content.
func family(name string) (string, bool) {
	m := hashed.FindStringSubmatch(name)
	if m == nil {
		return name, false
	}
	return m[1] + hashMark, true
}

// own tells whether a field's value is each unit's own whatever changes: a sum over other things that differ.
func own(object, path string) bool {
	switch {
	case strings.HasSuffix(path, ".annotations[tenantry.dev/checksum]"):
		return true
	case object == "ConfigMap/tenantry-release":
		return path == "data.digest"
	}
	return false
}

// A bundle is a change that is the same in several units.
type bundle struct {
	members []*single
	shape   Change // in the words of any of its units
}

// collapse tells what is the same in several units once, the worst first.
func collapse(all []*single) []Change {
	slices.SortStableFunc(all, func(a, b *single) int { return cmp.Compare(a.unit, b.unit) })
	var groups []*bundle
	index := map[[sha256.Size]byte]*bundle{}
	for _, s := range all {
		shape := shapeOf(s)
		whole := fingerprint(shape)
		g := index[whole]
		if g == nil {
			g = &bundle{shape: shape}
			index[whole] = g
			groups = append(groups, g)
		}
		g.members = append(g.members, s)
	}
	groups = absorb(groups)
	var changes []Change
	for _, g := range groups {
		changes = append(changes, g.change())
	}
	markOutliers(groups, changes)
	slices.SortStableFunc(changes, func(a, b Change) int {
		outlier := func(c Change) int {
			if c.Outlier {
				return 1
			}
			return 0
		}
		return cmp.Or(
			cmp.Compare(b.Verdict, a.Verdict), cmp.Compare(a.Fleet, b.Fleet), cmp.Compare(outlier(a), outlier(b)),
			cmp.Compare(len(b.Units), len(a.Units)), cmp.Compare(a.Object, b.Object), slices.Compare(a.Units, b.Units),
		)
	})
	return changes
}

// each applies f to every text of a change.
func (c Change) each(f func(string) string) Change {
	c.Object, c.File, c.From, c.Reason = f(c.Object), f(c.File), f(c.From), f(c.Reason)
	c.Fields = slices.Clone(c.Fields)
	for i := range c.Fields {
		field := &c.Fields[i]
		field.Path, field.Before, field.After, field.Reason = f(field.Path), f(field.Before), f(field.After), f(field.Reason)
	}
	return c
}

// masked is a change without what is each unit's own: sums over other things that differ, and names made of them.
func (c Change) masked() Change {
	kind, _, _ := strings.Cut(c.Object, "/")
	if kind == "Job" {
		c.File = strings.TrimSuffix(c.File, ".yaml")
		for _, name := range []*string{&c.Object, &c.From, &c.File} {
			*name, _ = family(*name)
		}
		c.File += ".yaml"
	}
	c.Fields = slices.Clone(c.Fields)
	for i := range c.Fields {
		if own(c.Object, c.Fields[i].Path) {
			c.Fields[i].Before, c.Fields[i].After = "", ""
		}
	}
	return c
}

// shapeOf is a change as other units have it too. One that has the marks in its own words stays alone.
func shapeOf(s *single) Change {
	marked := false
	shape := s.masked().each(func(text string) string {
		marked = marked || strings.Contains(text, tenantMark)
		return replaceWord(text, s.unit, tenantMark)
	})
	shape.Units = nil
	if marked {
		shape.Units = s.Units
	}
	return shape
}

// fingerprint tells two changes apart, whichever units they are of.
func fingerprint(c Change) [sha256.Size]byte {
	text := make([]byte, 0, 1024)
	add := func(s string) { text = append(strconv.AppendInt(text, int64(len(s)), 10), s...) }
	for _, s := range []string{c.Fleet, c.Object, c.File, string(c.Action), c.From, c.Verdict.String(), c.Reason, strings.Join(c.Units, " ")} {
		add(s)
	}
	for _, f := range c.Fields {
		for _, s := range []string{f.Path, f.Before, f.After, f.Verdict.String(), f.Reason} {
			add(s)
		}
	}
	return sha256.Sum256(text)
}

// in is the shape in the words of one unit.
func (g *bundle) in(unit string) Change {
	return g.shape.each(func(text string) string { return strings.ReplaceAll(text, tenantMark, unit) })
}

// absorb joins groups that are the same although they don't look it: where a tenant is called api, its Deployment
// api looks as if it were named after the tenant.
func absorb(groups []*bundle) []*bundle {
	type kind struct {
		fleet, kind string
		action      Action
		fields      int
	}
	byKind := map[kind][]*bundle{}
	var order []kind
	for _, g := range groups {
		name, _, _ := strings.Cut(g.shape.Object, "/")
		k := kind{g.shape.Fleet, name, g.shape.Action, len(g.shape.Fields)}
		if byKind[k] == nil {
			order = append(order, k)
		}
		byKind[k] = append(byKind[k], g)
	}
	var out []*bundle
	for _, k := range order {
		list := byKind[k]
		slices.SortStableFunc(list, func(a, b *bundle) int { return cmp.Compare(len(b.members), len(a.members)) })
		var kept []*bundle
		for _, g := range list {
			i := slices.IndexFunc(kept[:min(len(kept), 16)], func(larger *bundle) bool {
				return larger.shape.Units == nil && g.shape.Units == nil && !slices.ContainsFunc(g.members, func(m *single) bool {
					plain := m.masked()
					plain.Units = nil
					return fingerprint(larger.in(m.unit)) != fingerprint(plain)
				})
			})
			if i < 0 {
				kept = append(kept, g)
				continue
			}
			kept[i].members = append(kept[i].members, g.members...)
			slices.SortStableFunc(kept[i].members, func(a, b *single) int { return cmp.Compare(a.unit, b.unit) })
		}
		out = append(out, kept...)
	}
	return out
}

// change is the group as the report tells it.
func (g *bundle) change() Change {
	first := g.members[0]
	if len(g.members) == 1 {
		return first.shortened()
	}
	c := g.shape.each(func(text string) string { return text })
	c.Units = make([]string, len(g.members))
	for i, m := range g.members {
		c.Units[i] = m.unit
	}
	for i := range c.Fields {
		f := &c.Fields[i]
		if !own(c.Object, f.Path) {
			continue
		}
		f.Before, f.After = first.Fields[i].Before, first.Fields[i].After
		f.Differs = slices.ContainsFunc(g.members, func(m *single) bool {
			return m.Fields[i].Before != f.Before || m.Fields[i].After != f.After
		})
	}
	return c.shortened()
}

// markOutliers marks what most units that change an object change in another way.
func markOutliers(groups []*bundle, changes []Change) {
	type key struct{ fleet, object string }
	most, total := map[key]int{}, map[key]int{}
	of := func(g *bundle) key { return key{g.shape.Fleet, g.shape.Object} }
	for _, g := range groups {
		most[of(g)] = max(most[of(g)], len(g.members))
		total[of(g)] += len(g.members)
	}
	for i, g := range groups {
		k := of(g)
		changes[i].Outlier = most[k] > 2 && 2*most[k] > total[k] && len(g.members) < most[k]
	}
}

// longest is how many characters of a value a report shows.
const longest = 400

// shortened is a change whose values are not longer than anybody reads.
func (c Change) shortened() Change {
	c.Fields = slices.Clone(c.Fields)
	for i := range c.Fields {
		f := &c.Fields[i]
		if len(f.Before) <= longest && len(f.After) <= longest {
			continue
		}
		// What both begin with tells nothing.
		common := 0
		for common < len(f.Before) && common < len(f.After) && f.Before[common] == f.After[common] {
			common++
		}
		skip := max(0, common-40)
		f.Before, f.After = shorten(f.Before, skip), shorten(f.After, skip)
	}
	return c
}

// shorten leaves out what a text begins with, and what is too much of its end.
func shorten(s string, skip int) string {
	if s == "" {
		return s
	}
	for skip > 0 && skip < len(s) && !utf8.RuneStart(s[skip]) {
		skip--
	}
	skip = min(skip, len(s))
	end := min(len(s), skip+longest)
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	out := s[skip:end]
	if skip > 0 {
		out = "…" + out
	}
	if end < len(s) {
		out += fmt.Sprintf("… (%d more characters)", utf8.RuneCountInString(s[end:]))
	}
	return out
}
