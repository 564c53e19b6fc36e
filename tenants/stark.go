package tenants

import (
	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// stark is pulled into its clusters by Flux, and has its secrets from a vault, since Flux fills none.
func stark(in environment) render.Tenant {
	return render.Tenant{
		Name: "stark",
		Tier: render.Standard,
		API:  portalAPI(in, render.Fixed{Replicas: 2}),
		Database: render.CloudNativePG{
			Instances:  in.instances,
			Image:      postgresImage,
			Storage:    "20Gi",
			Extensions: extensions,
			Backup: render.Backup{
				To: render.S3{Endpoint: "https://s3.example.net", Bucket: "stark-backup-" + in.name, Region: "eu-central-1"},
			},
		},
		Cache:     render.Valkey{Memory: "256Mi", Password: render.ExternalSecrets{Store: "vault"}},
		Store:     render.S3{Endpoint: "https://s3.example.net", Bucket: "stark-" + in.name, Region: "eu-central-1"},
		Edge:      render.Gateway{Host: "stark." + in.domain},
		DNS:       render.ExternalDNS{},
		Placement: render.SharedNodes{},
		Secrets:   render.ExternalSecrets{Store: "vault"},
		Settings: portal.Settings{
			Doppler: portal.Doppler{Project: "portal", Config: "stark"},
		},
		Delivery: render.Flux{},
	}
}
