package render_test

import (
	"slices"
	"strings"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/tenantry/tenantry/render"
)

// vault is where a tenant that Flux delivers has its secrets.
var vault = render.ExternalSecrets{Store: "vault"}

// flown is a tenant that Flux can deliver.
func flown(name string) render.Tenant {
	t := tenant(name)
	t.Cache = render.Valkey{Memory: "256Mi", Password: vault}
	t.Store = render.S3{Endpoint: "https://s3.example.com", Bucket: name}
	t.Secrets = vault
	t.Delivery = render.Flux{}
	return t
}

// hangar is a fleet that Flux can deliver to.
func hangar(tenants ...render.Tenant) render.Fleet {
	f := fleet(tenants...)
	f.Platform.Source = render.GitRepository{URL: "https://git.example.com/tenants"}
	return f
}

func TestFluxIsRefused(t *testing.T) {
	for _, row := range []struct {
		reason string
		change func(*render.Fleet)
		want   []string
	}{
		{"nothing to pull from", func(f *render.Fleet) { f.Platform.Source = nil }, []string{
			"fleets[prod].tenants[acme].delivery: Forbidden: the fleet's platform has no Source to pull from: set it to a GitRepository or an OCIRepository",
		}},
		{"a pointer", func(f *render.Fleet) { f.Tenants[0].Delivery = &render.Flux{} }, []string{
			"fleets[prod].tenants[acme].delivery: Forbidden: give the Flux itself, not a pointer to it",
		}},
		{"a source that is a pointer", func(f *render.Fleet) { f.Platform.Source = &render.GitRepository{} }, []string{
			"fleets[prod].platform.source: Forbidden: give the GitRepository itself, not a pointer to it",
		}},
		{"a name that is too long for Flux", func(f *render.Fleet) { f.Tenants[0].Name = strings.Repeat("a", 53) }, []string{
			"fleets[prod].tenants[" + strings.Repeat("a", 53) + "].name: Too long: may not be more than 52 bytes",
		}},
		{"secrets that only Pulumi fills, all at once", func(f *render.Fleet) {
			t := &f.Tenants[0]
			t.Secrets, t.Cache, t.Store = render.FromEnvironment{}, render.Valkey{Memory: "256Mi"}, render.GarageBucket{}
			t.Settings = struct {
				Token string `env:"TOKEN" fact:"store.secret-key"`
			}{}
			t.Edge = render.Gateway{Host: "acme.example.com", Certificate: render.Provided{}}
			t.Database = render.Postgres{Image: "postgres:18", Storage: "1Gi", Backup: render.Backup{To: render.GarageBucket{}}}
		}, []string{
			"fleets[prod].tenants[acme].database.backup.to: Forbidden: the Secret backup is filled by Pulumi",
			"fleets[prod].tenants[acme].cache: Forbidden: the Secret cache is filled by Pulumi",
			"fleets[prod].tenants[acme].database: Forbidden: the Secret database is filled by Pulumi",
			"fleets[prod].tenants[acme].edge: Forbidden: the Secret edge-tls is filled by Pulumi",
			"fleets[prod].tenants[acme].store: Forbidden: the Secret store is filled by Pulumi",
		}},
		{"a platform with secrets of its own", func(f *render.Fleet) { f.Platform.Delivery = render.Flux{} }, []string{
			"fleets[prod].platform[Secret/garage]: Forbidden: the Secret garage is filled by Pulumi",
		}},
		{"no URL", func(f *render.Fleet) { f.Platform.Source = render.GitRepository{} }, []string{
			"fleets[prod].platform.source.url: Invalid value: must be https:// or ssh://",
		}},
		{"a password in the URL", func(f *render.Fleet) {
			f.Platform.Source = render.GitRepository{URL: "https://ann:hunter2@git.example.com/x"}
		}, []string{
			"fleets[prod].platform.source.url: Invalid value: must be https:// or ssh://",
		}},
		{"a password in the URL of ssh", func(f *render.Fleet) {
			f.Platform.Source = render.GitRepository{URL: "ssh://git:hunter2@git.example.com/x"}
		}, []string{
			"fleets[prod].platform.source.url: Invalid value: must be https:// or ssh://",
		}},
		{"plain HTTP, and names that are none", func(f *render.Fleet) {
			f.Platform.Source = render.GitRepository{URL: "http://git.example.com", Branch: "../x", Secret: "A", Keys: "a b"}
		}, []string{
			"fleets[prod].platform.source.branch: Invalid value: \"../x\"", "fleets[prod].platform.source.keys: Invalid value: \"a b\"",
			"fleets[prod].platform.source.secret: Invalid value: \"A\"", "fleets[prod].platform.source.url: Invalid value: must be",
		}},
		{"a registry without its scheme", func(f *render.Fleet) {
			f.Platform.Source = render.OCIRepository{URL: "registry.example.com/x", Tag: "a b", Secret: "-", Keys: "_"}
		}, []string{
			"fleets[prod].platform.source.keys: Invalid value", "fleets[prod].platform.source.secret: Invalid value",
			"fleets[prod].platform.source.tag: Invalid value: \"a b\": must be a tag such as stable", "fleets[prod].platform.source.url: Invalid value: must be oci://",
		}},
	} {
		t.Run(row.reason, func(t *testing.T) {
			f := hangar(flown("acme"))
			row.change(&f)
			units, err := render.Units([]render.Fleet{f})
			if err == nil || units != nil {
				t.Fatalf("got %d units and %v", len(units), err)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the password is shown: %v", err)
			}
			got := strings.Split(err.Error(), "\n")
			slices.Sort(got)
			want := slices.Sorted(slices.Values(row.want))
			if !slices.EqualFunc(got, want, strings.HasPrefix) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
}

// kustomizations are those of a fleet's platform, by name.
func kustomizations(t *testing.T, f render.Fleet) map[string]kustomizev1.KustomizationSpec {
	t.Helper()
	units, err := render.Units([]render.Fleet{f})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]kustomizev1.KustomizationSpec{}
	for _, file := range units[0].Files {
		if k, ok := file.Object.(*kustomizev1.Kustomization); ok {
			found[k.Name] = k.Spec
		}
	}
	return found
}

func TestFluxWaitsForTheRingBefore(t *testing.T) {
	pushed := tenant("pushed")
	f := hangar(flown("last"), flown("canary-b"), flown("canary-a"), flown("third"), pushed)
	f.Rings = []render.Ring{
		{Name: "first", Tenants: []string{"canary-b", "canary-a"}},
		{Name: "second", Tenants: []string{"pushed"}}, // of which Flux knows nothing
		{Name: "third", Tenants: []string{"third"}},
	}
	got := map[string][]string{}
	for name, k := range kustomizations(t, f) {
		for _, d := range k.DependsOn {
			got[name] = append(got[name], d.Name)
		}
	}
	want := map[string][]string{
		"canary-a.foundation": {"canary-a.bounds"}, "canary-a": {"canary-a.foundation"},
		"canary-b.foundation": {"canary-b.bounds"}, "canary-b": {"canary-b.foundation"},
		"third.bounds": {"canary-a", "canary-b"}, "third.foundation": {"third.bounds"}, "third": {"third.foundation"},
		"last.bounds": {"third"}, "last.foundation": {"last.bounds"}, "last": {"last.foundation"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	f.Platform.Garage, f.Tenants, f.Rings = nil, f.Tenants[:1], nil
	f.Platform.Delivery, f.Platform.Collector = render.Flux{}, &render.Collector{Endpoint: "https://otlp.example.com"}
	all := kustomizations(t, f)
	if got := all["last.bounds"].DependsOn; len(got) != 1 || got[0].Name != "platform" {
		t.Errorf("a tenant waits for %v, not for the platform that Flux delivers too", got)
	}
	// Waiting for all that it applies, it would wait for itself.
	if got := all["platform"]; got.DependsOn != nil || got.ServiceAccountName != "fleet" || got.Patches != nil || got.Wait || len(got.HealthChecks) != 1 || got.HealthChecks[0].Name != "collector" {
		t.Errorf("the platform: %+v", got)
	}
}

// TestMovingATenantToFlux changes nothing of what runs: notes on objects, who deploys, and the release.
func TestMovingATenantToFlux(t *testing.T) {
	pushed := flown("acme")
	pushed.Delivery = nil
	before, err := render.Units([]render.Fleet{hangar(pushed)})
	if err != nil {
		t.Fatal(err)
	}
	after, err := render.Units([]render.Fleet{hangar(flown("acme"))})
	if err != nil {
		t.Fatal(err)
	}
	old := map[string]string{}
	for _, f := range before[1].Files {
		old[f.Name] = string(f.YAML)
	}
	var differ []string
	for _, f := range after[1].Files {
		notes := f.Object.GetAnnotations()
		stage := notes["tenantry.dev/stage"]
		if !slices.Contains([]string{"bounds", "foundation", "workload"}, stage) {
			t.Errorf("%s is of the stage %q", f.Name, stage)
		}
		delete(notes, "tenantry.dev/stage")
		delete(notes, "kustomize.toolkit.fluxcd.io/prune")
		f.Object.SetAnnotations(notes)
		if len(notes) == 0 {
			f.Object.SetAnnotations(nil)
		}
		plain, err := render.Encode(f.Object)
		if err != nil {
			t.Fatal(err)
		}
		if old[f.Name] != string(plain) {
			differ = append(differ, f.Name)
		}
		delete(old, f.Name)
	}
	for name := range old {
		differ = append(differ, "without "+name)
	}
	want := []string{"role-deployer.yaml", "rolebinding-deployer.yaml", "configmap-tenantry-release.yaml", "without serviceaccount-deployer.yaml"}
	if diff := cmp.Diff(want, differ); diff != "" {
		t.Error(diff)
	}
}

// TestWhatFluxMayDo: the tenant's account changes nothing that bounds it, and what holds data is never pruned.
func TestWhatFluxMayDo(t *testing.T) {
	units, err := render.Units([]render.Fleet{hangar(flown("acme"))})
	if err != nil {
		t.Fatal(err)
	}
	changed := map[string]bool{}
	var kept []string
	for _, f := range units[1].Files {
		switch o := f.Object.(type) {
		case *rbacv1.Role:
			for _, r := range o.Rules {
				if slices.Contains(r.Verbs, "patch") {
					for _, resource := range r.Resources {
						changed[resource] = true
					}
				}
			}
		case *rbacv1.RoleBinding:
			if want := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "acme.deployer", Namespace: "platform"}}; !slices.Equal(o.Subjects, want) {
				t.Errorf("bound is %v", o.Subjects)
			}
		}
		if f.Object.GetAnnotations()["kustomize.toolkit.fluxcd.io/prune"] == "disabled" {
			kept = append(kept, f.Name)
		}
	}
	for _, f := range units[1].Files {
		resource := strings.ToLower(f.Object.GetObjectKind().GroupVersionKind().Kind) + "s"
		switch stage := f.Object.GetAnnotations()["tenantry.dev/stage"]; {
		case strings.HasSuffix(resource, "ys"): // of the kinds here none that is changed
		case (stage == "bounds") == changed[resource]:
			t.Errorf("%s is applied in the stage %s, and the tenant's account may change %s: %t", f.Name, stage, resource, changed[resource])
		}
	}
	if diff := cmp.Diff([]string{"namespace-acme.yaml", "cluster-database.yaml", "statefulset-cache.yaml"}, kept); diff != "" {
		t.Error(diff)
	}
}
