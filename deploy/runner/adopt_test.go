package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
)

// newState is the state of a stack that was just made.
const newState = `{"version":3,"deployment":{"manifest":{"magic":"m"},"secrets_providers":{"type":"passphrase","state":{"salt":"s"}},"metadata":{}}}`

// everything is a cluster that has whatever it is asked for.
func everything(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
	return o.(*unstructured.Unstructured), nil
}

func nothing(context.Context, render.Object) (*unstructured.Unstructured, error) { return nil, nil }

func stateOf(t *testing.T, text string) apitype.DeploymentV3 {
	t.Helper()
	var state struct{ Deployment apitype.DeploymentV3 }
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		t.Fatal(err)
	}
	return state.Deployment
}

// TestALostStateIsWhatTheProgramRegisters adopts every unit of golden/ into an empty state.
func TestALostStateIsWhatTheProgramRegisters(t *testing.T) {
	for _, unit := range units(t) {
		t.Run(unit.Fleet+"."+unit.Name, func(t *testing.T) {
			secrets, err := filled().fill(unit)
			if err != nil {
				t.Fatal(err)
			}
			mended, found, err := adopt(t.Context(), newState, unit, program(unit, render.Fleet{}, secrets[unit.Name]), everything)
			if err != nil {
				t.Fatal(err)
			}
			if found.adopted != len(unit.Files) {
				t.Errorf("adopted %d of %d", found.adopted, len(unit.Files))
			}
			resources := stateOf(t, mended).Resources
			if len(resources) != len(unit.Files)+2 || resources[0].Type != resource.RootStackType || resources[0].Custom || resources[1].Type != providerType || resources[1].ID == "" {
				t.Fatalf("has %d resources, and does not begin with the stack and its provider", len(resources))
			}
			if resources[1].Inputs["context"] != unit.Fleet || resources[1].Inputs["version"] != providerVersion.String() || !cmp.Equal(resources[1].Inputs, resources[1].Outputs) {
				t.Errorf("the provider is %v", resources[1].Inputs)
			}
			before := map[resource.URN]bool{resources[0].URN: true}
			for _, r := range resources[1:] {
				for _, urn := range append(r.Dependencies, r.Parent) {
					if !before[urn] {
						t.Errorf("%s comes before %s", r.URN, urn)
					}
				}
				if before[r.URN] {
					t.Errorf("%s is there twice", r.URN)
				}
				before[r.URN] = true
			}
			byID := map[string]apitype.ResourceV3{}
			for _, r := range resources[2:] {
				byID[fmt.Sprint(r.Inputs["apiVersion"], r.Inputs["kind"], r.ID)] = r
			}
			for _, file := range unit.Files {
				o, err := objectOf(file, nil)
				if err != nil {
					t.Fatal(err)
				}
				var tree map[string]any
				if err := yaml.Unmarshal(file.YAML, &tree); err != nil {
					t.Fatal(err)
				}
				id := file.Object.GetName()
				if ns := file.Object.GetNamespace(); ns != "" {
					id = ns + "/" + id
				}
				r := byID[fmt.Sprint(tree["apiVersion"], tree["kind"], id)]
				if want := "urn:pulumi:" + unit.Fleet + "." + unit.Name + "::tenantry::" + o.token + "::" + o.name; string(r.URN) != want {
					t.Errorf("%s: is %q, want %q", file.Name, r.URN, want)
				}
				if r.Protect != o.protect || !r.Custom || r.Provider != string(resources[1].URN)+"::"+string(resources[1].ID) {
					t.Errorf("%s: protected %t, provider %s", file.Name, r.Protect, r.Provider)
				}
				if o.phase > phaseNamespace && unit.Name != render.PlatformUnit && len(r.Dependencies) == 0 {
					t.Errorf("%s: depends on nothing", file.Name)
				}
				if o.secret != slices.Contains(r.AdditionalSecretOutputs, "stringData") {
					t.Errorf("%s: secret outputs %v", file.Name, r.AdditionalSecretOutputs)
				}
				delete(r.Inputs, "stringData")
				delete(r.Inputs["metadata"].(map[string]any), "annotations")
				delete(tree["metadata"].(map[string]any), "annotations")
				if diff := cmp.Diff(tree, r.Inputs); diff != "" {
					t.Errorf("%s: (-golden +state)\n%s", file.Name, diff)
				}
			}
			for rest := mended; ; { // each value of a secret stands in what Pulumi encrypts
				i := strings.Index(rest, canary)
				if i < 0 {
					break
				}
				if !strings.Contains(rest[max(0, i-400):i], `"4dabf18193072939515e22adb298388d":"1b47061264138c4ac30d75fd1eb44270","plaintext":"`) {
					t.Errorf("plain text: …%.60s", rest[max(0, i-40):])
				}
				rest = rest[i+len(canary):]
			}
			again, found, err := adopt(t.Context(), mended, unit, program(unit, render.Fleet{}, secrets[unit.Name]), everything)
			if err != nil || found.adopted+found.pending > 0 || !cmp.Equal(stateOf(t, again), stateOf(t, mended)) {
				t.Errorf("again: found %+v, %v", found, err)
			}
		})
	}
}

// tiny is a unit of a namespace, a ConfigMap in it and its default ServiceAccount.
func tiny(t *testing.T) render.Unit {
	t.Helper()
	labels := map[string]string{"app.kubernetes.io/managed-by": "tenantry", "app.kubernetes.io/part-of": "prod", "app.kubernetes.io/instance": "acme"}
	unit := render.Unit{Fleet: "prod", Name: "acme"}
	for name, o := range map[string]render.Object{
		"namespace": &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: "acme", Labels: labels}},
		"configmap": &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "acme", Labels: labels}},
		"account":   &corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"}, ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: "acme", Labels: labels}},
	} {
		text, err := render.Encode(o)
		if err != nil {
			t.Fatal(err)
		}
		unit.Files = append(unit.Files, render.File{Name: name, Object: o, YAML: text})
	}
	slices.SortFunc(unit.Files, func(a, b render.File) int { return -strings.Compare(a.Name, b.Name) }) // the namespace first
	return unit
}

func tinyURN(name string) resource.URN {
	kind := map[string]string{"cluster": "pulumi:providers:kubernetes", "Namespace/acme": "kubernetes:core/v1:Namespace"}[name]
	if kind == "" {
		kind = "kubernetes:core/v1:" + strings.Split(name, "/")[1]
	}
	return resource.URN("urn:pulumi:prod.acme::tenantry::" + kind + "::" + name)
}

func resourceNames(resources []apitype.ResourceV3) (names []string) {
	for _, r := range resources {
		names = append(names, r.URN.Name())
	}
	slices.Sort(names)
	return names
}

func TestAdopt(t *testing.T) {
	unit := tiny(t)
	state := func(entries, pending string) string {
		return `{"version":4,"features":["new"],"deployment":{"manifest":{},"secrets_providers":{"type":"passphrase"},"resources":[` + entries + `],"pending_operations":[` + pending + `]}}`
	}
	const provider = `{"urn":"urn:pulumi:prod.acme::tenantry::pulumi:pulumi:Stack::tenantry-prod.acme","type":"pulumi:pulumi:Stack"},
		{"urn":"urn:pulumi:prod.acme::tenantry::pulumi:providers:kubernetes::cluster","type":"pulumi:providers:kubernetes","id":"theID","inputs":{},"custom":true}`
	entry := func(name, more string) string {
		return fmt.Sprintf(`{"urn":%q,"type":"t","custom":true%s}`, tinyURN(name), more)
	}
	pending := func(op, name, labels string) string {
		return fmt.Sprintf(`{"type":%q,"resource":{"urn":%q,"type":"t","custom":true,"inputs":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"acme","name":%q,"labels":%s}}}}`, op, tinyURN(name), name[strings.LastIndex(name, "/")+1:], labels)
	}
	const ours = `{"app.kubernetes.io/managed-by":"tenantry","app.kubernetes.io/part-of":"prod","app.kubernetes.io/instance":"acme"}`
	for _, test := range []struct {
		what  string
		state string
		get   getter
		found findings
		names []string
		fails string
	}{
		{
			what: "nothing lives: nothing is adopted", state: newState, get: nothing,
			names: []string{"cluster", "tenantry-prod.acme"},
		},
		{
			what: "what the state has is not asked for", state: state(provider+","+entry("Namespace/acme", "")+","+entry("acme/ConfigMap/a", "")+","+entry("acme/ServiceAccount/default", ""), ""),
			get: func(context.Context, render.Object) (*unstructured.Unstructured, error) {
				return nil, errors.New("asked")
			},
			names: []string{"Namespace/acme", "acme/ConfigMap/a", "acme/ServiceAccount/default", "cluster", "tenantry-prod.acme"},
		},
		{
			what: "operations are dropped, and what they did is kept", state: state(provider, pending("updating", "acme/ConfigMap/x", ours)+","+pending("creating", "acme/ConfigMap/a", ours)+","+pending("creating", "acme/ConfigMap/gone-from-golden", ours)+","+pending("creating", "acme/ConfigMap/theirs", "{}")),
			get:   everything,
			found: findings{pending: 4, adopted: 4},
			names: []string{"Namespace/acme", "acme/ConfigMap/a", "acme/ConfigMap/gone-from-golden", "acme/ServiceAccount/default", "cluster", "tenantry-prod.acme"},
		},
		{
			what: "operations that did nothing are dropped", state: state(provider, pending("creating", "acme/ConfigMap/gone-from-golden", ours)),
			get:   nothing,
			found: findings{pending: 1},
			names: []string{"cluster", "tenantry-prod.acme"},
		},
		{
			what: "others' objects, each named", state: newState,
			get: func(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
				theirs := o.(*unstructured.Unstructured).DeepCopy()
				theirs.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "tenantry", "app.kubernetes.io/part-of": "staging", "app.kubernetes.io/instance": "acme"})
				return theirs, nil
			},
			fails: "has Namespace/acme, and its labels do not say that it is of prod.acme|has acme/ConfigMap/a, and its labels",
		},
		{
			what: "another tool's objects of the same labels", state: newState,
			get: func(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
				theirs := o.(*unstructured.Unstructured).DeepCopy()
				theirs.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/part-of": "prod", "app.kubernetes.io/instance": "acme"})
				return theirs, nil
			},
			fails: "has Namespace/acme, and its labels",
		},
		{
			what: "an object that goes away", state: newState,
			get: func(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
				going := o.(*unstructured.Unstructured).DeepCopy()
				going.SetDeletionTimestamp(new(metav1.NewTime(time.Unix(1, 0))))
				return going, nil
			},
			fails: "acme/ConfigMap/a is being deleted",
		},
		{
			what: "a cluster that does not answer", state: newState,
			get: func(context.Context, render.Object) (*unstructured.Unstructured, error) {
				return nil, errors.New("forbidden")
			},
			fails: "looking for Namespace/acme: forbidden|looking for acme/ConfigMap/a: forbidden",
		},
		{what: "no state at all", state: `[]`, get: nothing, fails: "reading it"},
	} {
		t.Run(test.what, func(t *testing.T) {
			mended, found, err := adopt(t.Context(), test.state, unit, program(unit, render.Fleet{}, nil), test.get)
			if test.fails != "" {
				for text := range strings.SplitSeq(test.fails, "|") {
					if err == nil || !strings.Contains(err.Error(), text) {
						t.Errorf("got %v, want %q", err, text)
					}
				}
				if err != nil && strings.Contains(test.fails, "labels") && strings.Contains(err.Error(), "ServiceAccount") {
					t.Errorf("Kubernetes' own ServiceAccount is in the way: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if found.pending != test.found.pending || found.adopted != test.found.adopted {
				t.Errorf("found %+v", found)
			}
			got := stateOf(t, mended)
			if diff := cmp.Diff(test.names, resourceNames(got.Resources)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if len(got.PendingOperations) > 0 {
				t.Errorf("%d operations are left", len(got.PendingOperations))
			}
			for _, r := range got.Resources {
				if name := r.URN.Name(); name == "acme/ConfigMap/gone-from-golden" && r.ID != "acme/gone-from-golden" {
					t.Errorf("%s has the ID %q", name, r.ID)
				}
				if r.Provider != "" && !strings.HasPrefix(test.state, newState) && !strings.HasSuffix(r.Provider, "::theID") {
					t.Errorf("%s is of the provider %s, not of the state's", r.URN.Name(), r.Provider)
				}
			}
		})
	}
	t.Run("what is not understood stays", func(t *testing.T) {
		mended, _, err := adopt(t.Context(), state(provider+","+entry("Namespace/acme", `,"protect":true,"pendingReplacement":true,"tomorrow":{"n":12345678901234567890}`), ""), unit, program(unit, render.Fleet{}, nil), nothing)
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]bool{`"tomorrow":{"n":12345678901234567890}`: true, `"features":["new"]`: true, `"protect":true`: true, "pendingReplacement": false, "pending_operations": false} {
			if strings.Contains(mended, text) != want {
				t.Errorf("%s: %t, want %t", text, !want, want)
			}
		}
	})
	t.Run("no dependency on what is not there", func(t *testing.T) {
		mended, _, err := adopt(t.Context(), newState, unit, program(unit, render.Fleet{}, nil), func(_ context.Context, o render.Object) (*unstructured.Unstructured, error) {
			if o.GetNamespace() == "" {
				return nil, nil
			}
			return o.(*unstructured.Unstructured), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range stateOf(t, mended).Resources {
			if slices.Contains(r.Dependencies, tinyURN("Namespace/acme")) {
				t.Errorf("%s depends on a namespace that is not there", r.URN.Name())
			}
		}
	})
}
