// Workflows lints GitHub's workflows: what actionlint finds, and what would let a stranger's change or a poisoned cache
// get at more than it may.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/rhysd/actionlint"
)

const help = `usage: go -C tools/workflows run . DIR

Lints every workflow in DIR: by actionlint, and by rules about what workflows may:

  no permissions but those that a job names, none for writing everything
  actions by the full hash of a commit, with its version in a comment
  no expression in a script: values reach it as variables
  no git credentials left behind by checkout
  secrets only in jobs with an environment, and none in one that a fork's pull request starts
  no cache in what has secrets or may write, nor in what it needs
  a workflow that another one starts runs nothing but its own scripts; none is started by pull_request_target

example:
  go -C tools/workflows run . ../../.github/workflows
`

func main() {
	err := run(os.Args[1:], os.Stdout)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintf(os.Stderr, "workflows: %v; -h helps\n", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "workflows:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("want one directory")

func run(args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("workflows", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, help)
		return err
	case err != nil:
		return fmt.Errorf("%w: %w", errUsage, err)
	case flags.NArg() != 1:
		return errUsage
	}
	var files []string
	for _, pattern := range []string{"*.yml", "*.yaml"} {
		found, err := filepath.Glob(filepath.Join(flags.Arg(0), pattern))
		if err != nil {
			return fmt.Errorf("looking for workflows: %w", err)
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no workflow", flags.Arg(0))
	}
	count := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading a workflow: %w", err)
		}
		findings, err := lint(file, text)
		if err != nil {
			return err
		}
		for _, f := range findings {
			fmt.Fprintf(stdout, "%s:%s\n", file, f)
		}
		count += len(findings)
	}
	if count > 0 {
		return fmt.Errorf("%d findings", count)
	}
	return nil
}

// lint returns what is wrong with a workflow.
func lint(file string, text []byte) ([]finding, error) {
	// What else it would run, shellcheck, is there on some machines only.
	linter, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
	if err != nil {
		return nil, fmt.Errorf("starting actionlint: %w", err)
	}
	errs, err := linter.Lint(file, text, nil)
	if err != nil {
		return nil, fmt.Errorf("linting %s: %w", file, err)
	}
	var findings []finding
	for _, e := range errs {
		findings = append(findings, finding{e.Line, e.Kind, e.Message})
	}
	more, err := check(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return append(findings, more...), nil
}
