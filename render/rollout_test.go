package render_test

import (
	"testing"
	"time"

	"github.com/tenantry/tenantry/render"
)

func TestAcknowledgementsEnd(t *testing.T) {
	f := fleet(tenant("acme"))
	f.Acknowledged = []render.Acknowledgement{{Object: "acme/StatefulSet/cache", Loss: render.Replaced, Why: "a larger volume", Until: "2026-12-31"}}
	last := time.Date(2026, 12, 31, 23, 59, 59, 0, time.UTC)
	for _, row := range []struct {
		object string
		loss   render.Loss
		now    time.Time
		want   bool
	}{
		{"acme/StatefulSet/cache", render.Replaced, last, true},
		{"acme/StatefulSet/cache", render.Replaced, last.Add(time.Second), false},
		{"acme/StatefulSet/cache", render.Deleted, last, false},
		{"acme/StatefulSet/database", render.Replaced, last, false},
	} {
		if got := f.Acknowledges(row.object, row.loss, row.now); got != row.want {
			t.Errorf("%s %s at %s: %t", row.object, row.loss, row.now, got)
		}
	}
}

func TestRings(t *testing.T) {
	f := fleet(tenant("acme"), tenant("globex"), tenant("initech"))
	f.Rings = []render.Ring{{Name: "canary", Tenants: []string{"globex"}}, {Name: "early", Tenants: []string{"acme"}}}
	for name, want := range map[string]int{"globex": 0, "acme": 1, "initech": 2} {
		if got := f.RingOf(name); got != want {
			t.Errorf("%s is in ring %d, want %d", name, got, want)
		}
	}
}
