package render

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A SecretSource says where the values of a Secret come from. None of them can hold a value: a golden file
// names the Secret, its keys and where each comes from, and nothing else.
//
// A Secret that is filled when it is applied carries one annotation per key, secret.tenantry.dev/<key>:
//
//	generated:<path>?bytes=<n>&version=<v>   n random bytes in hexadecimal, the same for as long as the path
//	                                         and the version are the same
//	environment:<VARIABLE>                   the variable of the process that applies it
//	template:<text>                          text/template over the keys of the same Secret
//
//sumtype:decl
type SecretSource interface {
	validateSecrets(*checker)
	lowerSecret(scope, secret) []Object
	// origin is where all of a tenant's values stand, which no two tenants may share; empty where the
	// source cannot mix them up.
	origin(fleet, tenant string) string
}

// Generated values are made once, when they are applied first, and kept encrypted. Raising Version makes
// new ones and restarts what reads them.
type Generated struct {
	Version int // Default 1
}

// FromEnvironment takes values from the environment of the process that applies the unit, which is how a
// secret manager hands them over (doppler run, a CI system's secrets).
type FromEnvironment struct {
	// Prefix of the variables. Default: the tenant's name in capitals, hyphens as underscores, and two
	// underscores, so that the OPENAI_API_KEY of big-co is BIG_CO__OPENAI_API_KEY.
	Prefix string
}

// ExternalSecrets leaves values to the External Secrets operator, which copies them from a store.
type ExternalSecrets struct {
	Store string // a ClusterSecretStore
	Path  string // of the tenant in the store. Default "<fleet>/<tenant>"
}

// GeneratedByOperator leaves values to the operator of the thing that they open. Only CloudNativePG has
// one that does.
type GeneratedByOperator struct{}

var (
	_ SecretSource = Generated{}
	_ SecretSource = FromEnvironment{}
	_ SecretSource = ExternalSecrets{}
	_ SecretSource = GeneratedByOperator{}
)

// A secret is a Secret to be filled from a source.
type secret struct {
	meta metav1.ObjectMeta
	kind corev1.SecretType
	path string // under which generated values are known, and found in an external store
	keys []secretKey
}

// A secretKey has either a variable, under which its source knows it, or a template over other keys.
type secretKey struct {
	name     string
	variable string // such as DATABASE_PASSWORD
	bytes    int    // of randomness, where it is generated. Default 32
	template string
}

func (g Generated) validateSecrets(c *checker) {
	if g.Version < 0 {
		c.at("version").invalid(g.Version, "must be 1 or more")
	}
}

func (Generated) origin(string, string) string { return "" }

func (g Generated) lowerSecret(_ scope, s secret) []Object {
	return s.annotated(func(k secretKey) string {
		return fmt.Sprintf("generated:%s/%s?bytes=%d&version=%d", s.path, k.name, cmp.Or(k.bytes, 32), cmp.Or(g.Version, 1))
	})
}

func (e FromEnvironment) validateSecrets(c *checker) {
	if strings.Trim(e.Prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		c.at("prefix").invalid(e.Prefix, "must be capitals, digits and underscores")
	}
}

func (e FromEnvironment) prefix(tenant string) string {
	return cmp.Or(e.Prefix, strings.ToUpper(strings.ReplaceAll(tenant, "-", "_"))+"__")
}

func (e FromEnvironment) origin(fleet, tenant string) string {
	return "variables " + e.prefix(tenant) + "* of " + fleet
}

func (e FromEnvironment) lowerSecret(sc scope, s secret) []Object {
	prefix := e.prefix(sc.tenant.Name)
	return s.annotated(func(k secretKey) string { return "environment:" + prefix + k.variable })
}

// SecretPrefix begins the annotations that say where a Secret's values come from.
const SecretPrefix = "secret.tenantry.dev/"

// annotated is the Secret without data, and with the word of its source for each key.
func (s secret) annotated(source func(secretKey) string) []Object {
	o := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: s.meta,
		Type:       s.kind,
	}
	o.Annotations = map[string]string{}
	for _, k := range s.keys {
		word := "template:" + k.template
		if k.template == "" {
			word = source(k)
		}
		o.Annotations[SecretPrefix+k.name] = word
	}
	return []Object{o}
}

func (e ExternalSecrets) validateSecrets(c *checker) {
	c.at("store").label(e.Store)
	if u, err := url.Parse(e.Path); err != nil || u.Path != e.Path || strings.Contains(e.Path, ",") {
		c.at("path").invalid(e.Path, "must be a path such as prod/acme")
	}
}

func (e ExternalSecrets) origin(fleet, tenant string) string {
	return cmp.Or(e.Path, fleet+"/"+tenant) + " in " + e.Store
}

func (e ExternalSecrets) lowerSecret(sc scope, s secret) []Object {
	path := s.path
	if e.Path != "" {
		path = e.Path + strings.TrimPrefix(s.path, sc.fleet.Name+"/"+sc.tenant.Name)
	}
	spec := externalSecretSpec{
		RefreshInterval: "1h",
		SecretStoreRef:  secretStoreRef{Kind: "ClusterSecretStore", Name: e.Store},
		Target:          externalSecretTarget{Name: s.meta.Name, CreationPolicy: "Owner", DeletionPolicy: "Retain"},
	}
	template := map[string]string{}
	templated := false
	for _, k := range s.keys {
		if k.template != "" {
			template[k.name] = k.template
			templated = true
			continue
		}
		// The template engine of the operator knows no key with a dot or a hyphen as a field.
		template[k.name] = "{{ index . " + strconv.Quote(k.name) + " }}"
		spec.Data = append(spec.Data, externalSecretData{SecretKey: k.name, RemoteRef: externalSecretRef{Key: path, Property: k.variable}})
	}
	if templated || s.kind != corev1.SecretTypeOpaque {
		spec.Target.Template = &externalSecretTemplate{EngineVersion: "v2", Type: s.kind, Data: template}
	}
	return []Object{&externalSecret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "external-secrets.io/v1", Kind: "ExternalSecret"},
		ObjectMeta: s.meta,
		Spec:       spec,
	}}
}

func (GeneratedByOperator) validateSecrets(c *checker) {
	c.forbidden("no operator makes these: use FromEnvironment, ExternalSecrets or Generated")
}

func (GeneratedByOperator) origin(string, string) string { return "" }

func (GeneratedByOperator) lowerSecret(scope, secret) []Object { return nil }
