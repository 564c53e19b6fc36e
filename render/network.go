package render

import (
	"cmp"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// inside are address ranges that belong to no public host: what "the outside" leaves out.
var (
	inside4 = []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
		"192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
	}
	inside6 = []string{"::/127", "64:ff9b::/96", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"}
)

// outside is every public address on the ports.
func outside(ports ...int32) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{
		To: []networkingv1.NetworkPolicyPeer{
			{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: inside4}},
			{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: inside6}},
		},
		Ports: tcp(ports...),
	}
}

// addresses are just these ranges on the ports; without ranges it is the outside.
func addresses(cidrs []string, ports ...int32) networkingv1.NetworkPolicyEgressRule {
	if len(cidrs) == 0 {
		return outside(ports...)
	}
	rule := networkingv1.NetworkPolicyEgressRule{Ports: tcp(ports...)}
	for _, cidr := range cidrs {
		rule.To = append(rule.To, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr}})
	}
	return rule
}

func tcp(ports ...int32) []networkingv1.NetworkPolicyPort {
	list := make([]networkingv1.NetworkPolicyPort, len(ports))
	for i, p := range ports {
		list[i] = networkingv1.NetworkPolicyPort{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(p))}
	}
	return list
}

// near picks pods of the policy's own namespace.
func near(labels map[string]string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{PodSelector: &metav1.LabelSelector{MatchLabels: labels}}
}

// peer picks pods of another namespace, by the label that every namespace has of itself.
func (p Peer) peer() networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: p.Namespace}},
		PodSelector:       &metav1.LabelSelector{MatchLabels: p.Labels},
	}
}

func from(ports []int32, peers ...networkingv1.NetworkPolicyPeer) networkingv1.NetworkPolicyIngressRule {
	return networkingv1.NetworkPolicyIngressRule{From: peers, Ports: tcp(ports...)}
}

func to(ports []int32, peers ...networkingv1.NetworkPolicyPeer) networkingv1.NetworkPolicyEgressRule {
	return networkingv1.NetworkPolicyEgressRule{To: peers, Ports: tcp(ports...)}
}

// apiServers is the way to the Kubernetes API. Its port is that of the servers themselves, since policies
// see addresses after the kubernetes Service has been resolved.
func (f *Fleet) apiServers() networkingv1.NetworkPolicyEgressRule {
	return addresses(f.Cluster.APIServers, cmp.Or(f.Cluster.APIServerPort, 6443))
}

// policy is a NetworkPolicy for the pods that labels pick. Both directions are always decided.
func policy(m metav1.ObjectMeta, pods metav1.LabelSelector, ingress []networkingv1.NetworkPolicyIngressRule, egress []networkingv1.NetworkPolicyEgressRule) Object {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: m,
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: pods,
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     ingress,
			Egress:      egress,
		},
	}
}

// closed is what every namespace starts with: nothing comes in, nothing goes out, names are resolved.
func (m meta) closed() []Object {
	dns := networkingv1.NetworkPolicyEgressRule{
		To: []networkingv1.NetworkPolicyPeer{Peer{"kube-system", map[string]string{"k8s-app": "kube-dns"}}.peer()},
		Ports: []networkingv1.NetworkPolicyPort{
			{Protocol: new(corev1.ProtocolUDP), Port: new(intstr.FromInt32(53))},
			{Protocol: new(corev1.ProtocolTCP), Port: new(intstr.FromInt32(53))},
		},
	}
	return []Object{
		policy(m.named("default-deny", "isolation", "isolation"), metav1.LabelSelector{}, nil, nil),
		policy(m.named("dns", "isolation", "isolation"), metav1.LabelSelector{}, nil, []networkingv1.NetworkPolicyEgressRule{dns}),
	}
}
