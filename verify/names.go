package verify

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/tenantry/tenantry/render"
)

// nameRules hold the names that objects claim and use against whose they are.
var nameRules = []Rule{
	{
		ID:       "names/address",
		Protects: "Clients come in through the platform's edge: no tenant takes a port of the nodes, an address of somebody else's, or another's pods as its own.",
		check:    addressesTaken,
	},
	{
		ID:       "names/bucket",
		Protects: "No tenant reads or overwrites the objects or the backups of another.",
		check:    bucketsShared,
	},
	{
		ID:       "names/cluster-scoped",
		Protects: "What a tenant is made of lies in its namespace; what the whole cluster has is the platform's.",
		check:    clusterScopedObjects,
	},
	{
		ID:       "names/cross-namespace",
		Protects: "No object reaches into another namespace, and none lets others reach into its own, but where the platform is built for it.",
		check:    acrossReferences,
	},
	{
		ID:       "names/host",
		Protects: "A host, its certificate and its DNS record belong to one tenant, under wildcards too.",
		check:    hostsShared,
	},
	{
		ID:       "names/label",
		Protects: "What carries a tenant's label is that tenant's: policies, placement and metrics go by it.",
		check:    tenantLabels,
	},
	{
		ID:       "names/mention",
		Protects: "No tenant is configured to talk to another: its hosts, its Services, its databases.",
		check:    mentions,
	},
	{
		ID:       "names/namespace",
		Protects: "Each unit has its namespace, and no other.",
		check:    namespacesOwned,
	},
	{
		ID:       "names/reference",
		Protects: "What an object refers to is there, under that name and key, in its own namespace: a misspelt Secret stops a rollout, and is not found by chance.",
		check:    referencesResolve,
	},
	{
		ID:       "names/secret",
		Protects: "A secret value is one tenant's: no other takes it from the same place.",
		check:    secretsShared,
	},
}

// An owner is a unit of a fleet. Two fleets' tenants of one name are two.
type owner struct{ fleet, unit string }

func (o owner) String() string { return o.fleet + "/" + o.unit }

// A holding is one place where an object uses a name that is somebody's.
type holding struct {
	owner
	object Object
	field  string
}

// names is whose is what, in all fleets.
type names struct {
	hosts    map[string][]holding // without those of wildcards
	wild     map[string][]holding // by what follows "*."
	buckets  map[string][]holding
	secrets  map[string][]holding
	declared map[string][]owner // of buckets
	stores   map[string]bool    // endpoints
	servers  map[string][]Server
	whose    map[string][]owner // of servers' addresses
	services map[owner]map[string]bool
}

func newNames(fleets []Fleet) *names {
	n := &names{
		hosts: map[string][]holding{}, wild: map[string][]holding{}, buckets: map[string][]holding{}, secrets: map[string][]holding{}, declared: map[string][]owner{},
		stores: map[string]bool{}, servers: map[string][]Server{}, whose: map[string][]owner{}, services: map[owner]map[string]bool{},
	}
	for i := range fleets {
		f := &fleets[i]
		for _, b := range f.Facts.Buckets {
			n.stores[b.Endpoint] = true
			n.declared[bucketKey(f.Name, b.Endpoint, b.Name)] = append(n.declared[bucketKey(f.Name, b.Endpoint, b.Name)], owner{f.Name, b.Tenant})
		}
		for _, s := range f.Facts.Servers {
			host, _, _ := strings.Cut(s.Address, ":")
			n.servers[host] = append(n.servers[host], s)
			n.whose[s.Address] = append(n.whose[s.Address], owner{f.Name, s.Tenant})
		}
	}
	for i := range fleets {
		f := &fleets[i]
		for j := range f.Units {
			u := &f.Units[j]
			me := owner{f.Name, u.Name}
			n.services[me] = map[string]bool{}
			for _, o := range u.Objects {
				for _, host := range hostsOf(o) {
					n.claim(holding{me, o, host.field}, host.text)
				}
				for _, from := range sourcesOf(f.Name, o) {
					n.secrets[from.text] = append(n.secrets[from.text], holding{me, o, from.field})
				}
				for _, service := range servicesOf(o) {
					n.services[me][service] = true
				}
			}
		}
	}
	return n
}

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
		if strings.HasPrefix(key, "external-dns.alpha.kubernetes.io/") && strings.HasSuffix(key, "hostname") {
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
				if h := s.names.holders(host, me); len(h) > 0 {
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

// bucketKey tells buckets apart. A store within the cluster is one of its fleet.
func bucketKey(fleet, endpoint, name string) string {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return endpoint + " " + name
	}
	at := strings.ToLower(u.Host)
	if internal(u.Hostname()) != "" {
		at = fleet + " " + at
	}
	return at + " " + name
}

// A bucketUse is a bucket that an object names.
type bucketUse struct{ field, endpoint, name string }

// bucketsOf lists the buckets that a custom resource names.
func bucketsOf(o Object) []bucketUse {
	w, ok := o.Object.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	var uses []bucketUse
	add := func(field string, b *barmanStore) {
		if b == nil {
			return
		}
		if path, s3 := strings.CutPrefix(b.DestinationPath, "s3://"); s3 {
			name, _, _ := strings.Cut(path, "/")
			uses = append(uses, bucketUse{field + ".destinationPath", b.EndpointURL, name})
		}
	}
	switch gvk := w.GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
	case "barmancloud.cnpg.io/ObjectStore":
		var store objectStore
		convert(w, &store)
		add("spec.configuration", &store.Spec.Configuration)
	case "postgresql.cnpg.io/Cluster":
		var c cnpgCluster
		convert(w, &c)
		add("spec.backup.barmanObjectStore", c.Spec.Backup.Barman)
		for i, e := range c.Spec.ExternalClusters {
			add(fmt.Sprintf("spec.externalClusters[%d].barmanObjectStore", i), e.Barman)
		}
	}
	return uses
}

// A variable is one that a container is given as plain text.
type variable struct{ field, name, value string }

// variables lists those of a container, those that it takes from ConfigMaps of the unit included.
func (t *template) variables(path string, c *corev1.Container) []variable {
	var all []variable
	for i, from := range c.EnvFrom {
		if from.ConfigMapRef == nil {
			continue
		}
		for _, o := range t.unit.Objects {
			if m, ok := o.Object.(*corev1.ConfigMap); ok && m.Name == from.ConfigMapRef.Name {
				for _, key := range slices.Sorted(maps.Keys(m.Data)) {
					all = append(all, variable{t.below(path, fmt.Sprintf("envFrom[%d]", i)), key, m.Data[key]})
				}
			}
		}
	}
	for i, e := range c.Env {
		if e.ValueFrom == nil {
			all = append(all, variable{t.below(path, fmt.Sprintf("env[%d].value", i)), e.Name, e.Value})
		}
	}
	return all
}

// uses lists the buckets that a container is told of: by a variable with BUCKET in its name, beside one that
// holds the endpoint of a store.
func (n *names) uses(variables []variable) []bucketUse {
	var uses []bucketUse
	for _, endpoint := range variables {
		if !n.stores[endpoint.value] {
			continue
		}
		for _, v := range variables {
			if strings.Contains(strings.ToUpper(v.name), "BUCKET") {
				uses = append(uses, bucketUse{v.field, endpoint.value, v.value})
			}
		}
	}
	return uses
}

func bucketsShared(s *subject) []Finding {
	used := map[string][]holding{} // by whom, of those that are nobody's by declaration
	var all []holding
	var keys []string
	note := func(u *Unit, o Object, use bucketUse) {
		h := holding{owner{s.Name, u.Name}, o, use.field}
		key := bucketKey(s.Name, use.endpoint, use.name)
		used[key] = append(used[key], h)
		all, keys = append(all, h), append(keys, key)
	}
	for i := range s.Units {
		if u := &s.Units[i]; u.Name != render.PlatformUnit {
			for _, o := range u.Objects {
				for _, use := range bucketsOf(o) {
					note(u, o, use)
				}
			}
		}
	}
	var findings []Finding
	for _, t := range s.pods {
		for path, c := range t.containers() {
			variables := t.variables(path, c)
			if t.unit.Name == render.PlatformUnit {
				findings = append(findings, s.keysOpen(t, c, variables)...)
				continue
			}
			for _, use := range s.names.uses(variables) {
				note(t.unit, t.object, use)
			}
		}
	}
	told := map[string]bool{}
	for i, h := range all {
		owners := s.names.declared[keys[i]]
		if len(owners) == 0 {
			for _, other := range used[keys[i]] {
				owners = append(owners, other.owner)
			}
		}
		at := h.owner.String() + h.object.File + h.field
		if j := slices.IndexFunc(owners, func(o owner) bool { return o != h.owner }); j >= 0 && !told[at] {
			told[at] = true
			_, name, _ := strings.Cut(keys[i], " ")
			findings = append(findings, s.finding("names/bucket", h.unit, h.object, h.field, fmt.Sprintf("the bucket %s is %s's", name, owners[j]), "name a bucket of the tenant's own"))
		}
	}
	return findings
}

// keysOpen finds where the platform opens a bucket to the key of a tenant that does not own it. Whose key it
// is stands in the path that the key is generated by.
func (s *subject) keysOpen(t *template, c *corev1.Container, variables []variable) []Finding {
	read := map[string]bool{} // Secrets
	for _, e := range c.Env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			read[e.ValueFrom.SecretKeyRef.Name] = true
		}
	}
	whose := map[string]bool{}
	for _, o := range t.unit.Objects {
		if _, secret := o.Object.(*corev1.Secret); secret && read[o.GetName()] {
			for _, from := range sourcesOf(s.Name, o) {
				if path := strings.Split(from.text, "/"); len(path) > 2 && s.tenant(path[1]) {
					whose[path[1]] = true
				}
			}
		}
	}
	var findings []Finding
	for _, v := range variables {
		for _, tenant := range slices.Sorted(maps.Keys(whose)) {
			own := func(b Bucket) bool { return b.Tenant == tenant && b.Name == v.value }
			if strings.Contains(strings.ToUpper(v.name), "BUCKET") && !slices.ContainsFunc(s.Facts.Buckets, own) {
				findings = append(findings, s.finding("names/bucket", t.unit.Name, t.object, v.field,
					fmt.Sprintf("the key of %s opens the bucket %s, which is not its own", tenant, v.value), "open to each key the bucket of its own tenant"))
			}
		}
	}
	return findings
}

const sourcePrefix = "secret.tenantry.dev/"

// sourcesOf lists where the values of a Secret come from, which no two tenants may share.
func sourcesOf(fleet string, o Object) []word {
	var sources []word
	add := func(source, field string, args ...any) {
		sources = append(sources, word{fmt.Sprintf(field, args...), source})
	}
	switch w := o.Object.(type) {
	case *corev1.Secret:
		for key, text := range w.Annotations {
			if !strings.HasPrefix(key, sourcePrefix) {
				continue
			}
			switch kind, rest, _ := strings.Cut(text, ":"); kind {
			case "generated":
				path, _, _ := strings.Cut(rest, "?")
				add("generated "+path, "metadata.annotations")
			case "environment":
				// Whose variables have a prefix, has all that have it.
				if prefix, _, ok := strings.Cut(rest, "__"); ok {
					rest = prefix + "__*"
				}
				add("variable "+rest+" of "+fleet, "metadata.annotations")
			}
		}
	case *unstructured.Unstructured:
		if gvk := w.GroupVersionKind(); gvk.Group+"/"+gvk.Kind != "external-secrets.io/ExternalSecret" {
			return nil
		}
		var e externalSecret
		convert(w, &e)
		for i, d := range e.Spec.Data {
			add("place "+d.RemoteRef.Key+" in "+e.Spec.Store.Name, "spec.data[%d].remoteRef", i)
		}
		for i, d := range e.Spec.DataFrom {
			add("place "+d.Extract.Key+" in "+e.Spec.Store.Name, "spec.dataFrom[%d]", i)
		}
	}
	return sources
}

// An externalSecret is what of External Secrets' ExternalSecret decides about the Secret that it makes.
type externalSecret struct {
	Spec struct {
		Store  objectRef `json:"secretStoreRef"`
		Target struct {
			Name     string `json:"name"`
			Template *struct {
				Data map[string]string `json:"data"`
			} `json:"template"`
		} `json:"target"`
		Data []struct {
			SecretKey string `json:"secretKey"`
			RemoteRef struct {
				Key      string `json:"key"`
				Property string `json:"property"`
			} `json:"remoteRef"`
		} `json:"data"`
		DataFrom []struct {
			Extract struct {
				Key string `json:"key"`
			} `json:"extract"`
		} `json:"dataFrom"`
	} `json:"spec"`
}

func secretsShared(s *subject) []Finding {
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		me := owner{s.Name, u.Name}
		for _, o := range u.Objects {
			for _, from := range sourcesOf(s.Name, o) {
				tell := func(message, remedy string) {
					findings = append(findings, s.finding("names/secret", u.Name, o, from.field, message, remedy))
				}
				kind, path, _ := strings.Cut(from.text, " ")
				path, _, _ = strings.Cut(path, " ")
				switch parts := strings.SplitN(path, "/", 3); {
				case kind == "generated" && u.Name != render.PlatformUnit && (len(parts) < 3 || parts[0] != s.Name || parts[1] != u.Name):
					tell("the value is generated for "+path+", and is the same there", "generate it for "+s.Name+"/"+u.Name+"/…")
					continue
				case kind == "generated":
					continue
				case kind == "place" && path == "":
					tell("it takes what there is in the store, whosever it is", "name the places to take values from")
					continue
				case kind == "place" && len(parts) > 1 && (owner{parts[0], parts[1]}) != me && s.names.services[owner{parts[0], parts[1]}] != nil:
					tell("the value is taken from "+path+", which is "+parts[0]+"/"+parts[1]+"'s", "take it from "+s.Name+"/"+u.Name+"/…")
					continue
				}
				for _, h := range s.names.secrets[from.text] {
					if h.owner != me {
						tell(fmt.Sprintf("%s takes values from there too, by %s: the %s", h.owner, h.object.ID(), from.text), "give each tenant a place of its own")
						break
					}
				}
			}
		}
	}
	return findings
}

// servicesOf lists the Services that an object is, or that an operator makes of it.
func servicesOf(o Object) []string {
	name := o.GetName()
	switch w := o.Object.(type) {
	case *corev1.Service:
		return []string{name}
	case *unstructured.Unstructured:
		switch gvk := w.GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
		case "postgresql.cnpg.io/Cluster":
			return []string{name + "-rw", name + "-ro", name + "-r", name + "-any"}
		case "postgresql.cnpg.io/Pooler":
			return []string{name}
		}
	}
	return nil
}

// textsOf lists what an object says in plain text to what runs.
func textsOf(o Object) []word {
	var all []word
	add := func(field string, m map[string]string) {
		for key, text := range m {
			all = append(all, word{field + "." + key, text})
		}
	}
	switch w := o.Object.(type) {
	case *corev1.ConfigMap:
		add("data", w.Data)
	case *corev1.Secret:
		for _, text := range w.Annotations {
			all = append(all, word{"metadata.annotations", text})
		}
		add("stringData", w.StringData)
	case *networkingv1.Ingress:
		for _, text := range w.Annotations {
			all = append(all, word{"metadata.annotations", text})
		}
	case *corev1.Service:
		all = append(all, word{"spec.externalName", w.Spec.ExternalName})
	case *unstructured.Unstructured:
		switch gvk := w.GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
		case "external-secrets.io/ExternalSecret":
			var e externalSecret
			convert(w, &e)
			if e.Spec.Target.Template != nil {
				add("spec.target.template.data", e.Spec.Target.Template.Data)
			}
		case "postgresql.cnpg.io/Cluster":
			var c cnpgCluster
			convert(w, &c)
			for i, e := range c.Spec.ExternalClusters {
				add(fmt.Sprintf("spec.externalClusters[%d].connectionParameters", i), e.ConnectionParameters)
			}
		}
	}
	return all
}

func mentions(s *subject) []Finding {
	var findings []Finding
	look := func(u *Unit, o Object, field, text string) {
		if what, whose := s.names.mentioned(text, owner{s.Name, u.Name}); what != "" && u.Name != render.PlatformUnit {
			findings = append(findings, s.finding("names/mention", u.Name, o, field, fmt.Sprintf("it names %s, which is %s's", what, whose), "name what is the tenant's own"))
		}
	}
	for i := range s.Units {
		for _, o := range s.Units[i].Objects {
			for _, w := range textsOf(o) {
				look(&s.Units[i], o, w.field, w.text)
			}
		}
	}
	for _, t := range s.pods {
		for path, c := range t.containers() {
			for i, e := range c.Env {
				look(t.unit, t.object, t.below(path, fmt.Sprintf("env[%d].value", i)), e.Value)
			}
			for i, word := range c.Command {
				look(t.unit, t.object, t.below(path, fmt.Sprintf("command[%d]", i)), word)
			}
			for i, word := range c.Args {
				look(t.unit, t.object, t.below(path, fmt.Sprintf("args[%d]", i)), word)
			}
		}
	}
	return findings
}

// mentioned is the first name in a text that is another owner's, and whose; empty when there is none.
func (n *names) mentioned(text string, me owner) (what string, whose owner) {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool {
		return r != '.' && r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		word = strings.ToLower(strings.Trim(word, "."))
		first, rest, dotted := strings.Cut(word, ".")
		if !dotted {
			continue
		}
		namespace := internal(word)
		if n.services[owner{me.fleet, rest}][first] {
			namespace = rest
		}
		if namespace != "" {
			if _, unit := n.services[owner{me.fleet, namespace}]; unit && namespace != me.unit && namespace != render.PlatformUnit {
				return word, owner{me.fleet, namespace}
			}
			continue
		}
		for _, h := range n.hosts[word] {
			if h.owner != me && h.unit != render.PlatformUnit && !slices.ContainsFunc(n.hosts[word], func(h holding) bool { return h.owner == me }) {
				return word, h.owner
			}
		}
		for _, s := range n.servers[word] {
			if owners := n.whose[s.Address]; !slices.Contains(owners, me) && holds(text, s.Address) {
				return s.Address, owners[0]
			}
		}
	}
	return "", owner{}
}

// holds says that a text has an address in it, and not only the beginning of another.
func holds(text, address string) bool {
	for {
		i := strings.Index(text, address)
		if i < 0 {
			return false
		}
		text = text[i+len(address):]
		if text == "" || !strings.ContainsRune("-_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", rune(text[0])) {
			return true
		}
	}
}
