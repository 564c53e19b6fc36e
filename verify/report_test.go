package verify

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// openCollector is an example fleet in which anybody reaches the collector's pods on its port.
func openCollector(t *testing.T) Fleet {
	t.Helper()
	f := examples(t)[0]
	p := f.policy("platform", "networkpolicy-collector.yaml").DeepCopy()
	p.Spec.Ingress[0].From = []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}
	return f.with("platform", "networkpolicy-collector.yaml", p)
}

func TestReportText(t *testing.T) {
	var out bytes.Buffer
	if err := Check([]Fleet{openCollector(t)}, nil, today).WriteText(&out, "golden"); err != nil {
		t.Fatal(err)
	}
	want := `golden/prod/platform/networkpolicy-collector.yaml:43: network/platform: any pod in another-namespace reaches collector in platform: TCP 4318 (and 11 more paths)
    in spec.ingress[0] of NetworkPolicy/collector
    remedy: narrow the rule to the pods and ports that it is for, or declare the path in the fleet's values
1 finding, 0 exceptions; 232 rules in CEL of the custom resources' definitions are left to the API server
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestExceptions(t *testing.T) {
	good := Exception{Rule: "network/platform", Fleet: "prod", Unit: "platform", Object: "NetworkPolicy/collector", Why: "a migration", Until: "2026-11-23"}
	for _, test := range []struct {
		why      string
		change   func(*Exception)
		excepted int
		findings []string
	}{
		{"it holds on its last day", func(*Exception) {}, 1, nil},
		{"its day is over", func(e *Exception) { e.Until = "2026-11-22" }, 0, []string{"network/platform", "verify/exception"}},
		{"it has no day", func(e *Exception) { e.Until = "soon" }, 0, []string{"network/platform", "verify/exception"}},
		{"it has no reason", func(e *Exception) { e.Why = "" }, 0, []string{"network/platform", "verify/exception"}},
		{"it names no rule", func(e *Exception) { e.Rule = "network" }, 0, []string{"network/platform", "verify/exception"}},
		{"it is for another rule", func(e *Exception) { e.Rule = "network/inside" }, 0, []string{"network/platform", "verify/exception"}},
		{"it is for another unit", func(e *Exception) { e.Unit = "acme" }, 0, []string{"network/platform", "verify/exception"}},
		{"it is for another fleet", func(e *Exception) { e.Fleet = "staging" }, 0, []string{"network/platform", "verify/exception"}},
		{"it is for another object", func(e *Exception) { e.Object = "NetworkPolicy/garage" }, 0, []string{"network/platform", "verify/exception"}},
	} {
		e := good
		test.change(&e)
		r := Check([]Fleet{openCollector(t)}, []Exception{e}, today)
		var rules []string
		for _, f := range r.Findings {
			rules = append(rules, f.Rule)
		}
		slices.Sort(rules)
		if len(r.Excepted) != test.excepted || !slices.Equal(rules, test.findings) {
			t.Errorf("%s: %d excepted, findings of %v; want %d and %v", test.why, len(r.Excepted), rules, test.excepted, test.findings)
		}
	}
}

// TestExceptionOfOneAmongAlike excepts one of two tenants that have the same finding.
func TestExceptionOfOneAmongAlike(t *testing.T) {
	f := many(t, 3, false)
	for _, tenant := range []string{"tenant-0000", "tenant-0001", "tenant-0002"} {
		f = f.with(tenant, "networkpolicy-default-deny.yaml", nil)
	}
	r := Check([]Fleet{f}, nil, today)
	if len(r.Findings) != 1 || r.Findings[0].Unit != "tenant-0000" || !slices.Equal(r.Findings[0].Alike, []string{"tenant-0001", "tenant-0002"}) {
		t.Fatalf("%+v", r.Findings)
	}
	r = Check([]Fleet{f}, []Exception{{
		Rule: "network/default-deny", Fleet: "prod", Unit: "tenant-0000", Object: "NetworkPolicy/default-deny", Why: "a trial", Until: "2027-01-01",
	}, {
		Rule: "network/default-deny", Fleet: "prod", Unit: "tenant-0001", Object: "NetworkPolicy/default-deny", Why: "a trial", Until: "2027-01-01",
	}}, today)
	if len(r.Findings) != 1 || r.Findings[0].Unit != "tenant-0002" || len(r.Excepted) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestReportJSON(t *testing.T) {
	e := Exception{Rule: "network/platform", Fleet: "prod", Unit: "platform", Object: "NetworkPolicy/collector", Why: "a migration", Until: "2026-12-31"}
	for _, exceptions := range [][]Exception{nil, {e}} {
		var out bytes.Buffer
		report := Check([]Fleet{openCollector(t)}, exceptions, today)
		if err := report.WriteJSON(&out); err != nil {
			t.Fatal(err)
		}
		var read Report
		decoder := json.NewDecoder(&out)
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&read); err != nil {
			t.Fatal(err)
		}
		if read.Findings == nil || read.Excepted == nil || len(read.Capacity) != 1 || read.CEL == 0 || len(read.Excepted) != len(exceptions) || len(read.Findings) != 1-len(exceptions) {
			t.Errorf("%+v", read)
		}
	}
}

func TestReportSARIF(t *testing.T) {
	e := Exception{Rule: "network/platform", Fleet: "prod", Unit: "platform", Object: "NetworkPolicy/collector", Why: "a migration", Until: "2026-12-31"}
	f := openCollector(t).with("acme", "networkpolicy-default-deny.yaml", nil)
	var out bytes.Buffer
	if err := Check([]Fleet{f}, []Exception{e}, today).WriteSARIF(&out, "golden"); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	rules, results := log.Runs[0].Tool.Driver.Rules, log.Runs[0].Results
	if log.Version != "2.1.0" || len(rules) != len(Rules()) || len(results) != 2 {
		t.Fatalf("%s", out.String())
	}
	for _, r := range results {
		if rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("%s is at %d", r.RuleID, r.RuleIndex)
		}
	}
	if at := results[0].Locations[0].Physical; at.Artifact.URI != "golden/prod/acme" || at.Region.StartLine != 1 || results[0].Suppressions != nil {
		t.Errorf("%+v", results[0])
	}
	if s := results[1].Suppressions; len(s) != 1 || s[0].Justification != "a migration (until 2026-12-31)" {
		t.Errorf("%+v", results[1])
	}
}

func TestRules(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Rules() {
		if seen[r.ID] || r.ID == "" || !strings.HasSuffix(r.Protects, ".") {
			t.Errorf("%+v", r)
		}
		seen[r.ID] = true
	}
}

func TestUnknownKind(t *testing.T) {
	f := examples(t)[0]
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": map[string]any{"name": "x", "namespace": "acme"}}}
	f = f.with("acme", "configmap-settings.yaml", u)
	found := Check([]Fleet{f}, nil, today).Findings
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Rule == "verify/unknown-kind" && f.Object == "ScaledObject/x" }) {
		t.Errorf("%+v", found)
	}
}

func TestHostNetwork(t *testing.T) {
	f := examples(t)[0]
	p := &corev1.Pod{Spec: corev1.PodSpec{HostNetwork: true}}
	p.APIVersion, p.Kind, p.Name, p.Namespace = "v1", "Pod", "x", "acme"
	f = f.with("acme", "configmap-settings.yaml", p)
	// It reaches everything, which is told of once.
	found := networkFindings(f)
	if len(found) != 1 || found[0].Rule != "network/host-network" || found[0].Object != "Pod/x" || found[0].Field != "spec.hostNetwork" {
		t.Errorf("%+v", found)
	}
}

func TestReachability(t *testing.T) {
	f := examples(t)[0]
	r := Reach(&f)
	var text, tree, picture bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteJSON(&tree), r.WriteSVG(&picture)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"api of acme | its cache | TCP 6379 | application egress[1], cache ingress[0]",
		"api of acme | internet 198.51.100.25 | TCP 587 | application egress[5]",
		"api of globex | private 10.80.0.16/28 | TCP 6379, 26379 | application egress[1]",
		"database of acme, stark, umbrella | API servers 10.0.0.10-10.0.0.12 | TCP 6443 | database egress[0]",
		"garage in platform | garage in platform | TCP 3901 | garage egress[0], garage ingress[1]",
		"any pod in backoffice | api of hooli | TCP 4000 | api ingress[0]",
		"cloudnative-pg in cnpg-system | database of acme, hooli, stark and 1 more | TCP 5432, 8000 | database ingress[1]",
		"prometheus in monitoring | api of umbrella | TCP 9464 | api ingress[1]",
	} {
		found := false
		for line := range strings.Lines(text.String()) {
			var cells []string
			for cell := range strings.SplitSeq(line, "  ") {
				if cell = strings.TrimSpace(cell); cell != "" {
					cells = append(cells, cell)
				}
			}
			found = found || strings.Join(cells, " | ") == want
		}
		if !found {
			t.Errorf("no line says %s", want)
		}
	}
	if strings.Contains(text.String(), "other tenants") || strings.Contains(text.String(), "metadata") {
		t.Errorf("a tenant reaches what none should:\n%s", text.String())
	}
	var read Reachability
	if err := json.Unmarshal(tree.Bytes(), &read); err != nil || len(read.Senders) != len(r.Senders) {
		t.Errorf("%v: %d senders of %d", err, len(read.Senders), len(r.Senders))
	}
	decoder := xml.NewDecoder(&picture)
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// TestReachabilityStaysReadable draws tenants that differ in an address only as one.
func TestReachabilityStaysReadable(t *testing.T) {
	f := many(t, 60, true)
	r := Reach(&f)
	if n := len(r.Senders); n > 12 {
		t.Errorf("60 tenants alike make %d rows", n)
	}
	for _, s := range r.Senders {
		for _, to := range s.Reaches {
			if to.Traffic == "TCP 587" && len(to.Ranges) == 0 {
				t.Errorf("the tenants' addresses are lost: %+v", to)
			}
		}
	}
}

func TestReachabilityShowsWhatIsWrong(t *testing.T) {
	f := examples(t)[0].open()
	r := Reach(&f)
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"of other tenants", "metadata", "no policy binds it"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table does not say %q", want)
		}
	}
}
