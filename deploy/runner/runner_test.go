package runner

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

func TestCommandLine(t *testing.T) {
	for _, row := range []struct {
		reason string
		args   []string
		want   string // in the error; empty for none
	}{
		{"no command", nil, "the command is missing: there are preview, up, drift"},
		{"an unknown command", []string{"apply", "-fleet", "prod"}, "there is no command \"apply\", but preview, up, drift"},
		{"a flag before the command", []string{"-fleet", "prod", "preview"}, "-fleet stands before the command, which comes first: preview, up, drift"},
		{"no fleet", []string{"up"}, "-fleet is missing: there are staging, prod, tower"},
		{"an unknown fleet", []string{"up", "-fleet", "nosuch"}, "there is no fleet \"nosuch\", but staging, prod, tower"},
		{"an unknown unit", []string{"up", "-fleet", "prod", "nosuch"}, "the fleet prod has no unit \"nosuch\", but platform, acme, globex, hooli, initech, stark, umbrella"},
		{"a unit that looks like a flag", []string{"up", "-fleet", "prod", "--", "-all"}, "the fleet prod has no unit \"-all\""},
		{"an unknown flag after a unit", []string{"up", "-fleet", "prod", "acme", "-force"}, "-force"},
		{"a unit that Flux delivers", []string{"up", "-fleet", "prod", "acme", "stark"}, "Flux delivers prod.stark"},
		{"a unit that Flux delivers and golden has", []string{"destroy", "-fleet", "prod", "stark"}, "tenants/ still has stark"},
		{"an unknown flag", []string{"up", "-force"}, "-force"},
		{"an unknown ring", []string{"up", "-fleet", "prod", "-through", "late"}, "the fleet prod has no ring \"late\", but platform, canary, early, everyone"},
		{"a ring and a unit", []string{"up", "-fleet", "prod", "-through", "canary", "acme"}, "-through is for a whole fleet: leave out acme"},
		{"a ring to look at", []string{"drift", "-fleet", "prod", "-through", "canary"}, "drift takes no -through, but -fleet, -format"},
		{"what drift does not repair", []string{"drift", "-fleet", "prod", "-repair", "acme"}, "drift takes no -repair"},
		{"a lock to look at", []string{"preview", "-break-lock", "-fleet", "prod"}, "preview takes no -break-lock"},
		{"nothing to wait for", []string{"preview", "-fleet", "prod", "-wait", "1m"}, "preview takes no -wait"},
		{"a flag that says what is so anyway", []string{"destroy", "-fleet", "prod", "-all=false", "acme"}, "destroy takes no -all"},
		{"the stages of one fleet", []string{"stages", "-fleet", "prod"}, "stages takes no flags: leave out -fleet"},
		{"the stages of a unit", []string{"stages", "extra"}, "extra argument \"extra\""},
		{"a report of a fleet", []string{"report", "events.json", "-format", "json"}, "report takes no flags"},
		{"a report of nothing", []string{"report"}, "report wants"},
		{"no unit at a time", []string{"up", "-fleet", "prod", "-parallel", "0"}, "at least 1"},
		{"a time without a unit", []string{"up", "-fleet", "prod", "-wait", "5"}, "want a duration, such as 10m"},
		{"a format", []string{"up", "-fleet", "prod", "-format", "yaml"}, "-format must be text or json"},
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

func TestFlagsStandAnywhereAfterTheCommand(t *testing.T) {
	for _, args := range []string{"-all -fleet prod acme hooli", "acme -fleet prod hooli -all", "acme -fleet prod -all -- hooli"} {
		c, err := parse(tenants.Fleets(), append([]string{"up"}, strings.Fields(args)...), io.Discard)
		if err != nil || c.name != "prod" || !c.all || strings.Join(c.names, " ") != "acme hooli" {
			t.Errorf("%s: %v, %+v", args, err, c)
		}
	}
}

func TestStages(t *testing.T) {
	var stdout bytes.Buffer
	if err := run(t.Context(), "", tenants.Fleets(), []string{"stages"}, &stdout, &stdout); err != nil {
		t.Fatal(err)
	}
	want := `[{"fleet":"staging","ring":"platform"},{"fleet":"staging","ring":"everyone"},{"fleet":"prod","ring":"platform"},{"fleet":"prod","ring":"canary"},{"fleet":"prod","ring":"early"},{"fleet":"prod","ring":"everyone"}]` + "\n"
	if got := stdout.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestThroughARing(t *testing.T) {
	fleets := tenants.Fleets()
	all, err := render.Units(fleets)
	if err != nil {
		t.Fatal(err)
	}
	for through, want := range map[string]string{
		"platform": "platform",
		"canary":   "platform hooli",
		"early":    "platform hooli initech",
		"everyone": "platform acme globex hooli initech umbrella",
		"":         "platform acme globex hooli initech umbrella",
	} {
		c := &call{verb: "up", name: "prod", through: through}
		chosen, err := c.choose(fleets, all)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(chosen); got != want {
			t.Errorf("%q: got %s, want %s", through, got, want)
		}
	}
}

// TestAFailureIsAnEvent: who reads the events alone learns why nothing was begun.
func TestAFailureIsAnEvent(t *testing.T) {
	fleets := tenants.Fleets()
	fleets[0].Tenants[0].API.Image = "registry.example.com/parametric_portal/api:unreviewed"
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), "../../golden", fleets, []string{"up", "-fleet", "prod", "-format", "json"}, &stdout, &stderr)
	var e Event
	if json.Unmarshal(stdout.Bytes(), &e) != nil || err == nil || e.Event != "failed" || e.Fleet != "prod" || e.Error != err.Error() {
		t.Errorf("got %v, printed %q", err, stdout.String())
	}
}

func TestWhatFluxDeliversIsLeftToIt(t *testing.T) {
	fleets := tenants.Fleets()
	all, err := render.Units(fleets)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ verb, fleet, chosen, pulled string }{
		{"up", "prod", "platform acme globex hooli initech umbrella", "stark"},
		{"recover", "prod", "platform acme globex hooli initech umbrella", "stark"},
		{"drift", "prod", "platform acme globex hooli initech stark umbrella", ""},
		{"up", "staging", "platform acme globex hooli initech umbrella", ""},
		{"preview", "tower", "", "platform stark"},
		{"drift", "tower", "", "platform stark"},
	} {
		c := &call{verb: row.verb, name: row.fleet}
		chosen, err := c.choose(fleets, all)
		if err != nil || names(chosen) != row.chosen || strings.Join(c.pulled, " ") != row.pulled {
			t.Errorf("%s of %s: %v, %q, left to Flux: %q", row.verb, row.fleet, err, names(chosen), c.pulled)
		}
	}
	// Nothing is asked of a cluster that only Flux reaches.
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	for _, verb := range []string{"preview", "up", "drift", "recover"} {
		var stdout, stderr bytes.Buffer
		err := run(t.Context(), "../../golden", fleets, []string{verb, "-fleet", "tower"}, &stdout, &stderr)
		if err != nil || stderr.String() != "left to Flux, which delivers them: platform, stark\n" || stdout.Len() > 0 {
			t.Errorf("%s: %v, printed %q and %q", verb, err, stdout.String(), stderr.String())
		}
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
	_, err := environ(map[string]string{MasterKey: master}).fill(units(t)...)
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
	const lines = canary + "\nsecond line"
	hide := scrubber(map[string]map[string]string{"secret-a.yaml": {"key": canary, "longer": canary + "-and-more", "short": "a", "lines": lines}})
	for said, want := range map[string]string{
		canary + "-and-more and " + canary + " at a port":            "[secret] and [secret] at a port",
		"data: " + base64.StdEncoding.EncodeToString([]byte(canary)): "data: [secret]",
		`{"stringData": {"lines": "` + canary + `\nsecond line"}}`:   `{"stringData": {"lines": "[secret]"}}`,
	} {
		if got := hide.error(errors.New("the API server refused " + said)).Error(); got != "the API server refused "+want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestDiagnosisIsWhatWentWrong(t *testing.T) {
	for _, row := range []struct {
		err         string
		diagnostics []string
		want        string
	}{
		{"exit status 255", nil, "exit status 255"},
		{"failed to run update: exit status 8\ncode: 8\nstdout: much\nstderr: error: update cancelled\n", nil, "error: update cancelled"},
		{"exit status 255", []string{"acme/Secret/a: refused"}, "acme/Secret/a: refused"},
		{"write state/a.json: disk quota exceeded", nil, "there is no space left on the device that the state is on: make room, then run recover and up again"},
		{"code: 255\nerror: incorrect passphrase", nil, "PULUMI_CONFIG_PASSPHRASE is not the one that this stack's state was encrypted with"},
		{
			"error: the stack is currently locked by 1 lock(s). Either wait\n  file:///state/x.json: created by root@host (pid 12) at 2026-11-23T10:00:00Z\nmore", nil,
			"another run is at work on this stack, begun by root@host (pid 12) at 2026-11-23T10:00:00Z: wait for it, or if it is dead, mend what it left with recover",
		},
	} {
		if got := diagnosis(errors.New(row.err), row.diagnostics).Error(); got != row.want {
			t.Errorf("%q: got %q, want %q", row.err, got, row.want)
		}
	}
}

func TestCounts(t *testing.T) {
	if got, want := counts(map[string]int{"same": 3, "create": 2}), "2 create, 3 same"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
