package render

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	certmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Cache is a server of the Redis protocol: sessions, rate limits, messages between replicas.
//
//sumtype:decl
type Cache interface {
	validateCache(*checker, *Tenant)
	lowerCache(scope) part
	// endpoint is the name that no two tenants may share; empty where it is in the tenant's namespace.
	endpoint() string
}

// Valkey is one Valkey server in a StatefulSet, with an append-only file on a volume. Its default user is
// off; the user app may do everything that is neither administrative nor dangerous.
type Valkey struct {
	Memory    Quantity     // of the container; three quarters of it hold data
	Storage   Quantity     // Default: four times Memory
	CPU       Quantity     // Default 100m
	Plaintext bool         // no TLS, for clusters without cert-manager: traffic stays in the namespace
	Password  SecretSource // Default Generated
}

// ExternalRedis is a server, or a group of them behind Sentinels, that somebody else runs.
type ExternalRedis struct {
	Host      string // of a standalone server; empty with Sentinel
	Port      int32  // Default 6379
	Sentinel  *Sentinel
	Username  string
	Password  SecretSource // as CACHE_PASSWORD
	Plaintext bool         // no TLS
	CA        SecretSource // PEM of its authority, as CACHE_CA. Default: the public authorities
	CIDRs     []string     // the addresses of the servers and Sentinels; empty means any public address
}

// Sentinel is how a group of servers is found.
type Sentinel struct {
	Master   string   // name of the group
	Nodes    []string // host:port of each Sentinel
	Username string
	Password SecretSource // as CACHE_SENTINEL_PASSWORD; nil for none
}

// NoCache keeps sessions and rate limits in the one process of the API.
type NoCache struct{}

var (
	_ Cache = Valkey{}
	_ Cache = ExternalRedis{}
	_ Cache = NoCache{}
)

const (
	cacheName = "cache"
	cacheApp  = "valkey"
	cachePort = 6379
)

func (v Valkey) validateCache(c *checker, _ *Tenant) {
	c.at("memory").bytes(v.Memory, leastMemory)
	c.at("storage").optional(v.Storage, leastDisk)
	c.at("cpu").cpu(v.CPU)
	c.at("password").source(v.Password)
}

func (Valkey) endpoint() string { return "" }

// valkeyConf serves TLS or plain text, never both. Sessions expire by themselves, so that what expires may
// go first when memory runs out.
const valkeyConf = `bind * -::*
%s
maxmemory %d
maxmemory-policy volatile-lru
appendonly yes
save ""
dir /data
aclfile /etc/valkey/users.acl
`

const valkeyTLS = `port 0
tls-port 6379
tls-cert-file /tls/tls.crt
tls-key-file /tls/tls.key
tls-ca-cert-file /tls/ca.crt
tls-auth-clients no`

func (v Valkey) lowerCache(s scope) part {
	m := s.named(cacheName, "cache", cacheApp)
	pods := selector(s.unit, cacheApp)
	sec := s.secret(cacheName, "cache", cacheApp)
	sec.keys = []secretKey{
		{name: "password", variable: "CACHE_PASSWORD"},
		{name: "users.acl", template: "user default off\nuser app on >{{ .password }} ~* &* +@all -@admin -@dangerous +info\n"},
	}
	secrets := cmp.Or[SecretSource](v.Password, Generated{}).lowerSecret(s, sec)

	memory := resource.MustParse(string(v.Memory))
	storage := v.Storage
	if storage == "" {
		storage = Quantity(resource.NewQuantity(memory.Value()*4, resource.BinarySI).String())
	}
	transport := "port 6379"
	if !v.Plaintext {
		transport = valkeyTLS
	}
	conf := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: m,
		Data:       map[string]string{"valkey.conf": fmt.Sprintf(valkeyConf, transport, memory.Value()/4*3)},
	}
	confVolume, confMount := configVolume("conf", cacheName, "/etc/valkey/valkey.conf")
	confMount.SubPath = "valkey.conf"
	aclVolume, aclMount := secretVolume("acl", cacheName, "/etc/valkey/users.acl", "users.acl")
	aclMount.SubPath = "users.acl"
	tmp, tmpMount := scratch("tmp", "/tmp", "16Mi")
	volumes := []corev1.Volume{confVolume, aclVolume, tmp}
	ping := "valkey-cli --user app ping | grep -q PONG"
	c := container(cacheApp, s.images.Valkey)
	c.Command = []string{"valkey-server", "/etc/valkey/valkey.conf"}
	c.Env = []corev1.EnvVar{secretEnv("REDISCLI_AUTH", cacheName, "password")}
	c.Ports = []corev1.ContainerPort{{Name: "redis", ContainerPort: cachePort, Protocol: corev1.ProtocolTCP}}
	c.Resources = Resources{CPU: v.CPU, Memory: v.Memory}.requirements(Resources{CPU: "100m"})
	c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, confMount, aclMount, tmpMount}
	c.LivenessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("redis")}},
		PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 6,
	}
	p := part{
		facts: map[string]fact{
			"cache.enabled":  text("true"),
			"cache.sentinel": text("false"),
			"cache.host":     text(cacheName),
			"cache.port":     text(strconv.Itoa(cachePort)),
			"cache.username": text("app"),
			"cache.password": secretFact(cacheName, "password"),
			"cache.tls":      truth(!v.Plaintext),
		},
		egress: []networkingv1.NetworkPolicyEgressRule{to([]int32{cachePort}, near(pods))},
	}
	if !v.Plaintext {
		tls, tlsMount := secretVolume("tls", cacheName+"-tls", "/tls")
		volumes = append(volumes, tls)
		c.VolumeMounts = append(c.VolumeMounts, tlsMount)
		ping = "valkey-cli --tls --cacert /tls/ca.crt --user app ping | grep -q PONG"
		p.objects = append(p.objects, s.authority(m)...)
		p.facts["cache.ca"] = secretFact(cacheName+"-tls", "ca.crt")
		p.facts["cache.servername"] = text(cacheName)
	}
	c.ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", ping}}},
		PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 3,
	}
	c.StartupProbe = c.LivenessProbe.DeepCopy()
	c.StartupProbe.FailureThreshold = 60 // loading the file takes its time
	set := s.statefulSet(m, pods, storage, c, checksum(append(secrets, conf)...), volumes...)
	p.objects = append(p.objects, secrets...)
	p.objects = append(p.objects, conf, set, headless(m, pods, "redis", cachePort),
		policy(m, metav1.LabelSelector{MatchLabels: pods}, []networkingv1.NetworkPolicyIngressRule{
			from([]int32{cachePort}, networkingv1.NetworkPolicyPeer{PodSelector: new(applicationPods())}),
		}, nil))
	return p
}

// authority signs the cache's certificate in the tenant's namespace alone: no tenant trusts what another's
// authority signs.
func (s scope) authority(m metav1.ObjectMeta) []Object {
	root := *m.DeepCopy()
	root.Name = m.Name + "-root"
	ca := *m.DeepCopy()
	ca.Name = m.Name + "-ca"
	issuer := func(m metav1.ObjectMeta, config certv1.IssuerConfig) Object {
		return &certv1.Issuer{
			TypeMeta:   metav1.TypeMeta{APIVersion: "cert-manager.io/v1", Kind: "Issuer"},
			ObjectMeta: m,
			Spec:       certv1.IssuerSpec{IssuerConfig: config},
		}
	}
	key := &certv1.CertificatePrivateKey{Algorithm: certv1.ECDSAKeyAlgorithm, Size: 256, RotationPolicy: certv1.RotationPolicyAlways}
	certificate := func(m metav1.ObjectMeta, spec certv1.CertificateSpec) Object {
		spec.PrivateKey = key
		return &certv1.Certificate{
			TypeMeta:   metav1.TypeMeta{APIVersion: "cert-manager.io/v1", Kind: "Certificate"},
			ObjectMeta: m,
			Spec:       spec,
		}
	}
	return []Object{
		issuer(root, certv1.IssuerConfig{SelfSigned: &certv1.SelfSignedIssuer{}}),
		certificate(ca, certv1.CertificateSpec{
			IsCA: true, CommonName: s.unit + " cache", SecretName: ca.Name, Duration: &metav1.Duration{Duration: 10 * 365 * day},
			IssuerRef: certmeta.IssuerReference{Name: root.Name, Kind: "Issuer"},
		}),
		issuer(ca, certv1.IssuerConfig{CA: &certv1.CAIssuer{SecretName: ca.Name}}),
		certificate(*m.DeepCopy(), certv1.CertificateSpec{
			SecretName: m.Name + "-tls", Duration: &metav1.Duration{Duration: 90 * day},
			DNSNames:  []string{m.Name, m.Name + "." + s.unit + ".svc", m.Name + "." + s.fleet.host(s.unit), "localhost"},
			Usages:    []certv1.KeyUsage{certv1.UsageServerAuth},
			IssuerRef: certmeta.IssuerReference{Name: ca.Name, Kind: "Issuer"},
		}),
	}
}

// host is the DNS suffix of a namespace's Services.
func (f *Fleet) host(namespace string) string {
	return namespace + ".svc." + cmp.Or(f.Cluster.Domain, "cluster.local")
}

func (r ExternalRedis) validateCache(c *checker, _ *Tenant) {
	switch {
	case r.Sentinel == nil:
		c.at("host").address(r.Host)
	case r.Host != "":
		c.at("host").forbidden("Sentinels tell the host: set one of host and sentinel")
	}
	if r.Port != 0 {
		c.at("port").port(r.Port)
	}
	if r.Sentinel != nil {
		at := c.at("sentinel")
		if r.Sentinel.Master == "" {
			at.at("master").required("the name of the group, such as mymaster")
		}
		if len(r.Sentinel.Nodes) == 0 {
			at.at("nodes").required("host:port of each Sentinel")
		}
		for i, node := range r.Sentinel.Nodes {
			host, port, err := net.SplitHostPort(node)
			if err != nil {
				at.at("nodes").item(i).invalid(node, "must be host:port")
				continue
			}
			at.at("nodes").item(i).address(host)
			number, _ := strconv.ParseInt(port, 10, 32)
			at.at("nodes").item(i).port(int32(number))
		}
		at.at("password").source(r.Sentinel.Password)
	}
	c.at("password").foreign(r.Password)
	c.at("ca").source(r.CA)
	c.at("cidrs").cidrs(r.CIDRs)
}

func (r ExternalRedis) endpoint() string {
	if r.Sentinel != nil {
		return strings.Join(r.Sentinel.Nodes, ",") + "/" + r.Sentinel.Master
	}
	return net.JoinHostPort(r.Host, strconv.Itoa(int(r.port())))
}

func (r ExternalRedis) port() int32 { return cmp.Or(r.Port, cachePort) }

func (r ExternalRedis) lowerCache(s scope) part {
	p := part{facts: map[string]fact{
		"cache.enabled":  text("true"),
		"cache.sentinel": truth(r.Sentinel != nil),
		"cache.password": secretFact(cacheName, "password"),
		"cache.tls":      truth(!r.Plaintext),
	}}
	sec := s.secret(cacheName, "cache", "redis")
	sec.keys = []secretKey{{name: "password", variable: "CACHE_PASSWORD"}}
	p.objects = r.Password.lowerSecret(s, sec)
	if r.Username != "" {
		p.facts["cache.username"] = text(r.Username)
	}
	ports := []int32{r.port()}
	if r.Sentinel == nil {
		p.facts["cache.host"] = text(r.Host)
		p.facts["cache.port"] = text(strconv.Itoa(int(r.port())))
	} else {
		p.facts["cache.sentinels"] = text(strings.Join(r.Sentinel.Nodes, ","))
		p.facts["cache.sentinel-name"] = text(r.Sentinel.Master)
		p.facts["cache.sentinel-tls"] = truth(!r.Plaintext)
		if r.Sentinel.Username != "" {
			p.facts["cache.sentinel-username"] = text(r.Sentinel.Username)
		}
		if r.Sentinel.Password != nil {
			sentinel := s.secret(cacheName+"-sentinel", "cache", "redis")
			sentinel.keys = []secretKey{{name: "password", variable: "CACHE_SENTINEL_PASSWORD"}}
			p.objects = append(p.objects, r.Sentinel.Password.lowerSecret(s, sentinel)...)
			p.facts["cache.sentinel-password"] = secretFact(cacheName+"-sentinel", "password")
		}
		for _, node := range r.Sentinel.Nodes {
			if _, port, err := net.SplitHostPort(node); err == nil {
				if n, err := strconv.ParseInt(port, 10, 32); err == nil {
					ports = append(ports, int32(n))
				}
			}
		}
	}
	if r.CA != nil {
		ca := s.secret(cacheName+"-ca", "cache", "redis")
		ca.keys = []secretKey{{name: "ca.crt", variable: "CACHE_CA"}}
		p.objects = append(p.objects, r.CA.lowerSecret(s, ca)...)
		p.facts["cache.ca"] = secretFact(cacheName+"-ca", "ca.crt")
	}
	slices.Sort(ports)
	p.egress = []networkingv1.NetworkPolicyEgressRule{addresses(r.CIDRs, slices.Compact(ports)...)}
	return p
}

func (NoCache) validateCache(*checker, *Tenant) {}

func (NoCache) endpoint() string { return "" }

func (NoCache) lowerCache(scope) part {
	return part{facts: map[string]fact{"cache.enabled": text("false")}}
}
