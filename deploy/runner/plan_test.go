package runner

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/tenantry/tenantry/render"
)

func urn(token, name string) string { return "urn:pulumi:prod.acme::tenantry::" + token + "::" + name }

func stepEvent(op apitype.OpType, token, name string, before, after *apitype.StepEventStateMetadata) apitype.EngineEvent {
	return apitype.EngineEvent{ResourcePreEvent: &apitype.ResourcePreEvent{Metadata: apitype.StepEventMetadata{
		Op: op, URN: urn(token, name), Type: token, Old: before, New: after, Keys: []string{"spec.serviceName"},
	}}}
}

func failure(token, name, message string) apitype.EngineEvent {
	return apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{URN: urn(token, name), Severity: "error", Message: "<{%reset%}>" + message + "<{%reset%}>\n"}}
}

func sized(size string) *apitype.StepEventStateMetadata {
	return &apitype.StepEventStateMetadata{Protect: true, Inputs: map[string]any{"spec": map[string]any{
		"storage": map[string]any{"size": size}, "volumeClaimTemplates": []any{map[string]any{"requests": map[string]any{"storage": size}}},
	}}}
}

const (
	set     = "kubernetes:apps/v1:StatefulSet"
	cluster = "kubernetes:postgresql.cnpg.io/v1:Cluster"
	deploy  = "kubernetes:apps/v1:Deployment"
)

// TestPlans says for each plan whether it may be carried out, and what a person is told if not.
func TestPlans(t *testing.T) {
	plainState, protected := &apitype.StepEventStateMetadata{}, &apitype.StepEventStateMetadata{Protect: true}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		reason       string
		events       []apitype.EngineEvent
		acknowledged []render.Acknowledgement
		refusal      string // part of it; empty for none
		diagnosis    string
	}{
		{"nothing", nil, nil, "", ""},
		{"a new StatefulSet", []apitype.EngineEvent{stepEvent(apitype.OpCreate, set, "acme/StatefulSet/cache", nil, plainState)}, nil, "", ""},
		{"a Deployment replaced", []apitype.EngineEvent{stepEvent(apitype.OpReplace, deploy, "acme/Deployment/api", plainState, plainState)}, nil, "", ""},
		{"a StatefulSet deleted", []apitype.EngineEvent{stepEvent(apitype.OpDelete, set, "acme/StatefulSet/cache", plainState, nil)}, nil, "acme/StatefulSet/cache would be deleted", ""},
		{
			"a StatefulSet replaced",
			[]apitype.EngineEvent{
				stepEvent(apitype.OpCreateReplacement, set, "acme/StatefulSet/cache", protected, protected),
				stepEvent(apitype.OpReplace, set, "acme/StatefulSet/cache", protected, protected),
				failure(set, "acme/StatefulSet/cache", `unable to replace resource "x" as it is currently marked for protection. To unprotect`),
				{DiagnosticEvent: &apitype.DiagnosticEvent{Severity: "error", Message: "<{%reset%}>preview failed<{%reset%}>\n"}},
			},
			nil, "acme/StatefulSet/cache would be replaced because spec.serviceName cannot be changed in place", "",
		},
		{
			"a kind that nobody calls stateful any more, but Pulumi's state protects",
			[]apitype.EngineEvent{stepEvent(apitype.OpDelete, deploy, "acme/Deployment/api", protected, nil)},
			nil, "acme/Deployment/api would be deleted", "",
		},
		{
			"an acknowledged loss",
			[]apitype.EngineEvent{stepEvent(apitype.OpReplace, set, "acme/StatefulSet/cache", protected, protected)},
			[]render.Acknowledgement{{Object: "acme/StatefulSet/cache", Loss: render.Replaced, Until: "2026-11-23"}},
			"", "",
		},
		{
			"an acknowledgement that has ended",
			[]apitype.EngineEvent{stepEvent(apitype.OpReplace, set, "acme/StatefulSet/cache", protected, protected)},
			[]render.Acknowledgement{{Object: "acme/StatefulSet/cache", Loss: render.Replaced, Until: "2026-11-22"}},
			"would be replaced", "",
		},
		{
			"an acknowledgement of another loss",
			[]apitype.EngineEvent{stepEvent(apitype.OpDelete, set, "acme/StatefulSet/cache", protected, nil)},
			[]render.Acknowledgement{{Object: "acme/StatefulSet/cache", Loss: render.Replaced, Until: "2026-12-31"}},
			"would be deleted", "",
		},
		{"a grown volume", []apitype.EngineEvent{stepEvent(apitype.OpUpdate, cluster, "acme/Cluster/database", sized("10Gi"), sized("20Gi"))}, nil, "", ""},
		{"a volume written otherwise", []apitype.EngineEvent{stepEvent(apitype.OpUpdate, cluster, "acme/Cluster/database", sized("1Gi"), sized("1024Mi"))}, nil, "", ""},
		{"a shrunken volume", []apitype.EngineEvent{stepEvent(apitype.OpUpdate, cluster, "acme/Cluster/database", sized("20Gi"), sized("10Gi"))}, nil, "", "becomes smaller"},
		{"a refusal by the API server", []apitype.EngineEvent{failure(deploy, "acme/Deployment/api", "quota exceeded")}, nil, "", "acme/Deployment/api: quota exceeded"},
	} {
		t.Run(row.reason, func(t *testing.T) {
			p := &plan{}
			for _, e := range row.events {
				p.read(e)
			}
			got := ""
			if err := p.refusal(render.Fleet{Name: "prod", Acknowledged: row.acknowledged}, now); err != nil {
				got = err.Error()
			}
			if (got == "") != (row.refusal == "") || !strings.Contains(got, row.refusal) {
				t.Errorf("refusal %q, want %q", got, row.refusal)
			}
			if got != "" && (strings.Count(got, "Object: ") != 1 || !strings.Contains(got, "Until: \"2026-11-30\"")) {
				t.Errorf("the remedy is not one line to paste: %s", got)
			}
			if got := strings.Join(p.diagnostics, "\n"); (got == "") != (row.diagnosis == "") || !strings.Contains(got, row.diagnosis) {
				t.Errorf("diagnosis %q, want %q", got, row.diagnosis)
			}
		})
	}
}

// TestAReplacementIsOneStep reads the three parts of which Pulumi tells, in any order.
func TestAReplacementIsOneStep(t *testing.T) {
	p := &plan{}
	for _, op := range []apitype.OpType{apitype.OpDeleteReplaced, apitype.OpReplace, apitype.OpCreateReplacement} {
		p.read(stepEvent(op, deploy, "acme/Deployment/api", &apitype.StepEventStateMetadata{}, nil))
	}
	p.read(stepEvent(apitype.OpSame, "pulumi:pulumi:Stack", "tenantry-prod.acme", nil, nil))
	if len(p.steps) != 1 || p.steps[0] != (step{"replace", "acme/Deployment/api"}) {
		t.Errorf("got %v", p.steps)
	}
}

// TestAReplacementIsToldOnce reads the same, when it is done.
func TestAReplacementIsToldOnce(t *testing.T) {
	var out bytes.Buffer
	c := &call{report: newReporter("prod", &out, &out, true)}
	for _, op := range []apitype.OpType{apitype.OpDeleteReplaced, apitype.OpReplace, apitype.OpCreateReplacement} {
		c.follow("acme", nil, apitype.EngineEvent{ResOutputsEvent: &apitype.ResOutputsEvent{Metadata: apitype.StepEventMetadata{Op: op, URN: urn(deploy, "acme/Deployment/api")}}})
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"op":"replace","object":"acme/Deployment/api"`) {
		t.Errorf("got %s", got)
	}
}

// TestWhatPulumiWaitsForIsSaid, without secrets; that it waits no longer is an empty text.
func TestWhatPulumiWaitsForIsSaid(t *testing.T) {
	var out bytes.Buffer
	c := &call{report: newReporter("prod", &out, &out, true)}
	for _, text := range []string{"<{%reset%}>Retry #1; creation failed: " + canary + "<{%reset%}>", "<{%reset%}><{%reset%}>\n"} {
		c.follow("acme", hider{canary}, apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{URN: urn(deploy, "acme/Deployment/api"), Ephemeral: true, Message: text}})
	}
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"object":"acme/Deployment/api","text":"Retry #1; creation failed: [secret]"`) {
		t.Errorf("got %s", got)
	}
}
