package verify

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/tenantry/tenantry/render"
)

// This file reads the specification of network policies a second time, in the most literal way: one pod, one
// address, one protocol and one port after the other. It shares nothing with the evaluator.

// A world is a cluster as the specification speaks of it.
type world struct {
	namespaces map[string]map[string]string // their labels
	pods       []*corev1.Pod
	policies   []*networkingv1.NetworkPolicy
	podAddrs   []netip.Addr // that any pod may have
}

// selects is the specification of label selectors.
func selects(s *metav1.LabelSelector, labels map[string]string) bool {
	for key, want := range s.MatchLabels {
		if got, ok := labels[key]; !ok || got != want {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		got, ok := labels[e.Key]
		listed := slices.Contains(e.Values, got)
		switch e.Operator {
		case metav1.LabelSelectorOpIn:
			if !ok || !listed {
				return false
			}
		case metav1.LabelSelectorOpNotIn:
			if ok && listed {
				return false
			}
		case metav1.LabelSelectorOpExists:
			if !ok {
				return false
			}
		case metav1.LabelSelectorOpDoesNotExist:
			if ok {
				return false
			}
		}
	}
	return true
}

// applies says that a policy applies to a pod in a direction.
func (w *world) applies(p *networkingv1.NetworkPolicy, pod *corev1.Pod, direction networkingv1.PolicyType) bool {
	if p.Namespace != pod.Namespace || pod.Spec.HostNetwork || !selects(&p.Spec.PodSelector, pod.Labels) {
		return false
	}
	types := p.Spec.PolicyTypes
	if len(types) == 0 {
		types = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(p.Spec.Egress) > 0 {
			types = append(types, networkingv1.PolicyTypeEgress)
		}
	}
	return slices.Contains(types, direction)
}

// end is one end of a connection: an address, and the pod that has it, if one has.
type end struct {
	pod  *corev1.Pod
	addr netip.Addr
}

func (w *world) peerMatches(p *networkingv1.NetworkPolicy, peer networkingv1.NetworkPolicyPeer, e end) bool {
	if peer.IPBlock != nil {
		if !netip.MustParsePrefix(peer.IPBlock.CIDR).Contains(e.addr) {
			return false
		}
		for _, except := range peer.IPBlock.Except {
			if netip.MustParsePrefix(except).Contains(e.addr) {
				return false
			}
		}
		return true
	}
	if e.pod == nil || e.pod.Spec.HostNetwork {
		return false
	}
	if peer.NamespaceSelector == nil {
		if e.pod.Namespace != p.Namespace {
			return false
		}
	} else if !selects(peer.NamespaceSelector, w.namespaces[e.pod.Namespace]) {
		return false
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, e.pod.Labels)
}

// portMatches says that a port of a rule is the one that a connection goes to.
func portMatches(listed networkingv1.NetworkPolicyPort, to end, proto corev1.Protocol, port int32) bool {
	want := corev1.ProtocolTCP
	if listed.Protocol != nil {
		want = *listed.Protocol
	}
	if want != proto {
		return false
	}
	if listed.Port == nil {
		return true
	}
	if listed.Port.Type == intstr.Int {
		if listed.EndPort != nil {
			return listed.Port.IntVal <= port && port <= *listed.EndPort
		}
		return listed.Port.IntVal == port
	}
	if to.pod == nil {
		return false
	}
	for _, c := range to.pod.Spec.Containers {
		for _, own := range c.Ports {
			if own.Name == listed.Port.StrVal && own.ContainerPort == port && own.Protocol == proto {
				return true
			}
		}
	}
	return false
}

// oneWay says that the policies of pod let a connection pass: the one with other, to the port of to.
func (w *world) oneWay(pod *corev1.Pod, direction networkingv1.PolicyType, other, to end, proto corev1.Protocol, port int32) bool {
	isolated := false
	for _, p := range w.policies {
		if !w.applies(p, pod, direction) {
			continue
		}
		isolated = true
		allow := func(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort) bool {
			peerOK := len(peers) == 0
			for _, peer := range peers {
				peerOK = peerOK || w.peerMatches(p, peer, other)
			}
			portOK := len(ports) == 0
			for _, listed := range ports {
				portOK = portOK || portMatches(listed, to, proto, port)
			}
			return peerOK && portOK
		}
		if direction == networkingv1.PolicyTypeIngress {
			for _, r := range p.Spec.Ingress {
				if allow(r.From, r.Ports) {
					return true
				}
			}
		} else {
			for _, r := range p.Spec.Egress {
				if allow(r.To, r.Ports) {
					return true
				}
			}
		}
	}
	return !isolated
}

// mayReach says that a connection between two pods may pass, whatever addresses they get and whatever nodes
// they run on.
func (w *world) mayReach(from, to *corev1.Pod, proto corev1.Protocol, port int32) bool {
	if from == to || from.Spec.HostNetwork || to.Spec.HostNetwork {
		return true // itself, or from or to its own node
	}
	// Neither side looks at the own address of its pod, so that each may be asked alone.
	return slices.ContainsFunc(w.podAddrs, func(a netip.Addr) bool {
		return w.oneWay(from, networkingv1.PolicyTypeEgress, end{to, a}, end{to, a}, proto, port)
	}) && slices.ContainsFunc(w.podAddrs, func(a netip.Addr) bool {
		return w.oneWay(to, networkingv1.PolicyTypeIngress, end{from, a}, end{to, a}, proto, port)
	})
}

// oraclePorts are all that tell the random rules apart.
var oraclePorts = []int32{1, 79, 80, 81, 82, 443, 8000, 8002, 8003, 65535}

var oracleProtocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// oracleOutside are addresses that no pod has, on both sides of the edges of the random blocks.
var oracleOutside = []netip.Addr{
	netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("10.0.0.0"), netip.MustParseAddr("10.0.0.8"), netip.MustParseAddr("10.0.255.255"),
	netip.MustParseAddr("10.1.0.0"), netip.MustParseAddr("10.255.255.255"), netip.MustParseAddr("11.0.0.0"), netip.MustParseAddr("169.254.169.254"),
	netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("255.255.255.255"),
	netip.MustParseAddr("::"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("fd00::1"), netip.MustParseAddr("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
}

// A choice makes decisions: at random, or by the bytes of a fuzzer.
type choice interface{ IntN(n int) int }

type bytesChoice struct{ rest []byte }

func (b *bytesChoice) IntN(n int) int {
	if len(b.rest) == 0 {
		return 0
	}
	v := int(b.rest[0]) % n
	b.rest = b.rest[1:]
	return v
}

func pick[T any](c choice, list ...T) T { return list[c.IntN(len(list))] }

// newWorld makes a small cluster whose policies overlap, contradict and leave out whatever may be left out.
// The tenants of it may be alike.
func newWorld(c choice) *world {
	w := &world{namespaces: map[string]map[string]string{}}
	for i := range byte(4) {
		w.podAddrs = append(w.podAddrs, netip.AddrFrom4([4]byte{10, 0, 0, 1 + 2*i}))
	}
	names := []string{"s", "t", "u", "platform"}[c.IntN(3):]
	for _, name := range names {
		labels := map[string]string{corev1.LabelMetadataName: name}
		if name != render.PlatformUnit {
			labels[render.TenantLabel] = name
		}
		if c.IntN(4) == 0 {
			labels["team"] = pick(c, "red", "blue")
		}
		w.namespaces[name] = labels
	}
	// What one namespace has, others often have, too, or nearly.
	pods, policies := make([][]*corev1.Pod, 2), make([][]*networkingv1.NetworkPolicy, 2)
	for i := range 1 + c.IntN(3) {
		p := randomPod(c, "pod-"+strconv.Itoa(i))
		q := p.DeepCopy()
		switch c.IntN(4) {
		case 0:
			q.Labels[pick(c, "app", "tier", "team")] = pick(c, "red", "blue", "green")
		case 1:
			q.Spec.HostNetwork = !q.Spec.HostNetwork
		case 2:
			q.Spec.Containers = randomPod(c, "").Spec.Containers
		}
		pods[0], pods[1] = append(pods[0], p), append(pods[1], q)
	}
	for k := range policies {
		for i := range c.IntN(4) {
			policies[k] = append(policies[k], randomPolicy(c, "policy-"+strconv.Itoa(i), names))
		}
	}
	for _, name := range names {
		for _, p := range pods[c.IntN(2)] {
			p = p.DeepCopy()
			p.Namespace = name
			w.pods = append(w.pods, p)
		}
		for _, p := range policies[c.IntN(3)/2] {
			p = p.DeepCopy()
			p.Namespace = name
			w.policies = append(w.policies, p)
		}
	}
	return w
}

func randomPod(c choice, name string) *corev1.Pod {
	p := &corev1.Pod{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{}},
		Spec:       corev1.PodSpec{HostNetwork: c.IntN(12) == 0},
	}
	for _, key := range []string{"app", "tier", "team"} {
		if c.IntN(3) > 0 {
			p.Labels[key] = pick(c, "red", "blue", "green")
		}
	}
	for range c.IntN(3) {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "c", Ports: []corev1.ContainerPort{{
			Name: pick(c, "http", "dns"), ContainerPort: pick(c, oraclePorts...), Protocol: pick(c, oracleProtocols...),
		}}})
	}
	return p
}

func randomSelector(c choice, names []string) *metav1.LabelSelector {
	s := &metav1.LabelSelector{}
	for range c.IntN(3) {
		key := pick(c, "app", "tier", "team", "team", corev1.LabelMetadataName, render.TenantLabel)
		values := []string{"red", "blue", "green"}
		if key == corev1.LabelMetadataName || key == render.TenantLabel {
			values = names
		}
		if c.IntN(2) == 0 {
			if s.MatchLabels == nil {
				s.MatchLabels = map[string]string{}
			}
			s.MatchLabels[key] = pick(c, values...)
			continue
		}
		e := metav1.LabelSelectorRequirement{Key: key, Operator: pick(c, metav1.LabelSelectorOpIn, metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpExists, metav1.LabelSelectorOpDoesNotExist)}
		if e.Operator == metav1.LabelSelectorOpIn || e.Operator == metav1.LabelSelectorOpNotIn {
			e.Values = []string{pick(c, values...), pick(c, values...)}
		}
		s.MatchExpressions = append(s.MatchExpressions, e)
	}
	return s
}

func randomPolicy(c choice, name string, names []string) *networkingv1.NetworkPolicy {
	p := &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}
	if c.IntN(2) == 0 {
		p.Spec.PodSelector = *randomSelector(c, names)
	}
	in, out := networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	p.Spec.PolicyTypes = pick(c, nil, []networkingv1.PolicyType{in}, []networkingv1.PolicyType{out}, []networkingv1.PolicyType{in, out}, []networkingv1.PolicyType{out, in})
	for range c.IntN(3) {
		p.Spec.Ingress = append(p.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{From: randomPeers(c, names), Ports: randomPorts(c)})
	}
	for range c.IntN(3) {
		p.Spec.Egress = append(p.Spec.Egress, networkingv1.NetworkPolicyEgressRule{To: randomPeers(c, names), Ports: randomPorts(c)})
	}
	return p
}

func randomPeers(c choice, names []string) []networkingv1.NetworkPolicyPeer {
	var peers []networkingv1.NetworkPolicyPeer
	for range c.IntN(4) {
		var p networkingv1.NetworkPolicyPeer
		switch c.IntN(4) {
		case 0:
			p.IPBlock = pick(c,
				&networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{"10.0.0.0/8", "169.254.0.0/16"}},
				&networkingv1.IPBlock{CIDR: "0.0.0.0/0"},
				&networkingv1.IPBlock{CIDR: "::/0", Except: []string{"fd00::/8"}},
				&networkingv1.IPBlock{CIDR: "10.0.0.0/8", Except: []string{"10.0.0.0/16"}},
				&networkingv1.IPBlock{CIDR: "10.0.0.0/29", Except: []string{"10.0.0.0/30"}},
				&networkingv1.IPBlock{CIDR: "10.0.0.0/30"},
				&networkingv1.IPBlock{CIDR: "203.0.113.1/32"},
			).DeepCopy()
		case 1:
			p.PodSelector = randomSelector(c, names)
		case 2:
			p.NamespaceSelector = randomSelector(c, names)
		default:
			p.PodSelector, p.NamespaceSelector = randomSelector(c, names), randomSelector(c, names)
		}
		peers = append(peers, p)
	}
	return peers
}

func randomPorts(c choice) []networkingv1.NetworkPolicyPort {
	var list []networkingv1.NetworkPolicyPort
	for range c.IntN(3) {
		var p networkingv1.NetworkPolicyPort
		if c.IntN(3) > 0 {
			p.Protocol = new(pick(c, oracleProtocols...))
		}
		switch c.IntN(4) {
		case 0:
		case 1:
			p.Port = new(intstr.FromString(pick(c, "http", "dns", "none")))
		case 2:
			p.Port = new(intstr.FromInt32(pick(c, oraclePorts...)))
		default:
			p.Port, p.EndPort = new(intstr.FromInt32(pick[int32](c, 1, 80, 443))), new(pick[int32](c, 443, 8002, 65535))
		}
		list = append(list, p)
	}
	return list
}

// fleet is the world as units render it.
func (w *world) fleet() Fleet {
	f := Fleet{Name: "f", Facts: Facts{Cluster: []netip.Prefix{}}}
	for _, a := range w.podAddrs {
		f.Facts.Cluster = append(f.Facts.Cluster, netip.PrefixFrom(a, 32))
	}
	for _, name := range slices.Sorted(maps.Keys(w.namespaces)) {
		u := Unit{Name: name, Objects: []Object{{Object: &corev1.Namespace{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: w.namespaces[name]},
		}}}}
		for _, p := range w.pods {
			if p.Namespace == name {
				u.Objects = append(u.Objects, Object{Object: p})
			}
		}
		for _, p := range w.policies {
			if p.Namespace == name {
				u.Objects = append(u.Objects, Object{Object: p})
			}
		}
		f.Units = append(f.Units, u)
	}
	return f
}

// plain is the world without anything collapsed, and its pods in the world's order.
func (w *world) plain() (*cluster, []*pod) {
	c := &cluster{pods: prefixes()}
	for _, a := range w.podAddrs {
		c.pods = c.pods.union(prefixes(netip.PrefixFrom(a, 32)))
	}
	spaces := map[string]*space{}
	for name, labels := range w.namespaces {
		spaces[name] = newSpace(name, labels)
		c.spaces = append(c.spaces, spaces[name])
	}
	var pods []*pod
	for _, p := range w.pods {
		q := podsOf(Object{Object: p}, nil)[0]
		q.space = spaces[p.Namespace]
		q.space.pods = append(q.space.pods, q)
		pods = append(pods, q)
	}
	for _, p := range w.policies {
		s := spaces[p.Namespace]
		s.policies = append(s.policies, newPolicy(s, Object{Object: p}, p))
	}
	c.connect()
	return c, pods
}

func (t traffic) has(proto corev1.Protocol, number int32) bool {
	return len(t[protocolOf(proto)].intersect(ports{{port(number), port(number)}})) > 0
}

// differ fails the test where the evaluator says something else of a world than the specification.
func differ(t *testing.T, w *world) {
	t.Helper()
	plain, pods := w.plain()
	fleet := w.fleet()
	collapsed := newNetwork(&fleet)
	all := mentioned(&fleet, rawOf(&fleet))
	for i, from := range w.pods {
		var reached []*pod
		plain.reached(pods[i], func(to *pod, _ traffic) { reached = append(reached, to) })
		for j, to := range w.pods {
			exact := plain.between(pods[i], pods[j])
			if from != to && slices.Contains(reached, pods[j]) == exact.none() {
				t.Errorf("%s/%s reaches %s/%s by %s, which reached does not tell", from.Namespace, from.Name, to.Namespace, to.Name, exact)
			}
			a, b := collapsed.stand(pods[i], pods[j], all)
			if a == nil || b == nil {
				t.Fatalf("%s/%s or %s/%s is lost in the collapsed cluster", from.Namespace, from.Name, to.Namespace, to.Name)
			}
			same := collapsed.between(a, b)
			for _, proto := range oracleProtocols {
				for _, number := range oraclePorts {
					want := w.mayReach(from, to, proto, number)
					if got := exact.has(proto, number); got != want {
						t.Fatalf("%s/%s to %s/%s on %s %d: %v, the specification says %v", from.Namespace, from.Name, to.Namespace, to.Name, proto, number, got, want)
					}
					if from == to {
						continue // collapsed pods are more than one
					}
					if got := same.has(proto, number); got != want {
						t.Fatalf("%s/%s to %s/%s on %s %d: %v when collapsed, the specification says %v", from.Namespace, from.Name, to.Namespace, to.Name, proto, number, got, want)
					}
				}
			}
		}
		for _, d := range []direction{ingress, egress} {
			areas := slices.Collect(maps.Values(pods[i].outside(d)))
			for _, addr := range oracleOutside {
				one := prefixes(netip.PrefixFrom(addr, addr.BitLen()))
				var open traffic
				for _, a := range areas {
					if len(a.addresses.intersect(one)) > 0 {
						open = open.union(a.traffic)
					}
				}
				for _, proto := range oracleProtocols {
					for _, number := range oraclePorts {
						want := from.Spec.HostNetwork
						switch {
						case want:
						case d == ingress:
							want = w.oneWay(from, networkingv1.PolicyTypeIngress, end{nil, addr}, end{from, w.podAddrs[0]}, proto, number)
						default:
							want = w.oneWay(from, networkingv1.PolicyTypeEgress, end{nil, addr}, end{nil, addr}, proto, number)
						}
						if got := open.has(proto, number); got != want {
							t.Fatalf("%s of %s/%s with %s on %s %d: %v, the specification says %v", d, from.Namespace, from.Name, addr, proto, number, got, want)
						}
					}
				}
			}
		}
	}
}

// stand finds the pods of the collapsed cluster that stand for two pods of a plain one.
func (n *network) stand(from, to *pod, all mention) (*pod, *pod) {
	first := n.standSpace(from.space.name)
	second := n.standSpace(to.space.name)
	if first == second && from.space != to.space {
		for _, s := range n.spaces {
			if s.twin == first {
				second = s
			}
		}
	}
	return first.like(from, all), second.like(to, all)
}

func (n *network) standSpace(name string) *space {
	for _, s := range n.spaces {
		if s.twin == nil && (s.name == name || slices.Contains(s.others(), name)) {
			return s
		}
	}
	return nil
}

// like is the pod of the namespace with the labels that p has in its own, as far as they are looked at.
func (s *space) like(p *pod, all mention) *pod {
	labels := map[string]string{}
	for key, value := range p.labels {
		if all.pods[key] {
			if value == p.space.name {
				value = s.name
			}
			labels[key] = value
		}
	}
	own := slices.DeleteFunc(slices.Clone(p.ports), func(n namedPort) bool { return !all.ports[n.name] })
	for _, q := range s.pods {
		if maps.Equal(q.labels, labels) && slices.Equal(q.ports, own) && q.host == p.host {
			return q
		}
	}
	return nil
}

func rawOf(f *Fleet) map[*space][]rawPolicy {
	raw := map[*space][]rawPolicy{}
	for _, u := range f.Units {
		for _, o := range u.Objects {
			if p, ok := o.Object.(*networkingv1.NetworkPolicy); ok {
				raw[nil] = append(raw[nil], rawPolicy{o, p})
			}
		}
	}
	return raw
}

// TestOracle compares the evaluator with the literal reading of the specification on random clusters.
func TestOracle(t *testing.T) {
	t.Parallel()
	count := 2000
	if s := os.Getenv("ORACLE_CLUSTERS"); s != "" {
		count, _ = strconv.Atoi(s)
	}
	alike, pairs := 0, 0
	for seed := range count {
		w := newWorld(rand.New(rand.NewPCG(uint64(seed), 1)))
		differ(t, w)
		if t.Failed() {
			t.Fatalf("seed %d: %s", seed, w)
		}
		pairs += len(w.pods) * len(w.pods)
		f := w.fleet()
		for _, s := range newNetwork(&f).spaces {
			alike += len(s.alike)
		}
	}
	if alike < count/20 {
		t.Errorf("only %d tenants of %d clusters were alike: collapsing is hardly tested", alike, count)
	}
	t.Logf("%d clusters, %d pairs of pods, %d tenants that another stands for", count, pairs, alike)
}

func FuzzOracle(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("a cluster is made of these bytes, one decision after the other, until they are used up"))
	random := rand.New(rand.NewPCG(7, 7))
	for range 8 {
		seed := make([]byte, 400)
		for i := range seed {
			seed[i] = byte(random.IntN(256))
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		w := newWorld(&bytesChoice{data})
		differ(t, w)
		if t.Failed() {
			t.Log(w)
		}
	})
}

func (w *world) String() string {
	text := ""
	for _, p := range w.pods {
		text += fmt.Sprintf("\npod %s/%s %v host=%v %v", p.Namespace, p.Name, p.Labels, p.Spec.HostNetwork, p.Spec.Containers)
	}
	for _, p := range w.policies {
		out, _ := render.Encode(p)
		text += "\n---\n" + string(out)
	}
	return text
}
