package tenants

import "github.com/tenantry/tenantry/render"

// extensions are what the application's migrations look for. Its database image carries them.
var extensions = []string{"btree_gin", "fuzzystrmatch", "pg_partman", "pg_trgm", "unaccent", "vector"}

// postgresImage is PostgreSQL with those extensions.
const postgresImage = "registry.example.com/parametric_portal/postgres:18.2-1"

// portalAPI is the application as its authors describe it: its port, its probes and its migrations.
func portalAPI(in environment, scale render.Scale) render.Service {
	return render.Service{
		Image:     "registry.example.com/parametric_portal/api:" + in.version,
		Port:      4000,
		Scale:     scale,
		Live:      "/api/health/liveness",
		Ready:     "/api/health/readiness",
		Migrate:   []string{"node", "dist/migrate.js"},
		ReadsPods: true,
	}
}
