package render

import (
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
)

// A Pool is nodes of the cluster that are alike. Nothing is rendered of it: gen verify holds what the fleet asks
// for against it.
type Pool struct {
	Name  string
	Nodes int32
	// Spare is the headroom: how many of the nodes may be away at a time, drained or broken, while every pod still
	// finds a place on the others. Default 1, and none of a single node.
	Spare int32
	// What one node has for pods: what kubectl describe node calls allocatable, less what daemons ask for that no
	// fleet renders.
	CPU       Quantity
	Memory    Quantity
	Ephemeral Quantity
	Pods      int32 // 110, unless the kubelet is told otherwise
	// Tenant is the one that the nodes are for, by DedicatedNodes: they carry the label and the taint
	// tenantry.dev/tenant=<name>. Empty: everybody's.
	Tenant string
	// Labels are what else pods select the nodes by, such as kubernetes.io/arch: arm64.
	Labels map[string]string
}

func (c *checker) pools(list []Pool) {
	names := map[string]bool{}
	for i, p := range list {
		at := c.item(i)
		at.at("name").label(p.Name)
		if names[p.Name] {
			at.at("name").duplicate(p.Name)
		}
		names[p.Name] = true
		if p.Nodes < 1 || p.Nodes > 10_000 {
			at.at("nodes").invalid(p.Nodes, "must be from 1 to 10000: how many nodes there are")
		} else if p.Spare < 0 || p.Spare >= p.Nodes {
			at.at("spare").invalid(p.Spare, "must not be negative, and less than nodes: one has to stay")
		}
		if p.CPU == "" {
			at.at("cpu").required("a number of CPUs such as 7500m")
		}
		at.at("cpu").cpu(p.CPU)
		at.at("memory").bytes(p.Memory, leastMemory)
		at.at("ephemeral").bytes(p.Ephemeral, leastDisk)
		if p.Pods < 1 {
			at.at("pods").invalid(p.Pods, "must be how many pods a node takes: 110, unless the kubelet is told otherwise")
		}
		if p.Tenant != "" {
			for _, msg := range validation.IsDNS1123Label(p.Tenant) {
				at.at("tenant").invalid(p.Tenant, msg)
			}
		}
		*c.errs = append(*c.errs, metav1validation.ValidateLabels(p.Labels, at.path.Child("labels"))...)
		if _, set := p.Labels[TenantLabel]; set {
			at.at("labels").forbidden("say whose the nodes are by tenant, which stands for the label and the taint")
		}
	}
}
