package live

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/render"
)

// A What is how a cluster differs from golden.
type What string

// What there is to tell. An added, a removed and a changed field belong to an object that is in both.
const (
	Changed What = "changed" // golden and the cluster have different values
	Removed What = "removed" // golden has a field that the cluster has not
	Added   What = "added"   // the cluster has a field that golden has not
	Refused What = "refused" // the API server would not take the golden object in place of the live one
	Missing What = "missing" // golden has an object that the cluster has not
	Unknown What = "unknown" // the cluster has an object of the fleet that golden has not
)

// A Difference is one thing in a cluster that is not as golden says.
type Difference struct {
	Fleet  string `json:"fleet"`
	Unit   string `json:"unit"`
	Object string `json:"object"` // namespace/Kind/name, or Kind/name
	What   What   `json:"what"`
	Path   string `json:"path,omitempty"` // such as .spec.template.spec.containers[name="sidecar"]
	// Golden and Live are the values at the path, as JSON has them. Of a Secret neither is told, whatever
	// the path.
	Golden any `json:"golden,omitempty"`
	Live   any `json:"live,omitempty"`
	// Reason is the API server's, of what is refused.
	Reason string `json:"reason,omitempty"`
	// Manager is who wrote it last, as the API server noted it, and Time is when. A removal leaves no note.
	Manager string    `json:"manager,omitempty"`
	Time    time.Time `json:"time,omitzero"`
}

// A Report is all differences, in the order in which objects are applied; unknown objects come last.
type Report []Difference

// atOnce is how many requests are under way at a time.
const atOnce = 16

// Drift compares the golden objects of units with what the cluster has. known are all units of the fleet. Where
// units are all of those, every object that carries the fleet's labels or any tenant's, and that no unit knows,
// is reported, that of a tenant which no longer exists too; else only those that carry the name of one of units.
//
// Nothing is changed: what golden would change is asked of the API server, as an apply that is not persisted;
// what others added is read from the notes that the API server keeps of who wrote which field. What it defaults
// and what controllers write as part of their work is not reported; a comment tells each. The values of Secrets
// are neither needed nor read. A report is either whole, or there is none and an error.
func (c *Cluster) Drift(ctx context.Context, units, known []render.Unit) (Report, error) {
	unknown, err := c.unknown(ctx, units, known)
	if err != nil {
		return nil, err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	var reports []*Report
	for _, unit := range units {
		scaled := autoscaled(unit)
		for _, file := range unit.Files {
			report := new(Report)
			reports = append(reports, report)
			group.Go(func() (err error) {
				*report, err = c.compare(ctx, unit, file, scaled)
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := Report{}
	for _, report := range reports {
		all = append(all, *report...)
	}
	return append(all, unknown...), nil
}

// sort orders the differences of one object or of many unknown ones.
func (r Report) sort() {
	slices.SortFunc(r, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Path, b.Path))
	})
}

// Write writes the report as a table for people; values are cut where they are long. As JSON it is whole.
func (r Report) Write(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "UNIT\tOBJECT\tWHAT\tPATH\tGOLDEN\tLIVE\tBY\tSINCE")
	for _, d := range r {
		since := ""
		if !d.Time.IsZero() {
			since = d.Time.UTC().Format(time.RFC3339)
		}
		live := short(d.Live)
		if d.Reason != "" {
			live = short(d.Reason)
		}
		cells := []string{d.Unit, d.Object, string(d.What), d.Path, short(d.Golden), live, d.Manager, since}
		for i, cell := range cells {
			cells[i] = cmp.Or(cell, "-")
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// short is a value in one cell of the table.
func short(value any) string {
	if value == nil {
		return ""
	}
	const most = 60
	text := []rune(literal(value))
	if len(text) > most {
		return string(text[:most-1]) + "…"
	}
	return string(text)
}

// id is how an object is called: namespace/Kind/name, or Kind/name.
func id(kind string, o metav1.Object) string {
	return strings.TrimPrefix(o.GetNamespace()+"/", "/") + kind + "/" + o.GetName()
}
