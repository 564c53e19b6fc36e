package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/tenantry/tenantry/render"
)

// capacityRules hold what a fleet asks for at its most against what it may have.
var capacityRules = []Rule{
	{
		ID:       "capacity/bounded",
		Protects: "No tenant takes the cluster: a quota bounds all that its namespace may ask for.",
		check:    quotasBound,
	},
	{
		ID:       "capacity/nodes",
		Protects: "Every pod finds a node, with the declared number of nodes away and every workload at its most.",
		check:    nodesSuffice,
	},
	{
		ID:       "capacity/quota",
		Protects: "A tenant can be rolled out and scaled as declared: the API server refuses none of its pods.",
		check:    quotasSuffice,
	},
}

// A bill is how much of each resource is asked for, by the name that a quota has for it: "requests.cpu".
type bill map[corev1.ResourceName]resource.Quantity

func (b bill) add(more bill, times int64) bill {
	for name, q := range more {
		q = q.DeepCopy()
		q.Mul(times)
		sum := b[name]
		sum.Add(q)
		b[name] = sum
	}
	return b
}

// atLeast raises what is less than in the other bill.
func (b bill) atLeast(other bill) bill {
	for name, q := range other {
		if have, asked := b[name]; !asked || q.Cmp(have) > 0 {
			b[name] = q
		}
	}
	return b
}

func (b bill) count(name string, n int64) {
	b.add(bill{corev1.ResourceName(name): *resource.NewQuantity(n, resource.DecimalSI)}, 1)
}

const (
	requests = "requests."
	limits   = "limits."
)

// asked is the bill of a container after the API server has filled in what it leaves out: requests from its
// limits, and both from the limit ranges of its namespace.
func asked(r corev1.ResourceRequirements, ranges []*corev1.LimitRange) bill {
	b := bill{}
	fill := func(prefix corev1.ResourceName, lists ...corev1.ResourceList) {
		for _, list := range lists {
			for name, q := range list {
				if _, set := b[prefix+name]; !set {
					b[prefix+name] = q
				}
			}
		}
	}
	fill(requests, r.Requests, r.Limits)
	fill(limits, r.Limits)
	for _, l := range ranges {
		for _, item := range l.Spec.Limits {
			if item.Type == corev1.LimitTypeContainer {
				fill(requests, item.DefaultRequest, item.Default, item.Max, item.Min)
				fill(limits, item.Default, item.Max)
			}
		}
	}
	return b
}

// bill is what one pod of the template asks for, as the scheduler and quotas count it: what runs at once at
// the most, while it starts or afterwards.
func (t *template) bill(ranges []*corev1.LimitRange, classes map[string]corev1.ResourceList) bill {
	running, starting := bill{}, bill{}
	for _, c := range t.spec.InitContainers {
		own := asked(c.Resources, ranges)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			running.add(own, 1)
			starting.atLeast(maps.Clone(running))
		} else {
			starting.atLeast(own.add(running, 1))
		}
	}
	for _, c := range t.spec.Containers {
		running.add(asked(c.Resources, ranges), 1)
	}
	sum := running.atLeast(starting)
	if t.spec.Resources != nil {
		maps.Copy(sum, asked(*t.spec.Resources, nil))
	}
	overhead := t.spec.Overhead
	if t.spec.RuntimeClassName != nil && overhead == nil {
		overhead = classes[*t.spec.RuntimeClassName]
	}
	for name, q := range overhead {
		sum.add(bill{requests + name: q}, 1)
		if limit := sum[limits+name]; !limit.IsZero() {
			sum.add(bill{limits + name: q}, 1)
		}
	}
	return sum
}

// claims is the volume claims that come with each pod.
func (t *template) claims() []corev1.PersistentVolumeClaimSpec {
	all := slices.Clone(t.volumes)
	for _, v := range t.spec.Volumes {
		if v.Ephemeral != nil && v.Ephemeral.VolumeClaimTemplate != nil {
			all = append(all, v.Ephemeral.VolumeClaimTemplate.Spec)
		}
	}
	return all
}

func (b bill) claim(c *corev1.PersistentVolumeClaimSpec, times int64) {
	list := bill{
		corev1.ResourceRequestsStorage:        c.Resources.Requests[corev1.ResourceStorage],
		corev1.ResourcePersistentVolumeClaims: *resource.NewQuantity(1, resource.DecimalSI),
		"count/persistentvolumeclaims":        *resource.NewQuantity(1, resource.DecimalSI),
	}
	if c.StorageClassName != nil {
		class := corev1.ResourceName(*c.StorageClassName + ".storageclass.storage.k8s.io/")
		list[class+corev1.ResourceRequestsStorage] = list[corev1.ResourceRequestsStorage]
		list[class+corev1.ResourcePersistentVolumeClaims] = list[corev1.ResourcePersistentVolumeClaims]
	}
	b.add(list, times)
}

// overheads is what the runtime classes of a fleet add to each pod.
func (f *Fleet) overheads() map[string]corev1.ResourceList {
	classes := map[string]corev1.ResourceList{}
	for _, u := range f.Units {
		for _, o := range u.Objects {
			if c, ok := o.Object.(*nodev1.RuntimeClass); ok && c.Overhead != nil {
				classes[c.Name] = c.Overhead.PodFixed
			}
		}
	}
	return classes
}

func limitRanges(u *Unit) []*corev1.LimitRange {
	var ranges []*corev1.LimitRange
	for _, o := range u.Objects {
		if l, ok := o.Object.(*corev1.LimitRange); ok {
			ranges = append(ranges, l)
		}
	}
	return ranges
}

// everyPod says that a quota counts every pod.
func everyPod(q *corev1.ResourceQuota) bool {
	return len(q.Spec.Scopes) == 0 && q.Spec.ScopeSelector == nil
}

// bounded is what the quotas of a tenant must bound. Load balancers and node ports are the platform's.
var bounded = []corev1.ResourceName{
	corev1.ResourceRequestsCPU, corev1.ResourceLimitsCPU, corev1.ResourceRequestsMemory, corev1.ResourceLimitsMemory, corev1.ResourceRequestsEphemeralStorage,
	corev1.ResourceLimitsEphemeralStorage, corev1.ResourceRequestsStorage, corev1.ResourcePersistentVolumeClaims, corev1.ResourcePods,
	corev1.ResourceServicesLoadBalancers, corev1.ResourceServicesNodePorts,
}

func quotasBound(s *subject) []Finding {
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		if u.Name == render.PlatformUnit {
			continue
		}
		hard := corev1.ResourceList{}
		at := Object{}
		for _, o := range u.Objects {
			q, ok := o.Object.(*corev1.ResourceQuota)
			if ns, is := o.Object.(*corev1.Namespace); is && ns.Name == u.Name && at.Object == nil {
				at = o
			}
			if !ok || !everyPod(q) {
				continue
			}
			at = o
			for name, amount := range q.Spec.Hard {
				if least, set := hard[quotaName(name)]; !set || amount.Cmp(least) < 0 {
					hard[quotaName(name)] = amount
				}
			}
		}
		if at.Object == nil {
			continue // said by names/namespace
		}
		field := map[bool]string{true: "spec.hard"}[len(hard) > 0]
		for _, name := range bounded {
			amount, set := hard[name]
			switch {
			case !set:
				findings = append(findings, s.finding("capacity/bounded", u.Name, at, field, "nothing bounds "+string(name)+" of the namespace", "bound it by a ResourceQuota without scopes"))
			case strings.HasPrefix(string(name), "services.") && !amount.IsZero():
				findings = append(findings, s.finding("capacity/bounded", u.Name, at, "spec.hard."+string(name), fmt.Sprintf("the namespace may have %s of %s", amount.String(), name), "make it 0"))
			}
		}
	}
	return findings
}

// quotaName is the one of a resource's two names in quotas that says more.
func quotaName(name corev1.ResourceName) corev1.ResourceName {
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return requests + name
	}
	return name
}

func quotasSuffice(s *subject) []Finding {
	byUnit := map[*Unit][]*template{}
	for _, t := range s.pods {
		byUnit[t.unit] = append(byUnit[t.unit], t)
	}
	classes := s.overheads()
	var findings []Finding
	for i := range s.Units {
		u := &s.Units[i]
		var quotas []Object
		for _, o := range u.Objects {
			if q, ok := o.Object.(*corev1.ResourceQuota); ok && everyPod(q) {
				quotas = append(quotas, o)
			}
		}
		ranges := limitRanges(u)
		sum := u.counts()
		parts := map[*template]bill{}
		for _, t := range byUnit[u] {
			if t.endless {
				findings = append(findings, s.finding("capacity/quota", u.Name, t.object, "spec.concurrencyPolicy", "a run may start while others still go, so that no number of pods is enough", "make it Forbid"))
			}
			for path, c := range t.containers() {
				if why := t.refused(c, ranges, quotas); why != "" {
					findings = append(findings, s.finding("capacity/quota", u.Name, t.object, t.below(path, "resources"), "the API server refuses the pods: "+c.Name+" "+why, "set what it needs, as request and as limit"))
				}
			}
			most := s.most(t)
			part := bill{}.add(t.bill(ranges, classes), most)
			part.count("pods", most)
			part.count("count/pods", most)
			for _, c := range t.claims() {
				part.claim(&c, most)
			}
			parts[t] = part
			sum.add(part, 1)
		}
		for _, o := range quotas {
			hard := o.Object.(*corev1.ResourceQuota).Spec.Hard
			for _, name := range slices.Sorted(maps.Keys(hard)) {
				amount, need := hard[name], sum[quotaName(name)]
				if need.Cmp(amount) > 0 {
					findings = append(findings, s.finding("capacity/quota", u.Name, o, "spec.hard."+string(name),
						fmt.Sprintf("at its most the tenant asks for %s of %s, and may have %s: %s", need.String(), name, amount.String(), s.largest(byUnit[u], parts, quotaName(name))),
						"lower what its workloads ask for, or raise the tenant's tier"))
				}
			}
		}
	}
	return findings
}

// most is how many pods of a template there are at once at the most.
func (f *Fleet) most(t *template) int64 {
	if !t.daemon {
		return t.most
	}
	nodes := int64(0)
	for i := range f.Facts.Pools {
		if f.Facts.Pools[i].takes(t) {
			nodes += int64(f.Facts.Pools[i].Nodes)
		}
	}
	return max(1, nodes)
}

// largest says which templates ask for the most of a resource.
func (f *Fleet) largest(templates []*template, parts map[*template]bill, name corev1.ResourceName) string {
	list := slices.Clone(templates)
	slices.SortStableFunc(list, func(a, b *template) int {
		x, y := parts[a][name], parts[b][name]
		return y.Cmp(x)
	})
	var words []string
	for _, t := range list[:min(3, len(list))] {
		if q := parts[t][name]; !q.IsZero() {
			words = append(words, fmt.Sprintf("%s %s in %d pods", t.object.ID(), q.String(), f.most(t)))
		}
	}
	return strings.Join(words, ", ")
}

// refused says why the API server makes no pod with the container in a namespace with these limit ranges and
// quotas; empty when it does.
func (t *template) refused(c *corev1.Container, ranges []*corev1.LimitRange, quotas []Object) string {
	b := asked(c.Resources, ranges)
	for _, o := range quotas {
		hard := o.Object.(*corev1.ResourceQuota).Spec.Hard
		for _, name := range slices.Sorted(maps.Keys(hard)) {
			name = quotaName(name)
			if _, set := b[name]; !set && t.spec.Resources == nil && (strings.HasSuffix(string(name), ".cpu") || strings.HasSuffix(string(name), ".memory")) {
				return "has no " + string(name) + ", which a quota counts"
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		of, is := strings.CutPrefix(string(name), requests)
		request := b[name]
		if limit, set := b[limits+corev1.ResourceName(of)]; is && set && request.Cmp(limit) > 0 {
			return fmt.Sprintf("requests %s of %s, and its limit is %s", request.String(), of, limit.String())
		}
	}
	for _, l := range ranges {
		for _, item := range l.Spec.Limits {
			if item.Type != corev1.LimitTypeContainer {
				continue
			}
			for name, most := range item.Max {
				if limit := b[limits+name]; limit.Cmp(most) > 0 {
					return fmt.Sprintf("has a limit of %s of %s, above %s of the LimitRange %s", limit.String(), name, most.String(), l.Name)
				}
			}
			for name, least := range item.Min {
				if request := b[requests+name]; request.Cmp(least) < 0 {
					return fmt.Sprintf("requests %s of %s, below %s of the LimitRange %s", request.String(), name, least.String(), l.Name)
				}
			}
		}
	}
	return ""
}

// counts is how many objects of each kind there are in a unit, those that operators are known to write
// included, and what they take besides pods.
func (u *Unit) counts() bill {
	sum := bill{}
	for id := range there(u) {
		kind, _, _ := strings.Cut(id, "/")
		switch kind {
		case "Secret", "ConfigMap", "Service", "ResourceQuota", "ReplicationController":
			sum.count(strings.ToLower(kind)+"s", 1)
			sum.count("count/"+strings.ToLower(kind)+"s", 1)
		}
	}
	for _, o := range u.Objects {
		gvk := o.GetObjectKind().GroupVersionKind()
		if gvk.Group != "" {
			sum.count("count/"+plural(gvk.Kind)+"."+gvk.Group, 1)
		}
		switch w := o.Object.(type) {
		case *corev1.PersistentVolumeClaim:
			sum.claim(&w.Spec, 1)
		case *corev1.Service:
			balanced := w.Spec.Type == corev1.ServiceTypeLoadBalancer
			if balanced {
				sum.count("services.loadbalancers", 1)
			}
			if w.Spec.Type == corev1.ServiceTypeNodePort || balanced && (w.Spec.AllocateLoadBalancerNodePorts == nil || *w.Spec.AllocateLoadBalancerNodePorts) {
				sum.count("services.nodeports", int64(len(w.Spec.Ports)))
			}
		}
	}
	return sum
}

// plural is the name of a kind in paths, by the rule that Kubernetes names resources by.
func plural(kind string) string {
	s := strings.ToLower(kind)
	switch {
	case strings.HasSuffix(s, "s"), strings.HasSuffix(s, "x"), strings.HasSuffix(s, "ch"), strings.HasSuffix(s, "sh"):
		return s + "es"
	case strings.HasSuffix(s, "y") && !strings.HasSuffix(s, "ay") && !strings.HasSuffix(s, "ey"):
		return strings.TrimSuffix(s, "y") + "ies"
	}
	return s + "s"
}
