package tenants

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// umbrella runs code of its own choosing: behind a kernel of its own, with workers and a cron job beside
// the API.
func umbrella(in environment) render.Tenant {
	api := portalAPI(in, render.Autoscale{Min: 2, Max: in.replicas, CPU: 70})
	api.Metrics = 9464
	return render.Tenant{
		Name: "umbrella",
		Tier: render.Premium,
		API:  api,
		Database: render.CloudNativePG{
			Instances:  in.instances,
			Image:      postgresImage,
			Storage:    "100Gi",
			Extensions: extensions,
			Preload:    []string{"pg_stat_statements"},
			Parameters: map[string]string{"max_connections": "300"},
			Pooler:     &render.Pooler{Instances: 2, PerSession: true},
			Backup: render.Backup{
				To:       render.S3{Endpoint: "https://s3.example.net", Bucket: "umbrella-backup-" + in.name, Region: "eu-central-1"},
				Schedule: "30 1 * * *",
			},
		},
		Cache:     render.Valkey{Memory: "2Gi", Storage: "10Gi", CPU: "500m"},
		Store:     render.S3{Endpoint: "https://s3.example.net", Bucket: "umbrella-" + in.name, Region: "eu-central-1"},
		Edge:      render.Gateway{Host: "umbrella." + in.domain, MaxBody: "200Mi", Timeout: 2 * time.Minute},
		DNS:       render.ExternalDNS{TTL: time.Minute},
		Placement: render.Sandboxed{},
		Secrets:   render.FromEnvironment{},
		Settings: portal.Settings{
			App:      portal.App{LogLevel: portal.LogDebug},
			Doppler:  portal.Doppler{Project: "portal", Config: "umbrella"},
			Database: portal.Database{PoolMax: 30},
			Purge:    portal.Purge{Sessions: portal.Retention{Keep: 7 * 24 * time.Hour}},
		},
		Workloads: []render.Workload{
			render.Worker{Name: "mailer", Command: []string{"node", "dist/worker.js", "mail"}, Scale: render.Fixed{Replicas: 2}},
			render.Worker{
				Name: "thumbnails", Image: "registry.example.com/umbrella/thumbnails:2.4.1", Command: []string{"/thumbnails"},
				Scale: render.Autoscale{Min: 2, Max: 6, CPU: 75}, Resources: render.Resources{CPU: "500m", Memory: "1Gi"}, Stop: time.Minute,
			},
			render.CronJob{Name: "invoices", Command: []string{"node", "dist/cron.js", "invoices"}, Schedule: "15 4 1 * *"},
		},
		Extra: []render.Object{
			&corev1.ConfigMap{
				TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
				ObjectMeta: metav1.ObjectMeta{Name: "thumbnail-sizes"},
				Data:       map[string]string{"sizes": "64,256,1024"},
			},
		},
	}
}
