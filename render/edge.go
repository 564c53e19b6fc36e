package render

import (
	"cmp"
	"net/netip"
	"strconv"
	"time"

	acmev1 "github.com/cert-manager/cert-manager/pkg/apis/acme/v1"
	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// Edge is how clients reach the API from outside.
//
//sumtype:decl
type Edge interface {
	validateEdge(*checker, *Fleet)
	lowerEdge(scope) part
	host() string // that only this tenant may have; empty where there is none
}

// Gateway attaches a listener, a certificate and a route of the tenant's own to the platform's shared
// Gateway.
type Gateway struct {
	Host    string
	MaxBody Quantity      // of a request. Default 50Mi
	Timeout time.Duration // of a request; a websocket has none. Default 60 s
	// Certificate of the host. Default Issued.
	Certificate Certificate
}

// Ingress is an Ingress of any class. Body size and timeouts are the class's own annotations.
type Ingress struct {
	Class       string
	Host        string
	Annotations map[string]string
	Proxy       Peer // the pods of the class's controller
	// Certificate of the host. Default Issued.
	Certificate Certificate
}

// NoEdge leaves the API to clients inside the cluster.
type NoEdge struct {
	Clients []Peer // who may call it
}

var (
	_ Edge = Gateway{}
	_ Edge = Ingress{}
	_ Edge = NoEdge{}
)

// Certificate is where the certificate of a host comes from.
//
//sumtype:decl
type Certificate interface {
	validateCertificate(*checker, *Fleet)
	// lowerCertificate makes the Secret, or what makes it.
	lowerCertificate(s scope, host, secret string, labels map[string]string) part
}

// Issued has the platform's issuer sign it.
type Issued struct{}

// Provided is a certificate made elsewhere, as EDGE_TLS_CRT and EDGE_TLS_KEY.
type Provided struct {
	By SecretSource // Default: the tenant's Secrets
}

var (
	_ Certificate = Issued{}
	_ Certificate = Provided{}
)

const (
	edgeName    = "edge"
	gatewayName = "shared"
	edgeTLS     = "edge-tls"
)

func validateCertificate(c *checker, certificate Certificate, f *Fleet) {
	certificate = cmp.Or[Certificate](certificate, Issued{})
	if at := c.at("certificate"); !at.missing(certificate, "") {
		certificate.validateCertificate(at, f)
	}
}

// lowerCertificate makes the certificate of an edge. labels tell the issuer how to prove the host.
func lowerCertificate(s scope, certificate Certificate, host string, labels map[string]string) part {
	return cmp.Or[Certificate](certificate, Issued{}).lowerCertificate(s, host, edgeTLS, labels)
}

func (Issued) validateCertificate(c *checker, f *Fleet) {
	if f.Platform.Issuer == nil {
		c.forbidden("the fleet's platform has no issuer: set platform.issuer, or use Provided")
	}
}

func (Issued) lowerCertificate(s scope, host, secret string, labels map[string]string) part {
	m := s.named(edgeName, "edge", edgeName)
	m.Labels = with(m.Labels, labels)
	certificate := &certv1.Certificate{
		TypeMeta:   metav1.TypeMeta{APIVersion: "cert-manager.io/v1", Kind: "Certificate"},
		ObjectMeta: m,
		Spec: certv1.CertificateSpec{
			SecretName: secret,
			DNSNames:   []string{host},
			Usages:     []certv1.KeyUsage{certv1.UsageServerAuth},
			PrivateKey: &certv1.CertificatePrivateKey{Algorithm: certv1.ECDSAKeyAlgorithm, Size: 256, RotationPolicy: certv1.RotationPolicyAlways},
			IssuerRef:  certmeta.IssuerReference{Name: s.fleet.Platform.Issuer.issuerName(), Kind: "ClusterIssuer", Group: "cert-manager.io"},
		},
	}
	return part{objects: []Object{certificate}}
}

func (p Provided) validateCertificate(c *checker, _ *Fleet) {
	c.at("by").source(p.By)
}

func (p Provided) lowerCertificate(s scope, _, name string, _ map[string]string) part {
	sec := s.secret(name, "edge", edgeName)
	sec.kind = corev1.SecretTypeTLS
	sec.keys = []secretKey{{name: "tls.crt", variable: "EDGE_TLS_CRT"}, {name: "tls.key", variable: "EDGE_TLS_KEY"}}
	return part{objects: cmp.Or(p.By, s.tenant.Secrets).lowerSecret(s, sec)}
}

// solver lets the shared entrance reach the pods by which cert-manager proves a host to an ACME authority.
func (s scope) solver(certificate Certificate, proxy networkingv1.NetworkPolicyPeer) []Object {
	_, acme := s.fleet.Platform.Issuer.(ACME)
	if _, provided := certificate.(Provided); provided || !acme {
		return nil
	}
	return []Object{policy(s.named("acme-solver", "edge", edgeName), metav1.LabelSelector{MatchLabels: map[string]string{"acme.cert-manager.io/http01-solver": "true"}},
		[]networkingv1.NetworkPolicyIngressRule{from([]int32{8089}, proxy)}, nil)}
}

func published(host string) map[string]fact {
	return map[string]fact{
		"edge.host":    text(host),
		"edge.url":     text("https://" + host),
		"edge.hops":    text("1"),
		"edge.proxied": text("true"),
	}
}

func (g Gateway) validateEdge(c *checker, f *Fleet) {
	if f.Platform.Gateway == nil {
		c.forbidden("the fleet's platform has no gateway: set platform.gateway")
	}
	c.at("host").host(g.Host)
	c.at("maxBody").optional(g.MaxBody, leastBody)
	c.at("timeout").duration(g.Timeout)
	validateCertificate(c, g.Certificate, f)
}

func (g Gateway) host() string { return g.Host }

func (g Gateway) lowerEdge(s scope) part {
	m := s.named(edgeName, "edge", edgeName)
	host := gatewayv1.Hostname(g.Host)
	proxy := s.fleet.Platform.Gateway.proxy()
	p := lowerCertificate(s, g.Certificate, g.Host, nil)
	p.facts = published(g.Host)
	p.ingress = []networkingv1.NetworkPolicyPeer{proxy}
	p.objects = append(p.objects, s.solver(g.Certificate, proxy)...)

	body := resource.MustParse(string(cmp.Or(g.MaxBody, "50Mi")))
	// A route of its own for websockets: they live as long as they like, and their requests cannot be
	// buffered, which is how Envoy bounds a body.
	upgrade := gatewayv1.HTTPHeaderMatch{Type: new(gatewayv1.HeaderMatchExact), Name: "Upgrade", Value: "websocket"}
	p.objects = append(p.objects,
		&gatewayv1.ListenerSet{
			TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "ListenerSet"},
			ObjectMeta: m,
			Spec: gatewayv1.ListenerSetSpec{
				ParentRef: gatewayv1.ParentGatewayReference{
					Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("Gateway")), Name: gatewayName, Namespace: new(gatewayv1.Namespace(PlatformUnit)),
				},
				Listeners: []gatewayv1.ListenerEntry{{
					Name: "https", Hostname: &host, Port: 443, Protocol: gatewayv1.HTTPSProtocolType,
					TLS: &gatewayv1.ListenerTLSConfig{
						Mode:            new(gatewayv1.TLSModeTerminate),
						CertificateRefs: []gatewayv1.SecretObjectReference{{Group: new(gatewayv1.Group("")), Kind: new(gatewayv1.Kind("Secret")), Name: edgeTLS}},
					},
					AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: new(gatewayv1.NamespacesFromSame)}},
				}},
			},
		},
		httpRoute(m, host, cmp.Or(g.Timeout, time.Minute)),
		&backendTrafficPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.envoyproxy.io/v1alpha1", Kind: "BackendTrafficPolicy"},
			ObjectMeta: m,
			Spec: backendTrafficPolicySpec{
				TargetRefs:    []targetRef{{Group: gatewayv1.GroupName, Kind: "HTTPRoute", Name: edgeName}},
				RequestBuffer: requestBuffer{Limit: body.Value()},
			},
		},
		httpRoute(s.named(edgeName+"-websocket", "edge", edgeName), host, 0, upgrade))
	return p
}

// httpRoute sends what matches the headers to the API. A timeout of 0 is none.
func httpRoute(m metav1.ObjectMeta, host gatewayv1.Hostname, timeout time.Duration, headers ...gatewayv1.HTTPHeaderMatch) Object {
	return &gatewayv1.HTTPRoute{
		TypeMeta:   metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "HTTPRoute"},
		ObjectMeta: m,
		Spec: gatewayv1.HTTPRouteSpec{
			CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{{
				Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("ListenerSet")), Name: edgeName,
			}}},
			Hostnames: []gatewayv1.Hostname{host},
			Rules: []gatewayv1.HTTPRouteRule{{
				Matches: []gatewayv1.HTTPRouteMatch{{
					Path:    &gatewayv1.HTTPPathMatch{Type: new(gatewayv1.PathMatchPathPrefix), Value: new("/")},
					Headers: headers,
				}},
				BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{BackendObjectReference: gatewayv1.BackendObjectReference{
					Group: new(gatewayv1.Group("")), Kind: new(gatewayv1.Kind("Service")), Name: apiName, Port: new(gatewayv1.PortNumber(80)),
				}, Weight: new(int32(1))}}},
				Timeouts: &gatewayv1.HTTPRouteTimeouts{Request: new(gatewayv1.Duration(timeout.String()))},
			}},
		},
	}
}

func (i Ingress) validateEdge(c *checker, f *Fleet) {
	c.at("class").label(i.Class)
	acme, proves := f.Platform.Issuer.(ACME)
	if _, provided := i.Certificate.(Provided); proves && !provided && acme.Class != i.Class {
		c.at("class").invalid(i.Class, "the platform's issuer proves hosts through the class "+strconv.Quote(acme.Class)+": use that one, set platform.issuer.class, or bring the certificate with Provided")
	}
	c.at("host").host(i.Host)
	c.at("proxy").peer(i.Proxy)
	validateCertificate(c, i.Certificate, f)
}

func (i Ingress) host() string { return i.Host }

func (i Ingress) lowerEdge(s scope) part {
	p := lowerCertificate(s, i.Certificate, i.Host, throughIngress)
	p.facts = published(i.Host)
	p.ingress = []networkingv1.NetworkPolicyPeer{i.Proxy.peer()}
	p.objects = append(p.objects, s.solver(i.Certificate, i.Proxy.peer())...)
	m := s.named(edgeName, "edge", edgeName)
	m.Annotations = i.Annotations
	p.objects = append(p.objects, &networkingv1.Ingress{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"},
		ObjectMeta: m,
		Spec: networkingv1.IngressSpec{
			IngressClassName: new(i.Class),
			TLS:              []networkingv1.IngressTLS{{Hosts: []string{i.Host}, SecretName: edgeTLS}},
			Rules: []networkingv1.IngressRule{{
				Host: i.Host,
				IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{Paths: []networkingv1.HTTPIngressPath{{
					Path: "/", PathType: new(networkingv1.PathTypePrefix),
					Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: apiName, Port: networkingv1.ServiceBackendPort{Name: "http"}}},
				}}}},
			}},
		},
	})
	return p
}

func (n NoEdge) validateEdge(c *checker, _ *Fleet) {
	for i, p := range n.Clients {
		c.at("clients").item(i).peer(p)
	}
}

func (NoEdge) host() string { return "" }

func (n NoEdge) lowerEdge(s scope) part {
	host := apiName + "." + s.fleet.host(s.unit)
	var clients []networkingv1.NetworkPolicyPeer
	for _, p := range n.Clients {
		clients = append(clients, p.peer())
	}
	return part{ingress: clients, facts: map[string]fact{
		"edge.host":    text(host),
		"edge.url":     text("http://" + host),
		"edge.hops":    text("0"),
		"edge.proxied": text("false"),
	}}
}

// DNS is who makes the record of the edge's host.
//
//sumtype:decl
type DNS interface {
	validateDNS(*checker, *Fleet, *Tenant)
	lowerDNS(scope) part
}

// ExternalDNS has external-dns make it, pointing at the platform's addresses.
type ExternalDNS struct {
	TTL time.Duration // Default 5 min
}

// ManualDNS leaves it to a person.
type ManualDNS struct{}

var (
	_ DNS = ExternalDNS{}
	_ DNS = ManualDNS{}
)

func (d ExternalDNS) validateDNS(c *checker, f *Fleet, t *Tenant) {
	c.at("ttl").duration(d.TTL)
	if len(f.Platform.Addresses) == 0 {
		c.forbidden("the fleet's platform has no addresses to point at: set platform.addresses")
	}
	if given(t.Edge) && t.Edge.host() == "" {
		c.forbidden("the tenant has no host to be found at: use ManualDNS")
	}
}

func (d ExternalDNS) lowerDNS(s scope) part {
	byType := map[string][]string{}
	for _, address := range s.fleet.Platform.Addresses {
		kind := "CNAME"
		if ip, err := netip.ParseAddr(address); err == nil {
			kind = map[bool]string{true: "A", false: "AAAA"}[ip.Unmap().Is4()]
		}
		byType[kind] = append(byType[kind], address)
	}
	var records []dnsRecord
	for _, kind := range []string{"A", "AAAA", "CNAME"} {
		if len(byType[kind]) > 0 {
			records = append(records, dnsRecord{s.tenant.Edge.host(), kind, seconds(d.TTL, 5*time.Minute), byType[kind]})
		}
	}
	return part{objects: []Object{&dnsEndpoint{
		TypeMeta:   metav1.TypeMeta{APIVersion: "externaldns.k8s.io/v1alpha1", Kind: "DNSEndpoint"},
		ObjectMeta: s.named(edgeName, "edge", edgeName),
		Spec:       dnsEndpointSpec{Endpoints: records},
	}}}
}

func (ManualDNS) validateDNS(*checker, *Fleet, *Tenant) {}

func (ManualDNS) lowerDNS(scope) part { return part{} }

// Issuer signs the certificates of the fleet's edges.
//
//sumtype:decl
type Issuer interface {
	validateIssuer(*checker, *Platform)
	lowerIssuer(scope) []Object
	issuerName() string
}

// ACME is an authority such as Let's Encrypt, to which cert-manager proves each host over HTTP: through the
// shared Gateway, and those of tenants with an Ingress through an Ingress of the class.
type ACME struct {
	Server string // directory URL
	Email  string // that the authority writes to
	Class  string // of Ingresses; empty where no tenant has one
}

// ClusterIssuer is one that somebody else made.
type ClusterIssuer struct {
	Name string
}

var (
	_ Issuer = ACME{}
	_ Issuer = ClusterIssuer{}
)

const acmeName = "acme"

func (a ACME) validateIssuer(c *checker, p *Platform) {
	c.at("server").url(a.Server)
	if p.Gateway == nil && a.Class == "" {
		c.at("class").required("the Ingress class through which hosts are proved, or set platform.gateway")
	}
	if a.Class != "" {
		c.at("class").label(a.Class)
	}
}

func (ACME) issuerName() string { return acmeName }

// throughIngress labels the certificates whose hosts are proved through an Ingress.
var throughIngress = map[string]string{"tenantry.dev/edge": "ingress"}

func (a ACME) lowerIssuer(s scope) []Object {
	var solvers []acmev1.ACMEChallengeSolver
	if s.fleet.Platform.Gateway != nil {
		solvers = append(solvers, acmev1.ACMEChallengeSolver{HTTP01: &acmev1.ACMEChallengeSolverHTTP01{
			GatewayHTTPRoute: &acmev1.ACMEChallengeSolverHTTP01GatewayHTTPRoute{
				ServiceType: corev1.ServiceTypeClusterIP, // a node's port, which is the default, is in no tenant's quota
				ParentRefs: []gatewayv1.ParentReference{{
					Group: new(gatewayv1.Group(gatewayv1.GroupName)), Kind: new(gatewayv1.Kind("Gateway")),
					Name: gatewayName, Namespace: new(gatewayv1.Namespace(PlatformUnit)), SectionName: new(gatewayv1.SectionName("http")),
				}},
			},
		}})
	}
	if a.Class != "" {
		solvers = append(solvers, acmev1.ACMEChallengeSolver{
			Selector: &acmev1.CertificateDNSNameSelector{MatchLabels: throughIngress},
			HTTP01:   &acmev1.ACMEChallengeSolverHTTP01{Ingress: &acmev1.ACMEChallengeSolverHTTP01Ingress{ServiceType: corev1.ServiceTypeClusterIP, IngressClassName: &a.Class}},
		})
	}
	return []Object{&certv1.ClusterIssuer{
		TypeMeta:   metav1.TypeMeta{APIVersion: "cert-manager.io/v1", Kind: "ClusterIssuer"},
		ObjectMeta: s.cluster(acmeName, "issuer", acmeName),
		Spec: certv1.IssuerSpec{IssuerConfig: certv1.IssuerConfig{ACME: &acmev1.ACMEIssuer{
			Server:     a.Server,
			Email:      a.Email,
			PrivateKey: certmeta.SecretKeySelector{LocalObjectReference: certmeta.LocalObjectReference{Name: "acme-account"}},
			Solvers:    solvers,
		}}},
	}}
}

func (i ClusterIssuer) validateIssuer(c *checker, _ *Platform) { c.at("name").host(i.Name) }

func (i ClusterIssuer) issuerName() string { return i.Name }

func (ClusterIssuer) lowerIssuer(scope) []Object { return nil }
