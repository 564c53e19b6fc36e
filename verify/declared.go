package verify

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/tenantry/tenantry/render"
)

// A Grant is what a service account may do at the API server, in one namespace.
type Grant struct {
	Namespace, Account string
	Home               string // of the account. Default: the same namespace
	// Verbs and Resources are all that it may do. Neither: whatever lies within its namespace, as the account
	// that deploys it may, and within the bounds that rules keep from every account.
	Verbs     []string
	Resources []string // of the core group, such as "pods"
}

// A Bucket is one of an object store, and the tenant that it belongs to.
type Bucket struct {
	Tenant   string
	Endpoint string // URL of the store
	Name     string
}

// A Server is a database or a cache outside the cluster, and a tenant that it belongs to.
type Server struct {
	Tenant  string
	Address string // as it stands in URLs and settings: host:port, and /database where there is one
}

// A Pool is nodes that are alike.
type Pool struct {
	Name  string
	Nodes int32 // how many there are
	Spare int32 // how many of them may be away at a time: drained, or broken
	// What one node has for pods, less what the system and daemons that no fleet renders take.
	CPU, Memory, Ephemeral resource.Quantity
	Pods                   int64
	Labels                 map[string]string
	Taints                 []corev1.Taint
}

// workloads declares what accounts, images, names and nodes there are to be.
func (a author) workloads() {
	f, facts := a.fleet, a.facts
	facts.Kubernetes = f.Cluster.Kubernetes
	facts.Registries = append([]string{f.Cluster.Registry}, f.Cluster.Registries...)
	facts.Sandbox = cmp.Or(f.Platform.SandboxHandler, "runsc")
	for _, p := range f.Cluster.Pools {
		facts.Pools = append(facts.Pools, poolOf(p))
	}
	facts.Tiers = map[string]string{}
	facts.Admission = render.Admission(f)
	facts.Hosts = map[string][]string{}
	for i := range f.Tenants {
		t := &f.Tenants[i]
		facts.Tiers[t.Name] = t.Tier.String()
		facts.Hosts[t.Name] = t.Hosts
		switch e := t.Edge.(type) {
		case render.Gateway:
			facts.Hosts[t.Name] = append([]string{e.Host}, t.Hosts...)
		case render.Ingress:
			facts.Hosts[t.Name] = append([]string{e.Host}, t.Hosts...)
		case render.NoEdge:
		default:
			panic(fmt.Sprintf("unhandled %T", e))
		}
		switch d := t.Delivery.(type) {
		case render.Flux:
			facts.Grants = append(facts.Grants, Grant{Namespace: t.Name, Account: t.Name + ".deployer", Home: render.PlatformUnit})
		case render.Pulumi, nil:
			facts.Grants = append(facts.Grants, Grant{Namespace: t.Name, Account: "deployer"})
		default:
			panic(fmt.Sprintf("unhandled %T", d))
		}
		if t.API.ReadsPods {
			facts.Grants = append(facts.Grants, Grant{Namespace: t.Name, Account: "api", Verbs: []string{"get", "list", "watch"}, Resources: []string{"pods"}})
		}
		switch p := t.Placement.(type) {
		case render.DedicatedNodes:
			facts.Dedicated = append(facts.Dedicated, t.Name)
		case render.Sandboxed:
			facts.Sandboxed = append(facts.Sandboxed, t.Name)
		case render.SharedNodes:
		default:
			panic(fmt.Sprintf("unhandled %T", p))
		}
		a.bucket(t.Name, t.Store, t.Name)
		switch d := t.Database.(type) {
		case render.CloudNativePG:
			a.bucket(t.Name, d.Backup.To, t.Name+"-backup")
		case render.Postgres:
			a.bucket(t.Name, d.Backup.To, t.Name+"-backup")
		case render.ExternalPostgres:
			facts.Servers = append(facts.Servers, Server{t.Name, fmt.Sprintf("%s:%d/%s", d.Host, cmp.Or(d.Port, 5432), d.Database)})
		default:
			panic(fmt.Sprintf("unhandled %T", d))
		}
		switch c := t.Cache.(type) {
		case render.ExternalRedis:
			nodes := []string{net.JoinHostPort(c.Host, strconv.Itoa(int(cmp.Or(c.Port, 6379))))}
			if c.Sentinel != nil {
				nodes = c.Sentinel.Nodes
			}
			for _, node := range nodes {
				facts.Servers = append(facts.Servers, Server{t.Name, node})
			}
		case render.Valkey, render.NoCache:
		default:
			panic(fmt.Sprintf("unhandled %T", c))
		}
	}
}

func poolOf(p render.Pool) Pool {
	pool := Pool{
		Name: p.Name, Nodes: p.Nodes, Spare: cmp.Or(p.Spare, min(1, p.Nodes-1)), Pods: int64(p.Pods),
		Labels: maps.Clone(p.Labels), CPU: resource.MustParse(string(p.CPU)), Memory: resource.MustParse(string(p.Memory)), Ephemeral: resource.MustParse(string(p.Ephemeral)),
	}
	if p.Tenant != "" {
		if pool.Labels == nil {
			pool.Labels = map[string]string{}
		}
		pool.Labels[render.TenantLabel] = p.Tenant
		pool.Taints = []corev1.Taint{{Key: render.TenantLabel, Value: p.Tenant, Effect: corev1.TaintEffectNoSchedule}}
	}
	return pool
}

// bucket declares a tenant's bucket; its name in the platform's store is the one given, unless the tenant
// chose another.
func (a author) bucket(tenant string, store render.ObjectStore, name string) {
	switch s := store.(type) {
	case render.S3:
		a.facts.Buckets = append(a.facts.Buckets, Bucket{tenant, s.Endpoint, s.Bucket})
	case render.GarageBucket:
		endpoint := "http://garage." + render.PlatformUnit + ".svc." + cmp.Or(a.fleet.Cluster.Domain, "cluster.local") + ":3900"
		a.facts.Buckets = append(a.facts.Buckets, Bucket{tenant, endpoint, cmp.Or(s.Bucket, name)})
	case render.NoStore:
	default:
		panic(fmt.Sprintf("unhandled %T", s))
	}
}
