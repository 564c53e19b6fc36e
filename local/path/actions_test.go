package path_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// A workflow is what a file in .github/workflows says, as far as these tests run it. A field that is not here fails the
// reading.
type workflow struct {
	Name        string            `json:"name"`
	On          any               `json:"true"` // how YAML reads on
	Permissions map[string]string `json:"permissions"`
	Concurrency any               `json:"concurrency"`
	Defaults    struct {
		Run struct {
			Shell string `json:"shell"`
		} `json:"run"`
	} `json:"defaults"`
	Jobs map[string]job `json:"jobs"`
}

type job struct {
	Name        string            `json:"name"`
	Needs       any               `json:"needs"` // one or a list
	If          string            `json:"if"`
	Environment string            `json:"environment"`
	Permissions map[string]string `json:"permissions"`
	RunsOn      string            `json:"runs-on"`
	Timeout     int               `json:"timeout-minutes"`
	Outputs     map[string]string `json:"outputs"`
	Env         map[string]string `json:"env"`
	Strategy    struct {
		MaxParallel int  `json:"max-parallel"`
		FailFast    bool `json:"fail-fast"`
		Matrix      struct {
			Include string `json:"include"`
		} `json:"matrix"`
	} `json:"strategy"`
	Steps []step `json:"steps"`
}

type step struct {
	ID              string            `json:"id"`
	Name            string            `json:"name"`
	If              string            `json:"if"`
	Uses            string            `json:"uses"`
	With            map[string]any    `json:"with"`
	Run             string            `json:"run"`
	Dir             string            `json:"working-directory"`
	Env             map[string]string `json:"env"`
	ContinueOnError bool              `json:"continue-on-error"`
}

// An environment is what the repository's settings hold for jobs that name it; "" is the repository itself.
type environment struct{ secrets, vars map[string]string }

// A trigger starts a run of a workflow.
type trigger struct {
	event   string         // name
	payload map[string]any // github.event
	sha     string
	fork    bool // no secrets
	// checkout puts what actions/checkout would into a directory.
	checkout func(t *testing.T, dir string)
	skip     []string // jobs that are not run
}

// A run is one run of a workflow that has ended.
type run struct {
	*hub
	id        int
	trigger   trigger
	results   map[string]string            // by job; of a matrix the worst
	rings     []string                     // environment and result of every job that has one, in their order
	artifacts map[string]map[string][]byte // files by name
	summaries string
	log       strings.Builder
}

// run runs a workflow of the repository as GitHub would, on this machine: jobs after those that they need, one job of
// a matrix after the other, each in a directory of its own.
func (h *hub) run(t *testing.T, file string, text []byte, on trigger) *run {
	t.Helper()
	var w workflow
	if err := yaml.UnmarshalStrict(text, &w); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if w.Defaults.Run.Shell != "bash" {
		t.Fatalf("%s: the shell is %q, and only bash is run here", file, w.Defaults.Run.Shell)
	}
	h.mu.Lock()
	h.runs++
	r := &run{hub: h, id: h.runs, trigger: on, results: map[string]string{}, artifacts: map[string]map[string][]byte{}}
	h.byID[r.id] = r
	h.mu.Unlock()
	outputs := map[string]any{} // context needs
	for _, name := range on.skip {
		r.results[name] = "skipped"
	}
	for len(r.results) < len(w.Jobs) {
		before := len(r.results)
		for _, name := range slices.Sorted(maps.Keys(w.Jobs)) {
			j := w.Jobs[name]
			if r.results[name] != "" || slices.ContainsFunc(needs(j), func(other string) bool { return r.results[other] == "" }) {
				continue
			}
			r.results[name] = r.job(t, w, name, j, outputs)
		}
		if len(r.results) == before {
			t.Fatalf("%s: jobs wait for each other", file)
		}
	}
	t.Logf("%s: %v\n%s", file, r.results, r.log.String())
	return r
}

func needs(j job) []string {
	switch n := j.Needs.(type) {
	case string:
		return []string{n}
	case []any:
		var names []string
		for _, name := range n {
			names = append(names, name.(string))
		}
		return names
	}
	return nil
}

// job runs a job, or all of its matrix.
func (r *run) job(t *testing.T, w workflow, name string, j job, outputs map[string]any) string {
	t.Helper()
	s := scope{contexts: map[string]any{
		"github": map[string]any{
			"event": r.trigger.payload, "event_name": r.trigger.event, "repository": repository, "sha": r.trigger.sha,
			"server_url": server, "run_id": float64(r.id), "token": r.token(j.Permissions),
		},
		"needs": map[string]any{}, "vars": r.vars(""),
	}}
	for _, other := range needs(j) {
		s.failed = s.failed || r.results[other] != "success"
		s.contexts["needs"].(map[string]any)[other] = map[string]any{"result": r.results[other], "outputs": outputs[other]}
	}
	if !s.holds(j.If) {
		return "skipped"
	}
	jobs := []map[string]any{nil}
	if include := j.Strategy.Matrix.Include; include != "" {
		if j.Strategy.MaxParallel != 1 || !j.Strategy.FailFast {
			t.Fatalf("%s: a matrix that does not run one by one until one fails", name)
		}
		jobs = nil
		for _, one := range s.eval(strings.TrimSuffix(strings.TrimPrefix(include, "${{"), "}}")).([]any) {
			jobs = append(jobs, one.(map[string]any))
		}
	}
	result := "success"
	for i, matrix := range jobs {
		one := scope{contexts: maps.Clone(s.contexts)}
		if matrix != nil {
			one.contexts["matrix"], one.contexts["strategy"] = matrix, map[string]any{"job-index": float64(i)}
		}
		environment := one.text(j.Environment)
		ended := "cancelled"
		if result == "success" {
			fmt.Fprintf(&r.log, "\n== %s %s\n", name, environment)
			var steps map[string]any
			if ended, steps = r.steps(t, j, one, environment); ended != "success" {
				result = ended
			}
			values := map[string]any{}
			for key, value := range j.Outputs {
				values[key] = scope{contexts: map[string]any{"steps": steps}}.text(value)
			}
			outputs[name] = values
		}
		if environment != "" {
			r.rings = append(r.rings, environment+" "+ended)
		}
	}
	return result
}

// steps runs the steps of one job.
func (r *run) steps(t *testing.T, j job, s scope, environment string) (string, map[string]any) {
	t.Helper()
	dir := t.TempDir()
	workspace, temp := filepath.Join(dir, "work"), filepath.Join(dir, "temp")
	for _, d := range []string{workspace, temp, filepath.Join(dir, "home")} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	steps := map[string]any{}
	s.contexts["steps"], s.contexts["runner"] = steps, map[string]any{"temp": temp}
	s.contexts["vars"] = r.vars(environment)
	secrets := map[string]any{"github_token": s.contexts["github"].(map[string]any)["token"]}
	if !r.trigger.fork {
		for name, value := range r.environments[environment].secrets {
			secrets[name] = value
		}
	}
	s.contexts["secrets"] = secrets
	env := map[string]string{}
	for name, value := range j.Env {
		env[name] = s.text(value)
	}
	path := ""
	result := "success"
	for i, st := range j.Steps {
		if !s.holds(st.If) {
			continue
		}
		var err error
		if st.Uses != "" {
			with := map[string]string{}
			for name, value := range st.With {
				with[name] = s.text(str(value))
			}
			action, _, _ := strings.Cut(st.Uses, "@")
			if action == "pulumi/actions" {
				path = r.path
			}
			err = r.use(t, action, with, workspace)
			fmt.Fprintf(&r.log, "-- %s: %v\n", action, err)
		} else {
			all := maps.Clone(env)
			for name, value := range st.Env {
				all[name] = s.text(value)
			}
			var outputs map[string]any
			outputs, err = r.script(t, st, filepath.Join(dir, fmt.Sprint(i)), workspace, temp, cmp.Or(path, os.Getenv("PATH")), all)
			if st.ID != "" {
				steps[st.ID] = map[string]any{"outputs": outputs}
			}
		}
		if err != nil && !st.ContinueOnError {
			s.failed, result = true, "failure"
		}
	}
	return result, steps
}

// script runs the lines of a step.
func (r *run) script(t *testing.T, st step, dir, workspace, temp, path string, env map[string]string) (map[string]any, error) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary"}
	for variable, name := range files {
		env[variable] = filepath.Join(dir, name)
		if err := os.WriteFile(env[variable], nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := filepath.Join(dir, "script.sh")
	if err := os.WriteFile(script, []byte(st.Run), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script)
	cmd.Dir = filepath.Join(workspace, st.Dir)
	maps.Copy(env, map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": repository, "GITHUB_SHA": r.trigger.sha, "GITHUB_SERVER_URL": server,
		"GITHUB_RUN_ID": fmt.Sprint(r.id), "RUNNER_TEMP": temp, "TMPDIR": temp, "HOME": filepath.Join(filepath.Dir(dir), "home"), "PATH": r.bin + string(filepath.ListSeparator) + path,
		hubVariable: r.url,
	})
	maps.Copy(env, r.toolchain)
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	fmt.Fprintf(&r.log, "-- %s\n%s", cmp.Or(st.Name, st.Run), out)
	if err != nil {
		fmt.Fprintln(&r.log, "--", err)
	}
	summary, readErr := os.ReadFile(env["GITHUB_STEP_SUMMARY"])
	if readErr != nil {
		t.Fatal(readErr)
	}
	r.summaries += string(summary)
	outputs := map[string]any{}
	file, readErr := os.Open(env["GITHUB_OUTPUT"])
	if readErr != nil {
		t.Fatal(readErr)
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if !ok {
			t.Fatalf("%q is no output", lines.Text())
		}
		outputs[name] = value
	}
	return outputs, err
}

// use does what an action does.
func (r *run) use(t *testing.T, action string, with map[string]string, workspace string) error {
	t.Helper()
	switch action {
	case "actions/checkout":
		r.trigger.checkout(t, workspace)
	case "actions/setup-go", "pulumi/actions": // what they install is here
	case "actions/upload-artifact":
		data, err := os.ReadFile(filepath.Join(workspace, with["path"]))
		if err != nil {
			return nil //nolint:nilerr // as there: it warns
		}
		r.artifacts[with["name"]] = map[string][]byte{filepath.Base(with["path"]): data}
	case "actions/download-artifact":
		found := false
		for _, name := range slices.Sorted(maps.Keys(r.artifacts)) {
			match, err := filepath.Match(cmp.Or(with["pattern"], with["name"]), name)
			if err != nil {
				return err
			}
			if !match {
				continue
			}
			found = true
			to := filepath.Join(workspace, with["path"])
			if err := os.MkdirAll(to, 0o700); err != nil {
				return err
			}
			for file, data := range r.artifacts[name] {
				if err := os.WriteFile(filepath.Join(to, file), data, 0o600); err != nil { // which is not executable, as there
					return err
				}
			}
		}
		if !found && with["pattern"] == "" {
			return fmt.Errorf("no artifact %q", with["name"])
		}
	default:
		t.Fatalf("nothing plays the action %s", action)
	}
	return nil
}

func (h *hub) vars(environment string) map[string]any {
	all := map[string]any{}
	for _, e := range []string{"", environment} {
		for name, value := range h.environments[e].vars {
			all[name] = value
		}
	}
	return all
}

// token is one that may do what a job's permissions say.
func (h *hub) token(permissions map[string]string) string {
	data, err := json.Marshal(permissions)
	if err != nil {
		panic(err)
	}
	return "token " + string(data)
}
