package render_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/render"
)

// full is a tenant whose settings ask for everything.
func full() render.Tenant {
	t := tenant("acme")
	t.API.ReadsPods = true
	t.Settings = portal.Settings{Doppler: portal.Doppler{Project: "portal", Config: "acme"}}
	t.Workloads = []render.Workload{render.Worker{Name: "mailer", Command: []string{"mail"}, Scale: render.Fixed{Replicas: 1}}}
	return t
}

func files(t *testing.T, tenants ...render.Tenant) map[string]string {
	t.Helper()
	units, err := render.Units([]render.Fleet{fleet(tenants...)})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, u := range units {
		for _, f := range u.Files {
			all[u.Name+"/"+f.Name] = string(f.YAML)
		}
	}
	return all
}

// TestAChangeChangesWhatItMust makes one change to a tenant and looks at every line of every file that
// differs then.
func TestAChangeChangesWhatItMust(t *testing.T) {
	// Two workloads carry the checksum that rolls their pods, and the release carries the unit's digest.
	const digest = "acme/configmap-tenantry-release.yaml:+  digest: "
	rolled := []string{"acme/deployment-api.yaml:+        tenantry.dev/checksum: ", "acme/deployment-mailer.yaml:+        tenantry.dev/checksum: "}
	for _, row := range []struct {
		reason string
		change func(*render.Tenant)
		want   []string // beginnings of the lines that are added, by file; lines that go are their old selves
	}{
		{"one setting", func(t *render.Tenant) {
			t.Settings = portal.Settings{Doppler: portal.Doppler{Project: "portal", Config: "acme"}, Auth: portal.Auth{MaxSessionsPerUser: 9}}
		}, append(rolled, digest, `acme/configmap-settings.yaml:+  MAX_SESSIONS_PER_USER: "9"`)},
		{"a new cache password", func(t *render.Tenant) {
			t.Cache = render.Valkey{Memory: "256Mi", Password: render.Generated{Version: 2}}
		}, append(rolled, digest,
			"acme/secret-cache.yaml:+    secret.tenantry.dev/password: generated:prod/acme/cache/password?bytes=32&version=2",
			"acme/statefulset-cache.yaml:+        tenantry.dev/checksum: ")},
		{"a size", func(t *render.Tenant) { t.API.Resources = render.Resources{Memory: "1Gi"} }, []string{
			digest, "acme/deployment-api.yaml:+            memory: 1Gi", "acme/deployment-api.yaml:+            memory: 1Gi", "acme/job-migrate-",
		}},
		{"a number of replicas", func(t *render.Tenant) { t.API.Scale = render.Fixed{Replicas: 3} }, []string{
			digest, "acme/deployment-api.yaml:+  replicas: 3",
		}},
		{"a tier", func(t *render.Tenant) { t.Tier = render.Standard }, nil},
	} {
		t.Run(row.reason, func(t *testing.T) {
			other := full()
			row.change(&other)
			before, after := files(t, full()), files(t, other)
			var got []string
			for _, name := range slices.Sorted(maps.Keys(union(before, after))) {
				if _, kept := after[name]; kept && strings.Contains(name, "/job-") && before[name] == "" {
					got = append(got, name) // a Job is renamed whole
					continue
				}
				for line := range strings.Lines(string(diff.Diff("a", []byte(before[name]), "b", []byte(after[name])))) {
					if strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++") {
						got = append(got, name+":"+strings.TrimSuffix(line, "\n"))
					}
				}
			}
			if row.want == nil {
				if len(got) < 10 {
					t.Errorf("got %q", got)
				}
				return
			}
			for _, want := range row.want {
				i := slices.IndexFunc(got, func(line string) bool { return strings.HasPrefix(line, want) })
				if i < 0 {
					t.Errorf("no line begins with %q", want)
					continue
				}
				got = slices.Delete(got, i, i+1)
			}
			if len(got) > 0 {
				t.Errorf("these change too: %q", got)
			}
		})
	}
}

func union(a, b map[string]string) map[string]string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

func TestANewImageTouchesWhatRunsItAndNothingElse(t *testing.T) {
	other := full()
	other.API.Image = "registry.example.com/api:v2"
	before, after := files(t, full()), files(t, other)
	var changed []string
	for name := range union(before, after) {
		if before[name] != after[name] {
			name, _, _ = strings.Cut(name, "migrate-")
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	want := []string{"acme/configmap-tenantry-release.yaml", "acme/deployment-api.yaml", "acme/deployment-mailer.yaml", "acme/job-", "acme/job-"}
	if !slices.Equal(changed, want) {
		t.Errorf("got %q, want %q", changed, want)
	}
}

func TestOnlyWhoReadsPodsHasAToken(t *testing.T) {
	for _, reads := range []bool{true, false} {
		tn := full()
		tn.API.ReadsPods = reads
		all := files(t, tn)
		tokens := 0
		for _, text := range all {
			tokens += strings.Count(text, "automountServiceAccountToken: true")
		}
		_, role := all["acme/role-api-reads-pods.yaml"]
		if want := map[bool]int{true: 1, false: 0}[reads]; tokens != want || role != reads {
			t.Errorf("ReadsPods %t: %d tokens, role %t", reads, tokens, role)
		}
		if mode := "value: " + map[bool]string{true: "k8s", false: "ping"}[reads]; !strings.Contains(all["acme/deployment-api.yaml"], mode) {
			t.Errorf("ReadsPods %t: the API is not told %s", reads, mode)
		}
	}
}

func TestTheDeployerCannotMoveItsBounds(t *testing.T) {
	units, err := render.Units([]render.Fleet{fleet(full())})
	if err != nil {
		t.Fatal(err)
	}
	rules := 0
	may := map[string]bool{}
	for _, f := range units[1].Files {
		role, ok := f.Object.(*rbacv1.Role)
		if !ok || role.Name != "deployer" {
			continue
		}
		for _, r := range role.Rules {
			rules++
			for _, what := range slices.Concat(r.APIGroups, r.Resources, r.Verbs) {
				if strings.Contains(what, "*") || slices.Contains([]string{"escalate", "bind", "impersonate"}, what) {
					t.Errorf("the deployer has %q", what)
				}
			}
			for _, resource := range r.Resources {
				may[resource] = slices.Contains(r.Verbs, "patch")
			}
		}
	}
	if rules == 0 {
		t.Fatal("no role for the deployer")
	}
	for resource, want := range map[string]bool{
		"deployments": true, "configmaps": true, "secrets": true, "clusters": true, "httproutes": true, "jobs": true,
		"networkpolicies": false, "resourcequotas": false, "limitranges": false, "roles": false, "rolebindings": false, "serviceaccounts": false,
	} {
		if got, listed := may[resource]; got != want || !listed {
			t.Errorf("the deployer may change %s: %t (listed: %t), want %t", resource, got, listed, want)
		}
	}
}

func TestSecretsAreFilesWhereTheApplicationReadsFiles(t *testing.T) {
	tn := full()
	tn.API.SecretFiles = true
	all := files(t, tn)
	for _, name := range []string{"acme/deployment-api.yaml", "acme/deployment-mailer.yaml"} {
		text := all[name]
		for _, want := range []string{
			"- name: OPENAI_API_KEY_FILE\n          value: /run/secrets/tenantry/OPENAI_API_KEY\n",
			"- name: DATABASE_URL_FILE\n          value: /run/secrets/tenantry/DATABASE_URL\n",
			"          - secret:\n              items:\n              - key: uri\n                path: DATABASE_URL\n              name: database-app\n",
			"mountPath: /run/secrets/tenantry\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks\n%s", name, want)
			}
		}
		for _, not := range []string{"name: OPENAI_API_KEY\n", "name: DATABASE_URL\n", "secretRef:"} {
			if strings.Contains(text, not) {
				t.Errorf("%s has %q beside the files", name, not)
			}
		}
	}
	if strings.Contains(files(t, full())["acme/deployment-api.yaml"], "_FILE") {
		t.Error("files are mounted unasked")
	}
}
