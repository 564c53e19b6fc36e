// Package clustertest starts control planes for tests.
package clustertest

import (
	"testing"

	"github.com/tenantry/tenantry/local/cluster"
	"github.com/tenantry/tenantry/local/crds"
)

// Start starts a control plane that ends with the test. Its progress goes to the test's output.
func Start(t testing.TB, o cluster.Options) *cluster.Cluster {
	t.Helper()
	o.Progress = t.Output()
	c, err := cluster.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// WithDefinitions is Start with the custom resources that tenants use.
func WithDefinitions(t testing.TB, o cluster.Options) *cluster.Cluster {
	t.Helper()
	c := Start(t, o)
	if err := crds.Install(t.Context(), c.Config()); err != nil {
		t.Fatal(err)
	}
	return c
}
