//go:build typescript

// These tests need Node.js and the packages of testdata/typescript, so they
// have a target of their own: make typescript. There they never skip.

package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/tenantry/tenantry/config"
	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/config/schema/testdata/shop"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// result is what run.ts says of an environment.
type result struct {
	Values map[string]any
	Error  string
	Shown  string
}

// program is the compiled run.ts around a generated module.
type program struct{ dir string }

// compile generates the module of a schema and compiles it, strictly, with the
// tsconfig.json of its package.
func compile(t *testing.T, settings any) program {
	t.Helper()
	source, err := filepath.Abs("testdata/typescript")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(source, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for name, content := range generate(t, settings) {
		files["package/"+name] = content
	}
	for _, name := range []string{"run.ts", "tsconfig.json", "package.json"} {
		content, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tsc := exec.Command("node_modules/.bin/tsc", "--project", ".")
	tsc.Dir = dir
	if out, err := tsc.CombinedOutput(); err != nil {
		t.Fatalf("tsc: %v (has npm ci run in %s?)\n%s", err, "config/schema/testdata/typescript", out)
	}
	return program{dir}
}

// run loads environments in one process.
func (p program) run(t *testing.T, environs ...map[string]string) []result {
	t.Helper()
	input, err := json.Marshal(environs)
	if err != nil {
		t.Fatal(err)
	}
	results := p.node(t, input, os.Environ())
	if len(results) != len(environs) {
		t.Fatalf("%d results of %d environments", len(results), len(environs))
	}
	return results
}

func (p program) node(t *testing.T, input []byte, environ []string) (results []result) {
	t.Helper()
	node := exec.Command("node", "out/run.js")
	var stderr bytes.Buffer
	node.Dir, node.Env, node.Stdin, node.Stderr = p.dir, environ, bytes.NewReader(input), &stderr
	out, err := node.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, &stderr)
	}
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	return results
}

func TestTypeScript(t *testing.T) {
	programs := map[string]program{}
	for name, settings := range schemas {
		programs[name] = compile(t, settings)
	}
	t.Run("tenants", func(t *testing.T) { programs["portal"].testTenants(t) })
	t.Run("process", func(t *testing.T) { programs["portal"].testProcess(t) })
	t.Run("words", func(t *testing.T) { programs["shop"].testWords(t) })
	t.Run("files", func(t *testing.T) { programs["shop"].testFiles(t) })
	for name, settings := range schemas {
		t.Run("random/"+name, func(t *testing.T) { programs[name].testRandom(t, settings) })
	}
}

// testTenants loads what every rendered tenant's API is given.
func (p program) testTenants(t *testing.T) {
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		t.Fatal(err)
	}
	var environs []map[string]string
	var names []string
	for _, fleet := range tenants.Fleets() {
		for _, tenant := range fleet.Tenants {
			i := slices.IndexFunc(units, func(u render.Unit) bool { return u.Fleet == fleet.Name && u.Name == tenant.Name })
			names = append(names, fleet.Name+"/"+tenant.Name)
			environs = append(environs, rendered(t, units[i], tenant))
		}
	}
	if len(environs) < 2 {
		t.Fatal("no tenants")
	}
	for i, r := range p.run(t, environs...) {
		var want portal.Settings
		if err := config.Load(&want, environs[i]); err != nil {
			t.Errorf("%s: %v", names[i], err)
		}
		agree(t, names[i], &want, nil, r)
		if len(r.Values) < 120 {
			t.Errorf("%s: only %d values", names[i], len(r.Values))
		}
	}
}

// rendered is the environment of the container api, with placeholders for what
// only a cluster knows.
func rendered(t *testing.T, unit render.Unit, tenant render.Tenant) map[string]string {
	t.Helper()
	environ := map[string]string{}
	settings := false
	var deployment *appsv1.Deployment
	for _, file := range unit.Files {
		switch o := file.Object.(type) {
		case *corev1.ConfigMap:
			if o.Name == "settings" {
				settings = true
				maps.Copy(environ, o.Data)
			}
		case *appsv1.Deployment:
			if o.Name == "api" {
				deployment = o
			}
		}
	}
	if !settings || deployment == nil {
		t.Fatalf("%s: no settings or no deployment", unit.Name)
	}
	list := settingsOf(t, tenant.Settings)
	p, err := config.Project(tenant.Settings)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range p.Secrets { // the Secret settings, whose keys are these
		environ[secret.Name] = canary + secret.Name
	}
	for _, env := range deployment.Spec.Template.Spec.Containers[0].Env {
		environ[env.Name] = env.Value
		if env.ValueFrom != nil {
			environ[env.Name] = "placeholder"
			if slices.ContainsFunc(list, func(s config.Setting) bool { return s.Name == env.Name && s.Secret }) {
				environ[env.Name] = canary + env.Name
			}
		}
	}
	return environ
}

// testRandom loads random environments, good ones and bad ones.
func (p program) testRandom(t *testing.T, settings any) {
	list, dir := settingsOf(t, settings), t.TempDir()
	var environs []map[string]string
	var bad [][]string
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		environ := draw(r, list, dir, float64(seed%5)/4)
		environs, bad = append(environs, maps.Clone(environ)), append(bad, nil)
		names := spoil(r, list, environ)
		environs, bad = append(environs, environ), append(bad, names)
	}
	refused := 0
	for i, r := range p.run(t, environs...) {
		what := fmt.Sprintf("environment %d", i)
		want, err := load(settings, environs[i])
		if (err != nil) != (len(bad[i]) > 0) {
			t.Fatalf("%s: Load says %v, spoiled are %q", what, err, bad[i])
		}
		agree(t, what, want, err, r)
		for _, name := range bad[i] {
			refused++
			want := "data at " + name + ":"
			if len(byName(list, name).Either) > 0 {
				want = name // among the others
			}
			if !strings.Contains(r.Error, want) {
				t.Errorf("%s: %s is bad, but: %s", what, name, r.Error)
			}
		}
		if t.Failed() {
			return
		}
	}
	if refused < 200 {
		t.Errorf("only %d bad variables", refused)
	}
}

// testWords tries every word in every variable of the shop. The
// differences from Load are all of those that the package owns up to.
func (p program) testWords(t *testing.T) {
	var environs []map[string]string
	var names, tried []string
	eachWord(t, func(environ map[string]string, name, word string) {
		environs, names, tried = append(environs, environ), append(names, name), append(tried, word)
	})
	got := differences{}
	for i, r := range p.run(t, environs...) {
		want, err := load(shop.Settings{}, environs[i])
		got.add(names[i], tried[i], err == nil, r.Error == "")
		if r.Error != "" && !strings.Contains(r.Error, "data at "+names[i]+":") {
			t.Errorf("%s=%q: %s", names[i], tried[i], r.Error)
		}
		if err == nil && r.Error == "" {
			agree(t, fmt.Sprintf("%s=%q", names[i], tried[i]), want, nil, r)
		}
	}
	want := differences{
		// Beyond 2^53.
		"refuses SHOP_BACKLOG": {"9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615"},
		"refuses SHOP_BIG":     {"9007199254740993", "9223372036854775807", "-9223372036854775808"},
		"refuses SHOP_UPLOAD":  {"9007199254740993", "9223372036854775807"},
		// Below zero.
		"refuses SHOP_KEEP": {"-1", "-3", "-03", "-100", "-101"},
		// Notations of Go.
		"refuses SHOP_RATIO": {"0x1p-2"},
		"refuses SHOP_DELTA": {"0x1p-2", "1_000"},
		// Schedules.
		"refuses SHOP_REPORTS_CRON": oddSchedules,
		"refuses SHOP_BACKUPS_CRON": oddSchedules,
		"refuses SHOP_EXPORTS_CRON": oddSchedules,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs from Load (-want +got):\n%s", diff)
	}
}

// testProcess loads the environment of a process of its own.
func (p program) testProcess(t *testing.T) {
	list := settingsOf(t, portal.Settings{})
	environ := draw(rand.New(rand.NewPCG(0, 0)), list, t.TempDir(), 0)
	environ["PATH"] = os.Getenv("PATH")
	environ["HOSTNAME"] = "" // some shells set it
	var pairs []string
	for name, value := range environ {
		pairs = append(pairs, name+"="+value)
	}
	var want portal.Settings
	if err := config.Load(&want, environ); err != nil {
		t.Fatal(err)
	}
	agree(t, "the least environment", &want, nil, p.node(t, nil, pairs)[0])

	r := p.node(t, nil, []string{"PATH=" + os.Getenv("PATH")})[0]
	for _, s := range list {
		if s.Required && s.When == "" && !strings.Contains(r.Error, s.Name) {
			t.Errorf("nothing is set, but the error has no %s: %s", s.Name, r.Error)
		}
	}
}

// testFiles is about the files that hold secrets.
func (p program) testFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct{ file, value, want, reason string }{
		{write("plain", canary), "", "", "no newline"},
		{write("unix", canary+"\n"), "", "", "a newline"},
		{write("dos", canary+"\r\n"), "", "", "another"},
		{write("two", canary+"\n\n"), "", "", "one of two"},
		{write("return", canary+"\r"), "", "", "a lone return"},
		{write("inside", "a\nb\r\nc"), "", "", "inside"},
		{write("bom", "\ufeff"+canary), "", "", "a byte order mark"},
		{write("empty", "\n"), "", "is required", "nothing in it"},
		{write("full", strings.Repeat("x", 1<<20)), "", "", "1 MiB"},
		{write("large", strings.Repeat("x", 1<<20+1)), "", "larger than 1 MiB", "more"},
		{filepath.Join(dir, canary), "", "ENOENT", "no file, and its name is a secret"},
		{dir, "", "not a regular file", "a directory"},
		{"/dev/zero", "", "not a regular file", "what never ends"},
		{write("twice", canary), canary, "is given twice", "both"},
	}
	var environs []map[string]string
	for _, test := range tests {
		environs = append(environs, map[string]string{"SHOP_QUEUE": "nats", "SHOP_ORIGIN": "o", "NATS_SERVERS": "s", "NATS_TOKEN": test.value, "NATS_TOKEN_FILE": test.file})
	}
	for i, r := range p.run(t, environs...) {
		want, err := load(shop.Settings{}, environs[i])
		agree(t, tests[i].reason, want, err, r)
		if !strings.Contains(r.Error, tests[i].want) || (r.Error == "") != (tests[i].want == "") {
			t.Errorf("%s: got %q, want %q", tests[i].reason, r.Error, tests[i].want)
		}
	}
}

// agree compares with what Load makes of the same environment, and looks for
// secrets in print.
func agree(t *testing.T, what string, loaded any, err error, r result) {
	t.Helper()
	for _, text := range []string{r.Error, r.Shown} {
		if at := strings.Index(text, canary); at >= 0 {
			t.Errorf("%s: a secret got out: %s", what, text[max(0, at-100):min(len(text), at+100)])
		}
	}
	if (err == nil) != (r.Error == "") {
		t.Errorf("%s: Go says %v, TypeScript %q", what, err, r.Error)
	}
	if err != nil || r.Error != "" {
		return
	}
	settings, err := config.Settings(loaded)
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for _, s := range settings {
		paths[strings.ToLower(s.Path)] = s.Path
		parent := s.Path[:max(0, strings.LastIndex(s.Path, "."))]
		paths[strings.ToLower(parent+"._tag")] = parent + "._tag"
		paths[strings.ToLower(s.Path+"._tag")] = s.Path + "._tag"
	}
	want := map[string]any{}
	flatten(reflect.ValueOf(loaded).Elem(), "", func(path string, value any) {
		path, known := paths[strings.ToLower(path)]
		if _, given := r.Values[path]; !known || !given && reflect.ValueOf(value).IsZero() {
			return // unset
		}
		want[path] = value
	})
	if diff := cmp.Diff(want, r.Values); diff != "" {
		t.Errorf("%s (-go +typescript):\n%s", what, diff)
	}
}

// flatten visits the values of settings as JSON has them, by path.
func flatten(v reflect.Value, path string, visit func(string, any)) {
	if get := v.MethodByName("Get"); get.IsValid() && strings.HasPrefix(v.Type().Name(), "Derived[") {
		v = get.Call(nil)[0]
	}
	switch x := v.Interface().(type) {
	case config.Secret:
		visit(path, x.Reveal())
		return
	case time.Duration:
		visit(path, float64(x.Milliseconds()))
		return
	}
	switch {
	case v.Kind() == reflect.Pointer && v.IsNil():
	case v.Kind() == reflect.Pointer:
		flatten(v.Elem(), path, visit)
	case v.Kind() == reflect.Interface:
		visit(path+"._tag", v.Elem().Type().Name())
		flatten(v.Elem(), path, visit)
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			inner := path
			if f := v.Type().Field(i); !f.Anonymous {
				inner = strings.TrimPrefix(path+"."+f.Name, ".")
			}
			flatten(v.Field(i), inner, visit)
		}
	case v.CanInt():
		visit(path, float64(v.Int()))
	case v.CanUint():
		visit(path, float64(v.Uint()))
	case v.CanFloat():
		visit(path, v.Float())
	case v.Kind() == reflect.Bool:
		visit(path, v.Bool())
	default:
		visit(path, v.String())
	}
}
