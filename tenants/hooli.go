package tenants

import (
	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// hooli is called from inside the cluster only, and is small enough for one process without a cache.
func hooli(in environment) render.Tenant {
	return render.Tenant{
		Name: "hooli",
		Tier: render.Basic,
		API:  portalAPI(in, render.Fixed{Replicas: 1}),
		Database: render.CloudNativePG{
			Instances:  1,
			Image:      postgresImage,
			Storage:    "20Gi",
			Extensions: extensions,
			Backup:     render.Backup{To: render.NoStore{}}, // everything in it can be made again
			Password:   render.Generated{},
		},
		Cache:     render.NoCache{},
		Store:     render.GarageBucket{},
		Edge:      render.NoEdge{Clients: []render.Peer{{Namespace: "backoffice"}}},
		DNS:       render.ManualDNS{},
		Placement: render.SharedNodes{},
		Secrets:   render.FromEnvironment{},
		Settings: portal.Settings{
			Doppler: portal.Doppler{Project: "portal", Config: "hooli"},
			Mail:    portal.Postmark{},
		},
	}
}
