package main

import (
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A finding is something that is wrong on a line.
type finding struct {
	line       int
	rule, text string
}

func (f finding) String() string { return fmt.Sprintf("%d: %s [%s]", f.line, f.text, f.rule) }

// A workflow is one that is being checked.
type workflow struct {
	root     *yaml.Node
	events   []string
	jobs     map[string]*yaml.Node
	findings []finding
}

var (
	expression = regexp.MustCompile(`(?s)\$\{\{.*?\}\}`)
	secrets    = regexp.MustCompile(`(?i)\bsecrets\b`)
	token      = regexp.MustCompile(`(?i)\bsecrets\.GITHUB_TOKEN\b`)
	byCommit   = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40}$`)
	version    = regexp.MustCompile(`^# v\d+\.\d+\.\d+$`)
	ownBranch  = regexp.MustCompile(`^[^|!]*\bgithub\.event\.pull_request\.head\.repo\.full_name == github\.repository\b[^|!]*$`)
)

// check holds one workflow against the rules.
func check(text io.Reader) ([]finding, error) {
	var document yaml.Node
	if err := yaml.NewDecoder(text).Decode(&document); err != nil {
		return nil, err
	}
	w := &workflow{root: document.Content[0], jobs: map[string]*yaml.Node{}}
	on := get(w.root, "on")
	switch {
	case on == nil:
	case on.Kind == yaml.MappingNode:
		for key := range pairs(on) {
			w.events = append(w.events, key.Value)
		}
	case on.Kind == yaml.SequenceNode:
		for _, event := range on.Content {
			w.events = append(w.events, event.Value)
		}
	default:
		w.events = []string{on.Value}
	}
	for name, job := range pairs(get(w.root, "jobs")) {
		w.jobs[name.Value] = job
	}
	w.check()
	slices.SortStableFunc(w.findings, func(a, b finding) int { return a.line - b.line })
	return w.findings, nil
}

func (w *workflow) find(at *yaml.Node, rule, text string, args ...any) {
	w.findings = append(w.findings, finding{at.Line, rule, fmt.Sprintf(text, args...)})
}

func (w *workflow) check() {
	if slices.Contains(w.events, "pull_request_target") {
		w.find(get(w.root, "on"), "trigger", "pull_request_target runs with secrets on a stranger's change: use pull_request, and workflow_run to post")
	}
	if p := get(w.root, "permissions"); p == nil || p.Kind != yaml.MappingNode || len(p.Content) > 0 {
		w.find(w.root, "permissions", "the workflow's permissions must be {}, so that each job names its own")
	}
	if env := get(w.root, "env"); env != nil && usesSecrets(env) {
		w.find(env, "secrets", "every job gets these: give them to the step that needs them")
	}
	for n := range nodes(w.root) {
		if n.Kind == yaml.AliasNode {
			w.find(n, "alias", "nothing looks behind *%s: write it out", n.Value)
		}
	}
	needed := w.neededByPrivileged()
	for name, job := range w.jobs {
		w.checkPermissions(name, job)
		w.checkSecrets(name, job)
		if uses := get(job, "uses"); uses != nil {
			w.checkPinned(uses)
		}
		for step := range items(get(job, "steps")) {
			w.checkScript(step)
			if uses := get(step, "uses"); uses != nil {
				w.checkPinned(uses)
				w.checkAction(step, uses, needed[name])
			}
		}
	}
}

func (w *workflow) checkPermissions(name string, job *yaml.Node) {
	switch p := get(job, "permissions"); {
	case p == nil:
		w.find(job, "permissions", "the job %s names no permissions", name)
	case p.Kind != yaml.MappingNode:
		w.find(p, "permissions", "%s is more than any job needs: name each", p.Value)
	}
}

// checkSecrets looks at the whole job. The token of the run is not a secret of anybody's.
func (w *workflow) checkSecrets(name string, job *yaml.Node) {
	if inherited := get(job, "secrets"); inherited != nil && inherited.Value == "inherit" {
		w.find(inherited, "secrets", "inherit hands on every secret: name each")
	}
	if !usesSecrets(job) {
		return
	}
	if get(job, "environment") == nil {
		w.find(job, "secrets", "the job %s takes secrets that no environment guards", name)
	}
	if condition := get(job, "if"); slices.Contains(w.events, "pull_request") && (condition == nil || !ownBranch.MatchString(condition.Value)) {
		w.find(job, "secrets", "a fork's pull request can start the job %s: its if must ask that github.event.pull_request.head.repo.full_name == github.repository", name)
	}
}

func usesSecrets(n *yaml.Node) bool {
	for scalar := range nodes(n) {
		for _, e := range expression.FindAllString(scalar.Value, -1) {
			if secrets.MatchString(token.ReplaceAllString(e, "")) {
				return true
			}
		}
	}
	return false
}

// privileged tells whether a job has more than a stranger may: secrets, an environment, or a right to write.
func (w *workflow) privileged(job *yaml.Node) bool {
	for _, value := range pairs(get(job, "permissions")) {
		if value.Value == "write" {
			return true
		}
	}
	return get(job, "environment") != nil || usesSecrets(job) || slices.Contains(w.events, "workflow_run")
}

// neededByPrivileged are the privileged jobs, and those whose results they take.
func (w *workflow) neededByPrivileged() map[string]bool {
	needed := map[string]bool{}
	var need func(string)
	need = func(name string) {
		if needed[name] || w.jobs[name] == nil {
			return
		}
		needed[name] = true
		switch needs := get(w.jobs[name], "needs"); {
		case needs == nil:
		case needs.Kind == yaml.SequenceNode:
			for _, other := range needs.Content {
				need(other.Value)
			}
		default:
			need(needs.Value)
		}
	}
	for name, job := range w.jobs {
		if w.privileged(job) {
			need(name)
		}
	}
	return needed
}

func (w *workflow) checkPinned(uses *yaml.Node) {
	switch {
	case strings.HasPrefix(uses.Value, "./"):
	case !byCommit.MatchString(uses.Value):
		w.find(uses, "pinned", "%s can be moved to another commit: give the full hash of one", uses.Value)
	case !version.MatchString(uses.LineComment):
		w.find(uses, "pinned", "%s wants its version in a comment behind it, such as # v1.2.3", uses.Value)
	}
}

func (w *workflow) checkScript(step *yaml.Node) {
	scripts := []*yaml.Node{get(step, "run"), get(get(step, "with"), "script")}
	for _, script := range scripts {
		if script == nil {
			continue
		}
		if e := expression.FindString(script.Value); e != "" {
			w.find(script, "injection", "%s becomes part of the script, whatever is in it: make it a variable in env", e)
		}
		for _, file := range []string{"GITHUB_ENV", "GITHUB_PATH"} {
			if strings.Contains(script.Value, file) {
				w.find(script, "injection", "what is written to %s reaches every later step: use an output", file)
			}
		}
	}
}

func (w *workflow) checkAction(step, uses *yaml.Node, guarded bool) {
	action, _, _ := strings.Cut(strings.ToLower(uses.Value), "@")
	with := func(name string) string {
		if value := get(get(step, "with"), name); value != nil {
			return value.Value
		}
		return ""
	}
	if action == "actions/checkout" && with("persist-credentials") != "false" {
		w.find(uses, "credentials", "what runs later finds the token in .git: persist-credentials must be false")
	}
	if slices.Contains(w.events, "workflow_run") {
		w.find(uses, "workflow-run", "%s in a workflow that another one starts: it may run nothing but its own scripts", action)
	}
	if guarded && (strings.HasPrefix(action, "actions/cache") || strings.HasPrefix(action, "actions/setup-") && with("cache") != "false") {
		w.find(uses, "cache", "%s could restore what somebody else has put into the cache: take none here", action)
	}
}

// get is the value of a key; nil where there is none.
func get(n *yaml.Node, name string) *yaml.Node {
	for key, value := range pairs(n) {
		if key.Value == name {
			return value
		}
	}
	return nil
}

// pairs yields what is in a mapping.
func pairs(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i], n.Content[i+1]) {
				return
			}
		}
	}
}

// items yields what is in a sequence.
func items(n *yaml.Node) iter.Seq[*yaml.Node] {
	if n == nil || n.Kind != yaml.SequenceNode {
		return func(func(*yaml.Node) bool) {}
	}
	return slices.Values(n.Content)
}

// nodes yields a node and all that is in it.
func nodes(n *yaml.Node) iter.Seq[*yaml.Node] {
	return func(yield func(*yaml.Node) bool) {
		var walk func(*yaml.Node) bool
		walk = func(n *yaml.Node) bool {
			return yield(n) && !slices.ContainsFunc(n.Content, func(child *yaml.Node) bool { return !walk(child) })
		}
		walk(n)
	}
}
