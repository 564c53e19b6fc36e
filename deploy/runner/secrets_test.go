package runner

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"testing"

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
	return &filler{lookup: func(name string) (string, bool) { v, ok := m[name]; return v, ok }}
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
	got := filled["secret-s.yaml"]
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
		if got := filled["secret-s.yaml"]["k"]; got != want {
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
