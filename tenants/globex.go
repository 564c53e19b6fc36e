package tenants

import (
	"github.com/tenantry/tenantry/config"
	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// globex has nodes of its own and brings its own database, cache, store and secrets.
func globex(in environment) render.Tenant {
	return render.Tenant{
		Name: "globex",
		Tier: render.Premium,
		API:  portalAPI(in, render.Autoscale{Min: 2, Max: in.replicas, CPU: 70, Memory: 80}),
		Database: render.ExternalPostgres{
			Host:     "db." + in.name + ".globex.example",
			Database: "portal",
			User:     "portal",
			Password: render.ExternalSecrets{Store: "vault"},
			CA:       render.ExternalSecrets{Store: "vault"},
			CIDRs:    []string{"10.80.0.0/28"},
		},
		Cache: render.ExternalRedis{
			Sentinel: &render.Sentinel{
				Master: "portal",
				Nodes: []string{
					"redis-1." + in.name + ".globex.example:26379",
					"redis-2." + in.name + ".globex.example:26379",
					"redis-3." + in.name + ".globex.example:26379",
				},
				Password: render.ExternalSecrets{Store: "vault"},
			},
			Username: "portal",
			Password: render.ExternalSecrets{Store: "vault"},
			CIDRs:    []string{"10.80.0.16/28"},
		},
		Store: render.S3{
			Endpoint:  "https://s3.globex.example",
			Bucket:    "portal-" + in.name,
			PathStyle: true,
			CIDRs:     []string{"10.80.0.32/32"},
		},
		Edge: render.Ingress{
			Class:       "nginx",
			Host:        "portal." + in.name + ".globex.example",
			Annotations: map[string]string{"nginx.ingress.kubernetes.io/proxy-body-size": "50m", "nginx.ingress.kubernetes.io/proxy-read-timeout": "60"},
			Proxy:       render.Peer{Namespace: "ingress-nginx", Labels: map[string]string{"app.kubernetes.io/name": "ingress-nginx"}},
		},
		DNS:       render.ManualDNS{},
		Placement: render.DedicatedNodes{},
		Secrets:   render.ExternalSecrets{Store: "vault"},
		Settings: portal.Settings{
			Doppler: portal.Doppler{Project: "portal", Config: "globex"},
			Mail:    portal.SES{Region: "eu-central-1"},
			Security: portal.Security{
				Encryption: portal.KeyRing{},
				OAuth:      portal.OAuth{MicrosoftClientSecret: config.Provided()},
			},
		},
	}
}
