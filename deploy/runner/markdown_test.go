package runner

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAReportOfARing writes events as runs do, and reads what is made of them.
func TestAReportOfARing(t *testing.T) {
	dir := t.TempDir()
	write := func(name, end string, outcomes []outcome, failure error) string {
		var out bytes.Buffer
		r := newReporter("prod", &out, &out, true)
		r.tell(Event{Event: "begin", Unit: "acme"})
		if err := r.table(outcomes); err != nil {
			t.Fatal(err)
		}
		if failure != nil {
			r.tell(Event{Event: "failed", Error: failure.Error()})
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, append(out.Bytes(), end...), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	platform := write("platform.json", `{"event":"res`, []outcome{{unit: "platform", result: "applied"}}, nil)
	canary := write("canary.json", "", []outcome{
		{unit: "acme", ring: "canary", result: "applied"},
		{unit: "hooli", ring: "canary", result: "failed", err: errors.New("refused")},
		{unit: "globex", ring: "canary", result: "applied"},
		{unit: "initech", ring: "everyone", result: "not begun"},
	}, errors.New("prod.hooli: refused\n```\n<b>mend it</b>"))
	early := write("early.json", "", nil, errors.New("the environment lacks A"))
	for _, row := range []struct {
		reason string
		files  []string
		want   string
	}{
		{"a ring that failed, after one that was cut off", []string{platform, canary}, "| fleet | ring | result | units |\n| --- | --- | --- | --- |\n" +
			"| prod |  | applied | 1: platform |\n| prod | canary | applied | 2: acme, globex |\n| prod | canary | failed | 1: hooli |\n| prod | everyone | not begun | 1: initech |\n" +
			"\nprod:\n\n    prod.hooli: refused\n    ```\n    <b>mend it</b>\n"},
		{"one that did not begin", []string{early}, "No unit was touched.\n\nprod:\n\n    the environment lacks A\n"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), "", nil, append([]string{"report"}, row.files...), &out, &out); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(row.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.reason, diff)
		}
	}
	broken := filepath.Join(dir, "broken.json")
	if err := os.WriteFile(broken, []byte("no event\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{broken, filepath.Join(dir, "none.json")} {
		var out bytes.Buffer
		if err := writeReport(&out, []string{platform, file}); err == nil || !strings.Contains(err.Error(), filepath.Base(file)) || out.Len() > 0 {
			t.Errorf("%s: %v, %q", file, err, out.String())
		}
	}
}

// TestAReportFitsIntoAComment has a thousand units that fail, each with much to say.
func TestAReportFitsIntoAComment(t *testing.T) {
	var outcomes []outcome
	var all []error
	for range 1000 {
		err := errors.New(strings.Repeat("é", 500))
		outcomes, all = append(outcomes, outcome{unit: strings.Repeat("a", 63), ring: "everyone", result: "failed", err: err}), append(all, err)
	}
	var out, report bytes.Buffer
	r := newReporter("prod", &out, &out, true)
	if err := r.table(outcomes); err != nil {
		t.Fatal(err)
	}
	r.tell(Event{Event: "failed", Error: errors.Join(all...).Error()})
	path := filepath.Join(t.TempDir(), "events.json")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeReport(&report, []string{path}); err != nil {
		t.Fatal(err)
	}
	if n := len([]rune(report.String())); n > 3*most || !strings.Contains(report.String(), "1000: ") {
		t.Errorf("%d characters:\n%s", n, report.String())
	}
}
