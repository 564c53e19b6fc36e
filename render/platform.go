package render

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const (
	collectorName = "collector"
	garageName    = "garage"
	platformClass = "platform" // priority
)

// namespaces are those that the platform's parts run in, and that no tenant can be named after.
func (p *Platform) namespaces() []string {
	names := []string{platformUnit, p.operator().Namespace}
	if p.Gateway != nil {
		names = append(names, p.Gateway.resolved().Proxy.Namespace)
	}
	if p.Prometheus != nil {
		names = append(names, p.Prometheus.Namespace)
	}
	return names
}

func (p *Platform) operator() Peer {
	if p.CloudNativePG.Namespace != "" {
		return p.CloudNativePG
	}
	return Peer{"cnpg-system", map[string]string{"app.kubernetes.io/name": "cloudnative-pg"}}
}

func (g SharedGateway) resolved() SharedGateway {
	g.Class = cmp.Or(g.Class, "traefik")
	if g.Proxy.Namespace == "" {
		g.Proxy = Peer{"traefik", map[string]string{"app.kubernetes.io/name": "traefik"}}
	}
	return g
}

func (k *Collector) validate(c *checker) {
	c.at("endpoint").url(k.Endpoint)
	c.at("cidrs").cidrs(k.CIDRs)
	c.at("resources").resources(k.Resources)
	if k.Replicas < 0 {
		c.at("replicas").invalid(k.Replicas, "must not be negative")
	}
}

func (g *Garage) validate(c *checker) {
	if g.Replicas != 1 && g.Replicas != 3 {
		c.at("replicas").invalid(g.Replicas, "must be 1 or 3")
	}
	c.at("storage").quantity(g.Storage)
	c.at("resources").resources(g.Resources)
}

// lowerPlatform lowers what every tenant of a fleet leans on.
func lowerPlatform(f *Fleet) []Object {
	s := f.scope(platformUnit)
	objects := slices.Concat([]Object{s.securedNamespace(), s.serviceAccount("default", "isolation", "isolation")}, s.closed(), s.priorities())
	p := &f.Platform
	if slices.ContainsFunc(f.Tenants, func(t Tenant) bool { return t.Placement.lowerPlacement(t.Name).runtimeClass != nil }) {
		objects = append(objects, &nodev1.RuntimeClass{
			TypeMeta:   metav1.TypeMeta{APIVersion: "node.k8s.io/v1", Kind: "RuntimeClass"},
			ObjectMeta: s.cluster(sandboxClass, "sandbox", sandboxClass),
			Handler:    cmp.Or(p.SandboxHandler, "runsc"),
		})
	}
	if p.Issuer != nil {
		objects = append(objects, p.Issuer.lowerIssuer(s)...)
	}
	if p.Gateway != nil {
		objects = append(objects, p.Gateway.lower(s)...)
	}
	if p.Collector != nil {
		objects = append(objects, p.Collector.lower(s)...)
	}
	if p.Garage != nil {
		objects = append(objects, p.Garage.lower(s)...)
	}
	if p.Prometheus != nil {
		objects = append(objects, s.alerts())
	}
	return append(objects, s.adopt(p.Extra)...)
}

func (s scope) priorities() []Object {
	class := func(name string, value int32, description string) Object {
		return &schedulingv1.PriorityClass{
			TypeMeta:    metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"},
			ObjectMeta:  s.cluster(name, "priority", "priority"),
			Value:       value,
			Description: description,
		}
	}
	objects := []Object{class(platformClass, 10_000, "What tenants lean on goes before any tenant.")}
	for t := Basic; t.valid(); t++ {
		objects = append(objects, class(t.priorityClass(), tiers[t].priority, "Tenants of the tier "+t.String()+"."))
	}
	return objects
}

// lower makes the one Gateway. Its own listener speaks plain HTTP, to prove hosts and to send clients to
// HTTPS; every tenant brings its own HTTPS listener.
func (g SharedGateway) lower(s scope) []Object {
	ours := &metav1.LabelSelector{MatchLabels: map[string]string{"app.kubernetes.io/managed-by": "tenantry"}}
	tenants := &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: TenantLabel, Operator: metav1.LabelSelectorOpExists}}}
	return []Object{
		&gatewayv1.Gateway{
			TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway"},
			ObjectMeta: s.named(gatewayName, "gateway", "gateway"),
			Spec: gatewayv1.GatewaySpec{
				GatewayClassName: gatewayv1.ObjectName(g.resolved().Class),
				AllowedListeners: &gatewayv1.AllowedListeners{Namespaces: &gatewayv1.ListenerNamespaces{From: new(gatewayv1.NamespacesFromSelector), Selector: tenants}},
				Listeners: []gatewayv1.Listener{{
					Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType,
					AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: new(gatewayv1.NamespacesFromSelector), Selector: ours}},
				}},
			},
		},
		&gatewayv1.HTTPRoute{
			TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "HTTPRoute"},
			ObjectMeta: s.named("https-redirect", "gateway", "gateway"),
			Spec: gatewayv1.HTTPRouteSpec{
				CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
					Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("Gateway")), Name: gatewayName, SectionName: new(gatewayv1.SectionName("http")),
				}}},
				Rules: []gatewayv1.HTTPRouteRule{{
					Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchPathPrefix), Value: new("/")}}},
					Filters: []gatewayv1.HTTPRouteFilter{{
						Type:            gatewayv1.HTTPRouteFilterRequestRedirect,
						RequestRedirect: &gatewayv1.HTTPRequestRedirectFilter{Scheme: new("https"), StatusCode: new(301)},
					}},
				}},
			},
		},
	}
}

// telemetry is how tenants reach the collector.
func (p *Platform) telemetry() part {
	if p.Collector == nil {
		return part{facts: map[string]fact{"telemetry.enabled": text("false")}}
	}
	return part{
		facts: map[string]fact{
			"telemetry.enabled":  text("true"),
			"telemetry.endpoint": text("http://" + collectorName + "." + platformUnit + ":4318"),
		},
		egress: []networkingv1.NetworkPolicyEgressRule{to([]int32{4318}, Peer{platformUnit, selector(platformUnit, collectorName)}.peer())},
	}
}

// collectorConfig takes OTLP over HTTP and sends it on in batches.
const collectorConfig = `extensions:
  health_check:
    endpoint: 0.0.0.0:13133
receivers:
  otlp:
    protocols:
      http:
        endpoint: 0.0.0.0:4318
processors:
  memory_limiter:
    check_interval: 1s
    limit_percentage: 80
    spike_limit_percentage: 20
  batch: {}
exporters:
  otlphttp:
    endpoint: %s
service:
  extensions: [health_check]
  telemetry:
    logs:
      level: warn
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [otlphttp]
    metrics:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [otlphttp]
    logs:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [otlphttp]
`

func (k *Collector) lower(s scope) []Object {
	m := s.named(collectorName, "telemetry", collectorName)
	pods := selector(s.unit, collectorName)
	conf := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: m,
		Data:       map[string]string{"config.yaml": fmt.Sprintf(collectorConfig, strconv.Quote(k.Endpoint))},
	}
	volume, mount := configVolume("config", collectorName, "/etc/otelcol")
	affinity, constraints := spread(pods)
	health := func(path string, period, failures int32) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("health"), Scheme: corev1.URISchemeHTTP}},
			PeriodSeconds: period, TimeoutSeconds: 5, FailureThreshold: failures,
		}
	}
	tenants := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: TenantLabel, Operator: metav1.LabelSelectorOpExists}},
	}, PodSelector: new(applicationPods())}
	return []Object{
		s.serviceAccount(collectorName, "telemetry", collectorName),
		conf,
		&appsv1.Deployment{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
			ObjectMeta: *m.DeepCopy(),
			Spec: appsv1.DeploymentSpec{
				Replicas:             new(cmp.Or(k.Replicas, 2)),
				Selector:             &metav1.LabelSelector{MatchLabels: pods},
				RevisionHistoryLimit: new(int32(3)),
				Strategy:             rolling(),
				Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: m.Labels, Annotations: checksum(conf)},
					Spec: corev1.PodSpec{
						ServiceAccountName:           collectorName,
						AutomountServiceAccountToken: new(false),
						EnableServiceLinks:           new(false),
						PriorityClassName:            platformClass,
						SecurityContext:              confinedPod(uid),
						Affinity:                     &affinity,
						TopologySpreadConstraints:    constraints,
						Containers: []corev1.Container{{
							Name:            collectorName,
							Image:           s.images.Collector,
							ImagePullPolicy: corev1.PullAlways,
							Args:            []string{"--config=/etc/otelcol/config.yaml"},
							Ports: []corev1.ContainerPort{
								{Name: "otlp", ContainerPort: 4318, Protocol: corev1.ProtocolTCP},
								{Name: "health", ContainerPort: 13133, Protocol: corev1.ProtocolTCP},
							},
							Resources:       k.Resources.requirements(Resources{CPU: "200m", Memory: "512Mi"}),
							SecurityContext: confined(),
							VolumeMounts:    []corev1.VolumeMount{mount},
							LivenessProbe:   health("/", 10, 6),
							ReadinessProbe:  health("/", 5, 3),
						}},
						Volumes: []corev1.Volume{volume},
					},
				},
			},
		},
		s.service(m, pods, corev1.ServicePort{Name: "otlp", Port: 4318, TargetPort: intstr.FromString("otlp"), Protocol: corev1.ProtocolTCP}),
		budget(m, pods),
		policy(m, metav1.LabelSelector{MatchLabels: pods},
			[]networkingv1.NetworkPolicyIngressRule{from([]int32{4318}, tenants)},
			[]networkingv1.NetworkPolicyEgressRule{addresses(k.CIDRs, portOf(k.Endpoint))}),
	}
}

func (meta) service(m metav1.ObjectMeta, pods map[string]string, ports ...corev1.ServicePort) Object {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: *m.DeepCopy(),
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeClusterIP, Selector: pods, Ports: ports},
	}
}

// budget never blocks the drain of a node: one pod may always go.
func budget(m metav1.ObjectMeta, pods map[string]string) Object {
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: *m.DeepCopy(),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable:             new(intstr.FromInt32(1)),
			Selector:                   &metav1.LabelSelector{MatchLabels: pods},
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
}

// garageConf keeps every object on as many nodes as there are replicas.
const garageConf = `metadata_dir = "/data/meta"
data_dir = "/data/data"
db_engine = "lmdb"
metadata_auto_snapshot_interval = "6h"
replication_factor = %d
rpc_bind_addr = "[::]:3901"
[s3_api]
s3_region = "garage"
api_bind_addr = "[::]:3900"
[admin]
api_bind_addr = "[::]:3903"
`

// joinScript introduces the replicas to each other and gives each its part of the data, once: a cluster
// that has a layout is left as it is.
const joinScript = `set -eu
call() { curl --silent --show-error --fail --retry 30 --retry-delay 5 --retry-all-errors --header "Authorization: Bearer $GARAGE_ADMIN_TOKEN" "$@"; }
nodes='' roles=''
for i in $(seq 0 $((REPLICAS - 1))); do
  host=garage-$i.garage
  id=$(call "http://$host:3903/v2/GetNodeInfo?node=self" | tr -d ' \n' | sed 's/.*"nodeId":"\([0-9a-f]*\)".*/\1/')
  nodes="$nodes,\"$id@$host:3901\""
  roles="$roles,{\"id\":\"$id\",\"zone\":\"$host\",\"capacity\":$CAPACITY,\"tags\":[]}"
done
call --json "[${nodes#,}]" http://garage-0.garage:3903/v2/ConnectClusterNodes
version=$(call http://garage-0.garage:3903/v2/GetClusterLayout | tr -d ' \n' | sed 's/.*"version":\([0-9]*\).*/\1/')
if [ "$version" = 0 ]; then
  call --json "{\"roles\":[${roles#,}]}" http://garage-0.garage:3903/v2/UpdateClusterLayout
  call --json '{"version":1}' http://garage-0.garage:3903/v2/ApplyClusterLayout
fi
`

// bucketScript makes one bucket and one key that opens it, and may be run again.
const bucketScript = `set -eu
call() { curl --silent --show-error --header "Authorization: Bearer $GARAGE_ADMIN_TOKEN" "$@"; }
admin=http://garage:3903
call --fail --retry 60 --retry-delay 5 --retry-all-errors --output /dev/null "$admin/health"
call --fail --output /dev/null "$admin/v2/GetKeyInfo?id=$ACCESS_KEY" ||
  call --fail --output /dev/null --json "{\"name\":\"$BUCKET\",\"accessKeyId\":\"$ACCESS_KEY\",\"secretAccessKey\":\"$SECRET_KEY\"}" "$admin/v2/ImportKey"
call --fail --output /dev/null "$admin/v2/GetBucketInfo?globalAlias=$BUCKET" ||
  call --fail --output /dev/null --json "{\"globalAlias\":\"$BUCKET\"}" "$admin/v2/CreateBucket"
id=$(call --fail "$admin/v2/GetBucketInfo?globalAlias=$BUCKET" | tr -d ' \n' | sed 's/^{"id":"\([0-9a-f]*\)".*/\1/')
call --fail --output /dev/null --json "{\"bucketId\":\"$id\",\"accessKeyId\":\"$ACCESS_KEY\",\"permissions\":{\"read\":true,\"write\":true,\"owner\":false}}" "$admin/v2/AllowBucketKey"
`

func (g *Garage) lower(s scope) []Object {
	m := s.named(garageName, "store", garageName)
	pods := selector(s.unit, garageName)
	rpc := s.secret(garageName, "store", garageName)
	rpc.keys = []secretKey{{name: "rpc-secret"}, {name: "admin-token"}}
	secrets := Generated{}.lowerSecret(s, rpc)
	conf := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: m,
		Data:       map[string]string{"garage.toml": fmt.Sprintf(garageConf, g.Replicas)},
	}
	volume, mount := configVolume("config", garageName, "/etc/garage.toml")
	mount.SubPath = "garage.toml"
	health := func(failures int32) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("admin")}},
			PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: failures,
		}
	}
	ready := health(3)
	ready.ProbeHandler = corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("s3")}}
	affinity, _ := spread(pods)
	set := &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: *m.DeepCopy(),
		Spec: appsv1.StatefulSetSpec{
			Replicas:             new(g.Replicas),
			ServiceName:          garageName,
			PodManagementPolicy:  appsv1.ParallelPodManagement,
			Selector:             &metav1.LabelSelector{MatchLabels: pods},
			RevisionHistoryLimit: new(int32(3)),
			UpdateStrategy:       appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType},
			PersistentVolumeClaimRetentionPolicy: &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
				WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
				WhenScaled:  appsv1.RetainPersistentVolumeClaimRetentionPolicyType,
			},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: m.Labels, Annotations: checksum(append(secrets, conf)...)},
				Spec: corev1.PodSpec{
					ServiceAccountName:           "default",
					AutomountServiceAccountToken: new(false),
					EnableServiceLinks:           new(false),
					PriorityClassName:            platformClass,
					SecurityContext:              confinedPod(uid),
					Affinity:                     &affinity,
					Containers: []corev1.Container{{
						Name:            garageName,
						Image:           s.images.Garage,
						ImagePullPolicy: corev1.PullAlways,
						Command:         []string{"/garage", "server"},
						Env: []corev1.EnvVar{
							secretEnv("GARAGE_ADMIN_TOKEN", garageName, "admin-token"),
							secretEnv("GARAGE_RPC_SECRET", garageName, "rpc-secret"),
						},
						Ports: []corev1.ContainerPort{
							{Name: "s3", ContainerPort: 3900, Protocol: corev1.ProtocolTCP},
							{Name: "rpc", ContainerPort: 3901, Protocol: corev1.ProtocolTCP},
							{Name: "admin", ContainerPort: 3903, Protocol: corev1.ProtocolTCP},
						},
						Resources:       g.Resources.requirements(Resources{CPU: "500m", Memory: "1Gi"}),
						SecurityContext: confined(),
						VolumeMounts:    []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, mount},
						StartupProbe:    health(60),
						LivenessProbe:   health(6),
						ReadinessProbe:  ready,
					}},
					Volumes: []corev1.Volume{volume},
				},
			},
			VolumeClaimTemplates: []corev1.PersistentVolumeClaim{s.fleet.claim("data", pods, g.Storage)},
		},
	}
	// The replicas have to find each other before any is ready.
	peers := s.headless(m, pods, "s3", 3900).(*corev1.Service)
	peers.Spec.PublishNotReadyAddresses = true
	peers.Spec.Ports = append(peers.Spec.Ports,
		corev1.ServicePort{Name: "rpc", Port: 3901, TargetPort: intstr.FromString("rpc"), Protocol: corev1.ProtocolTCP},
		corev1.ServicePort{Name: "admin", Port: 3903, TargetPort: intstr.FromString("admin"), Protocol: corev1.ProtocolTCP})

	storage := resource.MustParse(string(g.Storage))
	objects := slices.Concat(secrets, []Object{
		conf, set, peers, budget(m, pods),
		s.provision("garage-join", joinScript,
			corev1.EnvVar{Name: "CAPACITY", Value: strconv.FormatInt(storage.Value()/10*9, 10)},
			corev1.EnvVar{Name: "REPLICAS", Value: strconv.Itoa(int(g.Replicas))}),
	})

	provisioner := selector(s.unit, "garage-provision")
	clients := networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: TenantLabel, Operator: metav1.LabelSelectorOpExists}}},
	}
	objects = append(objects,
		policy(m, metav1.LabelSelector{MatchLabels: pods},
			[]networkingv1.NetworkPolicyIngressRule{from([]int32{3900}, clients), from([]int32{3901}, near(pods)), from([]int32{3903}, near(provisioner))},
			[]networkingv1.NetworkPolicyEgressRule{to([]int32{3901}, near(pods))}),
		policy(s.named("garage-provision", "store", "garage-provision"), metav1.LabelSelector{MatchLabels: provisioner}, nil,
			[]networkingv1.NetworkPolicyEgressRule{to([]int32{3903}, near(pods))}))

	for i := range s.fleet.Tenants {
		t := &s.fleet.Tenants[i]
		for name, store := range t.stores() {
			if b, ok := store.(GarageBucket); ok {
				objects = append(objects, s.garageBucket(t, name, b)...)
			}
		}
	}
	return objects
}

// garageBucket makes a tenant's bucket. The key is derived from the same path as in the tenant's own
// Secret, and is therefore the same.
func (s scope) garageBucket(t *Tenant, name string, b GarageBucket) []Object {
	object := "bucket-" + t.Name + "-" + name
	sec := b.key(secret{meta: s.named(object, "store", "garage-provision"), kind: corev1.SecretTypeOpaque, path: strings.Join([]string{s.fleet.Name, t.Name, name}, "/")})
	_, bucket := b.bucketName(s.fleet, t.Name, name)
	secrets := b.Key.lowerSecret(s, sec)
	return append(secrets, s.provision(object, bucketScript,
		secretEnv("ACCESS_KEY", object, "access-key"),
		corev1.EnvVar{Name: "BUCKET", Value: bucket},
		secretEnv("SECRET_KEY", object, "secret-key")))
}

// provision runs a script against Garage's admin port, once for each version of it.
func (s scope) provision(name, script string, env ...corev1.EnvVar) Object {
	env = append(env, secretEnv("GARAGE_ADMIN_TOKEN", garageName, "admin-token"))
	m := s.named(name, "store", "garage-provision")
	spec := batchv1.JobSpec{
		BackoffLimit:          new(int32(6)),
		ActiveDeadlineSeconds: new(int64(3600)),
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: m.Labels},
			Spec: corev1.PodSpec{
				RestartPolicy:                corev1.RestartPolicyOnFailure,
				ServiceAccountName:           "default",
				AutomountServiceAccountToken: new(false),
				EnableServiceLinks:           new(false),
				PriorityClassName:            platformClass,
				SecurityContext:              confinedPod(uid),
				Containers: []corev1.Container{{
					Name: "provision", Image: s.images.Curl, ImagePullPolicy: corev1.PullAlways,
					Command: []string{"sh", "-c", script}, Env: env,
					Resources:       Resources{}.requirements(Resources{CPU: "50m", Memory: "64Mi"}),
					SecurityContext: confined(),
				}},
			},
		},
	}
	m.Name = contentName(name, spec)
	return &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: m, Spec: spec}
}

// stores are the buckets of a tenant, by their name within it.
func (t *Tenant) stores() map[string]ObjectStore {
	stores := map[string]ObjectStore{}
	if given(t.Store) {
		stores[storeName] = t.Store
	}
	if given(t.Database) && given(t.Database.backup().To) {
		stores[backupName] = t.Database.backup().To
	}
	return stores
}

type held struct {
	claim
	field string
}

// claims are the names in the world that the tenant holds and no other tenant of any fleet may.
func (t *Tenant) claims(f *Fleet) []held {
	var claims []held
	if given(t.Edge) && t.Edge.host() != "" {
		claims = append(claims, held{claim{"host", t.Edge.host()}, "edge"})
	}
	for name, store := range t.stores() {
		if endpoint, bucket := store.bucketName(f, t.Name, name); bucket != "" {
			claims = append(claims, held{claim{"bucket", bucket + " at " + endpoint}, map[string]string{storeName: "store", backupName: "database"}[name]})
		}
	}
	if given(t.Database) && t.Database.endpoint() != "" {
		claims = append(claims, held{claim{"database", t.Database.endpoint()}, "database"})
	}
	if given(t.Cache) && t.Cache.endpoint() != "" {
		claims = append(claims, held{claim{"cache", t.Cache.endpoint()}, "cache"})
	}
	slices.SortFunc(claims, func(a, b held) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	return claims
}

// inventory says in the release what a tenant is made of.
func (t *Tenant) inventory() map[string]string {
	made := map[string]string{"tier": t.Tier.String(), "image": t.API.Image}
	for name, variant := range map[string]any{
		"database": t.Database, "cache": t.Cache, "store": t.Store, "edge": t.Edge, "dns": t.DNS, "placement": t.Placement, "secrets": t.Secrets, "scale": t.API.Scale,
	} {
		made[name] = reflect.TypeOf(variant).Name()
	}
	if to := t.Database.backup().To; to != nil {
		made["backup"] = reflect.TypeOf(to).Name()
	}
	return made
}

func (f *Fleet) inventory() map[string]string {
	return map[string]string{"kubernetes": f.Cluster.Kubernetes}
}

// mixed says that addresses are both IP addresses and host names, which no DNS record can hold together.
func mixed(addresses []string) bool {
	ips := 0
	for _, a := range addresses {
		if _, err := netip.ParseAddr(a); err == nil {
			ips++
		}
	}
	return ips > 0 && ips < len(addresses) || ips == 0 && len(addresses) > 1
}
