package render

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
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
	names := []string{PlatformUnit, p.operator().Namespace}
	if p.Gateway != nil {
		names = append(names, p.Gateway.namespace())
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

func (g SharedGateway) class() string { return cmp.Or(g.Class, "envoy") }

func (g SharedGateway) namespace() string { return cmp.Or(g.Namespace, "envoy-gateway-system") }

// proxy is the pods that Envoy Gateway runs for the one Gateway.
func (g SharedGateway) proxy() networkingv1.NetworkPolicyPeer {
	return Peer{g.namespace(), map[string]string{
		"gateway.envoyproxy.io/owning-gateway-name":      gatewayName,
		"gateway.envoyproxy.io/owning-gateway-namespace": PlatformUnit,
	}}.peer()
}

func (k *Collector) validate(c *checker) {
	c.at("endpoint").url(k.Endpoint)
	c.at("cidrs").cidrs(k.CIDRs)
	c.at("resources").resources(k.Resources)
	if k.Replicas < 0 {
		c.at("replicas").invalid(k.Replicas, "must not be negative")
	}
}

// lowerPlatform lowers what every tenant of a fleet leans on.
func lowerPlatform(f *Fleet) []Object {
	s := f.scope(PlatformUnit)
	s.priority = platformClass
	objects := slices.Concat([]Object{s.securedNamespace(), s.serviceAccount("default", "isolation", "isolation")}, s.closed(), s.priorities(), Admission(f))
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
	objects = append(objects, s.adopt(p.Extra)...)
	return append(objects, s.delivery(objects)...)
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
		&gatewayv1.GatewayClass{
			TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "GatewayClass"},
			ObjectMeta: s.cluster(g.class(), "gateway", "gateway"),
			Spec:       gatewayv1.GatewayClassSpec{ControllerName: "gateway.envoyproxy.io/gatewayclass-controller"},
		},
		&gatewayv1.Gateway{
			TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "Gateway"},
			ObjectMeta: s.named(gatewayName, "gateway", "gateway"),
			Spec: gatewayv1.GatewaySpec{
				GatewayClassName: gatewayv1.ObjectName(g.class()),
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
			"telemetry.endpoint": text("http://" + collectorName + "." + PlatformUnit + ":4318"),
		},
		egress: []networkingv1.NetworkPolicyEgressRule{to([]int32{4318}, Peer{PlatformUnit, selector(PlatformUnit, collectorName)}.peer())},
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
	c := container(collectorName, s.images.Collector)
	c.Args = []string{"--config=/etc/otelcol/config.yaml"}
	c.Ports = []corev1.ContainerPort{
		{Name: "otlp", ContainerPort: 4318, Protocol: corev1.ProtocolTCP},
		{Name: "health", ContainerPort: 13133, Protocol: corev1.ProtocolTCP},
	}
	c.Resources = k.Resources.requirements(Resources{CPU: "200m", Memory: "512Mi"})
	c.VolumeMounts = []corev1.VolumeMount{mount}
	c.LivenessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("otlp")}},
		PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6,
	}
	c.ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromString("health"), Scheme: corev1.URISchemeHTTP}},
		PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 3,
	}
	spec := s.pod([]corev1.Volume{volume}, c)
	spec.Affinity, spec.TopologySpreadConstraints = spread(pods)
	tenants := networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: TenantLabel, Operator: metav1.LabelSelectorOpExists}},
	}, PodSelector: new(applicationPods())}
	return []Object{
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
					Spec:       spec,
				},
			},
		},
		service(m, pods, corev1.ServicePort{Name: "otlp", Port: 4318, TargetPort: intstr.FromString("otlp"), Protocol: corev1.ProtocolTCP}),
		budget(m, pods),
		policy(m, metav1.LabelSelector{MatchLabels: pods},
			[]networkingv1.NetworkPolicyIngressRule{from([]int32{4318}, tenants)},
			[]networkingv1.NetworkPolicyEgressRule{addresses(k.CIDRs, portOf(k.Endpoint))}),
	}
}

func service(m metav1.ObjectMeta, pods map[string]string, ports ...corev1.ServicePort) Object {
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
