package runner

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// most is how many characters of a list of units, and of an error, a report has: with all of its fleets and rings it
// has to fit into one comment.
const most = 3000

// writeReport makes Markdown of files of events: for each fleet and ring what became of its units, and what went wrong.
func writeReport(w io.Writer, files []string) error {
	type part struct{ fleet, ring, result string }
	var parts []part
	units := map[part][]string{}
	var failures []Event
	for _, name := range files {
		events, err := readEvents(name)
		if err != nil {
			return err
		}
		for _, e := range events {
			switch e.Event {
			case "summary":
				p := part{e.Fleet, e.Ring, e.Result}
				if units[p] == nil {
					parts = append(parts, p)
				}
				units[p] = append(units[p], e.Unit)
			case "failed":
				failures = append(failures, e)
			}
		}
	}
	var b strings.Builder
	if len(parts) == 0 {
		fmt.Fprintln(&b, "No unit was touched.")
	} else {
		fmt.Fprintf(&b, "| fleet | ring | result | units |\n| --- | --- | --- | --- |\n")
	}
	for _, p := range parts {
		names := units[p]
		fmt.Fprintf(&b, "| %s | %s | %s | %d: %s |\n", p.fleet, p.ring, p.result, len(names), cut(strings.Join(names, ", ")))
	}
	for _, e := range failures {
		// Indented, it is code, and nothing in it is Markdown.
		fmt.Fprintf(&b, "\n%s:\n\n    %s\n", e.Fleet, strings.ReplaceAll(cut(e.Error), "\n", "\n    "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// cut leaves out the middle of a long text.
func cut(text string) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most/2]) + " … " + string(runes[len(runes)-most/2:])
}

// readEvents reads a file of events. A run that was killed can have left half a line at its end.
func readEvents(name string) ([]Event, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading events: %w", err)
	}
	var events []Event
	for line := range strings.Lines(string(data)) {
		var e Event
		switch err := json.Unmarshal([]byte(line), &e); {
		case err != nil && strings.HasSuffix(line, "\n"):
			return nil, fmt.Errorf("reading events: %s: %q: %w", filepath.Base(name), cut(line), err)
		case err == nil:
			events = append(events, e)
		}
	}
	return events, nil
}
