package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	dom "golang.org/x/net/html"

	"github.com/tenantry/tenantry/review"
)

// rest is where the caller of a report says that all of it is.
const rest = "[review.html](https://example.com/review.html)"

func comment(t testing.TB, r review.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteMarkdown(&b, rest); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// rendered is a comment as a renderer of GitHub's Markdown makes HTML of it, before it is made safe: that is the worst
// case.
func rendered(t testing.TB, markdown string) *dom.Node {
	t.Helper()
	text, err := toHTML([]byte(markdown))
	if err != nil {
		t.Fatal(err)
	}
	root, err := dom.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// expected are the elements that a comment is made of, each with the attributes that it may have.
var expected = map[string]string{
	"html": "", "head": "", "body": "", "h2": "id", "h3": "id", "p": "", "ul": "", "li": "", "strong": "", "b": "", "code": "class", "pre": "",
	"blockquote": "", "details": "", "summary": "", "a": "href",
}

// breakout says how a rendered comment is more than what package review wrote: an element or a link that it does not
// use, or text outside of code that means something to GitHub.
func breakout(root *dom.Node) string {
	for n := range root.Descendants() {
		switch n.Type {
		case dom.ElementNode:
			allowed, known := expected[n.Data]
			if !known {
				return "the element " + n.Data
			}
			for _, a := range n.Attr {
				if a.Key != allowed {
					return "the attribute " + a.Key + " of " + n.Data
				}
				if a.Key == "href" && a.Val != "https://example.com/review.html" {
					return "a link to " + a.Val
				}
			}
		case dom.CommentNode:
			return "the comment " + n.Data
		case dom.TextNode:
			if inCode(n) {
				continue
			}
			if i := strings.IndexAny(n.Data, "@#$<>`*_\\|~^"); i >= 0 {
				return "outside of code: " + n.Data[max(0, i-20):min(len(n.Data), i+20)]
			}
			for _, mark := range []string{"GH-", "http", "www.", "![", "]("} {
				if strings.Contains(n.Data, mark) && !(n.Parent.Data == "a") {
					return mark + " outside of code: " + n.Data
				}
			}
		}
	}
	return ""
}

func inCode(n *dom.Node) bool {
	for ; n != nil; n = n.Parent {
		if n.Type == dom.ElementNode && (n.Data == "code" || n.Data == "pre") {
			return true
		}
	}
	return false
}

// text is what a reader reads.
func text(n *dom.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == dom.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

func TestCommentIsWhatItSays(t *testing.T) {
	for _, name := range []string{"mixed", "bump", "shrunk", "widened", "new", "nothing", "hostile"} {
		r := sample(t, name)
		root := rendered(t, comment(t, r))
		if wrong := breakout(root); wrong != "" {
			t.Errorf("%s: there is %s", name, wrong)
		}
		// As many headings, folds and warnings as package review writes, so none came from a value.
		var tags []string
		for n := range root.Descendants() {
			if n.Type == dom.ElementNode {
				tags = append(tags, n.Data)
			}
			if n.Type == dom.ElementNode && n.Data == "summary" && n.Parent.Data != "details" {
				t.Errorf("%s: a summary stands in %s", name, n.Parent.Data)
			}
		}
		of := func(tag string) (n int) {
			for _, each := range tags {
				if each == tag {
					n++
				}
			}
			return n
		}
		if of("h2") != 1 || of("details") != of("summary") {
			t.Errorf("%s: %d headings, %d folds with %d titles", name, of("h2"), of("details"), of("summary"))
		}
		read := text(root)
		for _, c := range r.Changes {
			for _, f := range c.Fields {
				if name != "hostile" && len(f.After) < 200 && !strings.Contains(read, f.After) {
					t.Errorf("%s: %s is not to be read", name, f.After)
				}
			}
		}
		for _, m := range r.Missing {
			if name != "hostile" && !strings.Contains(read, m.Line+"\n") {
				t.Errorf("%s: %s is not to be read as it is to be written", name, m.Line)
			}
		}
	}
}

// TestBreakoutIsSeen shows that the test above can fail.
func TestBreakoutIsSeen(t *testing.T) {
	for _, markdown := range []string{"@everyone", "see #12", "![x](https://evil.example/x.png)", "<img src=x>", "[x](https://evil.example)", "https://evil.example", "www.evil.example", "GH-12", "a <!-- b --> c", "# big", "| a |\n| - |\n| b |"} {
		if breakout(rendered(t, markdown)) == "" {
			t.Errorf("%s passes", markdown)
		}
	}
}

// FuzzComment puts a text wherever a report has one.
func FuzzComment(f *testing.F) {
	for _, seed := range []string{"", "`", "``` \n```", "@me #12 <b>", "a\x00b\u202e", "</summary>", "--> <!--", "\\`", "* x", "&lt;", strings.Repeat("`x", 300), "x\n\n\n# y", "(@x)", "a.@b", "~~~", " `a` "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, v string) {
		change := review.Change{Fleet: v, Units: []string{v}, Object: v, From: v + "x", Action: review.Changed, Reason: v, Verdict: review.DataAtRisk, Fields: []review.Field{{Path: v, Before: v, After: v + "y", Reason: v}}}
		many := change
		many.Units, many.Verdict, many.Outlier = slices.Repeat([]string{v}, 9), review.NothingRestarts, true
		bare := review.Change{Fleet: v, Units: slices.Repeat([]string{v + "u"}, 7), Object: v, Action: review.Added, Reason: v}
		missing := review.Missing{Fleet: v, Object: v + "/" + v + "/" + v, Loss: v, Line: v, Why: v}
		r := review.Report{
			Verdict: review.DataAtRisk, Fleets: []review.Fleet{{Name: v, Added: []string{v, v}, Removed: []string{v}, Renamed: []review.Rename{{From: v, To: v}}}},
			Changes: []review.Change{change, many, bare, bare}, Missing: []review.Missing{missing}, Acknowledged: []review.Missing{missing}, Leftover: []review.Missing{missing},
		}
		markdown := comment(t, r)
		if wrong := breakout(rendered(t, markdown)); wrong != "" {
			t.Errorf("%q makes %s\n%s", v, wrong, markdown)
		}
		if len(markdown) > 60_000 {
			t.Errorf("%d bytes", len(markdown))
		}
	})
}
