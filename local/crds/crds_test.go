package crds

import (
	"slices"
	"strings"
	"testing"
)

func TestLoad(t *testing.T) {
	definitions, err := Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range definitions {
		names = append(names, d.GetName())
	}
	for _, want := range []string{
		"backendtrafficpolicies.gateway.envoyproxy.io",
		"certificates.cert-manager.io",
		"clusters.postgresql.cnpg.io",
		"dnsendpoints.externaldns.k8s.io",
		"externalsecrets.external-secrets.io",
		"listenersets.gateway.networking.k8s.io",
		"objectstores.barmancloud.cnpg.io",
		"podmonitors.monitoring.coreos.com",
		"prometheusrules.monitoring.coreos.com",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in %v", want, names)
		}
	}
}

func TestSum(t *testing.T) {
	pinned := sources[0].sum
	t.Cleanup(func() { sources[0].sum = pinned })
	sources[0].sum = "h1:another"
	if _, err := Load(t.Context()); err == nil || !strings.Contains(err.Error(), "has the sum "+pinned) {
		t.Errorf("content that is not what is pinned: %v", err)
	}
}
