package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

var today = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// examples is the example fleets as they are rendered, with what their values say.
func examples(t testing.TB) []Fleet {
	t.Helper()
	return fleetsOf(t, tenants.Fleets())
}

func fleetsOf(t testing.TB, values []render.Fleet) []Fleet {
	t.Helper()
	units, err := render.Units(values)
	if err != nil {
		t.Fatal(err)
	}
	fleets, err := Of(units)
	if err != nil {
		t.Fatal(err)
	}
	for i := range fleets {
		j := slices.IndexFunc(values, func(f render.Fleet) bool { return f.Name == fleets[i].Name })
		fleets[i].Facts = FactsOf(&values[j])
	}
	return fleets
}

func TestExamplesHaveNoFindings(t *testing.T) {
	r := Check(examples(t), nil, today)
	for _, f := range r.Findings {
		t.Errorf("%+v", f)
	}
}

// networkFindings is what the rules about the network find.
func networkFindings(f Fleet) []Finding {
	var all []Finding
	s := &subject{Fleet: &f, network: newNetwork(&f)}
	for _, r := range networkRules {
		all = append(all, r.check(s)...)
	}
	return all
}

// A mutant is a policy with one thing wrong; nil: it is gone.
type mutant struct {
	how    string
	policy *networkingv1.NetworkPolicy
}

// mutants opens a policy in every way that one edit can.
func mutants(p *networkingv1.NetworkPolicy, other string) []mutant {
	list := []mutant{{"delete the policy", nil}}
	add := func(how string, change func(*networkingv1.NetworkPolicy)) {
		q := p.DeepCopy()
		change(q)
		list = append(list, mutant{how, q})
	}
	in, out := networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress
	add("remove policyTypes", func(q *networkingv1.NetworkPolicy) { q.Spec.PolicyTypes = nil })
	add("bind ingress only", func(q *networkingv1.NetworkPolicy) { q.Spec.PolicyTypes = []networkingv1.PolicyType{in} })
	add("bind egress only", func(q *networkingv1.NetworkPolicy) { q.Spec.PolicyTypes = []networkingv1.PolicyType{out} })
	add("let everything in", func(q *networkingv1.NetworkPolicy) {
		q.Spec.Ingress = append(q.Spec.Ingress, networkingv1.NetworkPolicyIngressRule{})
	})
	add("let everything out", func(q *networkingv1.NetworkPolicy) {
		q.Spec.Egress = append(q.Spec.Egress, networkingv1.NetworkPolicyEgressRule{})
	})
	selector := func(where string, get func(*networkingv1.NetworkPolicy) *metav1.LabelSelector) {
		s := get(p)
		if s == nil {
			return
		}
		if len(s.MatchLabels)+len(s.MatchExpressions) > 0 {
			add("empty "+where, func(q *networkingv1.NetworkPolicy) { *get(q) = metav1.LabelSelector{} })
		}
		for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
			add("drop "+key+" of "+where, func(q *networkingv1.NetworkPolicy) { delete(get(q).MatchLabels, key) })
			if key == corev1.LabelMetadataName {
				add("aim "+where+" at "+other, func(q *networkingv1.NetworkPolicy) { get(q).MatchLabels[key] = other })
			}
			add("let "+where+" have any "+key, func(q *networkingv1.NetworkPolicy) {
				delete(get(q).MatchLabels, key)
				get(q).MatchExpressions = append(get(q).MatchExpressions, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpExists})
			})
		}
		for i, e := range s.MatchExpressions {
			add("drop "+e.Key+" of "+where, func(q *networkingv1.NetworkPolicy) {
				get(q).MatchExpressions = slices.Delete(get(q).MatchExpressions, i, i+1)
			})
			add("turn "+e.Key+" of "+where, func(q *networkingv1.NetworkPolicy) {
				get(q).MatchExpressions[i].Operator = map[metav1.LabelSelectorOperator]metav1.LabelSelectorOperator{
					metav1.LabelSelectorOpIn: metav1.LabelSelectorOpNotIn, metav1.LabelSelectorOpNotIn: metav1.LabelSelectorOpIn,
					metav1.LabelSelectorOpExists: metav1.LabelSelectorOpDoesNotExist, metav1.LabelSelectorOpDoesNotExist: metav1.LabelSelectorOpExists,
				}[e.Operator]
			})
		}
	}
	selector("podSelector", func(q *networkingv1.NetworkPolicy) *metav1.LabelSelector { return &q.Spec.PodSelector })
	for _, d := range []direction{ingress, egress} {
		rules := len(p.Spec.Ingress)
		if d == egress {
			rules = len(p.Spec.Egress)
		}
		for i := range rules {
			peers := func(q *networkingv1.NetworkPolicy) *[]networkingv1.NetworkPolicyPeer {
				if d == ingress {
					return &q.Spec.Ingress[i].From
				}
				return &q.Spec.Egress[i].To
			}
			ports := func(q *networkingv1.NetworkPolicy) *[]networkingv1.NetworkPolicyPort {
				if d == ingress {
					return &q.Spec.Ingress[i].Ports
				}
				return &q.Spec.Egress[i].Ports
			}
			at := fmt.Sprintf("%s[%d]", d, i)
			add("drop the peers of "+at, func(q *networkingv1.NetworkPolicy) { *peers(q) = nil })
			add("drop the ports of "+at, func(q *networkingv1.NetworkPolicy) { *ports(q) = nil })
			for j, listen := range *ports(p) {
				add(fmt.Sprintf("drop the number of port %d of %s", j, at), func(q *networkingv1.NetworkPolicy) { (*ports(q))[j].Port = nil })
				add(fmt.Sprintf("add ports behind port %d of %s", j, at), func(q *networkingv1.NetworkPolicy) { (*ports(q))[j].EndPort = new(int32(65535)) })
				add(fmt.Sprintf("port %d of %s is another", j, at), func(q *networkingv1.NetworkPolicy) {
					(*ports(q))[j].Port = new(intstr.FromInt32(listen.Port.IntVal + 1))
				})
				add(fmt.Sprintf("port %d of %s is of SCTP", j, at), func(q *networkingv1.NetworkPolicy) { (*ports(q))[j].Protocol = new(corev1.ProtocolSCTP) })
			}
			for j := range *peers(p) {
				where := fmt.Sprintf("%s peer %d", at, j)
				peer := func(q *networkingv1.NetworkPolicy) *networkingv1.NetworkPolicyPeer { return &(*peers(q))[j] }
				selector("the pods of "+where, func(q *networkingv1.NetworkPolicy) *metav1.LabelSelector { return peer(q).PodSelector })
				selector("the namespaces of "+where, func(q *networkingv1.NetworkPolicy) *metav1.LabelSelector { return peer(q).NamespaceSelector })
				switch one := peer(p); {
				case one.IPBlock != nil:
					for k, except := range one.IPBlock.Except {
						add("drop except "+except+" of "+where, func(q *networkingv1.NetworkPolicy) {
							peer(q).IPBlock.Except = slices.Delete(peer(q).IPBlock.Except, k, k+1)
						})
					}
					all := "0.0.0.0/0"
					if strings.Contains(one.IPBlock.CIDR, ":") {
						all = "::/0"
					}
					add("open the addresses of "+where, func(q *networkingv1.NetworkPolicy) { peer(q).IPBlock = &networkingv1.IPBlock{CIDR: all} })
				case one.NamespaceSelector == nil:
					add("let "+where+" be in any namespace", func(q *networkingv1.NetworkPolicy) { peer(q).NamespaceSelector = &metav1.LabelSelector{} })
					add("let "+where+" be in "+other, func(q *networkingv1.NetworkPolicy) {
						peer(q).NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: other}}
					})
				default:
					add("let "+where+" be any pod", func(q *networkingv1.NetworkPolicy) { peer(q).PodSelector = nil })
					add("let "+where+" be near", func(q *networkingv1.NetworkPolicy) { peer(q).NamespaceSelector = nil })
				}
			}
		}
	}
	return list
}

// with is the fleet with one object replaced, or without it.
func (f Fleet) with(unit, file string, o render.Object) Fleet {
	f.Units = slices.Clone(f.Units)
	for i := range f.Units {
		u := &f.Units[i]
		if u.Name != unit {
			continue
		}
		u.Objects = slices.Clone(u.Objects)
		for j := range u.Objects {
			if u.Objects[j].File == file {
				if o == nil {
					u.Objects = slices.Delete(u.Objects, j, j+1)
				} else {
					u.Objects[j].Object = o
				}
				return f
			}
		}
	}
	panic("no " + unit + "/" + file)
}

// crossing is all traffic of a fleet that leaves a namespace: computed pod by pod, with nothing collapsed.
type crossing struct {
	between map[[2]string]traffic
	outside map[string][]area
}

func crossings(f *Fleet, looked mention, strangers []*space) crossing {
	n := &network{fleet: f}
	raw := n.namespaces()
	looked.project(n.spaces)
	names := map[string]bool{}
	for _, s := range n.spaces {
		names[s.name] = true
		for _, p := range raw[s] {
			s.policies = append(s.policies, newPolicy(s, p.object, p.NetworkPolicy))
		}
	}
	for _, s := range strangers {
		if !names[s.name] {
			n.spaces = append(n.spaces, s)
		}
	}
	n.pods = shared
	for _, flow := range f.Facts.Flows {
		n.pods = n.pods.minus(flow.To.addresses())
	}
	n.connect()
	c := crossing{map[[2]string]traffic{}, map[string][]area{}}
	name := func(p *pod) string { return p.space.name + " " + p.labels.String() }
	for _, s := range n.spaces {
		for _, from := range s.pods {
			n.reached(from, func(to *pod, t traffic) {
				if to.space != s && (s.unit != nil || to.space.unit != nil) {
					c.between[[2]string{name(from), name(to)}] = t
				}
			})
			if s.unit != nil {
				for _, d := range []direction{ingress, egress} {
					for _, a := range from.outside(d) {
						c.outside[name(from)+" "+d.String()] = append(c.outside[name(from)+" "+d.String()], a)
					}
				}
			}
		}
	}
	return c
}

// more is what crosses here and not there.
func (c crossing) more(there crossing) []string {
	var list []string
	for ends, t := range c.between {
		if rest := t.minus(there.between[ends]); !rest.none() {
			list = append(list, fmt.Sprintf("%s -> %s: %s", ends[0], ends[1], rest))
		}
	}
	for end, areas := range c.outside {
		for _, a := range without(areas, there.outside[end]) {
			list = append(list, fmt.Sprintf("%s %s: %s", end, rangesOf(a.addresses), a.traffic))
		}
	}
	slices.Sort(list)
	return list
}

// TestSabotage changes each policy of an example fleet in every way that one edit can. Either a rule tells, or
// no more traffic leaves any namespace than before, and what is declared is still let through.
func TestSabotage(t *testing.T) {
	t.Parallel()
	caught, harmless, silent, total := map[string]int{}, 0, 0, 0
	for _, fleet := range examples(t)[:1] { // the others have the same policies
		before := mentioned(&fleet, rawOf(&fleet))
		for _, u := range fleet.Units {
			other := "globex"
			if u.Name == other {
				other = "initech"
			}
			for _, o := range u.Objects {
				p, ok := o.Object.(*networkingv1.NetworkPolicy)
				if !ok {
					continue
				}
				for _, m := range mutants(p, other) {
					total++
					var changed render.Object
					if m.policy != nil {
						changed = m.policy
					}
					sabotaged := fleet.with(u.Name, o.File, changed)
					told := false
					all := networkFindings(sabotaged)
					for _, f := range all {
						caught[f.Rule]++
						// These two tell of policies, not of traffic.
						told = told || f.Rule != "network/dead-policy" && f.Rule != "network/default-deny"
					}
					if told {
						continue
					}
					looked := mentioned(&sabotaged, rawOf(&sabotaged))
					maps.Copy(looked.pods, before.pods)
					maps.Copy(looked.spaces, before.spaces)
					var strangers []*space
					for _, s := range newNetwork(&sabotaged).spaces {
						if s.unit == nil {
							strangers = append(strangers, s)
						}
					}
					if more := crossings(&sabotaged, looked, strangers).more(crossings(&fleet, looked, strangers)); len(more) > 0 {
						t.Errorf("%s/%s/%s: %s: no rule tells, and more gets through:\n%s", fleet.Name, u.Name, o.File, m.how, strings.Join(more, "\n"))
					}
					harmless++
					if len(all) == 0 {
						silent++
					}
				}
			}
		}
	}
	t.Logf("%d sabotages, %d that change no traffic, of which %d no rule tells; findings by rule: %v", total, harmless, silent, caught)
	if harmless > total*3/10 {
		t.Error("too many sabotages change nothing")
	}
	for _, r := range networkRules {
		// No one edit opens a path between tenants, which takes both ends.
		if caught[r.ID] == 0 && r.ID != "network/host-network" && r.ID != "network/cross-tenant" {
			t.Errorf("%s caught nothing", r.ID)
		}
	}
}

// TestIdle takes each policy away: who reaches whom is the same without what is idle.
func TestIdle(t *testing.T) {
	t.Parallel()
	for _, fleet := range examples(t) {
		for _, u := range fleet.Units {
			for _, o := range u.Objects {
				if _, ok := o.Object.(*networkingv1.NetworkPolicy); !ok {
					continue
				}
				whole := fleet.with(u.Name, o.File, nil)
				active := whole.active(u.Name, o.File)
				if diff := cmp.Diff(Reach(&whole), Reach(&active), cmpopts.IgnoreUnexported(Reached{})); diff != "" {
					t.Errorf("%s/%s/%s: another is reached:\n%s", fleet.Name, u.Name, o.File, diff)
				}
			}
		}
	}
}

// TestSabotageOfBothEnds opens a tenant's egress and another's ingress: the rule tells exactly where there is
// a path between the two.
func TestSabotageOfBothEnds(t *testing.T) {
	t.Parallel()
	fleet := examples(t)[0]
	outward := map[string]func(*networkingv1.NetworkPolicySpec){
		"to everything": func(s *networkingv1.NetworkPolicySpec) {
			s.Egress = append(s.Egress, networkingv1.NetworkPolicyEgressRule{})
		},
		"to every namespace": func(s *networkingv1.NetworkPolicySpec) {
			s.Egress[0].To[0] = networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{}}
		},
		"to private networks": func(s *networkingv1.NetworkPolicySpec) {
			s.Egress[0].To[0] = networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: "10.0.0.0/8"}}
		},
		"to another database": func(s *networkingv1.NetworkPolicySpec) { s.Egress[0].To[0].NamespaceSelector = &metav1.LabelSelector{} },
		"not at all":          func(*networkingv1.NetworkPolicySpec) {},
	}
	paths, none, forged := 0, 0, 0
	for _, how := range slices.Sorted(maps.Keys(outward)) {
		from := fleet.policy("acme", "networkpolicy-application.yaml").DeepCopy()
		outward[how](&from.Spec)
		opened := fleet.with("acme", "networkpolicy-application.yaml", from)
		for _, u := range fleet.Units {
			if u.Name != "hooli" && u.Name != "umbrella" {
				continue
			}
			for _, o := range u.Objects {
				p, ok := o.Object.(*networkingv1.NetworkPolicy)
				if !ok {
					continue
				}
				for _, m := range mutants(p, "acme") {
					if !slices.ContainsFunc([]string{"let everything in", "drop the peers of ingress", "be in", "be any pod", "empty the", "aim the"}, func(part string) bool { return strings.Contains(m.how, part) }) {
						continue
					}
					both := opened.with(u.Name, o.File, m.policy)
					looked := mentioned(&both, rawOf(&both))
					want := slices.ContainsFunc(slices.Collect(maps.Keys(crossings(&both, looked, nil).between)), func(ends [2]string) bool {
						return !strings.HasPrefix(ends[0], render.PlatformUnit+" ") && !strings.HasPrefix(ends[1], render.PlatformUnit+" ")
					})
					got := false
					for _, f := range networkFindings(both) {
						if f.Rule != "network/cross-tenant" {
							continue
						}
						if strings.HasPrefix(f.Message, "any pod") {
							forged++ // there is a path for pods that are not rendered
						} else {
							got = true
						}
					}
					if got != want {
						t.Errorf("acme open %s, %s/%s: %s: found %v, want %v", how, u.Name, o.File, m.how, got, want)
					}
					if want {
						paths++
					} else {
						none++
					}
				}
			}
		}
	}
	t.Logf("%d with a path, %d without, %d for pods that are not rendered", paths, none, forged)
	if paths < 50 || none < 50 || forged < 20 {
		t.Error("too few to tell")
	}
}

func (f *Fleet) policy(unit, file string) *networkingv1.NetworkPolicy {
	for _, u := range f.Units {
		for _, o := range u.Objects {
			if u.Name == unit && o.File == file {
				return o.Object.(*networkingv1.NetworkPolicy)
			}
		}
	}
	panic("no " + unit + "/" + file)
}

func TestDefaultDeny(t *testing.T) {
	fleet := examples(t)[0]
	for _, test := range []struct {
		why    string
		change func(*networkingv1.NetworkPolicySpec)
		found  bool
	}{
		{"it is as it should be", func(*networkingv1.NetworkPolicySpec) {}, false},
		{"another order", func(s *networkingv1.NetworkPolicySpec) { slices.Reverse(s.PolicyTypes) }, false},
		{"it picks some pods only", func(s *networkingv1.NetworkPolicySpec) {
			s.PodSelector.MatchLabels = map[string]string{"app.kubernetes.io/name": "api"}
		}, true},
		{"it binds ingress only", func(s *networkingv1.NetworkPolicySpec) { s.PolicyTypes = s.PolicyTypes[:1] }, true},
		{"it binds egress only", func(s *networkingv1.NetworkPolicySpec) { s.PolicyTypes = s.PolicyTypes[1:] }, true},
		{"it allows something", func(s *networkingv1.NetworkPolicySpec) { s.Egress = []networkingv1.NetworkPolicyEgressRule{{}} }, true},
	} {
		p := fleet.policy("acme", "networkpolicy-default-deny.yaml").DeepCopy()
		test.change(&p.Spec)
		found := slices.ContainsFunc(networkFindings(fleet.with("acme", "networkpolicy-default-deny.yaml", p)), func(f Finding) bool {
			return f.Rule == "network/default-deny" && f.Unit == "acme"
		})
		if found != test.found {
			t.Errorf("%s: found %v", test.why, found)
		}
	}
}

// TestTenantsAlikeReachEachOther opens all tenants in the same way, so that one stands for the others: what
// it reaches of them is found all the same, and told of each.
func TestTenantsAlikeReachEachOther(t *testing.T) {
	found := map[string]bool{}
	for _, f := range networkFindings(many(t, 4, false).open()) {
		if f.Rule != "network/cross-tenant" {
			continue
		}
		if strings.HasPrefix(f.Message, "api of the tenant "+f.Unit+" reaches ") && !strings.Contains(strings.TrimPrefix(f.Message, "api of the tenant "+f.Unit), f.Unit+":") {
			found[f.Unit] = true
		}
	}
	if len(found) != 4 {
		t.Errorf("found %v", found)
	}
}
