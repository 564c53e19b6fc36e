package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"github.com/tenantry/tenantry/render"
)

// drift prints how the cluster differs from the golden files of the chosen units, and fails if it does.
func (c *call) drift(ctx context.Context, chosen, all []render.Unit, stdout io.Writer) error {
	known := slices.DeleteFunc(slices.Clone(all), func(u render.Unit) bool { return u.Fleet != c.name })
	report, err := c.cluster.Drift(ctx, chosen, known)
	if err != nil {
		return err
	}
	if c.json {
		lines := json.NewEncoder(stdout)
		for _, difference := range report {
			if err := lines.Encode(difference); err != nil {
				return err
			}
		}
	} else if len(report) > 0 {
		if err := report.Write(stdout); err != nil {
			return err
		}
	}
	if len(report) > 0 {
		return fmt.Errorf("the cluster of %s differs from golden in %s: up -repair sets back what golden has; what others added has to be taken out by hand", c.name, many(len(report), "place", "places"))
	}
	c.report.tell(Event{Event: "note", Text: fmt.Sprintf("the cluster of %s is as golden says: %s", c.name, many(len(chosen), "unit", "units"))})
	return nil
}
