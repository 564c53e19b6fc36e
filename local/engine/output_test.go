package engine_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/deploy/runner"
)

// testOutput reads what a run says, and stops listening to it.
func testOutput(t *testing.T, w *world) {
	s := spec{Tenants: map[string][]string{"fine": nil, "refused-one": nil, "deaf-json": nil, "deaf-text": nil}}
	r := w.repository(t, trial, s)
	t.Run("events", func(t *testing.T) {
		mend := w.refuse(t, "refused-one")
		got := r.run(t, "up", "-format", "json", "fine", "refused-one")
		mend()
		if got.code != 1 {
			t.Errorf("want exit code 1: %s", got)
		}
		ends := checkEvents(t, got)
		if ends["fine"].Result != "applied" || ends["refused-one"].Result != "failed" || !strings.Contains(ends["refused-one"].Error, refusal) {
			t.Errorf("ends: %v", ends)
		}
		for line := range strings.Lines(got.stderr) { // standard output has the rest
			if !strings.HasPrefix(line, "trial.refused-one: ") {
				t.Errorf("standard error says %q", line)
			}
		}
		r.must(t, "up", "refused-one")
		r.settled(t, "fine", "refused-one")
	})
	t.Run("the table says what the events say", func(t *testing.T) {
		s.Tenants["fine"], s.Tenants["refused-one"] = []string{"a ConfigMap"}, []string{"memory"}
		r := w.repository(t, trial, s)
		text, lines := r.must(t, "preview", "fine", "refused-one"), r.must(t, "preview", "-format", "json", "fine", "refused-one")
		ends := checkEvents(t, lines)
		if len(ends) != 2 {
			t.Fatal(lines)
		}
		for unit, e := range ends {
			var counts []string
			for _, operation := range slices.Sorted(maps.Keys(e.Changes)) {
				counts = append(counts, strconv.Itoa(e.Changes[operation])+" "+operation)
			}
			want := []string{"everyone", unit, e.Result, strings.Join(counts, ", ")}
			want[0] = cmp.Or(e.Ring, "-")
			if row := text.row(unit); len(row) != 5 || !slices.Equal(row[:4], want) {
				t.Errorf("row %q, want %q", row, want)
			}
		}
		steps := map[string]string{}
		for line := range strings.Lines(text.stdout) {
			if cells := cells(line); len(cells) == 3 && strings.Contains(cells[2], "/") {
				steps[cells[2]] = cells[1]
			}
		}
		if diff := gocmp.Diff(lines.operations(t), steps); diff != "" {
			t.Errorf("objects (-events +table):\n%s", diff)
		}
	})
	for _, format := range []string{"json", "text"} {
		t.Run("nobody reads its "+format, func(t *testing.T) {
			unit := "deaf-" + format
			n := r.command(t, "up", "-format", format, unit)
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			n.cmd.Stdout = write
			n.start(t)
			if err := write.Close(); err != nil {
				t.Fatal(err)
			}
			if format == "json" { // the text has the table only, at the end
				for lines := bufio.NewScanner(read); lines.Scan() && !strings.Contains(lines.Text(), `"event":"resource"`); {
					continue
				}
			}
			if err := read.Close(); err != nil {
				t.Fatal(err)
			}
			got := n.wait(t)
			table := result{stdout: got.stderr}
			if row := table.row(unit); got.code != 1 || !slices.Contains(row, "applied") || !strings.Contains(got.stderr, "writing the table: ") || !strings.Contains(got.stderr, "broken pipe") {
				t.Errorf("want exit code 1, why, and the table: %s", got)
			}
			r.settled(t, unit)
		})
	}
}

// checkEvents reads the events, and returns the ends of units.
func checkEvents(t *testing.T, r result) map[string]runner.Event {
	t.Helper()
	begun, ends, summary := map[string]runner.Event{}, map[string]runner.Event{}, map[string]runner.Event{}
	last := runner.Event{}
	for _, e := range r.events(t) {
		if e.Time.Before(last.Time) || e.Fleet != trial {
			t.Errorf("after %v: %+v", last.Time, e)
		}
		last = e
		switch e.Event {
		case "begin":
			if begun[e.Unit].Unit != "" {
				t.Errorf("%s begins twice", e.Unit)
			}
			begun[e.Unit] = e
		case "resource", "waiting":
			if begun[e.Unit].Unit == "" || ends[e.Unit].Unit != "" || (e.Op == "") == (e.Text == "") || e.Object == "" {
				t.Errorf("not between begin and end: %+v", e)
			}
		case "end":
			if begun[e.Unit].Unit == "" || ends[e.Unit].Unit != "" {
				t.Errorf("%s ends without a begin, or twice", e.Unit)
			}
			ends[e.Unit] = e
		case "summary":
			summary[e.Unit] = e
		case "note":
			if e.Text == "" {
				t.Errorf("a note that says nothing: %+v", e)
			}
		case "failed":
			if e.Error == "" || r.code != 1 {
				t.Errorf("with exit code %d: %+v", r.code, e)
			}
		default:
			t.Errorf("unknown event %q", e.Event)
		}
	}
	for unit, e := range summary {
		end, ended := ends[unit]
		if !ended && e.Result == "not begun" {
			continue
		}
		end.Event, end.Time = e.Event, e.Time
		if diff := gocmp.Diff(end, e); diff != "" {
			t.Errorf("%s (-end +summary):\n%s", unit, diff)
		}
	}
	for unit := range begun {
		if summary[unit].Unit == "" {
			t.Errorf("%s has begun, and no summary tells of it", unit)
		}
	}
	return ends
}

// testInterrupts interrupts runs while they change objects, as the terminal does, and as a supervisor does.
func testInterrupts(t *testing.T, w *world) {
	const both = "interrupted-json interrupted-text"
	s := spec{Tenants: map[string][]string{}}
	for unit := range strings.FieldsSeq(both) {
		s.Tenants[unit] = []string{"a StatefulSet of 1Gi"}
	}
	r := w.repository(t, trial, s)
	for _, test := range []struct {
		format string
		signal syscall.Signal
		whole  bool // group of processes
	}{
		{"json", syscall.SIGINT, true},
		{"text", syscall.SIGTERM, false},
	} {
		t.Run(fmt.Sprintf("%s, %s", test.signal, test.format), func(t *testing.T) {
			unit := "interrupted-" + test.format
			n := r.command(t, "up", "-format", test.format, unit)
			n.start(t)
			eventually(t, func(ctx context.Context) error { return r.has(ctx, "serviceaccounts", unit) })
			pid := n.cmd.Process.Pid
			if test.whole {
				pid = -pid
			}
			if err := syscall.Kill(pid, test.signal); err != nil {
				t.Fatal(err)
			}
			got := n.wait(t)
			if got.code != 1 || !strings.HasSuffix(got.stderr, "interrupted: what was begun may need recover before the next up\n") {
				t.Errorf("want exit code 1, and why: %s", got)
			}
			if test.format == "json" {
				if end := checkEvents(t, got)[unit]; end.Result != "failed" {
					t.Errorf("want that it failed: %+v", end)
				}
			} else {
				checkTable(t, got, "- "+unit+" failed")
			}
		})
	}
	t.Run("recover and up mend what is left", func(t *testing.T) { r.mends(t, strings.Fields(both)...) })
}
