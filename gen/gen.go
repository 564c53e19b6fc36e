// Package gen is the command of a repository that describes its tenants with package render: it renders
// every unit into golden/, tells whether golden/ is what the code renders and what changes in it, and scaffolds
// tenants and whole repositories.
//
// A repository's own command is one line, so that nobody needs a fork:
//
//	func main() { os.Exit(gen.Main(tenants.Fleets())) }
package gen

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/tenantry/tenantry/render"
)

const (
	self   = "go run ./cmd/gen"
	golden = "golden" // the directory, below the module's root
)

// A command is one subcommand. Its run declares flags on c.flags, calls c.parse, and writes results to
// c.stdout and everything else to c.stderr. An error ends the process with exit code 1.
type command struct {
	name    string // empty: what runs without a subcommand
	args    string // after the name, as in "NAME [-from TENANT]"
	summary string // one line
	help    string // what -h says between the usage and the flags
	example string // arguments of an example
	run     func(context.Context, *call) error
}

// commands is every subcommand, in the order in which help lists them.
func commands() []command {
	return []command{
		{"", "[COMMAND]", "render every unit into golden/", writeHelp, "", runWrite},
		{"check", "", "show how golden/ differs from what the code renders", checkHelp, "check", runCheck},
		{"verify", "[-format FORMAT] [-matrix] [-fleet NAME] [DIR]", "hold every unit against the rules of isolation, safety, capacity and validity", verifyHelp, "verify -format sarif", runVerify},
		{"diff", "-base REV | OLDDIR NEWDIR [-format FORMAT] [-rest WHERE]", "tell what changes since a git revision, for whom, and how dangerous it is", diffHelp, "diff -base origin/main", runDiff},
		{"schema", "[-check] [-format FORMAT]", "write the configuration schema for other runtimes and for people", schemaHelp, "schema -format jsonschema", runSchema},
		{"new", "NAME [-from TENANT]", "scaffold tenants/NAME.go and list it", newHelp, "new big-co -from acme", runNew},
		{"init", "DIR [-module PATH] [-replace CHECKOUT]", "scaffold a repository of its own", initHelp, "init ../infra -module example.com/infra", runInit},
	}
}

// A call is one invocation of a command.
type call struct {
	command
	fleets         []render.Fleet
	flags          *flag.FlagSet
	args           []string
	stdout, stderr io.Writer
}

// Main runs the command line of this process with a repository's fleets and returns the exit code: 0 done,
// 1 failed or found something, 2 wrong usage.
func Main(fleets []render.Fleet) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	// A reader that leaves early must not end a run between two files: the write fails instead.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	stdout, stderr := &output{w: os.Stdout}, &output{w: os.Stderr}
	err := run(ctx, fleets, os.Args[1:], stdout, stderr)
	if err == nil && stdout.err != nil && !errors.Is(stdout.err, syscall.EPIPE) {
		err = fmt.Errorf("writing the results: %w", stdout.err)
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.As(err, new(usageError)):
		fmt.Fprintln(stderr, err)
		return 2
	default:
		fmt.Fprintln(stderr, err)
		return 1
	}
}

// output remembers its first error and is silent from then on.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	if o.err == nil {
		_, o.err = o.w.Write(p)
	}
	return len(p), nil
}

// usageError is a command line that means nothing.
type usageError struct{ problem, usage string }

func (e usageError) Error() string { return e.problem + "\nusage: " + e.usage }

// run finds the command that args name and runs it. It returns flag.ErrHelp where help was asked for and
// has been printed.
func run(ctx context.Context, fleets []render.Fleet, args []string, stdout, stderr io.Writer) error {
	shift := func() (name string) {
		if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
			name, args = args[0], args[1:]
		}
		return name
	}
	name := shift()
	if name == "help" {
		name = shift()
		args = append(slices.Clone(args), "-h")
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == name })
	if i < 0 {
		return usageError{fmt.Sprintf("unknown command %q", name), usage(all[0]) + "\n" + self + " -h lists the commands"}
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return all[i].run(ctx, &call{all[i], fleets, flags, args, stdout, stderr})
}

// parse reads the flags, which may stand anywhere, and returns the other arguments, of which there must be
// least to most.
func (c *call) parse(least, most int) ([]string, error) {
	var operands []string
	for args := c.args; ; {
		if err := c.flags.Parse(args); errors.Is(err, flag.ErrHelp) {
			c.printHelp()
			return nil, err
		} else if err != nil {
			return nil, usageError{err.Error(), usage(c.command)}
		}
		rest := c.flags.Args()
		if read := len(args) - len(rest); read > 0 && args[read-1] == "--" {
			operands = append(operands, rest...)
			break
		}
		if len(rest) == 0 {
			break
		}
		operands, args = append(operands, rest[0]), rest[1:]
	}
	switch {
	case len(operands) < least:
		return nil, usageError{"too few arguments", usage(c.command)}
	case len(operands) > most:
		return nil, usageError{fmt.Sprintf("extra argument %q", operands[most]), usage(c.command)}
	}
	return operands, nil
}

// unknown says which choices there are instead of one that is none.
func unknown(what, given string, choices []string) string {
	return fmt.Sprintf("unknown %s %q: choose %s", what, given, strings.Join(choices, ", "))
}

// count is a number of things, which are more than one by an s.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprint(n, " ", thing)
}

func usage(c command) string {
	return strings.Join(strings.Fields(self+" "+c.name+" "+c.args), " ")
}

func (c *call) printHelp() {
	fmt.Fprintf(c.stdout, "usage: %s\n\n%s\n", usage(c.command), c.help)
	if c.name == "" {
		fmt.Fprintln(c.stdout, "commands:")
		for _, other := range commands()[1:] {
			fmt.Fprintf(c.stdout, "  %-8s %s\n", other.name, other.summary)
		}
		fmt.Fprintf(c.stdout, "%s COMMAND -h explains one.\n\n", self)
	}
	flags := 0
	c.flags.VisitAll(func(*flag.Flag) { flags++ })
	if flags > 0 {
		fmt.Fprintln(c.stdout, "flags:")
		c.flags.SetOutput(c.stdout)
		c.flags.PrintDefaults()
		fmt.Fprintln(c.stdout)
	}
	fmt.Fprintf(c.stdout, "example:\n  %s\n", strings.TrimSpace(self+" "+c.example))
}

// moduleRoot is the nearest directory, from the working directory up, that holds a go.mod. It must be that of the module
// which the tenants were compiled in: this command would take any other golden/ for its own.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		name := filepath.Join(dir, "go.mod")
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
			mod, err := os.ReadFile(name)
			if err != nil {
				return "", fmt.Errorf("finding the module: %w", err)
			}
			var module string
			if match := moduleLine.FindSubmatch(mod); match != nil {
				module = string(match[1])
			}
			if compiled := commandModule(); compiled != "" && compiled != module {
				return "", fmt.Errorf("this command renders the tenants of module %s, and %s is module %s: run %s there, or this command in its own module", compiled, dir, module, self)
			}
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod in %s or above: run this in the module that holds golden/", start)
		}
	}
}

var moduleLine = regexp.MustCompile("(?m)^[ \t]*module[ \t]+[\"`]?([^\\s\"`]+)")

// commandModule is the path of the module that this command, and with it the tenants, was compiled in. It is empty where
// nobody knows, and of a test, whose binary plays the command of other modules.
func commandModule() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || strings.HasSuffix(info.Path, ".test") {
		return ""
	}
	return info.Main.Path
}

// units renders all fleets of the module at root.
func units(ctx context.Context, root string, fleets []render.Fleet) ([]render.Unit, error) {
	if len(fleets) == 0 {
		return nil, errors.New("there are no fleets; golden/ is unchanged") // rather than emptied
	}
	rendered, err := await(ctx, func() ([]render.Unit, error) { return render.Units(fleets) })
	if errs, many := err.(interface{ Unwrap() []error }); many {
		return nil, mistakes{root, errs.Unwrap()}
	}
	return rendered, err
}

// await runs f and returns early when ctx ends. What f does is lost then: it is for calls that cannot be
// cancelled, in a process that is about to end.
func await[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// mistakes is all that render found wrong, told line by line.
type mistakes struct {
	root string // of the module
	errs []error
}

var tenantPath = regexp.MustCompile(`^fleets\[[^\]]*\]\.tenants\[([a-z0-9-]+)\]`)

func (m mistakes) Error() string {
	var b strings.Builder
	files := tenantFiles(m.root)
	for _, err := range m.errs {
		if e, ok := errors.AsType[*field.Error](err); ok {
			if match := tenantPath.FindStringSubmatch(e.Field); match != nil && len(files[match[1]]) > 0 {
				b.WriteString(strings.Join(files[match[1]], ", ") + ": ")
			}
		}
		fmt.Fprintln(&b, err)
	}
	b.WriteString(count(len(m.errs), "mistake") + "; golden/ is unchanged")
	return b.String()
}

// tenantFiles are the files of tenants/ that write each tenant's name: two of a name that is written twice, none of one that
// is computed.
func tenantFiles(module string) map[string][]string {
	files := map[string][]string{}
	root, err := os.OpenRoot(filepath.Join(module, "tenants"))
	if err != nil {
		return files
	}
	defer func() { _ = root.Close() }()
	pkg, err := parsePackage(root)
	if err != nil {
		return files
	}
	for _, file := range slices.Sorted(maps.Keys(pkg.files)) {
		ast.Inspect(pkg.files[file], func(n ast.Node) bool {
			if value, ok := n.(*ast.CompositeLit); ok && isTenant(value.Type) {
				if name, path := nameIn(value), "tenants/"+file; !slices.Contains(files[name], path) {
					files[name] = append(files[name], path)
				}
			}
			return true
		})
	}
	return files
}

func (m mistakes) Unwrap() []error { return m.errs }

// openDir opens a generated directory, and never a link to one. It returns fs.ErrNotExist where there is
// none.
func openDir(dir string) (*os.Root, error) {
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, fmt.Errorf("opening %s/: %w", filepath.Base(dir), err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory but a %s: move it away", dir, kind(info.Mode()))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening %s/: %w", filepath.Base(dir), err)
	}
	return root, nil
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "directory"
	case mode.IsRegular():
		return "file"
	case mode.Type() == fs.ModeSymlink:
		return "symbolic link"
	}
	return "special file"
}
