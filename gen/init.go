package gen

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"text/template"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tenantry/tenantry"
)

const initHelp = `Writes a repository that uses Tenantry as a library into DIR, which must be new or empty: one
fleet with one tenant, the application's settings, the command, a test of golden/, what applies it
with Pulumi, a Makefile, and GitHub's workflows for reviewing and deploying.
`

const library = "github.com/tenantry/tenantry"

// archive holds the files of a new repository, each a text/template over origin; its workflows are this repository's.
//
//go:embed init.txtar
var archive []byte

// origin is what differs between one new repository and another.
type origin struct {
	Module  string // path of the new module
	Version string // of Tenantry to require; empty for the newest when the module is tidied
	Replace string // a checkout to take Tenantry from instead; empty for none
}

var modulePath = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

func runInit(_ context.Context, c *call) error {
	module := c.flags.String("module", "", "`PATH` of the new Go module (default: example.com/ and DIR's name)")
	replace := c.flags.String("replace", "", "take Tenantry from the source in `CHECKOUT`: for work on both at once, and while no version is published")
	operands, err := c.parse(1, 1)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(operands[0])
	if err != nil {
		return fmt.Errorf("finding %s: %w", operands[0], err)
	}
	from := origin{Module: *module, Version: version()}
	if from.Module == "" {
		from.Module = "example.com/" + filepath.Base(dir)
	}
	if !modulePath.MatchString(from.Module) {
		return fmt.Errorf("%q is no path of a Go module: say -module example.com/infra", from.Module)
	}
	if *replace != "" {
		if from.Replace, err = checkout(*replace); err != nil {
			return err
		}
		from.Version = "v0.0.0" // stands for whatever is in the checkout
	}
	files, err := from.files()
	if err != nil {
		return err
	}
	if err := populate(dir, files); err != nil {
		return err
	}
	for _, f := range files {
		fmt.Fprintf(c.stdout, "created %s\n", filepath.Join(operands[0], filepath.FromSlash(f.Name)))
	}
	if from.Version == "" {
		fmt.Fprintln(c.stderr, "go mod tidy will require the newest version that is published: where there is none, init again with -replace CHECKOUT")
	}
	fmt.Fprintf(c.stderr, "next: cd %s && go mod tidy && go -C deploy mod tidy && %s\n", operands[0], self)
	return nil
}

// version is the version of Tenantry in this binary if it can be required: not one that was built from a
// checkout with changes of its own.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if m.Path == library && m.Replace == nil && strings.HasPrefix(m.Version, "v") && !strings.Contains(m.Version, "+") {
			return m.Version
		}
	}
	return ""
}

// checkout is the absolute path of a directory that holds Tenantry's source.
func checkout(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", dir, err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", fmt.Errorf("reading the checkout: %w", err)
	}
	if !bytes.HasPrefix(mod, []byte("module "+library+"\n")) {
		return "", fmt.Errorf("%s is not a checkout of %s", dir, library)
	}
	return dir, nil
}

// files are those of the new repository.
func (o origin) files() ([]txtar.File, error) {
	files := txtar.Parse(archive).Files
	for i := range files {
		t, err := template.New(files[i].Name).Parse(string(files[i].Data))
		if err != nil {
			return nil, err
		}
		var out bytes.Buffer
		if err := t.Execute(&out, o); err != nil {
			return nil, err
		}
		files[i].Data = out.Bytes()
	}
	err := fs.WalkDir(tenantry.Workflows, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(tenantry.Workflows, path)
		files = append(files, txtar.File{Name: path, Data: data})
		return err
	})
	return files, err
}

// populate writes the files into a directory that is new or holds nothing but .git. With an error it leaves
// the directory as empty as it was.
func populate(dir string, files []txtar.File) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("creating %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("opening %s: %w", dir, err)
	}
	defer func() { _ = root.Close() }()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return fmt.Errorf("reading %s: %w", dir, err)
	}
	for _, e := range entries {
		if e.Name() != ".git" {
			return fmt.Errorf("%s is not empty: it holds %s", dir, e.Name())
		}
	}
	for i, f := range files {
		err := root.MkdirAll(path.Dir(f.Name), 0o755)
		if err == nil {
			err = writeFile(root, f.Name, f.Data)
		}
		if err != nil {
			err = fmt.Errorf("writing %s: %w", filepath.Join(dir, filepath.FromSlash(f.Name)), err)
			for _, written := range files[:i+1] {
				top, _, _ := strings.Cut(written.Name, "/")
				err = errors.Join(err, root.RemoveAll(top))
			}
			return err
		}
	}
	return nil
}
