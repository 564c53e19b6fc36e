package verify

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

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
	hosts    map[string][]holding // without wildcards
	wild     map[string][]holding // by what follows "*."
	secrets  map[string][]holding
	declared map[string][]owner // of buckets
	stores   map[string]bool    // endpoints
	servers  map[string][]Server
	whose    map[string][]owner // of servers' addresses
	services map[owner]map[string]bool
}

func newNames(fleets []Fleet) *names {
	n := &names{
		hosts: map[string][]holding{}, wild: map[string][]holding{}, secrets: map[string][]holding{}, declared: map[string][]owner{},
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
