package verify

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/tenantry/tenantry/render"
)

// A size is what a pod asks for, or what a node has: thousandths of a CPU, bytes of memory, bytes of disk,
// pods.
type size [4]int64

func (b bill) size() size {
	return sizeOf(b[requests+corev1.ResourceCPU], b[requests+corev1.ResourceMemory], b[requests+corev1.ResourceEphemeralStorage], 1)
}

// size is what one node has.
func (p *Pool) size() size { return sizeOf(p.CPU, p.Memory, p.Ephemeral, p.Pods) }

// sizeOf takes what is more than any node has as that.
func sizeOf(cpu, memory, disk resource.Quantity, pods int64) size {
	const most = 1 << 53
	thousandths := int64(most)
	if cpu.CmpInt64(most/1000) < 0 {
		thousandths = cpu.MilliValue()
	}
	whole := func(q resource.Quantity) int64 {
		if q.CmpInt64(most) < 0 {
			return q.Value()
		}
		return most
	}
	return size{thousandths, whole(memory), whole(disk), pods}
}

// times is how often other fits.
func (s size) times(other size) int64 {
	n := int64(-1)
	for i, part := range other {
		if part > 0 && (n < 0 || s[i]/part < n) {
			n = max(0, s[i]/part)
		}
	}
	return n
}

func (s size) less(other size, times int64) size {
	for i := range s {
		s[i] -= other[i] * times
	}
	return s
}

func (s size) String() string {
	return fmt.Sprintf("%s CPU, %s memory, %s disk", strconv.FormatFloat(float64(s[0])/1000, 'f', -1, 64), bytesInWords(s[1]), bytesInWords(s[2]))
}

func bytesInWords(n int64) string {
	return strconv.FormatFloat(float64(n)/(1<<30), 'f', 1, 64) + "Gi"
}

// takes says that a pod of the template may run on nodes of the pool.
func (p *Pool) takes(t *template) bool {
	set := labels.Set{corev1.LabelOSStable: "linux"}
	maps.Copy(set, p.Labels)
	for key, value := range t.spec.NodeSelector {
		if set[key] != value {
			return false
		}
	}
	if a := t.spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		if !slices.ContainsFunc(a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms, func(term corev1.NodeSelectorTerm) bool {
			return len(term.MatchExpressions) > 0 && len(term.MatchFields) == 0 && !slices.ContainsFunc(term.MatchExpressions, func(e corev1.NodeSelectorRequirement) bool { return !meets(set, e) })
		}) {
			return false
		}
	}
	return !slices.ContainsFunc(p.Taints, func(taint corev1.Taint) bool {
		return taint.Effect != corev1.TaintEffectPreferNoSchedule && !slices.ContainsFunc(t.spec.Tolerations, func(tol corev1.Toleration) bool {
			return (tol.Effect == "" || tol.Effect == taint.Effect) && (tol.Key == "" || tol.Key == taint.Key) && (tol.Operator == corev1.TolerationOpExists || tol.Key != "" && tol.Value == taint.Value)
		})
	})
}

func meets(set labels.Set, e corev1.NodeSelectorRequirement) bool {
	value, has := set[e.Key]
	switch e.Operator {
	case corev1.NodeSelectorOpIn:
		return has && slices.Contains(e.Values, value)
	case corev1.NodeSelectorOpNotIn:
		return !has || !slices.Contains(e.Values, value)
	case corev1.NodeSelectorOpExists:
		return has
	case corev1.NodeSelectorOpDoesNotExist:
		return !has
	}
	a, errA := strconv.ParseInt(value, 10, 64)
	b, errB := strconv.ParseInt(strings.Join(e.Values, ""), 10, 64)
	return errA == nil && errB == nil && (e.Operator == corev1.NodeSelectorOpGt && a > b || e.Operator == corev1.NodeSelectorOpLt && a < b)
}

// apart says that no two pods of the template run on one node.
func (t *template) apart() bool {
	if t.spec.Affinity == nil || t.spec.Affinity.PodAntiAffinity == nil {
		return false
	}
	return slices.ContainsFunc(t.spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution, func(term corev1.PodAffinityTerm) bool {
		picks, err := metav1.LabelSelectorAsSelector(term.LabelSelector)
		return err == nil && term.TopologyKey == corev1.LabelHostname && picks.Matches(labels.Set(t.meta.Labels))
	})
}

// A group is pods that are alike to the scheduler.
type group struct {
	pools string // a byte for each pool: '1' where they may run
	size  size
	apart *template // nil where they may share a node
}

// A stock is the nodes that are there at the least, and how much of each is free.
type stock struct {
	pools []Pool
	nodes []size
	of    []int // the pool of each node
}

// missing is pods that found no node.
type missing struct {
	group
	pods  int64
	first *template
	units map[string]bool
}

// placed puts every pod of the fleet, with each workload at its most, on the first node that has room, those
// that may run in the fewest pools first, and the large before the small. That all find one proves that there
// is a place for all; the scheduler spreads them better and packs them worse.
func (f *Fleet) placed(pods []*template) (*stock, []missing) {
	at := &stock{pools: f.Facts.Pools}
	for i, p := range f.Facts.Pools {
		for range p.Nodes - p.Spare {
			at.nodes = append(at.nodes, p.size())
			at.of = append(at.of, i)
		}
	}
	classes := f.overheads()
	ranges := map[*Unit][]*corev1.LimitRange{}
	for i := range f.Units {
		ranges[&f.Units[i]] = limitRanges(&f.Units[i])
	}
	groups := map[group]*missing{}
	for _, t := range pods {
		open := make([]byte, len(at.pools))
		for i := range at.pools {
			open[i] = '0'
			if at.pools[i].takes(t) {
				open[i] = '1'
			}
		}
		key := group{pools: string(open), size: t.bill(ranges[t.unit], classes).size()}
		if t.daemon {
			for i, pool := range at.of {
				if open[pool] == '1' {
					at.nodes[i] = at.nodes[i].less(key.size, 1)
				}
			}
			continue
		}
		if t.apart() {
			key.apart = t
		}
		if groups[key] == nil {
			groups[key] = &missing{group: key, first: t, units: map[string]bool{}}
		}
		groups[key].pods += t.most
		groups[key].units[t.unit.Name] = true
	}
	order := slices.SortedFunc(maps.Values(groups), func(a, b *missing) int {
		return cmp.Or(cmp.Compare(strings.Count(a.pools, "1"), strings.Count(b.pools, "1")), cmp.Compare(b.size[1], a.size[1]), cmp.Compare(b.size[0], a.size[0]),
			cmp.Compare(a.pools, b.pools), cmp.Compare(a.first.unit.Name, b.first.unit.Name), cmp.Compare(a.first.object.File, b.first.object.File))
	})
	var left []missing
	for _, g := range order {
		for i := range at.nodes {
			if g.pods == 0 {
				break
			}
			if g.pools[at.of[i]] != '1' {
				continue
			}
			n := min(g.pods, at.nodes[i].times(g.size))
			if g.apart != nil {
				n = min(n, 1)
			}
			if n > 0 {
				at.nodes[i] = at.nodes[i].less(g.size, n)
				g.pods -= n
			}
		}
		if g.pods > 0 {
			left = append(left, *g)
		}
	}
	return at, left
}

func nodesSuffice(s *subject) []Finding {
	if len(s.Facts.Pools) == 0 {
		return nil
	}
	_, left := s.placed(s.pods)
	var findings []Finding
	for _, m := range left {
		t := m.first
		var may []string
		fits := false // one of the pods, on a node that has nothing else to run
		for i, p := range s.Facts.Pools {
			if m.pools[i] == '1' {
				may = append(may, p.Name)
				fits = fits || p.size().times(m.size) > 0
			}
		}
		where := strings.Join(may, ", ")
		message := fmt.Sprintf("%d pods of %s find no node with %s free, in %s", m.pods, some(slices.Sorted(maps.Keys(m.units)), 4), m.size, where)
		remedy := "add nodes, or lower what workloads ask for"
		switch {
		case len(may) == 0:
			message, remedy = "no pool of nodes takes its pods, by its labels and taints", "declare the pool that they are for in Cluster.Pools"
		case !fits:
			message, remedy = fmt.Sprintf("a pod asks for %s, more than any node of %s has", m.size, where), "lower what it asks for, or add larger nodes"
		case m.apart != nil:
			message += ", no two on one node"
		}
		findings = append(findings, s.finding("capacity/nodes", t.unit.Name, t.object, t.field, message, remedy))
	}
	return findings
}

// Capacity is what the nodes of a fleet have left, with everything that is rendered at its most.
type Capacity struct {
	Fleet string `json:"fleet"`
	Pools []Use  `json:"pools"`
	Rooms []Room `json:"rooms"`
}

// A Use is how much of a pool is asked for, in percent of what its nodes have without the spare ones.
type Use struct {
	Pool      string `json:"pool"`
	Nodes     int32  `json:"nodes"`
	Spare     int32  `json:"spare"`
	CPU       int64  `json:"cpu"`
	Memory    int64  `json:"memory"`
	Ephemeral int64  `json:"ephemeral"`
	Pods      int64  `json:"pods"`
}

func (u Use) String() string {
	return fmt.Sprintf("pool %s: %d%% of CPU, %d%% of memory, %d%% of disk and %d%% of pods asked for, with %d of %d nodes away",
		u.Pool, u.CPU, u.Memory, u.Ephemeral, u.Pods, u.Spare, u.Nodes)
}

// Room is how many more tenants of a tier fit in, if no tenant of another tier is added.
type Room struct {
	Tier    string `json:"tier"`
	Tenants int64  `json:"tenants"`
}

func (r Room) String() string { return fmt.Sprintf("room for %d more %s", r.Tenants, r.Tier) }

// capacity says how full the declared nodes are and how many more tenants of each tier fit on those that anybody's
// pods run on, with the spare nodes away. A new tenant is taken to use all of its tier's quota, in as many equal pods
// as the quota allows. It returns false where no pools are declared.
func (f *Fleet) capacity(templates []*template) (Capacity, bool) {
	if len(f.Facts.Pools) == 0 {
		return Capacity{}, false
	}
	at, left := f.placed(templates)
	c := Capacity{Fleet: f.Name}
	for i, p := range at.pools {
		var asked, all size
		for j, free := range at.nodes {
			if at.of[j] == i {
				all = all.less(p.size(), -1)
				asked = asked.less(p.size(), -1).less(free, 1)
			}
		}
		percent := func(k int) int64 { return (asked[k]*100 + all[k] - 1) / max(1, all[k]) }
		c.Pools = append(c.Pools, Use{Pool: p.Name, Nodes: p.Nodes, Spare: p.Spare, CPU: percent(0), Memory: percent(1), Ephemeral: percent(2), Pods: percent(3)})
	}
	anybody := &template{spec: &corev1.PodSpec{}}
	for tier := render.Basic; tier <= render.Premium; tier++ {
		hard := tier.Quota()
		pods := hard.Pods().Value()
		b := bill{}
		for name, q := range hard {
			b[quotaName(name)] = q
		}
		one := b.size()
		for i := range one[:3] {
			one[i] = (one[i] + pods - 1) / pods
		}
		room := Room{Tier: tier.String()}
		if len(left) == 0 {
			n := int64(0)
			for i, free := range at.nodes {
				if at.pools[at.of[i]].takes(anybody) {
					n += free.times(one)
				}
			}
			room.Tenants = n / pods
		}
		c.Rooms = append(c.Rooms, room)
	}
	return c, true
}
