package gen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenantry/tenantry/review"
)

const diffHelp = `Tells what changes between two states of golden/, for whom, and how dangerous it is: the
golden/ of a git revision and the one that is here, or two directories. No cluster is asked.

Objects are compared by what they mean: lists by their merge keys, quantities and defaults
by value. What many tenants share is told once.

Exits with 1 when the change may lose data or loosens isolation, and tenants/ does not
acknowledge that: the report says which line to write. See Acknowledged in render.Fleet.
`

func runDiff(ctx context.Context, c *call) error {
	base := c.flags.String("base", "", "compare golden/ with that of the git revision `REV`")
	format := c.flags.String("format", "text", "print as `FORMAT`: text, markdown (a comment on a pull request), json or html")
	rest := c.flags.String("rest", "", "with markdown: `WHERE` the whole report is, as Markdown: the comment points there")
	operands, err := c.parse(0, 2)
	if err != nil {
		return err
	}
	wrong := func(format string, args ...any) error {
		return usageError{fmt.Sprintf(format, args...), usage(c.command)}
	}
	formats := []string{"text", "markdown", "json", "html"}
	switch {
	case !slices.Contains(formats, *format):
		return wrong("%s", unknown("format", *format, formats))
	case *rest != "" && *format != "markdown":
		return wrong("-rest is for -format markdown")
	case *base == "" && len(operands) == 0:
		return wrong("nothing to compare with: name a git revision with -base, or two directories")
	case *base != "" && len(operands) > 0:
		return wrong("extra argument %q: -base compares golden/", operands[0])
	case *base == "" && len(operands) == 1:
		return wrong("too few arguments")
	case strings.HasPrefix(*base, "-"):
		return wrong("%q is no git revision", *base)
	}
	report, err := await(ctx, func() (review.Report, error) {
		states, err := c.states(ctx, *base, operands)
		if err != nil {
			return review.Report{}, err
		}
		return review.Compare(states, c.fleets, time.Now())
	})
	if err != nil {
		return err
	}
	switch *format {
	case "json":
		err = report.WriteJSON(c.stdout)
	case "markdown":
		err = report.WriteMarkdown(c.stdout, *rest)
	case "html":
		err = report.WriteHTML(c.stdout)
	default:
		err = report.WriteText(c.stdout, colourful(c.stdout))
	}
	if err == nil && len(report.Missing) > 0 {
		err = missing(report.Missing)
	}
	return err
}

// missing counts what lacks an acknowledgement, and apart from it what none permits.
func missing(list []review.Missing) error {
	lack := 0
	for _, m := range list {
		if m.Line != "" {
			lack++
		}
	}
	var told []string
	if lack < len(list) {
		told = append(told, count(len(list)-lack, "change")+" that nothing permits")
	}
	if lack > 0 {
		told = append(told, count(lack, "change")+" without an acknowledgement in tenants/")
	}
	return errors.New(strings.Join(told, ", "))
}

// colourful tells whether text is for a terminal that takes colours.
func colourful(w io.Writer) bool {
	out, ok := w.(*output)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	file, ok := out.w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// states reads what is to be compared. Directories stay open as long as the states are used.
func (c *call) states(ctx context.Context, base string, operands []string) (review.States, error) {
	if base == "" {
		return betweenDirs(operands[0], operands[1])
	}
	module, err := moduleRoot()
	if err != nil {
		return review.States{}, err
	}
	states, err := sinceRevision(ctx, module, base)
	if err != nil {
		return review.States{}, err
	}
	stale, err := c.stale(ctx, module, states)
	if err != nil {
		return review.States{}, err
	}
	if stale {
		fmt.Fprintf(c.stderr, "golden/ is not what the code renders, and what is not in it is not compared: run %s first\n", self)
	}
	return states, nil
}

// stale tells whether golden/ is not what the code renders. It renders only where source that is not committed is gone,
// or younger than everything that changes in golden/: where gen has not run since the last edit.
func (c *call) stale(ctx context.Context, module string, states review.States) (bool, error) {
	edited, err := git{ctx, module}.edited("*.go", "go.mod", ":!golden", ":!deploy", ":!local", ":!tools", ":!*_test.go")
	if err != nil || len(edited) == 0 {
		return false, err
	}
	var generated time.Time
	for _, f := range states.Changed {
		if info, err := os.Lstat(filepath.Join(module, golden, filepath.FromSlash(f.Path))); err == nil && info.ModTime().After(generated) {
			generated = info.ModTime()
		}
	}
	if !slices.ContainsFunc(edited, func(name string) bool {
		info, err := os.Lstat(filepath.Join(module, filepath.FromSlash(name)))
		return err != nil || info.ModTime().After(generated)
	}) {
		return false, nil
	}
	rendered, err := units(ctx, module, c.fleets)
	if err != nil {
		return ctx.Err() == nil, context.Cause(ctx) // gen tells the mistakes
	}
	root, err := openDir(filepath.Join(module, golden))
	if err != nil {
		return false, err
	}
	defer func() { _ = root.Close() }()
	changes, err := compare(root, golden, goldenFiles(rendered), true)
	return len(changes) > 0, err
}

// A directory is one that is read, and nothing outside of it.
type directory struct {
	root  *os.Root
	files []string // paths below it, with slashes
}

// list reads which files a directory holds, and that it holds nothing but files and directories.
func list(root *os.Root) (*directory, error) {
	d := &directory{root: root}
	err := fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is a %s, and no file", name, kind(entry.Type()))
		default:
			d.files = append(d.files, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", root.Name(), err)
	}
	slices.Sort(d.files)
	return d, nil
}

// named opens a directory that somebody named.
func named(dir string) (*directory, error) {
	if err := isDir(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", dir, err)
	}
	d, err := list(root)
	if err != nil {
		return nil, err
	}
	return d, laidOut(dir, d.files)
}

const layout = "<fleet>/<unit>/<object>.yaml"

// isDir tells what is wrong with the name of a directory that is laid out like golden/.
func isDir(dir string) error {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: name one that holds %s, as golden/ does", dir, layout)
	case err != nil:
		return fmt.Errorf("reading %s: %w", dir, err)
	case !info.IsDir():
		return fmt.Errorf("%s is no directory: name one that holds %s, as golden/ does", dir, layout)
	}
	return nil
}

// laidOut fails where most of a directory's files are misplaced, as they are one level off. The others are told one by one
// by who reads them.
func laidOut(dir string, files []string) error {
	misplaced := slices.DeleteFunc(slices.Clone(files), func(name string) bool {
		return strings.Count(name, "/") == 2 && path.Ext(name) == ".yaml"
	})
	if len(misplaced) > len(files)/2 {
		return fmt.Errorf("%s is not laid out like golden/, as %s: it holds %s; name the directory that holds the fleets", dir, layout, misplaced[0])
	}
	return nil
}

func (d *directory) read(name string) ([]byte, error) {
	return d.root.ReadFile(filepath.FromSlash(name))
}

// readEach calls f with the index and the text of each of the files, which are sorted, on all processors.
func (d *directory) readEach(names []string, f func(int, []byte)) error {
	var starts []int // of the files of one directory; the last one ends there
	for i, name := range names {
		if i == 0 || path.Dir(name) != path.Dir(names[i-1]) {
			starts = append(starts, i)
		}
	}
	starts = append(starts, len(names))
	errs := make([]error, len(starts)-1)
	var next atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for s := int(next.Add(1)) - 1; s < len(errs); s = int(next.Add(1)) - 1 {
				errs[s] = d.readDir(names, starts[s], starts[s+1], f)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}

// readDir calls f with the files from start to end, which are of one directory: it is opened once.
func (d *directory) readDir(names []string, start, end int, f func(int, []byte)) error {
	dir, err := d.root.OpenRoot(filepath.FromSlash(path.Dir(names[start])))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	for i := start; i < end; i++ {
		text, err := dir.ReadFile(path.Base(names[i]))
		if err != nil {
			return err
		}
		f(i, present(text))
	}
	return nil
}

// betweenDirs are the states of two directories.
func betweenDirs(before, after string) (review.States, error) {
	old, err := named(before)
	if err != nil {
		return review.States{}, err
	}
	now, err := named(after)
	if err != nil {
		return review.States{}, err
	}
	names := slices.Concat(old.files, now.files)
	slices.Sort(names)
	names = slices.Compact(names)
	files := make([]review.File, len(names))
	index := make(map[string]int, len(names))
	for i, name := range names {
		files[i].Path = name
		index[name] = i
	}
	if err := now.readEach(now.files, func(i int, text []byte) { files[index[now.files[i]]].After = text }); err != nil {
		return review.States{}, err
	}
	err = old.readEach(old.files, func(i int, text []byte) {
		f := &files[index[old.files[i]]]
		if f.After != nil && bytes.Equal(f.After, text) {
			f.After = nil // of what is the same, neither is kept
			return
		}
		f.Before = text
	})
	if err != nil {
		return review.States{}, err
	}
	states := review.States{Read: now.read}
	for _, f := range files {
		if f.Before == nil && f.After == nil {
			states.Same = append(states.Same, f.Path)
		} else {
			states.Changed = append(states.Changed, f)
		}
	}
	return states, nil
}

// present is text that is there, though it may be empty.
func present(text []byte) []byte {
	if text == nil {
		return []byte{}
	}
	return text
}

// sinceRevision are the states of golden/ at a git revision and as it is.
func sinceRevision(ctx context.Context, module, revision string) (review.States, error) {
	root, err := openDir(filepath.Join(module, golden))
	if errors.Is(err, fs.ErrNotExist) {
		return review.States{}, fmt.Errorf("there is no %s/ in %s: %s writes it", golden, module, self)
	}
	if err != nil {
		return review.States{}, err
	}
	now, err := list(root)
	if err != nil {
		return review.States{}, err
	}
	g := git{ctx, module}
	commit, err := g.commit(revision)
	if err != nil {
		return review.States{}, err
	}
	blobs, err := g.blobs(commit, golden)
	if err != nil {
		return review.States{}, err
	}
	touched, err := g.touched(commit, golden)
	if err != nil {
		return review.States{}, err
	}
	states := review.States{Read: now.read}
	var wanted []string // blobs
	var there []string  // files
	for _, name := range now.files {
		blob, was := blobs[name]
		switch {
		case was && !touched[name]:
			states.Same = append(states.Same, name)
			continue
		case was:
			wanted = append(wanted, blob)
		}
		there = append(there, name)
	}
	for name, blob := range blobs {
		if _, is := slices.BinarySearch(now.files, name); !is {
			wanted = append(wanted, blob)
			states.Changed = append(states.Changed, review.File{Path: name})
		}
	}
	texts, err := g.texts(wanted)
	if err != nil {
		return review.States{}, err
	}
	for i := range states.Changed {
		f := &states.Changed[i]
		f.Before = texts[blobs[f.Path]]
	}
	after := make([][]byte, len(there))
	if err := now.readEach(there, func(i int, text []byte) { after[i] = text }); err != nil {
		return review.States{}, err
	}
	for i, name := range there {
		f := review.File{Path: name, Before: texts[blobs[name]], After: after[i]}
		if f.Before != nil && bytes.Equal(f.Before, f.After) { // only its date is another
			states.Same = append(states.Same, name)
		} else {
			states.Changed = append(states.Changed, f)
		}
	}
	return states, nil
}
