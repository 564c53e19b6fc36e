// Score has golden/ judged by two programs that know nothing of Tenantry, and fails unless both are content:
//
//	go -C local run ./score
//
// kubeconform holds every file strictly against JSON Schemas of the fleet's minor version of Kubernetes and of the
// operators' custom resources: none may be invalid, and none skipped. kube-score may find nothing critical and nothing
// to warn of, without any of its tests being ignored, but for what [accepted] argues. It sees the pods that operators
// make of the objects in golden/ beside them, as package verify knows them, but does not grade those.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
	"github.com/tenantry/tenantry/verify"
)

// accepted is what kube-score says of golden/ and stays as it is, each with the reason: <path below golden/> <test>.
var accepted = map[string]string{
	"prod/hooli/deployment-api.yaml deployment-replicas":    oneProcess,
	"staging/hooli/deployment-api.yaml deployment-replicas": oneProcess,
}

const oneProcess = "hooli chose to have no cache: its sessions live in the one process, and a second one would not know them"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, "../golden", os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "score:", err)
		os.Exit(1)
	}
}

// run judges a directory that is laid out like golden/.
func run(ctx context.Context, dir string, stdout io.Writer) (err error) {
	golden, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "score-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	fleets, err := verify.Load(os.DirFS(golden))
	if err != nil {
		return fmt.Errorf("reading %s: %w", golden, err)
	}
	var problems, said []string
	for i := range fleets {
		values := tenants.Fleets()
		at := slices.IndexFunc(values, func(f render.Fleet) bool { return f.Name == fleets[i].Name })
		if at < 0 {
			return fmt.Errorf("golden/ has a fleet %s that tenants/ has not", fleets[i].Name)
		}
		files, err := filepath.Glob(filepath.Join(golden, fleets[i].Name, "*", "*.yaml"))
		if err != nil {
			return err
		}
		minor := values[at].Cluster.Kubernetes
		invalid, err := conform(ctx, filepath.Join(work, minor), minor, files)
		if err != nil {
			return err
		}
		more, err := score(ctx, work, golden, minor, &fleets[i], files)
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "%s: kubeconform: %d files, %d not valid against Kubernetes %s; complaints of kube-score: %d\n", fleets[i].Name, len(files), len(invalid), minor, len(more))
		problems = append(problems, invalid...)
		said = append(said, more...)
	}
	for _, s := range said {
		if accepted[key(s)] == "" {
			problems = append(problems, "kube-score: "+s)
		}
	}
	for k, why := range accepted {
		if !slices.ContainsFunc(said, func(s string) bool { return key(s) == k }) {
			problems = append(problems, fmt.Sprintf("kube-score no longer says %s: take it out of what is accepted (%s)", k, why))
		}
	}
	if len(problems) > 0 {
		slices.Sort(problems)
		return errors.New(strings.Join(problems, "\n"))
	}
	fmt.Fprintf(stdout, "complaints of kube-score that are accepted, each for a reason: %d\n", len(accepted))
	return nil
}

// key is the first two words of what is said: the file and the test.
func key(said string) string {
	words := strings.SplitN(said, " ", 3)
	return strings.Join(words[:2], " ")
}

// conform returns what kubeconform does not hold for valid. It writes the schemas into dir, where it is not there yet.
func conform(ctx context.Context, dir, minor string, files []string) ([]string, error) {
	switch err := os.Mkdir(dir, 0o755); {
	case err == nil:
		if out, err := exec.CommandContext(ctx, "go", "run", "./schemas", "-strict", dir, "-minor", minor).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("writing the schemas of Kubernetes %s: %w\n%s", minor, err, out)
		}
	case !errors.Is(err, fs.ErrExist):
		return nil, err
	}
	args := []string{
		"-strict", "-summary", "-output", "json", "-kubernetes-version", minor + ".0",
		"-schema-location", dir + "/{{ .Group }}-{{ .ResourceAPIVersion }}-{{ .ResourceKind }}.json",
	}
	var result struct {
		Resources []struct {
			Filename, Kind, Name, Status, Msg string
		}
		Summary struct{ Valid, Invalid, Errors, Skipped int }
	}
	if err := tool(ctx, &result, "kubeconform", append(args, files...)); err != nil {
		return nil, err
	}
	var invalid []string
	for _, r := range result.Resources {
		invalid = append(invalid, fmt.Sprintf("kubeconform: %s: %s: %s", r.Filename, r.Status, r.Msg))
	}
	if s := result.Summary; len(invalid) == 0 && s.Valid != len(files) {
		return nil, fmt.Errorf("kubeconform looked at %d of %d files: %d invalid, %d errors, %d skipped", s.Valid, len(files), s.Invalid, s.Errors, s.Skipped)
	}
	return invalid, nil
}

// score returns everything that kube-score complains of in a fleet: file, test, grade and the reasons.
func score(ctx context.Context, work, golden, minor string, fleet *verify.Fleet, files []string) ([]string, error) {
	args := []string{"score", "--output-format", "json", "--kubernetes-version", "v" + minor, "--disable-ignore-checks-annotations"}
	args = append(args, files...)
	for _, pod := range fleet.Made() {
		text, err := yaml.Marshal(pod)
		if err != nil {
			return nil, err
		}
		path := filepath.Join(work, fleet.Name+"."+pod.Namespace+"."+pod.Name+".yaml")
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return nil, err
		}
		args = append(args, path)
	}
	var objects []struct {
		FileName string `json:"file_name"`
		Checks   []struct {
			Check    struct{ ID string }
			Grade    int
			Skipped  bool
			Comments []struct{ Path, Summary string }
		}
	}
	if err := tool(ctx, &objects, "kube-score", args); err != nil {
		return nil, err
	}
	var said []string
	graded := map[string]bool{}
	for _, o := range objects {
		name, err := filepath.Rel(golden, o.FileName)
		if err != nil || !filepath.IsLocal(name) {
			continue // what an operator makes
		}
		graded[name] = true
		for _, c := range o.Checks {
			if c.Skipped || c.Grade > warning {
				continue
			}
			var why []string
			for _, comment := range c.Comments {
				why = append(why, strings.TrimPrefix(comment.Path+": "+comment.Summary, ": "))
			}
			said = append(said, fmt.Sprintf("%s %s grade %d: %s", filepath.ToSlash(name), c.Check.ID, c.Grade, strings.Join(why, "; ")))
		}
	}
	for _, file := range files {
		name, err := filepath.Rel(golden, file)
		if err != nil {
			return nil, err
		}
		if base := filepath.Base(name); !graded[name] && (strings.HasPrefix(base, "deployment-") || strings.HasPrefix(base, "statefulset-")) {
			return nil, fmt.Errorf("kube-score says nothing of %s: the names that it tells files by have changed", name)
		}
	}
	return said, nil
}

// warning is the second worst of kube-score's grades, after 1 for what is critical. 10 is the best.
const warning = 5

// tool runs one of the tools that are pinned in tools/score and decodes what it prints. Both end with 1 when they have
// something to say.
func tool(ctx context.Context, result any, name string, args []string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"-C", "../tools/score", "tool", name}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
		err = nil
	}
	if err == nil {
		err = json.Unmarshal(out, result)
	}
	if err != nil {
		return fmt.Errorf("running %s: %w\n%s", name, err, stderr.Bytes())
	}
	return nil
}
