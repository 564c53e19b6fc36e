package schema_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/config/schema"
	"github.com/tenantry/tenantry/config/schema/testdata/shop"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// generate returns the package and the page of a schema.
func generate(t *testing.T, settings any) map[string]string {
	t.Helper()
	files, err := schema.Package(settings)
	if err != nil {
		t.Fatal(err)
	}
	page, err := schema.Markdown(settings)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"configuration.md": string(page)}
	for name, content := range files {
		all[name] = string(content)
	}
	return all
}

// TestEverySetting finds every variable in each of the three, and a setting
// that is added to the struct without any other edit.
func TestEverySetting(t *testing.T) {
	for name, settings := range schemas {
		files := generate(t, settings)
		for _, s := range settingsOf(t, settings) {
			for file, want := range map[string]string{
				"index.ts":         `("` + s.Name + `"`,
				"schema.json":      `    "` + s.Name + `": {`,
				"configuration.md": "| `" + s.Name + "` | ",
			} {
				if !strings.Contains(files[file], want) {
					t.Errorf("%s: %s has no %q", name, file, want)
				}
			}
		}
	}
	before, after := generate(t, shop.Settings{}), generate(t, shop.Grown{})
	for file, want := range map[string]string{
		"index.ts":         "  added: defaulted(\"SHOP_ADDED\", \"7\", integer({ min: 1 }))\n",
		"schema.json":      `"description": "SHOP_ADDED is new."`,
		"configuration.md": "| `SHOP_ADDED` | `Added` | integer in bytes, at least 1 | `7` | tenant | Added is new. |\n",
	} {
		if !strings.Contains(after[file], want) || strings.Contains(before[file], "SHOP_ADDED") {
			t.Errorf("%s does not grow by %q", file, want)
		}
	}
	fleet := tenants.Fleets()[0]
	fleet.Tenants, fleet.Rings = fleet.Tenants[:1], nil
	fleet.Tenants[0].Settings = shop.Grown{Settings: shop.Settings{Queue: shop.Memory{}}, Added: 9}
	units, err := render.Units([]render.Fleet{fleet})
	if err != nil {
		t.Fatal(err)
	}
	grown := false
	for _, f := range units[1].Files {
		grown = grown || f.Name == "configmap-settings.yaml" && strings.Contains(string(f.YAML), "\n  SHOP_ADDED: \"9\"\n")
	}
	if !grown {
		t.Error("the ConfigMap does not grow by SHOP_ADDED")
	}
}

func TestContent(t *testing.T) {
	files := generate(t, shop.Settings{})
	for _, test := range []struct{ file, want, reason string }{
		{"package.json", `"name": "@tenantry/shop-config"`, "named after the Go package"},
		{"project.json", `"name": "shop-config"`, "the same for Nx"},
		{"README.md", `import { load } from "@tenantry/shop-config"`, "the same for people"},

		{"index.ts", "/** Settings is how the shop runs. */\nexport interface Settings {", "a group's comment"},
		{"index.ts", "   * workers and backlog bound what one replica takes on.\n   *\n   * `SHOP_BACKLOG`: integer\n", "one comment on two fields, in the reader's names"},
		{"index.ts", "   * license is behind its field.\n", "a comment behind a field"},
		{"index.ts", "   * color is the colour of the shop.\n", "a field without a comment has its type's"},
		{"index.ts", "   * idle ends a session; see \"*\\/5\" | `x` <b>.\n   *\n   * It has a second paragraph.\n", "a comment that would end the comment"},
		{"index.ts", "/** Config clashes with a name of Effect. */\nexport interface Config2 {", "a name that is taken"},
		{"index.ts", "  readonly reports: Job\n  readonly backups: Backups\n  readonly exports: Backups\n", "one Go type, with a default and without"},
		{"index.ts", "export type Queue = Memory | NATS\n", "a choice"},
		{"index.ts", "  readonly _tag: \"NATS\"\n", "a variant"},
		{"index.ts", "    workers: defaulted(\"SHOP_WORKERS\", \"4\", integer({ min: 1, max: 255, unsigned: true })),\n", "the size of a Go type is a bound"},
		{"index.ts", "    motto: defaulted(\"SHOP_MOTTO\", \"a \\\"quoted\\\" $1 */ motto\", text),\n", "a default that needs quoting"},
		{"index.ts", "    keep: optional(\"SHOP_KEEP\", duration(\"h\")),\n", "nothing is assumed"},
		{"index.ts", "    cron: defaulted(\"SHOP_REPORTS_CRON\", \"0 6 * * 1\", cron)\n", "a default from the group"},
		{"index.ts", "  name: defaulted(\"SHOP_NAME\", \"\", text)\n", "an embedded group, an empty default"},

		{"schema.json", `"description": "SHOP_WORKERS and SHOP_BACKLOG bound what one replica takes on."`, "one comment on two fields"},
		{"schema.json", `"description": "SHOP_COLOR is the colour of the shop."`, "the comment of the type"},
		{"schema.json", `"x-unit": "bytes"`, "a unit"},
		{"schema.json", `"x-when": "SHOP_QUEUE is nats and NATS_USER is given"`, "a condition on two things"},
		{"schema.json", `"x-fact": "edge.url"`, "a fact"},

		{"configuration.md", "| `SHOP_IDLE` | `Web.Idle` | integer in min, at least 1 | `30` | tenant | Idle ends a session; see \"\\*/5\" \\| `x` &lt;b>.<br>It has a second paragraph. |\n", "a comment with markup"},
		{"configuration.md", "| `SHOP_ORIGIN` | `Web.Origin` | string | required | fact `edge.url` | |\n", "derived"},
		{"configuration.md", "| `SHOP_CONFIG` | `Config.Path` | string | none | tenant, else preset `/etc/shop` | |\n", "a preset"},
		{"configuration.md", "| `SHOP_COLOR` | `Web.Color` | `red`, `dark blue` | none | tenant | Color is the colour of the shop. |\n", "words"},
		{"configuration.md", "| `NATS_TOKEN` | `Queue.Auth.Token` | secret | required | secret source | |\n", "a secret"},
		{"configuration.md", "\n#### Queue.Auth\n\nAuth is how to sign in.\n\nExactly one of `NATS_TOKEN`, `NATS_USER` must be given.\n", "a choice without a variable"},
		{"configuration.md", "\n### Queue: NATS\n\nNATS is a server.\n\nRead when `SHOP_QUEUE` is `nats`.\n", "a condition"},
	} {
		if !strings.Contains(files[test.file], test.want) {
			t.Errorf("%s: %s has no %q", test.reason, test.file, test.want)
		}
	}
	for name, content := range files {
		if strings.Contains(content, "PACKAGE") || strings.Contains(content, "SOURCE") {
			t.Errorf("%s has a placeholder", name)
		}
		if dir, _ := os.Getwd(); strings.Contains(content, dir) {
			t.Errorf("%s tells where it was generated", name)
		}
		if !strings.HasSuffix(content, "\n") || strings.HasSuffix(content, "\n\n") {
			t.Errorf("%s does not end in one newline", name)
		}
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(content)) {
			t.Errorf("%s is no JSON", name)
		}
	}
	page := generate(t, portal.Settings{})["configuration.md"]
	for _, want := range []string{
		"Exactly one of `ENCRYPTION_KEY`, `ENCRYPTION_KEYS` must be given. Where the tenant does not choose, it is SingleKey.\n",
		"\n### Mail: Resend\n\nResend delivers through resend.com.\n\nRead when `EMAIL_PROVIDER` is `resend` or unset.\n",
		"| fact `cache.enabled` (true: `redis`, false: `memory`) |",
		"| tenant, else fact `edge.url` |",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the portal's page has no %q", want)
		}
	}
}

func TestDeterminism(t *testing.T) {
	for name, settings := range schemas {
		first := generate(t, settings)
		for range 10 {
			if diff := cmp.Diff(first, generate(t, settings)); diff != "" {
				t.Fatalf("%s differs from itself:\n%s", name, diff)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	type inFunction struct {
		A string `env:"A"`
	}
	for _, test := range []struct {
		settings any
		want     string
		reason   string
	}{
		{nil, "settings: is nil", "what config says"},
		{struct{ A string }{}, "needs an env tag", "a mistake in the schema"},
		{inFunction{}, `finding the Go source of "github.com/tenantry/tenantry/config/schema_test", which holds the comments`, "a package that is nowhere"},
		{shop.Local(), "declares no type local", "a type inside a function"},
		{shop.Twice{}, `two fields are called "url" outside of Go`, "names that differ in case only"},
		{shop.Embedding{}, "an embedded field that is no group needs a name", "a leaf without a name"},
	} {
		_, err := schema.Package(test.settings)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.reason, err, test.want)
		}
		if _, err := schema.Markdown(test.settings); err == nil {
			t.Errorf("%s: no error from Markdown", test.reason)
		}
	}
}

// validator compiles the JSON Schema with an implementation that is not ours.
func validator(t *testing.T, settings any) func(map[string]string) error {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(generate(t, settings)["schema.json"]))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json") // validates it against draft 2020-12 too
	if err != nil {
		t.Fatal(err)
	}
	return func(environ map[string]string) error {
		instance := map[string]any{}
		for name, value := range environ {
			instance[name] = value
		}
		return s.Validate(instance)
	}
}

// TestJSONSchema holds the JSON Schema against what Load reads.
func TestJSONSchema(t *testing.T) {
	for name, settings := range schemas {
		validate, list, dir := validator(t, settings), settingsOf(t, settings), t.TempDir()
		spoiled := 0
		for seed := range uint64(50) {
			r := rand.New(rand.NewPCG(seed, 1))
			good := draw(r, list, dir, float64(seed%3)/2)
			if _, err := load(settings, good); err != nil {
				t.Fatalf("%s, seed %d: drew a bad environment: %v", name, seed, err)
			}
			if err := validate(good); err != nil {
				t.Fatalf("%s, seed %d: %v", name, seed, err)
			}
			bad := maps.Clone(good)
			for _, name := range spoil(r, list, bad) {
				spoiled++
				one := maps.Clone(good) // so that each is refused for itself
				for _, key := range []string{name, name + "_FILE"} {
					delete(one, key)
					if value, ok := bad[key]; ok {
						one[key] = value
					}
				}
				if err := validate(one); err == nil {
					t.Errorf("seed %d: takes a bad %s=%q", seed, name, one[name])
				}
			}
		}
		if spoiled < 50 {
			t.Errorf("%s: only %d bad environments", name, spoiled)
		}
	}
}

// TestJSONSchemaWords tries every word in every variable of the shop. The
// differences from Load are all of those that the schema owns up to.
func TestJSONSchemaWords(t *testing.T) {
	validate := validator(t, shop.Settings{})
	got := differences{}
	eachWord(t, func(environ map[string]string, name, word string) {
		_, err := load(shop.Settings{}, environ)
		got.add(name, word, err == nil, validate(environ) == nil)
	})
	want := differences{
		// Beyond 64 bits.
		"takes SHOP_BACKLOG": {"18446744073709551616"},
		"takes SHOP_BIG":     {"9223372036854775808", "18446744073709551615", "18446744073709551616"},
		"takes SHOP_UPLOAD":  {"9223372036854775808", "18446744073709551615", "18446744073709551616"},
		// Beyond 292 years.
		"takes SHOP_IDLE": {"9007199254740991", "9007199254740993", "9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "153722868"},
		"takes SHOP_KEEP": {"9007199254740991", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "18446744073709551616", "153722867", "153722868", "2562048", "-2562048"},
		// Bounds of what may have a fraction, and notations of Go.
		"takes SHOP_RATIO": {
			"0", "007", "20", "21", "127", "128", "255", "256", "999", "1000", "1001", "9007199254740991", "9007199254740993", "9223372036854775807", "9223372036854775808",
			"18446744073709551615", "18446744073709551616", "153722867", "153722868", "2562047", "2562048", "1e3", "5.", "0.05", "1.5", "1e400",
		},
		"refuses SHOP_RATIO": {"0x1p-2"},
		"takes SHOP_DELTA":   {"1e400"},
		"refuses SHOP_DELTA": {"0x1p-2", "1_000"},
	}
	for _, name := range []string{"SHOP_REPORTS_CRON", "SHOP_BACKUPS_CRON", "SHOP_EXPORTS_CRON"} {
		want["takes "+name] = []string{"5-1 * * * *", "* * * mar-1 *"}
		want["refuses "+name] = oddSchedules
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("differs from Load (-want +got):\n%s", diff)
	}
}

// oddSchedules are what Go's parser takes and nobody writes.
var oddSchedules = []string{"1,,2 * * * *", ", * * * *", "+5 * * * *", "*-7 * * * *"}

// differences are words that a reader takes or refuses where Load does not.
type differences map[string][]string

func (d differences) add(name, word string, loads, taken bool) {
	switch {
	case taken && !loads:
		d["takes "+name] = append(d["takes "+name], word)
	case loads && !taken:
		d["refuses "+name] = append(d["refuses "+name], word)
	}
}

// eachWord puts each word into each variable of the shop that stands alone,
// the rest being the least environment with a queue that has most to read.
func eachWord(t *testing.T, try func(environ map[string]string, name, word string)) {
	t.Helper()
	for _, s := range settingsOf(t, shop.Settings{}) {
		if s.Secret || len(s.Either) > 0 {
			continue
		}
		for _, word := range words {
			environ := map[string]string{"SHOP_QUEUE": "nats", "SHOP_ORIGIN": "o", "NATS_SERVERS": "s", "NATS_TOKEN": "t"}
			environ[s.Name] = word
			try(environ, s.Name, word)
		}
	}
}

// TestJSONSchemaRules tries what no single variable decides.
func TestJSONSchemaRules(t *testing.T) {
	validate := validator(t, portal.Settings{})
	list := settingsOf(t, portal.Settings{})
	file := t.TempDir() + "/secret"
	if err := os.WriteFile(file, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		change string // NAME=value, or NAME to drop it
		valid  bool
		reason string
	}{
		{"", true, "the least environment"},
		{"PATH=/bin", true, "others' variables"},
		{"RESEND_API_KEY", false, "the assumed variant needs its key"},
		{"RESEND_API_KEY= EMAIL_PROVIDER=smtp", false, "SMTP needs its host"},
		{"RESEND_API_KEY EMAIL_PROVIDER=smtp SMTP_HOST=h", true, "and no key"},
		{"RESEND_API_KEY EMAIL_PROVIDER=smtp SMTP_HOST=", false, "an empty variable is an unset one"},
		{"EMAIL_PROVIDER= ", true, "also of a discriminator"},
		{"EMAIL_PROVIDER=ses RESEND_API_KEY", true, "a variant that needs nothing"},
		{"EMAIL_PROVIDER=pigeon", false, "no variant"},
		{"ENCRYPTION_KEY", false, "neither key"},
		{"ENCRYPTION_KEYS=k", false, "both keys"},
		{"ENCRYPTION_KEY ENCRYPTION_KEYS_FILE=" + file, true, "the other key, in a file"},
		{"ENCRYPTION_KEYS_FILE=" + file, false, "both keys, one in a file"},
		{"DATABASE_URL_FILE=" + file, false, "given twice"},
		{"DATABASE_URL= DATABASE_URL_FILE=" + file, true, "in a file"},
		{"DATABASE_URL_FILE=", true, "an empty file name"},
		{"REDIS_PASSWORD=a REDIS_PASSWORD_FILE=" + file, false, "an optional one given twice"},
		{"SMTP_PASS=a SMTP_PASS_FILE=" + file, true, "given twice where nobody looks"},
		{"DEPLOYMENT_MODE=", false, "required and empty"},
	} {
		environ := draw(rand.New(rand.NewPCG(4, 0)), list, t.TempDir(), 0)
		for _, name := range []string{"RESEND_API_KEY", "ENCRYPTION_KEY", "DATABASE_URL"} {
			environ[name] = "s"
			delete(environ, name+"_FILE")
		}
		delete(environ, "ENCRYPTION_KEYS")
		delete(environ, "ENCRYPTION_KEYS_FILE")
		for change := range strings.FieldsSeq(test.change) {
			if name, value, set := strings.Cut(change, "="); set {
				environ[name] = value
			} else {
				delete(environ, name)
			}
		}
		if _, err := load(portal.Settings{}, environ); (err == nil) != test.valid {
			t.Errorf("%s: Load says %v", test.reason, err)
		}
		if err := validate(environ); (err == nil) != test.valid {
			t.Errorf("%s: the schema says %v", test.reason, err)
		}
	}
}

// TestAnnotations looks at what a validator does not.
func TestAnnotations(t *testing.T) {
	for name, settings := range schemas {
		var s struct {
			Properties map[string]struct {
				Default   *string
				WriteOnly bool
				Enum      []string
				Type      string
				Path      string `json:"x-path"`
				Unit      string `json:"x-unit"`
				When      string `json:"x-when"`
			}
		}
		if err := json.NewDecoder(strings.NewReader(generate(t, settings)["schema.json"])).Decode(&s); err != nil {
			t.Fatal(err)
		}
		for _, want := range settingsOf(t, settings) {
			got := s.Properties[want.Name]
			if got.Path != want.Path || got.Unit != want.Unit || got.WriteOnly != want.Secret || got.Type != "string" {
				t.Errorf("%s: %s: got %+v, want %+v", name, want.Name, got, want)
			}
			if (got.When == "") != (want.When == "") {
				t.Errorf("%s: %s: read when %q, want %q", name, want.Name, got.When, want.When)
			}
			if diff := cmp.Diff(want.Default, got.Default); diff != "" {
				t.Errorf("%s: the default of %s: %s", name, want.Name, diff)
			}
			if words := slices.DeleteFunc(got.Enum, func(word string) bool { return word == "" }); !slices.Equal(words, want.OneOf) {
				t.Errorf("%s: %s takes %q, want %q", name, want.Name, words, want.OneOf)
			}
			if _, file := s.Properties[want.Name+"_FILE"]; file != want.Secret {
				t.Errorf("%s: %s_FILE: %v", name, want.Name, file)
			}
		}
	}
}
