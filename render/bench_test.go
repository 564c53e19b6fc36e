package render_test

import (
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// BenchmarkUnits renders and encodes a fleet whose tenants have everything that runs in a cluster.
func BenchmarkUnits(b *testing.B) {
	for _, count := range []int{100, 1000} {
		b.Run(fmt.Sprintf("tenants=%d", count), func(b *testing.B) {
			list := make([]render.Tenant, count)
			for i := range list {
				t := tenant(fmt.Sprintf("tenant-%04d", i))
				t.Settings = portal.Settings{Doppler: portal.Doppler{Project: "portal", Config: t.Name}}
				t.API.Scale = render.Autoscale{Min: 2, Max: 10, CPU: 70}
				t.API.ReadsPods = true
				t.Database = render.CloudNativePG{
					Instances: 3, Image: "registry.example.com/postgres:18", Storage: "50Gi", Extensions: []string{"vector"},
					Backup: render.Backup{To: render.S3{Endpoint: "https://s3.example.com", Bucket: t.Name + "-backup"}, Keep: 7 * 24 * time.Hour},
				}
				list[i] = t
			}
			f := fleet(list...)
			f.Platform.Prometheus = &render.Peer{Namespace: "monitoring"}
			b.ReportAllocs()
			files := 0
			for b.Loop() {
				units, err := render.Units([]render.Fleet{f})
				if err != nil {
					b.Fatal(err)
				}
				files = 0
				for _, u := range units {
					files += len(u.Files)
				}
			}
			b.ReportMetric(float64(count)*float64(b.N)/b.Elapsed().Seconds(), "tenants/s")
			b.ReportMetric(float64(files)/float64(count), "files/tenant")
		})
	}
}

// BenchmarkEncode compares the emitter with the library that Kubernetes' own tools write YAML with.
func BenchmarkEncode(b *testing.B) {
	units, err := render.Units([]render.Fleet{fleet(tenant("acme"))})
	if err != nil {
		b.Fatal(err)
	}
	files := units[1].Files
	b.Run("render", func(b *testing.B) {
		for b.Loop() {
			for _, f := range files {
				if _, err := render.Encode(f.Object); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("sigs.k8s.io-yaml", func(b *testing.B) {
		for b.Loop() {
			for _, f := range files {
				if _, err := yaml.Marshal(f.Object); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
