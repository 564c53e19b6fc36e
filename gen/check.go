package gen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/tenantry/tenantry/render"
)

const checkHelp = `Writes nothing. Prints a diff for each file of golden/ that is not what the code renders:
changed, missing, or rendered by no unit. Exits with 1 then, and silently with 0 otherwise.
`

// Lines of a diff beyond these are counted, not printed.
const (
	fileLines  = 200
	totalLines = 2000
)

// Check compares a golden directory with what the fleets render, and returns that and the differences as a unified
// diff (-golden +rendered), shortened where it is very long; empty when there are none. It writes nothing.
func Check(dir string, fleets []render.Fleet) (rendered []render.Unit, diff string, err error) {
	return check(context.Background(), dir, fleets)
}

func runCheck(ctx context.Context, c *call) error {
	if _, err := c.parse(0, 0); err != nil {
		return err
	}
	module, err := moduleRoot()
	if err != nil {
		return err
	}
	_, text, err := check(ctx, filepath.Join(module, golden), c.fleets)
	if err != nil {
		return err
	}
	fmt.Fprint(c.stdout, text)
	if text != "" {
		return fmt.Errorf("%s/ is not what the code renders: run %s", golden, self)
	}
	return nil
}

func check(ctx context.Context, dir string, fleets []render.Fleet) (rendered []render.Unit, diff string, err error) {
	if rendered, err = units(ctx, filepath.Dir(dir), fleets); err != nil {
		return nil, "", err
	}
	diff, err = difference(dir, golden, goldenFiles(rendered), true)
	return rendered, diff, err
}

// difference is how a generated directory differs from what the files say. name is what it is called.
func difference(dir, name string, files []file, owned bool) (string, error) {
	root, err := openDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // everything is missing
	case err != nil:
		return "", err
	default:
		defer func() { _ = root.Close() }()
	}
	changes, err := compare(root, name, files, owned)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	printed := 0
	for i, ch := range changes {
		if printed >= totalLines {
			fmt.Fprintf(&out, "... %d more files differ\n", len(changes)-i)
			break
		}
		text, err := ch.diff(root)
		if err != nil {
			return "", err
		}
		lines := 0
		for line := range strings.Lines(text) {
			if lines++; lines <= fileLines {
				out.WriteString(line)
			}
		}
		if lines > fileLines {
			fmt.Fprintf(&out, "... %d more lines of %s\n", lines-fileLines, ch.name())
		}
		printed += min(lines, fileLines)
	}
	return out.String(), nil
}

// diff is what the change does to the file, or a line about it where it cannot be shown as text.
func (ch change) diff(root *os.Root) (string, error) {
	name := ch.name()
	var old []byte
	if ch.verb != "created" {
		clean := path.Clean(ch.path)
		info, err := root.Lstat(clean)
		if err == nil && info.Mode().IsRegular() {
			old, err = root.ReadFile(clean)
		}
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", name, err)
		}
		if !info.Mode().IsRegular() || bytes.IndexByte(old, 0) >= 0 || ch.verb == "removed" && len(old) == 0 {
			what := "is not rendered"
			if ch.verb == "updated" {
				what = "is not what is rendered: a " + kind(info.Mode()) + " that is no text"
			}
			return name + " " + what + "\n", nil
		}
	}
	return string(diff.Diff(name, old, "rendered", ch.data)), nil
}
