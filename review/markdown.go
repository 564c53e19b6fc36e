package review

import (
	"io"
	"strings"
)

// WriteMarkdown writes the report as a comment on a pull request. rest says where all of it stands, a link or the
// name of a file, for what does not fit; it is the caller's own and is taken as Markdown.
func (r Report) WriteMarkdown(w io.Writer, rest string) error {
	var text strings.Builder
	if err := r.WriteText(&text, false); err != nil {
		return err
	}
	_, err := io.WriteString(w, "~~~~~~~~~~~~\n"+text.String()+"~~~~~~~~~~~~\n\n"+rest+"\n")
	return err
}
