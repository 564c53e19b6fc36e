package tenants

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/tenantry/tenantry/config"
	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// environment is what the API's container finds when it starts, with a placeholder for what only a running
// cluster knows.
func environmentOf(t *testing.T, u render.Unit) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, f := range u.Files {
		if o, ok := f.Object.(*corev1.ConfigMap); ok && o.Name == "settings" {
			maps.Copy(env, o.Data)
		}
		if f.Object.GetName() == "settings" && f.Object.GetObjectKind().GroupVersionKind().Kind != "ConfigMap" {
			for _, name := range secretKey.FindAllString(string(f.YAML), -1) {
				env[name] = "placeholder"
			}
		}
	}
	for _, f := range u.Files {
		if o, ok := f.Object.(*appsv1.Deployment); ok && o.Name == "api" {
			for _, v := range o.Spec.Template.Spec.Containers[0].Env {
				if _, twice := env[v.Name]; twice {
					t.Errorf("%s stands in the container and in the ConfigMap or Secret", v.Name)
				}
				env[v.Name] = v.Value
				if v.ValueFrom != nil {
					env[v.Name] = "placeholder"
				}
				for name, value := range env {
					env[v.Name] = strings.ReplaceAll(env[v.Name], "$("+name+")", value)
				}
			}
		}
	}
	return env
}

// secretKey finds the keys of the settings' Secret, whichever source fills it.
var secretKey = regexp.MustCompile(`\b[A-Z][A-Z0-9]*_[A-Z0-9_]*(KEYS?|TOKEN|SECRET|PASS)\b`)

func TestTheApplicationReadsWhatTheTenantSays(t *testing.T) {
	var base portal.Settings // what an application finds where nobody says anything
	least := map[string]string{
		"DATABASE_URL": "x", "STORAGE_ACCESS_KEY_ID": "x", "STORAGE_SECRET_ACCESS_KEY": "x", "ANTHROPIC_API_KEY": "x", "GEMINI_API_KEY": "x", "OPENAI_API_KEY": "x",
		"DOPPLER_TOKEN": "x", "DOPPLER_PROJECT": "x", "DOPPLER_CONFIG": "x", "DEPLOYMENT_MODE": "cloud", "ENCRYPTION_KEY": "x", "RESEND_API_KEY": "x",
	}
	if err := config.Load(&base, least); err != nil {
		t.Fatal(err)
	}
	schema, err := config.Settings(portal.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]bool{} // what says something where the tenant does not
	for _, s := range schema {
		given[strings.ToLower(s.Path)] = s.Fact != "" || s.Preset != "" || s.Required || s.Secret
	}
	compared := 0
	for _, fleet := range Fleets() {
		units := units(t, fleet)
		for _, tenant := range fleet.Tenants {
			for _, u := range units {
				if u.Name != tenant.Name {
					continue
				}
				env := environmentOf(t, u)
				var got portal.Settings
				if err := config.Load(&got, env); err != nil {
					t.Errorf("%s/%s: %v", fleet.Name, tenant.Name, err)
					continue
				}
				if !strings.HasPrefix(env["DATABASE_URL"], "postgresql://") && env["DATABASE_URL"] != "placeholder" || strings.Contains(env["DATABASE_URL"], "$(") {
					t.Errorf("%s/%s: DATABASE_URL is %s", fleet.Name, tenant.Name, env["DATABASE_URL"])
				}
				if host := got.Auth.WebAuthnRPID; got.App.BaseURL.Get() != "https://"+host && got.App.BaseURL.Get() != "http://"+host {
					t.Errorf("%s/%s: base URL %s and host %s", fleet.Name, tenant.Name, got.App.BaseURL.Get(), host)
				}
				compared += same(t, fleet.Name+"/"+tenant.Name, "", reflect.ValueOf(tenant.Settings), reflect.ValueOf(got), reflect.ValueOf(base), given)
			}
		}
	}
	if compared < 900 {
		t.Errorf("only %d settings were compared", compared)
	}
}

// same compares the leaves of what a tenant says with what the application reads: its own word where it
// says something, else the default, unless the schema or a fact says otherwise.
func same(t *testing.T, tenant, path string, said, read, base reflect.Value, given map[string]bool) (compared int) {
	switch {
	case said.Kind() == reflect.Interface && said.IsNil():
		return 0
	case said.Kind() == reflect.Interface:
		if said.Elem().Type() != read.Elem().Type() {
			t.Errorf("%s: %s is a %v, said was a %v", tenant, path, read.Elem().Type(), said.Elem().Type())
			return 1
		}
		return 1 + same(t, tenant, path, said.Elem(), read.Elem(), reflect.Value{}, given)
	case said.Kind() == reflect.Struct && said.Type().PkgPath() == reflect.TypeFor[portal.Settings]().PkgPath():
		for f := range said.Type().Fields() {
			below := reflect.Value{}
			if base.IsValid() {
				below = base.FieldByIndex(f.Index)
			}
			compared += same(t, tenant, strings.TrimPrefix(path+"."+strings.ToLower(f.Name), "."), said.FieldByIndex(f.Index), read.FieldByIndex(f.Index), below, given)
		}
		return compared
	case said.Kind() == reflect.Struct: // a secret, or what no tenant can say
		return 0
	case !said.IsZero():
		if !reflect.DeepEqual(said.Interface(), read.Interface()) {
			t.Errorf("%s: %s is read as %v, said was %v", tenant, path, show(read), show(said))
		}
		return 1
	case base.IsValid() && !given[path]:
		if !reflect.DeepEqual(base.Interface(), read.Interface()) {
			t.Errorf("%s: %s is read as %v, the default is %v", tenant, path, show(read), show(base))
		}
		return 1
	}
	return 0
}

func show(v reflect.Value) string { return fmt.Sprint(reflect.Indirect(v)) }
