package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

func names(units []render.Unit) string {
	var list []string
	for _, u := range units {
		list = append(list, u.Name)
	}
	return strings.Join(list, " ")
}

func TestWavesFollowRings(t *testing.T) {
	c := &call{fleet: render.Fleet{Rings: []render.Ring{{Name: "canary", Tenants: []string{"initech"}}, {Name: "early", Tenants: []string{"acme", "gone"}}}}}
	var got []string
	for _, wave := range c.waves([]render.Unit{{Name: "platform"}, {Name: "acme"}, {Name: "globex"}, {Name: "hooli"}, {Name: "initech"}}) {
		got = append(got, names(wave)+" "+c.ringOf(wave[0].Name))
	}
	if want := []string{"platform ", "initech canary", "acme early", "globex hooli everyone"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsNotBegunWhenInterruptedIsNamed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := &call{parallel: 1}
	outcomes := c.together(ctx, []render.Unit{{Name: "a"}, {Name: "b"}, {Name: "c"}}, func(u render.Unit) outcome {
		if u.Name == "b" {
			cancel()
		}
		return outcome{unit: u.Name, result: "applied"}
	})
	var got []string
	for _, o := range outcomes {
		got = append(got, o.unit+" "+o.result)
	}
	if want := []string{"a applied", "b applied", "c not begun"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReports(t *testing.T) {
	outcomes := []outcome{
		{unit: "platform", result: "unchanged", changes: map[string]int{"same": 37}, took: 2 * time.Second},
		{unit: "acme", ring: "canary", result: "previewed", changes: map[string]int{"same": 46, "update": 2}, steps: []step{{"update", "acme/Deployment/api"}}},
		{unit: "initech", ring: "early", result: "failed", err: errors.New("refused")},
		{unit: "hooli", ring: "everyone", result: "not begun"},
	}
	var stdout, stderr bytes.Buffer
	if err := newReporter("prod", &stdout, &stderr, false).table(outcomes); err != nil {
		t.Fatal(err)
	}
	want := `RING      UNIT      RESULT     CHANGES            TIME
-         platform  unchanged  37 same            2.0s
canary    acme      previewed  46 same, 2 update  -
early     initech   failed     -                  -
everyone  hooli     not begun  -                  -
          acme      update     acme/Deployment/api
`
	if got := stdout.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	stdout.Reset()
	r := newReporter("prod", &stdout, &stderr, true)
	r.tell(Event{Event: "note", Text: "two\nlines"})
	if err := r.table(outcomes); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines, want 5:\n%s", len(lines), stdout.String())
	}
	var e Event
	if err := json.Unmarshal([]byte(lines[3]), &e); err != nil || e.Unit != "initech" || e.Error != "refused" || e.Event != "summary" || e.Fleet != "prod" || e.Time.IsZero() {
		t.Errorf("%v: %+v", err, e)
	}
	if stderr.Len() > 0 {
		t.Errorf("JSON is not alone: %s", stderr.String())
	}
}

// TestTheTableIsNotLost: standard output may be a pipe that nobody reads any more.
func TestTheTableIsNotLost(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var stderr bytes.Buffer
		c := &call{name: "prod", report: newReporter("prod", closedPipe{}, &stderr, asJSON)}
		err := c.end(t.Context(), []outcome{{unit: "acme", result: "failed", err: errors.New("refused")}}, nil)
		if !errors.Is(err, syscall.EPIPE) || !strings.Contains(err.Error(), "prod.acme: refused") || !strings.Contains(stderr.String(), "acme  failed") {
			t.Errorf("json %t: %v, %q", asJSON, err, stderr.String())
		}
	}
}

// TestAnInterruptIsToldOnce, with what to do where there is something to do.
func TestAnInterruptIsToldOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	c := &call{name: "prod", fleet: render.Fleet{Name: "prod"}, report: newReporter("prod", &out, &out, false)}
	work := func(ctx context.Context, unit string) outcome {
		return c.work(ctx, unit, nil, func(string, *outcome) error { return errors.New(unit + ": signal: interrupt") })
	}
	failed, broken, waits := work(t.Context(), "acme"), work(ctx, "hooli"), outcome{unit: "globex", result: "not begun"}
	const advice = "interrupted: what was begun may need recover before the next up"
	for _, row := range []struct {
		temporary string
		outcomes  []outcome
		want      string
	}{
		{"", []outcome{failed, broken, waits}, "prod.acme: acme: signal: interrupt\n" + advice},
		{"", []outcome{broken, broken}, advice},
		{"", []outcome{waits}, "interrupted"},
		{"1", []outcome{broken, waits}, "interrupted"},
	} {
		t.Setenv(temporary, row.temporary)
		if err := c.end(ctx, row.outcomes, nil); err.Error() != row.want {
			t.Errorf("got %q, want %q", err, row.want)
		}
	}
	if err := run(ctx, "../../golden", tenants.Fleets(), []string{"drift", "-fleet", "prod"}, &out, &out); err.Error() != "interrupted: nothing was changed" {
		t.Errorf("before anything is begun: %v", err)
	}
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestPlainLines(t *testing.T) {
	for want, e := range map[string]Event{
		"prod.acme: begun":                 {Event: "begin", Unit: "acme"},
		"prod.acme: applied, 1 same, 2.5s": {Event: "end", Unit: "acme", Result: "applied", Changes: map[string]int{"same": 1}, Seconds: 2.5},
		"prod.acme: failed":                {Event: "end", Unit: "acme", Result: "failed"},
		"the ring canary waits":            {Event: "note", Text: "the ring canary waits"},
	} {
		var out bytes.Buffer
		r := newReporter("prod", &out, &out, false)
		r.tell(Event{Event: "resource", Op: "create", Object: "acme/Deployment/api"})
		r.tell(e)
		if got := strings.TrimSuffix(out.String(), "\n"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
