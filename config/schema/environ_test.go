package schema_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/config"
	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/config/schema/testdata/shop"
)

// canary stands in every secret.
const canary = "canary-5eC2e7"

// schemas are the two that everything is tried with: every tag, and a real one.
var schemas = map[string]any{"shop": shop.Settings{}, "portal": portal.Settings{}}

func settingsOf(t *testing.T, schema any) []config.Setting {
	t.Helper()
	settings, err := config.Settings(schema)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// load returns the settings in an environment, a pointer to a struct of schema's type.
func load(schema any, environ map[string]string) (any, error) {
	into := reflect.New(reflect.TypeOf(schema))
	err := config.Load(into.Interface(), environ)
	return into.Interface(), err
}

// draw makes a valid environment: with chance 0 the least one, with 1 all of it.
func draw(r *rand.Rand, settings []config.Setting, dir string, chance float64) map[string]string {
	environ := map[string]string{}
	given := func(name string) bool { return environ[name] != "" || environ[name+"_FILE"] != "" }
	for _, s := range settings {
		wanted := s.Required
		if len(s.Either) > 0 {
			chosen := s.Either[len(s.Either)-1]
			if r.Float64() < 0.5 {
				chosen = s.Either[0]
			}
			one := slices.ContainsFunc(s.Either, given)
			wanted = !one && (s.Name == chosen || s.Name == s.Either[len(s.Either)-1])
		}
		switch {
		case !holds(settings, s, environ):
		case wanted, len(s.Either) == 0 && r.Float64() < chance:
			give(r, s, environ, dir)
		case r.Float64() < chance/4:
			environ[s.Name] = ""
		}
	}
	return environ
}

// holds reports whether a setting is read.
func holds(settings []config.Setting, s config.Setting, environ map[string]string) bool {
	for condition := range strings.SplitSeq(s.When, ",") {
		name, word, discriminated := strings.Cut(condition, "=")
		value := environ[name]
		switch {
		case condition == "":
		case !discriminated && value == "" && environ[name+"_FILE"] == "":
			return false
		case discriminated:
			if other := byName(settings, name); value == "" && other.Default != nil {
				value = *other.Default
			}
			if value != word {
				return false
			}
		}
	}
	return true
}

func byName(settings []config.Setting, name string) config.Setting {
	return settings[slices.IndexFunc(settings, func(s config.Setting) bool { return s.Name == name })]
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// give sets a variable to something valid.
func give(r *rand.Rand, s config.Setting, environ map[string]string, dir string) {
	low, high := 1, 65000
	if s.Min != "" {
		low, _ = strconv.Atoi(s.Min)
	}
	if s.Max != "" {
		high, _ = strconv.Atoi(s.Max)
	}
	value := ""
	switch {
	case s.Secret && r.IntN(3) == 0:
		path := filepath.Join(dir, s.Name)
		if err := os.WriteFile(path, []byte(canary+s.Name+pick(r, "", "\n", "\r\n", "\n\n", " ")), 0o600); err != nil {
			panic(err)
		}
		environ[s.Name+"_FILE"] = path
		return
	case s.Secret:
		value = canary + s.Name
	case len(s.OneOf) > 0:
		value = pick(r, s.OneOf...)
	case s.Type == "boolean":
		value = pick(r, "true", "false", "1", "0", "t", "F", "TRUE", "False")
	case s.Type == "integer":
		value = pick(r, "", "0", "00") + strconv.Itoa(low+r.IntN(min(high-low, 255-max(low, 0))+1))
		value = strings.ReplaceAll(value, "0-", "-")
		value = strings.ReplaceAll(value, "0-", "-")
	case s.Type == "number":
		value = pick(r, "1", "0.25", ".5", "1.", "5e-1", "100E-2", "+0.75")
	case s.Type == "cron":
		value = fmt.Sprintf("%d */%d %d-%d * %s", r.IntN(60), 1+r.IntN(5), 1+r.IntN(5), 6+r.IntN(20), pick(r, "*", "0", "MON-FRI", "1,3", "?", "sun/2"))
	default:
		for range 1 + r.IntN(12) {
			value += string(pick(r, []rune("abcXYZ019 \t\n\"'`$(){}%,;=:\\/@#-_ß語🙂")...))
		}
	}
	environ[s.Name] = value
}

// spoil breaks some of a valid environment and returns the variables that an
// error must now name. The schema of it all refuses each.
func spoil(r *rand.Rand, settings []config.Setting, environ map[string]string) (names []string) {
	for _, s := range settings {
		value, given := environ[s.Name]
		given = given && value != ""
		discriminates := slices.ContainsFunc(settings, func(other config.Setting) bool { return strings.Contains(other.When, s.Name) })
		switch {
		case discriminates || r.IntN(6) > 0 || !holds(settings, s, environ):
			continue
		case len(s.Either) > 0 && !given && environ[s.Name+"_FILE"] == "":
			continue
		case s.Required && r.IntN(2) == 0:
			delete(environ, s.Name)
			delete(environ, s.Name+"_FILE")
		case s.Secret && given:
			environ[s.Name+"_FILE"] = "/" + canary
		case s.Secret, !given, s.Type == "string" && len(s.OneOf) == 0:
			continue
		case s.Type == "integer" && s.Min != "" && r.IntN(2) == 0:
			low, _ := strconv.Atoi(s.Min)
			environ[s.Name] = strconv.Itoa(low - 1)
		case s.Type == "integer" && s.Max != "" && r.IntN(2) == 0:
			high, _ := strconv.Atoi(s.Max)
			environ[s.Name] = strconv.Itoa(high + 1)
		default:
			environ[s.Name] = pick(r, canary, "1"+canary, "1 "+canary, canary+" * * * *", "-", "0x1", "1,5", "true ", "@daily")
		}
		names = append(names, s.Name)
	}
	return names
}

// words are tried in every variable of the shop.
var words = []string{
	"", "0", "-0", "1", "+1", "007", "-1", "-3", "-03", "-100", "-101", "20", "21", "127", "128", "255", "256", "999", "1000", "1001",
	"9007199254740991", "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "18446744073709551616",
	"153722867", "153722868", "2562047", "2562048", "-2562048", "1e3", "1E-1", ".5", "5.", ".", "-.5e+0", "1.0", "0.1", "0.05", "1.5", "1e400", "0x1p-2", "0x10", "1_000", "NaN", "Inf", "1 ", " 1", "1\n",
	"true", "TRUE", "tRue", "t", "yes", "on", "F", "red", "dark blue", "RED", "in-memory", "nats", "constructor", "__proto__",
	"* * * * *", "0 6 * * MON-FRI", "0 6 * Jan-dec sun", "60 * * * *", "0 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *", "*/0 * * * *", "*/15,3 0-23/2 1/5 ? *", "@daily", "0  6 * * *", "0 6 * * * *", " 0 6 * * *", "0 6 * *",
	"1,,2 * * * *", ", * * * *", "+5 * * * *", "*-7 * * * *", "1-2-3 * * * *", "1/2/3 * * * *", "jan * * * *", "* * * 1-mar *", "* * * mar-1 *", "TZ=UTC 0 3 * * *", "059 * * * *", "é * * * *",
}
