package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
)

// A Difference is what two states of a fleet let happen, and how that differs.
type Difference struct {
	Before, After Reachability
	Gains         []Shift // what is reached or allowed after, and was not before
	Losses        []Shift // what was, and is no longer; between what is there in both
}

// A Shift is something that a pod reaches, or that an account may do, in one state of a fleet and not in the other.
type Shift struct {
	Units []string // whose objects let it: the sender's and the receiver's, or the binding's
	Files []string // that hold the rule or the binding, within one of the units; none where no rule is needed
	Text  string   // in words
}

// Idle tells of a kind, in lower case, that its objects need not be in either of two states that are compared, as far
// as they are the same in both: no rule of the network or of identities looks at one for the sake of another object.
func Idle(kind string) bool {
	return slices.Contains([]string{
		"backendtrafficpolicy", "configmap", "database", "dnsendpoint", "externalsecret", "gateway", "gatewayclass", "httproute",
		"horizontalpodautoscaler", "ingress", "limitrange", "listenerset", "persistentvolumeclaim", "poddisruptionbudget", "podmonitor",
		"priorityclass", "prometheusrule", "resourcequota", "runtimeclass", "scheduledbackup", "secret", "service", "servicemonitor",
		"storageclass", "validatingadmissionpolicy", "validatingadmissionpolicybinding",
	}, kind)
}

// Differ compares two states of a fleet, of which the facts are set. What belongs to a unit that is new is a gain only
// as far as a rule finds fault with it: nobody has used it yet.
func Differ(before, after *Fleet) Difference {
	b, a := &state{Fleet: before}, &state{Fleet: after}
	together(b.evaluate, a.evaluate)
	d := Difference{Before: b.reaches, After: a.reaches}
	together(func() {
		d.Gains = slices.Concat(a.routes.beyond(b.routes, "now reaches"), rightsBeyond(a.access, b.access, before, "may now"), newFaults(b, a))
	}, func() {
		d.Losses = slices.Concat(b.routes.common(a.routes).beyond(a.routes, "no longer reaches"), rightsBeyond(b.access, a.access, after, "may no longer"))
	})
	return d
}

// A state is a fleet and what it lets happen.
type state struct {
	*Fleet
	access  *access
	reaches Reachability
	routes  routes
	faults  []Finding
}

func (s *state) evaluate() {
	n := newNetwork(s.Fleet)
	s.access, s.reaches = newAccess(s.Fleet), n.reach()
	s.routes = n.routes(&s.reaches)
	on := &subject{Fleet: s.Fleet, network: n, access: s.access, pods: templatesOf(s.Fleet)}
	for _, rule := range slices.Concat(networkRules, identityRules) {
		switch {
		case rule.ID == "network/dead-policy", rule.ID == "network/closed": // they open nothing
		case len(s.Facts.Flows) == 0 && slices.Contains(undeclared, rule.ID):
		default:
			s.faults = append(s.faults, rule.check(on)...)
		}
	}
}

// together calls all at once and waits for them.
func together(calls ...func()) {
	var wait sync.WaitGroup
	for _, call := range calls {
		wait.Go(call)
	}
	wait.Wait()
}

// A route leads from pods of one name, or addresses, to others.
type route struct {
	sender, pod         string // a namespace or a kind of addresses
	where, tenant, what string
}

// A stretch is what passes on a route.
type stretch struct {
	traffic traffic
	areas   []area // of addresses
	files   []string
}

func (s stretch) minus(t stretch) stretch {
	return stretch{s.traffic.minus(t.traffic), without(s.areas, t.areas), s.files}
}

func (s stretch) plus(t stretch) stretch {
	return stretch{s.traffic.union(t.traffic), slices.Concat(s.areas, t.areas), append(slices.Clone(s.files), t.files...)}
}

// routes are all of a state.
type routes struct {
	all   map[route]stretch
	pods  map[[2]string]bool // namespace and name of those that are there
	units map[string]bool
}

func (n *network) routes(r *Reachability) routes {
	p := routes{map[route]stretch{}, map[[2]string]bool{}, map[string]bool{}}
	for _, u := range n.fleet.Units {
		p.units[u.Name] = true
	}
	for _, s := range n.spaces {
		for _, pod := range s.pods {
			for name := range strings.SplitSeq(pod.name, ", ") {
				for _, space := range append([]string{s.name}, s.others()...) {
					p.pods[[2]string{space, name}] = true
				}
			}
		}
	}
	for _, s := range r.Senders {
		senders := s.Tenants
		if len(senders) == 0 {
			senders = []string{cmp.Or(s.Namespace, s.Addresses)}
		}
		pods := s.Pods
		if len(pods) == 0 {
			pods = []string{""}
		}
		for _, to := range s.Reaches {
			tenants := to.Tenants
			if len(tenants) == 0 {
				tenants = []string{""}
			}
			var files []string
			for _, b := range to.Because {
				file, _, _ := strings.Cut(b, " ")
				files = append(files, file)
			}
			part := stretch{traffic: to.traffic, files: files}
			if len(to.addresses) > 0 {
				part = stretch{areas: []area{{to.addresses, to.traffic}}, files: files}
			}
			for _, sender := range senders {
				for _, pod := range pods {
					for _, tenant := range tenants {
						for what := range strings.SplitSeq(to.What, ", ") {
							key := route{sender, pod, to.Where, tenant, what}
							p.all[key] = p.all[key].plus(part)
						}
					}
				}
			}
		}
	}
	return p
}

// receiver is the namespace of a route's end.
func (p route) receiver() string {
	switch p.where {
	case OwnNamespace:
		return p.sender
	case OtherTenants, OutsideWorld:
		return ""
	case AllTenants:
		return p.tenant
	}
	return p.where
}

// beyond is what passes here and not in the other state. A pod that is new may do what another of its namespace did.
func (p routes) beyond(other routes, verb string) []Shift {
	// What any pod of a namespace sends, or any is sent, besides what each is.
	grouped := map[route]stretch{}
	for key, s := range other.all {
		for _, group := range []route{
			{key.sender, "*", key.where, key.tenant, key.what}, {key.sender, key.pod, key.where, key.tenant, "*"}, {key.sender, "*", key.where, key.tenant, "*"},
		} {
			grouped[group] = grouped[group].plus(s)
		}
	}
	var shifts []Shift
	for _, key := range slices.SortedFunc(maps.Keys(p.all), compareRoutes) {
		receiver := key.receiver()
		if p.units[key.sender] && !other.units[key.sender] || p.units[receiver] && !other.units[receiver] {
			continue
		}
		rest := p.all[key].minus(other.all[key])
		group := key
		if key.pod != "" && !other.pods[[2]string{key.sender, key.pod}] {
			group.pod = "*"
		}
		if receiver != "" && !other.pods[[2]string{receiver, key.what}] {
			group.what = "*"
		}
		if group != key {
			rest = rest.minus(grouped[group])
		}
		if rest.traffic.none() && len(rest.areas) == 0 {
			continue
		}
		files := slices.Clone(rest.files)
		slices.Sort(files)
		shifts = append(shifts, Shift{Units: []string{key.sender, receiver}, Files: slices.Compact(files), Text: key.inWords(verb, rest)})
	}
	return shifts
}

// common are the routes whose ends are there in the other state too.
func (p routes) common(other routes) routes {
	out := p
	out.all = map[route]stretch{}
	for key, s := range p.all {
		receiver := key.receiver()
		if (key.pod == "" || other.pods[[2]string{key.sender, key.pod}]) && (receiver == "" || other.pods[[2]string{receiver, key.what}]) {
			out.all[key] = s
		}
	}
	return out
}

func compareRoutes(a, b route) int {
	return cmp.Or(
		cmp.Compare(a.sender, b.sender), cmp.Compare(a.pod, b.pod), cmp.Compare(a.where, b.where), cmp.Compare(a.tenant, b.tenant), cmp.Compare(a.what, b.what),
	)
}

func (p route) inWords(verb string, rest stretch) string {
	from := p.pod + " in " + p.sender
	if p.pod == "" {
		from = p.sender + " addresses"
	}
	to := p.what
	switch p.where {
	case OwnNamespace:
	case OutsideWorld:
		to += " addresses"
	case OtherTenants:
		to += " of other tenants"
	case AllTenants:
		to += " in " + p.tenant
	default:
		to += " in " + p.where
	}
	what := rest.traffic.String()
	if len(rest.areas) > 0 {
		var alike []area // one of each traffic
		for _, a := range rest.areas {
			if i := slices.IndexFunc(alike, func(b area) bool { return a.traffic.equal(b.traffic) }); i >= 0 {
				alike[i].addresses = alike[i].addresses.union(a.addresses)
			} else {
				alike = append(alike, a)
			}
		}
		var parts []string
		for _, a := range alike {
			parts = append(parts, rangesOf(a.addresses)+" "+a.traffic.String())
		}
		what = strings.Join(parts, ", ")
	}
	return fmt.Sprintf("%s %s %s: %s", from, verb, to, what)
}

// A right is what one rule gives to one subject.
type right struct {
	who   string // an account, or another subject
	scope string // a namespace; empty for all of them
	rule  rbacv1.PolicyRule
	bound binding
}

func (a *access) rights() []right {
	var list []right
	for _, b := range a.bindings {
		var rules []rbacv1.PolicyRule
		for _, r := range a.granted(b) {
			rules = append(rules, r.rules...)
		}
		if len(a.granted(b)) == 0 { // nobody can tell what it allows
			rules = []rbacv1.PolicyRule{{Verbs: []string{"do"}, APIGroups: []string{""}, Resources: []string{"whatever the " + b.to.Kind + " " + b.to.Name + " allows"}}}
		}
		scope := b.unit.Name
		if b.cluster {
			scope = ""
		} else if namespace := b.object.GetNamespace(); namespace != "" {
			scope = namespace
		}
		for _, s := range b.subjects {
			who := strings.ToLower(s.Kind) + " " + s.Name
			if namespace, account, known := holder(s, scope); known && account != "" {
				who = "account " + account + " of " + namespace
			}
			for _, rule := range rules {
				list = append(list, right{who, scope, rule, b})
			}
		}
	}
	return list
}

// covers tells whether a right includes another one.
func (r right) covers(other right) bool {
	all := func(list, of []string) bool {
		return slices.Contains(of, "*") || !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(of, s) })
	}
	return r.who == other.who && (r.scope == "" || r.scope == other.scope) &&
		all(other.rule.Verbs, r.rule.Verbs) && all(other.rule.APIGroups, r.rule.APIGroups) && all(other.rule.Resources, r.rule.Resources) &&
		(len(r.rule.ResourceNames) == 0 || len(other.rule.ResourceNames) > 0 && all(other.rule.ResourceNames, r.rule.ResourceNames)) &&
		all(other.rule.NonResourceURLs, r.rule.NonResourceURLs)
}

// rightsBeyond are the rights of one state that no right of the other one covers, verb by verb and resource by
// resource. Rights of units that the other state has not are left out.
func rightsBeyond(a, other *access, there *Fleet, verb string) []Shift {
	units := map[string]bool{}
	for _, u := range there.Units {
		units[u.Name] = true
	}
	held := map[string][]right{}
	for _, r := range other.rights() {
		held[r.who] = append(held[r.who], r)
	}
	var shifts []Shift
	for _, r := range a.rights() {
		if !units[r.bound.unit.Name] {
			continue
		}
		missing := rbacv1.PolicyRule{}
		for one := range single(r.rule) {
			part := r
			part.rule = one
			if slices.ContainsFunc(held[r.who], func(h right) bool { return h.covers(part) }) {
				continue
			}
			for _, field := range []struct{ into, from *[]string }{
				{&missing.Verbs, &one.Verbs}, {&missing.APIGroups, &one.APIGroups}, {&missing.Resources, &one.Resources}, {&missing.NonResourceURLs, &one.NonResourceURLs},
			} {
				for _, s := range *field.from {
					if !slices.Contains(*field.into, s) {
						*field.into = append(*field.into, s)
					}
				}
			}
		}
		if len(missing.Verbs) == 0 {
			continue
		}
		where := "in " + r.scope
		if r.scope == "" {
			where = "in every namespace"
		}
		text := fmt.Sprintf("the %s %s %s %s", r.who, verb, inWords(&missing), where)
		s := Shift{Units: []string{r.bound.unit.Name}, Files: []string{r.bound.object.File}, Text: text}
		for _, role := range a.granted(r.bound) {
			s.Files = append(s.Files, role.object.File)
		}
		if !slices.ContainsFunc(shifts, func(t Shift) bool { return t.Text == s.Text }) {
			shifts = append(shifts, s)
		}
	}
	return shifts
}

// single takes a rule apart: one verb, one group and one resource, or one route, in each.
func single(rule rbacv1.PolicyRule) func(yield func(rbacv1.PolicyRule) bool) {
	return func(yield func(rbacv1.PolicyRule) bool) {
		for _, verb := range rule.Verbs {
			for _, url := range rule.NonResourceURLs {
				if !yield(rbacv1.PolicyRule{Verbs: []string{verb}, NonResourceURLs: []string{url}}) {
					return
				}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					if !yield(rbacv1.PolicyRule{Verbs: []string{verb}, APIGroups: []string{group}, Resources: []string{resource}, ResourceNames: rule.ResourceNames}) {
						return
					}
				}
			}
		}
	}
}

// undeclared are the rules that hold a fleet against its facts. Without facts they find fault with everything.
var undeclared = []string{
	"identity/delivery", "identity/token", "identity/undeclared", "network/api-server", "network/inside", "network/internet", "network/metadata", "network/platform",
}

// newFaults are what the rules of the network and of identities find after and did not find before.
func newFaults(before, after *state) []Shift {
	type key struct{ rule, unit, object, message string }
	known := map[key]bool{}
	units := func(f Finding) []string { return append([]string{f.Unit}, f.Alike...) }
	for _, f := range before.faults {
		for _, unit := range units(f) {
			known[key{f.Rule, unit, f.Object, f.Message}] = true
		}
	}
	var shifts []Shift
	for _, f := range after.faults {
		for _, unit := range units(f) {
			if !known[key{f.Rule, unit, f.Object, f.Message}] {
				shifts = append(shifts, Shift{Units: []string{unit}, Files: []string{f.File}, Text: f.Message + " (" + f.Rule + ")"})
			}
		}
	}
	return shifts
}
