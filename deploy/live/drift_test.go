package live

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/render"
)

var report = Report{
	{
		Fleet: "prod", Unit: "acme", Object: "acme/Deployment/api", What: Changed, Path: `.spec.template.spec.containers[name="api"].image`,
		Golden: "api:1", Live: "api:2\n\x1b[2J", Manager: "kubectl-edit", Time: time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC),
	},
	{Fleet: "prod", Unit: "acme", Object: "acme/Deployment/api", What: Added, Path: ".spec.paused", Live: false},
	{Fleet: "prod", Unit: "acme", Object: "acme/Deployment/long", What: Removed, Path: ".spec.args", Golden: []any{strings.Repeat("<é>", 30)}},
	{Fleet: "prod", Unit: "acme", Object: "acme/Job/migrate", What: Refused, Path: ".spec.template", Reason: "field is immutable"},
	{Fleet: "prod", Unit: "wayne", Object: "Namespace/wayne", What: Unknown},
}

func TestReportAsTable(t *testing.T) {
	var out strings.Builder
	if err := report.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := `UNIT   OBJECT                WHAT     PATH                                              GOLDEN                                                        LIVE                  BY            SINCE
acme   acme/Deployment/api   changed  .spec.template.spec.containers[name="api"].image  "api:1"                                                       "api:2\n\u001b[2J"    kubectl-edit  2026-11-23T15:00:00Z
acme   acme/Deployment/api   added    .spec.paused                                      -                                                             false                 -             -
acme   acme/Deployment/long  removed  .spec.args                                        ["<é><é><é><é><é><é><é><é><é><é><é><é><é><é><é><é><é><é><é>…  -                     -             -
acme   acme/Job/migrate      refused  .spec.template                                    -                                                             "field is immutable"  -             -
wayne  Namespace/wayne       unknown  -                                                 -                                                             -                     -             -
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReportAsJSON(t *testing.T) {
	got, err := json.Marshal(report[:2])
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"fleet":"prod","unit":"acme","object":"acme/Deployment/api","what":"changed","path":".spec.template.spec.containers[name=\"api\"].image","golden":"api:1","live":"api:2\n\u001b[2J","manager":"kubectl-edit","time":"2026-11-23T15:00:00Z"},` +
		`{"fleet":"prod","unit":"acme","object":"acme/Deployment/api","what":"added","path":".spec.paused","live":false}]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSelectors(t *testing.T) {
	known := []render.Unit{{Name: "platform"}, {Name: "acme"}, {Name: "globex"}}
	for _, test := range []struct {
		units []render.Unit
		want  []string
	}{
		{known, []string{"tenantry.dev/tenant", "!tenantry.dev/tenant,app.kubernetes.io/managed-by=tenantry,app.kubernetes.io/part-of=prod"}},
		{known[:2], []string{"tenantry.dev/tenant in (platform,acme)", "!tenantry.dev/tenant,app.kubernetes.io/managed-by=tenantry,app.kubernetes.io/part-of=prod,app.kubernetes.io/instance in (platform,acme)"}},
	} {
		if diff := cmp.Diff(test.want, selectors("prod", test.units, known)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
