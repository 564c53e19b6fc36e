package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
)

// A Report is what is wrong, what is excepted, what room there is, and what nobody looked at.
type Report struct {
	Findings []Finding  `json:"findings"`
	Excepted []Excepted `json:"excepted"`
	Capacity []Capacity `json:"capacity"` // of the fleets that declare their nodes
	CEL      int        `json:"cel"`      // how many rules in CEL the custom resources' definitions have
}

// Left says what the API server alone decides.
func (r Report) Left() string {
	return fmt.Sprintf("%d rules in CEL of the custom resources' definitions are left to the API server", r.CEL)
}

// WriteText writes a report for people: each finding with its place, its rule and its remedy. Paths start
// with dir, the directory that holds the fleets.
func (r Report) WriteText(w io.Writer, dir string) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s: %s: %s\n", f.place(dir), f.Rule, f.Message)
		if f.Field != "" {
			fmt.Fprintf(&b, "    in %s of %s\n", f.Field, f.Object)
		}
		if len(f.Alike) > 0 {
			fmt.Fprintf(&b, "    and the same in %s\n", some(f.Alike, 8))
		}
		fmt.Fprintf(&b, "    remedy: %s\n", f.Remedy)
	}
	for _, e := range r.Excepted {
		fmt.Fprintf(&b, "%s: %s: %s\n    excepted until %s: %s\n", e.place(dir), e.Rule, e.Message, e.Exception.Until, e.Exception.Why)
	}
	count := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	if len(r.Findings)+len(r.Excepted) > 0 {
		fmt.Fprintf(&b, "%s, %s; %s\n", count(len(r.Findings), "finding"), count(len(r.Excepted), "exception"), r.Left())
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// place is where to look: path and line.
func (f Finding) place(dir string) string {
	at := path.Join(dir, f.path())
	if f.Line > 0 {
		at += fmt.Sprintf(":%d", f.Line)
	}
	return at
}

// some lists at most so many of the words.
func some(words []string, most int) string {
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}

// WriteJSON writes the report as one JSON object, with the lists "findings", "excepted" and "capacity".
func (r Report) WriteJSON(w io.Writer) error {
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	if r.Excepted == nil {
		r.Excepted = []Excepted{}
	}
	if r.Capacity == nil {
		r.Capacity = []Capacity{}
	}
	return writeJSON(w, r)
}

func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}
