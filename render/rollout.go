package render

import (
	"regexp"
	"slices"
	"time"
)

// A Ring is a part of a fleet's tenants that a change reaches together. The first is the canary: while any of
// its tenants fails or is not healthy, no later ring is touched.
type Ring struct {
	Name    string   // a DNS label, such as "canary". It is neither PlatformUnit, what comes first, nor Everyone, what comes last
	Tenants []string // names
}

// Everyone is the last ring: the tenants that no Ring of the fleet names.
const Everyone = "everyone"

// A Loss is what becomes of an object that has data.
type Loss string

// The losses that can be acknowledged.
const (
	Deleted  Loss = "Deleted"  // with all that is in it
	Replaced Loss = "Replaced" // deleted, and made again without what was in it
)

// A Date is a day, such as "2026-12-31".
type Date string

// after tells whether the day is over, in UTC.
func (d Date) after(now time.Time) bool {
	day, err := time.Parse(time.DateOnly, string(d))
	return err != nil || !now.Before(day.AddDate(0, 0, 1))
}

// An Acknowledgement lets the next deploy lose the data of one object. Without it, deploying and destroying
// refuse to. It is reviewed like any other line, and is taken out again when it has done its work.
type Acknowledgement struct {
	// Object that is lost: "acme/StatefulSet/cache" (namespace, kind, name), "Namespace/acme".
	Object string
	Loss   Loss
	Why    string
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

var dataObject = regexp.MustCompile(`^([a-z0-9.-]+/)?[A-Z][A-Za-z0-9]*/[a-z0-9.:-]+$`)

// Acknowledges tells whether the fleet takes this loss of the object on the day of now.
func (f *Fleet) Acknowledges(object string, loss Loss, now time.Time) bool {
	return slices.ContainsFunc(f.Acknowledged, func(a Acknowledgement) bool {
		return a.Object == object && a.Loss == loss && !a.Until.after(now)
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
		if !dataObject.MatchString(a.Object) {
			at.at("object").invalid(a.Object, "must be namespace/Kind/name, such as acme/StatefulSet/cache, or Kind/name where the kind has no namespace")
		}
		if a.Loss != Deleted && a.Loss != Replaced {
			at.at("loss").invalid(string(a.Loss), "must be render.Deleted or render.Replaced")
		}
		if a.Why == "" {
			at.at("why").required("why the data may go, for those who review it")
		}
		if _, err := time.Parse(time.DateOnly, string(a.Until)); err != nil {
			at.at("until").invalid(string(a.Until), "must be a day such as 2026-12-31")
		}
	}
}
