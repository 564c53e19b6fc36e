// Package verify holds rendered objects against rules, before any cluster sees them: what two tenants must
// never share, what a pod must never reach.
//
// [Load] reads a directory of golden files and [Of] takes them from memory; [Check] holds them against every
// rule and returns a [Report] for people and for tools. [Differ] compares what two states of a fleet let happen.
// What cannot be seen in objects, such as the addresses of the API servers and the paths that are meant to be
// open, is said in [Facts].
package verify

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/tenantry/tenantry/render"
)

// A Rule is one property that every fleet must have.
type Rule struct {
	ID       string // such as "network/cross-tenant"
	Protects string // what a finding endangers
	check    func(*subject) []Finding
}

// Rules lists every rule by its identifier.
func Rules() []Rule {
	rules := slices.Concat([]Rule{exceptionRule, kindRule}, admissionRules, capacityRules, identityRules, nameRules, networkRules, podRules, validityRules)
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
	return rules
}

// A subject is what rules look at.
type subject struct {
	*Fleet
	network *network
	access  *access
	pods    []*template
	names   *names
}

// A Finding is one place where a rule does not hold.
type Finding struct {
	Rule    string `json:"rule"`
	Fleet   string `json:"fleet"`
	Unit    string `json:"unit"`
	File    string `json:"file"` // within the unit's directory; empty when it is about a missing one
	Line    int    `json:"line,omitempty"`
	Object  string `json:"object"` // kind and name: "NetworkPolicy/api"
	Field   string `json:"field,omitempty"`
	Message string `json:"message"` // what is wrong
	Remedy  string `json:"remedy"`
	// Alike are other units of the fleet with the same finding.
	Alike []string `json:"alike,omitempty"`
}

// An Exception takes a finding out of what fails. It is a value beside the fleets, reviewed like any other
// line, and shows in the report with its reason. One that covers nothing any more, or whose day is over, is a
// finding itself.
type Exception struct {
	Rule   string      `json:"rule"`
	Fleet  string      `json:"fleet"`
	Unit   string      `json:"unit"`
	Object string      `json:"object"` // kind and name: "NetworkPolicy/api"
	Why    string      `json:"why"`
	Until  render.Date `json:"until"` // the last day on which it holds, in UTC
}

// An Excepted is a finding that an exception covers.
type Excepted struct {
	Finding
	Exception Exception `json:"exception"`
}

// Check holds fleets against every rule. today decides which exceptions still hold.
func Check(fleets []Fleet, exceptions []Exception, today time.Time) Report {
	var r Report
	var all []Finding
	names := newNames(fleets)
	for i := range fleets {
		f := &fleets[i]
		s := &subject{f, newNetwork(f), newAccess(f), templatesOf(f), names}
		for _, rule := range Rules() {
			if rule.check != nil {
				all = append(all, alike(rule.check(s))...)
			}
		}
		if c, declared := f.capacity(s.pods); declared {
			r.Capacity = append(r.Capacity, c)
		}
	}
	r.CEL = rulesInCEL(fleets)
	used := make([]bool, len(exceptions))
	for _, f := range all {
		left := f
		left.Unit, left.Alike = "", nil
		for _, unit := range append([]string{f.Unit}, f.Alike...) {
			i := slices.IndexFunc(exceptions, func(e Exception) bool {
				return e.Rule == f.Rule && e.Fleet == f.Fleet && e.Unit == unit && e.Object == f.Object && e.mistake(today) == ""
			})
			switch {
			case i >= 0:
				used[i] = true
				excepted := f
				excepted.Unit, excepted.Alike = unit, nil
				r.Excepted = append(r.Excepted, Excepted{excepted, exceptions[i]})
			case left.Unit == "":
				left.Unit = unit
			default:
				left.Alike = append(left.Alike, unit)
			}
		}
		if left.Unit != "" {
			r.Findings = append(r.Findings, left)
		}
	}
	for i, e := range exceptions {
		problem := e.mistake(today)
		if problem == "" && !used[i] {
			problem = "covers nothing"
		}
		if problem != "" {
			r.Findings = append(r.Findings, Finding{
				Rule: exceptionRule.ID, Fleet: e.Fleet, Unit: e.Unit, Object: e.Object,
				Message: fmt.Sprintf("the exception from %s %s", e.Rule, problem),
				Remedy:  "take the exception out, or give it a rule, a place, a reason and a day to come",
			})
		}
	}
	slices.SortStableFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.path(), b.path()), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return r
}

func (f Finding) path() string { return path.Join(f.Fleet, f.Unit, f.File) }

var exceptionRule = Rule{
	ID:       "verify/exception",
	Protects: "An exception covers one known finding, for a reason and until a day, and never more than that.",
}

// mistake says what keeps an exception from holding on a day; empty when it holds.
func (e Exception) mistake(today time.Time) string {
	until, err := time.Parse(time.DateOnly, string(e.Until))
	switch {
	case !slices.ContainsFunc(Rules(), func(r Rule) bool { return r.ID == e.Rule }):
		return "names no rule"
	case e.Why == "":
		return "has no reason"
	case err != nil:
		return fmt.Sprintf("ends on %q, which is no day such as 2026-12-31", string(e.Until))
	case !today.Before(until.AddDate(0, 0, 1)):
		return "ended on " + string(e.Until)
	}
	return ""
}

var kindRule = Rule{
	ID:       "verify/unknown-kind",
	Protects: "No object, and no pod that somebody makes of one, escapes the rules because they do not know its kind.",
	check: func(s *subject) []Finding {
		var findings []Finding
		for _, u := range s.Units {
			for _, o := range u.Objects {
				if gvk := o.GetObjectKind().GroupVersionKind(); !known(gvk) {
					findings = append(findings, s.finding("verify/unknown-kind", u.Name, o, "kind",
						fmt.Sprintf("no rule knows a %s of %s, nor what pods come of it", gvk.Kind, gvk.GroupVersion()),
						"make an exception that says why it is safe"))
				}
			}
		}
		return findings
	},
}

// finding is one about a field of an object.
func (f *Fleet) finding(rule, unit string, o Object, field, message, remedy string) Finding {
	return Finding{
		Rule: rule, Fleet: f.Name, Unit: unit, File: o.File, Line: o.line(field), Object: o.ID(), Field: field,
		Message: message, Remedy: remedy,
	}
}
