package render

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// A Tier is how much of the cluster a tenant may use, and who goes first when there is not enough.
type Tier int

// The tiers. The zero Tier is none, so that nobody gets one by leaving it out.
const (
	_ Tier = iota
	Basic
	Standard
	Premium
)

// A tier's row: what the whole namespace may ask for. Memory is never overcommitted, so its request and
// its limit are one number; CPU may burst to four times its request.
type tier struct {
	name     string
	priority int32 // higher is scheduled first and evicted last
	cpu      string
	memory   string
	disk     string // of the nodes, for logs and scratch
	storage  string // of all volumes together
	volumes  int64
	pods     int64
}

// tiers has a row for each Tier, and no other place knows what a tier means.
var tiers = [...]tier{
	Basic:    {"basic", 1_000, "4", "8Gi", "24Gi", "100Gi", 8, 24},
	Standard: {"standard", 2_000, "16", "32Gi", "64Gi", "1Ti", 24, 64},
	Premium:  {"premium", 3_000, "64", "128Gi", "256Gi", "8Ti", 96, 256},
}

func (t Tier) valid() bool { return t > 0 && int(t) < len(tiers) }

// String is the tier's name in priority classes and labels.
func (t Tier) String() string {
	if !t.valid() {
		return fmt.Sprintf("Tier(%d)", int(t))
	}
	return tiers[t].name
}

func (t Tier) priorityClass() string { return "tenant-" + t.String() }

// Quota is the hard limit of a namespace of the tier. Load balancers and node ports are the platform's.
func (t Tier) Quota() corev1.ResourceList {
	row := tiers[t]
	cpu := resource.MustParse(row.cpu)
	burst := resource.NewMilliQuantity(cpu.MilliValue()*cpuBurst, resource.DecimalSI)
	return corev1.ResourceList{
		corev1.ResourceRequestsCPU:              cpu,
		corev1.ResourceLimitsCPU:                *burst,
		corev1.ResourceRequestsMemory:           resource.MustParse(row.memory),
		corev1.ResourceLimitsMemory:             resource.MustParse(row.memory),
		corev1.ResourceRequestsEphemeralStorage: resource.MustParse(row.disk),
		corev1.ResourceLimitsEphemeralStorage:   resource.MustParse(row.disk),
		corev1.ResourceRequestsStorage:          resource.MustParse(row.storage),
		corev1.ResourcePersistentVolumeClaims:   *resource.NewQuantity(row.volumes, resource.DecimalSI),
		corev1.ResourcePods:                     *resource.NewQuantity(row.pods, resource.DecimalSI),
		corev1.ResourceServicesLoadBalancers:    *resource.NewQuantity(0, resource.DecimalSI),
		corev1.ResourceServicesNodePorts:        *resource.NewQuantity(0, resource.DecimalSI),
	}
}
