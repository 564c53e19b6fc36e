package review

import (
	"encoding/json"
	"io"
)

// WriteJSON writes the report as one JSON object, with all that is known and the verdicts in words. Lists that
// may be empty are there: a reader finds "fleets" and "changes" always, "missing" when something is.
func (r Report) WriteJSON(w io.Writer) error {
	if r.Fleets == nil {
		r.Fleets = []Fleet{}
	}
	if r.Changes == nil {
		r.Changes = []Change{}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
