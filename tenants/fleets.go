// Package tenants holds values only: who the tenants are, one file each, and the fleets that they run in.
package tenants

import "github.com/tenantry/tenantry/render"

// Fleets lists every fleet, in the order in which a change reaches them. What is rendered, reviewed and applied starts
// here.
func Fleets() []render.Fleet {
	return []render.Fleet{staging(), prod(), tower()}
}

// An environment is what one tenant's value differs by from fleet to fleet.
type environment struct {
	name      string // of the fleet
	domain    string // below which hosts are named
	version   string // tag of the application's image: staging has it first
	instances int32  // of each database
	replicas  int32  // of each API, at most
}

// all lists the tenants that every environment of ours has.
func all(in environment) []render.Tenant {
	return []render.Tenant{
		acme(in),
		globex(in),
		hooli(in),
		initech(in),
		umbrella(in),
	}
}

func prod() render.Fleet {
	in := environment{name: "prod", domain: "example.com", version: "sha-1a2b3c4", instances: 3, replicas: 10}
	return render.Fleet{
		Name: "prod",
		Cluster: render.Cluster{
			Kubernetes:   "1.36",
			APIServers:   []string{"10.0.0.10/32", "10.0.0.11/32", "10.0.0.12/32"},
			Registry:     "registry.example.com",
			StorageClass: "nvme",
			Pools: []render.Pool{
				{Name: "shared", Nodes: 9, CPU: "15500m", Memory: "60Gi", Ephemeral: "200Gi", Pods: 110},
				{Name: "globex", Nodes: 3, CPU: "7500m", Memory: "28Gi", Ephemeral: "100Gi", Pods: 110, Tenant: "globex"},
			},
		},
		Platform: render.Platform{
			Addresses:  []string{"203.0.113.10", "2001:db8::10"},
			Gateway:    &render.SharedGateway{},
			Issuer:     render.ACME{Server: "https://acme.example.com/directory", Email: "platform@example.com", Class: "nginx"},
			Collector:  &render.Collector{Endpoint: "https://otlp.example.com"},
			Garage:     &render.Garage{Replicas: 3, Storage: "500Gi"},
			Prometheus: &render.Peer{Namespace: "monitoring", Labels: map[string]string{"app.kubernetes.io/name": "prometheus"}},
			Source:     render.GitRepository{URL: "https://git.example.com/tenants", Secret: "git", Keys: "signers"},
		},
		Tenants: append(all(in), stark(in)),
		Rings: []render.Ring{
			{Name: "canary", Tenants: []string{"hooli"}},
			{Name: "early", Tenants: []string{"initech"}},
		},
	}
}

func staging() render.Fleet {
	return render.Fleet{
		Name: "staging",
		Cluster: render.Cluster{
			Kubernetes: "1.37",
			APIServers: []string{"10.1.0.10/32"},
			Registry:   "registry.example.com",
			Pools: []render.Pool{
				{Name: "shared", Nodes: 4, CPU: "7500m", Memory: "28Gi", Ephemeral: "100Gi", Pods: 110},
				{Name: "globex", Nodes: 2, CPU: "3500m", Memory: "14Gi", Ephemeral: "100Gi", Pods: 110, Tenant: "globex"},
			},
		},
		Platform: render.Platform{
			Addresses:  []string{"203.0.113.20"},
			Gateway:    &render.SharedGateway{},
			Issuer:     render.ClusterIssuer{Name: "staging"},
			Collector:  &render.Collector{Endpoint: "https://otlp.example.com"},
			Garage:     &render.Garage{Replicas: 1, Storage: "100Gi"},
			Prometheus: &render.Peer{Namespace: "monitoring", Labels: map[string]string{"app.kubernetes.io/name": "prometheus"}},
			Images:     render.Images{Valkey: "registry.example.com/valkey/valkey:9.0.2-alpine3.23"}, // on trial before prod has it
		},
		Tenants: all(environment{name: "staging", domain: "staging.example.com", version: "sha-5d6e7f8", instances: 1, replicas: 2}),
	}
}

// tower is a cluster in the building of one customer, stark. Nothing reaches it from outside, so all of it is pulled.
func tower() render.Fleet {
	return render.Fleet{
		Name: "tower",
		Cluster: render.Cluster{
			Kubernetes:   "1.36",
			APIServers:   []string{"10.2.0.10/32"},
			Registry:     "registry.example.com",
			StorageClass: "local",
			Pools:        []render.Pool{{Name: "shared", Nodes: 3, CPU: "7500m", Memory: "28Gi", Ephemeral: "100Gi", Pods: 110}},
		},
		Platform: render.Platform{
			Addresses: []string{"203.0.113.30"},
			Gateway:   &render.SharedGateway{},
			Issuer:    render.ClusterIssuer{Name: "tower"},
			Collector: &render.Collector{Endpoint: "https://otlp.example.com"},
			Source:    render.OCIRepository{URL: "oci://registry.example.com/tenants/tower", Tag: "stable", Secret: "registry"},
			Delivery:  render.Flux{},
		},
		Tenants: []render.Tenant{stark(environment{name: "tower", domain: "tower.example.com", version: "sha-1a2b3c4", instances: 1})},
	}
}
