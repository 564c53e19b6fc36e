package render_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/tenantry/tenantry/render"
)

// settings is a schema of no particular application.
type settings struct {
	URL  string `env:"URL" fact:"edge.url"`
	Size int    `env:"SIZE" envDefault:"0"`
}

func fleet(tenants ...render.Tenant) render.Fleet {
	return render.Fleet{
		Name: "prod",
		Cluster: render.Cluster{
			Kubernetes: "1.36",
			APIServers: []string{"10.0.0.10/32"},
			Registry:   "registry.example.com",
		},
		Platform: render.Platform{
			Addresses: []string{"203.0.113.10"},
			Gateway:   &render.SharedGateway{},
			Issuer:    render.ClusterIssuer{Name: "issuer"},
			Garage:    &render.Garage{Replicas: 1, Storage: "10Gi"},
		},
		Tenants: tenants,
	}
}

func tenant(name string) render.Tenant {
	return render.Tenant{
		Name: name,
		Tier: render.Basic,
		API: render.Service{
			Image: "registry.example.com/api:v1", Port: 8080, Scale: render.Fixed{Replicas: 2}, Live: "/live", Ready: "/ready", Migrate: []string{"migrate"},
		},
		Database: render.CloudNativePG{
			Instances: 1, Image: "registry.example.com/postgres:18", Storage: "10Gi", Backup: render.Backup{To: render.NoStore{}},
		},
		Cache:     render.Valkey{Memory: "256Mi"},
		Store:     render.GarageBucket{},
		Edge:      render.Gateway{Host: name + ".example.com"},
		DNS:       render.ExternalDNS{},
		Placement: render.SharedNodes{},
		Secrets:   render.FromEnvironment{},
		Settings:  settings{},
	}
}

// pooled gives the fleet two pools, of which the second is changed.
func pooled(change func(*render.Pool)) func(*render.Fleet, *render.Tenant) {
	return func(f *render.Fleet, _ *render.Tenant) {
		pool := render.Pool{Name: "shared", Nodes: 3, CPU: "4", Memory: "16Gi", Ephemeral: "50Gi", Pods: 110}
		f.Cluster.Pools = []render.Pool{pool, pool}
		f.Cluster.Pools[1].Name = "own"
		change(&f.Cluster.Pools[1])
	}
}

// mistakes are the *field.Error values that an error joins.
func mistakes(t *testing.T, err error) []*field.Error {
	t.Helper()
	if err == nil {
		return nil
	}
	all, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v joins nothing", err)
	}
	var list []*field.Error
	for _, e := range all.Unwrap() {
		mistake, ok := errors.AsType[*field.Error](e)
		if !ok {
			t.Fatalf("%v is no *field.Error", e)
		}
		list = append(list, mistake)
	}
	return list
}

func TestEachMistakeGivesOneError(t *testing.T) {
	long := strings.Repeat("a", 64)
	secret := &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"k": "hunter2"}}
	for _, row := range []struct {
		reason string
		change func(*render.Fleet, *render.Tenant)
		path   string // below fleets[prod]
		says   string
	}{
		{"a tenant twice", func(f *render.Fleet, t *render.Tenant) { f.Tenants = append(f.Tenants, *t) }, "tenants[acme].name", "Duplicate"},
		{"an upper-case name", func(_ *render.Fleet, t *render.Tenant) {
			t.Name = "Acme"
			t.Edge = render.NoEdge{}
			t.DNS = render.ManualDNS{}
			t.Store = render.NoStore{}
		}, "tenants[Acme].name", "lower case"},
		{"a name of 64 characters", func(_ *render.Fleet, t *render.Tenant) { t.Name = long; t.Store = render.NoStore{} }, "tenants[" + long + "].name", "63"},
		{"a name of the cluster's own", func(_ *render.Fleet, t *render.Tenant) { t.Name = "kube-system" }, "tenants[kube-system].name", "another name"},
		{"a name of the platform's own", func(_ *render.Fleet, t *render.Tenant) { t.Name = "envoy-gateway-system" }, "tenants[envoy-gateway-system].name", "another name"},
		{"no name", func(_ *render.Fleet, t *render.Tenant) {
			t.Name = ""
			t.Store = render.NoStore{}
			t.Edge = render.NoEdge{}
			t.DNS = render.ManualDNS{}
		}, "tenants[].name", "Required"},
		{"two tenants with one host", func(f *render.Fleet, t *render.Tenant) {
			other := tenant("globex")
			other.Edge = t.Edge
			f.Tenants = append(f.Tenants, other)
		}, "tenants[globex].edge", "fleets[prod].tenants[acme] already has this host"},
		{"a further host that another tenant has", func(f *render.Fleet, _ *render.Tenant) {
			other := tenant("globex")
			other.Hosts = []string{"docs.globex.example.com", "acme.example.com"}
			f.Tenants = append(f.Tenants, other)
		}, "tenants[globex].hosts[1]", "fleets[prod].tenants[acme] already has this host"},
		{"a further host that is the edge's", func(_ *render.Fleet, t *render.Tenant) { t.Hosts = []string{"acme.example.com"} }, "tenants[acme].hosts[0]", "already has this host"},
		{"a further host with a comma", func(_ *render.Fleet, t *render.Tenant) { t.Hosts = []string{"a.example.com,b.example.com"} }, "tenants[acme].hosts[0]", "a host name alone"},
		{"a wildcard as a further host", func(_ *render.Fleet, t *render.Tenant) { t.Hosts = []string{"*.example.com"} }, "tenants[acme].hosts[0]", "a host name alone"},
		{"a further registry that is a URL", func(f *render.Fleet, _ *render.Tenant) { f.Cluster.Registries = []string{"https://ghcr.example"} }, "cluster.registries[0]", "invalid reference"},
		{"a place for secrets with a comma", func(_ *render.Fleet, t *render.Tenant) {
			t.Secrets = render.ExternalSecrets{Store: "vault", Path: "prod/acme,prod/globex"}
		}, "tenants[acme].secrets.path", "a path such as"},
		{"two tenants with one bucket", func(f *render.Fleet, _ *render.Tenant) {
			other := tenant("globex")
			other.Store = render.GarageBucket{Bucket: "acme"}
			f.Tenants = append(f.Tenants, other)
		}, "tenants[globex].store", "already has this bucket"},
		{"one bucket for data and backups", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.CloudNativePG{Instances: 1, Image: "postgres:18", Storage: "1Gi", Backup: render.Backup{To: render.GarageBucket{Bucket: "acme"}}}
		}, "tenants[acme].store", "already has this bucket"},
		{"one place for the secrets of two tenants", func(f *render.Fleet, _ *render.Tenant) {
			other := tenant("globex")
			other.Secrets = render.FromEnvironment{Prefix: "ACME__"}
			f.Tenants = append(f.Tenants, other)
		}, "tenants[globex].secrets", "already has this place for secrets"},
		{"a pool without a name", pooled(func(p *render.Pool) { p.Name = "" }), "cluster.pools[1].name", "Required"},
		{"two pools of one name", pooled(func(p *render.Pool) { p.Name = "shared" }), "cluster.pools[1].name", "Duplicate"},
		{"a pool without nodes", pooled(func(p *render.Pool) { p.Nodes = 0 }), "cluster.pools[1].nodes", "how many nodes there are"},
		{"a pool of more nodes than there are", pooled(func(p *render.Pool) { p.Nodes = 10_001 }), "cluster.pools[1].nodes", "10000"},
		{"a pool whose nodes may all be away", pooled(func(p *render.Pool) { p.Spare = 3 }), "cluster.pools[1].spare", "one has to stay"},
		{"a pool of which fewer than none may be away", pooled(func(p *render.Pool) { p.Spare = -1 }), "cluster.pools[1].spare", "negative"},
		{"a pool without CPU", pooled(func(p *render.Pool) { p.CPU = "" }), "cluster.pools[1].cpu", "Required"},
		{"a pool of no memory", pooled(func(p *render.Pool) { p.Memory = "0" }), "cluster.pools[1].memory", "at least 12Mi"},
		{"a pool of 100Gb of disk", pooled(func(p *render.Pool) { p.Ephemeral = "100Gb" }), "cluster.pools[1].ephemeral", "such as 50Gi"},
		{"a pool that takes no pods", pooled(func(p *render.Pool) { p.Pods = 0 }), "cluster.pools[1].pods", "110"},
		{"a pool of two tenants", pooled(func(p *render.Pool) { p.Tenant = "acme,globex" }), "cluster.pools[1].tenant", "lower case"},
		{"a pool with a label that is none", pooled(func(p *render.Pool) { p.Labels = map[string]string{"disk": "very fast"} }), "cluster.pools[1].labels", "alphanumeric"},
		{"a pool that is a tenant's by its label", pooled(func(p *render.Pool) { p.Labels = map[string]string{render.TenantLabel: "acme"} }), "cluster.pools[1].labels", "by tenant"},
		{"no tier", func(_ *render.Fleet, t *render.Tenant) { t.Tier = 0 }, "tenants[acme].tier", "Required"},
		{"an unknown tier", func(_ *render.Fleet, t *render.Tenant) { t.Tier = 99 }, "tenants[acme].tier", "Required"},
		{"negative replicas", func(_ *render.Fleet, t *render.Tenant) { t.API.Scale = render.Fixed{Replicas: -1} }, "tenants[acme].api.scale.replicas", "negative"},
		{"min above max", func(_ *render.Fleet, t *render.Tenant) { t.API.Scale = render.Autoscale{Min: 3, Max: 2, CPU: 70} }, "tenants[acme].api.scale.max", "less than min"},
		{"scaling by nothing", func(_ *render.Fleet, t *render.Tenant) { t.API.Scale = render.Autoscale{Min: 1, Max: 2} }, "tenants[acme].api.scale.cpu", "Required"},
		{"replicas without a cache", func(_ *render.Fleet, t *render.Tenant) { t.Cache = render.NoCache{} }, "tenants[acme].api.scale", "one process"},
		{"a quantity of 10Gb", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.CloudNativePG{Instances: 1, Image: "postgres:18", Storage: "10Gb", Backup: render.Backup{To: render.NoStore{}}}
		}, "tenants[acme].database.storage", "such as 50Gi"},
		{"half a byte of memory", func(_ *render.Fleet, t *render.Tenant) { t.Cache = render.Valkey{Memory: "512m"} }, "tenants[acme].cache.memory", "suffixes k, M,"},
		{"a gibibyte in thousandths", func(_ *render.Fleet, t *render.Tenant) { t.Cache = render.Valkey{Memory: "1073741824000m"} }, "tenants[acme].cache.memory", "suffixes k, M,"},
		{"a volume of 50 bytes", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.CloudNativePG{Instances: 1, Image: "postgres:18", Storage: "50", Backup: render.Backup{To: render.NoStore{}}}
		}, "tenants[acme].database.storage", "at least 128Mi"},
		{"a log's volume of 50 bytes", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.CloudNativePG{Instances: 1, Image: "postgres:18", Storage: "50Gi", WALStorage: "50", Backup: render.Backup{To: render.NoStore{}}}
		}, "tenants[acme].database.walStorage", "at least 128Mi"},
		{"a single server's volume of 50 bytes", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.Postgres{Image: "postgres:18", Storage: "50", Backup: render.Backup{To: render.NoStore{}}}
		}, "tenants[acme].database.storage", "at least 128Mi"},
		{"a cache's volume of 50 bytes", func(_ *render.Fleet, t *render.Tenant) {
			t.Cache = render.Valkey{Memory: "256Mi", Storage: "50"}
		}, "tenants[acme].cache.storage", "at least 1Mi"},
		{"a store of 50 bytes", func(f *render.Fleet, _ *render.Tenant) { f.Platform.Garage.Storage = "50" }, "platform.garage.storage", "at least 1Mi"},
		{"requests of 50 bytes", func(_ *render.Fleet, t *render.Tenant) {
			t.Edge = render.Gateway{Host: "acme.example.com", MaxBody: "50"}
		}, "tenants[acme].edge.maxBody", "at least 1Ki"},
		{"an API's memory of 512 bytes", func(_ *render.Fleet, t *render.Tenant) { t.API.Resources.Memory = "512" }, "tenants[acme].api.resources.memory", "at least 12Mi"},
		{"a disk of 1 byte", func(_ *render.Fleet, t *render.Tenant) { t.API.Resources.Ephemeral = "1" }, "tenants[acme].api.resources.ephemeral", "at least 1Mi"},
		{"CPUs of bytes", func(_ *render.Fleet, t *render.Tenant) { t.API.Resources.CPU = "1Gi" }, "tenants[acme].api.resources.cpu", "number of CPUs"},
		{"no CPU", func(_ *render.Fleet, t *render.Tenant) { t.API.Resources.CPU = "0" }, "tenants[acme].api.resources.cpu", "at least 1m"},
		{"a pool that does not say its CPUs", pooled(func(p *render.Pool) { p.CPU = "" }), "cluster.pools[1].cpu", "Required"},
		{"a quantity of nothing", func(_ *render.Fleet, t *render.Tenant) { t.Cache = render.Valkey{Memory: "0"} }, "tenants[acme].cache.memory", "at least 12Mi"},
		{"cron 61 * * * *", func(_ *render.Fleet, t *render.Tenant) {
			t.Workloads = []render.Workload{render.CronJob{Name: "c", Command: []string{"c"}, Schedule: "61 * * * *"}}
		}, "tenants[acme].workloads[0].schedule", "five fields"},
		{"a cron descriptor", func(_ *render.Fleet, t *render.Tenant) {
			t.Workloads = []render.Workload{render.CronJob{Name: "c", Command: []string{"c"}, Schedule: "@daily"}}
		}, "tenants[acme].workloads[0].schedule", "five fields"},
		{"a workload named like another", func(_ *render.Fleet, t *render.Tenant) {
			t.Workloads = []render.Workload{render.Worker{Name: "api", Command: []string{"w"}, Scale: render.Fixed{}}}
		}, "tenants[acme].workloads[0].name", "Duplicate"},
		{"a workload whose pods would be taken for the cache's", func(_ *render.Fleet, t *render.Tenant) {
			t.Workloads = []render.Workload{render.Worker{Name: "valkey", Command: []string{"w"}, Scale: render.Fixed{}}}
		}, "tenants[acme].workloads[0].name", "Duplicate"},
		{"an image without tag or digest", func(_ *render.Fleet, t *render.Tenant) { t.API.Image = "registry.example.com/api" }, "tenants[acme].api.image", "tag or a digest"},
		{"an image whose tag moves", func(_ *render.Fleet, t *render.Tenant) { t.API.Image = "registry.example.com/api:latest" }, "tenants[acme].api.image", "moves"},
		{"an image that is none", func(_ *render.Fleet, t *render.Tenant) { t.API.Image = "Registry/API:v1" }, "tenants[acme].api.image", "lowercase"},
		{"port 0", func(_ *render.Fleet, t *render.Tenant) { t.API.Port = 0 }, "tenants[acme].api.port", "65535"},
		{"no database", func(_ *render.Fleet, t *render.Tenant) { t.Database = nil }, "tenants[acme].database", "Required"},
		{"a nil pointer for a database", func(_ *render.Fleet, t *render.Tenant) { t.Database = (*render.Postgres)(nil) }, "tenants[acme].database", "Required"},
		{"a pointer to a database", func(_ *render.Fleet, t *render.Tenant) { t.Database = &render.Postgres{} }, "tenants[acme].database", "not a pointer"},
		{"no cache", func(_ *render.Fleet, t *render.Tenant) { t.Cache = nil }, "tenants[acme].cache", "Required"},
		{"no store", func(_ *render.Fleet, t *render.Tenant) { t.Store = nil }, "tenants[acme].store", "Required"},
		{"no edge", func(_ *render.Fleet, t *render.Tenant) { t.Edge = nil }, "tenants[acme].edge", "Required"},
		{"no DNS", func(_ *render.Fleet, t *render.Tenant) { t.DNS = nil }, "tenants[acme].dns", "Required"},
		{"no placement", func(_ *render.Fleet, t *render.Tenant) { t.Placement = nil }, "tenants[acme].placement", "Required"},
		{"no secrets", func(_ *render.Fleet, t *render.Tenant) { t.Secrets = nil }, "tenants[acme].secrets", "Required"},
		{"no settings", func(_ *render.Fleet, t *render.Tenant) { t.Settings = nil }, "tenants[acme].settings", "Required"},
		{"settings that are none", func(_ *render.Fleet, t *render.Tenant) { t.Settings = 7 }, "tenants[acme].settings", "int"},
		{"no scale", func(_ *render.Fleet, t *render.Tenant) { t.API.Scale = nil }, "tenants[acme].api.scale", "Required"},
		{"a nil workload", func(_ *render.Fleet, t *render.Tenant) { t.Workloads = []render.Workload{nil} }, "tenants[acme].workloads[0]", "Required"},
		{"no word about backups", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.CloudNativePG{Instances: 1, Image: "postgres:18", Storage: "1Gi"}
		}, "tenants[acme].database.backup.to", "NoStore if the data may be lost"},
		{"an external database without a secret reference", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.ExternalPostgres{Host: "db.example.com", Database: "app", User: "app"}
		}, "tenants[acme].database.password", "referred to"},
		{"a generated password of somebody else's database", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.ExternalPostgres{Host: "db.example.com", Database: "app", User: "app", Password: render.Generated{}}
		}, "tenants[acme].database.password", "would not open"},
		{"an operator's secret where no operator is", func(_ *render.Fleet, t *render.Tenant) { t.Secrets = render.GeneratedByOperator{} }, "tenants[acme].secrets", "no operator"},
		{"a bucket in a Garage that is not there", func(f *render.Fleet, _ *render.Tenant) { f.Platform.Garage = nil }, "tenants[acme].store", "no Garage"},
		{"a route at a gateway that is not there", func(f *render.Fleet, _ *render.Tenant) { f.Platform.Gateway = nil }, "tenants[acme].edge", "no gateway"},
		{"a certificate of an issuer that is not there", func(f *render.Fleet, _ *render.Tenant) { f.Platform.Issuer = nil }, "tenants[acme].edge.certificate", "no issuer"},
		{"a host proved through another class", func(f *render.Fleet, t *render.Tenant) {
			f.Platform.Issuer = render.ACME{Server: "https://acme.example.com", Class: "nginx"}
			t.Edge = render.Ingress{Class: "haproxy", Host: "acme.example.com", Proxy: render.Peer{Namespace: "ingress"}}
		}, "tenants[acme].edge.class", "proves hosts through"},
		{"a record without an address", func(f *render.Fleet, _ *render.Tenant) { f.Platform.Addresses = nil }, "tenants[acme].dns", "no addresses"},
		{"a record without a host", func(_ *render.Fleet, t *render.Tenant) { t.Edge = render.NoEdge{} }, "tenants[acme].dns", "ManualDNS"},
		{"addresses of two kinds", func(f *render.Fleet, _ *render.Tenant) {
			f.Platform.Addresses = []string{"203.0.113.1", "lb.example.com"}
		}, "platform.addresses", "not both"},
		{"an address range with host bits", func(_ *render.Fleet, t *render.Tenant) { t.Egress = []render.Egress{{CIDR: "10.0.0.1/8", Port: 1}} }, "tenants[acme].egress[0].cidr", "10.0.0.0/8"},
		{"half a second", func(_ *render.Fleet, t *render.Tenant) {
			t.Edge = render.Gateway{Host: "a.example.com", Timeout: 1500e6}
		}, "tenants[acme].edge.timeout", "whole seconds"},
		{"a backup for half a day", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.CloudNativePG{Instances: 1, Image: "postgres:18", Storage: "1Gi", Backup: render.Backup{To: render.NoStore{}, Keep: 12 * 3600e9}}
		}, "tenants[acme].database.backup.keep", "whole days"},
		{"an extra object without a kind", func(_ *render.Fleet, t *render.Tenant) {
			t.Extra = []render.Object{&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c"}}}
		}, "tenants[acme].extra[0].kind", "TypeMeta"},
		{"an extra object that is nil", func(_ *render.Fleet, t *render.Tenant) { t.Extra = []render.Object{(*corev1.ConfigMap)(nil)} }, "tenants[acme].extra[0]", "Required"},
		{"an extra object without a namespace of its own", func(_ *render.Fleet, t *render.Tenant) {
			t.Extra = []render.Object{&rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: "c"}}}
		}, "tenants[acme].extra[0]", "belongs to no tenant"},
		{"an extra object in another's namespace", func(_ *render.Fleet, t *render.Tenant) {
			t.Extra = []render.Object{&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "globex"}}}
		}, "tenants[acme].extra[0].metadata.namespace", "left out"},
		{"an extra object that meets one of ours", func(_ *render.Fleet, t *render.Tenant) {
			t.Extra = []render.Object{&corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Name: "api"}}}
		}, "tenants[acme][Service/api]", "Duplicate"},
		{"an extra object with an impossible label", func(_ *render.Fleet, t *render.Tenant) {
			t.Extra = []render.Object{&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "c", Labels: map[string]string{"a b": "c"}}}}
		}, "tenants[acme][ConfigMap/c].metadata.labels", "a b"},
		{"a secret's value", func(_ *render.Fleet, t *render.Tenant) { t.Extra = []render.Object{secret} }, "tenants[acme].extra[0].data", "golden file"},
		{"a host with a password in it", func(_ *render.Fleet, t *render.Tenant) {
			t.Database = render.ExternalPostgres{Host: "app:hunter2@db.example.com", Database: "app", User: "app", Password: render.FromEnvironment{}}
		}, "tenants[acme].database.host", "without scheme, user or port"},
		{"an endpoint with a password in it", func(_ *render.Fleet, t *render.Tenant) {
			t.Store = render.S3{Endpoint: "https://app:hunter2@s3.example.com", Bucket: "acme"}
		}, "tenants[acme].store.endpoint", "without user"},
		{"a ring without tenants", func(f *render.Fleet, _ *render.Tenant) { f.Rings = []render.Ring{{Name: "canary"}} }, "rings[0].tenants", "Required"},
		{"a ring of strangers", func(f *render.Fleet, _ *render.Tenant) {
			f.Rings = []render.Ring{{Name: "canary", Tenants: []string{"nobody"}}}
		}, "rings[0].tenants[0]", "no tenant of this fleet"},
		{"a tenant in two rings", func(f *render.Fleet, _ *render.Tenant) {
			f.Rings = []render.Ring{{Name: "canary", Tenants: []string{"acme"}}, {Name: "early", Tenants: []string{"acme"}}}
		}, "rings[1].tenants[0]", "canary already"},
		{"a ring that is everyone", func(f *render.Fleet, _ *render.Tenant) {
			f.Rings = []render.Ring{{Name: render.Everyone, Tenants: []string{"acme"}}}
		}, "rings[0].name", "Duplicate"},
		{"a ring that is the platform", func(f *render.Fleet, _ *render.Tenant) {
			f.Rings = []render.Ring{{Name: render.PlatformUnit, Tenants: []string{"acme"}}}
		}, "rings[0].name", "Duplicate"},
		{"an acknowledgement of nothing", func(f *render.Fleet, _ *render.Tenant) {
			f.Acknowledged = []render.Acknowledgement{{Object: "acme", Loss: render.Deleted, Why: "closed", Until: "2026-12-31"}}
		}, "acknowledged[0].object", "namespace/Kind/name"},
		{"an acknowledgement of no loss", func(f *render.Fleet, _ *render.Tenant) {
			f.Acknowledged = []render.Acknowledgement{{Object: "Namespace/acme", Why: "closed", Until: "2026-12-31"}}
		}, "acknowledged[0].loss", "render.Deleted"},
		{"an acknowledgement without a reason", func(f *render.Fleet, _ *render.Tenant) {
			f.Acknowledged = []render.Acknowledgement{{Object: "Namespace/acme", Loss: render.Deleted, Until: "2026-12-31"}}
		}, "acknowledged[0].why", "Required"},
		{"an acknowledgement for ever", func(f *render.Fleet, _ *render.Tenant) {
			f.Acknowledged = []render.Acknowledgement{{Object: "Namespace/acme", Loss: render.Deleted, Why: "closed", Until: "never"}}
		}, "acknowledged[0].until", "2026-12-31"},
		{"no Kubernetes version", func(f *render.Fleet, _ *render.Tenant) { f.Cluster.Kubernetes = "" }, "cluster.kubernetes", "1.36"},
		{"no API server", func(f *render.Fleet, _ *render.Tenant) { f.Cluster.APIServers = nil }, "cluster.apiServers", "Required"},
		{"no registry", func(f *render.Fleet, _ *render.Tenant) { f.Cluster.Registry = "" }, "cluster.registry", "Required"},
		{"two Garages of two", func(f *render.Fleet, _ *render.Tenant) {
			f.Platform.Garage = &render.Garage{Replicas: 2, Storage: "1Gi"}
		}, "platform.garage.replicas", "1 or 3"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			f := fleet(tenant("acme"))
			row.change(&f, &f.Tenants[0])
			units, err := render.Units([]render.Fleet{f})
			list := mistakes(t, err)
			if len(list) != 1 || len(units) != 0 {
				t.Fatalf("got %d units and %d errors, want 0 and 1: %v", len(units), len(list), err)
			}
			if want := "fleets[prod]." + row.path; !strings.HasPrefix(list[0].Field, want) {
				t.Errorf("got path %q, want %q", list[0].Field, want)
			}
			if !strings.Contains(list[0].Error(), row.says) {
				t.Errorf("got %q, want it to say %q", list[0], row.says)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is in the error: %v", err)
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	f := fleet(render.Tenant{Name: "acme"}, tenant("globex"))
	f.Tenants[1].API.Image = "api"
	f.Cluster.Registry = ""
	_, err := render.Units([]render.Fleet{f})
	var paths []string
	for _, m := range mistakes(t, err) {
		paths = append(paths, strings.TrimPrefix(m.Field, "fleets[prod]."))
	}
	want := []string{
		"cluster.registry",
		"tenants[acme].api.image", "tenants[acme].api.live", "tenants[acme].api.port", "tenants[acme].api.ready", "tenants[acme].api.scale", "tenants[acme].cache",
		"tenants[acme].database", "tenants[acme].dns", "tenants[acme].edge", "tenants[acme].placement", "tenants[acme].secrets", "tenants[acme].settings",
		"tenants[acme].store", "tenants[acme].tier",
		"tenants[globex].api.image",
	}
	if fmt.Sprint(paths) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", paths, want)
	}
}

func TestFleetsClashToo(t *testing.T) {
	prod, staging := fleet(tenant("acme")), fleet(tenant("acme"))
	staging.Name = "staging"
	_, err := render.Units([]render.Fleet{prod, staging})
	if list := mistakes(t, err); len(list) != 1 || list[0].Field != "fleets[staging].tenants[acme].edge" {
		t.Errorf("one host in two fleets: got %v", err)
	}
	_, err = render.Units([]render.Fleet{fleet(), fleet()})
	if list := mistakes(t, err); len(list) != 1 || list[0].Type != field.ErrorTypeDuplicate {
		t.Errorf("one fleet twice: got %v", err)
	}
}

func TestUnknownAndUnansweredFacts(t *testing.T) {
	type unknown struct {
		A string `env:"A" fact:"no.such"`
	}
	type unanswered struct {
		A string `env:"A,required" fact:"cache.sentinels"`
	}
	for _, row := range []struct {
		settings any
		want     string
	}{
		{unknown{}, `fleets[prod].tenants[acme].settings[A]: Unsupported value: "no.such"`},
		{unanswered{}, `fleets[prod].tenants[acme].settings[A]: Required value: is cache.sentinels, which no choice of this tenant publishes`},
	} {
		f := fleet(tenant("acme"))
		f.Tenants[0].Settings = row.settings
		if _, err := render.Units([]render.Fleet{f}); err == nil || !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("got %v, want %s", err, row.want)
		}
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{"acme", "a", "Acme", "", strings.Repeat("a", 63), strings.Repeat("a", 64), "a-b", "-a", "a-", "1a", "a.b", "../x", "a\x00", "kube-x", "platform", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		fl := fleet(tenant("acme"))
		fl.Tenants[0].Name = name
		fl.Tenants[0].Store = render.GarageBucket{Bucket: "acme"}
		units, err := render.Units([]render.Fleet{fl})
		if err != nil {
			mistakes(t, err)
			return
		}
		seen := map[string]bool{}
		for _, file := range units[1].Files {
			if file.Object.GetNamespace() != name && file.Object.GetName() != name {
				t.Errorf("%s is outside the namespace %q", file.Name, name)
			}
			if seen[file.Name] || strings.ContainsAny(file.Name, "/\\") || len(file.Name) > 255 {
				t.Errorf("file name %q", file.Name)
			}
			seen[file.Name] = true
		}
	})
}

func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"1", "10Gb", "50Gi", "250m", "-1", "0", "1e400", "1.5Gi", "", "999999999999999999999Ei", "1n", " 1Gi", "١Gi"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q := render.Quantity(text)
		fl := fleet(tenant("acme"))
		fl.Tenants[0].Database = render.Postgres{Image: "postgres:18", Storage: q, Resources: render.Resources{CPU: q, Memory: q, Ephemeral: q}, Backup: render.Backup{To: render.GarageBucket{}}}
		fl.Tenants[0].Cache = render.Valkey{Memory: q, CPU: q}
		fl.Tenants[0].Edge = render.Gateway{Host: "a.example.com", MaxBody: q}
		fl.Platform.Garage.Storage = q
		units, err := render.Units([]render.Fleet{fl})
		if err != nil {
			mistakes(t, err)
		} else if len(units) != 2 {
			t.Errorf("got %d units", len(units))
		}
	})
}
