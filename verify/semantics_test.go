package verify

import (
	"net/netip"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Each case is checked by hand against the page "Network Policies" of the Kubernetes documentation and the
// reference of NetworkPolicy in networking.k8s.io/v1.
//
// They all happen in one cluster: namespaces x, v and z, labelled ns=x and so on, each with pods a, b and c,
// labelled pod=a and so on. a calls TCP 80 http and UDP 53 dns, b calls TCP 8080 http, c calls SCTP 9000 admin.
// Beside them z has h in its node's network. Pods have addresses in 10.0.0.0/16 and fd00::/64; any other
// address is outside. A policy is written as namespace and spec, a case as two ends and exactly what passes.
var semantics = []struct {
	says     string
	policies string
	cases    string
}{
	{
		says: "By default, if no policies exist in a namespace, then all ingress and egress traffic is allowed to and from pods in that namespace.",
		cases: `
x/a -> x/b: every port
x/a -> v/b: every port
v/c -> x/a: every port
x/a -> 203.0.113.9: every port
x/a -> 2001:db8::9: every port
203.0.113.9 -> x/a: every port
169.254.169.254 -> x/a: every port
x/a -> 169.254.169.254: every port`,
	},
	{
		says: "A default deny of ingress: pods that no other policy selects are isolated too. It does not change egress.",
		policies: `
x {podSelector: {}, policyTypes: [Ingress]}`,
		cases: `
x/b -> x/a: nothing
v/b -> x/a: nothing
203.0.113.9 -> x/a: nothing
2001:db8::9 -> x/c: nothing
x/a -> v/b: every port
x/a -> 203.0.113.9: every port
v/a -> v/b: every port
v/a -> z/b: every port
z/b -> x/c: nothing`,
	},
	{
		says: "A default deny of egress does not change ingress.",
		policies: `
x {podSelector: {}, policyTypes: [Egress]}`,
		cases: `
x/a -> x/b: nothing
x/a -> v/b: nothing
x/a -> 203.0.113.9: nothing
x/a -> 2001:db8::9: nothing
v/b -> x/a: every port
203.0.113.9 -> x/a: every port
v/a -> 203.0.113.9: every port`,
	},
	{
		says: "A default deny of both.",
		policies: `
x {podSelector: {}, policyTypes: [Ingress, Egress]}`,
		cases: `
x/a -> x/b: nothing
x/a -> v/b: nothing
v/b -> x/a: nothing
x/a -> 203.0.113.9: nothing
203.0.113.9 -> x/a: nothing
v/b -> z/a: every port`,
	},
	{
		says: "A pod cannot block access to itself.",
		policies: `
x {podSelector: {}, policyTypes: [Ingress, Egress]}`,
		cases: `
x/a -> x/a: every port
x/b -> x/b: every port
x/a -> x/b: nothing`,
	},
	{
		says: "If you want to allow all traffic to all pods in a namespace, even if policies isolate some, create a policy that explicitly allows it.",
		policies: `
x {podSelector: {}, policyTypes: [Ingress]}
x {podSelector: {}, ingress: [{}], policyTypes: [Ingress]}`,
		cases: `
v/b -> x/a: every port
x/b -> x/a: every port
203.0.113.9 -> x/a: every port
2001:db8::9 -> x/a: every port
x/a -> 203.0.113.9: every port`,
	},
	{
		says: "The same for egress.",
		policies: `
x {podSelector: {}, policyTypes: [Egress]}
x {podSelector: {}, egress: [{}], policyTypes: [Egress]}`,
		cases: `
x/a -> v/b: every port
x/a -> 203.0.113.9: every port
x/a -> 2001:db8::9: every port
x/a -> 169.254.169.254: every port
203.0.113.9 -> x/a: every port`,
	},
	{
		says: "If no policyTypes are specified, Ingress will always be set.",
		policies: `
x {podSelector: {}}`,
		cases: `
v/b -> x/a: nothing
203.0.113.9 -> x/a: nothing
x/a -> v/b: every port
x/a -> 203.0.113.9: every port`,
	},
	{
		says: "If no policyTypes are specified, Egress will be set if the policy has any egress rules; Ingress all the same.",
		policies: `
x {podSelector: {}, egress: [{to: [{podSelector: {}}]}]}`,
		cases: `
v/b -> x/a: nothing
x/a -> x/b: nothing
x/a -> v/b: nothing
x/a -> 203.0.113.9: nothing
203.0.113.9 -> x/a: nothing`,
	},
	{
		says: "An empty list of egress rules is no egress rule.",
		policies: `
x {podSelector: {}, egress: []}`,
		cases: `
x/a -> v/b: every port
v/b -> x/a: nothing`,
	},
	{
		says: "If you want to write an egress-only policy, you must explicitly specify policyTypes [Egress].",
		policies: `
x {podSelector: {}, egress: [{to: [{podSelector: {}}]}], policyTypes: [Egress]}`,
		cases: `
v/b -> x/a: every port
x/a -> x/b: every port
x/a -> v/b: nothing
203.0.113.9 -> x/a: every port`,
	},
	{
		says: "Rules of a direction that policyTypes leaves out mean nothing: they neither isolate nor allow.",
		policies: `
x {podSelector: {}, ingress: [{from: [{podSelector: {}}]}], policyTypes: [Egress]}
v {podSelector: {}, egress: [{to: [{podSelector: {}}]}], policyTypes: [Ingress]}
z {podSelector: {}, policyTypes: [Ingress]}
z {podSelector: {}, ingress: [{}], policyTypes: [Egress]}`,
		cases: `
x/a -> x/b: nothing
203.0.113.9 -> x/b: every port
v/a -> x/b: every port
v/a -> v/b: nothing
v/a -> 203.0.113.9: every port
x/a -> z/b: nothing
v/a -> z/b: nothing`,
	},
	{
		says: "podSelector selects the pods to which the policy applies; others in the namespace stay as they are.",
		policies: `
x {podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress]}`,
		cases: `
v/b -> x/a: nothing
x/b -> x/a: nothing
v/b -> x/b: every port
v/b -> x/c: every port
x/a -> x/b: every port
v/b -> v/a: every port`,
	},
	{
		says: "matchExpressions: In and NotIn.",
		policies: `
x {podSelector: {matchExpressions: [{key: pod, operator: In, values: [a, b]}]}, policyTypes: [Ingress]}
v {podSelector: {matchExpressions: [{key: pod, operator: NotIn, values: [a]}]}, policyTypes: [Ingress]}
z {podSelector: {matchExpressions: [{key: none, operator: NotIn, values: [a]}]}, policyTypes: [Ingress]}`,
		cases: `
x/c -> x/a: nothing
x/c -> x/b: nothing
x/a -> x/c: every port
x/c -> v/a: every port
x/c -> v/b: nothing
x/c -> v/c: nothing
x/c -> z/a: nothing`,
	},
	{
		says: "matchExpressions: Exists and DoesNotExist; all requirements of a selector must hold.",
		policies: `
x {podSelector: {matchExpressions: [{key: pod, operator: Exists}]}, policyTypes: [Ingress]}
v {podSelector: {matchExpressions: [{key: pod, operator: DoesNotExist}]}, policyTypes: [Ingress]}
z {podSelector: {matchLabels: {pod: a}, matchExpressions: [{key: pod, operator: In, values: [b, c]}]}, policyTypes: [Ingress]}`,
		cases: `
v/b -> x/a: nothing
v/b -> x/c: nothing
x/b -> v/a: every port
x/b -> z/a: every port
x/b -> z/b: every port`,
	},
	{
		says: "A peer's podSelector selects pods in the same namespace as the policy.",
		policies: `
x {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}], policyTypes: [Ingress]}`,
		cases: `
x/b -> x/a: every port
x/c -> x/a: nothing
v/b -> x/a: nothing
z/b -> x/a: nothing
203.0.113.9 -> x/a: nothing`,
	},
	{
		says: "A peer's podSelector, if present but empty, selects all pods, of the same namespace.",
		policies: `
x {podSelector: {}, ingress: [{from: [{podSelector: {}}]}], policyTypes: [Ingress]}`,
		cases: `
x/b -> x/a: every port
x/c -> x/b: every port
v/b -> x/a: nothing
203.0.113.9 -> x/a: nothing`,
	},
	{
		says: "A peer's namespaceSelector selects all pods of particular namespaces.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: v}}}]}], policyTypes: [Ingress]}`,
		cases: `
v/a -> x/a: every port
v/c -> x/b: every port
z/a -> x/a: nothing
x/b -> x/a: nothing
203.0.113.9 -> x/a: nothing`,
	},
	{
		says: "A peer's namespaceSelector, if present but empty, selects all namespaces, but no address outside.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}], policyTypes: [Ingress]}`,
		cases: `
v/a -> x/a: every port
z/a -> x/a: every port
x/b -> x/a: every port
203.0.113.9 -> x/a: nothing
2001:db8::9 -> x/a: nothing`,
	},
	{
		says: "A single entry with both selectors selects particular pods within particular namespaces.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: v}}, podSelector: {matchLabels: {pod: b}}}]}], policyTypes: [Ingress]}`,
		cases: `
v/b -> x/a: every port
v/a -> x/a: nothing
z/b -> x/a: nothing
x/b -> x/a: nothing`,
	},
	{
		says: "Two entries allow either: pods in the local namespace, or any pod in the other namespaces.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: v}}}, {podSelector: {matchLabels: {pod: b}}}]}], policyTypes: [Ingress]}`,
		cases: `
v/b -> x/a: every port
v/a -> x/a: every port
x/b -> x/a: every port
x/c -> x/a: nothing
z/b -> x/a: nothing`,
	},
	{
		says: "Both selectors, the one of pods empty: every pod of the namespaces.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: v}}, podSelector: {}}]}], policyTypes: [Ingress]}`,
		cases: `
v/a -> x/a: every port
v/b -> x/a: every port
z/a -> x/a: nothing
x/b -> x/a: nothing`,
	},
	{
		says: "Both selectors, the one of namespaces empty: these pods in every namespace, the policy's own too.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}]}], policyTypes: [Ingress]}`,
		cases: `
v/b -> x/a: every port
z/b -> x/a: every port
x/b -> x/a: every port
v/a -> x/a: nothing
x/c -> x/a: nothing`,
	},
	{
		says: "The control plane sets kubernetes.io/metadata.name on all namespaces; selectors of namespaces have expressions too.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: z}}}]}], policyTypes: [Ingress]}
v {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [x]}]}}]}], policyTypes: [Ingress]}
z {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [x, v]}]}}]}], policyTypes: [Ingress]}`,
		cases: `
z/a -> x/a: every port
v/a -> x/a: nothing
x/a -> v/a: nothing
z/a -> v/a: every port
v/b -> v/a: every port
x/a -> z/a: every port
v/a -> z/a: every port
z/b -> z/a: nothing`,
	},
	{
		says: "If from is empty or missing, the rule matches all sources.",
		policies: `
x {podSelector: {}, ingress: [{from: [], ports: [{port: 80}]}], policyTypes: [Ingress]}
v {podSelector: {}, ingress: [{ports: [{port: 80}]}], policyTypes: [Ingress]}`,
		cases: `
z/a -> x/a: TCP 80
x/b -> x/a: TCP 80
203.0.113.9 -> x/a: TCP 80
2001:db8::9 -> x/a: TCP 80
z/a -> v/a: TCP 80
203.0.113.9 -> v/a: TCP 80`,
	},
	{
		says: "If ports is empty or missing, the rule matches all ports.",
		policies: `
x {podSelector: {}, ingress: [{from: [{podSelector: {}}], ports: []}], policyTypes: [Ingress]}
v {podSelector: {}, ingress: [{from: [{podSelector: {}}]}], policyTypes: [Ingress]}`,
		cases: `
x/b -> x/a: every port
v/b -> v/a: every port
v/b -> x/a: nothing`,
	},
	{
		says: "An empty list of ingress rules allows nothing.",
		policies: `
x {podSelector: {}, ingress: [], policyTypes: [Ingress]}`,
		cases: `
x/b -> x/a: nothing
203.0.113.9 -> x/a: nothing`,
	},
	{
		says: "Each rule allows traffic which matches both the from and ports sections; rules are combined by OR.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: v}}}], ports: [{port: 80}]}, {from: [{namespaceSelector: {matchLabels: {ns: z}}}], ports: [{port: 443}]}, {from: [{namespaceSelector: {}, podSelector: {matchLabels: {pod: c}}}], ports: [{port: 81}]}], policyTypes: [Ingress]}`,
		cases: `
v/a -> x/a: TCP 80
z/a -> x/a: TCP 443
v/c -> x/a: TCP 80-81
z/c -> x/a: TCP 81, 443
x/c -> x/a: TCP 81
x/b -> x/a: nothing`,
	},
	{
		says: "The protocol defaults to TCP; the traffic must match protocol AND port.",
		policies: `
x {podSelector: {}, ingress: [{ports: [{port: 80}]}], policyTypes: [Ingress]}
v {podSelector: {}, ingress: [{ports: [{port: 80, protocol: UDP}]}], policyTypes: [Ingress]}
z {podSelector: {}, ingress: [{ports: [{port: 80, protocol: SCTP}]}], policyTypes: [Ingress]}`,
		cases: `
z/a -> x/a: TCP 80
z/a -> v/a: UDP 80
x/a -> z/a: SCTP 80`,
	},
	{
		says: "If port is not provided, this matches all port names and numbers, of the protocol.",
		policies: `
x {podSelector: {}, ingress: [{ports: [{protocol: UDP}]}], policyTypes: [Ingress]}
v {podSelector: {}, ingress: [{ports: [{}]}], policyTypes: [Ingress]}
z {podSelector: {}, ingress: [{ports: [{protocol: TCP}, {protocol: UDP}, {protocol: SCTP}]}], policyTypes: [Ingress]}`,
		cases: `
z/a -> x/a: UDP on every port
203.0.113.9 -> x/a: UDP on every port
z/a -> v/a: TCP on every port
x/a -> z/a: every port`,
	},
	{
		says: "endPort: the range of ports from port to endPort, inclusive.",
		policies: `
x {podSelector: {}, ingress: [{ports: [{port: 8000, endPort: 8080}]}], policyTypes: [Ingress]}
v {podSelector: {}, ingress: [{ports: [{port: 80, endPort: 80}, {port: 443, endPort: 500}, {port: 499, endPort: 501}]}], policyTypes: [Ingress]}
z {podSelector: {}, ingress: [{ports: [{port: 1, endPort: 65535}, {port: 32000, endPort: 32768, protocol: UDP}]}], policyTypes: [Ingress]}`,
		cases: `
z/a -> x/a: TCP 8000-8080
z/a -> v/a: TCP 80, 443-501
203.0.113.9 -> v/a: TCP 80, 443-501
x/a -> z/a: TCP on every port; UDP 32000-32768`,
	},
	{
		says: "A named port is the one that the pod which is connected to calls so.",
		policies: `
x {podSelector: {}, ingress: [{ports: [{port: http}]}], policyTypes: [Ingress]}`,
		cases: `
v/a -> x/a: TCP 80
v/a -> x/b: TCP 8080
v/a -> x/c: nothing
203.0.113.9 -> x/b: TCP 8080
203.0.113.9 -> x/c: nothing`,
	},
	{
		says: "A named port matches by its protocol, too, and does not become all ports where no pod has it.",
		policies: `
x {podSelector: {}, ingress: [{ports: [{port: dns}]}], policyTypes: [Ingress]}
v {podSelector: {}, ingress: [{ports: [{port: dns, protocol: UDP}]}], policyTypes: [Ingress]}
z {podSelector: {}, ingress: [{ports: [{port: admin, protocol: SCTP}, {port: none}]}], policyTypes: [Ingress]}`,
		cases: `
z/a -> x/a: nothing
z/a -> v/a: UDP 53
z/a -> v/b: nothing
x/a -> z/a: nothing
x/a -> z/c: SCTP 9000`,
	},
	{
		says: "A named port of an egress rule is the receiver's; an address outside has no names.",
		policies: `
x {podSelector: {}, egress: [{ports: [{port: http}]}], policyTypes: [Egress]}`,
		cases: `
x/c -> v/a: TCP 80
x/c -> v/b: TCP 8080
x/a -> v/c: nothing
x/a -> 203.0.113.9: nothing`,
	},
	{
		says: "For a connection to be allowed, both the egress policy on the source and the ingress policy on the destination need to allow it.",
		policies: `
x {podSelector: {}, egress: [{to: [{namespaceSelector: {matchLabels: {ns: v}}}], ports: [{port: 80}, {port: 443}]}], policyTypes: [Egress]}
v {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}}], ports: [{port: 443}, {port: 8080}]}], policyTypes: [Ingress]}`,
		cases: `
x/a -> v/a: TCP 443
z/a -> v/a: nothing
x/a -> z/a: nothing
x/a -> x/b: nothing
v/a -> x/a: every port
v/a -> 203.0.113.9: every port`,
	},
	{
		says: "The egress of the source alone denies, even if the destination allows everything.",
		policies: `
x {podSelector: {}, policyTypes: [Egress]}
v {podSelector: {}, ingress: [{}], policyTypes: [Ingress]}`,
		cases: `
x/a -> v/a: nothing
z/a -> v/a: every port`,
	},
	{
		says: "The ingress of the destination alone denies, even if the source allows everything.",
		policies: `
x {podSelector: {}, egress: [{}], policyTypes: [Egress]}
v {podSelector: {}, policyTypes: [Ingress]}`,
		cases: `
x/a -> v/a: nothing
x/a -> z/a: every port`,
	},
	{
		says: "Ports of both sides are intersected exactly, protocol by protocol.",
		policies: `
x {podSelector: {}, egress: [{ports: [{port: 1, endPort: 100}, {port: 53, protocol: UDP}]}], policyTypes: [Egress]}
v {podSelector: {}, ingress: [{ports: [{port: 80, endPort: 200}, {protocol: UDP}, {protocol: SCTP}]}], policyTypes: [Ingress]}`,
		cases: `
x/a -> v/a: TCP 80-100; UDP 53
z/a -> v/a: TCP 80-200; UDP on every port; SCTP on every port
x/a -> z/a: TCP 1-100; UDP 53`,
	},
	{
		says: "Network policies do not conflict; they are additive.",
		policies: `
x {podSelector: {matchLabels: {pod: a}}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: v}}}], ports: [{port: 80}]}], policyTypes: [Ingress]}
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: v}}}], ports: [{port: 443}]}], policyTypes: [Ingress]}
x {podSelector: {matchExpressions: [{key: pod, operator: In, values: [a, c]}]}, policyTypes: [Ingress]}`,
		cases: `
v/a -> x/a: TCP 80, 443
v/a -> x/b: TCP 443
v/a -> x/c: TCP 443
z/a -> x/a: nothing`,
	},
	{
		says: "An allow-all takes precedence over any other policy of the same direction.",
		policies: `
x {podSelector: {}, policyTypes: [Ingress, Egress]}
x {podSelector: {matchLabels: {pod: a}}, ingress: [{}], policyTypes: [Ingress]}
x {podSelector: {matchLabels: {pod: b}}, egress: [{}], policyTypes: [Egress]}`,
		cases: `
v/a -> x/a: every port
203.0.113.9 -> x/a: every port
x/b -> x/a: every port
x/a -> v/a: nothing
x/b -> v/a: every port
v/a -> x/b: nothing`,
	},
	{
		says: "A policy applies in its own namespace only.",
		policies: `
v {podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress]}`,
		cases: `
x/b -> x/a: every port
x/a -> 203.0.113.9: every port
x/b -> v/a: nothing
v/a -> x/b: nothing`,
	},
	{
		says: "ipBlock selects particular address ranges; except leaves some of them out.",
		policies: `
x {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}}], ports: [{port: 6379}]}], policyTypes: [Ingress]}`,
		cases: `
172.17.0.0 -> x/a: TCP 6379
172.17.0.255 -> x/a: TCP 6379
172.17.1.0 -> x/a: nothing
172.17.1.255 -> x/a: nothing
172.17.2.0 -> x/a: TCP 6379
172.17.255.255 -> x/a: TCP 6379
172.16.255.255 -> x/a: nothing
172.18.0.0 -> x/a: nothing
v/a -> x/a: nothing
2001:db8::9 -> x/a: nothing`,
	},
	{
		says: "An address that one block leaves out is let in by another block that has it.",
		policies: `
x {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 172.16.0.0/12, except: [172.17.0.0/16]}}, {ipBlock: {cidr: 172.17.9.0/24, except: [172.17.9.128/25]}}]}], policyTypes: [Egress]}
x {podSelector: {matchLabels: {pod: b}}, egress: [{to: [{ipBlock: {cidr: 172.17.9.200/32}}]}], policyTypes: [Egress]}`,
		cases: `
x/a -> 172.16.0.1: every port
x/a -> 172.17.8.1: nothing
x/a -> 172.17.9.1: every port
x/a -> 172.17.9.200: nothing
x/b -> 172.17.9.200: every port
x/b -> 172.17.9.201: nothing
x/a -> 172.31.255.255: every port
x/a -> 172.32.0.0: nothing`,
	},
	{
		says: "A block has the addresses of its own family only.",
		policies: `
x {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}]}], policyTypes: [Egress]}
v {podSelector: {}, egress: [{to: [{ipBlock: {cidr: "::/0", except: ["fd00::/8"]}}], ports: [{port: 443}]}], policyTypes: [Egress]}`,
		cases: `
x/a -> 203.0.113.9: every port
x/a -> 2001:db8::9: nothing
x/a -> 10.9.9.9: nothing
x/a -> 169.254.169.254: every port
v/a -> 203.0.113.9: nothing
v/a -> 2001:db8::9: TCP 443
v/a -> fd99::9: nothing`,
	},
	{
		says: "ipBlocks should be cluster-external IPs: one that leaves out where pods have addresses lets no pod in.",
		policies: `
x {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}, {ipBlock: {cidr: "::/0", except: ["fd00::/8"]}}]}], policyTypes: [Egress]}
v {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}], policyTypes: [Ingress]}`,
		cases: `
x/a -> z/a: nothing
x/a -> x/b: nothing
z/a -> v/a: nothing
203.0.113.9 -> v/a: every port
203.0.114.9 -> v/a: nothing`,
	},
	{
		says: "A block that holds addresses of pods may let in any pod, since pod IPs are ephemeral and unpredictable.",
		policies: `
x {podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 80}]}], policyTypes: [Egress]}
v {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.3.0/24}}]}], policyTypes: [Ingress]}
z {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.0.0/16]}}]}], policyTypes: [Ingress]}`,
		cases: `
x/a -> x/b: TCP 80
x/a -> v/b: TCP 80
z/a -> v/b: every port
x/a -> z/b: nothing
10.1.0.1 -> z/b: every port`,
	},
	{
		says: "A block and a selector in one rule allow either.",
		policies: `
x {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}, {namespaceSelector: {matchLabels: {ns: v}}}], ports: [{port: 443}]}], policyTypes: [Ingress]}`,
		cases: `
203.0.113.9 -> x/a: TCP 443
v/a -> x/a: TCP 443
z/a -> x/a: nothing
203.0.112.9 -> x/a: nothing`,
	},
	{
		says: "The example of the page: role=db is isolated, and reached and reaching as its three sources and one destination say.",
		policies: `
x {podSelector: {matchLabels: {pod: a}}, policyTypes: [Ingress, Egress], ingress: [{from: [{ipBlock: {cidr: 172.17.0.0/16, except: [172.17.1.0/24]}}, {namespaceSelector: {matchLabels: {ns: v}}}, {podSelector: {matchLabels: {pod: b}}}], ports: [{protocol: TCP, port: 6379}]}], egress: [{to: [{ipBlock: {cidr: 10.9.0.0/24}}], ports: [{protocol: TCP, port: 5978}]}]}`,
		cases: `
x/b -> x/a: TCP 6379
x/c -> x/a: nothing
v/a -> x/a: TCP 6379
z/b -> x/a: nothing
172.17.0.9 -> x/a: TCP 6379
172.17.1.9 -> x/a: nothing
x/a -> 10.9.0.7: TCP 5978
x/a -> 10.9.1.7: nothing
x/a -> x/b: nothing
x/a -> v/a: nothing
v/a -> x/b: every port`,
	},
	{
		says: "hostNetwork pods are ignored when matching podSelector: a policy does not bind one. Its node may be that of any other pod, from and to which traffic is always allowed.",
		policies: `
z {podSelector: {}, policyTypes: [Ingress, Egress]}
x {podSelector: {}, policyTypes: [Ingress, Egress]}`,
		cases: `
z/h -> 203.0.113.9: every port
203.0.113.9 -> z/h: every port
z/h -> x/a: every port
x/a -> z/h: every port
z/h -> z/a: every port
z/h -> z/h: every port
z/a -> x/a: nothing`,
	},
	{
		says: "hostNetwork pods are ignored as peers: nothing is open to others because of one.",
		policies: `
x {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: z}}, podSelector: {matchLabels: {pod: h}}}]}], policyTypes: [Ingress, Egress]}`,
		cases: `
z/a -> x/a: nothing
z/h -> x/a: every port
v/a -> x/a: nothing`,
	},
}

// TestSemantics holds the evaluator, and the literal reading of the specification beside it, against cases
// that were written by hand.
func TestSemantics(t *testing.T) {
	cases := 0
	for _, group := range semantics {
		w := semanticWorld(t, group.policies)
		cluster, pods := w.plain()
		cluster.pods = cidrs("10.0.0.0/16", "fd00::/64")
		cluster.connect()
		byName := map[string]int{}
		for i, p := range w.pods {
			byName[p.Namespace+"/"+p.Name] = i
		}
		for line := range strings.Lines(group.cases) {
			line = strings.TrimSpace(line)
			if line == "" {
				continue
			}
			cases++
			ends, want, ok := strings.Cut(line, ": ")
			from, to, both := strings.Cut(ends, " -> ")
			if !ok || !both {
				t.Fatalf("%q is no case", line)
			}
			outside := func(p int, addr string, d direction) traffic {
				var open traffic
				for _, a := range pods[p].outside(d) {
					if len(a.addresses.intersect(prefixes(netip.PrefixFrom(netip.MustParseAddr(addr), netip.MustParseAddr(addr).BitLen())))) > 0 {
						open = open.union(a.traffic)
					}
				}
				return open
			}
			var got traffic
			i, fromPod := byName[from]
			j, toPod := byName[to]
			switch {
			case fromPod && toPod:
				got = cluster.between(pods[i], pods[j])
				for _, proto := range oracleProtocols {
					for _, number := range append([]int32{53, 499, 500, 501, 5978, 6379, 8080, 8081, 9000}, oraclePorts...) {
						if literal := w.mayReach(w.pods[i], w.pods[j], proto, number); literal != got.has(proto, number) {
							t.Errorf("%s: %s %d: the literal reading says %v", line, proto, number, literal)
						}
					}
				}
			case fromPod:
				got = outside(i, to, egress)
			case toPod:
				got = outside(j, from, ingress)
			default:
				t.Fatalf("%q names no pod", line)
			}
			if got.String() != want {
				t.Errorf("%s\n%s\n%s\ngot %s", group.says, group.policies, line, got)
			}
		}
	}
	if cases < 200 {
		t.Errorf("only %d cases", cases)
	}
	t.Logf("%d cases", cases)
}

func semanticWorld(t *testing.T, policies string) *world {
	t.Helper()
	w := &world{namespaces: map[string]map[string]string{}, podAddrs: []netip.Addr{
		netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.3.1"), netip.MustParseAddr("fd00::1"),
	}}
	for _, ns := range []string{"x", "v", "z"} {
		w.namespaces[ns] = map[string]string{"ns": ns, corev1.LabelMetadataName: ns}
		for _, name := range []string{"a", "b", "c", "h"} {
			if name == "h" && ns != "z" {
				continue
			}
			p := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"pod": name}},
				Spec:       corev1.PodSpec{HostNetwork: name == "h"},
			}
			p.Spec.Containers = []corev1.Container{{Ports: map[string][]corev1.ContainerPort{
				"a": {{Name: "http", ContainerPort: 80, Protocol: corev1.ProtocolTCP}, {Name: "dns", ContainerPort: 53, Protocol: corev1.ProtocolUDP}},
				"b": {{Name: "http", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}},
				"c": {{Name: "admin", ContainerPort: 9000, Protocol: corev1.ProtocolSCTP}},
			}[name]}}
			w.pods = append(w.pods, p)
		}
	}
	for line := range strings.Lines(policies) {
		ns, spec, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		p := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: ns}}
		if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
			t.Fatalf("%s: %v", spec, err)
		}
		if errs := checkPolicy(p); len(errs) > 0 {
			t.Fatalf("%s: %v", spec, errs)
		}
		w.policies = append(w.policies, p)
	}
	return w
}
