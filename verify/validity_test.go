package verify

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// TestValidity loads one wrong object after the other.
func TestValidity(t *testing.T) {
	for _, row := range []struct{ reason, text, rule, field, message string }{
		{
			"a value outside an enumeration",
			"apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  namespace: acme\nspec:\n  type: Nowhere\n  ports:\n  - port: 80\n",
			"validity/schema", "spec.type", "",
		},
		{
			"an unknown field of a custom resource",
			"apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata:\n  name: a\n  namespace: acme\nspec:\n  instances: 1\n  storag:\n    size: 1Gi\n",
			"validity/schema", "spec.storag", "",
		},
		{
			"a deprecated API",
			"apiVersion: v1\nkind: Endpoints\nmetadata:\n  name: a\n  namespace: acme\n",
			"validity/deprecated", "apiVersion", "deprecated since Kubernetes 1.33",
		},
	} {
		t.Run(row.reason, func(t *testing.T) {
			fleets, err := Load(fstest.MapFS{"prod/acme/file.yaml": {Data: []byte(row.text)}})
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, f := range Check(fleets, nil, time.Now()).Findings {
				found = found || f.Rule == row.rule && f.Field == row.field && f.Remedy != "" && strings.Contains(f.Message, row.message) && f.Line > 0
			}
			if !found {
				t.Errorf("no finding of %s at %s", row.rule, row.field)
			}
		})
	}
	fleets := []Fleet{{Name: "prod", Facts: Facts{Kubernetes: "1.2"}, Units: []Unit{{Name: "platform"}}}}
	told := 0
	for _, f := range Check(fleets, nil, time.Now()).Findings {
		if strings.HasPrefix(f.Rule, "validity/") && strings.Contains(f.Message, "1.37") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("an unknown version of Kubernetes is told %d times", told)
	}
}
