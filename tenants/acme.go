package tenants

import (
	"time"

	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// acme is a tenant as most are: everything runs in the cluster, and operators run it.
func acme(in environment) render.Tenant {
	return render.Tenant{
		Name: "acme",
		Tier: render.Standard,
		API:  portalAPI(in, render.Autoscale{Min: 2, Max: in.replicas, CPU: 70, Memory: 80}),
		Database: render.CloudNativePG{
			Instances:  in.instances,
			Image:      postgresImage,
			Storage:    "50Gi",
			WALStorage: "10Gi",
			Extensions: extensions,
			Roles:      []render.DatabaseRole{{Name: "reports", In: []string{"pg_read_all_data"}}},
			Backup: render.Backup{
				To:   render.S3{Endpoint: "https://s3.example.net", Bucket: "acme-backup-" + in.name, Region: "eu-central-1"},
				Keep: 14 * 24 * time.Hour,
			},
		},
		Cache:     render.Valkey{Memory: "512Mi"},
		Store:     render.GarageBucket{},
		Edge:      render.Gateway{Host: "acme." + in.domain},
		DNS:       render.ExternalDNS{},
		Placement: render.SharedNodes{},
		Secrets:   render.FromEnvironment{},
		Settings: portal.Settings{
			Auth:    portal.Auth{MaxSessionsPerUser: 10},
			Doppler: portal.Doppler{Project: "portal", Config: "acme"},
			Mail:    portal.SMTP{Host: "mail.acme.example"},
		},
		Egress: []render.Egress{{CIDR: "198.51.100.25/32", Port: 587}}, // mail.acme.example
	}
}
