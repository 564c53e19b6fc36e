package verify

import (
	"fmt"
	"slices"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// many is a fleet of so many tenants with everything that runs in a cluster. own gives each tenant an address
// of its own to reach, so that no two are alike.
func many(t testing.TB, count int, own bool) Fleet {
	t.Helper()
	f := tenants.Fleets()[1] // prod
	like := f.Tenants[0]
	f.Tenants, f.Rings, f.Cluster.Pools = nil, nil, nil
	for i := range count {
		one := like
		one.Name = fmt.Sprintf("tenant-%04d", i)
		one.Edge = render.Gateway{Host: one.Name + ".example.com"}
		database := like.Database.(render.CloudNativePG)
		store := database.Backup.To.(render.S3)
		store.Bucket = one.Name + "-backup"
		database.Backup.To = store
		one.Database = database
		if own {
			one.Egress = []render.Egress{{CIDR: fmt.Sprintf("198.51.%d.%d/32", i/256, i%256), Port: 587}}
		}
		f.Tenants = append(f.Tenants, one)
	}
	return fleetsOf(t, []render.Fleet{f})[0]
}

// open takes all network policies out.
func (f Fleet) open() Fleet {
	f.Units = slices.Clone(f.Units)
	for i := range f.Units {
		f.Units[i].Objects = slices.DeleteFunc(slices.Clone(f.Units[i].Objects), func(o Object) bool {
			_, ok := o.Object.(*networkingv1.NetworkPolicy)
			return ok
		})
	}
	return f
}

func BenchmarkNetwork(b *testing.B) {
	for _, kind := range []string{"alike", "distinct", "open"} {
		for _, count := range []int{100, 300, 1000} {
			b.Run(fmt.Sprintf("%s/tenants=%d", kind, count), func(b *testing.B) {
				f := many(b, count, kind != "alike")
				if kind == "open" {
					f = f.open()
				}
				objects := 0
				for _, u := range f.Units {
					objects += len(u.Objects)
				}
				b.ReportAllocs()
				for b.Loop() {
					if found := networkFindings(f); (len(found) > 0) != (kind == "open") {
						b.Fatal(len(found))
					}
				}
				b.ReportMetric(float64(objects), "objects")
			})
		}
	}
}
