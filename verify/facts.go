package verify

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/render"
)

// Facts is what is true of a fleet, or decided about it, and cannot be seen in its objects. It is the other
// account of the network, against which the policies are held.
type Facts struct {
	// APIServers are the addresses of the API servers.
	APIServers []netip.Prefix
	// Cluster is where nodes, pods and Services have their addresses. Default: in any private range. That
	// leaves out the API servers, and what a flow says is somewhere else.
	Cluster []netip.Prefix
	// Flows are the paths that are meant to be open. Within a namespace others may be open too.
	Flows []Flow

	// Kubernetes is the minor version that runs, such as "1.36".
	Kubernetes string
	// Admission is the policies by which the API server is to refuse what tenants must not have, and their bindings.
	Admission []render.Object
	// Hosts are those of each tenant by its name.
	Hosts map[string][]string
	// Registries are the places that all images come from: a host, and a path where there is one.
	Registries []string
	// Grants are what service accounts may do. One that has none may do nothing, and has no token.
	Grants []Grant
	// Tiers is the tier of each tenant by its name. It decides the priority of the tenant's pods.
	Tiers map[string]string
	// Dedicated are the tenants with nodes of their own, Sandboxed those whose application has a kernel of
	// its own, which the nodes know by the name Sandbox.
	Dedicated, Sandboxed []string
	Sandbox              string
	// Buckets and Servers are what lies outside the namespace of the one tenant that each belongs to.
	Buckets []Bucket
	Servers []Server
	// Pools are all nodes. None: they have not been declared, and nothing is held against them.
	Pools []Pool
}

// A Flow is one path that is meant to be open. No flow makes a path between two tenants right.
type Flow struct {
	Name     string // what it is for: "telemetry"
	From, To End
	TCP, UDP []int32 // ports
}

// An End is pods, or addresses.
type End struct {
	Namespace string               // of the pods; empty where the end is addresses
	Pods      metav1.LabelSelector // empty: every pod of the namespace
	Addresses []netip.Prefix
	Public    bool // every address that is not private
}

// Addresses that belong to no public host, from the registries of special-purpose addresses.
var (
	metadata = cidrs("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "fd20:ce::254/128", "100.100.100.200/32", "192.0.0.192/32")
	private  = cidrs(
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.168.0.0/16",
		"198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
		"::/127", "64:ff9b::/96", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
	)
	// shared are those of them that clusters are given addresses from.
	shared = cidrs("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
	public = everyAddress.minus(private)
)

// Picks tells whether an end of a flow is picked by a label.
func (f *Facts) Picks(label string) bool {
	by := func(s *metav1.LabelSelector) bool {
		_, equals := s.MatchLabels[label]
		return equals || slices.ContainsFunc(s.MatchExpressions, func(r metav1.LabelSelectorRequirement) bool { return r.Key == label })
	}
	return slices.ContainsFunc(f.Flows, func(fl Flow) bool { return by(&fl.From.Pods) || by(&fl.To.Pods) })
}

// FactsOf is what the values of a fleet say, before anything is rendered of them. They have been validated.
func FactsOf(f *render.Fleet) Facts {
	facts := Facts{APIServers: parsed(f.Cluster.APIServers)}
	a := author{f, &facts}
	platform := End{Namespace: render.PlatformUnit}
	a.names(platform)
	if c := f.Platform.Collector; c != nil {
		a.flow("telemetry", app(render.PlatformUnit, "collector"), reachable(c.CIDRs), portOf(c.Endpoint))
	}
	if f.Platform.Garage != nil {
		garage := app(render.PlatformUnit, "garage")
		a.flow("replicas of the object store", garage, garage, 3901)
		a.flow("provision of buckets", app(render.PlatformUnit, "garage-provision"), garage, 3903)
	}
	for i := range f.Tenants {
		a.tenant(&f.Tenants[i])
	}
	a.workloads()
	return facts
}

// An author writes down the flows of a fleet.
type author struct {
	fleet *render.Fleet
	facts *Facts
}

func (a author) flow(name string, from, to End, tcp ...int32) {
	slices.Sort(tcp)
	a.facts.Flows = append(a.facts.Flows, Flow{Name: name, From: from, To: to, TCP: slices.Compact(tcp)})
}

// names lets pods ask the cluster's DNS.
func (a author) names(from End) {
	dns := End{Namespace: "kube-system", Pods: equal(map[string]string{"k8s-app": "kube-dns"})}
	a.facts.Flows = append(a.facts.Flows, Flow{Name: "names", From: from, To: dns, TCP: []int32{53}, UDP: []int32{53}})
}

func (a author) tenant(t *render.Tenant) {
	p := &a.fleet.Platform
	a.names(End{Namespace: t.Name})

	application := End{Namespace: t.Name, Pods: metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
		Key: "app.kubernetes.io/component", Operator: metav1.LabelSelectorOpIn, Values: []string{"api", "cronjob", "migration", "worker"},
	}}}}
	api := app(t.Name, "api")
	a.flow("public HTTPS", application, reachable(nil), 443)
	for _, e := range t.Egress {
		a.flow("egress of the tenant", application, reachable([]string{e.CIDR}), e.Port)
	}
	if p.Collector != nil {
		a.flow("telemetry", application, app(render.PlatformUnit, "collector"), 4318)
	}
	if t.API.ReadsPods {
		a.servers(api)
	}
	if p.Prometheus != nil && t.API.Metrics != 0 {
		a.flow("metrics", peerEnd(*p.Prometheus), api, t.API.Metrics)
	}
	a.store(application, t.Store)
	a.database(t, application)
	a.cache(t, application)
	a.edge(t, api)
}

// servers lets pods call the API servers.
func (a author) servers(from End) {
	a.flow("Kubernetes API", from, End{Addresses: a.facts.APIServers}, cmp.Or(a.fleet.Cluster.APIServerPort, 6443))
}

func (a author) store(from End, store render.ObjectStore) {
	switch s := store.(type) {
	case render.S3:
		a.flow("object store", from, reachable(s.CIDRs), portOf(s.Endpoint))
	case render.GarageBucket:
		a.flow("object store", from, app(render.PlatformUnit, "garage"), 3900)
	case render.NoStore:
	default:
		panic(fmt.Sprintf("unhandled %T", s))
	}
}

func (a author) database(t *render.Tenant, application End) {
	prometheus := a.fleet.Platform.Prometheus
	switch d := t.Database.(type) {
	case render.CloudNativePG:
		instances := End{Namespace: t.Name, Pods: metav1.LabelSelector{
			MatchLabels:      map[string]string{"cnpg.io/cluster": "database"},
			MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "cnpg.io/poolerName", Operator: metav1.LabelSelectorOpDoesNotExist}},
		}}
		operator := a.fleet.Platform.CloudNativePG
		if operator.Namespace == "" {
			operator = render.Peer{Namespace: "cnpg-system", Labels: map[string]string{"app.kubernetes.io/name": "cloudnative-pg"}}
		}
		a.flow("database operator", peerEnd(operator), instances, 5432, 8000)
		a.servers(instances)
		a.store(instances, d.Backup.To)
		if prometheus != nil {
			a.flow("metrics", peerEnd(*prometheus), instances, 9187)
		}
		a.flow("replicas of the database", instances, instances, 5432, 8000)
		if d.Pooler == nil {
			a.flow("database", application, instances, 5432)
		} else {
			pooler := End{Namespace: t.Name, Pods: equal(map[string]string{"cnpg.io/poolerName": "database-pooler"})}
			a.servers(pooler)
			a.flow("database", application, pooler, 5432)
			a.flow("database", pooler, instances, 5432)
			if prometheus != nil {
				a.flow("metrics", peerEnd(*prometheus), pooler, 9127)
			}
		}
	case render.Postgres:
		backup, server := app(t.Name, "database-backup"), app(t.Name, "postgresql")
		a.store(backup, d.Backup.To)
		a.flow("database", application, server, 5432)
		a.flow("backup of the database", backup, server, 5432)
	case render.ExternalPostgres:
		a.flow("database", application, reachable(d.CIDRs), cmp.Or(d.Port, 5432))
	default:
		panic(fmt.Sprintf("unhandled %T", d))
	}
}

func (a author) cache(t *render.Tenant, application End) {
	switch c := t.Cache.(type) {
	case render.ExternalRedis:
		ports := []int32{cmp.Or(c.Port, 6379)}
		if c.Sentinel != nil {
			for _, node := range c.Sentinel.Nodes {
				_, text, _ := net.SplitHostPort(node)
				number, _ := strconv.ParseUint(text, 10, 16)
				ports = append(ports, int32(number))
			}
		}
		a.flow("cache", application, reachable(c.CIDRs), ports...)
	case render.Valkey:
		a.flow("cache", application, app(t.Name, "valkey"), 6379)
	case render.NoCache:
	default:
		panic(fmt.Sprintf("unhandled %T", c))
	}
}

func (a author) edge(t *render.Tenant, api End) {
	p := &a.fleet.Platform
	entrance := func(from End, certificate render.Certificate) {
		a.flow("edge", from, api, t.API.Port)
		_, acme := p.Issuer.(render.ACME)
		if _, provided := certificate.(render.Provided); acme && !provided {
			a.flow("proof of the host", from, End{Namespace: t.Name, Pods: equal(map[string]string{"acme.cert-manager.io/http01-solver": "true"})}, 8089)
		}
	}
	switch e := t.Edge.(type) {
	case render.Gateway:
		entrance(peerEnd(render.Peer{Namespace: cmp.Or(p.Gateway.Namespace, "envoy-gateway-system"), Labels: map[string]string{
			"gateway.envoyproxy.io/owning-gateway-name": "shared", "gateway.envoyproxy.io/owning-gateway-namespace": render.PlatformUnit,
		}}), e.Certificate)
	case render.Ingress:
		entrance(peerEnd(e.Proxy), e.Certificate)
	case render.NoEdge:
		for _, client := range e.Clients {
			a.flow("client", peerEnd(client), api, t.API.Port)
		}
	default:
		panic(fmt.Sprintf("unhandled %T", e))
	}
}

func equal(labels map[string]string) metav1.LabelSelector {
	return metav1.LabelSelector{MatchLabels: labels}
}

func app(namespace, name string) End {
	return End{Namespace: namespace, Pods: equal(map[string]string{"app.kubernetes.io/name": name, "app.kubernetes.io/instance": namespace})}
}

func peerEnd(p render.Peer) End { return End{Namespace: p.Namespace, Pods: equal(p.Labels)} }

// reachable is these addresses; without any, it is every public one.
func reachable(list []string) End {
	if len(list) == 0 {
		return End{Public: true}
	}
	return End{Addresses: parsed(list)}
}

func parsed(list []string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func portOf(endpoint string) int32 {
	u, err := url.Parse(endpoint)
	if err != nil {
		return 443
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
		return int32(n)
	}
	if u.Scheme == "http" {
		return 80
	}
	return 443
}

// addresses is the end's; none of an end that is pods.
func (e *End) addresses() addresses {
	if e.Public {
		return public.union(prefixes(e.Addresses...))
	}
	return prefixes(e.Addresses...)
}

// traffic is the flow's ports.
func (f *Flow) traffic() traffic {
	var t traffic
	for proto, list := range map[protocol][]int32{tcp: f.TCP, udp: f.UDP} {
		for _, n := range list {
			t[proto] = t[proto].union(ports{{port(n), port(n)}})
		}
	}
	return t
}
