package cluster

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/tenantry/tenantry/render"
)

// simulated is the annotation of a node that kwok looks after, with the value "fake".
const simulated = "kwok.x-k8s.io/node"

// A Node is simulated: a pod that is bound to it is at once said to run.
type Node struct {
	Name   string
	Labels map[string]string // beside the host name, architecture and operating system
	Taints []corev1.Taint
	Room   corev1.ResourceList // for pods. Default: more than any test asks for
}

var zones = []string{"a", "b", "c"}

// DefaultNodes are three, in a zone each.
func DefaultNodes() []Node {
	var nodes []Node
	for _, zone := range zones {
		nodes = append(nodes, Node{Name: "node-" + zone, Labels: map[string]string{corev1.LabelTopologyZone: zone}})
	}
	return nodes
}

// Nodes are those that the fleet declares, spread over three zones. Where it declares none they are DefaultNodes, and
// as many for each tenant that wants its own.
func Nodes(fleet render.Fleet) []Node {
	var nodes []Node
	for _, p := range fleet.Cluster.Pools {
		for i := range int(p.Nodes) {
			n := Node{Name: fmt.Sprintf("%s-%d", p.Name, i), Labels: map[string]string{corev1.LabelTopologyZone: zones[i%len(zones)]}, Room: corev1.ResourceList{
				corev1.ResourceCPU:              resource.MustParse(string(p.CPU)),
				corev1.ResourceMemory:           resource.MustParse(string(p.Memory)),
				corev1.ResourceEphemeralStorage: resource.MustParse(string(p.Ephemeral)),
				corev1.ResourcePods:             *resource.NewQuantity(int64(p.Pods), resource.DecimalSI),
			}}
			maps.Copy(n.Labels, p.Labels)
			if p.Tenant != "" {
				n.reserve(p.Tenant)
			}
			nodes = append(nodes, n)
		}
	}
	if len(nodes) > 0 {
		return nodes
	}
	nodes = DefaultNodes()
	for _, tenant := range fleet.Tenants {
		if _, ok := tenant.Placement.(render.DedicatedNodes); !ok {
			continue
		}
		for _, n := range DefaultNodes() {
			n.Name += "-" + tenant.Name
			n.reserve(tenant.Name)
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// reserve keeps the node for the pods of one tenant.
func (n *Node) reserve(tenant string) {
	n.Labels[render.TenantLabel] = tenant
	n.Taints = []corev1.Taint{{Key: render.TenantLabel, Value: tenant, Effect: corev1.TaintEffectNoSchedule}}
}

// controllersWork fails until the controller manager has done the first thing that pods wait for.
func controllersWork(ctx context.Context, client kubernetes.Interface) error {
	_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

// addNodes creates the nodes that are not there and fails until all are ready for pods.
func addNodes(ctx context.Context, client kubernetes.Interface, nodes []Node) error {
	for _, n := range nodes {
		if n.Room == nil {
			n.Room = room()
		}
		labels := map[string]string{corev1.LabelHostname: n.Name, corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux"}
		maps.Copy(labels, n.Labels)
		node, err := client.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		if errors.IsNotFound(err) {
			node, err = client.CoreV1().Nodes().Create(ctx, &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: labels, Annotations: map[string]string{simulated: "fake"}},
				Spec:       corev1.NodeSpec{Taints: n.Taints},
				Status:     corev1.NodeStatus{Capacity: n.Room, Allocatable: n.Room},
			}, metav1.CreateOptions{})
		}
		if err != nil {
			return err
		}
		if len(node.Spec.Taints) > len(n.Taints) || !ready(node) {
			return fmt.Errorf("node %s is not ready", n.Name)
		}
	}
	return nil
}

// room is more than any test asks for.
func room() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("1k"),
		corev1.ResourceMemory:           resource.MustParse("1Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("10Ti"),
		corev1.ResourcePods:             resource.MustParse("1k"),
	}
}

func ready(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
