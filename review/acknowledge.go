package review

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tenantry/tenantry/render"
)

// lacks says what keeps changes from being deployed: "1 change is refused, and 2 acknowledgements are missing".
func lacks(list []Missing) string {
	refused, asked := 0, 0
	for _, m := range list {
		if m.Line == "" {
			refused++
		} else {
			asked++
		}
	}
	var parts []string
	if refused > 0 {
		parts = append(parts, count(refused, "change")+plural(refused, " is", " are")+" refused")
	}
	if asked > 0 {
		parts = append(parts, count(asked, "acknowledgement")+plural(asked, " is", " are")+" missing")
	}
	return strings.Join(parts, ", and ")
}

// acknowledge adds what the changes of one fleet cost: what tenants/ acknowledges, and what it does not. declared is
// the fleet of tenants/; nil where it has none of this name.
func (r *Report) acknowledge(fleet string, declared *render.Fleet, changes []*single, today time.Time) {
	var given []render.Acknowledgement
	if declared != nil {
		given = slices.DeleteFunc(slices.Clone(declared.Acknowledged), func(a render.Acknowledgement) bool { return !a.Holds(today) })
	}
	used := make([]bool, len(given))
	var missing, acknowledged []Missing
	ask := func(c *single, loss render.Loss, why string) {
		i := slices.IndexFunc(given, func(a render.Acknowledgement) bool { return a.Object == c.address && a.Loss == loss })
		if i >= 0 {
			used[i] = true
			acknowledged = append(acknowledged, Missing{Fleet: fleet, Object: c.address, Loss: string(loss), Why: given[i].Why, Line: given[i].Line()})
			return
		}
		line := render.Acknowledgement{
			Object: c.address, Loss: loss, Why: "…", Until: render.Date(today.UTC().AddDate(0, 0, 7).Format(time.DateOnly)),
		}.Line()
		missing = append(missing, Missing{Fleet: fleet, Object: c.address, Loss: string(loss), Why: why, Line: line})
	}
	for _, c := range changes {
		switch {
		case c.refused:
			missing = append(missing, Missing{Fleet: fleet, Object: c.address, Loss: string(c.loss), Why: c.Reason})
		case c.loss != "":
			ask(c, c.loss, c.Reason)
		}
		if c.opens != "" && c.loss != render.Isolation {
			ask(c, render.Isolation, c.opens)
		}
	}
	for i, a := range given {
		if !used[i] {
			r.Leftover = append(r.Leftover, Missing{Fleet: fleet, Object: a.Object, Loss: string(a.Loss), Why: a.Why, Line: a.Line()})
		}
	}
	for _, list := range [][]Missing{missing, acknowledged} {
		slices.SortStableFunc(list, func(a, b Missing) int { return cmp.Or(cmp.Compare(a.Loss, b.Loss), cmp.Compare(a.Object, b.Object)) })
	}
	r.Missing = append(r.Missing, missing...)
	r.Acknowledged = append(r.Acknowledged, acknowledged...)
}
