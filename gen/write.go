package gen

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"

	"github.com/tenantry/tenantry/render"
)

const writeHelp = `Renders every unit of every fleet into golden/<fleet>/<unit>/ and removes what no unit
renders, so commit or move what else is there. Prints one line per changed file and
nothing when nothing changed; other files are not touched. With a mistake in any
tenant golden/ stays as it is. An interrupted run is completed by the next one.
`

func runWrite(ctx context.Context, c *call) error {
	if _, err := c.parse(0, 0); err != nil {
		return err
	}
	module, err := moduleRoot()
	if err != nil {
		return err
	}
	units, err := units(ctx, module, c.fleets)
	if err != nil {
		return err
	}
	dir := filepath.Join(module, golden)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("creating %s/: %w", golden, err)
	}
	root, err := openGolden(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	unlock, err := lock(ctx, root, c.stderr)
	if err != nil {
		return err
	}
	defer unlock()
	changes, err := compare(root, units)
	if err != nil {
		return err
	}
	for i, ch := range changes {
		if ctx.Err() != nil {
			return fmt.Errorf("stopping after %d of %d changes, the next run makes the others: %w", i, len(changes), context.Cause(ctx))
		}
		if err := ch.apply(root); err != nil {
			return fmt.Errorf("after %d of %d changes: %w", i, len(changes), err)
		}
		fmt.Fprintf(c.stdout, "%s %s/%s\n", ch.verb, golden, ch.path)
	}
	return nil
}

// lock waits until no other run writes to the directory. unlock, or the end of the process, however it
// ends, lets the next one in. Where the file system has no locks there is none: two runs at once
// may then stop each other with an error, but no file is ever half written.
func lock(ctx context.Context, root *os.Root, stderr io.Writer) (unlock func(), err error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("locking %s/: %w", golden, err)
	}
	if errors.Is(flock(f, false), syscall.EWOULDBLOCK) {
		fmt.Fprintf(stderr, "waiting for another run that writes %s/\n", golden)
		if _, err := await(ctx, func() (any, error) { return nil, flock(f, true) }); err != nil {
			return nil, fmt.Errorf("locking %s/: %w", golden, err)
		}
	}
	return func() { _ = f.Close() }, nil
}

// A change is one file, link or directory of golden/ that is not what the code renders.
type change struct {
	verb string // created, updated or removed: what makes it so
	path string // below golden/, with slashes; of a directory with one at its end
	data []byte // rendered
}

// compare lists the changes that make the directory what the code renders: first files to write, in the
// order of units, then orphans, each directory after what is in it. A nil root is an empty directory.
func compare(root *os.Root, units []render.Unit) ([]change, error) {
	files := map[string]*change{}
	dirs := map[string]bool{}
	var all []*change
	for _, u := range units {
		for _, f := range u.Files {
			ch := &change{"created", path.Join(u.Fleet, u.Name, f.Name), f.YAML}
			all = append(all, ch)
			files[ch.path] = ch
			dirs[u.Fleet], dirs[path.Join(u.Fleet, u.Name)] = true, true
		}
	}
	var orphans []change
	var walk func(string) error
	walk = func(dir string) error {
		entries, err := fs.ReadDir(root.FS(), dir)
		if err != nil {
			return fmt.Errorf("reading %s/: %w", golden, err)
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			file := files[name]
			switch {
			case file != nil && e.IsDir(), dirs[name] && !e.IsDir():
				return fmt.Errorf("%s/%s is a %s and stands in the way of what is rendered: move it away", golden, name, kind(e.Type()))
			case file != nil && e.Type().IsRegular():
				old, err := root.ReadFile(name)
				if err != nil {
					return fmt.Errorf("reading %s/: %w", golden, err)
				}
				file.verb = "updated"
				if bytes.Equal(old, file.data) {
					file.verb = ""
				}
			case file != nil: // a link: replaced, not followed
				file.verb = "updated"
			case e.IsDir():
				if err := walk(name); err != nil {
					return err
				}
				if !dirs[name] {
					orphans = append(orphans, change{"removed", name + "/", nil})
				}
			default:
				orphans = append(orphans, change{"removed", name, nil})
			}
		}
		return nil
	}
	if root != nil {
		if err := walk("."); err != nil {
			return nil, err
		}
	}
	var changes []change
	for _, ch := range all {
		if ch.verb != "" {
			changes = append(changes, *ch)
		}
	}
	return append(changes, orphans...), nil
}

func (ch change) apply(root *os.Root) error {
	switch ch.verb {
	case "removed":
		if err := root.Remove(path.Clean(ch.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing %s/%s: %w", golden, ch.path, err)
		}
		return nil
	case "created":
		if err := root.MkdirAll(path.Dir(ch.path), 0o755); err != nil {
			return fmt.Errorf("writing %s/%s: %w", golden, ch.path, err)
		}
	}
	if err := writeFile(root, ch.path, ch.data); err != nil {
		return fmt.Errorf("writing %s/%s: %w", golden, ch.path, err)
	}
	return nil
}

// writeFile replaces a file whole: whoever reads it sees the old bytes or the new ones. What a process that
// was killed leaves behind is named .tenantry-*.tmp, an orphan like any other. Nothing is synced: after a
// power failure a file may be short, and the next run writes it again.
func writeFile(root *os.Root, name string, data []byte) error {
	temp := path.Join(path.Dir(name), ".tenantry-"+rand.Text()+".tmp")
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if closing := f.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = root.Rename(temp, name)
	}
	if err != nil {
		_ = root.Remove(temp) // the next run removes it otherwise
	}
	return err
}
