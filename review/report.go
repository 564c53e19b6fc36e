package review

import "github.com/tenantry/tenantry/verify"

// A Verdict is how dangerous a change is. A later one is worse than an earlier one.
type Verdict int

// The verdicts, from harmless to worst.
const (
	NothingRestarts  Verdict = iota // nobody notices
	RollingRestart                  // pods are replaced one after the other, others serve meanwhile
	Interruption                    // something that serves is away for a moment
	Replacement                     // the object is deleted and made again; it holds no data
	ExposureChanged                 // who reaches the tenant from outside, and by which name or certificate
	IsolationChanged                // something reaches or may do what it did not before
	DataAtRisk                      // data may be lost
)

// A Report is what changes between two states of golden/, for whom, and how dangerous it is. The same change in
// many units stands in it once.
type Report struct {
	Verdict Verdict  `json:"verdict"` // the worst of all
	Fleets  []Fleet  `json:"fleets"`  // those in which anything changes, by name
	Changes []Change `json:"changes"` // the worst first
	// Missing are the acknowledgements without which this must not be deployed.
	Missing []Missing `json:"missing,omitempty"`
	// Acknowledged are those of tenants/ that cover a change of this report.
	Acknowledged []Missing `json:"acknowledged,omitempty"`
	// Leftover are those of tenants/ that cover nothing here. Once they are deployed they can go.
	Leftover []Missing `json:"leftover,omitempty"`
}

// A Fleet is how much of one fleet changes.
type Fleet struct {
	Name    string   `json:"name"`
	Verdict Verdict  `json:"verdict"`
	Added   []string `json:"added,omitempty"`   // units
	Removed []string `json:"removed,omitempty"` // units
	Renamed []Rename `json:"renamed,omitempty"` // units that are another's content under a new name
	Changed []string `json:"changed,omitempty"` // units
	Of      int      `json:"of"`                // units that the fleet has now
	// Before and After are who reaches whom, where that changes.
	Before *verify.Reachability `json:"before,omitempty"`
	After  *verify.Reachability `json:"after,omitempty"`
}

// A Rename is a unit or an object that is known by its content.
type Rename struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// A Change is what happens to one object of one unit, or to the same object of many units alike. Of one unit it is
// told literally. Of many, it reads {tenant} where in each of them its own name stands, and {hash} for the end of a
// name that is made of the object's content.
type Change struct {
	Fleet   string   `json:"fleet"`
	Units   []string `json:"units"`
	Object  string   `json:"object"` // kind and name: "Deployment/api"
	File    string   `json:"file"`   // within a unit's directory
	Action  Action   `json:"action"`
	From    string   `json:"from,omitempty"` // kind and name before it was renamed
	Verdict Verdict  `json:"verdict"`
	Reason  string   `json:"reason"` // why the verdict, in one sentence
	// Fields are those that differ, or the parts of an object that is added to or removed from a unit. There are none of
	// the objects of a unit that is added or removed whole.
	Fields []Field `json:"fields,omitempty"`
	// Outlier says that most units that change this object change it in another way.
	Outlier bool `json:"outlier,omitempty"`
}

// An Action is what happens to an object.
type Action string

// The actions.
const (
	Added   Action = "added"
	Removed Action = "removed"
	Renamed Action = "renamed"
	Changed Action = "changed"
)

// A Field is one place in an object whose value changes. Items of lists are named by their merge key, as in
// spec.template.spec.containers[name=api].image.
type Field struct {
	Path    string  `json:"path"`
	Before  string  `json:"before,omitempty"` // as YAML in one line; empty where there is none
	After   string  `json:"after,omitempty"`
	Differs bool    `json:"differs,omitempty"` // values are each unit's own, such as checksums; those of the first unit stand here
	Verdict Verdict `json:"verdict"`
	Reason  string  `json:"reason,omitempty"` // of a verdict that is not the harmless one
}

// A Missing is an acknowledgement that a change needs.
type Missing struct {
	Fleet  string `json:"fleet"`
	Object string `json:"object"` // namespace, kind and name, as in render.Acknowledgement
	Loss   string `json:"loss"`
	Line   string `json:"line,omitempty"` // what to write into Acknowledged of the fleet; empty where nothing permits it
	Why    string `json:"why"`            // what happens without it, or the reason that was given
}
