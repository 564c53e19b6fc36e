package verify

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// This file evaluates network policies as their API reference and the concept page of the Kubernetes
// documentation define them. Where the two leave a choice to the network plugin, the wider reading counts,
// because the question is always what may be reached:
//
//   - A pod in its node's network is not selected by anything, and policies do not bind it. Traffic between a
//     pod and its own node is always allowed, and it may run on any node: it reaches, and is reached by, all.
//   - A pod has an address, so that an ipBlock may let it in, wherever pods may have addresses.
//   - A pod always reaches itself.

// A direction is that of a policy's rules.
type direction int

const (
	ingress direction = iota
	egress
)

func (d direction) String() string { return [...]string{ingress: "ingress", egress: "egress"}[d] }

// A cluster is namespaces with their pods and policies.
type cluster struct {
	spaces []*space
	// pods is where pods have their addresses.
	pods addresses

	byLabel  map[[2]string][]*space
	matching map[string][]*space // by namespace selector
	hosts    []*pod
}

// A space is a namespace.
type space struct {
	name     string
	labels   labels.Set
	pods     []*pod
	policies []*policy

	unit   *Unit // nil where no unit renders it
	tenant bool
	// whoever is, for a tenant, a pod that nobody has rendered: whoever deploys the tenant may give it any
	// labels.
	whoever *pod
	// alike are the tenants that this one stands for, too: those that nothing tells apart from it.
	alike []*space
	// twin is, for the second tenant of those that are alike, the first. It is there to be reached by it.
	twin *space
}

// A pod is pods that nothing tells apart: of equal labels, as far as any selector looks, and equal ports.
type pod struct {
	space  *space
	name   string // for people
	labels labels.Set
	ports  []namedPort
	host   bool // in the network of its node
	alone  bool // there is exactly one
	any    bool // with whatever labels and ports a selector may ask for
	object Object

	sides [2]side
}

// A side is what policies make of one direction of a pod.
type side struct {
	isolated bool
	rules    []*rule // that allow something all the same
}

type namedPort struct {
	name     string
	protocol protocol
	port     port
}

type policy struct {
	space  *space
	object Object
	pods   labels.Selector
	binds  [2]bool
	rules  [2][]*rule
}

// A rule is one item of a policy's ingress or egress.
type rule struct {
	policy *policy
	field  string // such as "spec.egress[0]"
	anyone bool
	peers  []peer
	fixed  traffic     // by number
	named  []namedPort // by name; their port is not set
}

// A peer is pods by their labels, or addresses.
type peer struct {
	spaces    labels.Selector // nil: the policy's own namespace
	pods      labels.Selector // nil for addresses
	addresses addresses
	inside    bool // pods may have some of the addresses
}

// connect computes what is asked later, when all namespaces and their pods and policies are there.
func (c *cluster) connect() {
	c.byLabel, c.matching, c.hosts = map[[2]string][]*space{}, map[string][]*space{}, nil
	for _, s := range c.spaces {
		for key, value := range s.labels {
			c.byLabel[[2]string{key, value}] = append(c.byLabel[[2]string{key, value}], s)
		}
		for _, p := range s.pods {
			if p.host {
				c.hosts = append(c.hosts, p)
			}
			p.bind()
		}
		if s.whoever != nil {
			s.whoever.bind()
		}
		for _, policy := range s.policies {
			for _, rules := range policy.rules {
				for _, r := range rules {
					for i, p := range r.peers {
						r.peers[i].inside = len(p.addresses.intersect(c.pods)) > 0
					}
				}
			}
		}
	}
}

// bind computes what the policies of the namespace make of a pod. One with any labels is bound by what binds
// every pod, and gets what is allowed to some.
func (p *pod) bind() {
	p.sides = [2]side{}
	if p.host {
		return
	}
	for _, policy := range p.space.policies {
		if !p.any && !policy.pods.Matches(p.labels) {
			continue
		}
		for d, binds := range policy.binds {
			if binds {
				side := &p.sides[d]
				side.isolated = side.isolated || !p.any || policy.pods.Empty()
				side.rules = append(side.rules, policy.rules[d]...)
			}
		}
	}
}

// between is what of a pod's traffic reaches another pod: what both the one's egress and the other's ingress
// allow. Of a pod and itself it asks about two pods that are alike, unless there is only one.
func (c *cluster) between(from, to *pod) traffic {
	if from.host || to.host || from == to && from.alone {
		return everything
	}
	out := c.allowed(from.sides[egress], to, to)
	switch {
	case out.none() || !to.sides[ingress].isolated:
		return out
	case !from.sides[egress].isolated:
		return c.allowed(to.sides[ingress], from, to)
	}
	return out.intersect(c.allowed(to.sides[ingress], from, to))
}

// allowed is the traffic to a pod that a side allows with another pod.
func (c *cluster) allowed(s side, with, to *pod) traffic {
	if !s.isolated {
		return everything
	}
	var all traffic
	for _, r := range s.rules {
		if r.admits(with) {
			all = all.union(r.to(to))
		}
	}
	return all
}

// admits says that the rule is about a pod.
func (r *rule) admits(p *pod) bool {
	return r.anyone || slices.ContainsFunc(r.peers, func(peer peer) bool {
		switch {
		case peer.pods == nil:
			return peer.inside
		case peer.spaces == nil:
			return p.space == r.policy.space && (p.any || peer.pods.Matches(p.labels))
		default:
			return peer.spaces.Matches(p.space.labels) && (p.any || peer.pods.Matches(p.labels))
		}
	})
}

// to is the rule's traffic to a pod: a named port is the one that the pod calls so.
func (r *rule) to(p *pod) traffic {
	t := r.fixed
	for _, n := range r.named {
		if p.any {
			t[n.protocol] = everyPort
		}
		for _, own := range p.ports {
			if own.name == n.name && own.protocol == n.protocol {
				t[n.protocol] = t[n.protocol].union(ports{{own.port, own.port}})
			}
		}
	}
	return t
}

// because lists the rules that allow some of the traffic between two pods: those of the one's egress, then
// those of the other's ingress. None on a side means that no policy binds it.
func (c *cluster) because(from, to *pod, t traffic) (out, in []*rule) {
	if from.host || to.host {
		return nil, nil
	}
	relevant := func(s side, with *pod) []*rule {
		var list []*rule
		for _, r := range s.rules {
			if r.admits(with) && !r.to(to).intersect(t).none() {
				list = append(list, r)
			}
		}
		return list
	}
	return relevant(from.sides[egress], to), relevant(to.sides[ingress], from)
}

// outside is a pod's traffic with addresses, and the rule that allows each area; nil where none is needed.
// It takes what addresses there are for granted: pods have some of them.
func (p *pod) outside(d direction) map[*rule]area {
	if p.host || !p.sides[d].isolated {
		return map[*rule]area{nil: {everyAddress, everything}}
	}
	areas := map[*rule]area{}
	for _, r := range p.sides[d].rules {
		a := area{traffic: r.fixed}
		if d == ingress {
			a.traffic = r.to(p)
		}
		if r.anyone {
			a.addresses = everyAddress
		}
		for _, peer := range r.peers {
			a.addresses = a.addresses.union(peer.addresses)
		}
		if len(a.addresses) > 0 && !a.traffic.none() {
			areas[r] = a
		}
	}
	return areas
}

// reached calls visit for each other pod that some traffic of a pod reaches.
func (c *cluster) reached(from *pod, visit func(to *pod, t traffic)) {
	try := func(to *pod) {
		if from == to && from.alone {
			return
		}
		if t := c.between(from, to); !t.none() {
			visit(to, t)
		}
	}
	spaces := c.toward(from)
	for _, s := range spaces {
		for _, p := range s.pods {
			try(p)
		}
	}
	for _, p := range c.hosts {
		if !slices.Contains(spaces, p.space) {
			try(p)
		}
	}
}

// toward is the namespaces that a pod's own rules point to, so that the pods of a cluster without mistakes are
// visited in time that grows with their number. Pods in the network of their node may be anywhere else.
func (c *cluster) toward(from *pod) []*space {
	if from.host || !from.sides[egress].isolated {
		return c.spaces
	}
	var list []*space
	seen := map[*space]bool{}
	for _, r := range from.sides[egress].rules {
		if r.anyone || slices.ContainsFunc(r.peers, func(p peer) bool { return p.inside }) {
			return c.spaces
		}
		for _, peer := range r.peers {
			var spaces []*space
			switch {
			case peer.pods == nil:
			case peer.spaces == nil:
				spaces = []*space{r.policy.space}
			default:
				spaces = c.selected(peer.spaces)
			}
			for _, s := range spaces {
				if !seen[s] {
					seen[s] = true
					list = append(list, s)
				}
			}
		}
	}
	return list
}

// selected is the namespaces that a selector picks.
func (c *cluster) selected(s labels.Selector) []*space {
	text := s.String()
	found, ok := c.matching[text]
	if ok {
		return found
	}
	candidates := c.spaces
	requirements, _ := s.Requirements()
	for _, r := range requirements {
		if values := r.ValuesUnsorted(); len(values) == 1 && slices.Contains([]selection.Operator{selection.Equals, selection.DoubleEquals, selection.In}, r.Operator()) {
			candidates = c.byLabel[[2]string{r.Key(), values[0]}]
			break
		}
	}
	for _, space := range candidates {
		if s.Matches(space.labels) {
			found = append(found, space)
		}
	}
	c.matching[text] = found
	return found
}

// newPolicy compiles a policy that has been checked.
func newPolicy(s *space, o Object, p *networkingv1.NetworkPolicy) *policy {
	out := &policy{space: s, object: o, pods: selector(&p.Spec.PodSelector)}
	// Without policyTypes a policy is about ingress, and about egress if it has any such rule.
	out.binds = [2]bool{ingress: len(p.Spec.PolicyTypes) == 0, egress: len(p.Spec.PolicyTypes) == 0 && len(p.Spec.Egress) > 0}
	for _, t := range p.Spec.PolicyTypes {
		out.binds[map[networkingv1.PolicyType]direction{networkingv1.PolicyTypeIngress: ingress, networkingv1.PolicyTypeEgress: egress}[t]] = true
	}
	add := func(d direction, i int, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) {
		r := &rule{policy: out, field: "spec." + d.String() + "[" + strconv.Itoa(i) + "]", anyone: len(peers) == 0}
		for _, p := range peers {
			r.peers = append(r.peers, newPeer(p))
		}
		r.listen(ports)
		out.rules[d] = append(out.rules[d], r)
	}
	for i, r := range p.Spec.Ingress {
		add(ingress, i, r.From, r.Ports)
	}
	for i, r := range p.Spec.Egress {
		add(egress, i, r.To, r.Ports)
	}
	return out
}

func newPeer(p networkingv1.NetworkPolicyPeer) peer {
	if p.IPBlock != nil {
		except := make([]netip.Prefix, len(p.IPBlock.Except))
		for i, s := range p.IPBlock.Except {
			except[i] = netip.MustParsePrefix(s)
		}
		return peer{addresses: prefixes(netip.MustParsePrefix(p.IPBlock.CIDR)).minus(prefixes(except...))}
	}
	out := peer{pods: labels.Everything()}
	if p.PodSelector != nil {
		out.pods = selector(p.PodSelector)
	}
	if p.NamespaceSelector != nil {
		out.spaces = selector(p.NamespaceSelector)
	}
	return out
}

// listen sets the rule's traffic. No ports at all are all of them.
func (r *rule) listen(list []networkingv1.NetworkPolicyPort) {
	if len(list) == 0 {
		r.fixed = everything
	}
	for _, p := range list {
		proto := tcp
		if p.Protocol != nil {
			proto = protocolOf(*p.Protocol)
		}
		switch {
		case p.Port == nil:
			r.fixed[proto] = everyPort
		case p.Port.Type == intstr.String:
			r.named = append(r.named, namedPort{name: p.Port.StrVal, protocol: proto})
		default:
			last := p.Port.IntVal
			if p.EndPort != nil {
				last = *p.EndPort
			}
			r.fixed[proto] = r.fixed[proto].union(ports{{port(p.Port.IntVal), port(last)}})
		}
	}
}

// protocolOf is a protocol that has been checked; empty is TCP.
func protocolOf(p corev1.Protocol) protocol {
	switch p {
	case corev1.ProtocolUDP:
		return udp
	case corev1.ProtocolSCTP:
		return sctp
	}
	return tcp
}

// selector compiles a selector that has been checked.
func selector(s *metav1.LabelSelector) labels.Selector {
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		panic(fmt.Sprintf("selector %v was not checked: %v", s, err))
	}
	return out
}
