// Package path_test goes the way of a change, from a pull request to a cluster that runs it: the steps of the real
// workflows, in throw-away clones of a repository that gen init has made, against a real control plane. GitHub and the
// actions are played; see hub.
package path_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry"
)

// patience is for one step of a workflow, and for anything else that is waited for.
const patience = 5 * time.Minute

// What every secret value begins with. None may be seen anywhere.
const canary = "CANARY-7d20b1-"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "gh" {
		os.Exit(gh())
	}
	os.Exit(m.Run())
}

// A world is a repository, the cluster that it is deployed to, and what stands in for GitHub.
type world struct {
	*hub
	origin string // bare
	fork   string // bare, a stranger's
	dir    string // a clone to work in
}

// TestReview goes as far as no cluster is needed.
func TestReview(t *testing.T) {
	inOrder(t, newWorld(t), []part[*world]{
		{"nothing is deployed before the repository is set up", testNotSetUp},
		{"a fork's pull request is checked and told of in one comment", testPullRequest},
		{"what a fork writes is not believed", testHostile},
		{"a loss of data fails the pull request and is told", testLoss},
		{"a cluster that cannot be reached is told in issues", testUnreachable},
	})
}

// A part of a test leans on those before it.
type part[W any] struct {
	name string
	run  func(*testing.T, W)
}

func inOrder[W any](t *testing.T, w W, parts []part[W]) {
	t.Helper()
	for _, p := range parts {
		if !t.Run(p.name, func(t *testing.T) { p.run(t, w) }) {
			t.FailNow()
		}
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w := &world{hub: newHub(t), origin: filepath.Join(dir, "origin.git"), fork: filepath.Join(dir, "fork.git"), dir: filepath.Join(dir, "infra")}
	w.bin = filepath.Join(dir, "bin")
	if err := os.Mkdir(w.bin, 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(w.bin, "gh")); err != nil {
		t.Fatal(err)
	}
	// All that is compiled is here, or this test would not run.
	w.toolchain = map[string]string{"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local", "GOWORK": "off", "PULUMI_HOME": filepath.Join(dir, "pulumi")}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		w.toolchain[name] = strings.TrimSpace(command(t, root, nil, "go", "env", name))
	}
	w.scaffold(t, root)
	w.environments = map[string]environment{"": {vars: map[string]string{"PULUMI_BACKEND_URL": "file://" + filepath.Join(dir, "state")}}}
	return w
}

// scaffold makes the repository: two tenants, of which one is the canary.
func (w *world) scaffold(t *testing.T, root string) {
	t.Helper()
	command(t, root, nil, "go", "run", "./cmd/gen", "init", "-replace", root, w.dir)
	for _, module := range []string{"", "deploy"} { // what go mod tidy would ask a proxy for
		sums, err := os.ReadFile(filepath.Join(root, module, "go.sum"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, module, "go.sum"), sums, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w.gen(t, "new", "beta")
	w.edit(t, "tenants/fleets.go", "		Tenants: all(", "		Rings:   []render.Ring{{Name: \"canary\", Tenants: []string{\"beta\"}}},\n		Tenants: all(")
	w.gen(t)
	command(t, filepath.Join(w.dir, "deploy"), w.toolchain, "go", "vet", ".") // completes go.mod
	git(t, w.dir, "init", "-q", "-b", "main")
	w.commit(t, "two tenants")
	for _, bare := range []string{w.origin, w.fork} {
		command(t, w.dir, nil, "git", "init", "-q", "--bare", "-b", "main", bare)
		git(t, w.dir, "push", "-q", bare, "main")
	}
}

// workflow runs one of main's.
func (w *world) workflow(t *testing.T, name string, on trigger) *run {
	t.Helper()
	text := git(t, w.dir, "--git-dir", w.origin, "show", "main:.github/workflows/"+name)
	ours, err := tenantry.Workflows.ReadFile(".github/workflows/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(ours), text); diff != "" {
		t.Fatalf("%s is not this repository's:\n%s", name, diff)
	}
	r := w.run(t, name, []byte(text), on)
	if all := r.log.String() + r.summaries; strings.Contains(all, canary) {
		t.Error("a secret is in the log")
	}
	return r
}

// push is what starts the workflows of main.
func (w *world) push(t *testing.T) trigger {
	t.Helper()
	return trigger{event: "push", sha: w.head(t, w.origin, "main"), checkout: func(t *testing.T, dir string) {
		git(t, w.dir, "clone", "-q", w.origin, dir)
	}}
}

// pullRequest is what starts the checks of a branch of the fork: the merge of it into main is what is checked out.
func (w *world) pullRequest(t *testing.T, branch string) trigger {
	t.Helper()
	return trigger{
		event: "pull_request", sha: w.head(t, w.fork, branch), fork: true,
		payload: map[string]any{"pull_request": map[string]any{"head": map[string]any{"repo": map[string]any{"full_name": "stranger/infra"}}}},
		checkout: func(t *testing.T, dir string) {
			git(t, w.dir, "clone", "-q", w.origin, dir)
			git(t, dir, "fetch", "-q", w.fork, branch)
			git(t, dir, "merge", "-q", "--no-ff", "-m", "merge", "FETCH_HEAD")
		},
	}
}

// completed is what starts the comment when a run for a pull request has ended.
func completed(r *run, branch string) trigger {
	return trigger{event: "workflow_run", payload: map[string]any{"workflow_run": map[string]any{
		"id": float64(r.id), "event": r.trigger.event, "head_sha": r.trigger.sha, "head_branch": branch,
		"head_repository": map[string]any{"full_name": "stranger/infra", "owner": map[string]any{"login": "stranger"}},
	}}}
}

// propose commits what is in the working directory to a branch of the fork that has an open pull request.
func (w *world) propose(t *testing.T, branch string) {
	t.Helper()
	w.gen(t)
	w.commit(t, "a change")
	git(t, w.dir, "push", "-q", w.fork, "HEAD:"+branch)
	w.opened(t, branch)
}

// opened has the hub know of the pull request's head.
func (w *world) opened(t *testing.T, branch string) {
	t.Helper()
	p := pull{7, "main", "stranger", branch, w.head(t, w.fork, branch), "stranger/infra"}
	w.pulls = []pull{
		{5, "main", "stranger", branch, p.sha, "stranger/other"}, // of another repository of the same owner
		{6, "release", "stranger", branch, p.sha, "stranger/infra"},
		p,
	}
}

func (w *world) head(t *testing.T, bare, branch string) string {
	t.Helper()
	return strings.TrimSpace(git(t, w.dir, "--git-dir", bare, "rev-parse", branch))
}

func (w *world) gen(t *testing.T, args ...string) {
	t.Helper()
	command(t, w.dir, w.toolchain, "go", append([]string{"run", "./cmd/gen"}, args...)...)
}

func (w *world) edit(t *testing.T, file, before, after string) {
	t.Helper()
	path := filepath.Join(w.dir, file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), before) != 1 {
		t.Fatalf("%s has %q not once:\n%s", file, before, text)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), before, after, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (w *world) commit(t *testing.T, subject string) {
	t.Helper()
	git(t, w.dir, "add", "-A")
	git(t, w.dir, "commit", "-q", "-m", subject)
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return command(t, dir, nil, "git", append([]string{"-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false"}, args...)...)
}

// command runs one that has to succeed, and returns its output.
func command(t *testing.T, dir string, env map[string]string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	cmd.Env = os.Environ()
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// ended compares how the jobs of a run have ended, and in which environments.
func (r *run) ended(t *testing.T, results map[string]string, rings ...string) {
	t.Helper()
	if diff := cmp.Diff(results, r.results); diff != "" {
		t.Fatalf("jobs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(rings, r.rings); diff != "" {
		t.Fatalf("environments (-want +got):\n%s", diff)
	}
}

func testNotSetUp(t *testing.T, w *world) {
	r := w.workflow(t, "deploy.yml", w.push(t))
	r.ended(t, map[string]string{"build": "skipped", "ring": "skipped", "tell": "skipped"})
}

func testPullRequest(t *testing.T, w *world) {
	const branch = "bump"
	git(t, w.dir, "switch", "-q", "-c", branch)
	w.edit(t, "tenants/fleets.go", "v1.0.0", "v1.1.0")
	w.propose(t, branch)
	post := func() string {
		t.Helper()
		r := w.workflow(t, "pull-request.yml", w.pullRequest(t, branch))
		r.ended(t, map[string]string{"check": "success", "diff": "success", "preview": "skipped"})
		text := string(r.artifacts["comment"]["comment.md"])
		if text == "" || !strings.Contains(r.summaries, text) || !strings.Contains(string(r.artifacts["report"]["report.html"]), "<html") {
			t.Fatalf("no comment, no summary or no page: %v", slices.Sorted(maps.Keys(r.artifacts)))
		}
		w.workflow(t, "comment.yml", completed(r, branch)).ended(t, map[string]string{"comment": "success"})
		if len(w.comments[7]) != 2 || len(w.comments) != 1 {
			t.Fatalf("comments: %+v", w.comments)
		}
		return w.comments[7][1].body
	}
	w.comments[7] = []comment{{1, "stranger", "<!-- tenantry:review -->\nwhat looks like ours and is a stranger's"}}
	first := post()
	for _, want := range []string{"v1.0.0", "v1.1.0", "acme", "beta", w.head(t, w.fork, branch)} {
		if !strings.Contains(first, want) {
			t.Errorf("the comment lacks %q:\n%s", want, first)
		}
	}
	w.edit(t, "tenants/fleets.go", "v1.1.0", "v1.2.0")
	w.propose(t, branch)
	if second := post(); second == first || !strings.Contains(second, "v1.2.0") || strings.Contains(second, "v1.1.0") {
		t.Errorf("the comment was not changed:\n%s", second)
	}
}

// testHostile has a fork's run leave what its code could leave, and name itself as it could.
func testHostile(t *testing.T, w *world) {
	const branch = "$(touch${IFS}pwned)`id`"
	git(t, w.dir, "push", "-q", w.fork, "HEAD:refs/heads/"+branch)
	w.opened(t, branch)
	before := w.comments[7]
	comment := func(text string) map[string]map[string][]byte {
		return map[string]map[string][]byte{"comment": {"comment.md": []byte(text)}}
	}
	for _, row := range []struct {
		reason    string
		artifacts map[string]map[string][]byte
		sha       string
		result    string
		posted    string // in the comment; empty: nothing is posted
	}{
		{"a name that is a command", comment("all is well"), "", "success", "all is well"},
		{"somebody is called", comment("thanks @example/maintainers and @someone"), "", "success", "thanks @\u200bexample/maintainers and @\u200bsomeone"},
		{"no artifact", nil, "", "success", ""},
		{"an artifact without the file", map[string]map[string][]byte{"comment": {"../comment.md": []byte("x"), "/etc/passwd": []byte("x")}}, "", "failure", ""},
		{"nothing in it", comment(""), "", "failure", ""},
		{"too much in it", comment(strings.Repeat("a", 60_001)), "", "failure", ""},
		{"very much in it", comment(strings.Repeat("\x00", 50_000_000)), "", "failure", ""},
		{"the head of something else", comment("all is well"), strings.Repeat("0", 40), "success", ""},
	} {
		w.comments[7] = before[:1:1]
		on := w.pullRequest(t, branch)
		if row.sha != "" {
			on.sha = row.sha
		}
		w.mu.Lock()
		w.hub.runs++
		r := &run{hub: w.hub, id: w.hub.runs, trigger: on, artifacts: row.artifacts}
		w.byID[r.id] = r
		w.mu.Unlock()
		w.workflow(t, "comment.yml", completed(r, branch)).ended(t, map[string]string{"comment": row.result})
		switch got := w.comments[7]; {
		case row.posted == "" && len(got) > 1:
			t.Errorf("%s: posted %s", row.reason, got[1].body)
		case row.posted != "" && (len(got) != 2 || !strings.Contains(got[1].body, row.posted)):
			t.Errorf("%s: posted %+v, want %s", row.reason, got, row.posted)
		}
	}
	queue := completed(w.byID[1], branch)
	queue.payload["workflow_run"].(map[string]any)["event"] = "merge_group"
	w.workflow(t, "comment.yml", queue).ended(t, map[string]string{"comment": "skipped"})
	w.comments[7] = before
}

func testLoss(t *testing.T, w *world) {
	const branch = "shrink"
	git(t, w.dir, "switch", "-q", "-c", branch)
	w.edit(t, "tenants/beta.go", "20Gi", "10Gi")
	w.propose(t, branch)
	r := w.workflow(t, "pull-request.yml", w.pullRequest(t, branch))
	r.ended(t, map[string]string{"check": "success", "diff": "failure", "preview": "skipped"})
	w.workflow(t, "comment.yml", completed(r, branch)).ended(t, map[string]string{"comment": "success"})
	if body := w.comments[7][1].body; !strings.Contains(body, "beta/StatefulSet/database") || !strings.Contains(body, "render.Replaced") {
		t.Errorf("the comment does not say what to write:\n%s", body)
	}
	git(t, w.dir, "switch", "-q", "bump")
}

// testUnreachable has the environments of a repository whose cluster is away.
func testUnreachable(t *testing.T, w *world) {
	kubeconfig := `{apiVersion: v1, kind: Config, contexts: [{name: prod, context: {cluster: a, user: a}}], users: [{name: a, user: {}}],
clusters: [{name: a, cluster: {server: "https://127.0.0.1:1"}}]}`
	w.environments[""].vars["DEPLOY"] = "true"
	w.path = os.Getenv("PATH") // it does not get as far as Pulumi
	for _, name := range []string{"prod-platform", "prod-canary", "prod-everyone", "drift"} {
		w.environments[name] = environment{secrets: map[string]string{"KUBECONFIG": kubeconfig}}
	}
	r := w.workflow(t, "deploy.yml", w.push(t))
	r.ended(t, map[string]string{"build": "success", "ring": "failure", "tell": "success"}, "prod-platform failure", "prod-canary cancelled", "prod-everyone cancelled")
	night := w.push(t)
	night.event, night.skip = "schedule", []string{"vulnerabilities"} // for which a database would be asked
	w.workflow(t, "nightly.yml", night).ended(t, map[string]string{"drift": "failure", "tell": "success", "vulnerabilities": "skipped"}, "drift failure")
	if len(w.issues) != 2 || w.issues[0].label != "deploy" || w.issues[1].label != "drift" {
		t.Fatalf("want an issue of each: %+v", w.issues)
	}
	for _, issue := range w.issues {
		if issue.closed || !strings.Contains(issue.body, "127.0.0.1:1: connect: connection refused") || !strings.Contains(issue.body, r.trigger.sha) {
			t.Errorf("the issue does not say why: %+v", issue)
		}
	}
	if !strings.Contains(w.issues[0].body, "No unit was touched.") {
		t.Errorf("the issue does not say what was applied:\n%s", w.issues[0].body)
	}
}
