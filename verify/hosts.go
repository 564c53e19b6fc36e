package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/tenantry/tenantry/render"
)

// claim notes a host. What the whole cluster calls by other names is not one; nor is a wildcard of the
// platform's, which no tenant's host is taken from.
func (n *names) claim(h holding, host string) {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	rest, wild := strings.CutPrefix(host, "*.")
	switch {
	case !strings.Contains(host, ".") || internal(host) != "":
	case wild && h.unit != render.PlatformUnit:
		n.wild[rest] = append(n.wild[rest], h)
	case !wild:
		n.hosts[host] = append(n.hosts[host], h)
	}
}

// internal is the namespace of a name within the cluster, such as api.acme.svc.cluster.local; empty where it
// is another name.
func internal(host string) string {
	labels := strings.Split(host, ".")
	if i := slices.Index(labels, "svc"); i >= 2 {
		return labels[i-1]
	}
	return ""
}

// A word is a text in an object, and its field.
type word struct{ field, text string }

// hostsOf lists the hosts that an object claims. An empty one is every host.
func hostsOf(o Object) []word {
	var hosts []word
	add := func(host, field string, args ...any) { hosts = append(hosts, word{fmt.Sprintf(field, args...), host}) }
	route := func(list []gatewayv1.Hostname) {
		if len(list) == 0 {
			add("", "spec.hostnames")
		}
		for i, h := range list {
			add(string(h), "spec.hostnames[%d]", i)
		}
	}
	listener := func(i int, h *gatewayv1.Hostname) {
		add(string(*cmp.Or(h, new(gatewayv1.Hostname("")))), "spec.listeners[%d].hostname", i)
	}
	switch w := o.Object.(type) {
	case *gatewayv1.Gateway:
		for i, l := range w.Spec.Listeners {
			listener(i, l.Hostname)
		}
	case *gatewayv1.ListenerSet:
		for i, l := range w.Spec.Listeners {
			listener(i, l.Hostname)
		}
	case *gatewayv1.HTTPRoute:
		route(w.Spec.Hostnames)
	case *gatewayv1.GRPCRoute:
		route(w.Spec.Hostnames)
	case *gatewayv1.TLSRoute:
		route(w.Spec.Hostnames)
	case *networkingv1.Ingress:
		if w.Spec.DefaultBackend != nil {
			add("", "spec.defaultBackend")
		}
		for i, r := range w.Spec.Rules {
			add(r.Host, "spec.rules[%d].host", i)
		}
		for i, t := range w.Spec.TLS {
			for j, h := range t.Hosts {
				add(h, "spec.tls[%d].hosts[%d]", i, j)
			}
		}
	case *certv1.Certificate:
		for i, h := range w.Spec.DNSNames {
			add(h, "spec.dnsNames[%d]", i)
		}
		if strings.Contains(w.Spec.CommonName, ".") {
			add(w.Spec.CommonName, "spec.commonName")
		}
	case *unstructured.Unstructured:
		if gvk := w.GroupVersionKind(); gvk.Group+"/"+gvk.Kind == "externaldns.k8s.io/DNSEndpoint" {
			var d dnsEndpoint
			convert(w, &d)
			for i, e := range d.Spec.Endpoints {
				add(e.DNSName, "spec.endpoints[%d].dnsName", i)
			}
		}
	}
	for key, list := range o.GetAnnotations() {
		if strings.HasPrefix(key, "external-dns.alpha.kubernetes.io/") && strings.HasSuffix(key, "hostname") || strings.HasSuffix(key, "/server-alias") {
			for host := range strings.SplitSeq(list, ",") {
				add(strings.TrimSpace(host), "metadata.annotations")
			}
		}
	}
	return hosts
}

// A dnsEndpoint is the records of external-dns 0.20's DNSEndpoint.
type dnsEndpoint struct {
	Spec struct {
		Endpoints []struct {
			DNSName string `json:"dnsName"`
		} `json:"endpoints"`
	} `json:"spec"`
}

func hostsShared(s *subject) []Finding {
	var findings []Finding
	remedy := "give each tenant hosts of its own"
	for i := range s.Units {
		u := &s.Units[i]
		me := owner{s.Name, u.Name}
		told := map[string]bool{}
		for _, o := range u.Objects {
			for _, claimed := range hostsOf(o) {
				tell := func(message string) {
					findings = append(findings, s.finding("names/host", u.Name, o, claimed.field, message, remedy))
				}
				host := strings.ToLower(strings.TrimSuffix(claimed.text, "."))
				namespace := internal(host)
				if first, second, ok := strings.Cut(host, "."); ok && s.names.services[owner{s.Name, second}][first] {
					namespace = second
				}
				rest, wild := strings.CutPrefix(host, "*.")
				switch {
				case host == "" || host == "*":
					if u.Name != render.PlatformUnit {
						tell("without a host it takes those of every tenant that nobody else answers to")
					}
					continue
				case namespace != "":
					if _, unit := s.names.services[owner{s.Name, namespace}]; unit && namespace != u.Name {
						tell(host + " is in the namespace " + namespace)
					}
					continue
				case wild && u.Name != render.PlatformUnit:
					if other, more := s.names.under(rest, me); other != "" {
						tell(fmt.Sprintf("%s covers %s%s", host, other, more))
					}
				}
				if h := s.names.holders(host, me); len(h) > 0 && !told[host] {
					told[host] = true
					tell(fmt.Sprintf("%s is also %s's: %s of %s", host, h[0].owner, h[0].field, h[0].object.ID()))
				}
			}
		}
	}
	return findings
}

// holders lists where another owner claims a host, or a wildcard over it.
func (n *names) holders(host string, me owner) []holding {
	var others []holding
	add := func(list []holding) {
		for _, h := range list {
			if h.owner != me {
				others = append(others, h)
			}
		}
	}
	rest, wild := strings.CutPrefix(host, "*.")
	if !wild {
		add(n.hosts[host])
		_, rest, _ = strings.Cut(host, ".")
	}
	for ok := true; ok && rest != ""; _, rest, ok = strings.Cut(rest, ".") {
		add(n.wild[rest])
	}
	return others
}

// under is the first host of another owner below a domain, and how many more there are, in words.
func (n *names) under(domain string, me owner) (host, more string) {
	var found []string
	for host, list := range n.hosts {
		if i := slices.IndexFunc(list, func(h holding) bool { return h.owner != me }); i >= 0 && strings.HasSuffix(host, "."+domain) {
			found = append(found, fmt.Sprintf("%s of %s", host, list[i].owner))
		}
	}
	slices.Sort(found)
	switch len(found) {
	case 0:
		return "", ""
	case 1:
		return found[0], ""
	}
	return found[0], fmt.Sprintf(", and %d more", len(found)-1)
}
