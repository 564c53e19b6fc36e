package verify

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/tenantry/tenantry/render"
)

// A Reachability is who reaches whom in a fleet, by which protocols and ports, and which rules of which
// policies let it happen. Tenants that reach the same are told of once.
//
// A pod always reaches itself, its node always reaches it, and it may always reach its node: no policy changes
// that, and it is left out.
type Reachability struct {
	Fleet   string   `json:"fleet"`
	Senders []Sender `json:"senders"`
}

// A Sender is pods, of one namespace or of several tenants alike, or addresses, that reach the same.
type Sender struct {
	Tenants   []string  `json:"tenants,omitempty"`
	Namespace string    `json:"namespace,omitempty"` // where they are no tenant's
	Pods      []string  `json:"pods,omitempty"`
	Addresses string    `json:"addresses,omitempty"` // instead of pods
	Reaches   []Reached `json:"reaches"`
}

// A Reached is what a sender reaches.
type Reached struct {
	Where   string   `json:"where"`             // one of the namespaces below, or the name of another
	What    string   `json:"what"`              // pods, or a kind of addresses
	Tenants []string `json:"tenants,omitempty"` // whose pods; where they are neither the sender's own nor just any other's
	Traffic string   `json:"traffic"`           // such as "TCP 443, 8000-8999; UDP 53"
	Ranges  []string `json:"ranges,omitempty"`  // of addresses that are not just any public ones
	Because []string `json:"because"`           // the rules: of the sender's egress, then of the receiver's ingress

	traffic   traffic
	addresses addresses
}

// The places that have no name of their own.
const (
	OwnNamespace = "own namespace"
	OtherTenants = "other tenants"
	AllTenants   = "tenants"
	OutsideWorld = "addresses"
)

// The kinds of addresses, by the rule that is about them.
var addressKinds = []struct{ rule, name string }{
	{"network/api-server", "API servers"},
	{"network/metadata", "metadata"},
	{"network/inside", "private"},
	{"network/internet", "internet"},
}

// Reach is the reachability of a fleet, of which the facts are set.
func Reach(f *Fleet) Reachability { return newNetwork(f).reach() }

func (n *network) reach() Reachability {
	r := Reachability{Fleet: n.fleet.Name}
	for _, s := range n.spaces {
		if s.twin != nil {
			continue
		}
		var senders []Sender
		for _, p := range s.pods {
			reached := n.from(p)
			if s.unit == nil {
				reached = slices.DeleteFunc(reached, func(to Reached) bool { return to.Where != AllTenants && to.Where != render.PlatformUnit })
			}
			if len(reached) == 0 && s.unit == nil {
				continue
			}
			sender := Sender{Pods: strings.Split(p.name, ", "), Reaches: reached}
			if s.tenant {
				sender.Tenants = append([]string{s.name}, s.others()...)
			} else {
				sender.Namespace = s.name
			}
			senders = mergeSender(senders, sender, true)
		}
		for _, sender := range senders {
			r.Senders = mergeSender(r.Senders, sender, false)
		}
	}
	for _, kind := range addressKinds {
		if reached := n.fromKind(n.kinds()[kind.rule]); len(reached) > 0 {
			r.Senders = append(r.Senders, Sender{Addresses: kind.name, Reaches: reached})
		}
	}
	for i := range r.Senders {
		for j := range r.Senders[i].Reaches {
			r.Senders[i].Reaches[j].finish()
		}
	}
	order := func(s Sender) int {
		switch {
		case len(s.Tenants) > 0:
			return 0
		case s.Namespace == render.PlatformUnit:
			return 1
		case s.Namespace != "":
			return 2
		}
		return 3
	}
	slices.SortStableFunc(r.Senders, func(a, b Sender) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), slices.Compare(a.Tenants, b.Tenants), cmp.Compare(a.Namespace, b.Namespace), slices.Compare(a.Pods, b.Pods))
	})
	return r
}

// from is all that a pod reaches.
func (n *network) from(p *pod) []Reached {
	var list []Reached
	n.reached(p, func(to *pod, t traffic) {
		r := Reached{Where: to.space.name, What: to.name, traffic: t}
		switch {
		case to.space == p.space && p.space.tenant:
			r.Where = OwnNamespace
		case to.space.tenant && p.space.tenant:
			r.Where = OtherTenants
		case to.space.twin != nil, to.space.unit == nil && p.space.unit == nil:
			return
		case to.space.tenant:
			r.Where, r.Tenants = AllTenants, append([]string{to.space.name}, to.space.others()...)
		}
		out, in := n.because(p, to, t)
		for _, rule := range slices.Concat(out, in) {
			r.Because = append(r.Because, rule.policy.object.File+" "+rule.field)
		}
		list = mergeReached(list, r)
	})
	if p.space.unit == nil {
		return list
	}
	areas := p.outside(egress)
	for _, kind := range addressKinds {
		for _, rule := range sortedRules(areas) {
			part := areas[rule].addresses.intersect(n.kinds()[kind.rule])
			if len(part) == 0 {
				continue
			}
			r := Reached{Where: OutsideWorld, What: kind.name, traffic: areas[rule].traffic, addresses: part}
			if rule != nil {
				r.Because = []string{rule.policy.object.File + " " + rule.field}
			}
			list = mergeReached(list, r)
		}
	}
	return list
}

// fromKind is the pods of units that some addresses reach.
func (n *network) fromKind(from addresses) []Reached {
	var list []Reached
	for _, s := range n.spaces {
		if s.twin != nil || s.unit == nil {
			continue
		}
		for _, p := range s.pods {
			areas := p.outside(ingress)
			for _, rule := range sortedRules(areas) {
				if len(areas[rule].addresses.intersect(from)) == 0 {
					continue
				}
				r := Reached{Where: s.name, What: p.name, traffic: areas[rule].traffic}
				if s.tenant {
					r.Where, r.Tenants = AllTenants, append([]string{s.name}, s.others()...)
				}
				if rule != nil {
					r.Because = []string{rule.policy.object.File + " " + rule.field}
				}
				list = mergeReached(list, r)
			}
		}
	}
	return list
}

// mergeReached adds what is reached: to the same pods of the same tenants, or to the same pods of others, or
// addresses of the same kind, with the same traffic.
func mergeReached(list []Reached, r Reached) []Reached {
	for i := range list {
		l := &list[i]
		if l.Where != r.Where || l.What != r.What {
			continue
		}
		switch {
		case len(l.addresses) == 0 && slices.Equal(l.Tenants, r.Tenants):
			l.traffic = l.traffic.union(r.traffic)
		case l.traffic.equal(r.traffic):
			l.addresses = l.addresses.union(r.addresses)
			l.Tenants = append(slices.Clone(l.Tenants), r.Tenants...)
			slices.Sort(l.Tenants)
			l.Tenants = slices.Compact(l.Tenants)
		default:
			continue
		}
		for _, b := range r.Because {
			if !slices.Contains(l.Because, b) {
				l.Because = append(l.Because, b)
			}
		}
		return list
	}
	return append(list, r)
}

// mergeSender adds a sender: to the pods of the same namespace, or to the tenants, that reach the same.
func mergeSender(list []Sender, s Sender, pods bool) []Sender {
	for i := range list {
		l := &list[i]
		if pods != slices.Equal(l.Tenants, s.Tenants) || !pods && !slices.Equal(l.Pods, s.Pods) || l.Namespace != s.Namespace ||
			!slices.EqualFunc(l.Reaches, s.Reaches, sameReach) {
			continue
		}
		for _, p := range s.Pods {
			if !slices.Contains(l.Pods, p) {
				l.Pods = append(l.Pods, p)
			}
		}
		slices.Sort(l.Pods)
		if !pods {
			l.Tenants = append(l.Tenants, s.Tenants...)
			slices.Sort(l.Tenants)
		}
		for j := range l.Reaches {
			l.Reaches[j].addresses = l.Reaches[j].addresses.union(s.Reaches[j].addresses)
		}
		return list
	}
	return append(list, s)
}

func sameReach(a, b Reached) bool {
	return a.Where == b.Where && a.What == b.What && slices.Equal(a.Tenants, b.Tenants) && a.traffic.equal(b.traffic)
}

func (t traffic) equal(u traffic) bool {
	return slices.Equal(t[tcp], u[tcp]) && slices.Equal(t[udp], u[udp]) && slices.Equal(t[sctp], u[sctp])
}

// finish says in words what has been merged.
func (r *Reached) finish() {
	r.Traffic = r.traffic.String()
	if r.Because == nil {
		r.Because = []string{}
	}
	if len(r.addresses) == 0 || len(public.minus(r.addresses)) == 0 {
		return
	}
	for _, i := range r.addresses {
		r.Ranges = append(r.Ranges, rangesOf(addresses{i}))
	}
}

// WriteText writes a table for people: one line for each sender and what it reaches, and the rules that are
// the reason.
func (r Reachability) WriteText(w io.Writer) error {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "FROM\tTO\tTRAFFIC\tBECAUSE")
	for _, s := range r.Senders {
		from := s.String()
		for _, to := range s.Reaches {
			because := strings.NewReplacer("networkpolicy-", "", ".yaml spec.", " ").Replace(strings.Join(to.Because, ", "))
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", from, to.String(), to.Traffic, cmp.Or(because, "no policy binds it"))
		}
		if len(s.Reaches) == 0 {
			fmt.Fprintf(table, "%s\tnothing\t\t\n", from)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// String names the sender for people: "api of acme, umbrella".
func (s Sender) String() string {
	switch {
	case len(s.Tenants) > 0:
		return strings.Join(s.Pods, ", ") + " of " + some(s.Tenants, 3)
	case s.Addresses != "":
		return s.Addresses
	}
	return strings.Join(s.Pods, ", ") + " in " + s.Namespace
}

// String names what is reached, without the traffic: "garage in platform".
func (r Reached) String() string {
	switch r.Where {
	case OwnNamespace:
		return "its " + r.What
	case OtherTenants:
		return r.What + " of other tenants"
	case AllTenants:
		return r.What + " of " + some(r.Tenants, 3)
	case OutsideWorld:
		if len(r.Ranges) > 0 {
			return r.What + " " + some(r.Ranges, 3)
		}
		return r.What
	}
	return r.What + " in " + r.Where
}

// WriteJSON writes the reachability as one JSON object.
func (r Reachability) WriteJSON(w io.Writer) error { return writeJSON(w, r) }
