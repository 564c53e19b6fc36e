package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// networkRules hold the policies of a fleet against what they are for.
var networkRules = []Rule{
	{
		ID:       "network/api-server",
		Protects: "Only pods that are meant to call the Kubernetes API reach the API servers.",
		check:    toAddresses("network/api-server"),
	},
	{
		ID:       "network/closed",
		Protects: "What is meant to reach each other does: no declared path is shut.",
		check:    closedPaths,
	},
	{
		ID:       "network/cross-tenant",
		Protects: "No pod of a tenant reaches a pod of another tenant, whatever labels either is given.",
		check:    acrossTenants,
	},
	{
		ID:       "network/dead-policy",
		Protects: "Every policy, and every peer in one, picks pods that there are: one that picks none protects nothing, or opens nothing that somebody waits for.",
		check:    deadPolicies,
	},
	{
		ID:       "network/default-deny",
		Protects: "A pod that nobody thought of is shut off, in both directions.",
		check:    defaultDeny,
	},
	{
		ID:       "network/host-network",
		Protects: "Every pod is bound by network policies, which those in the network of their node are not.",
		check:    hostNetwork,
	},
	{
		ID:       "network/inbound",
		Protects: "No address outside the cluster reaches a pod directly: clients come through the edge.",
		check:    fromAddresses,
	},
	{
		ID:       "network/inside",
		Protects: "Pods reach private addresses, where nodes, Services and other people's networks are, only as declared.",
		check:    toAddresses("network/inside"),
	},
	{
		ID:       "network/internet",
		Protects: "Pods reach public addresses only as declared.",
		check:    toAddresses("network/internet"),
	},
	{
		ID:       "network/metadata",
		Protects: "No pod reaches the metadata service of its node, which hands out the node's identity.",
		check:    toAddresses("network/metadata"),
	},
	{
		ID:       "network/platform",
		Protects: "Tenants, the platform and all other namespaces reach each other only on declared paths.",
		check:    acrossNamespaces,
	},
}

// open gathers what one rule of a policy opens too wide, so that it is one finding.
type open struct {
	at      place
	message func(*pod) string // of the pod that sends, or that is reached
	pod     *pod
	more    int
}

// A place is the rule of a policy that allows a path, or the pod that no policy binds.
type place struct {
	pod       *pod
	direction direction
	rule      *rule
}

// openings is what a rule has found, in order.
type openings struct {
	network *network
	rule    string
	remedy  string
	byPlace map[place]*open
	list    []*open
}

// blame adds a path to what one rule of a policy allows. Without a rule it is the pod that no policy binds.
func (o *openings) blame(p *pod, d direction, r *rule, message func(*pod) string) {
	at := place{pod: p, direction: d}
	if r != nil {
		at = place{rule: r}
	}
	if found := o.byPlace[at]; found != nil {
		found.more++
		return
	}
	if o.byPlace == nil {
		o.byPlace = map[place]*open{}
	}
	found := &open{at: at, message: message, pod: p}
	o.byPlace[at] = found
	o.list = append(o.list, found)
}

func (o *openings) findings() []Finding {
	var out []Finding
	for _, found := range o.list {
		more := ""
		if found.more > 0 {
			more = fmt.Sprintf(" (and %d more paths)", found.more)
		}
		if r := found.at.rule; r != nil {
			out = append(out, o.network.finding(o.rule, found.pod.space, r.policy.object, r.field, found.message(found.pod)+more, o.remedy))
			continue
		}
		// Policies of tenants that are alike have the same names. Their workloads need not.
		pods := []*pod{found.pod}
		for _, s := range found.pod.space.alike {
			if p := found.pod.counterpart(s); p != nil {
				pods = append(pods, p)
			}
		}
		for _, p := range pods {
			text := found.message(p) + more + "; no policy binds the pod's " + found.at.direction.String()
			out = append(out, o.network.fleet.finding(o.rule, p.space.name, p.object, "", text, o.remedy))
		}
	}
	return out
}

// finding is one about a policy, and the same of the tenants that are alike.
func (n *network) finding(rule string, s *space, o Object, field, message, remedy string) Finding {
	f := n.fleet.finding(rule, s.name, o, field, message, remedy)
	f.Alike = s.others()
	return f
}

// each calls visit for every path between namespaces, of which a unit renders at least one. Of tenants that
// are alike it visits one's paths. Pods in the network of their node are left out: they have no bounds to
// cross, which is a finding of its own.
func (n *network) each(visit func(from, to *pod, t traffic)) {
	for _, s := range n.spaces {
		if s.twin != nil {
			continue
		}
		for _, from := range s.pods {
			if from.host {
				continue
			}
			n.reached(from, func(to *pod, t traffic) {
				switch {
				case to.host, to.space == s, s.unit == nil && to.space.unit == nil:
				case to.space.twin != nil && to.space.twin != s: // the one it is alike is visited too
				default:
					visit(from, to, t)
				}
			})
		}
	}
}

// blamePath blames a path on what the sender's policies allow, or the receiver's where the sender is nobody's.
func (o *openings) blamePath(from, to *pod, t traffic) {
	out, in := o.network.because(from, to, t)
	if from.space.unit == nil {
		o.blameEach(to, ingress, in, func(p *pod) string {
			return fmt.Sprintf("%s reaches %s: %s", from.inWords(), p.inWords(), t)
		})
		return
	}
	o.blameEach(from, egress, out, func(p *pod) string {
		receiver := to.inWords()
		if p.space == to.space { // it is said of the one that is alike
			receiver = to.name + " of the tenant " + from.space.name
		}
		text := fmt.Sprintf("%s reaches %s: %s", p.inWords(), receiver, t)
		if len(in) > 0 {
			text += fmt.Sprintf("; %s of %s in %s lets it in", in[0].field, in[0].policy.object.ID(), to.space.name)
		}
		return text
	})
}

func (o *openings) blameEach(p *pod, d direction, rules []*rule, message func(*pod) string) {
	if !p.sides[d].isolated {
		rules = []*rule{nil}
	}
	for _, r := range rules {
		o.blame(p, d, r, message)
	}
}

func (p *pod) inWords() string {
	if p.space.tenant {
		return p.name + " of the tenant " + p.space.name
	}
	return p.name + " in " + p.space.name
}

func acrossTenants(s *subject) []Finding {
	o := openings{network: s.network, rule: "network/cross-tenant", remedy: "let the rule pick pods of its own namespace, or of the platform"}
	s.network.each(func(from, to *pod, t traffic) {
		if from.space.tenant && to.space.tenant {
			o.blamePath(from, to, t)
		}
	})
	for _, s := range s.network.spaces {
		if !s.tenant || s.twin != nil {
			continue
		}
		for _, other := range o.network.toward(s.whoever) {
			if !other.tenant || other == s || other.twin != nil && other.twin != s {
				continue
			}
			if t := o.network.between(s.whoever, other.whoever); !t.none() {
				o.blamePath(s.whoever, other.whoever, t)
			}
		}
	}
	return o.findings()
}

func acrossNamespaces(s *subject) []Finding {
	o := openings{network: s.network, rule: "network/platform", remedy: "narrow the rule to the pods and ports that it is for, or declare the path in the fleet's values"}
	s.network.each(func(from, to *pod, t traffic) {
		if from.space.tenant && to.space.tenant {
			return
		}
		if rest := t.minus(s.network.meant(from, to)); !rest.none() {
			o.blamePath(from, to, rest)
		}
	})
	return o.findings()
}

// toAddresses finds the paths to addresses that the rule is about and that no flow declares.
func toAddresses(id string) func(*subject) []Finding {
	return func(s *subject) []Finding {
		n := s.network
		about := n.kinds()[id]
		o := openings{network: n, rule: id, remedy: "narrow the rule's addresses and ports to what it is for, or declare the path in the fleet's values"}
		n.beyond(egress, func(p *pod, r *rule, rest []area) {
			for _, a := range rest {
				if part := a.addresses.intersect(about); len(part) > 0 {
					o.blame(p, egress, r, func(p *pod) string {
						return fmt.Sprintf("%s reaches %s: %s", p.inWords(), rangesOf(part), a.traffic)
					})
				}
			}
		})
		return o.findings()
	}
}

func fromAddresses(s *subject) []Finding {
	o := openings{network: s.network, rule: "network/inbound", remedy: "name the pods that may come in by their labels and their namespace"}
	s.network.beyond(ingress, func(p *pod, r *rule, rest []area) {
		o.blame(p, ingress, r, func(p *pod) string {
			return fmt.Sprintf("%s is reached from %s: %s", p.inWords(), rangesOf(rest[0].addresses), rest[0].traffic)
		})
	})
	return o.findings()
}

// kinds divides all addresses among the rules that are about them.
func (n *network) kinds() map[string]addresses {
	hidden := metadata.minus(n.servers)
	inside := n.inside.minus(hidden).minus(n.servers)
	return map[string]addresses{
		"network/api-server": n.servers,
		"network/metadata":   hidden,
		"network/inside":     inside,
		"network/internet":   everyAddress.minus(n.servers).minus(hidden).minus(inside),
	}
}

// beyond calls visit for every rule that lets a unit's pod exchange traffic with addresses, where that is
// more than flows declare, with what is more.
func (n *network) beyond(d direction, visit func(p *pod, r *rule, rest []area)) {
	for _, s := range n.spaces {
		if s.twin != nil || s.unit == nil {
			continue
		}
		for _, p := range s.pods {
			if p.host {
				continue
			}
			areas := p.outside(d)
			meant := n.meantOutside(p, d)
			for _, r := range sortedRules(areas) {
				if rest := without([]area{areas[r]}, meant); len(rest) > 0 {
					visit(p, r, rest)
				}
			}
		}
	}
}

// sortedRules is the rules that allow areas, by file and field.
func sortedRules(areas map[*rule]area) []*rule {
	return slices.SortedFunc(maps.Keys(areas), func(a, b *rule) int {
		if a == nil || b == nil {
			return 0 // it is the only one
		}
		return cmp.Or(cmp.Compare(a.policy.object.File, b.policy.object.File), cmp.Compare(a.policy.object.ID(), b.policy.object.ID()), cmp.Compare(a.field, b.field))
	})
}

// closedPaths finds the traffic that flows declare and policies do not let through.
func closedPaths(s *subject) []Finding {
	n := s.network
	byName := map[string]*space{}
	for _, space := range n.spaces {
		byName[space.name] = space
	}
	picked := func(namespace string, by labels.Selector) []*pod {
		var pods []*pod
		if space := byName[namespace]; space != nil && space.twin == nil {
			for _, p := range space.pods {
				if by.Matches(p.labels) && !p.host {
					pods = append(pods, p)
				}
			}
		}
		return pods
	}
	var findings []Finding
	tell := func(f *flow, p *pod, message string) {
		findings = append(findings, n.finding("network/closed", p.space, p.object, "", message+", which is declared for "+f.Name,
			"let a policy of each end allow it, or take it out of the fleet's values"))
	}
	outside := func(f *flow, d direction, p *pod) {
		if rest := without([]area{f.area}, slices.Collect(maps.Values(p.outside(d)))); len(rest) > 0 {
			verb := [...]string{ingress: "is not reached from", egress: "does not reach"}[d]
			tell(f, p, fmt.Sprintf("%s %s %s: %s", p.inWords(), verb, rangesOf(rest[0].addresses), rest[0].traffic))
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(n.flows), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		for _, f := range n.flows[key] {
			senders, receivers := picked(key[0], f.from), picked(key[1], f.to)
			for _, from := range senders {
				if key[1] == "" {
					outside(f, egress, from)
				}
				for _, to := range receivers {
					rest := f.traffic.minus(n.between(from, to))
					if rest.none() || from == to && from.alone {
						continue
					}
					end := from
					if from.space.unit == nil {
						end = to
					}
					tell(f, end, fmt.Sprintf("%s does not reach %s: %s", from.inWords(), to.inWords(), rest))
				}
			}
			if key[0] == "" {
				for _, to := range receivers {
					outside(f, ingress, to)
				}
			}
		}
	}
	return findings
}

func defaultDeny(s *subject) []Finding {
	var findings []Finding
	for _, space := range s.network.spaces {
		if space.twin != nil || space.unit == nil || slices.ContainsFunc(space.policies, func(p *policy) bool {
			return p.pods.Empty() && p.binds == [2]bool{true, true} && len(p.rules[ingress])+len(p.rules[egress]) == 0
		}) {
			continue
		}
		findings = append(findings, Finding{
			Rule: "network/default-deny", Fleet: s.Name, Unit: space.name, Object: "NetworkPolicy/default-deny", Alike: space.others(),
			Message: "no policy of the namespace picks every pod, binds ingress and egress, and allows nothing",
			Remedy:  "add a NetworkPolicy with an empty podSelector, both policyTypes and no rules",
		})
	}
	return findings
}

func hostNetwork(s *subject) []Finding {
	var findings []Finding
	for _, u := range s.Units {
		for _, o := range u.Objects {
			field := "spec.template.spec.hostNetwork"
			var spec *corev1.PodSpec
			switch w := o.Object.(type) {
			case *corev1.Pod:
				spec, field = &w.Spec, "spec.hostNetwork"
			case *appsv1.Deployment:
				spec = &w.Spec.Template.Spec
			case *appsv1.StatefulSet:
				spec = &w.Spec.Template.Spec
			case *appsv1.DaemonSet:
				spec = &w.Spec.Template.Spec
			case *appsv1.ReplicaSet:
				spec = &w.Spec.Template.Spec
			case *corev1.ReplicationController:
				if w.Spec.Template != nil {
					spec = &w.Spec.Template.Spec
				}
			case *batchv1.Job:
				spec = &w.Spec.Template.Spec
			case *batchv1.CronJob:
				spec, field = &w.Spec.JobTemplate.Spec.Template.Spec, "spec.jobTemplate.spec.template.spec.hostNetwork"
			}
			if spec != nil && spec.HostNetwork {
				findings = append(findings, s.finding("network/host-network", u.Name, o, field,
					"pods of "+o.ID()+" are in the network of their node, where no policy binds them", "take hostNetwork out"))
			}
		}
	}
	return findings
}

func deadPolicies(s *subject) []Finding {
	n := s.network
	var findings []Finding
	none := func(spaces []*space, picks func(*pod) bool) bool {
		return !slices.ContainsFunc(spaces, func(s *space) bool { return slices.ContainsFunc(s.pods, picks) })
	}
	remedy := "correct the selector, or take it out"
	for _, home := range n.spaces {
		if home.twin != nil {
			continue
		}
		for _, p := range home.policies {
			if !p.pods.Empty() && none([]*space{home}, func(q *pod) bool { return !q.host && p.pods.Matches(q.labels) }) {
				findings = append(findings, n.finding("network/dead-policy", home, p.object, "spec.podSelector", "the policy picks no pod of "+home.name, remedy))
			}
			for d, rules := range p.rules {
				for _, r := range rules {
					for i, peer := range r.peers {
						if peer.pods == nil {
							continue
						}
						spaces := []*space{home}
						if peer.spaces != nil {
							spaces = n.selected(peer.spaces)
						}
						if none(spaces, func(q *pod) bool { return !q.host && peer.pods.Matches(q.labels) }) {
							list := [...]string{ingress: "from", egress: "to"}[d]
							findings = append(findings, n.finding("network/dead-policy", home, p.object, fmt.Sprintf("%s.%s[%d]", r.field, list, i),
								"the peer picks no pod", remedy))
						}
					}
				}
			}
		}
	}
	return findings
}
