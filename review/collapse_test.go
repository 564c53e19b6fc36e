package review

import "testing"

func TestReplaceWord(t *testing.T) {
	for _, row := range []struct{ text, name, want, why string }{
		{"acme", "acme", "{tenant}", "all of it"},
		{"https://acme.example.com/acme", "acme", "https://{tenant}.example.com/{tenant}", "twice"},
		{"acme-backup", "acme", "{tenant}-backup", "before a hyphen"},
		{"bucket-acme_1", "acme", "bucket-{tenant}_1", "between a hyphen and a line"},
		{"acmes", "acme", "acmes", "the beginning of a word"},
		{"bigacme", "acme", "bigacme", "the end of a word"},
		{"acme2", "acme", "acme2", "with a digit behind"},
		{"aa a aaa", "a", "aa {tenant} aaa", "one letter"},
		{"acmeacme acme", "acme", "acmeacme {tenant}", "behind a word that it is in twice"},
		{"a-a-a", "a-a", "{tenant}-a", "over itself"},
		{"", "acme", "", "nothing"},
		{"acme", "", "acme", "no name"},
		{"äacme", "acme", "ä{tenant}", "behind a letter that no name has"},
	} {
		if got := replaceWord(row.text, row.name, tenantMark); got != row.want {
			t.Errorf("%q, %s: %q, want %q", row.text, row.why, got, row.want)
		}
	}
}

func TestShorten(t *testing.T) {
	long := func(s string, n int) string {
		out := ""
		for range n {
			out += s
		}
		return out
	}
	c := Change{Fields: []Field{
		{Path: "short", Before: "a", After: "b"},
		{Path: "end", Before: long("x", 1000) + "1", After: long("x", 1000) + "2"},
		{Path: "runes", Before: long("ä", 500), After: ""},
	}}.shortened()
	for i, want := range []Field{
		{Path: "short", Before: "a", After: "b"},
		{Path: "end", Before: "…" + long("x", 40) + "1", After: "…" + long("x", 40) + "2"},
		{Path: "runes", Before: long("ä", 200) + "… (300 more characters)"},
	} {
		if c.Fields[i] != want {
			t.Errorf("%+v, want %+v", c.Fields[i], want)
		}
	}
}
