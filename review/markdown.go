package review

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// GitHub takes comments of 65,536 characters. What it counts is not said, so bytes are counted here, of which
// there are never fewer.
const (
	commentSize  = 60_000
	linesSize    = 20_000 // of it, for the lines that are to be pasted
	unitsSize    = 14_000 // of it, for lists of all the units of a change
	fleetsSize   = 8_000  // of it, for what is said of fleets
	reasonsSize  = 6_000  // of it, for what happens without acknowledgements, and why there are some
	leftoverSize = 2_000  // of it, for acknowledgements that nothing needs
)

// How much of one thing is shown where there is much of it.
const (
	openChanges = 10 // of a verdict; the others are folded
	mostItems   = 20
	mostReach   = 40 // lines of who reaches whom
	mostParties = 5  // fleets of one change
	mostFields  = 12
	mostValue   = 240 // characters of a value
	mostWords   = 600 // characters of a reason
	mostName    = 100 // characters of a name or a path
)

// WriteMarkdown writes the report as a comment on a pull request, of at most 60,000 bytes. The verdict, what is to
// be acknowledged and the worst changes come first and stay; how much is left out is said at the end, with rest,
// which names the place of the whole report. rest is Markdown and the caller's own; all that comes from the
// compared objects is shown as code, where it can mean nothing else.
func (r Report) WriteMarkdown(w io.Writer, rest string) error {
	m := &markdown{rest: cmp.Or(rest, "the page that `gen diff -format html` writes"), size: commentSize - len(rest) - leftoverSize - 1_000, listed: map[string]bool{}}
	if len(r.Fleets) == 0 && len(r.Changes) == 0 {
		m.line("## Nothing changes\n")
		_, err := io.WriteString(w, m.b.String())
		return err
	}
	m.line("## " + title(r.Verdict.String()) + "\n")
	sections := r.sections()
	m.line(title(meanings[r.Verdict]) + ". " + tally(sections) + "\n")
	m.fleets(r.Fleets)
	m.missing(r.Missing)
	m.acknowledged(r.Acknowledged)
	m.reach(r.Fleets)
	left := m.sections(sections)
	m.leftover(r.Leftover)
	switch {
	case left != "":
		m.line("**Not shown here: " + left + ".** All of it: " + m.rest)
	case rest != "":
		m.line("The same, complete and searchable: " + rest)
	}
	_, err := io.WriteString(w, m.b.String())
	return err
}

// meanings say what the verdicts mean, in their order.
var meanings = []string{
	"nobody notices",
	"pods are replaced one after the other, and others serve meanwhile",
	"something that serves is away for a moment",
	"an object is deleted and made again; it holds no data",
	"who reaches a tenant from outside changes, or by which name or certificate",
	"something reaches or may do what it did not before",
	"data may be lost",
}

// tally is how many changes there are of each verdict.
func tally(sections []section) string {
	var parts []string
	all := 0
	for _, s := range sections {
		all += s.size()
		parts = append(parts, fmt.Sprintf("%d %s", s.size(), s.verdict))
	}
	if len(parts) < 2 {
		return "**" + count(all, "change") + "**"
	}
	return "**" + count(all, "change") + ":** " + strings.Join(parts, ", ")
}

type markdown struct {
	b      strings.Builder
	rest   string
	size   int             // of all
	lists  int             // of the lists of units so far
	listed map[string]bool // such lists that stand already
}

func (m *markdown) line(text string) { m.b.WriteString(text + "\n") }

func (m *markdown) fleets(fleets []Fleet) {
	fleets = slices.Clone(fleets)
	slices.SortStableFunc(fleets, func(a, b Fleet) int { return int(b.Verdict) - int(a.Verdict) })
	var items []string
	for _, f := range fleets {
		items = append(items, "**"+code(f.Name)+"** "+f.Verdict.String()+": "+f.summary(func(names []string) string { return someCode(names, 5) }))
	}
	m.list("", items, "fleets, none of them worse", fleetsSize)
	m.line("")
}

// list writes items as long as there is room for them, and how many there are beyond.
func (m *markdown) list(prefix string, items []string, more string, room int) {
	for i, item := range items {
		if room -= len(item); i == mostItems || room < 0 {
			m.line(prefix + fmt.Sprintf("- and %d more %s", len(items)-i, more))
			return
		}
		m.line(prefix + "- " + item)
	}
}

// missing says what to write, or to take back.
func (m *markdown) missing(list []Missing) {
	if len(list) == 0 {
		return
	}
	m.line("> [!CAUTION]")
	m.line("> **" + lacks(list) + ": this must not be deployed.**")
	m.list("> ", reasons(list, true), "reasons", reasonsSize)
	lines, left, room := map[string][]string{}, 0, linesSize
	var fleets []string
	for _, l := range list {
		line := visible(strings.TrimSpace(l.Line))
		if line == "" {
			continue
		}
		if lines[l.Fleet] == nil {
			room -= 4*mostName + 200 // what stands around them
		}
		if room -= len(line) + len("> \n"); room < 0 {
			left++
			continue
		}
		if lines[l.Fleet] == nil {
			fleets = append(fleets, l.Fleet)
		}
		lines[l.Fleet] = append(lines[l.Fleet], line)
	}
	for len(fleets) > 0 {
		same := slices.DeleteFunc(slices.Clone(fleets), func(f string) bool { return !slices.Equal(lines[f], lines[fleets[0]]) })
		m.line(">\n> Take the change back, or have it reviewed: put into `Acknowledged` of the " + plural(len(same), "fleet ", "fleets ") +
			someCode(same, 20) + " in `tenants/`, with the reason\n>")
		m.line(quoted("> ", fence("go", lines[fleets[0]])))
		fleets = slices.DeleteFunc(fleets, func(f string) bool { return slices.Contains(same, f) })
	}
	if left > 0 {
		m.line(fmt.Sprintf(">\n> and %d more lines like these: %s", left, m.rest))
	}
	m.line("")
}

func (m *markdown) acknowledged(list []Missing) {
	if len(list) == 0 {
		return
	}
	m.line("> [!WARNING]")
	m.line("> **" + count(len(list), "danger") + plural(len(list), " is", " are") + " acknowledged in `tenants/`.**")
	m.list("> ", reasons(list, false), "reasons", reasonsSize)
	m.line("")
}

func (m *markdown) leftover(list []Missing) {
	if len(list) == 0 {
		return
	}
	m.line("**" + count(len(list), "acknowledgement") + plural(len(list), " covers", " cover") + " nothing here**, and can go once deployed:\n")
	m.list("", reasons(list, false), "of them", leftoverSize)
	m.line("")
}

// reasons tells of acknowledgements, in one sentence of those that differ by fleet or namespace only. refusable are
// those that may have no line.
func reasons(list []Missing, refusable bool) []string {
	type reason struct {
		object, loss, why string
		permitted, named  bool
	}
	type objects struct{ names, fleets []string }
	all := map[reason]*objects{}
	var order []reason
	for _, l := range list {
		key := reason{l.Object, l.Loss, l.Why, l.Line != "" || !refusable, false}
		name := ""
		if parts := strings.SplitN(l.Object, "/", 3); len(parts) == 3 {
			name, key.object = parts[0], parts[1]+"/"+parts[2]
		} else if len(parts) == 2 {
			name, key.object, key.named = parts[1], parts[0], true
		}
		o := all[key]
		if o == nil {
			o = &objects{}
			all[key] = o
			order = append(order, key)
		}
		if !slices.Contains(o.fleets, l.Fleet) {
			o.fleets = append(o.fleets, l.Fleet)
		}
		if !slices.Contains(o.names, name) {
			o.names = append(o.names, name)
		}
	}
	var sentences []string
	for _, key := range order {
		o := all[key]
		of := " of "
		if key.named {
			of = " "
		}
		what := code(key.object) + of + someCode(o.names, 5) + " in " + someCode(o.fleets, 5)
		if key.loss != "" {
			what += " (" + prose(strings.ToLower(clip(key.loss, mostName))) + ")"
		}
		if !key.permitted {
			what += ", **which nothing permits**"
		}
		sentences = append(sentences, what+": "+prose(key.why))
	}
	return sentences
}

// reach says who reaches whom otherwise than before.
func (m *markdown) reach(fleets []Fleet) {
	names := map[string][]string{} // of the fleets, by what changes in them
	var order []string
	for _, f := range fleets {
		var lines []string
		for _, r := range f.reach() {
			if !r.changed() || len(r.tenants) > 0 && !slices.ContainsFunc(r.tenants, func(t string) bool { return !f.moves(t) }) {
				continue
			}
			lines = append(lines, "  "+r.sender())
			for _, c := range r.cells {
				for _, traffic := range c.gone() {
					lines = append(lines, "- "+c.place()+": "+traffic)
				}
				for _, traffic := range c.come() {
					lines = append(lines, "+ "+c.place()+": "+traffic)
				}
			}
		}
		if len(lines) == 0 {
			continue
		}
		if n := len(lines); n > mostReach {
			lines = append(lines[:mostReach:mostReach], fmt.Sprintf("  # and %d more lines", n-mostReach))
		}
		text := fence("diff", clipped(lines)) + "\n"
		if names[text] == nil {
			order = append(order, text)
		}
		names[text] = append(names[text], f.Name)
	}
	for _, text := range order {
		text = "### Who reaches whom in " + someCode(names[text], 5) + "\n\n" + text
		if len(text) <= m.size/8 && m.b.Len()+len(text) <= m.size/2 {
			m.line(text)
		}
	}
}

// sections writes the changes as far as there is room, and returns what is left out.
func (m *markdown) sections(sections []section) (left string) {
	var parts []string
	full := false
	for _, s := range sections {
		shown := 0
		for _, part := range s.parts(len(sections) == 1) {
			if !full {
				var n int
				n, full = m.section(part)
				shown += n
			}
		}
		if n := s.size() - shown; n > 0 {
			parts = append(parts, count(n, "change")+" of the verdict "+s.verdict.String())
		}
	}
	return strings.Join(parts, ", ")
}

// parts are the outliers and what is folded, of a section that is harmless beside others; else the section.
func (s section) parts(only bool) []section {
	if s.verdict != NothingRestarts || only {
		return []section{s}
	}
	outliers, rest := section{verdict: s.verdict}, section{verdict: s.verdict, folded: true}
	for _, g := range s.groups {
		if g.outlier {
			outliers.groups = append(outliers.groups, g)
		} else {
			rest.groups = append(rest.groups, g)
		}
	}
	return slices.DeleteFunc([]section{outliers, rest}, func(s section) bool { return len(s.groups) == 0 })
}

// section writes the changes of one verdict as far as there is room. It returns how many it has written, and
// whether there is no more room.
func (m *markdown) section(s section) (shown int, full bool) {
	folded := s.folded
	pending := "### " + title(s.verdict.String()) + ": " + count(s.size(), "change") + "\n\n"
	if folded {
		pending = summary("<b>" + title(s.verdict.String()) + "</b>: " + count(s.size(), "change"))
	}
	defer func() {
		if folded && pending == "" {
			m.line("</details>\n")
		}
	}()
	told := ""
	for _, g := range s.groups {
		head := m.head(g)
		for _, alike := range g.alike() {
			if shown >= openChanges && !folded {
				pending = summary(fmt.Sprintf("%d more", s.size()-shown))
				folded = true
			}
			text := pending + head + changes(alike, told)
			if m.b.Len()+len(text) > m.size*3/4 {
				text = pending + head + titles(alike) + "\n"
			}
			if m.b.Len()+len(text) > m.size {
				return shown, true
			}
			m.line(text)
			shown += len(alike)
			pending, head, told = "", "", alike[0].Reason
		}
	}
	return shown, false
}

// head says who has the changes of a group. It unfolds to all the units where they are many and there is room.
func (m *markdown) head(g group) string {
	var short, tagged, all []string
	for _, p := range g.parties {
		in := " in " + someCode(p.Fleets, 5)
		tags := " in " + strings.Join(mapped(p.Fleets[:min(5, len(p.Fleets))], tag), ", ")
		n := len(p.Units)
		if n == 1 {
			short = append(short, "**"+code(p.Units[0])+"**"+in)
			tagged = append(tagged, "<b>"+tag(p.Units[0])+"</b>"+tags)
			continue
		}
		what := count(n, "unit")
		short = append(short, "**"+what+"**"+in+": "+someCode(p.Units, 3))
		tagged = append(tagged, "<b>"+what+"</b>"+tags)
		if n > 4 {
			tagged[len(tagged)-1] += fmt.Sprintf(": %s and %d more", strings.Join(mapped(p.Units[:3], tag), ", "), n-3)
		}
		if names := visible(strings.Join(p.Units, ", ")); n > 4 && !slices.Contains(all, names) {
			all = append(all, names)
		}
	}
	unlike := ""
	if g.outlier {
		unlike = ", unlike most"
	}
	key := strings.Join(all, "\x00")
	size := len(key) + 200
	if all == nil || m.listed[key] || len(short) > mostParties || m.lists+size > unitsSize {
		if n := len(short); n > mostParties {
			short = append(short[:mostParties:mostParties], fmt.Sprintf("%d more fleets", n-mostParties))
		}
		return strings.Join(short, "; ") + unlike + "\n\n"
	}
	m.listed[key] = true
	m.lists += size
	for i := range all {
		all[i] = span(all[i])
	}
	return summary(strings.Join(tagged, "; ")+unlike) + strings.Join(all, "\n\n") + "\n\n</details>\n\n"
}

// mapped is f of each word.
func mapped(list []string, f func(string) string) []string {
	var all []string
	for _, s := range list {
		all = append(all, f(s))
	}
	return all
}

// tag is the text as code, in HTML.
func tag(text string) string {
	return "<code>" + html.EscapeString(clip(visible(text), mostName)) + "</code>"
}

// changes writes one change, or several that are alike; told is the reason of the one before.
func changes(alike []Change, told string) string {
	c := alike[0]
	text := titles(alike)
	if c.Reason != "" && c.Reason != told {
		text += ": " + prose(c.Reason)
	}
	text += "\n"
	if len(c.Fields) > 0 {
		text += "\n" + fence("diff", c.diff()) + "\n"
	}
	return text
}

// titles names changes that are alike.
func titles(alike []Change) string {
	if len(alike) == 1 {
		c := alike[0]
		text := code(c.Object) + " " + string(c.Action)
		if c.From != "" && c.From != c.Object {
			text += " from " + code(c.From)
		}
		return text
	}
	var objects []string
	for _, c := range alike {
		objects = append(objects, c.Object)
	}
	return title(string(alike[0].Action)) + " " + someCode(objects, 50)
}

// diff is the fields of a change as lines of a diff, the worst first where not all are shown. Fields beside one another that
// change alike have their values once, below them.
func (c Change) diff() []string {
	fields := c.Fields
	if len(fields) > mostFields {
		fields = slices.Clone(fields)
		slices.SortStableFunc(fields, func(a, b Field) int { return int(b.Verdict) - int(a.Verdict) })
		fields = fields[:mostFields]
	}
	var lines []string
	for i, f := range fields {
		lines = append(lines, "  "+f.Path)
		own := func(f Field) bool { return f.Differs || f.Reason != "" && f.Reason != c.Reason }
		if i+1 < len(fields) && !own(f) && !own(fields[i+1]) && fields[i+1].Before == f.Before && fields[i+1].After == f.After {
			continue
		}
		if f.Reason != "" && f.Reason != c.Reason {
			lines = append(lines, "  # "+f.Verdict.String()+": "+f.Reason)
		}
		before, after := shortened(visible(f.Before), visible(f.After), mostValue)
		if before != "" {
			lines = append(lines, "- "+before)
		}
		if after != "" {
			lines = append(lines, "+ "+after)
		}
		if f.Differs {
			lines = append(lines, "  # each unit has its own; this is the first one's")
		}
	}
	if n := len(c.Fields) - len(fields); n > 0 {
		lines = append(lines, "  # and "+count(n, "more field"))
	}
	return clipped(lines)
}

// A plain word can mean nothing in Markdown, and nothing to GitHub.
var plain = regexp.MustCompile(`^(\p{L}+(['’-]\p{L}+)*|[0-9]{1,6}|[0-9]{4}-[0-9]{2}-[0-9]{2}|[–—→…])$`)

// prose is words of which those that are no plain words are shown as code.
func prose(text string) string {
	words := strings.Fields(clip(visible(text), mostWords))
	for i, word := range words {
		core := strings.TrimRight(word, ".,;:!?)")
		core = strings.TrimLeft(core, "(")
		if core == "" {
			core = word
		}
		if plain.MatchString(core) {
			continue
		}
		at := strings.Index(word, core)
		words[i] = word[:at] + code(core) + word[at+len(core):]
	}
	return strings.Join(words, " ")
}

// code is the text as code, if it is not very long.
func code(text string) string { return span(clip(visible(text), mostName)) }

// span is all of a text that can be shown as code.
func span(text string) string {
	if strings.TrimSpace(text) == "" {
		text = fmt.Sprintf("%q", text)
	}
	mark := strings.Repeat("`", longestRun(text, '`')+1)
	if text[0] == '`' || text[len(text)-1] == '`' || text[0] == ' ' && text[len(text)-1] == ' ' {
		text = " " + text + " "
	}
	return mark + text + mark
}

// someCode is at most so many words as code.
func someCode(words []string, most int) string {
	var list []string
	for i, w := range words {
		if i == most && len(words) > most+1 {
			return strings.Join(list, ", ") + fmt.Sprintf(" and %d more", len(words)-i)
		}
		list = append(list, code(w))
	}
	return strings.Join(list, ", ")
}

// fence is lines as a block of code.
func fence(language string, lines []string) string {
	text := strings.Join(lines, "\n")
	mark := strings.Repeat("`", max(3, longestRun(text, '`')+1))
	return mark + language + "\n" + text + "\n" + mark
}

// clipped are lines that can be shown.
func clipped(lines []string) []string {
	list := make([]string, len(lines))
	for i, l := range lines {
		list[i] = clip(visible(l), mostValue+50)
	}
	return list
}

// summary begins a part that is folded; it ends with </details>.
func summary(text string) string { return "<details><summary>" + text + "</summary>\n\n" }

// quoted puts the prefix before each line.
func quoted(prefix, text string) string {
	return prefix + strings.ReplaceAll(text, "\n", "\n"+prefix)
}

// longestRun is the length of the longest run of a character.
func longestRun(text string, of rune) int {
	most, run := 0, 0
	for _, r := range text {
		if run++; r != of {
			run = 0
		}
		most = max(most, run)
	}
	return most
}

// clip cuts a text after so many characters.
func clip(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}

// title begins with a capital letter.
func title(text string) string {
	r, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[size:]
}
