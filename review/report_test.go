package review

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tenantry/tenantry/verify"
)

// TestReports holds every sample in every format against the expected one.
func TestReports(t *testing.T) {
	for name, r := range samples() {
		for extension, write := range map[string]func(io.Writer) error{
			"txt":  func(w io.Writer) error { return r.WriteText(w, false) },
			"json": r.WriteJSON,
			"md":   func(w io.Writer) error { return r.WriteMarkdown(w, "[review.html](https://example.com/review.html)") },
		} {
			if name == "hostile" && extension != "json" {
				continue // what must hold of it is said elsewhere
			}
			t.Run(name+"."+extension, func(t *testing.T) {
				var got bytes.Buffer
				if err := write(&got); err != nil {
					t.Fatal(err)
				}
				golden(t, filepath.Join("testdata", "reports", name+"."+extension), got.String())
			})
		}
	}
}

// golden compares with an expected file, or writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("it is not %s; look at it and run: go test ./review -run %s -update\n(-golden +got)\n%s", path, t.Name(), d)
	}
}

func TestVerdictText(t *testing.T) {
	for v := NothingRestarts; v <= DataAtRisk; v++ {
		text, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Verdict
		if err := back.UnmarshalText(text); err != nil || back != v {
			t.Errorf("%s is read as %v, %v", text, back, err)
		}
	}
	if len(verdicts) != int(DataAtRisk)+1 || len(colours) != len(verdicts) {
		t.Errorf("there are %d verdicts with names and %d with colours", len(verdicts), len(colours))
	}
	for _, wrong := range []Verdict{-1, DataAtRisk + 1} {
		if text, err := wrong.MarshalText(); err == nil {
			t.Errorf("%d is written as %s", int(wrong), text)
		}
	}
	for _, wrong := range []string{"", "Data at risk", "7"} {
		if err := new(Verdict).UnmarshalText([]byte(wrong)); err == nil {
			t.Errorf("%q is read as a verdict", wrong)
		}
	}
}

// TestJSONRoundTrip says that nothing is lost in JSON.
func TestJSONRoundTrip(t *testing.T) {
	for name, r := range samples() {
		var b bytes.Buffer
		if err := r.WriteJSON(&b); err != nil {
			t.Fatal(err)
		}
		if name == "mixed" && bytes.Contains(b.Bytes(), []byte(`\u003c`)) {
			t.Error("HTML is escaped in JSON")
		}
		var back Report
		if err := json.Unmarshal(b.Bytes(), &back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "hostile" { // what is no UTF-8 cannot stand in JSON
			continue
		}
		if d := cmp.Diff(r, back, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(verify.Reached{})); d != "" {
			t.Errorf("%s changes on its way through JSON (-before +after):\n%s", name, d)
		}
	}
}

func TestText(t *testing.T) {
	for name, r := range samples() {
		var plain, coloured strings.Builder
		if err := r.WriteText(&plain, false); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteText(&coloured, true); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(plain.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s: %q reaches the terminal", name, plain.String()[i:i+1])
		}
		if name != "nothing" && !strings.Contains(coloured.String(), "\x1b[") {
			t.Errorf("%s has no colour", name)
		}
		if name != "nothing" && !strings.HasPrefix(plain.String(), strings.ToUpper(r.Verdict.String())+"\n") {
			t.Errorf("%s does not begin with its verdict:\n%s", name, plain.String())
		}
		for _, m := range r.Missing {
			if m.Line != "" && !strings.Contains(plain.String(), "    "+m.Line+"\n") {
				t.Errorf("%s does not say to write %s", name, m.Line)
			}
		}
		if name == "hostile" {
			continue
		}
		for line := range strings.Lines(plain.String()) {
			if n := utf8.RuneCountInString(line) - 1; n > columns && !strings.Contains(line, "{Object:") {
				t.Errorf("%s: a line of %d columns: %s", name, n, line)
			}
		}
	}
}

func TestShortened(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, row := range []struct{ reason, before, after, wantBefore, wantAfter string }{
		{"short values stay", "a", "b", "a", "b"},
		{"what differs at the end is seen", long + "1", long + "2", "…xxxxxxxxx1", "…xxxxxxxxx2"},
		{"what differs at the beginning is seen", "1" + long, "2" + long, "1xxxxxxxxxxxxxxxxxxx…", "2xxxxxxxxxxxxxxxxxxx…"},
		{"what differs in the middle is seen", long + "1" + long, long + "2" + long, "…xxxxx1xxxxxxxxxxxxxx…", "…xxxxx2xxxxxxxxxxxxxx…"},
		{"a new one begins at its beginning", "", long, "", "xxxxxxxxxxxxxxxxxxxx…"},
		{"one that grows", long, long + "12", "…xxxxxxxxxx", "…xxxxxxxx12"},
	} {
		before, after := shortened(row.before, row.after, 20)
		if before != row.wantBefore || after != row.wantAfter {
			t.Errorf("%s: %q, %q, want %q, %q", row.reason, before, after, row.wantBefore, row.wantAfter)
		}
	}
}
