package gen

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newDependent is a module that uses this checkout, so that the source of the settings is found from it.
func newDependent(t *testing.T) string {
	t.Helper()
	checkout, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	module := newModule(t)
	mod := "module example.com/infra\n\ngo 1.26.0\n\nrequire github.com/tenantry/tenantry v0.0.0\n\nreplace github.com/tenantry/tenantry => " + checkout + "\n"
	sums, err := os.ReadFile("../go.sum")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"go.mod": []byte(mod), "go.sum": sums} {
		if err := os.WriteFile(filepath.Join(module, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOFLAGS", "-mod=mod")
	return module
}

func schemaTree(t *testing.T, module string) map[string]string {
	t.Helper()
	all := tree(t, filepath.Join(module, "schema"))
	for name, text := range tree(t, filepath.Join(module, "docs")) {
		all["docs/"+name] = text
	}
	return all
}

func TestSchema(t *testing.T) {
	module := newDependent(t)
	if err := os.Mkdir(filepath.Join(module, "docs"), 0o755); err != nil {
		t.Fatal(err)
	}
	guide := filepath.Join(module, "docs", "guide.md")
	if err := os.WriteFile(guide, []byte("ours\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	first := finish(t, genCommand(t, module, "portal", "schema"))
	if first.code != 0 || !strings.Contains(first.stdout, "created schema/portal/index.ts\n") || !strings.Contains(first.stdout, "created docs/configuration.md\n") {
		t.Fatalf("%+v", first)
	}
	want := schemaTree(t, module)
	if again := finish(t, genCommand(t, module, "portal", "schema")); again != (result{}) {
		t.Errorf("a second run: %+v", again)
	}
	if check := finish(t, genCommand(t, module, "portal", "schema", "-check")); check != (result{}) {
		t.Errorf("a check of what was written: %+v", check)
	}

	for name, data := range map[string]string{"schema/portal/index.ts": "edited\n", "schema/orphan.ts": "", "docs/configuration.md": "edited\n"} {
		if err := os.WriteFile(filepath.Join(module, name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edited := schemaTree(t, module)
	check := finish(t, genCommand(t, module, "portal", "schema", "-check"))
	for _, says := range []string{"-edited\n", "schema/portal/index.ts", "schema/orphan.ts", "docs/configuration.md"} {
		if check.code != 1 || !strings.Contains(check.stdout, says) || !strings.Contains(check.stderr, "run go run ./cmd/gen schema") {
			t.Errorf("a check of edited files lacks %q: code %d\n%s", says, check.code, check.stderr)
		}
	}
	if diff := cmp.Diff(edited, schemaTree(t, module)); diff != "" {
		t.Errorf("the check wrote (-want +got):\n%s", diff)
	}
	mended := finish(t, genCommand(t, module, "portal", "schema"))
	if want := "updated schema/portal/index.ts\nremoved schema/orphan.ts\nupdated docs/configuration.md\n"; mended.code != 0 || mended.stdout != want {
		t.Errorf("mending: %+v", mended)
	}
	if diff := cmp.Diff(want, schemaTree(t, module)); diff != "" {
		t.Errorf("after mending (-want +got):\n%s", diff)
	}

	for format, begins := range map[string]string{"jsonschema": "{", "effect": "// Generated from", "markdown": "# Configuration"} {
		printed := finish(t, genCommand(t, module, "portal", "schema", "-format", format))
		if printed.code != 0 || !strings.HasPrefix(printed.stdout, begins) || printed.stderr != "" {
			t.Errorf("-format %s: code %d, %.40q, stderr %q", format, printed.code, printed.stdout, printed.stderr)
		}
		if format == "jsonschema" && !json.Valid([]byte(printed.stdout)) {
			t.Error("the JSON Schema is no JSON")
		}
	}
	for _, wrong := range [][]string{{"schema", "-format", "xml"}, {"schema", "-check", "-format", "effect"}, {"schema", "extra"}} {
		if r := finish(t, genCommand(t, module, "portal", wrong...)); r.code != 2 || r.stdout != "" {
			t.Errorf("%v: %+v", wrong, r)
		}
	}
	if r := finish(t, genCommand(t, module, "portal", "schema", "-format", "xml")); !strings.HasPrefix(r.stderr, "unknown format \"xml\": choose jsonschema, effect, markdown\n") {
		t.Errorf("%+v", r)
	}
}
