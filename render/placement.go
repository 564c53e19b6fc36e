package render

import corev1 "k8s.io/api/core/v1"

// Placement is where the tenant's pods run.
//
//sumtype:decl
type Placement interface {
	validatePlacement(*checker)
	lowerPlacement(tenant string) nodes
}

// SharedNodes are the nodes of everybody.
type SharedNodes struct{}

// DedicatedNodes are nodes that carry the label and the taint tenantry.dev/tenant=<name>. No other
// tenant's pods run there, and the tenant's run nowhere else.
type DedicatedNodes struct{}

// Sandboxed runs the application's pods on everybody's nodes behind a kernel of their own (gVisor, Kata).
// The database and the cache, whose images are the platform's choice, run as they do elsewhere.
type Sandboxed struct{}

var (
	_ Placement = SharedNodes{}
	_ Placement = DedicatedNodes{}
	_ Placement = Sandboxed{}
)

// nodes is what a pod says about where it runs. runtimeClass applies to the application's pods alone.
type nodes struct {
	selector     map[string]string
	tolerations  []corev1.Toleration
	runtimeClass *string
}

const sandboxClass = "sandboxed"

func (SharedNodes) validatePlacement(*checker) {}

func (SharedNodes) lowerPlacement(string) nodes { return nodes{} }

func (DedicatedNodes) validatePlacement(*checker) {}

func (DedicatedNodes) lowerPlacement(tenant string) nodes {
	return nodes{
		selector:    map[string]string{TenantLabel: tenant},
		tolerations: []corev1.Toleration{{Key: TenantLabel, Operator: corev1.TolerationOpEqual, Value: tenant, Effect: corev1.TaintEffectNoSchedule}},
	}
}

func (Sandboxed) validatePlacement(*checker) {}

func (Sandboxed) lowerPlacement(string) nodes { return nodes{runtimeClass: new(sandboxClass)} }
