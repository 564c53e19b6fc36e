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
	return c.write(ctx, module, golden, goldenFiles(units), true)
}

// write makes the files of a directory of the module what they should be, removes what else is there where
// the directory is owned, and prints each change.
func (c *call) write(ctx context.Context, module, name string, files []file, owned bool) error {
	dir := filepath.Join(module, name)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("creating %s/: %w", name, err)
	}
	root, err := openDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	unlock, err := lock(ctx, root, name, c.stderr)
	if err != nil {
		return err
	}
	defer unlock()
	changes, err := compare(root, name, files, owned)
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
		fmt.Fprintf(c.stdout, "%s %s\n", ch.verb, ch.name())
	}
	return nil
}

// lock waits until no other run writes to the directory. unlock, or the end of the process, however it
// ends, lets the next one in. Where the file system has no locks there is none: two runs at once
// may then stop each other with an error, but no file is ever half written.
func lock(ctx context.Context, root *os.Root, name string, stderr io.Writer) (unlock func(), err error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, fmt.Errorf("locking %s/: %w", name, err)
	}
	if errors.Is(flock(f, false), syscall.EWOULDBLOCK) {
		fmt.Fprintf(stderr, "waiting for another run that writes %s/\n", name)
		if _, err := await(ctx, func() (any, error) { return nil, flock(f, true) }); err != nil {
			return nil, fmt.Errorf("locking %s/: %w", name, err)
		}
	}
	return func() { _ = f.Close() }, nil
}

// A file is what belongs at a path below a generated directory, with slashes.
type file struct {
	path string
	data []byte
}

func goldenFiles(units []render.Unit) []file {
	var files []file
	for _, u := range units {
		for _, f := range u.Files {
			files = append(files, file{path.Join(u.Fleet, u.Name, f.Name), f.YAML})
		}
	}
	return files
}

// A change is one file, link or directory below a generated directory that is not what it should be.
type change struct {
	verb string // created, updated or removed: what makes it so
	dir  string // the generated directory
	file        // of a directory the path ends with a slash
}

func (ch change) name() string { return ch.dir + "/" + ch.path }

// compare lists the changes that make the directory what the files say: first files to write, in their
// order, then orphans where the directory is owned, each directory after what is in it. A nil root is an
// empty directory.
func compare(root *os.Root, dir string, want []file, owned bool) ([]change, error) {
	files := map[string]*change{}
	dirs := map[string]bool{}
	var all []*change
	for _, f := range want {
		ch := &change{"created", dir, f}
		all = append(all, ch)
		files[ch.path] = ch
		for above := path.Dir(ch.path); above != "."; above = path.Dir(above) {
			dirs[above] = true
		}
	}
	var orphans []change
	var walk func(string) error
	walk = func(below string) error {
		entries, err := fs.ReadDir(root.FS(), below)
		if err != nil {
			return fmt.Errorf("reading %s/: %w", dir, err)
		}
		for _, e := range entries {
			name := path.Join(below, e.Name())
			f := files[name]
			switch {
			case f != nil && e.IsDir(), dirs[name] && !e.IsDir():
				return fmt.Errorf("%s/%s is a %s and stands in the way of what is rendered: move it away", dir, name, kind(e.Type()))
			case f != nil && e.Type().IsRegular():
				old, err := root.ReadFile(name)
				if err != nil {
					return fmt.Errorf("reading %s/: %w", dir, err)
				}
				f.verb = "updated"
				if bytes.Equal(old, f.data) {
					f.verb = ""
				}
			case f != nil: // a link: replaced, not followed
				f.verb = "updated"
			case e.IsDir():
				if err := walk(name); err != nil {
					return err
				}
				if !dirs[name] {
					orphans = append(orphans, change{"removed", dir, file{name + "/", nil}})
				}
			default:
				orphans = append(orphans, change{"removed", dir, file{name, nil}})
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
	if owned {
		changes = append(changes, orphans...)
	}
	return changes, nil
}

func (ch change) apply(root *os.Root) error {
	switch ch.verb {
	case "removed":
		if err := root.Remove(path.Clean(ch.path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("removing %s: %w", ch.name(), err)
		}
		return nil
	case "created":
		if err := root.MkdirAll(path.Dir(ch.path), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", ch.name(), err)
		}
	}
	if err := writeFile(root, ch.path, ch.data); err != nil {
		return fmt.Errorf("writing %s: %w", ch.name(), err)
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
