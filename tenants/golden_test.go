package tenants

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/config"
	"github.com/tenantry/tenantry/config/portal"
	"github.com/tenantry/tenantry/gen"
	"github.com/tenantry/tenantry/render"
)

const golden = "../golden"

func units(t testing.TB, fleets ...render.Fleet) []render.Unit {
	t.Helper()
	units, err := render.Units(fleets)
	if err != nil {
		t.Fatal(err)
	}
	return units
}

func TestGolden(t *testing.T) {
	_, diff, err := gen.Check(golden, Fleets())
	if err != nil {
		t.Fatal(err)
	}
	if diff != "" {
		t.Errorf("golden/ is not what the code renders (-golden +rendered); review the diff and run: make gen\n%s", diff)
	}
}

// The example that README.md begins with is what renders here.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("acme.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	example, _, _ := strings.Cut(rest, "```")
	if !strings.HasPrefix(example, "func acme(") || !strings.Contains(string(source), example) {
		t.Errorf("the first example of README.md is no part of tenants/acme.go:\n%s", example)
	}
}

func TestSchema(t *testing.T) {
	diff, err := gen.CheckSchema("..", Fleets())
	if err != nil {
		t.Fatal(err)
	}
	if diff != "" {
		t.Errorf("schema/ and docs/configuration.md are not what the settings say (-committed +generated); run: make gen\n%s", diff)
	}
}

// known decodes the kinds whose types are compiled in; the rest are custom resources whose narrow types
// are render's own.
var known = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admissionv1.AddToScheme, appsv1.AddToScheme, autoscalingv2.AddToScheme, batchv1.AddToScheme, certv1.AddToScheme, corev1.AddToScheme,
		gatewayv1.Install, kustomizev1.AddToScheme, monitoringv1.AddToScheme, networkingv1.AddToScheme, nodev1.AddToScheme, policyv1.AddToScheme,
		rbacv1.AddToScheme, schedulingv1.AddToScheme, sourcev1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	return scheme
}()

// custom are the groups that known has no types for.
var custom = []string{"barmancloud.cnpg.io", "external-secrets.io", "externaldns.k8s.io", "gateway.envoyproxy.io", "postgresql.cnpg.io"}

func TestGoldenFilesDecodeToWhatTheyAreMadeOf(t *testing.T) {
	typed := 0
	for _, u := range units(t, Fleets()...) {
		for _, f := range u.Files {
			gvk := f.Object.GetObjectKind().GroupVersionKind()
			if slices.Contains(custom, gvk.Group) {
				continue
			}
			o, err := known.New(gvk)
			if err != nil {
				t.Errorf("%s: %v", f.Name, err)
				continue
			}
			if err := yaml.UnmarshalStrict(f.YAML, o); err != nil {
				t.Errorf("%s/%s/%s: %v", u.Fleet, u.Name, f.Name, err)
				continue
			}
			again, err := render.Encode(o.(render.Object))
			if err != nil {
				t.Errorf("%s: %v", f.Name, err)
				continue
			}
			if !bytes.Equal(again, f.YAML) {
				t.Errorf("%s/%s/%s encodes to something else after decoding:\n%s", u.Fleet, u.Name, f.Name, again)
			}
			typed++
		}
	}
	if typed < 300 {
		t.Errorf("only %d objects were decoded", typed)
	}
}

// evidence says for each variant what stands in a golden file because of it.
var evidence = map[string]string{
	"ACME":                `kind: ClusterIssuer(.|\n)*acme:`,
	"Autoscale":           `scale: Autoscale`,
	"CloudNativePG":       `database: CloudNativePG`,
	"ClusterIssuer":       `kind: ClusterIssuer\n    name: staging`,
	"CronJob":             `kind: CronJob\nmetadata:\n(.|\n)*component: cronjob`,
	"DedicatedNodes":      `placement: DedicatedNodes`,
	"ExternalDNS":         `dns: ExternalDNS`,
	"ExternalPostgres":    `database: ExternalPostgres`,
	"ExternalRedis":       `cache: ExternalRedis`,
	"ExternalSecrets":     `secrets: ExternalSecrets`,
	"Fixed":               `scale: Fixed`,
	"Flux":                `delivery: Flux`,
	"FromEnvironment":     `secrets: FromEnvironment`,
	"GarageBucket":        `store: GarageBucket`,
	"Gateway":             `edge: Gateway`,
	"Generated":           `secret.tenantry.dev/password: generated:`,
	"GeneratedByOperator": `key: uri\n\s+name: database-app`,
	"GitRepository":       `kind: GitRepository\nmetadata:`,
	"Ingress":             `edge: Ingress`,
	"Issued":              `kind: Certificate\n(.|\n)*secretName: edge-tls`,
	"ManualDNS":           `dns: ManualDNS`,
	"NoCache":             `cache: NoCache`,
	"NoEdge":              `edge: NoEdge`,
	"NoStore":             `backup: NoStore`,
	"OCIRepository":       `kind: OCIRepository\nmetadata:`,
	"Postgres":            `database: Postgres`,
	"Provided":            `secret.tenantry.dev/tls.crt: environment:`,
	"Pulumi":              `delivery: Pulumi`,
	"S3":                  `store: S3`,
	"Sandboxed":           `placement: Sandboxed`,
	"SharedNodes":         `placement: SharedNodes`,
	"Valkey":              `cache: Valkey`,
	"Worker":              `kind: Deployment\nmetadata:\n(.|\n)*component: worker`,
}

func TestEveryVariantStandsInAGoldenFile(t *testing.T) {
	var all []byte
	err := filepath.WalkDir(golden, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all = append(append(all, text...), "\x00"...) // no evidence reaches from one file into the next
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files := bytes.Split(all, []byte("\x00"))
	for name := range variants(t) {
		pattern, ok := evidence[name]
		if !ok {
			t.Errorf("the variant %s has no evidence: use it in a tenant and say here what golden file shows it", name)
			continue
		}
		shown := regexp.MustCompile(pattern)
		if !slices.ContainsFunc(files, shown.Match) {
			t.Errorf("no golden file shows the variant %s (%s)", name, pattern)
		}
	}
	for tier := render.Basic; tier <= render.Premium; tier++ {
		if !bytes.Contains(all, []byte("tier: "+tier.String()+"\n")) {
			t.Errorf("no tenant has the tier %s", tier)
		}
	}
}

// variants are those that package render lists as the implementations of its sealed interfaces.
func variants(t *testing.T) map[string]bool {
	found := map[string]bool{}
	files, err := filepath.Glob("../render/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == 1 && spec.Names[0].Name == "_" && len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.CompositeLit); ok {
					found[lit.Type.(*ast.Ident).Name] = true
				}
			}
			return true
		})
	}
	if len(found) < 20 {
		t.Fatalf("found only %v", found)
	}
	return found
}

func TestNoOrderChangesAByte(t *testing.T) {
	want := bytesOf(units(t, Fleets()...))
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		fleets := Fleets()
		random.Shuffle(len(fleets), func(i, j int) { fleets[i], fleets[j] = fleets[j], fleets[i] })
		for i := range fleets {
			list := fleets[i].Tenants
			random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		if got := bytesOf(units(t, fleets...)); !maps.Equal(got, want) {
			t.Fatal("the order of fleets or tenants changes what is rendered")
		}
	}
}

// bytesOf is every file by its path.
func bytesOf(units []render.Unit) map[string]string {
	files := map[string]string{}
	for _, u := range units {
		for _, f := range u.Files {
			files[u.Fleet+"/"+u.Name+"/"+f.Name] = string(f.YAML)
		}
	}
	return files
}

func TestChangingOneTenantChangesNoOther(t *testing.T) {
	fleet := prod()
	at := slices.IndexFunc(fleet.Tenants, func(t render.Tenant) bool { return t.Name == "umbrella" })
	want := bytesOf(units(t, fleet))
	rendered, changed := 0, 0
	for path, mutant := range mutants(reflect.ValueOf(fleet.Tenants[at])) {
		other := prod()
		other.Tenants[at] = mutant.Interface().(render.Tenant)
		list, err := render.Units([]render.Fleet{other})
		if err != nil {
			continue // the change is none that could be made
		}
		rendered++
		differs := false
		got := bytesOf(list)
		for name := range maps.Keys(with(got, want)) {
			if got[name] == want[name] {
				continue
			}
			differs = true
			if unit := strings.Split(name, "/")[1]; unit != "umbrella" && unit != other.Tenants[at].Name && unit != "platform" {
				t.Errorf("changing %s of umbrella changes %s", path, name)
			}
		}
		if differs {
			changed++
		}
	}
	if rendered < 150 || changed < rendered*3/4 {
		t.Errorf("of %d changes that can be made %d change a byte: the test looks at too little", rendered, changed)
	}
}

func with[V any](a, b map[string]V) map[string]V {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// mutants yields v with one leaf after another changed, and the leaf's path. v stays as it is.
func mutants(v reflect.Value) func(yield func(string, reflect.Value) bool) {
	return func(yield func(string, reflect.Value) bool) { mutate(v, "", yield) }
}

func mutate(v reflect.Value, path string, yield func(string, reflect.Value) bool) bool {
	changed := func(set func(reflect.Value)) bool {
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		set(c)
		return yield(path, c)
	}
	switch v.Kind() {
	case reflect.String:
		for _, s := range []string{v.String() + "x", "7Gi", "5 5 5 5 5"} {
			if !changed(func(c reflect.Value) { c.SetString(s) }) {
				return false
			}
		}
	case reflect.Int, reflect.Int32, reflect.Int64:
		step := int64(1)
		if v.Type().PkgPath() == "time" {
			step = 24 * 3600e9
		}
		return changed(func(c reflect.Value) { c.SetInt(v.Int() + step) }) && changed(func(c reflect.Value) { c.SetInt(v.Int() - step) })
	case reflect.Bool:
		return changed(func(c reflect.Value) { c.SetBool(!v.Bool()) })
	case reflect.Interface:
		if v.IsNil() || v.Elem().Kind() == reflect.Pointer {
			return true
		}
		return mutate(v.Elem(), path, func(p string, m reflect.Value) bool {
			c := reflect.New(v.Type()).Elem()
			c.Set(m)
			return yield(p, c)
		})
	case reflect.Pointer:
		if v.IsNil() {
			return true
		}
		return mutate(v.Elem(), path, func(p string, m reflect.Value) bool {
			c := reflect.New(v.Type().Elem())
			c.Elem().Set(m)
			return yield(p, c)
		})
	case reflect.Slice:
		if v.Len() > 0 && !changed(func(c reflect.Value) { c.Set(v.Slice(0, v.Len()-1)) }) {
			return false
		}
		for i := range v.Len() {
			ok := mutate(v.Index(i), fmt.Sprintf("%s[%d]", path, i), func(p string, m reflect.Value) bool {
				c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
				reflect.Copy(c, v)
				c.Index(i).Set(m)
				return yield(p, c)
			})
			if !ok {
				return false
			}
		}
	case reflect.Struct:
		for f := range v.Type().Fields() {
			if !f.IsExported() {
				continue
			}
			ok := mutate(v.FieldByIndex(f.Index), path+"."+f.Name, func(p string, m reflect.Value) bool {
				c := reflect.New(v.Type()).Elem()
				c.Set(v)
				c.FieldByIndex(f.Index).Set(m)
				return yield(p, c)
			})
			if !ok {
				return false
			}
		}
	}
	return true
}

const canary = "CANARY-3f9a1c"

// TestNoSecretReachesAFile puts a canary into every place that a value could come from: the environment,
// under every name that a golden file says a secret is taken from, and every secret field of settings that
// have been loaded.
func TestNoSecretReachesAFile(t *testing.T) {
	variables := regexp.MustCompile(`environment:([A-Z0-9_]+)`)
	planted := 0
	for _, u := range units(t, Fleets()...) {
		for _, f := range u.Files {
			for _, m := range variables.FindAllSubmatch(f.YAML, -1) {
				t.Setenv(string(m[1]), canary)
				planted++
			}
		}
	}
	schema, err := config.Settings(portal.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	environment := map[string]string{}
	for _, s := range schema {
		if s.Secret && s.Name != "ENCRYPTION_KEYS" {
			environment[s.Name] = canary
			t.Setenv(s.Name, canary)
			planted++
		}
	}
	if planted < 50 {
		t.Fatalf("only %d canaries planted", planted)
	}
	maps.Copy(environment, map[string]string{"DEPLOYMENT_MODE": "cloud", "DOPPLER_PROJECT": "p", "DOPPLER_CONFIG": "c", "SMTP_HOST": "mail.example"})
	for _, provider := range []string{"resend", "postmark", "smtp"} {
		environment["EMAIL_PROVIDER"] = provider
		var loaded portal.Settings
		if err := config.Load(&loaded, environment); err != nil {
			t.Fatal(err)
		}
		if loaded.AI.OpenAI.Reveal() != canary {
			t.Fatal("no canary was loaded")
		}
		fleets := Fleets()
		for i := range fleets {
			for j := range fleets[i].Tenants {
				fleets[i].Tenants[j].Settings = loaded
			}
		}
		rendered := 0
		for path, text := range bytesOf(units(t, fleets...)) {
			rendered++
			if strings.Contains(text, canary) {
				t.Errorf("%s holds a secret", path)
			}
		}
		if rendered < 300 {
			t.Errorf("only %d files were looked at", rendered)
		}
		fleets[0].Tenants[0].API.Image = "" // the mistake is reported with the settings at hand
		if _, err := render.Units(fleets); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("error %v", err)
		}
	}
}

// TestTenantsFitTheirTier adds up what all pods of a tenant request at most, with the pod that a rollout
// adds to each workload.
func TestTenantsFitTheirTier(t *testing.T) {
	for _, u := range units(t, Fleets()...) {
		var quota corev1.ResourceList
		used := corev1.ResourceList{}
		most := map[string]int64{}
		for _, f := range u.Files {
			switch o := f.Object.(type) {
			case *corev1.ResourceQuota:
				quota = o.Spec.Hard
			case *autoscalingv2.HorizontalPodAutoscaler:
				most[o.Name] = int64(o.Spec.MaxReplicas)
			}
		}
		if quota == nil {
			continue // the platform
		}
		add := func(pod corev1.PodSpec, times int64) {
			for _, c := range pod.Containers {
				for name, q := range c.Resources.Requests {
					q.Mul(times)
					sum := used[name]
					sum.Add(q)
					used[name] = sum
				}
			}
		}
		pods := 0
		for _, f := range u.Files {
			switch o := f.Object.(type) {
			case *appsv1.Deployment:
				replicas := most[o.Name]
				if o.Spec.Replicas != nil {
					replicas = int64(*o.Spec.Replicas)
				}
				add(o.Spec.Template.Spec, replicas+1)
				pods++
			case *appsv1.StatefulSet:
				add(o.Spec.Template.Spec, int64(*o.Spec.Replicas))
				pods++
			case *batchv1.Job:
				add(o.Spec.Template.Spec, 1)
				pods++
			case *batchv1.CronJob:
				add(o.Spec.JobTemplate.Spec.Template.Spec, 1)
				pods++
			}
			if f.Object.GetObjectKind().GroupVersionKind().Kind == "Cluster" {
				var cluster struct {
					Spec struct {
						Instances int64
						Resources corev1.ResourceRequirements
					}
				}
				if err := yaml.Unmarshal(f.YAML, &cluster); err != nil {
					t.Fatal(err)
				}
				add(corev1.PodSpec{Containers: []corev1.Container{{Resources: cluster.Spec.Resources}}}, cluster.Spec.Instances+1)
				pods++
			}
		}
		if pods < 2 {
			t.Errorf("%s/%s: only %d workloads were added up", u.Fleet, u.Name, pods)
		}
		for name, q := range used {
			if hard := quota[corev1.ResourceName("requests."+string(name))]; q.Cmp(hard) > 0 {
				t.Errorf("%s/%s requests %s of %s, more than its tier's %s", u.Fleet, u.Name, q.String(), name, hard.String())
			}
		}
	}
}

// TestABareClusterIsEnoughForOne keeps a tenant that needs no operator: every one of its objects is of a
// kind that any cluster has.
func TestABareClusterIsEnoughForOne(t *testing.T) {
	seen := 0
	for _, u := range units(t, Fleets()...) {
		if u.Name != "initech" {
			continue
		}
		for _, f := range u.Files {
			seen++
			if group := f.Object.GetObjectKind().GroupVersionKind().Group; strings.Contains(group, ".") && !strings.HasSuffix(group, ".k8s.io") {
				t.Errorf("%s/%s needs the operator of %s", u.Fleet, f.Name, group)
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d objects were looked at", seen)
	}
}

func TestEveryObjectIsLabelled(t *testing.T) {
	for _, u := range units(t, Fleets()...) {
		for _, f := range u.Files {
			labels := f.Object.GetLabels()
			want := map[string]string{
				"app.kubernetes.io/instance": u.Name, "app.kubernetes.io/managed-by": "tenantry", "app.kubernetes.io/part-of": u.Fleet,
				"app.kubernetes.io/name": labels["app.kubernetes.io/name"], "app.kubernetes.io/component": labels["app.kubernetes.io/component"],
			}
			if u.Name != "platform" {
				want[render.TenantLabel] = u.Name
			}
			for key, value := range want {
				if labels[key] != value || value == "" {
					t.Errorf("%s/%s/%s: label %s is %q, want %q", u.Fleet, u.Name, f.Name, key, labels[key], value)
				}
			}
		}
	}
}

func TestTheReleaseIsLastAndCountsAllOthers(t *testing.T) {
	before := units(t, Fleets()...)
	fleets := Fleets()
	for i := range fleets {
		for j := range fleets[i].Tenants {
			fleets[i].Tenants[j].Extra = append(fleets[i].Tenants[j].Extra, &corev1.ConfigMap{
				TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "more"},
			})
		}
	}
	for i, u := range units(t, fleets...) {
		old, last := before[i].Files[len(before[i].Files)-1], u.Files[len(u.Files)-1]
		if last.Name != "configmap-tenantry-release.yaml" {
			t.Errorf("%s/%s ends with %s", u.Fleet, u.Name, last.Name)
		}
		if same := bytes.Equal(old.YAML, last.YAML); same != (u.Name == "platform") {
			t.Errorf("%s/%s: with one more object in each tenant the release is the same: %t", u.Fleet, u.Name, same)
		}
	}
}
