package review_test

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/review"
	"github.com/tenantry/tenantry/tenants"
)

var today = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// example is one of the example fleets.
func example(name string) render.Fleet {
	all := tenants.Fleets()
	return all[slices.IndexFunc(all, func(f render.Fleet) bool { return f.Name == name })]
}

// many is a fleet of so many tenants with everything that runs in a cluster.
func many(count int) render.Fleet {
	f := example("prod")
	like := f.Tenants[0]
	f.Tenants, f.Rings = nil, nil
	for i := range count {
		one := like
		one.Name = fmt.Sprintf("tenant-%04d", i)
		one.Edge = render.Gateway{Host: one.Name + ".example.com"}
		database := like.Database.(render.CloudNativePG)
		store := database.Backup.To.(render.S3)
		store.Bucket = one.Name + "-backup"
		database.Backup.To = store
		one.Database = database
		f.Tenants = append(f.Tenants, one)
	}
	return f
}

// filesOf are the golden files of fleets.
func filesOf(tb testing.TB, fleets ...render.Fleet) map[string][]byte {
	tb.Helper()
	units, err := render.Units(fleets)
	if err != nil {
		tb.Fatal(err)
	}
	files := map[string][]byte{}
	for _, u := range units {
		for _, f := range u.Files {
			files[path.Join(u.Fleet, u.Name, f.Name)] = f.YAML
		}
	}
	return files
}

// between are the states of two sets of files.
func between(before, after map[string][]byte) review.States {
	s := review.States{Read: func(name string) ([]byte, error) { return after[name], nil }}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if is, ok := after[name]; ok && bytes.Equal(before[name], is) {
			s.Same = append(s.Same, name)
		} else {
			s.Changed = append(s.Changed, review.File{Path: name, Before: before[name], After: after[name]})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, was := before[name]; !was {
			s.Changed = append(s.Changed, review.File{Path: name, After: after[name]})
		}
	}
	return s
}

// BenchmarkCompare reviews changes of a fleet of 1,000 tenants: one tenant's image, everybody's, a label on every object,
// what one tenant's pods may reach, and what everybody's may.
func BenchmarkCompare(b *testing.B) {
	fleet := many(1000)
	before := filesOf(b, fleet)
	one, all := many(1000), many(1000)
	one.Tenants[500].API.Image += "9"
	for i := range all.Tenants {
		all.Tenants[i].API.Image += "9"
	}
	edited := func(in, is, becomes string) map[string][]byte {
		after := map[string][]byte{}
		for name, text := range before {
			if strings.Contains(name, in) {
				text = bytes.ReplaceAll(text, []byte(is), []byte(becomes))
			}
			after[name] = text
		}
		return after
	}
	for _, row := range []struct {
		name  string
		after map[string][]byte
	}{
		{"one", filesOf(b, one)},
		{"images", filesOf(b, all)},
		{"labels", edited("", "managed-by: tenantry", "managed-by: nobody")},
		{"policy", edited("tenant-0500/networkpolicy-", "port: 443", "port: 444")},
		{"policies", edited("/networkpolicy-", "port: 443", "port: 444")},
	} {
		b.Run(row.name, func(b *testing.B) {
			states := between(before, row.after)
			b.ReportAllocs()
			for b.Loop() {
				report, err := review.Compare(states, []render.Fleet{fleet}, today)
				if err != nil || len(report.Changes) == 0 {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(states.Changed)), "files")
		})
	}
}
