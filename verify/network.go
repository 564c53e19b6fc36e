package verify

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tenantry/tenantry/render"
)

// A network is the cluster of a fleet: the pods that come of its objects, and those of other namespaces that
// flows and policies name, of which nothing else is known and to which no policy is taken to apply.
//
// Tenants that nothing tells apart are one class, of which two are kept: one to look at, and one for it to
// reach. Two tenants are alike when swapping their names everywhere changes nothing but their order.
type network struct {
	cluster
	fleet *Fleet
	flows map[[2]string][]*flow // by the namespaces of their ends; empty for addresses

	servers addresses
	inside  addresses // of nodes, pods, Services and whatever else is not public
}

// A flow is a Flow, compiled.
type flow struct {
	*Flow
	from, to labels.Selector
	area     area // of the end that is addresses
	traffic  traffic
}

func newNetwork(f *Fleet) *network {
	n := &network{fleet: f, flows: map[[2]string][]*flow{}, servers: prefixes(f.Facts.APIServers...)}
	n.inside = private.union(prefixes(f.Facts.Cluster...))
	n.pods = prefixes(f.Facts.Cluster...)
	if len(n.pods) == 0 {
		n.pods = shared
	}
	n.pods = n.pods.minus(n.servers)

	raw := n.namespaces()
	mentioned(f, raw).project(n.spaces)
	n.collapse(raw)
	for _, s := range n.spaces {
		for _, p := range raw[s] {
			s.policies = append(s.policies, newPolicy(s, p.object, p.NetworkPolicy))
		}
	}
	kept := map[string]bool{}
	for _, s := range n.spaces {
		kept[s.name] = true
	}
	unitNames := map[string]bool{}
	for _, u := range f.Units {
		unitNames[u.Name] = true
	}
	for i := range f.Facts.Flows {
		fl := &f.Facts.Flows[i]
		if unitNames[fl.From.Namespace] && !kept[fl.From.Namespace] || unitNames[fl.To.Namespace] && !kept[fl.To.Namespace] {
			continue // of a tenant that another stands for
		}
		compiled := &flow{Flow: fl, from: selector(&fl.From.Pods), to: selector(&fl.To.Pods), traffic: fl.traffic()}
		compiled.area = area{n.declarable(fl.From.addresses().union(fl.To.addresses())), compiled.traffic}
		if len(f.Facts.Cluster) == 0 {
			n.pods = n.pods.minus(compiled.area.addresses)
		}
		key := [2]string{fl.From.Namespace, fl.To.Namespace}
		n.flows[key] = append(n.flows[key], compiled)
	}
	n.strangers(raw)
	n.connect()
	return n
}

// declarable is the addresses that a flow may declare. None declares the metadata service, or what is the
// cluster's own, and one to the API servers is to nothing else: a range that only holds them does not mean
// them.
func (n *network) declarable(s addresses) addresses {
	if len(s.minus(n.servers)) == 0 {
		return s
	}
	return s.minus(n.servers).minus(metadata).minus(prefixes(n.fleet.Facts.Cluster...))
}

// A rawPolicy is one that is not compiled yet.
type rawPolicy struct {
	object Object
	*networkingv1.NetworkPolicy
}

// namespaces makes those that units render, with their pods, and returns their policies.
func (n *network) namespaces() map[*space][]rawPolicy {
	raw := map[*space][]rawPolicy{}
	named := map[string]labels.Set{}
	for _, u := range n.fleet.Units {
		for _, o := range u.Objects {
			if ns, ok := o.Object.(*corev1.Namespace); ok {
				named[ns.Name] = ns.Labels
			}
		}
	}
	acme := issuers(n.fleet)
	for i := range n.fleet.Units {
		u := &n.fleet.Units[i]
		s := newSpace(u.Name, named[u.Name])
		s.unit, s.tenant = u, u.Name != render.PlatformUnit
		delete(named, u.Name)
		if s.tenant {
			s.whoever = &pod{space: s, name: "any pod", any: true, object: u.home()}
		}
		for _, o := range u.Objects {
			if p, ok := o.Object.(*networkingv1.NetworkPolicy); ok {
				raw[s] = append(raw[s], rawPolicy{o, p})
			}
			for _, p := range podsOf(o, acme(u.Name)) {
				p.space = s
				s.pods = append(s.pods, p)
			}
		}
		tellApart(s.pods)
		n.spaces = append(n.spaces, s)
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		n.spaces = append(n.spaces, newSpace(name, named[name]))
	}
	return raw
}

// home is the unit's namespace, or its first object where it renders none.
func (u *Unit) home() Object {
	for _, o := range u.Objects {
		if _, ok := o.Object.(*corev1.Namespace); ok && o.GetName() == u.Name {
			return o
		}
	}
	return u.Objects[0]
}

func newSpace(name string, own map[string]string) *space {
	set := labels.Set{}
	maps.Copy(set, own)
	set[corev1.LabelMetadataName] = name
	return &space{name: name, labels: set}
}

// others names the tenants that are alike.
func (s *space) others() []string {
	var names []string
	for _, o := range s.alike {
		names = append(names, o.name)
	}
	return names
}

// counterpart is the pod of another tenant that is alike.
func (p *pod) counterpart(s *space) *pod {
	if p.any {
		return s.whoever
	}
	relative := func(p *pod) string {
		own := maps.Clone(p.labels)
		for key, value := range own {
			if value == p.space.name {
				own[key] = "\x00"
			}
		}
		return (&pod{labels: own, ports: p.ports, host: p.host}).identity()
	}
	for _, q := range s.pods {
		if relative(p) == relative(q) {
			return q
		}
	}
	return nil
}

// A mention is what selectors look at: no other label and no other port tells two pods apart.
type mention struct {
	spaces, pods, ports map[string]bool
}

func mentioned(f *Fleet, raw map[*space][]rawPolicy) mention {
	m := mention{map[string]bool{}, map[string]bool{}, map[string]bool{}}
	add := func(keys map[string]bool, s *metav1.LabelSelector) {
		if s == nil {
			return
		}
		for key := range s.MatchLabels {
			keys[key] = true
		}
		for _, e := range s.MatchExpressions {
			keys[e.Key] = true
		}
	}
	for _, flow := range f.Facts.Flows {
		add(m.pods, &flow.From.Pods)
		add(m.pods, &flow.To.Pods)
	}
	for _, list := range raw {
		for _, p := range list {
			add(m.pods, &p.Spec.PodSelector)
			for _, peer := range peersOf(p.NetworkPolicy) {
				add(m.pods, peer.PodSelector)
				add(m.spaces, peer.NamespaceSelector)
			}
			for _, listen := range portsOf(p.NetworkPolicy) {
				if listen.Port != nil {
					m.ports[listen.Port.StrVal] = true
				}
			}
		}
	}
	return m
}

func peersOf(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicyPeer {
	var list []networkingv1.NetworkPolicyPeer
	for _, r := range p.Spec.Ingress {
		list = append(list, r.From...)
	}
	for _, r := range p.Spec.Egress {
		list = append(list, r.To...)
	}
	return list
}

func portsOf(p *networkingv1.NetworkPolicy) []networkingv1.NetworkPolicyPort {
	var list []networkingv1.NetworkPolicyPort
	for _, r := range p.Spec.Ingress {
		list = append(list, r.Ports...)
	}
	for _, r := range p.Spec.Egress {
		list = append(list, r.Ports...)
	}
	return list
}

// project forgets what no selector looks at, and makes one pod of those that are the same then.
func (m mention) project(spaces []*space) {
	for _, s := range spaces {
		maps.DeleteFunc(s.labels, func(key, _ string) bool {
			return !m.spaces[key] && key != corev1.LabelMetadataName && key != render.TenantLabel
		})
		same := map[string]*pod{}
		names := map[*pod][]string{}
		var kept []*pod
		for _, p := range s.pods {
			maps.DeleteFunc(p.labels, func(key, _ string) bool { return !m.pods[key] })
			p.ports = slices.DeleteFunc(p.ports, func(n namedPort) bool { return !m.ports[n.name] })
			identity := p.identity()
			first, seen := same[identity]
			if !seen {
				same[identity], first = p, p
				kept = append(kept, p)
			} else {
				first.alone = false
			}
			if !slices.Contains(names[first], p.name) {
				names[first] = append(names[first], p.name)
			}
		}
		for _, p := range kept {
			slices.Sort(names[p])
			p.name = strings.Join(names[p], ", ")
		}
		s.pods = kept
	}
}

// identity is all that selectors see of a pod.
func (p *pod) identity() string { return fmt.Sprint(p.labels, p.ports, p.host) }

// collapse keeps two of the tenants that are alike.
func (n *network) collapse(raw map[*space][]rawPolicy) {
	flows := map[string][]Flow{}
	tenant := map[string]bool{}
	for _, s := range n.spaces {
		tenant[s.name] = s.tenant
	}
	for _, f := range n.fleet.Facts.Flows {
		from, to := f.From.Namespace, f.To.Namespace
		if from != "" && (tenant[from] || !tenant[to]) {
			flows[from] = append(flows[from], f)
		}
		if to != "" && to != from && (tenant[to] || !tenant[from]) {
			flows[to] = append(flows[to], f)
		}
	}
	texts := make([][]byte, len(n.spaces))
	each(len(n.spaces), func(i int) {
		texts[i] = n.spaces[i].text(raw[n.spaces[i]], flows[n.spaces[i].name])
	})
	const many = -1
	owner := map[string]int{} // of each text between quotes
	for i, text := range texts {
		for j, word := range bytes.Split(text, []byte{'"'}) {
			if j%2 == 0 {
				continue
			}
			if first, seen := owner[string(word)]; !seen {
				owner[string(word)] = i
			} else if first != i {
				owner[string(word)] = many
			}
		}
	}
	first, twinned := map[string]*space{}, map[*space]bool{}
	var kept []*space
	for i, s := range n.spaces {
		if !s.tenant || owner[s.name] == many {
			kept = append(kept, s)
			continue
		}
		key := strings.ReplaceAll(string(texts[i]), `"`+s.name+`"`, `"\x00"`)
		one, seen := first[key]
		switch {
		case !seen:
			first[key] = s
			kept = append(kept, s)
			continue
		case !twinned[one]:
			twinned[one], s.twin = true, one
			kept = append(kept, s)
		}
		one.alike = append(one.alike, s)
	}
	n.spaces = kept
}

// text is all of a namespace that anything is decided by, and what its pods are called.
func (s *space) text(policies []rawPolicy, flows []Flow) []byte {
	type named struct {
		Name string
		Spec networkingv1.NetworkPolicySpec
	}
	var content struct {
		Labels   labels.Set
		Pods     []string
		Sets     []labels.Set
		Policies []named
		Flows    []Flow
	}
	content.Labels, content.Flows = s.labels, flows
	ordered := slices.Clone(s.pods)
	slices.SortFunc(ordered, func(a, b *pod) int { return strings.Compare(a.identity(), b.identity()) })
	for _, p := range ordered {
		content.Sets = append(content.Sets, p.labels)
		content.Pods = append(content.Pods, p.name, fmt.Sprint(p.ports, p.host, p.alone))
	}
	for _, p := range policies {
		content.Policies = append(content.Policies, named{p.Name, p.Spec})
	}
	text, err := json.Marshal(content)
	if err != nil {
		panic(err) // labels, selectors and addresses always encode
	}
	return text
}

// strangers adds the namespaces that no unit renders: those that flows and policies name, and one that
// nothing names. Each has a pod for every selector that is aimed at it, with no label more than it asks for,
// and one without labels.
func (n *network) strangers(raw map[*space][]rawPolicy) {
	byName := map[string]*space{}
	for _, s := range n.spaces {
		byName[s.name] = s
	}
	for _, u := range n.fleet.Units {
		if byName[u.Name] == nil {
			byName[u.Name] = &space{unit: &Unit{}} // one that another stands for
		}
	}
	add := func(s *space, selector *metav1.LabelSelector) {
		labels := witness(selector)
		if s.unit != nil || slices.ContainsFunc(s.pods, func(p *pod) bool { return maps.Equal(p.labels, labels) }) {
			return
		}
		s.pods = append(s.pods, &pod{space: s, name: strangerName(labels), labels: labels})
	}
	guessed := map[*space]bool{}
	at := func(name string, own labels.Set) *space {
		s := byName[name]
		if s == nil {
			s = newSpace(name, own)
			byName[name], guessed[s] = s, true
			n.spaces = append(n.spaces, s)
			add(s, &metav1.LabelSelector{})
		}
		if guessed[s] {
			maps.Copy(s.labels, own)
		}
		return s
	}
	for _, s := range slices.Clone(n.spaces) {
		add(s, &metav1.LabelSelector{})
	}
	at("another-namespace", nil)
	for _, key := range slices.SortedFunc(maps.Keys(n.flows), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		for _, f := range n.flows[key] {
			for _, end := range []End{f.From, f.To} {
				if end.Namespace != "" {
					add(at(end.Namespace, nil), &end.Pods)
				}
			}
		}
	}
	others := 0
	for _, s := range slices.Clone(n.spaces) {
		for _, p := range raw[s] {
			for _, peer := range peersOf(p.NetworkPolicy) {
				if peer.NamespaceSelector == nil {
					continue
				}
				own := witness(peer.NamespaceSelector)
				if _, tenant := own[render.TenantLabel]; tenant {
					continue // a tenant is what carries the label
				}
				name, named := own[corev1.LabelMetadataName]
				if !named {
					name = "another-namespace"
					if found := slices.IndexFunc(n.spaces, func(s *space) bool {
						return s.unit == nil && strings.HasPrefix(s.name, name) && selector(peer.NamespaceSelector).Matches(s.labels)
					}); found >= 0 {
						name = n.spaces[found].name
					} else {
						others++
						name = fmt.Sprintf("another-namespace-%d", others)
					}
				}
				pods := peer.PodSelector
				if pods == nil {
					pods = &metav1.LabelSelector{}
				}
				add(at(name, own), pods)
			}
		}
	}
}

// witness is the fewest labels that a selector picks.
func witness(s *metav1.LabelSelector) labels.Set {
	set := labels.Set{}
	maps.Copy(set, s.MatchLabels)
	for _, e := range s.MatchExpressions {
		_, has := set[e.Key]
		switch {
		case has:
		case e.Operator == metav1.LabelSelectorOpIn:
			set[e.Key] = e.Values[0]
		case e.Operator == metav1.LabelSelectorOpExists:
			set[e.Key] = "any"
		}
	}
	return set
}

// strangerName is what to call pods of which only some labels are known.
func strangerName(set labels.Set) string {
	switch {
	case len(set) == 0:
		return "any pod"
	case set["gateway.envoyproxy.io/owning-gateway-name"] != "":
		return "proxy of the gateway " + set["gateway.envoyproxy.io/owning-gateway-name"]
	}
	return cmp.Or(set["app.kubernetes.io/name"], set["k8s-app"], set.String())
}

// meant is the traffic between two pods that flows declare.
func (n *network) meant(from, to *pod) traffic {
	var all traffic
	for _, f := range n.flows[[2]string{from.space.name, to.space.name}] {
		if f.from.Matches(from.labels) && f.to.Matches(to.labels) {
			all = all.union(f.traffic)
		}
	}
	return all
}

// meantOutside is the traffic of a pod with addresses that flows declare.
func (n *network) meantOutside(p *pod, d direction) []area {
	key := [2]string{p.space.name, ""}
	if d == ingress {
		key = [2]string{"", p.space.name}
	}
	var areas []area
	for _, f := range n.flows[key] {
		end := f.from
		if d == ingress {
			end = f.to
		}
		if end.Matches(p.labels) {
			areas = append(areas, f.area)
		}
	}
	return areas
}
