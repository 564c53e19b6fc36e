package review

import (
	"html"
	"io"
	"strings"
)

// WriteHTML writes the report as one page that needs nothing else.
func (r Report) WriteHTML(w io.Writer) error {
	var text strings.Builder
	if err := r.WriteText(&text, false); err != nil {
		return err
	}
	_, err := io.WriteString(w, "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Review</title>\n<pre>"+html.EscapeString(text.String())+"</pre>\n")
	return err
}
