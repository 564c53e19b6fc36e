package review

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestKnownKinds holds the two tables against each other, and against what the fleets render: of a kind that is in
// neither, every change is taken for the worst.
func TestKnownKinds(t *testing.T) {
	for kind := range effects {
		if consequences[kind][""] == nil {
			t.Errorf("%s: what its fields do is not said", kind)
		}
	}
	for kind := range consequences {
		if effects[kind] == nil {
			t.Errorf("%s: how its fields are changed is not said", kind)
		}
	}
	paths, err := filepath.Glob(filepath.Join("..", "golden", "*", "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("there are no golden files")
	}
	told := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		o, err := parse(path, text)
		if err != nil {
			t.Fatal(err)
		}
		if kind := o.GroupKind().String(); effects[kind] == nil && !told[kind] {
			told[kind] = true
			t.Errorf("%s is rendered and not known: say in effect.go and consequence.go what its changes do", kind)
		}
	}
}

func TestSteps(t *testing.T) {
	for _, row := range []struct {
		path string
		want []string
		why  string
	}{
		{"spec.replicas", []string{"spec", "replicas"}, "fields"},
		{"spec.template.spec.containers[name=api].ports[containerPort=80,protocol=TCP].name", []string{"spec", "template", "spec", "containers", "*", "ports", "*", "name"}, "items by their keys"},
		{"spec.egress[0].to[12]", []string{"spec", "egress", "*", "to", "*"}, "items by their place"},
		{"metadata.labels[pod-security.kubernetes.io/enforce]", []string{"metadata", "labels", "pod-security.kubernetes.io/enforce"}, "a key of a map"},
		{`data["a b]c"]`, []string{"data", "a b]c"}, "a key that is quoted"},
		{"data[config.yaml][line 8]", []string{"data", "config.yaml"}, "a line of a text"},
	} {
		if diff := cmp.Diff(row.want, steps(row.path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.why, diff)
		}
	}
}

func TestForesee(t *testing.T) {
	const claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: a, namespace: a}\nspec:\n  accessModes: [ReadWriteOnce]\n  resources: {requests: {storage: 5Gi}}\n"
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: a}\nimmutable: true\ndata: {a: eA==}\n"
	const set = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a, namespace: a}\nspec: {serviceName: a}\n"
	const pooler = "apiVersion: postgresql.cnpg.io/v1\nkind: Pooler\nmetadata: {name: a, namespace: a}\nspec:\n  cluster: {name: a}\n  pgbouncer: {poolMode: session}\n  deploymentStrategy: {type: Recreate}\n"
	const monitor = "apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\nmetadata: {name: a, namespace: a}\nspec:\n  selector: {matchLabels: {a: b}}\n"
	for _, row := range []struct {
		before, after string
		want          Effect
		why           string
	}{
		{claim, claim, InPlace, "nothing"},
		{claim, claim[:len(claim)-len("5Gi}}\n")] + "6Gi}}\n", InPlace, "a claim grows"},
		{claim, claim[:len(claim)-len("5Gi}}\n")] + "4Gi}}\n", Refused, "a claim shrinks"},
		{secret, secret[:len(secret)-len("eA==}\n")] + "eQ==}\n", Replaces, "the data of an immutable Secret"},
		{secret, "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: a}\ndata: {a: eA==}\n", Refused, "a Secret that is immutable no longer"},
		{set, "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a, namespace: a}\nspec: {serviceName: a, podManagementPolicy: OrderedReady}\n", Replaces, "a default that is written down: the provider compares texts"},
		{set, "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a, namespace: a}\nspec: {serviceName: a, brandNew: true}\n", Replaces, "a field that no schema describes"},
		{set, "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a, namespace: a}\nspec: {serviceName: a, template: {spec: {enableServiceLinks: true}}}\n", Restarts, "a default of pods, which is none of templates"},
		{pooler, strings.Replace(pooler, "{type: Recreate}", "{type: RollingUpdate}", 1), InPlace, "a custom resource says something else"},
		{pooler, strings.Replace(pooler, "  deploymentStrategy: {type: Recreate}\n", "", 1), InPlace, "a custom resource no longer says it"},
		{pooler, strings.Replace(pooler, "{type: Recreate}", "{}", 1), Refused, "a custom resource says nothing, with {}"},
		{pooler, strings.Replace(pooler, "cluster: {name: a}", "cluster: {}", 1), Refused, "a part of what a rule compares"},
		{pooler, strings.Replace(pooler, "  cluster: {name: a}\n", "", 1), InPlace, "all of what a rule compares: there is nothing to compare with"},
		{monitor, strings.Replace(monitor, "{a: b}", "{}", 1), InPlace, "a selector, which is one value"},
		{"apiVersion: example.com/v1\nkind: Any\nmetadata: {name: a}\nspec: {a: 1}\n", "apiVersion: example.com/v1\nkind: Any\nmetadata: {name: a}\nspec: {a: 2}\n", Replaces, "a kind that nobody knows"},
	} {
		got, err := Foresee([]byte(row.before), []byte(row.after))
		if err != nil || got != row.want {
			t.Errorf("%s: %s, %v; want %s", row.why, got, err, row.want)
		}
	}
}

func TestRarer(t *testing.T) {
	for _, row := range []struct {
		now, before string
		rarer       bool
		why         string
	}{
		{"0 3 * * *", "0 2 * * *", false, "an hour later"},
		{"0 3 * * 0", "0 3 * * *", true, "once a week instead of once a day"},
		{"0 */6 * * *", "0 */3 * * *", true, "every six hours instead of every three"},
		{"0 1,13 * * *", "0 1 * * *", false, "twice a day instead of once"},
		{"0 0 2 * * *", "0 0 2 1 * *", false, "with seconds"},
		{"@daily", "0 3 * * *", false, "another word for once a day"},
		{"@never", "0 3 * * *", true, "what is not understood may be rarer"},
		{"0 * * 30 2 *", "0 0 2 * * *", true, "a day that no year has"},
		{"* * 1 1 *", "0 2 * * *", true, "1,440 times a year, all on one day"},
		{"0 1,2,3 * * *", "0 */8 * * *", true, "as often, and a longer pause"},
		{"0 0,0 * * *", "0 0,12 * * *", true, "an hour that is said twice"},
		{"0 0/12 * * *", "0 0 * * *", false, "from an hour on, every twelve"},
		{"0 3 29 2 *", "0 3 1 1 *", true, "leap years alone"},
		{"* * * * *", "* * * * *", false, "every minute"},
	} {
		if got := rarer(row.now, row.before); got != row.rarer {
			t.Errorf("%s: %t", row.why, got)
		}
	}
}

func TestParts(t *testing.T) {
	for _, row := range []struct {
		field Field
		want  []string
		why   string
	}{
		{Field{Path: "spec.a", Before: "{b: c}", After: "{b: d}"}, nil, "a value that changes"},
		{Field{Path: "spec.a", After: "b"}, nil, "a value"},
		{Field{Path: "spec.a", After: `"{b: c}"`}, nil, "a text that looks like a block"},
		{Field{Path: "spec.a", After: "[b, c]"}, nil, "a list of values, which is one"},
		{
			Field{Path: "spec.a", After: "{b: {c/d: 1}, e: [{f: [g]}]}"},
			[]string{"spec.a.b: {c/d: 1}", "spec.a.b[c/d]: 1", "spec.a.e: [{f: [g]}]", "spec.a.e[0]: {f: [g]}", "spec.a.e[0].f: [g]"},
			"what is set at once",
		},
		{Field{Path: "spec.a", After: "[{b: c}]"}, []string{"spec.a[0]: {b: c}", "spec.a[0].b: c"}, "a list that is set at once"},
		{Field{Path: "spec.a[name=b]", After: "{c: d}"}, []string{"spec.a[name=b].c: d"}, "an item that is new"},
		{Field{Path: "spec.a", Before: "{b: c}"}, []string{"spec.a.b: c"}, "what is taken out at once"},
		{Field{Path: "spec.a[name=b]", Before: "{c: d}"}, nil, "an item that is gone"},
	} {
		var got []string
		for _, part := range parts(&row.field)[1:] {
			if (part.After == "") != (row.field.After == "") {
				t.Errorf("%s: %+v", row.why, part)
			}
			got = append(got, part.Path+": "+part.Before+part.After)
		}
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.why, diff)
		}
	}
}
