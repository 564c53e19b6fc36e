package runner

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/tenantry/tenantry/render"
)

// TestDestroyingKeepsData leaves every unit's data, and what guards it, unless each loss is acknowledged.
func TestDestroyingKeepsData(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, unit := range units(t) {
		var state []apitype.ResourceV3
		var data []string
		for _, file := range unit.Files {
			o, err := objectOf(file, nil)
			if err != nil {
				t.Fatal(err)
			}
			state = append(state, apitype.ResourceV3{URN: resource.URN(urn(o.token, o.name)), Protect: o.protect})
			if o.protect {
				data = append(data, o.name)
			}
		}
		if len(data) == 0 {
			t.Errorf("%s.%s has nothing that holds data", unit.Fleet, unit.Name)
		}
		slices.Sort(data)
		c := &call{fleet: render.Fleet{Name: unit.Fleet}}
		l := c.leave(state, now)
		if !slices.Equal(l.keep, data) || len(l.locked) > 0 || len(l.keep)+len(l.guard)+len(l.remove) != len(state) {
			t.Errorf("%s.%s keeps %q, want %q; %d guards, %d removed of %d", unit.Fleet, unit.Name, l.keep, data, len(l.guard), len(l.remove), len(state))
		}
		for _, urn := range l.remove {
			for _, guard := range []string{"/NetworkPolicy/", "/Secret/", "/ResourceQuota/", "/Role/", "/ServiceAccount/", "Namespace/"} {
				if strings.Contains(urn, guard) {
					t.Errorf("%s is removed and data stays", urn)
				}
			}
		}
		text := kept(unit.Fleet, unit.Name, l, now)
		for _, object := range data {
			if !strings.Contains(text, object) {
				t.Errorf("nobody is told that %s stays", object)
			}
			c.fleet.Acknowledged = append(c.fleet.Acknowledged, render.Acknowledgement{Object: object, Loss: render.Deleted, Until: "2026-11-23"})
		}
		if l := c.leave(state, now); len(l.remove) != len(state) || len(l.locked) != len(data) {
			t.Errorf("%s.%s: of %d objects %d are removed, %d unlocked, all being acknowledged", unit.Fleet, unit.Name, len(state), len(l.remove), len(l.locked))
		}
	}
}
