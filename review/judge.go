package review

import (
	"strings"

	"github.com/tenantry/tenantry/render"
)

// A ruling is what a change of one object does.
type ruling struct {
	verdict Verdict
	reason  string
	loss    render.Loss // what the fleet has to acknowledge; empty: nothing
	refused bool        // no acknowledgement permits it
}

// judge rules on the change of one object, of which before or after is nil where there is none. It sets the
// verdict and the reason of each field. The objects of an object that is renamed differ in their names.
func judge(before, after *object, fields []Field) ruling {
	if before != nil && (after == nil || before.id() != after.id()) && render.HoldsData(before.GroupKind()) {
		return ruling{DataAtRisk, "it is deleted, with all that is in it", render.Deleted, false}
	}
	worst := ruling{reason: "nothing that runs is made of it"}
	if before == nil || after == nil {
		return worst
	}
	for i := range fields {
		if podAt[after.Kind] != "" && strings.HasPrefix(fields[i].Path, podAt[after.Kind]) && after.Kind != "Job" && after.Kind != "CronJob" {
			fields[i].Verdict, fields[i].Reason = RollingRestart, "it is part of the pod template"
			worst = ruling{verdict: RollingRestart, reason: "the pod template changes"}
		}
	}
	return worst
}
