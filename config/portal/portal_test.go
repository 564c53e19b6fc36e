package portal_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenantry/tenantry/config"
	"github.com/tenantry/tenantry/config/portal"
)

// TestTable holds the schema against testdata/settings.tsv, the variables that
// the application reads.
func TestTable(t *testing.T) {
	table, err := os.ReadFile("testdata/settings.tsv")
	if err != nil {
		t.Fatal(err)
	}
	const columns = "group\tkey\ttype\tallowed\tdefault\tpresence\tsecret\tonly_when"
	header, rows, _ := strings.Cut(strings.TrimRight(string(table), "\n"), "\n")
	if header != "package\t"+columns {
		t.Fatalf("unknown columns: %s", header)
	}
	want := map[string]string{}
	count := 0
	for row := range strings.SplitSeq(rows, "\n") {
		count++
		// The application reads the namespace twice, with two defaults; the
		// schema has the cluster's.
		if row == "server\ttelemetry\tK8S_NAMESPACE\tstring\t\tparametric\tdefault\tno\t" {
			continue
		}
		pkg, rest, _ := strings.Cut(row, "\t")
		fields := strings.Split(rest, "\t")
		if pkg == "ai" {
			fields[0] = "ai"
		}
		if _, twice := want[fields[1]]; twice {
			t.Errorf("%s stands twice in the table", fields[1])
		}
		want[fields[1]] = strings.Join(fields, "\t")
	}
	if count != 164 || len(want) != 163 {
		t.Errorf("%d rows of %d settings, want 164 of 163", count, len(want))
	}

	settings, err := config.Settings(portal.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range settings {
		got[s.Name] = row(s)
	}
	for _, name := range slices.Sorted(maps.Keys(union(want, got))) {
		if want[name] != got[name] {
			t.Errorf("(-table +schema)  %s\n-%s\n+%s", columns, want[name], got[name])
		}
	}
	if len(settings) != len(want) {
		t.Errorf("%d settings, want %d", len(settings), len(want))
	}
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// row describes a setting in the table's words.
func row(s config.Setting) string {
	group, _, _ := strings.Cut(s.Path, ".")
	switch group {
	case "mail", "sender":
		group = "email"
	case "webSocket":
		group = "websocket"
	}
	typ := s.Type
	if len(s.OneOf) > 0 {
		typ = "literal"
	}
	presence, dflt, secret := "optional", "", "no"
	if s.Default != nil {
		presence, dflt = "default", *s.Default
	}
	if s.Required && s.Either == nil {
		presence = "required"
	}
	if s.Secret {
		secret = "yes"
	}
	return strings.Join([]string{group, s.Name, typ, strings.Join(s.OneOf, "|"), dflt, presence, secret, s.When}, "\t")
}

// TestUnits holds the units against the names that carry one.
func TestUnits(t *testing.T) {
	settings, err := config.Settings(portal.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		for suffix, unit := range map[string]string{"_MS": "ms", "_SECONDS": "s", "_DAYS": "days", "_TIMEOUT": "ms", "_TIME": "ms"} {
			if strings.HasSuffix(s.Name, suffix) && s.Unit != unit {
				t.Errorf("%s has the unit %q, want %q", s.Name, s.Unit, unit)
			}
		}
	}
	if settings, _ := config.Settings(&portal.Settings{}); len(settings) != 163 {
		t.Errorf("%d settings by pointer", len(settings))
	}
}

func doppler() portal.Doppler { return portal.Doppler{Project: "portal", Config: "prd"} }

// TestLeast is the environment of a tenant that says as little as it can: it is
// also the list of what infrastructure decides.
func TestLeast(t *testing.T) {
	p, err := config.Project(portal.Settings{Doppler: doppler()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range p.Plain {
		got = append(got, x.Name+"="+x.Value)
	}
	for _, x := range p.Secrets {
		got = append(got, x.Name+" secret")
	}
	for _, x := range p.Facts {
		line := x.Name + " " + x.Fact
		if x.True != "" {
			line += " " + x.True + "/" + x.False
		}
		if x.Required {
			line += " required"
		}
		if x.Secret {
			line += " secret"
		}
		got = append(got, line)
	}
	want := strings.Split(strings.TrimSpace(`
DEPLOYMENT_MODE=selfhosted
DOPPLER_CONFIG=prd
DOPPLER_PROJECT=portal
NODE_ENV=production
ANTHROPIC_API_KEY secret
DOPPLER_TOKEN secret
ENCRYPTION_KEY secret
GEMINI_API_KEY secret
OPENAI_API_KEY secret
RESEND_API_KEY secret
API_BASE_URL edge.url
CLUSTER_HEALTH_MODE pods.readable k8s/ping
CORS_ORIGINS edge.url
DATABASE_URL database.url required secret
K8S_CONTAINER_NAME pod.container
K8S_DEPLOYMENT_NAME pod.deployment
K8S_LABEL_SELECTOR pods.selector
K8S_NAMESPACE pod.namespace
K8S_NODE_NAME pod.node
K8S_POD_NAME pod.name
OTEL_EXPORTER_OTLP_ENDPOINT telemetry.endpoint
OTEL_LOGS_EXPORTER telemetry.enabled otlp/none
OTEL_METRICS_EXPORTER telemetry.enabled otlp/none
OTEL_SERVICE_NAME app.component
OTEL_SERVICE_VERSION app.version
OTEL_TRACES_EXPORTER telemetry.enabled otlp/none
PORT app.port
POSTGRES_SSL database.tls
POSTGRES_SSL_CA database.ca
POSTGRES_SSL_SERVERNAME database.servername
PROXY_HOPS edge.hops
RATE_LIMIT_STORE cache.enabled redis/memory
REDIS_HOST cache.host
REDIS_MODE cache.sentinel sentinel/standalone
REDIS_PASSWORD cache.password secret
REDIS_PORT cache.port
REDIS_SENTINEL_NAME cache.sentinel-name
REDIS_SENTINEL_NODES cache.sentinels
REDIS_SENTINEL_PASSWORD cache.sentinel-password secret
REDIS_SENTINEL_TLS cache.sentinel-tls
REDIS_SENTINEL_USERNAME cache.sentinel-username secret
REDIS_TLS cache.tls
REDIS_TLS_CA cache.ca secret
REDIS_TLS_SERVERNAME cache.servername
REDIS_USERNAME cache.username
STORAGE_ACCESS_KEY_ID store.access-key required secret
STORAGE_BUCKET store.bucket
STORAGE_ENDPOINT store.endpoint
STORAGE_FORCE_PATH_STYLE store.path-style
STORAGE_REGION store.region
STORAGE_SECRET_ACCESS_KEY store.secret-key required secret
TRUST_PROXY edge.proxied
WEBAUTHN_ORIGIN edge.url
WEBAUTHN_RP_ID edge.host`), "\n")
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("-%s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("+%s", line)
		}
	}
}

func TestProject(t *testing.T) {
	for _, test := range []struct {
		reason   string
		settings portal.Settings
		want     []string // among the plain and the secret names
		not      []string
		err      string
	}{
		{
			reason: "mail by SMTP", settings: portal.Settings{Doppler: doppler(), Mail: portal.SMTP{Host: "mail", Pass: config.Provided()}},
			want: []string{"EMAIL_PROVIDER=smtp", "SMTP_HOST=mail", "SMTP_PASS"}, not: []string{"RESEND_API_KEY"},
		},
		{
			reason: "the default provider is not named", settings: portal.Settings{Doppler: doppler(), Mail: portal.Resend{}},
			want: []string{"RESEND_API_KEY"}, not: []string{"EMAIL_PROVIDER=resend"},
		},
		{
			reason: "a ring of keys instead of one", settings: portal.Settings{Doppler: doppler(), Security: portal.Security{Encryption: portal.KeyRing{}}},
			want: []string{"ENCRYPTION_KEYS"}, not: []string{"ENCRYPTION_KEY"},
		},
		{
			reason: "one of the purge jobs", settings: portal.Settings{Doppler: doppler(), Purge: portal.Purge{KVStore: portal.Retention{Schedule: "0 4 * * *", Keep: 14 * 24 * time.Hour}}},
			want: []string{"PURGE_KV_STORE_CRON=0 4 * * *", "PURGE_KV_STORE_DAYS=14"}, not: []string{"PURGE_SESSIONS_CRON=0 4 * * *"},
		},
		{
			reason: "what only the tenant knows", settings: portal.Settings{Mail: portal.SMTP{}, Purge: portal.Purge{APIKeys: portal.Retention{Keep: time.Hour}}},
			err: "doppler.config (DOPPLER_CONFIG): is required\ndoppler.project (DOPPLER_PROJECT): is required\nmail.host (SMTP_HOST): is required\npurge.apiKeys.keep (PURGE_API_KEYS_DAYS): must be a whole number of days",
		},
	} {
		t.Run(test.reason, func(t *testing.T) {
			p, err := config.Project(test.settings)
			if fmt.Sprint(err) != test.err && (err != nil || test.err != "") {
				t.Fatalf("got  %v\nwant %s", err, test.err)
			}
			var got []string
			for _, x := range p.Plain {
				got = append(got, x.Name+"="+x.Value)
			}
			for _, x := range p.Secrets {
				got = append(got, x.Name)
			}
			for _, word := range test.want {
				if !slices.Contains(got, word) {
					t.Errorf("no %s in %v", word, got)
				}
			}
			for _, word := range test.not {
				if slices.Contains(got, word) {
					t.Errorf("%s in %v", word, got)
				}
			}
		})
	}
}

// canary marks every value that nobody may see.
const canary = "canary-5eC2e7"

// TestRoundTrip draws valid settings, projects them, makes up what
// infrastructure would provide and loads that: what was set comes back, and
// where nothing was, the preset, the fact or the default. Then it spoils the
// environment.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		var want portal.Settings
		draw(r, reflect.ValueOf(&want).Elem())
		p, err := config.Project(want)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		environ := provide(t, r, p, dir)

		var got portal.Settings
		if err := config.Load(&got, environ); err != nil {
			t.Fatalf("seed %d: loading: %v", seed, err)
		}
		for _, diff := range compare(reflect.ValueOf(want), reflect.ValueOf(got), "", "", nil, environ) {
			t.Errorf("seed %d: %s", seed, diff)
		}
		if leak(got) {
			t.Errorf("seed %d: a secret got out", seed)
		}

		spoiled := spoil(r, environ)
		loaded := got
		err = config.Load(&loaded, environ)
		for _, name := range spoiled {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("seed %d: %s is spoiled, but: %v", seed, name, err)
			}
		}
		if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
			t.Errorf("seed %d: a value got out: %v", seed, err)
		}
		if len(spoiled) > 0 && !reflect.DeepEqual(loaded, got) {
			t.Errorf("seed %d: loaded all the same", seed)
		}
		if t.Failed() {
			return
		}
	}
}

// draw fills a schema struct with valid values. It reads the tags itself, to
// have a second opinion.
func draw(r *rand.Rand, v reflect.Value) {
	for i := range v.NumField() {
		field, tag := v.Field(i), v.Type().Field(i).Tag
		required := strings.HasSuffix(tag.Get("env"), ",required")
		switch _, settable := reflect.TypeAssert[config.Secret](field); {
		case settable:
			if r.IntN(2) == 0 {
				field.Set(reflect.ValueOf(config.Provided()))
			}
		case derived(field):
		case field.Kind() == reflect.Interface:
			if r.IntN(4) == 0 {
				continue
			}
			choice := pick(r, fitting(v, field))
			inner := reflect.New(choice).Elem()
			draw(r, inner)
			field.Set(inner)
		case field.Kind() == reflect.Struct:
			draw(r, field)
		case required || r.IntN(2) == 0:
			if field.Kind() == reflect.Pointer {
				field.Set(reflect.New(field.Type().Elem()))
				drawLeaf(r, field.Elem(), tag, true)
			} else {
				drawLeaf(r, field, tag, false)
			}
		}
	}
}

func derived(v reflect.Value) bool { return strings.HasPrefix(v.Type().Name(), "Derived[") }

// fitting lists the types that may stand in an interface field.
func fitting(holder, field reflect.Value) (types []reflect.Type) {
	for _, choice := range holder.Interface().(config.Chooser).Choices() {
		if t := reflect.TypeOf(choice.Variant); t.Implements(field.Type()) {
			types = append(types, t)
		}
	}
	return types
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

var units = map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "days": 24 * time.Hour}

func drawLeaf(r *rand.Rand, v reflect.Value, tag reflect.StructTag, zero bool) {
	low, high := 1, 65000
	if zero {
		low = 0
	}
	switch v.Interface().(type) {
	case config.Cron:
		v.SetString(fmt.Sprintf("%d */%d %d-%d * %s", r.IntN(60), 1+r.IntN(5), 1+r.IntN(5), 6+r.IntN(20), pick(r, []string{"*", "0", "MON-FRI", "1,3"})))
		return
	case time.Duration:
		v.SetInt(int64(low+r.IntN(high)) * int64(units[tag.Get("unit")]))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!zero || r.IntN(2) == 0)
	case reflect.Int:
		v.SetInt(int64(low + r.IntN(high)))
	case reflect.Float64:
		v.SetFloat(r.Float64())
	case reflect.String:
		if words := tag.Get("oneof"); words != "" {
			v.SetString(pick(r, strings.Split(words, "|")))
			return
		}
		v.SetString(word(r))
	default:
		panic(fmt.Sprintf("unhandled %v", v.Type()))
	}
}

// word is text that is awkward to carry.
func word(r *rand.Rand) string {
	var b strings.Builder
	for range 1 + r.IntN(12) {
		b.WriteRune(pick(r, []rune("abcXYZ019 \t\n\"'`$(){}%,;=:\\/@#-_ß語🙂")))
	}
	return b.String()
}

// provide makes an environment: what was projected, with placeholders for the
// secrets, some of them in files, and made-up facts, some of them unpublished.
func provide(t *testing.T, r *rand.Rand, p config.Projection, dir string) map[string]string {
	t.Helper()
	settings, err := config.Settings(portal.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	environ := map[string]string{}
	for _, x := range p.Plain {
		environ[x.Name] = x.Value
	}
	secret := func(name string) {
		if r.IntN(3) > 0 {
			environ[name] = canary + name
			return
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(canary+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		environ[name+"_FILE"] = path
	}
	for _, x := range p.Secrets {
		secret(x.Name)
	}
	for _, x := range p.Facts {
		s := settings[slices.IndexFunc(settings, func(s config.Setting) bool { return s.Name == x.Name })]
		switch {
		case !x.Required && r.IntN(4) == 0:
		case x.Secret:
			secret(x.Name)
		case x.True != "":
			environ[x.Name] = pick(r, []string{x.True, x.False})
		case s.Type == "boolean":
			environ[x.Name] = pick(r, []string{"true", "false"})
		case s.Type == "integer":
			environ[x.Name] = strconv.Itoa(1 + r.IntN(65000))
		default:
			environ[x.Name] = word(r)
		}
	}
	return environ
}

// compare lists where the loaded settings are not what was set, or else what
// the environment or the default says.
func compare(want, got reflect.Value, prefix, defaults string, holder []string, environ map[string]string) (diffs []string) {
	for i := range want.NumField() {
		f := want.Type().Field(i)
		path := append(slices.Clip(holder), f.Name)
		w, g := want.Field(i), got.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		name = prefix + name
		switch {
		case f.Type.Kind() == reflect.Interface:
			variant := fitting(want, w)[0] // the default stands first
			if !w.IsNil() {
				variant = w.Elem().Type()
			}
			if g.IsNil() || g.Elem().Type() != variant {
				diffs = append(diffs, fmt.Sprintf("%v: loaded %v, want %v", path, g, variant))
				continue
			}
			inner := reflect.New(variant).Elem()
			if !w.IsNil() {
				inner.Set(w.Elem())
			}
			diffs = append(diffs, compare(inner, g.Elem(), prefix, "", path, environ)...)
			continue
		case f.Tag.Get("env") == "":
			diffs = append(diffs, compare(w, g, prefix+f.Tag.Get("envPrefix"), f.Tag.Get("defaults"), path, environ)...)
			continue
		}
		dflt := f.Tag.Get("envDefault")
		for pair := range strings.SplitSeq(defaults, ";") {
			if key, value, ok := strings.Cut(pair, "="); ok && prefix+key == name {
				dflt = value
			}
		}
		expected, ok := environ[name]
		if _, file := environ[name+"_FILE"]; file {
			expected, ok = canary+name, true
		}
		if !ok {
			expected = dflt
		}
		if set := wire(w, f.Tag); !derived(w) && set != "" && !strings.HasPrefix(expected, canary) {
			expected = set
		}
		if loaded := wire(g, f.Tag); loaded != expected && !(g.IsZero() && slices.Contains([]string{"", "0", "false"}, expected)) {
			diffs = append(diffs, fmt.Sprintf("%v (%s): loaded %q, want %q", path, name, loaded, expected))
		}
	}
	return diffs
}

// wire writes a leaf as the environment would, empty when it is unset.
func wire(v reflect.Value, tag reflect.StructTag) string {
	if derived(v) {
		return wireOf(v.MethodByName("Get").Call(nil)[0], tag)
	}
	if v.IsZero() {
		return ""
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	return wireOf(v, tag)
}

func wireOf(v reflect.Value, tag reflect.StructTag) string {
	switch x := v.Interface().(type) {
	case config.Secret:
		return x.Reveal()
	case time.Duration:
		return strconv.FormatInt(int64(x/units[tag.Get("unit")]), 10)
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64)
	}
	return fmt.Sprint(v.Interface())
}

// spoil breaks an environment at random and returns the names that an error
// must now mention.
func spoil(r *rand.Rand, environ map[string]string) (names []string) {
	settings, _ := config.Settings(portal.Settings{})
	for _, s := range settings {
		_, given := environ[s.Name]
		switch { // the discriminator decides who else is read
		case s.Name == "EMAIL_PROVIDER" || r.IntN(8) > 0:
		case given && s.Required:
			delete(environ, s.Name)
			names = append(names, s.Name)
		case given && (s.Type != "string" || len(s.OneOf) > 0):
			environ[s.Name] = pick(r, []string{canary, "\x00" + canary, strings.Repeat("9", 40) + canary, "-1" + canary, "TZ=" + canary, "@every " + canary})
			names = append(names, s.Name)
		case s.Secret && given:
			environ[s.Name+"_FILE"] = "/" + canary
			names = append(names, s.Name)
		}
	}
	return names
}

// leak prints a value in many ways and looks for the canary.
func leak(v any) bool {
	out := fmt.Sprintf("%v %+v %#v %q %x %s %d", v, v, v, v, v, v, v)
	return strings.Contains(out, canary) || strings.Contains(out, fmt.Sprintf("%x", canary))
}

// FuzzLoad loads hostile environments, written as NAME=value lines: no panic,
// no value in an error, no secret in print, and what loads projects.
func FuzzLoad(f *testing.F) {
	f.Add("")
	f.Add("EMAIL_PROVIDER=smtp\nSMTP_HOST=h\nSMTP_PORT=0x10\nPOSTGRES_TRGM_SIMILARITY_THRESHOLD=NaN\nREDIS_DB=-1\nPURGE_S3_BATCH_SIZE=1e3")
	f.Add("DATABASE_URL=d\nDATABASE_URL_FILE=/dev/zero\nENCRYPTION_KEYS=a\nENCRYPTION_KEY=b\nPURGE_API_KEYS_CRON=TZ=0\nPURGE_ASSETS_CRON=@every 1ns")
	f.Add("ANTHROPIC_API_KEY=a\nGEMINI_API_KEY=a\nOPENAI_API_KEY=a\nDATABASE_URL=a\nSTORAGE_ACCESS_KEY_ID=a\nSTORAGE_SECRET_ACCESS_KEY=a\nDEPLOYMENT_MODE=cloud\nDOPPLER_TOKEN=a\nDOPPLER_CONFIG=a\nDOPPLER_PROJECT=a\nENCRYPTION_KEY=a\nRESEND_API_KEY=a")
	f.Add("ANTHROPIC_API_KEY=a\nGEMINI_API_KEY=a\nOPENAI_API_KEY=a\nDATABASE_URL=a\nSTORAGE_ACCESS_KEY_ID=a\nSTORAGE_SECRET_ACCESS_KEY=a\nDEPLOYMENT_MODE=cloud\nDOPPLER_TOKEN=a\nDOPPLER_CONFIG=a\nDOPPLER_PROJECT=a\nENCRYPTION_KEY=a\nRESEND_API_KEY=a\nSESSION_CACHE_TTL_SECONDS=9223372036854775807")
	settings, err := config.Settings(portal.Settings{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		for _, mark := range []string{"", canary} {
			environ := map[string]string{}
			for line := range strings.SplitSeq(lines, "\n") {
				name, value, _ := strings.Cut(line, "=")
				environ[name] = value + mark
			}
			for _, s := range settings {
				if value, ok := environ[s.Name]; ok && mark != "" && !s.Secret {
					environ[s.Name] = strings.TrimSuffix(value, mark) // so that some load with their secrets marked
				}
			}
			var s portal.Settings
			err := config.Load(&s, environ)
			switch {
			case err != nil && mark != "" && strings.Contains(err.Error(), mark):
				t.Errorf("a value got out: %v", err)
			case err == nil && mark != "" && leak(s):
				t.Error("a secret got out")
			case err == nil:
				if _, err := config.Project(s); err != nil && !strings.Contains(err.Error(), "private key") {
					t.Errorf("loads but does not project: %v", err)
				}
			}
		}
	})
}
