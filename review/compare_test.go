package review_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/review"
	"github.com/tenantry/tenantry/tenants"
	"github.com/tenantry/tenantry/verify"
)

// compared is the report of what changes between two sets of files.
func compared(tb testing.TB, before, after map[string][]byte, fleets ...render.Fleet) review.Report {
	tb.Helper()
	report, err := review.Compare(between(before, after), fleets, today)
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// edited are files of which one is another, or gone.
func edited(files map[string][]byte, name string, edit func(string) string) map[string][]byte {
	out := maps.Clone(files)
	if files[name] == nil {
		panic("there is no " + name)
	}
	if text := edit(string(files[name])); text != "" {
		out[name] = []byte(text)
	} else {
		delete(out, name)
	}
	return out
}

func replace(old, with string) func(string) string {
	return func(text string) string {
		if !strings.Contains(text, old) {
			panic("there is no " + old)
		}
		return strings.ReplaceAll(text, old, with)
	}
}

// summary tells the changes of a report, without verdicts.
func summary(r review.Report) []string {
	var out []string
	for _, c := range r.Changes {
		line := fmt.Sprintf("%s/%s: %s %s", c.Fleet, strings.Join(c.Units, ","), c.Object, c.Action)
		if c.From != "" {
			line += " from " + c.From
		}
		if c.Outlier {
			line += ", an outlier"
		}
		for _, f := range c.Fields {
			line += fmt.Sprintf("; %s: %s → %s", f.Path, f.Before, f.After)
			if f.Differs {
				line += " and others"
			}
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func TestCompareNothing(t *testing.T) {
	files := filesOf(t, tenants.Fleets()...)
	report := compared(t, files, files, tenants.Fleets()...)
	if len(report.Changes)+len(report.Fleets)+len(report.Missing) > 0 || report.Verdict != review.NothingRestarts {
		t.Errorf("%+v", report)
	}
	// The same bytes, read all the same.
	var states review.States
	for name, text := range files {
		states.Changed = append(states.Changed, review.File{Path: name, Before: text, After: text})
	}
	if report, err := review.Compare(states, nil, today); err != nil || len(report.Changes) > 0 {
		t.Errorf("%+v, %v", report.Changes, err)
	}
}

func TestCompareObjects(t *testing.T) {
	files := filesOf(t, example("prod"))
	const (
		deployment = "prod/acme/deployment-api.yaml"
		service    = "prod/acme/service-api.yaml"
		policy     = "prod/acme/networkpolicy-cache.yaml"
		pdb        = "prod/acme/poddisruptionbudget-api.yaml"
	)
	as := func(name string, text string) func(map[string][]byte) map[string][]byte {
		return func(files map[string][]byte) map[string][]byte {
			files = maps.Clone(files)
			files[name] = []byte(text)
			return files
		}
	}
	for _, row := range []struct {
		why  string
		edit func(map[string][]byte) map[string][]byte
		want []string
	}{
		{"a field", func(f map[string][]byte) map[string][]byte {
			return edited(f, deployment, replace("revisionHistoryLimit: 3", "revisionHistoryLimit: 4"))
		}, []string{"prod/acme: Deployment/api changed; spec.revisionHistoryLimit: 3 → 4"}},
		{"an object that goes", func(f map[string][]byte) map[string][]byte {
			return edited(f, pdb, func(string) string { return "" })
		}, []string{"prod/acme: PodDisruptionBudget/api removed; spec.maxUnavailable: 1 → ; spec.selector: {matchLabels: {app.kubernetes.io/instance: acme, app.kubernetes.io/name: api}} → ; spec.unhealthyPodEvictionPolicy: AlwaysAllow → "}},
		{
			"an object that is new", as("prod/acme/configmap-new.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: new\n  namespace: acme\ndata:\n  a: b\n"),
			[]string{"prod/acme: ConfigMap/new added; data.a:  → b"},
		},
		{"an object under a new name", func(f map[string][]byte) map[string][]byte {
			out := edited(f, service, func(string) string { return "" })
			out["prod/acme/service-web.yaml"] = []byte(strings.Replace(string(f[service]), "  name: api\n", "  name: web\n", 1))
			return out
		}, []string{"prod/acme: Service/web renamed from Service/api"}},
		{"an object in a file of another name", func(f map[string][]byte) map[string][]byte {
			out := edited(f, service, func(string) string { return "" })
			out["prod/acme/other.yaml"] = f[service]
			return out
		}, nil},
		{"another version of the API", func(f map[string][]byte) map[string][]byte {
			return edited(f, policy, replace("networking.k8s.io/v1", "networking.k8s.io/v1beta1"))
		}, []string{"prod/acme: NetworkPolicy/cache changed; apiVersion: networking.k8s.io/v1 → networking.k8s.io/v1beta1"}},
		{"what has nothing in common", func(f map[string][]byte) map[string][]byte {
			out := edited(f, pdb, func(string) string { return "" })
			out["prod/acme/poddisruptionbudget-other.yaml"] = []byte("apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: other, namespace: acme}\nspec: {minAvailable: 2}\n")
			return out
		}, []string{
			"prod/acme: PodDisruptionBudget/api removed; spec.maxUnavailable: 1 → ; spec.selector: {matchLabels: {app.kubernetes.io/instance: acme, app.kubernetes.io/name: api}} → ; spec.unhealthyPodEvictionPolicy: AlwaysAllow → ",
			"prod/acme: PodDisruptionBudget/other added; spec.minAvailable:  → 2",
		}},
	} {
		t.Run(row.why, func(t *testing.T) {
			after := row.edit(files)
			if diff := cmp.Diff(row.want, summary(compared(t, files, after))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// named is a fleet with tenants of these names, which all are alike.
func named(names ...string) render.Fleet {
	f := many(len(names))
	for i, name := range names {
		t := &f.Tenants[i]
		t.Name = name
		t.Edge = render.Gateway{Host: name + ".example.com"}
		database := t.Database.(render.CloudNativePG)
		store := database.Backup.To.(render.S3)
		store.Bucket = name + "-backup"
		database.Backup.To = store
		t.Database = database
	}
	return f
}

func TestCompareUnits(t *testing.T) {
	three := filesOf(t, named("one", "two", "three"))
	more := compared(t, three, filesOf(t, named("one", "two", "three", "four", "five")))
	if diff := cmp.Diff([]review.Fleet{{Name: "prod", Added: []string{"five", "four"}, Changed: []string{"platform"}, Of: 6}}, fleetsOf(more)); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	for _, c := range more.Changes {
		if c.Units[0] != "platform" && (len(c.Units) != 2 || c.Action != review.Added || c.Fields != nil) {
			t.Errorf("%s %s of %v: %d fields", c.Object, c.Action, c.Units, len(c.Fields))
		}
	}

	less := compared(t, three, filesOf(t, named("one", "two")))
	if diff := cmp.Diff([]review.Fleet{{Name: "prod", Verdict: review.DataAtRisk, Removed: []string{"three"}, Changed: []string{"platform"}, Of: 3}}, fleetsOf(less)); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if len(less.Missing) > 0 {
		t.Errorf("a tenant that is taken out keeps its data until it is destroyed, and %v are asked for", less.Missing)
	}

	other := compared(t, three, filesOf(t, named("one", "two", "trois")))
	if diff := cmp.Diff([]review.Fleet{{Name: "prod", Verdict: review.DataAtRisk, Renamed: []review.Rename{{From: "three", To: "trois"}}, Changed: []string{"platform"}, Of: 4}}, fleetsOf(other)); diff != "" {
		t.Errorf("renamed (-want +got):\n%s", diff)
	}
	var told []string
	for _, line := range summary(other) {
		if strings.HasPrefix(line, "prod/trois: ") {
			told = append(told, line)
		}
	}
	if !slices.Contains(told, "prod/trois: Namespace/trois renamed from Namespace/three") || len(told) > 10 {
		t.Errorf("a tenant under a new name: %q", told)
	}
	if len(other.Missing) > 0 {
		t.Errorf("a new name opens nothing, and %v are asked for", other.Missing)
	}

	// What a new name hides: two objects that open something, and one that only changes.
	files := filesOf(t, named("one", "two", "trois"))
	files = edited(files, "prod/trois/namespace-trois.yaml", replace("enforce: restricted", "enforce: privileged"))
	files = edited(files, "prod/trois/deployment-api.yaml", replace("      enableServiceLinks: false\n", "      enableServiceLinks: false\n      hostPID: true\n"))
	files = edited(files, "prod/trois/poddisruptionbudget-api.yaml", replace("maxUnavailable: 1", "maxUnavailable: 2"))
	files = edited(files, "prod/trois/resourcequota-tier.yaml", func(string) string { return "" })
	hidden := compared(t, three, files)
	told = nil
	for _, m := range hidden.Missing {
		told = append(told, m.Object+" "+m.Loss)
	}
	if diff := cmp.Diff([]string{"Namespace/trois Isolation", "trois/Deployment/api Isolation", "trois/ResourceQuota/tier Isolation"}, told); diff != "" {
		t.Errorf("acknowledgements of a tenant under a new name (-want +got):\n%s", diff)
	}
}

func TestTwoFilesOfOneObject(t *testing.T) {
	object := func(name string) []byte {
		return []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: one}\n")
	}
	files := map[string][]byte{"prod/one/configmap-a.yaml": object("a")}
	for _, row := range []struct {
		after map[string][]byte
		want  string
		why   string
	}{
		{map[string][]byte{"prod/one/configmap-a.yaml": object("a"), "prod/one/configmap-b.yaml": object("a")}, "prod/one/configmap-b.yaml:1: ConfigMap/a stands in configmap-a.yaml", "beside one that stays"},
		{map[string][]byte{"prod/one/configmap-b.yaml": object("z"), "prod/one/configmap-c.yaml": object("z")}, "prod/one/configmap-c.yaml:1: ConfigMap/z stands in configmap-b.yaml", "two new ones"},
	} {
		if _, err := review.Compare(between(files, row.after), nil, today); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.why, err)
		}
	}
	moved := map[string][]byte{"prod/one/configmap-b.yaml": files["prod/one/configmap-a.yaml"]}
	if _, err := review.Compare(between(files, moved), nil, today); err != nil {
		t.Errorf("a file that is moved: %v", err)
	}
}

// fleetsOf is what a report says of fleets, without who reaches whom.
func fleetsOf(r review.Report) []review.Fleet {
	fleets := slices.Clone(r.Fleets)
	for i := range fleets {
		fleets[i].Before, fleets[i].After = nil, nil
	}
	return fleets
}

func TestCollapse(t *testing.T) {
	// Names that are words of every tenant's, that begin like another, and that are one letter.
	names := []string{"acme", "acme-corp", "api", "cache", "database", "prod-like", "a", "x1", "default-deny", "tenant"}
	before := named(names...)
	after := named(names...)
	for i := range after.Tenants {
		after.Tenants[i].API.Image = "registry.example.com/portal:v2"
		if after.Tenants[i].Name == "x1" {
			after.Tenants[i].API.Image = "registry.example.com/portal:v3"
		}
	}
	was, is := filesOf(t, before), filesOf(t, after)
	report := compared(t, was, is)
	for _, c := range report.Changes {
		if !strings.HasPrefix(c.Object, "Deployment/") {
			continue
		}
		switch {
		case c.Outlier && cmp.Equal(c.Units, []string{"x1"}):
		case !c.Outlier && len(c.Units) == len(names)-1 && c.Object == "Deployment/api":
		default:
			t.Errorf("%s of %v, outlier: %t", c.Object, c.Units, c.Outlier)
		}
	}
	if n := len(report.Changes); n > 8 {
		t.Errorf("%d changes: %q", n, summary(report))
	}
	expands(t, was, is)
}

// expands compares a report with those of each unit alone.
func expands(t *testing.T, before, after map[string][]byte) {
	t.Helper()
	of := func(files map[string][]byte, unit string) map[string][]byte {
		out := map[string][]byte{}
		for name, text := range files {
			if path.Dir(name) == unit {
				out[name] = text
			}
		}
		return out
	}
	var want, got []string
	units := map[string]bool{}
	for name := range before {
		units[path.Dir(name)] = true
	}
	for name := range after {
		units[path.Dir(name)] = true
	}
	for unit := range units {
		for _, c := range compared(t, of(before, unit), of(after, unit)).Changes {
			want = append(want, literally(t, c, path.Base(unit)))
		}
	}
	for _, c := range compared(t, before, after).Changes {
		for _, unit := range c.Units {
			got = append(got, literally(t, c, unit))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-each unit alone +the report, expanded):\n%s", diff)
	}
}

// literally is a change of many units as that of one of them, but for what says that it differs.
func literally(t *testing.T, c review.Change, unit string) string {
	t.Helper()
	many := len(c.Units) > 1
	c.Units, c.Outlier = []string{unit}, false
	c.Fields = slices.Clone(c.Fields)
	for i := range c.Fields {
		if f := &c.Fields[i]; f.Differs || strings.HasSuffix(f.Path, "[tenantry.dev/checksum]") || f.Path == "data.digest" {
			f.Before, f.After, f.Differs = "", "", false
		}
	}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	if many {
		text = bytes.ReplaceAll(text, []byte("{tenant}"), []byte(unit))
	}
	for _, job := range []string{"migrate-", "bucket-"} { // named by their content
		for {
			i := bytes.Index(text, []byte(job))
			if i < 0 {
				break
			}
			end := i + len(job)
			for end < len(text) && bytes.IndexByte([]byte("0123456789abcdef{}hs"), text[end]) >= 0 {
				end++
			}
			text = append(append(slices.Clone(text[:i]), "job"...), text[end:]...)
		}
	}
	return string(text)
}

// TestExpand collapses all kinds of changes in fleets whose tenants have little in common.
func TestExpand(t *testing.T) {
	fleets := tenants.Fleets()
	was := filesOf(t, fleets...)
	staging := map[string][]byte{} // as if prod became what staging is
	for name, text := range filesOf(t, example("staging")) {
		staging["prod"+strings.TrimPrefix(name, "staging")] = bytes.ReplaceAll(text, []byte("part-of: staging"), []byte("part-of: prod"))
	}
	prod := map[string][]byte{}
	for name, text := range was {
		if strings.HasPrefix(name, "prod/") {
			prod[name] = text
		}
	}
	expands(t, prod, staging)

	marked := map[string][]byte{}
	for name, text := range prod {
		marked[name] = bytes.ReplaceAll(text, []byte("managed-by: tenantry"), []byte(`managed-by: "{tenant}"`))
	}
	expands(t, prod, marked)
	expands(t, marked, prod)
}

func TestCompareMistakes(t *testing.T) {
	const good = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: acme\n"
	for _, row := range []struct{ why, name, text, want string }{
		{"no YAML", "prod/acme/a.yaml", "a: [", "prod/acme/a.yaml:1: is no YAML: "},
		{"no YAML, further down", "prod/acme/a.yaml", good + "data: {\n", "prod/acme/a.yaml:6: is no YAML: "},
		{"nothing", "prod/acme/a.yaml", "", "prod/acme/a.yaml:1: holds no object"},
		{"a list", "prod/acme/a.yaml", "- a\n", "prod/acme/a.yaml:1: holds no object"},
		{"no kind", "prod/acme/a.yaml", "apiVersion: v1\nmetadata: {name: a}\n", "prod/acme/a.yaml:1: holds no object: apiVersion and kind are not both set"},
		{"no name", "prod/acme/a.yaml", "apiVersion: v1\nkind: ConfigMap\n", "prod/acme/a.yaml:1: holds no object that an API server would take"},
		{"a name with a control sequence", "prod/acme/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"\\e[2J\"}\n", "prod/acme/a.yaml:1: holds no object that an API server would take"},
		{"two objects", "prod/acme/a.yaml", good + "---\n" + good, "prod/acme/a.yaml:6: several documents in one file"},
		{"a key twice", "prod/acme/a.yaml", good + "data:\n  a: b\n  a: c\n", "prod/acme/a.yaml:8: is no YAML: "},
		{"a file outside of a unit", "prod/a.yaml", good, "prod/a.yaml:1: a file belongs at <fleet>/<unit>/<object>.yaml"},
		{"another file", "prod/acme/a.txt", good, "prod/acme/a.txt:1: a file belongs at <fleet>/<unit>/<object>.yaml"},
		{"a file name with a line break", "prod/acme/a\nb.yaml", good, `"a\nb.yaml" is no name`},
		{"too large", "prod/acme/a.yaml", good + "data:\n  a: " + strings.Repeat("x", 5<<20) + "\n", "prod/acme/a.yaml:1: is larger than any object"},
		{"deep", "prod/acme/a.yaml", good + "data: " + strings.Repeat("[", 20_000), "prod/acme/a.yaml:"},
	} {
		for side, file := range []review.File{{Path: row.name, Before: []byte(row.text)}, {Path: row.name, After: []byte(row.text)}} {
			other := review.File{Path: "prod/acme/other.yaml", After: []byte("{")}
			_, err := review.Compare(review.States{Changed: []review.File{file, other}}, nil, today)
			if err == nil || !strings.Contains(err.Error(), row.want) || row.name == "prod/acme/a.yaml" && !strings.Contains(err.Error(), "prod/acme/other.yaml:1: ") {
				t.Errorf("%s, %d: %.300v", row.why, side, err)
			}
			if _, ok := errors.AsType[*verify.Mistake](err); !ok {
				t.Errorf("%s, %d: %T", row.why, side, err)
			}
		}
	}
}

func TestAcknowledgements(t *testing.T) {
	files := filesOf(t, example("prod"))
	gone := edited(files, "prod/initech/statefulset-database.yaml", func(string) string { return "" })
	line := func(until string) render.Acknowledgement {
		return render.Acknowledgement{Object: "initech/StatefulSet/database", Loss: render.Deleted, Why: "it is empty", Until: render.Date(until)}
	}
	other := line("2026-12-31")
	other.Object = "initech/StatefulSet/cache"
	replaced := line("2026-12-31")
	replaced.Loss = render.Replaced
	for _, row := range []struct {
		why      string
		given    []render.Acknowledgement
		missing  bool
		leftover int
	}{
		{"none", nil, true, 0},
		{"the one", []render.Acknowledgement{line("2026-11-27")}, false, 0},
		{"one that is over", []render.Acknowledgement{line("2026-11-26")}, true, 0},
		{"of another object", []render.Acknowledgement{other}, true, 1},
		{"of another loss", []render.Acknowledgement{replaced}, true, 1},
		{"one more than needed", []render.Acknowledgement{other, line("2026-12-31")}, false, 1},
	} {
		fleet := example("prod")
		fleet.Acknowledged = row.given
		report := compared(t, files, gone, fleet)
		if report.Verdict != review.DataAtRisk || len(report.Leftover) != row.leftover || len(report.Acknowledged) == 1 == row.missing {
			t.Errorf("%s: %v, leftover %v, acknowledged %v", row.why, report.Verdict, report.Leftover, report.Acknowledged)
		}
		var want []review.Missing
		if row.missing {
			want = []review.Missing{{
				Fleet: "prod", Object: "initech/StatefulSet/database", Loss: "Deleted", Why: report.Changes[0].Reason,
				Line: `{Object: "initech/StatefulSet/database", Loss: render.Deleted, Why: "…", Until: "2026-12-04"},`,
			}}
		}
		if diff := cmp.Diff(want, report.Missing); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.why, diff)
		}
	}
}

// TestComparePicksByVersion has a policy that picks pods by what changes with every image.
func TestComparePicksByVersion(t *testing.T) {
	const (
		policy     = "prod/acme/networkpolicy-default-deny.yaml"
		deployment = "prod/acme/deployment-api.yaml"
		version    = "app.kubernetes.io/version: sha-1a2b3c4"
	)
	files := filesOf(t, example("prod"))
	if report := compared(t, files, edited(files, deployment, replace("sha-1a2b3c4", "sha-2")), example("prod")); report.Verdict != review.RollingRestart {
		t.Errorf("as it is rendered: %v: %q", report.Verdict, summary(report))
	}
	files = edited(files, policy, replace("podSelector: {}", "podSelector:\n    matchLabels:\n      "+version))
	for _, other := range []string{"networkpolicy-api.yaml", "networkpolicy-application.yaml", "networkpolicy-dns.yaml"} {
		delete(files, "prod/acme/"+other)
	}
	if report := compared(t, files, edited(files, deployment, replace(version, "app.kubernetes.io/version: sha-2")), example("prod")); report.Verdict != review.IsolationChanged {
		t.Errorf("picked by its version: %v: %q", report.Verdict, summary(report))
	}
}
