package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/term"
)

// An Event is one line of -format json: what happened, to which unit, and how it ended. A field that says
// nothing is left out.
type Event struct {
	Time time.Time `json:"time"`
	// Event is begin and end of a unit, resource for each object that is changed, waiting for what it waits to
	// become ready, note for what a person should know, summary for what the table says, a line for each unit, and
	// failed, the last one, for all that went wrong.
	Event   string         `json:"event"`
	Fleet   string         `json:"fleet"`
	Ring    string         `json:"ring,omitempty"`
	Unit    string         `json:"unit,omitempty"`
	Op      string         `json:"op,omitempty"`     // of a resource: create, update, delete, replace
	Object  string         `json:"object,omitempty"` // of a resource: acme/Deployment/api
	Result  string         `json:"result,omitempty"` // of a unit: applied, unchanged, failed, not begun, ...
	Changes map[string]int `json:"changes,omitempty"`
	Seconds float64        `json:"seconds,omitempty"`
	Text    string         `json:"text,omitempty"`
	Error   string         `json:"error,omitempty"`
}

// A reporter tells people or machines how a run goes.
type reporter struct {
	fleet  string
	stdout io.Writer
	stderr io.Writer
	json   bool
	screen *tea.Program // nil unless stderr is a terminal
	ended  chan struct{}

	mu sync.Mutex
}

// newReporter draws on stderr when that is a terminal and json is not asked for.
func newReporter(fleet string, stdout, stderr io.Writer, asJSON bool) *reporter {
	r := &reporter{fleet: fleet, stdout: stdout, stderr: stderr, json: asJSON, ended: make(chan struct{})}
	file, ok := stderr.(*os.File)
	if asJSON || !ok || !term.IsTerminal(int(file.Fd())) || os.Getenv("TERM") == "dumb" {
		return r
	}
	r.screen = tea.NewProgram(&screen{active: map[string]*line{}}, tea.WithOutput(stderr), tea.WithInput(nil), tea.WithoutSignalHandler())
	go func() {
		defer close(r.ended)
		_, _ = r.screen.Run() // what it cannot draw, the table says
	}()
	return r
}

// close stops drawing; the table comes after it.
func (r *reporter) close() {
	if r.screen != nil {
		r.screen.Quit()
		<-r.ended
		r.screen = nil
	}
}

// tell reports an event as it happens.
func (r *reporter) tell(e Event) {
	e.Time, e.Fleet = time.Now().UTC(), r.fleet
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.json:
		_ = json.NewEncoder(r.stdout).Encode(e) // nobody is left to tell
	case r.screen != nil:
		r.screen.Send(e)
	default:
		if text := e.plain(); text != "" {
			fmt.Fprintln(r.stderr, text)
		}
	}
}

// plain is a line for a log; "" for what a log does not need.
func (e Event) plain() string {
	switch e.Event {
	case "begin":
		return fmt.Sprintf("%s.%s: begun", e.Fleet, e.Unit)
	case "end":
		return fmt.Sprintf("%s.%s: %s", e.Fleet, e.Unit, strings.Join(slices.DeleteFunc([]string{e.Result, counts(e.Changes), seconds(e.Seconds)}, func(s string) bool { return s == "" }), ", "))
	case "note":
		return e.Text
	}
	return ""
}

// table ends a run: a line for each unit. Standard error has it where nobody reads standard output any more.
func (r *reporter) table(outcomes []outcome) error {
	r.close()
	write := writeTable
	if r.json {
		write = r.writeSummary
	}
	if err := write(r.stdout, outcomes); err != nil {
		_ = writeTable(r.stderr, outcomes) // if nobody reads that either, the exit code has to do
		return fmt.Errorf("writing the table: %w", err)
	}
	return nil
}

func (r *reporter) writeSummary(w io.Writer, outcomes []outcome) error {
	for _, o := range outcomes {
		e := o.event("summary")
		e.Time, e.Fleet = time.Now().UTC(), r.fleet
		if err := json.NewEncoder(w).Encode(e); err != nil {
			return err
		}
	}
	return nil
}

func writeTable(w io.Writer, outcomes []outcome) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "RING\tUNIT\tRESULT\tCHANGES\tTIME")
	for _, o := range outcomes {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", cmp.Or(o.ring, "-"), o.unit, o.result, cmp.Or(counts(o.changes), "-"), cmp.Or(seconds(o.took.Seconds()), "-"))
	}
	for _, o := range outcomes {
		if len(o.changes) == 1 { // all the same, or all new: the table says it
			continue
		}
		for _, s := range o.steps {
			fmt.Fprintf(table, "\t%s\t%s\t%s\n", o.unit, s.op, s.object)
		}
	}
	return table.Flush()
}

func (o outcome) event(kind string) Event {
	e := Event{Event: kind, Ring: o.ring, Unit: o.unit, Result: o.result, Changes: o.changes, Seconds: o.took.Seconds()}
	if o.err != nil {
		e.Error = o.err.Error()
	}
	return e
}

// counts is such as "3 create, 45 same".
func counts(changes map[string]int) string {
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(changes)) {
		parts = append(parts, fmt.Sprintf("%d %s", changes[op], op))
	}
	return strings.Join(parts, ", ")
}

func seconds(s float64) string {
	if s == 0 {
		return ""
	}
	return fmt.Sprintf("%.1fs", s)
}

// A screen is one line for each unit that is being worked on; what is done scrolls away above.
type screen struct {
	active map[string]*line
	width  int
}

type line struct {
	begin time.Time
	done  int
	now   string
}

type tick time.Time

func ticking() tea.Cmd {
	return tea.Tick(time.Second/5, func(t time.Time) tea.Msg { return tick(t) })
}

// Init is bubbletea's.
func (*screen) Init() tea.Cmd { return ticking() }

// Update is bubbletea's.
func (s *screen) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tick:
		return s, ticking()
	case tea.WindowSizeMsg:
		s.width = m.Width
	case Event:
		switch m.Event {
		case "begin":
			s.active[m.Unit] = &line{begin: m.Time}
			return s, nil
		case "resource":
			if l := s.active[m.Unit]; l != nil {
				l.done++
				l.now = m.Op + " " + m.Object
			}
			return s, nil
		case "waiting":
			if l := s.active[m.Unit]; l != nil {
				l.now = m.Object + ": " + m.Text
			}
			return s, nil
		case "end":
			delete(s.active, m.Unit)
		}
		if text := m.plain(); text != "" {
			return s, tea.Println(text)
		}
	}
	return s, nil
}

// View is bubbletea's.
func (s *screen) View() string {
	var text strings.Builder
	for _, unit := range slices.Sorted(maps.Keys(s.active)) {
		l := s.active[unit]
		fmt.Fprintf(&text, "%-16s %4d  %5s  %s\n", unit, l.done, time.Since(l.begin).Round(100*time.Millisecond), l.now)
	}
	return text.String()
}
