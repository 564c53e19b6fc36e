package render

import (
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// A Fleet is one cluster in one environment: prod, staging, prod-eu-2. It is how environments are told
// apart and how thousands of tenants are spread over clusters.
type Fleet struct {
	Name     string // a DNS label; the golden directory and the first part of every stack's name
	Cluster  Cluster
	Platform Platform
	Tenants  []Tenant
	// Rings order how a change reaches the tenants, after the platform. Each waits until the one before it is
	// healthy. Tenants that none names come last, in the ring Everyone. None: all at once.
	Rings []Ring
	// Acknowledged are the losses of data that deploying may cause.
	Acknowledged []Acknowledgement
	// Exceptions are the findings of gen verify that somebody has looked at and lets pass.
	Exceptions []Exception
}

// Cluster says what is true of the fleet's cluster and cannot be seen from the objects in it.
type Cluster struct {
	// Kubernetes is the minor version that runs, such as "1.36". Pod Security is pinned to it.
	Kubernetes string
	// APIServers are the addresses of the API servers as CIDRs, such as "10.0.0.10/32". A network
	// policy cannot name the API server otherwise.
	APIServers []string
	// APIServerPort defaults to 6443.
	APIServerPort int32
	// Registry is the host, and path where there is one, from which the images of databases' helpers,
	// caches and the platform are pulled, such as "registry.example.com/mirror".
	Registry string
	// Registries are further places that the images of tenants' pods may come from: those of the operators' own
	// helpers, such as "registry.example.net/cloudnative-pg", where they are not mirrored to Registry.
	Registries []string
	// StorageClass of every volume. Empty leaves the choice to the cluster's default class.
	StorageClass string
	// Domain is the cluster's DNS domain. Default "cluster.local".
	Domain string
	// Pools are the nodes that take the fleet's pods: all of them, or none where it is not to be known whether they
	// suffice.
	Pools []Pool
}

// Platform is what the tenants of a fleet lean on. The operators themselves (CloudNativePG, cert-manager,
// external-dns, Prometheus, Envoy Gateway) are installed beside it; the platform says where they run, so that
// network policies can let in exactly them.
type Platform struct {
	// Addresses are the IP addresses or host names at which the edge is reached from outside. The DNS
	// records of tenants point at them.
	Addresses []string
	// Gateway is the shared entrance of tenants with a Gateway edge; nil where none has one.
	Gateway *SharedGateway
	// Issuer signs the certificates of tenants' edges; nil where every tenant brings its own.
	Issuer Issuer
	// Collector receives the tenants' telemetry; nil leaves telemetry off.
	Collector *Collector
	// Garage is the self-hosted object store; nil where no tenant has a GarageBucket.
	Garage *Garage
	// Prometheus scrapes databases and workloads, and alerts when a tenant's data is no longer copied; nil
	// where no Prometheus operator runs.
	Prometheus *Peer
	// CloudNativePG is where its operator runs. Default: pods labelled
	// app.kubernetes.io/name=cloudnative-pg in the namespace cnpg-system.
	CloudNativePG Peer
	// SandboxHandler is the node runtime's name for Sandboxed tenants. Default "runsc" (gVisor).
	SandboxHandler string
	// Images overrides third-party images, by which a newer one is tried in one fleet first.
	Images Images
	// Source is where Flux, installed beside the platform, pulls from; nil where it delivers nothing.
	Source Source
	// Delivery of the platform's own unit. Default Pulumi.
	Delivery Delivery
	// Extra objects of any kind, cluster-scoped ones too. See Tenant.Extra.
	Extra []Object
}

// A Peer is a set of pods in another namespace that a network policy lets in.
type Peer struct {
	Namespace string
	Labels    map[string]string // of the pods; empty means every pod of the namespace
}

// Images are the third-party images that variants run. An empty one is the version that this version of
// Tenantry pins, pulled from Cluster.Registry; one that is set is a full reference.
type Images struct {
	Valkey    string
	Collector string
	Garage    string
	Rclone    string // uploads the dumps of a Postgres
	Curl      string // provisions buckets in Garage
}

// resolved fills the images that are left out.
func (i Images) resolved(registry string) Images {
	or := func(set, pinned string) string {
		if set != "" {
			return set
		}
		return registry + "/" + pinned
	}
	return Images{
		Valkey:    or(i.Valkey, "valkey/valkey:9.0.1-alpine3.23"),
		Collector: or(i.Collector, "otel/opentelemetry-collector-contrib:0.142.0"),
		Garage:    or(i.Garage, "dxflrs/garage:v2.1.0"),
		Rclone:    or(i.Rclone, "rclone/rclone:1.72.0"),
		Curl:      or(i.Curl, "curlimages/curl:8.17.0"),
	}
}

// A SharedGateway is the one Gateway of a fleet, implemented by Envoy Gateway. Every tenant with a Gateway
// edge attaches its own listener and certificate to it.
type SharedGateway struct {
	Class     string // name of the GatewayClass, which is rendered too. Default "envoy"
	Namespace string // where Envoy Gateway runs its proxies. Default "envoy-gateway-system"
}

// A Collector is an OpenTelemetry collector: a Deployment in the platform's namespace that takes OTLP over
// HTTP from every tenant and sends it on.
type Collector struct {
	Endpoint  string   // where it exports to, OTLP over HTTP, such as "https://otlp.example.com"
	CIDRs     []string // the addresses behind Endpoint; empty means any public address on its port
	Replicas  int32    // Default 2
	Resources Resources
}

// A Quantity is a Kubernetes quantity. CPU is a number of CPUs, or of thousandths: "2", "250m". All else is bytes, with
// a suffix from k to T or from Ki to Ti: "512Mi", "50Gi". A container's memory is at least 12Mi, a database's volume 128Mi,
// another volume or a disk 1Mi, a request's body 1Ki.
type Quantity string

// Less tells whether a quantity is smaller than another one; not when either is none.
func (q Quantity) Less(other Quantity) bool {
	a, err := resource.ParseQuantity(string(q))
	if err != nil {
		return false
	}
	b, err := resource.ParseQuantity(string(other))
	return err == nil && a.Cmp(b) < 0
}

// A Cron is a schedule in the five fields of crontab(5), in UTC: "0 3 * * *".
type Cron string

// Resources is what one container asks for. What is left out is a default of the component's.
type Resources struct {
	CPU       Quantity // request
	CPULimit  Quantity // Default: four times the request
	Memory    Quantity // request and limit: memory is never overcommitted
	Ephemeral Quantity // request and limit of the node's disk. Default "1Gi"
}

const day = 24 * time.Hour
