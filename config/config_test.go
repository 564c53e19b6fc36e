package config_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/config"
)

// everything has a leaf of every kind.
type everything struct {
	Text    Text
	Numbers Numbers
	Secrets Secrets
	Facts   Facts
	Keys    Keys `preset:"one"`
}

type Text struct {
	Plain    string      `env:"PLAIN"`
	Default  string      `env:"DEFAULT" envDefault:"app"`
	Preset   string      `env:"PRESET" envDefault:"app" preset:"infra"`
	Required string      `env:"REQUIRED,required"`
	OneOf    level       `env:"ONE_OF" oneof:"low|high"`
	Cron     config.Cron `env:"CRON" envDefault:"0 3 * * 0"`
}

type level string

type Numbers struct {
	Bool   bool           `env:"BOOL" envDefault:"false"`
	BoolP  *bool          `env:"BOOL_P" envDefault:"true"`
	Int    int            `env:"INT" envDefault:"5" min:"1" max:"9"`
	IntP   *int           `env:"INT_P" envDefault:"5"`
	Int8   int8           `env:"INT8"`
	Uint16 uint16         `env:"UINT16" unit:"bytes"`
	Big    int            `env:"BIG"`
	Float  float64        `env:"FLOAT"`
	FloatP *float64       `env:"FLOAT_P" envDefault:"0.3" min:"0" max:"1"`
	Pause  time.Duration  `env:"SECONDS" envDefault:"60" unit:"s" min:"1"`
	Days   *time.Duration `env:"DAYS" envDefault:"30" unit:"days" min:"0"`
	Unset  *int           `env:"UNSET"`
}

type Secrets struct {
	Required config.Secret `env:"SECRET,required"`
	Optional config.Secret `env:"OPTIONAL"`
}

type Facts struct {
	URL      config.Derived[string]        `env:"URL" envDefault:"http://localhost" fact:"edge.url"`
	Store    config.Derived[string]        `env:"STORE" oneof:"redis|memory" fact:"cache.enabled,true=redis,false=memory"`
	Database config.Derived[config.Secret] `env:"DATABASE,required" fact:"database.url"`
	TTL      config.Derived[time.Duration] `env:"TTL" unit:"ms" fact:"cache.ttl"`
	Origin   string                        `env:"ORIGIN" fact:"edge.url"`
	Key      config.Secret                 `env:"KEY" fact:"store.key"`
}

type Keys interface{ keys() }

type One struct {
	Key config.Secret `env:"ONE,required"`
}

type Ring struct {
	Keys   config.Secret `env:"RING,required"`
	Active int           `env:"RING_ACTIVE"`
	Where  Where         `env:"RING_WHERE" envDefault:"here"`
}

type Where interface{ where() }

type Here struct{}

type There struct {
	Host string `env:"THERE_HOST,required"`
}

type stranger struct{}

func (One) keys()      {}
func (Ring) keys()     {}
func (stranger) keys() {}
func (Here) where()    {}
func (There) where()   {}

func (everything) Choices() []config.Choice {
	return []config.Choice{{Word: "one", Variant: One{}}, {Word: "ring", Variant: Ring{}}}
}

func (Ring) Choices() []config.Choice {
	return []config.Choice{{Word: "here", Variant: Here{}}, {Word: "there", Variant: There{}}}
}

func TestProject(t *testing.T) {
	base := "PRESET=infra REQUIRED=x | ONE SECRET | DATABASE:database.url! KEY:store.key* ORIGIN:edge.url STORE:cache.enabled,redis,memory TTL:cache.ttl URL:edge.url"
	for _, test := range []struct {
		reason string
		set    func(*everything)
		want   string // differences from base
	}{
		{"nothing set: presets, required secrets and facts only", func(*everything) {}, ""},
		{"what is set is written, even when it says the default", func(e *everything) { e.Text.Default = "app" }, "+DEFAULT=app"},
		{"what is set beats the preset", func(e *everything) { e.Text.Preset = "mine" }, "-PRESET=infra +PRESET=mine"},
		{"a pointer to zero is set", func(e *everything) { e.Numbers.BoolP, e.Numbers.IntP = new(false), new(0) }, "+BOOL_P=false +INT_P=0"},
		{"times are integers in their unit", func(e *everything) {
			e.Numbers.Pause, e.Numbers.Days = 2*time.Minute, new(48*time.Hour)
		}, "+DAYS=2 +SECONDS=120"},
		{"floats have no exponent", func(e *everything) { e.Numbers.FloatP, e.Numbers.Float = new(0.05), 1e7 }, "+FLOAT=10000000 +FLOAT_P=0.05"},
		{"integers beyond 32 bits", func(e *everything) { e.Numbers.Big = 1 << 40 }, "+BIG=1099511627776"},
		{"an optional secret is mentioned", func(e *everything) { e.Secrets.Optional = config.Provided() }, "+OPTIONAL"},
		{"mentioning a required one changes nothing", func(e *everything) { e.Secrets.Required = config.Provided() }, ""},
		{"a plain field overrules its fact", func(e *everything) { e.Facts.Origin = "https://x" }, "-ORIGIN:edge.url +ORIGIN=https://x"},
		{"a secret field overrules its fact", func(e *everything) { e.Facts.Key = config.Provided() }, "-KEY:store.key* +KEY"},
		{"another variant asks for its own secret", func(e *everything) { e.Keys = Ring{Active: 2} }, "-ONE +RING_ACTIVE=2 +RING"},
		{"a pointer to a variant is that variant", func(e *everything) { e.Keys = &Ring{} }, "-ONE +RING"},
		{"a choice within a choice", func(e *everything) { e.Keys = Ring{Where: There{"h"}} }, "-ONE +RING_WHERE=there +THERE_HOST=h +RING"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			var e everything
			e.Text.Required = "x"
			test.set(&e)
			p, err := config.Project(e)
			if err != nil {
				t.Fatal(err)
			}
			got := line(p)
			if again, err := config.Project(&e); err != nil || line(again) != got {
				t.Errorf("a pointer projects differently: %v %v", line(again), err)
			}
			if diff := difference(base, got); diff != test.want {
				t.Errorf("got %s\nwant %s", diff, test.want)
			}
			for _, names := range [][]string{plainNames(p), secretNames(p), factNames(p)} {
				if !slices.IsSorted(names) {
					t.Errorf("not sorted: %v", names)
				}
			}
		})
	}
}

func line(p config.Projection) string {
	var words []string
	for _, x := range p.Plain {
		words = append(words, x.Name+"="+x.Value)
	}
	words = append(words, "|")
	for _, x := range p.Secrets {
		words = append(words, x.Name)
	}
	words = append(words, "|")
	for _, x := range p.Facts {
		word := x.Name + ":" + x.Fact
		switch {
		case x.True != "":
			word += "," + x.True + "," + x.False
		case x.Required:
			word += "!"
		case x.Secret:
			word += "*"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// difference lists the words that got lacks, then those it has over want.
func difference(want, got string) string {
	var diff []string
	for word := range strings.FieldsSeq(want) {
		if !slices.Contains(strings.Fields(got), word) {
			diff = append(diff, "-"+word)
		}
	}
	var more []string
	for word := range strings.FieldsSeq(got) {
		if !slices.Contains(strings.Fields(want), word) {
			more = append(more, "+"+word)
		}
	}
	return strings.Join(append(diff, more...), " ")
}

func plainNames(p config.Projection) (names []string) {
	for _, x := range p.Plain {
		names = append(names, x.Name)
	}
	return names
}

func secretNames(p config.Projection) (names []string) {
	for _, x := range p.Secrets {
		names = append(names, x.Name)
	}
	return names
}

func factNames(p config.Projection) (names []string) {
	for _, x := range p.Facts {
		names = append(names, x.Name)
	}
	return names
}

func TestProjectMistakes(t *testing.T) {
	for _, test := range []struct {
		reason string
		set    func(*everything)
		want   string
	}{
		{"required", func(e *everything) { e.Text.Required = "" }, "text.required (REQUIRED): is required"},
		{"no such word", func(e *everything) { e.Text.OneOf = "hihg" }, "text.oneOf (ONE_OF): must be one of low, high"},
		{"a descriptor", func(e *everything) { e.Text.Cron = "@every 1s" }, "text.cron (CRON): must be a schedule of five fields: minute hour day month weekday"},
		{"a time zone, which counts as a field", func(e *everything) { e.Text.Cron = "TZ=UTC 0 3 * *" }, "text.cron (CRON): must be a schedule of five fields: minute hour day month weekday"},
		{"a lone time zone, which panics the parser", func(e *everything) { e.Text.Cron = "TZ=0" }, "text.cron (CRON): must be a schedule of five fields: minute hour day month weekday"},
		{"a time zone and five fields", func(e *everything) { e.Text.Cron = "TZ=UTC 0 3 * * *" }, "text.cron (CRON): must be a schedule of five fields: minute hour day month weekday"},
		{"five words of a descriptor", func(e *everything) { e.Text.Cron = "@every 1h 2m 3s 4ms" }, "text.cron (CRON): must be a schedule of five fields: minute hour day month weekday"},
		{"two spaces", func(e *everything) { e.Text.Cron = "0  3 * * *" }, "text.cron (CRON): must be a schedule of five fields: minute hour day month weekday"},
		{"seconds", func(e *everything) { e.Text.Cron = "0 0 3 * * 0" }, "text.cron (CRON): must be a schedule of five fields: minute hour day month weekday"},
		{"an hour that no day has", func(e *everything) { e.Text.Cron = "0 24 * * *" }, "text.cron (CRON): must be a schedule of five fields: minute hour day month weekday"},
		{"below min", func(e *everything) { e.Numbers.Int = -1 }, "numbers.int (INT): must be at least 1"},
		{"above max", func(e *everything) { e.Numbers.FloatP = new(1.5) }, "numbers.floatP (FLOAT_P): must be at most 1"},
		{"not a number", func(e *everything) { e.Numbers.Float = math.NaN() }, "numbers.float (FLOAT): must be a finite number"},
		{"half a second", func(e *everything) { e.Numbers.Pause = 1500 * time.Millisecond }, "numbers.pause (SECONDS): must be a whole number of s"},
		{"a negative time", func(e *everything) { e.Numbers.Pause = -time.Second }, "numbers.pause (SECONDS): must be at least 1 s"},
		{"no environment can hold NUL", func(e *everything) { e.Text.Plain = "a\x00b" }, "text.plain (PLAIN): must be UTF-8 without NUL"},
		{"no ConfigMap can hold this", func(e *everything) { e.Text.Plain = "\xff" }, "text.plain (PLAIN): must be UTF-8 without NUL"},
		{"a key in a plain setting", func(e *everything) { e.Text.Plain = "-----BEGIN RSA PRIVATE KEY-----\nMII" }, "text.plain (PLAIN): must not hold a private key: a plain setting is for everyone to read"},
		{"a variant nobody lists", func(e *everything) { e.Keys = stranger{} }, "keys: holds a config_test.stranger, which is not among its choices"},
		{"a nil pointer in an interface", func(e *everything) { e.Keys = (*Ring)(nil) }, "keys: holds a nil pointer"},
		{"within a variant", func(e *everything) { e.Keys = Ring{Where: There{}} }, "keys.where.host (THERE_HOST): is required"},
		{"all at once", func(e *everything) { e.Text.Required, e.Numbers.Int = "", 10 }, "text.required (REQUIRED): is required\nnumbers.int (INT): must be at most 9"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			var e everything
			e.Text.Required = "x"
			test.set(&e)
			p, err := config.Project(&e)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if !reflect.DeepEqual(p, config.Projection{}) {
				t.Errorf("projected all the same: %v", p)
			}
			if _, ok := errors.AsType[*config.Error](err); !ok {
				t.Errorf("not a *config.Error: %T", err)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, test := range []struct {
		reason  string
		environ string // over REQUIRED=x SECRET=s DATABASE=d ONE=o; - removes
		got     func(everything) any
		want    any
	}{
		{"a default", "", func(e everything) any { return e.Text.Default }, "app"},
		{"a preset is not the application's", "", func(e everything) any { return e.Text.Preset }, "app"},
		{"an empty variable is an unset one", "DEFAULT=", func(e everything) any { return e.Text.Default }, "app"},
		{"pointers with a default are never nil", "", func(e everything) any {
			return []any{*e.Numbers.BoolP, *e.Numbers.IntP, *e.Numbers.FloatP, *e.Numbers.Days}
		}, []any{true, 5, 0.3, 30 * 24 * time.Hour}},
		{"a pointer without one stays nil", "", func(e everything) any { return e.Numbers.Unset == nil }, true},
		{"a pointer takes zero", "INT_P=0 BOOL_P=false DAYS=0", func(e everything) any {
			return []any{*e.Numbers.IntP, *e.Numbers.BoolP, *e.Numbers.Days}
		}, []any{0, false, time.Duration(0)}},
		{"more than 32 bits", "BIG=1099511627776", func(e everything) any { return e.Numbers.Big }, 1 << 40},
		{"a unit", "SECONDS=90", func(e everything) any { return e.Numbers.Pause }, 90 * time.Second},
		{"derived", "URL=https://x TTL=15000", func(e everything) any { return []any{e.Facts.URL.Get(), e.Facts.TTL.Get()} }, []any{"https://x", 15 * time.Second}},
		{"a secret", "", func(e everything) any { return e.Secrets.Required.Reveal() }, "s"},
		{"a derived secret", "", func(e everything) any { return e.Facts.Database.Get().Reveal() }, "d"},
		{"a secret in a file, less one newline", "-SECRET SECRET_FILE=" + write("lf", "a\n\n"), func(e everything) any { return e.Secrets.Required.Reveal() }, "a\n"},
		{"a file written on Windows", "-SECRET SECRET_FILE=" + write("crlf", "a\r\n"), func(e everything) any { return e.Secrets.Required.Reveal() }, "a"},
		{"a file for what is no secret is not read", "PLAIN_FILE=" + write("plain", "a"), func(e everything) any { return e.Text.Plain }, ""},
		{"the variant is told by what is given", "", func(e everything) any { return e.Keys.(One).Key.Reveal() }, "o"},
		{"and by a file", "-ONE RING_FILE=" + write("ring", "r"), func(e everything) any { return e.Keys.(Ring).Keys.Reveal() }, "r"},
		{"a choice within a choice", "-ONE RING=r RING_WHERE=there THERE_HOST=h", func(e everything) any { return e.Keys.(Ring).Where }, Where(There{"h"})},
		{"another variant's settings are not read", "RING_ACTIVE=nonsense RING_WHERE=nonsense", func(e everything) any { return e.Keys.(One).Key.Reveal() }, "o"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			e := everything{Text: Text{Plain: "from before"}}
			if err := config.Load(&e, environ(test.environ)); err != nil {
				t.Fatal(err)
			}
			if got := test.got(e); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if e.Text.Plain == "from before" {
				t.Error("what was there before is still there")
			}
		})
	}

	for _, test := range []struct{ reason, environ, want string }{
		{"missing", "-REQUIRED -SECRET", "text.required (REQUIRED): is required\nsecrets.required (SECRET): is required"},
		{"empty is missing", "REQUIRED=", "text.required (REQUIRED): is required"},
		{"no boolean", "BOOL=canary", "numbers.bool (BOOL): must be true or false"},
		{"no integer", "INT=canary", "numbers.int (INT): must be an integer in range"},
		{"no number", "FLOAT=canary", "numbers.float (FLOAT): must be a number"},
		{"not finite", "FLOAT=Inf", "numbers.float (FLOAT): must be a finite number"},
		{"overflow of the parser", "BIG=99999999999999999999", "numbers.big (BIG): must be an integer in range"},
		{"overflow of the field", "INT8=128 UINT16=65536", "numbers.int8 (INT8): must be an integer in range\nnumbers.uint16 (UINT16): must be an integer in range"},
		{"overflow of the unit", "SECONDS=9223372036854775807", "numbers.pause (SECONDS): is too long a time"},
		{"zero of a plain field", "INT=0", "numbers.int (INT): must be at least 1"},
		{"no such word", "ONE_OF=canary", "text.oneOf (ONE_OF): must be one of low, high"},
		{"neither key", "-ONE", "keys: needs exactly one of ONE, RING, 0 given"},
		{"both keys", "RING=canary", "keys: needs exactly one of ONE, RING, 2 given"},
		{"no such variant", "-ONE RING=r RING_WHERE=canary", "keys.where (RING_WHERE): must be one of here, there"},
		{"the chosen variant's own", "-ONE RING=r RING_WHERE=there", "keys.where.host (THERE_HOST): is required"},
		{"a secret given twice", "SECRET_FILE=canary", "secrets.required (SECRET): is given twice: drop it or SECRET_FILE"},
		{"no such file", "-SECRET SECRET_FILE=/canary", "secrets.required (SECRET): reading the file that SECRET_FILE names: no such file or directory"},
		{"a directory", "-SECRET SECRET_FILE=" + dir, "secrets.required (SECRET): reading the file that SECRET_FILE names: not a regular file"},
		{"a device without end", "-SECRET SECRET_FILE=/dev/zero", "secrets.required (SECRET): reading the file that SECRET_FILE names: not a regular file"},
		{"a file beyond any secret", "-SECRET SECRET_FILE=" + write("big", strings.Repeat("x", 1<<20+1)), "secrets.required (SECRET): reading the file that SECRET_FILE names: larger than 1 MiB"},
		{"an empty file", "-SECRET SECRET_FILE=" + write("empty", "\n"), "secrets.required (SECRET): is required"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			before := everything{Text: Text{Plain: "from before"}}
			e := before
			err := config.Load(&e, environ(test.environ))
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if !reflect.DeepEqual(e, before) {
				t.Errorf("changed all the same: %+v", e)
			}
		})
	}
}

func environ(changes string) map[string]string {
	m := map[string]string{"REQUIRED": "x", "SECRET": "s", "DATABASE": "d", "ONE": "o"}
	for change := range strings.FieldsSeq(changes) {
		if name, ok := strings.CutPrefix(change, "-"); ok {
			delete(m, name)
			continue
		}
		name, value, _ := strings.Cut(change, "=")
		m[name] = value
	}
	return m
}

func TestLoadProcess(t *testing.T) {
	for name, value := range environ("PLAIN=process") {
		t.Setenv(name, value)
	}
	var e everything
	if err := config.Load(&e, nil); err != nil || e.Text.Plain != "process" {
		t.Errorf("got %q, %v", e.Text.Plain, err)
	}
}

func TestSettings(t *testing.T) {
	settings, err := config.Settings(everything{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]config.Setting{
		"PRESET":     {Path: "text.preset", Name: "PRESET", Type: "string", Default: new("app"), Preset: "infra"},
		"DAYS":       {Path: "numbers.days", Name: "DAYS", Type: "integer", Unit: "days", Default: new("30"), Min: "0"},
		"STORE":      {Path: "facts.store", Name: "STORE", Type: "string", OneOf: []string{"redis", "memory"}, Derived: true, Fact: "cache.enabled", True: "redis", False: "memory"},
		"DATABASE":   {Path: "facts.database", Name: "DATABASE", Type: "string", Required: true, Secret: true, Derived: true, Fact: "database.url"},
		"CRON":       {Path: "text.cron", Name: "CRON", Type: "cron", Default: new("0 3 * * 0")},
		"ONE":        {Path: "keys.key", Name: "ONE", Type: "string", Required: true, Secret: true, Either: []string{"ONE", "RING"}},
		"RING_WHERE": {Path: "keys.where", Name: "RING_WHERE", Type: "string", Default: new("here"), OneOf: []string{"here", "there"}, When: "RING"},
		"THERE_HOST": {Path: "keys.where.host", Name: "THERE_HOST", Type: "string", Required: true, When: "RING,RING_WHERE=there"},
	}
	var names []string
	for _, s := range settings {
		names = append(names, s.Name)
		if w, ok := want[s.Name]; ok && !reflect.DeepEqual(s, w) {
			t.Errorf("got  %+v\nwant %+v", s, w)
		}
		delete(want, s.Name)
	}
	if len(want) > 0 {
		t.Errorf("not described: %v", want)
	}
	order := "PLAIN DEFAULT PRESET REQUIRED ONE_OF CRON BOOL BOOL_P INT INT_P INT8 UINT16 BIG FLOAT FLOAT_P SECONDS DAYS UNSET SECRET OPTIONAL URL STORE DATABASE TTL ORIGIN KEY ONE RING RING_ACTIVE RING_WHERE THERE_HOST"
	if got := strings.Join(names, " "); got != order {
		t.Errorf("got  %s\nwant %s", got, order)
	}
}

func TestDefaultsOfGroups(t *testing.T) {
	var s struct {
		Outer struct {
			Job   job `envPrefix:"JOB_" defaults:"CRON=1 1 1 1 1"`
			Other job `envPrefix:"OTHER_" defaults:"CRON=2 2 2 2 2"`
		} `envPrefix:"OUTER_" defaults:"JOB_CRON=3 3 3 3 3"`
	}
	if err := config.Load(&s, map[string]string{}); err != nil {
		t.Fatal(err)
	}
	if s.Outer.Job.Cron != "3 3 3 3 3" || s.Outer.Other.Cron != "2 2 2 2 2" {
		t.Errorf("the outermost group does not have the last word: %+v", s)
	}
	if err := config.Load(&s, map[string]string{"OUTER_JOB_CRON": "4 4 4 4 4"}); err != nil || s.Outer.Job.Cron != "4 4 4 4 4" {
		t.Errorf("the prefixed variable is not read: %+v %v", s, err)
	}
}

type loop struct{ Inner inner }

type inner struct{ Again again }

type again interface{ again() }

func (loop) again() {}

func (inner) Choices() []config.Choice { return []config.Choice{{Word: "loop", Variant: loop{}}} }

type job struct {
	Cron config.Cron `env:"CRON"`
}

type badChoices struct {
	Keys Keys `env:"KEYS" envDefault:"none" fact:"a.b"`
}

func (badChoices) Choices() []config.Choice {
	return []config.Choice{{Word: "one", Variant: One{}}, {Word: "one", Variant: stranger{}}, {Word: "p", Variant: &Ring{}}}
}

type noWitness struct {
	Keys Keys `envDefault:"stranger"`
}

func (noWitness) Choices() []config.Choice {
	return []config.Choice{{Word: "stranger", Variant: stranger{}}}
}

func TestSchemaMistakes(t *testing.T) {
	for _, test := range []struct {
		reason string
		schema any
		want   string
	}{
		{"nil", nil, "settings: is nil"},
		{"a nil pointer", (*everything)(nil), "settings: is nil"},
		{"no struct", 5, "settings: must be a struct, not int"},
		{"a pointer to no struct", new(5), "settings: must be a struct, not int"},
		{"no tag", struct{ A string }{}, "a: needs an env tag with the name of an environment variable"},
		{"an impossible name", struct {
			A string `env:"A=B"`
		}{}, "a (A=B): needs an env tag with the name of an environment variable"},
		{"unexported", struct{ a string }{}, "a: is unexported: nothing could fill it"},
		{"an unknown option, one that would read another variable", struct {
			A string `env:"A,expand"`
		}{}, `a (A): unsupported option "expand" in the env tag`},
		{"the same name twice", struct {
			A string `env:"A"`
			B string `env:"A"`
		}{}, "b (A): A is already that of a"},
		{"the name of a secret's file", struct {
			A config.Secret `env:"A"`
			B string        `env:"A_FILE"`
		}{}, "b (A_FILE): A_FILE is already that of a"},
		{"unsupported types", struct {
			A []string   `env:"A"`
			B *string    `env:"B"`
			C *job       `env:"C"`
			D time.Time  `env:"D"`
			E complex128 `env:"E"`
		}{}, "a (A): has the unsupported type []string\nb (B): has the unsupported type *string\nc (C): has the unsupported type *config_test.job\nd (D): has the unsupported type time.Time\ne (E): has the unsupported type complex128"},
		{"a bool that could not be set to false", struct {
			A bool `env:"A" envDefault:"true"`
		}{}, "a (A): needs to be a pointer, or its zero value could not be set"},
		{"a number that could not be set to 0", struct {
			A int           `env:"A" envDefault:"5"`
			B time.Duration `env:"B" envDefault:"5" unit:"s" min:"0"`
			C int           `env:"C,required"`
			D bool          `env:"D" fact:"a.b"`
			E bool          `env:"E" preset:"true"`
		}{}, "a (A): needs to be a pointer, or its zero value could not be set\nb (B): needs to be a pointer, or its zero value could not be set\nc (C): needs to be a pointer, or its zero value could not be set\nd (D): needs to be a pointer, or its zero value could not be set\ne (E): needs to be a pointer, or its zero value could not be set"},
		{"defaults that do not load", struct {
			A int           `env:"A" envDefault:"x" min:"1"`
			B level         `env:"B" envDefault:"mid" oneof:"low|high"`
			C config.Cron   `env:"C" envDefault:"@daily"`
			D string        `env:"D" preset:"mid" oneof:"low|high"`
			E time.Duration `env:"E" envDefault:"0" unit:"s" min:"1"`
		}{}, "a (A): its default must be an integer in range\nb (B): its default must be one of low, high\nc (C): its default must be a schedule of five fields: minute hour day month weekday\ne (E): its default must be at least 1 s\nd (D): its preset must be one of low, high"},
		{"required with a default", struct {
			A string `env:"A,required" envDefault:"a"`
		}{}, "a (A): is required and has a default"},
		{"a secret with a default, for all to read", struct {
			A config.Secret `env:"A" envDefault:"a"`
		}{}, "a (A): a secret takes no default and no preset"},
		{"derived from nothing", struct {
			A config.Derived[string] `env:"A"`
		}{}, "a (A): is Derived and needs a fact"},
		{"derived of what cannot be read", struct {
			A config.Derived[[]byte] `env:"A" fact:"a.b"`
		}{}, "a (A): has the unsupported type config.Derived[[]uint8]"},
		{"facts", struct {
			A string `env:"A" fact:"Edge"`
			B string `env:"B" fact:"a.b,yes=1,no=0"`
			C string `env:"C" fact:"a.b,true=x,false=y" oneof:"x|z"`
			D string `env:"D" fact:"a.b" preset:"d"`
		}{}, "a (A): the fact \"Edge\" must look like edge.url\nb (B): a translated fact must be a string's, written name,true=word,false=word\nc (C): the fact's \"y\" is not among oneof\nd (D): has a preset and a fact"},
		{"units", struct {
			A time.Duration `env:"A"`
			B int           `env:"B" unit:"s"`
			C string        `env:"C" unit:"bytes"`
		}{}, "a (A): a duration needs a unit: ms, s, min, h or days\nb (B): the unit \"s\" needs a time.Duration\nc (C): the unit \"bytes\" needs a time.Duration"},
		{"bounds", struct {
			A int    `env:"A" min:"one"`
			B string `env:"B" max:"1"`
		}{}, "a (A): bounds must be numbers, of a number\nb (B): bounds must be numbers, of a number"},
		{"words", struct {
			A int    `env:"A" oneof:"1|2"`
			B string `env:"B" oneof:"a||b"`
		}{}, "a (A): oneof needs a string and words between bars\nb (B): oneof needs a string and words between bars"},
		{"a group's defaults", struct {
			A job `envPrefix:"A_" defaults:"CORN=* * * * *"`
			B job `envPrefix:"B_" defaults:"CRON"`
		}{}, "a (A_CORN): has a default but no field\nb: defaults must be NAME=value pairs between semicolons"},
		{"a choice without choices", struct {
			A Keys `env:"A"`
		}{}, "a (A): no choice is listed for config_test.Keys: its struct needs a Choices method"},
		{"bad choices", badChoices{}, `keys (KEYS): a choice takes no fact tag
keys (KEYS): the choice config_test.stranger needs a word of its own
keys (KEYS): the choice "p" must hold a struct value
keys (KEYS): "none" is not among its choices`},
		{"nothing tells the variants apart", noWitness{}, `keys: a choice without an env tag takes preset, not envDefault
keys: without an env tag its choice "stranger" needs exactly one required field`},
		{"without end", loop{}, "inner.again: config_test.loop contains itself\ninner.again: without an env tag its choice \"loop\" needs exactly one required field"},
	} {
		t.Run(test.reason, func(t *testing.T) {
			_, err := config.Settings(test.schema)
			if err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
			if _, perr := config.Project(test.schema); perr == nil || perr.Error() != err.Error() {
				t.Errorf("Project says %v", perr)
			}
			into := test.schema
			if v := reflect.ValueOf(into); v.Kind() == reflect.Struct {
				into = reflect.New(v.Type()).Interface()
			}
			if lerr := config.Load(into, map[string]string{}); lerr == nil {
				t.Error("Load says nothing")
			}
		})
	}
	if err := config.Load(everything{}, nil); err == nil || err.Error() != "settings: can only be loaded into a pointer to a struct" {
		t.Errorf("loading into a value: %v", err)
	}
	if err := config.Load(nil, nil); err == nil {
		t.Error("loading into nil")
	}
}

func TestDefaultVariantMustBeUsable(t *testing.T) {
	if _, err := config.Project(unusable{}); err == nil || err.Error() != "where.host (THERE_HOST): is required" {
		t.Errorf("got %v", err)
	}
	if _, err := config.Project(undecided{}); err == nil || err.Error() != "where (WHERE): is required: choose one of here, there" {
		t.Errorf("got %v", err)
	}
	if err := config.Load(&undecided{}, map[string]string{}); err == nil || err.Error() != "where (WHERE): is required: one of here, there" {
		t.Errorf("got %v", err)
	}
}

type unusable struct {
	Where Where `env:"WHERE" envDefault:"there"`
}

type undecided struct {
	Where Where `env:"WHERE"`
}

func (unusable) Choices() []config.Choice  { return Ring{}.Choices() }
func (undecided) Choices() []config.Choice { return Ring{}.Choices() }

// TestSecretStaysSecret prints a loaded secret in every way at hand, also from
// unexported fields, where no method of it is called.
func TestSecretStaysSecret(t *testing.T) {
	const canary = "canary-31337"
	var e everything
	if err := config.Load(&e, map[string]string{"REQUIRED": "x", "SECRET": canary, "DATABASE": canary, "ONE": canary, "KEY": canary}); err != nil {
		t.Fatal(err)
	}
	if e.Secrets.Required.Reveal() != canary {
		t.Fatal("the secret is not there to be kept")
	}
	holder := struct {
		s config.Secret
		d config.Derived[config.Secret]
		p *config.Secret
		e *everything
	}{e.Secrets.Required, e.Facts.Database, &e.Secrets.Required, &e}
	var out bytes.Buffer
	for _, v := range []any{e, &e, e.Secrets, e.Secrets.Required, &e.Secrets.Required, e.Facts.Database, e.Keys, holder, &holder, []any{e.Secrets.Required}, map[config.Secret]int{e.Secrets.Required: 1}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x", "%X", "%s", "%d", "%10.3s", "% x", "%t", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		for _, logger := range []*slog.Logger{slog.New(slog.NewJSONHandler(&out, nil)), slog.New(slog.NewTextHandler(&out, nil))} {
			logger.Info("loaded", "v", v)
		}
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		if b, err := yaml.Marshal(v); err == nil {
			out.Write(b)
		}
		if b, err := xml.Marshal(v); err == nil {
			out.Write(b)
		}
		_ = gob.NewEncoder(&out).Encode(v)
	}
	for _, m := range []interface{ MarshalYAML() (any, error) }{e.Secrets.Required, e.Facts.Database} {
		v, err := m.MarshalYAML()
		fmt.Fprintln(&out, v, err)
	}
	fmt.Fprintln(&out, e.Secrets.Required.String(), e.Secrets.Required.GoString())
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("% x", canary), fmt.Sprint([]byte(canary))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret got out as %q", form)
		}
	}
	if p, err := config.Project(e); err != nil || strings.Contains(fmt.Sprint(p), canary) || !slices.Contains(secretNames(p), "SECRET") {
		t.Errorf("projecting a loaded value: %v %v", p, err)
	}
}

func TestLoadedProjectsAlike(t *testing.T) {
	e := everything{Text: Text{Required: "x"}}
	before, err := config.Project(e)
	if err != nil {
		t.Fatal(err)
	}
	var loaded everything
	if err := config.Load(&loaded, environ("URL=https://x STORE=redis TTL=5")); err != nil {
		t.Fatal(err)
	}
	after, err := config.Project(loaded)
	if err != nil || !reflect.DeepEqual(after.Facts, before.Facts) || !reflect.DeepEqual(after.Secrets, before.Secrets) {
		t.Errorf("what Load derived became the tenant's word: %v %v", line(after), err)
	}
}

func TestDerivedEncodesAsItsValue(t *testing.T) {
	var e everything
	if err := config.Load(&e, environ("URL=https://x")); err != nil {
		t.Fatal(err)
	}
	j, err := json.Marshal(e.Facts.URL)
	if got := fmt.Sprintf("%v %q %s %v", e.Facts.URL, e.Facts.URL, j, err); got != `https://x "https://x" "https://x" <nil>` {
		t.Error(got)
	}
}
