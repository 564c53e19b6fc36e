package runner

import (
	"bytes"
	"errors"
	"flag"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/tenants"
)

func TestCommandLine(t *testing.T) {
	for _, row := range []struct {
		reason string
		args   []string
		want   string // in the error; empty for none
	}{
		{"no command", nil, "unknown command"},
		{"an unknown command", []string{"apply", "-fleet", "prod"}, "unknown command"},
		{"no fleet", []string{"up"}, "-fleet is missing"},
		{"an unknown fleet", []string{"up", "-fleet", "nosuch"}, "no fleet"},
		{"an unknown unit", []string{"up", "-fleet", "prod", "nosuch"}, "no unit"},
		{"an unknown flag", []string{"up", "-force"}, "-force"},
		{"no unit at a time", []string{"up", "-fleet", "prod", "-parallel", "0"}, "at least 1"},
	} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), "../../golden", tenants.Fleets(), row.args, &stdout, &stderr)
		if _, wrong := errors.AsType[usageError](err); !wrong || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: got %v, want %q", row.reason, err, row.want)
		}
	}
	var stdout bytes.Buffer
	if err := run(t.Context(), "../../golden", tenants.Fleets(), []string{"up", "-h"}, &stdout, &stdout); !errors.Is(err, flag.ErrHelp) || !strings.Contains(stdout.String(), "example:") {
		t.Errorf("-h: %v %s", err, stdout.String())
	}
}

// TestWhatWasNotReviewedIsNotApplied stops before anything is asked of a cluster or of Pulumi.
func TestWhatWasNotReviewedIsNotApplied(t *testing.T) {
	fleets := tenants.Fleets()
	fleets[0].Tenants[0].API.Image = "registry.example.com/parametric_portal/api:unreviewed"
	var out bytes.Buffer
	err := run(t.Context(), "../../golden", fleets, []string{"up", "-fleet", "prod"}, &out, &out)
	if err == nil || !strings.Contains(err.Error(), "run make gen") || out.Len() > 0 {
		t.Errorf("got %v, printed %q", err, out.String())
	}
}

func TestEveryVariableIsNamedBeforeAnythingIsDone(t *testing.T) {
	_, err := fillAll(environ(map[string]string{MasterKey: master}), units(t))
	lacking, ok := errors.AsType[missing](err)
	if !ok || len(lacking) < 10 {
		t.Fatalf("got %v", err)
	}
	for i := range lacking[1:] {
		if lacking[i] >= lacking[i+1] {
			t.Errorf("%s is named twice, or out of order", lacking[i+1])
		}
	}
}

func TestErrorsShowNoSecret(t *testing.T) {
	hide := scrubber(map[string]map[string]string{"secret-a.yaml": {"key": canary, "longer": canary + "-and-more", "short": "a"}})
	got := hide.error(errors.New("the API server refused " + canary + "-and-more and " + canary + " at a port")).Error()
	if want := "the API server refused [secret] and [secret] at a port"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDiagnosisIsWhatWentWrong(t *testing.T) {
	log := "Updating (prod.acme):\n\nDiagnostics:\n  kubernetes:core/v1:Secret (acme/Secret/a):\n    error: refused\n    warning: using pulumi-resource-kubernetes from $PATH at /bin\n\nResources:\n    3 unchanged\n"
	if got, want := diagnosis(errors.New("exit status 255"), log).Error(), "kubernetes:core/v1:Secret (acme/Secret/a):\n    error: refused"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := diagnosis(errors.New("exit status 255"), "nothing").Error(); got != "exit status 255" {
		t.Errorf("got %q", got)
	}
}

func TestSummary(t *testing.T) {
	if got, want := summary(map[string]int{"same": 3, "create": 2, "read": 1}), "2 created, 3 same"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
