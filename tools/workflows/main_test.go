package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// good breaks no rule. Each row of TestRules changes one thing.
const good = `name: good
on:
  pull_request:
permissions: {}
jobs:
  test:
    permissions:
      contents: read
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2
        with:
          persist-credentials: false
      - uses: actions/setup-go@4a3601121dd01d1626a1e23e37211e3254c1c06c # v6.4.0
        with:
          go-version-file: go.mod
      - run: echo "$TITLE"
        env:
          TITLE: ${{ github.event.pull_request.title }}
  preview:
    if: vars.PREVIEW == 'true' && github.event.pull_request.head.repo.full_name == github.repository
    permissions:
      contents: read
    environment: preview
    runs-on: ubuntu-24.04
    steps:
      - run: make preview
        env:
          KEY: ${{ secrets.KEY }}
          TOKEN: ${{ secrets.GITHUB_TOKEN }}
`

func TestRules(t *testing.T) {
	for _, row := range []struct {
		reason   string
		old, new string
		want     string // in a finding; empty for none
	}{
		{"nothing is wrong", "", "", ""},
		{"what only actionlint sees", "runs-on: ubuntu-24.04", "runs-on: ubuntu-1.04", "runner-label"},
		{"a mistake in an expression", "github.event.pull_request.title", "github.evnt", "[expression]"},
		{"a stranger's change with secrets", "  pull_request:", "  pull_request_target:", "[trigger]"},
		{"in a list", "on:\n  pull_request:", "on: [push, pull_request_target]", "[trigger]"},
		{"alone", "on:\n  pull_request:", "on: pull_request_target", "[trigger]"},
		{"the default permissions", "permissions: {}\n", "", "the workflow's permissions must be {}"},
		{"permissions of every job", "permissions: {}\n", "permissions:\n  contents: read\n", "the workflow's permissions must be {}"},
		{"all permissions of every job", "permissions: {}\n", "permissions: write-all\n", "the workflow's permissions must be {}"},
		{"a job without permissions", "    permissions:\n      contents: read\n", "", "the job test names no permissions"},
		{"all permissions", "    permissions:\n      contents: read\n", "    permissions: write-all\n", "write-all is more than"},
		{"all rights to read", "    permissions:\n      contents: read\n", "    permissions: read-all\n", "read-all is more than"},
		{"no permissions", "    permissions:\n      contents: read\n", "    permissions: {}\n", ""},
		{"an action by its tag", "checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "checkout@v6", "actions/checkout@v6 can be moved"},
		{"an action by half a hash", "de0fac2e4500dabe0009e67214ff5f5447ce83dd", "de0fac2e4500", "can be moved"},
		{"an image", "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "docker://alpine:3", "can be moved"},
		{"a hash of nobody knows what", " # v6.0.2", "", "wants its version"},
		{"a hash with half a version", " # v6.0.2", " # v6", "wants its version"},
		{"credentials in .git", "          persist-credentials: false", "          fetch-depth: 2", "[credentials]"},
		{"credentials in .git by another name", "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2\n        with:\n          persist-credentials: false", "Actions/Checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2", "[credentials]"},
		{"a title in a script", `"$TITLE"`, `"${{ github.event.pull_request.title }}"`, "[injection]"},
		{"anything in a script", `"$TITLE"`, `${{ github.sha }}`, "[injection]"},
		{"a title in JavaScript", "actions/setup-go@4a3601121dd01d1626a1e23e37211e3254c1c06c # v6.4.0\n        with:\n          go-version-file: go.mod", "actions/github-script@4a3601121dd01d1626a1e23e37211e3254c1c06c # v8.0.0\n        with:\n          script: core.info('${{ github.head_ref }}')", "[injection]"},
		{"a variable for later steps", `echo "$TITLE"`, `echo "TITLE=$TITLE" >>"$GITHUB_ENV"`, "[injection]"},
		{"a path for later steps", `echo "$TITLE"`, `echo "$TITLE" >>"$GITHUB_PATH"`, "[injection]"},
		{"secrets without an environment", "    environment: preview\n", "", "no environment guards"},
		{"secrets by another spelling", "    environment: preview\n    runs-on: ubuntu-24.04\n    steps:\n      - run: make preview\n        env:\n          KEY: ${{ secrets.KEY }}", "    runs-on: ubuntu-24.04\n    steps:\n      - run: make preview\n        env:\n          KEY: ${{ toJSON(Secrets) }}", "no environment guards"},
		{"secrets for everybody", "permissions: {}\n", "permissions: {}\nenv:\n  KEY: ${{ secrets.KEY }}\n", "every job gets these"},
		{"secrets for forks", "    if: vars.PREVIEW == 'true' && github.event.pull_request.head.repo.full_name == github.repository\n", "", "a fork's pull request"},
		{"secrets for forks by a way around", "vars.PREVIEW == 'true' &&", "vars.PREVIEW == 'true' ||", "a fork's pull request"},
		{"secrets for forks alone", "vars.PREVIEW == 'true' && github.event.pull_request.head.repo.full_name == github.repository", "${{ !(github.event.pull_request.head.repo.full_name == github.repository) }}", "a fork's pull request"},
		{"secrets handed on", "  preview:\n", "  other:\n    permissions: {}\n    uses: a/b/.github/workflows/c.yml@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v1.0.0\n    secrets: inherit\n  preview:\n", "inherit hands on"},
		{"a workflow of others by its branch", "  preview:\n", "  other:\n    permissions: {}\n    uses: a/b/.github/workflows/c.yml@main\n  preview:\n", "can be moved"},
		{"a cache where something may write", "      contents: read\n    runs-on: ubuntu-24.04\n    steps:\n      - uses", "      contents: write\n    runs-on: ubuntu-24.04\n    steps:\n      - uses", "[cache]"},
		{"a cache for what has secrets", "      - run: make preview", "      - uses: actions/cache/restore@668228422ae6a00e4ad889ee87cd7109ec5666a7 # v5.0.4\n        with:\n          path: a\n          key: a\n      - run: make preview", "[cache]"},
		{"a cache for what another needs", "    environment: preview\n", "    environment: preview\n    needs: [test]\n", "[cache]"},
		{"no cache for what another needs", "          go-version-file: go.mod", "          go-version-file: go.mod\n          cache: false", ""},
		{"an action in what another workflow starts", "on:\n  pull_request:", "on:\n  workflow_run:\n    workflows: [ci]", "[workflow-run]"},
		{"something hidden", "    steps:\n      - run: make preview\n", "    steps:\n      - &a\n        run: make preview\n      - *a\n      - run: make preview\n", "[alias]"},
	} {
		text := good
		if row.old != "" {
			text = strings.Replace(good, row.old, row.new, 1)
			if text == good {
				t.Errorf("%s: nothing was changed", row.reason)
				continue
			}
		}
		findings, err := lint("good.yml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", row.reason, err)
			continue
		}
		found := row.want == ""
		for _, f := range findings {
			found = row.want != "" && (found || strings.Contains(f.String(), row.want))
			if f.line < 1 {
				t.Errorf("%s: no line: %s", row.reason, f)
			}
		}
		if !found {
			t.Errorf("%s: want %q, got %v", row.reason, row.want, findings)
		}
	}
}

// TestOurs lints this repository's workflows, and those of a repository that gen init makes.
func TestOurs(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "infra")
	init := exec.CommandContext(t.Context(), "go", "run", "./cmd/gen", "init", dir)
	init.Dir = root
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, repository := range []string{root, dir} {
		var out bytes.Buffer
		if err := run([]string{filepath.Join(repository, ".github", "workflows")}, &out); err != nil {
			t.Errorf("%v\n%s", err, out.String())
		}
	}
}

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.Mkdir(bad, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bad, "a.yaml"), []byte("on: push\njobs: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(empty, "a.yml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := run([]string{"-h"}, &out); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out.String(), "example:") {
		t.Errorf("-h: %v", err)
	}
	for _, row := range []struct {
		reason string
		args   []string
		usage  bool
		want   string
	}{
		{"no directory", nil, true, "want one directory"},
		{"an unknown flag", []string{"-fix", bad}, true, "-fix"},
		{"no workflow", []string{dir}, false, "has no workflow"},
		{"a finding", []string{bad}, false, "findings"},
		{"an empty file", []string{empty}, false, "a.yml"},
	} {
		if err := run(row.args, &out); err == nil || errors.Is(err, errUsage) != row.usage || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.reason, err)
		}
	}
	if !strings.Contains(out.String(), filepath.Join(bad, "a.yaml")+":1: ") {
		t.Errorf("no place is told: %s", out.String())
	}
}
