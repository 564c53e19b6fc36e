package tenants

import (
	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// initech needs no operator: it would run on a bare cluster that has nothing but an Ingress controller.
func initech(in environment) render.Tenant {
	return render.Tenant{
		Name: "initech",
		Tier: render.Basic,
		API:  portalAPI(in, render.Fixed{Replicas: 2}),
		Database: render.Postgres{
			Image:      postgresImage,
			Storage:    "20Gi",
			Extensions: extensions,
			Backup:     render.Backup{To: render.GarageBucket{}},
		},
		Cache: render.Valkey{Memory: "256Mi", Plaintext: true},
		Store: render.GarageBucket{},
		Edge: render.Ingress{
			Class:       "nginx",
			Host:        "initech." + in.domain,
			Annotations: map[string]string{"nginx.ingress.kubernetes.io/proxy-body-size": "50m", "nginx.ingress.kubernetes.io/proxy-read-timeout": "60"},
			Proxy:       render.Peer{Namespace: "ingress-nginx", Labels: map[string]string{"app.kubernetes.io/name": "ingress-nginx"}},
			Certificate: render.Provided{},
		},
		DNS:       render.ManualDNS{},
		Placement: render.SharedNodes{},
		Secrets:   render.FromEnvironment{},
		Settings: portal.Settings{
			Doppler: portal.Doppler{Project: "portal", Config: "initech"},
		},
	}
}
