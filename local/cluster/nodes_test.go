package cluster

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/tenantry/tenantry/render"
)

func TestNodes(t *testing.T) {
	own := render.Tenant{Name: "acme", Placement: render.DedicatedNodes{}}
	other := render.Tenant{Name: "globex", Placement: render.SharedNodes{}}
	pools := []render.Pool{
		{Name: "shared", Nodes: 2, CPU: "4", Memory: "16Gi", Ephemeral: "50Gi", Pods: 110},
		{Name: "big", Nodes: 1, CPU: "8", Memory: "32Gi", Ephemeral: "50Gi", Pods: 50, Tenant: "acme"},
	}
	for _, row := range []struct {
		why   string
		fleet render.Fleet
		want  []string
	}{
		{"nothing is declared", render.Fleet{Tenants: []render.Tenant{other}}, []string{"node-a a  false", "node-b b  false", "node-c c  false"}},
		{"a tenant wants its own", render.Fleet{Tenants: []render.Tenant{own}}, []string{
			"node-a a  false", "node-b b  false", "node-c c  false", "node-a-acme a acme false", "node-b-acme b acme false", "node-c-acme c acme false",
		}},
		{"pools are declared", render.Fleet{Tenants: []render.Tenant{own, other}, Cluster: render.Cluster{Pools: pools}}, []string{
			"shared-0 a  true", "shared-1 b  true", "big-0 a acme true",
		}},
	} {
		var got []string
		for _, n := range Nodes(row.fleet) {
			tenant := n.Labels[render.TenantLabel]
			if len(n.Taints) > 0 != (tenant != "") || tenant != "" && n.Taints[0].Value != tenant {
				t.Errorf("%s: %s has the taints %v", row.why, n.Name, n.Taints)
			}
			got = append(got, fmt.Sprintf("%s %s %s %t", n.Name, n.Labels[corev1.LabelTopologyZone], tenant, n.Room != nil))
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", row.why, diff)
		}
	}
}
