package runner

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/blang/semver"
	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/render"
)

func secretUnit(annotations map[string]string) render.Unit {
	return render.Unit{Fleet: "prod", Name: "acme", Files: []render.File{{Name: "secret-s.yaml", Object: &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "s", Annotations: annotations},
	}}}}
}

func environ(m map[string]string) *filler {
	return &filler{lacking: map[string]bool{}, lookup: func(name string) (string, bool) { v, ok := m[name]; return v, ok }}
}

var master = base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))

func TestFill(t *testing.T) {
	unit := secretUnit(map[string]string{
		"secret.tenantry.dev/password": "generated:prod/acme/cache/password?bytes=32&version=1",
		"secret.tenantry.dev/key":      "environment:ACME__KEY",
		"secret.tenantry.dev/url":      "template:postgresql://app:{{ .key | urlquery }}@db?p={{ .password }}",
		"other.example.com/x":          "environment:NO",
	})
	filled, err := environ(map[string]string{MasterKey: master, "ACME__KEY": "a b/c"}).fill(unit)
	if err != nil {
		t.Fatal(err)
	}
	got := filled["acme"]["secret-s.yaml"]
	if len(got) != 3 || got["key"] != "a b/c" || !regexp.MustCompile(`^[0-9a-f]{64}$`).MatchString(got["password"]) || got["url"] != "postgresql://app:a+b%2Fc@db?p="+got["password"] {
		t.Errorf("got %q", got)
	}
}

// TestGeneratedValuesAreTheSameForEver locks the derivation: a change of it would change every password of
// every tenant.
func TestGeneratedValuesAreTheSameForEver(t *testing.T) {
	for source, want := range map[string]string{
		"prod/acme/cache/password?bytes=32&version=1": "010fe224dcf8fe8be0659c4d7377282e1cc5a46dbdfa95ca84a280f90feb6787",
		"prod/acme/cache/password?bytes=32&version=2": "7ca634be6d44ae8c4bacab3cfc81a31c99bfb331905cb25b6b5851b627767e20",
		"prod/acme/store/id?bytes=12&version=1":       "89887976ba01635e82ec165a",
	} {
		filled, err := environ(map[string]string{MasterKey: master}).fill(secretUnit(map[string]string{"secret.tenantry.dev/k": "generated:" + source}))
		if err != nil {
			t.Fatal(err)
		}
		if got := filled["acme"]["secret-s.yaml"]["k"]; got != want {
			t.Errorf("%s is %s, was %s", source, got, want)
		}
	}
}

func TestMissingVariablesAreNamedAtOnce(t *testing.T) {
	unit := secretUnit(map[string]string{
		"secret.tenantry.dev/a": "environment:ACME__A", "secret.tenantry.dev/b": "environment:ACME__B", "secret.tenantry.dev/c": "environment:ACME__C",
		"secret.tenantry.dev/d": "generated:p?bytes=32&version=1",
	})
	_, err := environ(map[string]string{"ACME__B": canary, "ACME__C": ""}).fill(unit)
	lacking, ok := errors.AsType[missing](err)
	if !ok || strings.Join(lacking, " ") != "ACME__A ACME__C "+MasterKey {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), canary) {
		t.Errorf("a secret is in the error: %v", err)
	}
}

func TestBadSourcesAreRefused(t *testing.T) {
	for source, want := range map[string]string{
		"":                              "unknown source",
		"vault:x":                       "unknown source",
		"generated:p?bytes=4&version=1": "8 to 255",
		"generated:p?bytes=x&version=1": "8 to 255",
		"generated:p?bytes=32":          "no version",
		"generated:?bytes=32&version=1": "no path",
		"template:{{ .nosuch }}":        "refers to a key",
		"template:{{":                   "unclosed",
	} {
		_, err := environ(map[string]string{MasterKey: master}).fill(secretUnit(map[string]string{"secret.tenantry.dev/k": source}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", source, err, want)
		}
	}
	_, err := environ(map[string]string{MasterKey: canary}).fill(secretUnit(map[string]string{"secret.tenantry.dev/k": "generated:p?bytes=32&version=1"}))
	if err == nil || strings.Contains(err.Error(), canary) || !strings.Contains(err.Error(), "/dev/urandom") {
		t.Errorf("a bad master key: got %v", err)
	}
}

// TestAWrongMasterKeyIsToldOnce, and what is missing beside it.
func TestAWrongMasterKeyIsToldOnce(t *testing.T) {
	_, err := environ(map[string]string{MasterKey: canary}).fill(units(t)...)
	if err == nil || strings.Count(err.Error(), MasterKey) != 1 || !strings.Contains(err.Error(), "\nthe environment lacks ACME__") {
		t.Errorf("got %v", err)
	}
}

// A keeper is Pulumi's CLI as far as it has states by the names of stacks.
type keeper struct {
	auto.PulumiCommand
	states map[string]string
}

func (keeper) Version() semver.Version { return cliVersion }

func (k keeper) Run(_ context.Context, _ string, _ io.Reader, _, _ []io.Writer, _ []string, args ...string) (string, string, int, error) {
	if state, found := k.states[args[len(args)-1]]; found {
		return state, "", 0, nil
	}
	return "", "error: no stack named '" + args[len(args)-1] + "' found", 255, errors.New("exit status 255")
}

func TestPassphraseIsMissingWhereItIsNeeded(t *testing.T) {
	const (
		byPassphrase = `{"deployment":{"secrets_providers":{"type":"passphrase"}}}`
		byKey        = `{"deployment":{"secrets_providers":{"type":"cloud"}}}`
		byNothing    = `{"deployment":{}}`
		keyService   = "awskms://alias/tenantry"
	)
	here := t.TempDir()
	for _, row := range []struct {
		reason          string
		variable        string // that is set
		beside, secrets string
		acme, hooli     string // states
		want            bool
	}{
		{"nothing is deployed", "", filepath.Join(here, "none"), "passphrase", "", "", true},
		{"nothing is deployed, and a key service will encrypt it", "", filepath.Join(here, "none"), keyService, "", "", false},
		{"it is empty", "PULUMI_CONFIG_PASSPHRASE", here, "passphrase", byPassphrase, "", false},
		{"its file is named", "PULUMI_CONFIG_PASSPHRASE_FILE", here, "passphrase", byPassphrase, "", false},
		{"states by it", "", here, keyService, byPassphrase, byPassphrase, true},
		{"one state by it", "", here, keyService, byKey, byPassphrase, true},
		{"states by keys, which nobody has to name again", "", here, "passphrase", byKey, byKey, false},
		{"a unit that is new", "", here, "passphrase", byKey, "", true},
		{"a unit that is new, for a key service", "", "", keyService, byKey, "", false},
		{"a run that was killed before the state had a key", "", "", "passphrase", byNothing, byKey, true},
		{"a state that cannot be read", "", "", "passphrase", "cut o", byKey, false},
	} {
		t.Run(row.reason, func(t *testing.T) {
			for _, name := range []string{"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} {
				t.Setenv(name, map[bool]string{true: "/dev/null"}[strings.HasSuffix(name, "FILE")])
				if name != row.variable {
					_ = os.Unsetenv(name) // and it is as it was after the test
				}
			}
			t.Setenv("PULUMI_HOME", t.TempDir())
			states := map[string]string{"prod.acme": row.acme, "prod.hooli": row.hooli}
			maps.DeleteFunc(states, func(_, state string) bool { return state == "" })
			c := &call{name: "prod", state: "file://" + here, beside: row.beside, secrets: row.secrets, parallel: 2, pulumi: keeper{states: states}}
			lacking := map[string]bool{}
			err := c.passphrase(t.Context(), lacking, []render.Unit{{Name: "acme"}, {Name: "hooli"}})
			if err != nil || lacking["PULUMI_CONFIG_PASSPHRASE"] != row.want {
				t.Errorf("%v, missing: %v", err, lacking)
			}
		})
	}
}

func TestMoreVariables(t *testing.T) {
	t.Setenv("TENANTRY_TEST_A", "its own")
	t.Setenv(moreVariables, `{"TENANTRY_TEST_A":"another's","TENANTRY_TEST_B":"b"}`)
	f, err := environment()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"TENANTRY_TEST_A": "its own", "TENANTRY_TEST_B": "b"} {
		if got, ok := f.lookup(name); !ok || got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got, ok := f.lookup("TENANTRY_TEST_C"); ok {
		t.Errorf("a variable that nobody set is %q", got)
	}
	for _, text := range []string{canary, `["` + canary + `"]`, `{"A":{"B":"` + canary + `"}}`} {
		t.Setenv(moreVariables, text)
		if _, err := environment(); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
