package render

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// A Ring is a part of a fleet's tenants that a change reaches together. The first is the canary: while any of
// its tenants fails or is not healthy, no later ring is touched.
type Ring struct {
	Name    string   // a DNS label, such as "canary". It is neither PlatformUnit, what comes first, nor Everyone, what comes last
	Tenants []string // names
}

// Everyone is the last ring: the tenants that no Ring of the fleet names.
const Everyone = "everyone"

// A Loss is what a change of an object costs.
type Loss string

// The losses that can be acknowledged.
const (
	Deleted  Loss = "Deleted"  // with all that is in it
	Replaced Loss = "Replaced" // deleted, and made again without what was in it
	// Isolation: by this NetworkPolicy, Role or other object more is reached or allowed than before. It is asked for
	// where a change is reviewed; deploying does not look at it.
	Isolation Loss = "Isolation"
)

// HoldsData tells whether the loss of an object of a kind is a loss of data. Such objects are neither deleted nor
// replaced unless the fleet acknowledges it.
func HoldsData(kind schema.GroupKind) bool {
	switch kind.String() {
	case "Namespace", "PersistentVolume", "PersistentVolumeClaim", "StatefulSet.apps", "Cluster.postgresql.cnpg.io", "Database.postgresql.cnpg.io":
		return true
	}
	return false
}

// Shrunk is the path of the first storage size in an object that is smaller than it was, such as .spec.storage.size;
// empty for none. No volume becomes smaller in place.
func Shrunk(before, after map[string]any) string { return shrunk("", before, after) }

func shrunk(path string, before, after any) string {
	switch before := before.(type) {
	case map[string]any:
		after, ok := after.(map[string]any)
		if !ok {
			return ""
		}
		for _, key := range slices.Sorted(maps.Keys(before)) {
			at := path + "." + key
			if text, isText := before[key].(string); isText && (key == "storage" || key == "size") {
				if now, isText := after[key].(string); isText && Quantity(now).Less(Quantity(text)) {
					return at
				}
			}
			if found := shrunk(at, before[key], after[key]); found != "" {
				return found
			}
		}
	case []any:
		after, ok := after.([]any)
		for i := range before {
			if !ok || i >= len(after) {
				return ""
			}
			if found := shrunk(fmt.Sprintf("%s[%d]", path, i), before[i], after[i]); found != "" {
				return found
			}
		}
	}
	return ""
}

// A Date is a day, such as "2026-12-31".
type Date string

// An Acknowledgement lets a change cost what it costs. Without it gen diff fails, and deploying and destroying
// refuse to lose data. It is reviewed like any other line, and is taken out again when it has done its work.
type Acknowledgement struct {
	// Object that it is about: "acme/StatefulSet/cache" (namespace, kind, name), "Namespace/acme".
	Object string
	Loss   Loss
	Why    string // for those who review it
	// Until is the last day on which it holds.
	Until Date
}

// An Exception lets one finding of gen verify pass. It shows in the report with its reason. One that covers
// nothing any more, or whose day is over, is a finding itself.
type Exception struct {
	Rule   string // such as "pods/registry"
	Unit   string
	Object string // kind and name: "Deployment/api"
	Why    string
	// Until is the last day on which it holds.
	Until Date
}

var objectAddress = regexp.MustCompile(`^([a-z0-9.-]+/)?[A-Z][A-Za-z0-9]*/[a-z0-9.:-]+$`)

// Line is how tenants/ writes the acknowledgement.
func (a Acknowledgement) Line() string {
	return fmt.Sprintf("{Object: %q, Loss: render.%s, Why: %q, Until: %q},", a.Object, a.Loss, a.Why, a.Until)
}

// Holds tells whether the acknowledgement still holds on the day of now.
func (a Acknowledgement) Holds(now time.Time) bool {
	day, err := time.Parse(time.DateOnly, string(a.Until))
	return err == nil && now.Before(day.AddDate(0, 0, 1))
}

// Acknowledges tells whether the fleet takes this loss of the object on the day of now.
func (f *Fleet) Acknowledges(object string, loss Loss, now time.Time) bool {
	return slices.ContainsFunc(f.Acknowledged, func(a Acknowledgement) bool {
		return a.Object == object && a.Loss == loss && a.Holds(now)
	})
}

// RingOf is the index of a tenant's ring in Rings; len(Rings) for the last one, Everyone.
func (f *Fleet) RingOf(tenant string) int {
	i := slices.IndexFunc(f.Rings, func(r Ring) bool { return slices.Contains(r.Tenants, tenant) })
	if i < 0 {
		return len(f.Rings)
	}
	return i
}

// validateRollout checks rings and acknowledgements. Exceptions are checked where the rules are.
func (f *Fleet) validateRollout(c *checker) {
	names, seen := map[string]bool{PlatformUnit: true, Everyone: true}, map[string]string{}
	for i, ring := range f.Rings {
		at := c.at("rings").item(i)
		at.at("name").label(ring.Name)
		if names[ring.Name] {
			at.at("name").duplicate(ring.Name)
		}
		names[ring.Name] = true
		if len(ring.Tenants) == 0 {
			at.at("tenants").required("the names of the tenants that a change reaches here")
		}
		for j, name := range ring.Tenants {
			switch {
			case !slices.ContainsFunc(f.Tenants, func(t Tenant) bool { return t.Name == name }):
				at.at("tenants").item(j).invalid(name, "is no tenant of this fleet")
			case seen[name] != "":
				at.at("tenants").item(j).invalid(name, "is in the ring "+seen[name]+" already")
			}
			seen[name] = ring.Name
		}
	}
	for i, a := range f.Acknowledged {
		at := c.at("acknowledged").item(i)
		if !objectAddress.MatchString(a.Object) {
			at.at("object").invalid(a.Object, "must be namespace/Kind/name, such as acme/StatefulSet/cache, or Kind/name where the kind has no namespace")
		}
		if a.Loss != Deleted && a.Loss != Replaced && a.Loss != Isolation {
			at.at("loss").invalid(string(a.Loss), "must be render.Deleted, render.Replaced or render.Isolation")
		}
		if a.Why == "" {
			at.at("why").required("why that may be, for those who review it")
		}
		if _, err := time.Parse(time.DateOnly, string(a.Until)); err != nil {
			at.at("until").invalid(string(a.Until), "must be a day such as 2026-12-31")
		}
	}
}
