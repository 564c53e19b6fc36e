package verify

import (
	"bytes"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

const goodPolicy = `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: p
  namespace: acme
spec:
  egress:
  - ports:
    - port: 443
    to:
    - ipBlock:
        cidr: 10.0.0.0/8
        except:
        - 10.1.0.0/16
  podSelector:
    matchLabels:
      app: web
`

func TestLoadMistakes(t *testing.T) {
	edit := func(old, with string) string {
		if !strings.Contains(goodPolicy, old) {
			t.Fatalf("the policy has no %q", old)
		}
		return strings.Replace(goodPolicy, old, with, 1)
	}
	for _, test := range []struct {
		why, file, text, want string
	}{
		{"nothing is wrong", "prod/acme/p.yaml", goodPolicy, ""},
		{"a document may start with its mark", "prod/acme/p.yaml", "# a comment\n---\n" + goodPolicy, ""},
		{"a kind of somebody else's is a finding, no mistake", "prod/acme/x.yaml", "apiVersion: keda.sh/v1alpha1\nkind: ScaledObject\nmetadata: {name: x, namespace: acme}\n", ""},
		{"no YAML", "prod/acme/p.yaml", "apiVersion: v1\nkind: [\n", "prod/acme/p.yaml:2: is no YAML: "},
		{"a tab", "prod/acme/p.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n\tname: x\n", "prod/acme/p.yaml:4: is no YAML: "},
		{"a key that stands twice", "prod/acme/p.yaml", edit("  podSelector:", "  egress: []\n  podSelector:"), "prod/acme/p.yaml:15: is no YAML: "},
		{"no object", "prod/acme/p.yaml", "- 1\n", "prod/acme/p.yaml:1: holds no object"},
		{"nothing", "prod/acme/p.yaml", "", "prod/acme/p.yaml:1: holds no object"},
		{"no kind", "prod/acme/p.yaml", "apiVersion: v1\n", "prod/acme/p.yaml:1: holds no object: apiVersion and kind are not both set"},
		{"a kind that Kubernetes has not", "prod/acme/p.yaml", edit("NetworkPolicy", "NetworkPolice"), "prod/acme/p.yaml:2: unknown kind NetworkPolice of networking.k8s.io/v1"},
		{"a version that is gone", "prod/acme/p.yaml", edit("networking.k8s.io/v1", "extensions/v1beta1"), "prod/acme/p.yaml:1: NetworkPolicy of extensions/v1beta1 is deprecated since Kubernetes 1.9 and gone in 1.16: use NetworkPolicy of networking.k8s.io/v1"},
		{"a version that goes in a minor to come", "prod/acme/p.yaml", "apiVersion: networking.k8s.io/v1beta1\nkind: IPAddress\nmetadata: {name: x}\n", "prod/acme/p.yaml:1: IPAddress of networking.k8s.io/v1beta1 is deprecated since Kubernetes 1.34 and gone in 1.37: use IPAddress of networking.k8s.io/v1"},
		{"a kind that an operator has not", "prod/acme/p.yaml", "apiVersion: cert-manager.io/v1\nkind: Certifcate\nmetadata: {name: x, namespace: acme}\n", "prod/acme/p.yaml:2: unknown kind Certifcate"},
		{"several documents", "prod/acme/p.yaml", goodPolicy + "---\n" + goodPolicy, "prod/acme/p.yaml:18: several documents in one file"},
		{"an end and another document", "prod/acme/p.yaml", goodPolicy + "...\n" + goodPolicy, "prod/acme/p.yaml:18: several documents in one file"},
		{"a file beside the units", "prod/p.yaml", goodPolicy, "prod/p.yaml:1: a file belongs at <fleet>/<unit>/<object>.yaml"},
		{"a file below a unit", "prod/acme/more/p.yaml", goodPolicy, "prod/acme/more/p.yaml:1: a file belongs at"},
		{"a hidden file", "prod/acme/.p.yaml", goodPolicy, "prod/acme/.p.yaml:1: \".p.yaml\" is no name of an object's, a unit's or a fleet's"},
		{"a hidden directory", "prod/.acme/p.yaml", goodPolicy, "prod/.acme/p.yaml:1: \".acme\" is no name"},
		{"a file name with a line break", "prod/acme/p\n.yaml", goodPolicy, "prod/acme/p\n.yaml:1: \"p\\n.yaml\" is no name"},
		{"a list", "prod/acme/p.yaml", "# objects\napiVersion: v1\nkind: List\nitems: []\n", "prod/acme/p.yaml:3: holds a List, and no object: give each object a file of its own"},
		{"a list of one kind", "prod/acme/p.yaml", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicyList\nmetadata: {}\nitems: []\n", "prod/acme/p.yaml:2: holds a NetworkPolicyList, and no object"},
		{"an answer of the API server", "prod/acme/p.yaml", "apiVersion: v1\nkind: Status\nstatus: Failure\n", "prod/acme/p.yaml:2: holds a Status, and no object"},
		{"a file that nobody would read", "prod/acme/p.yml", goodPolicy, "prod/acme/p.yml:1: is no .yaml file"},
		{"another tenant's directory", "prod/globex/p.yaml", goodPolicy, "prod/globex/p.yaml:5: metadata.namespace: Invalid value: \"acme\": wrong directory"},
		{"no namespace", "prod/acme/p.yaml", edit("  namespace: acme\n", ""), "prod/acme/p.yaml:3: metadata.namespace: Invalid value: \"\": wrong directory"},
		{"a namespace where there is none", "prod/acme/p.yaml", "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: acme\n  namespace: acme\n", "prod/acme/p.yaml:5: metadata.namespace: Forbidden"},
		{"no name", "prod/acme/p.yaml", edit("  name: p\n", ""), "prod/acme/p.yaml:3: metadata.name: Required"},
		{"an unknown field", "prod/acme/p.yaml", edit("    to:", "    from:"), `prod/acme/p.yaml:10: unknown field "spec.egress[0].from"`},
		{"a field in another case, which the API server does not know", "prod/acme/p.yaml", edit("  podSelector:", "  podselector:"), `prod/acme/p.yaml:15: unknown field "spec.podselector"`},
		{"a value of another type", "prod/acme/p.yaml", edit("matchLabels:\n      app: web", "matchLabels: web"), "prod/acme/p.yaml:16: "},
		{"an invalid selector", "prod/acme/p.yaml", edit("app: web", "app: web/site"), "prod/acme/p.yaml:16: spec.podSelector.matchLabels: Invalid value"},
		{"an unknown operator", "prod/acme/p.yaml", edit("matchLabels:\n      app: web", "matchExpressions:\n    - {key: app, operator: Is, values: [web]}"), "prod/acme/p.yaml:17: spec.podSelector.matchExpressions[0].operator: Invalid value"},
		{"an invalid address range", "prod/acme/p.yaml", edit("10.0.0.0/8", "10.0.0.0"), "prod/acme/p.yaml:12: spec.egress[0].to[0].ipBlock.cidr: Invalid value"},
		{"an IPv4 range in disguise", "prod/acme/p.yaml", edit("10.0.0.0/8", "::ffff:10.0.0.0/104"), "prod/acme/p.yaml:12: spec.egress[0].to[0].ipBlock.cidr: Invalid value"},
		{"an exception that is not within", "prod/acme/p.yaml", edit("10.1.0.0/16", "11.1.0.0/16"), "prod/acme/p.yaml:14: spec.egress[0].to[0].ipBlock.except[0]: Invalid value"},
		{"a range that ends before it starts", "prod/acme/p.yaml", edit("- port: 443", "- port: 443\n      endPort: 80"), "prod/acme/p.yaml:10: spec.egress[0].ports[0].endPort: Invalid value"},
		{"a range from a name", "prod/acme/p.yaml", edit("- port: 443", "- port: https\n      endPort: 80"), "prod/acme/p.yaml:10: spec.egress[0].ports[0].endPort: Invalid value"},
		{"a port beyond all ports", "prod/acme/p.yaml", edit("443", "70000"), "prod/acme/p.yaml:9: spec.egress[0].ports[0].port: Invalid value"},
		{"a protocol that policies have not", "prod/acme/p.yaml", edit("- port: 443", "- port: 443\n      protocol: ICMP"), "prod/acme/p.yaml:10: spec.egress[0].ports[0].protocol: Unsupported value"},
		{"a peer that is nobody", "prod/acme/p.yaml", edit("- ipBlock:\n        cidr: 10.0.0.0/8\n        except:\n        - 10.1.0.0/16", "- {}"), "prod/acme/p.yaml:11: spec.egress[0].to[0]: Required value"},
		{"a peer that is both", "prod/acme/p.yaml", edit("- ipBlock:", "- podSelector: {}\n      ipBlock:"), "prod/acme/p.yaml:11: spec.egress[0].to[0]: Forbidden"},
		{"a direction that there is not", "prod/acme/p.yaml", edit("spec:\n", "spec:\n  policyTypes:\n  - Outgress\n"), "prod/acme/p.yaml:8: spec.policyTypes[0]: Unsupported value"},
	} {
		t.Run(test.why, func(t *testing.T) {
			_, err := Load(fstest.MapFS{test.file: {Data: []byte(test.text)}})
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestLoadTellsAllMistakesAtOnce(t *testing.T) {
	_, err := Load(fstest.MapFS{
		"prod/acme/a.yaml": {Data: []byte("kind: [")},
		"prod/acme/b.yaml": {Data: []byte("{}")},
		"README.md":        {Data: []byte("hello")},
	})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 3 {
		t.Errorf("got %v", err)
	}
}

// TestLoadOpensFilesOnly has something else lie where a file is expected: to open it may not return, or leads elsewhere.
func TestLoadOpensFilesOnly(t *testing.T) {
	for _, test := range []struct {
		mode fs.FileMode
		text string
		want string
	}{
		{fs.ModeNamedPipe, goodPolicy, "prod/acme/p.yaml:1: is a special file, and no file"},
		{fs.ModeSymlink, "../globex/p.yaml", "prod/acme/p.yaml:1: is a symbolic link, and no file"},
	} {
		_, err := Load(fstest.MapFS{
			"prod/acme/p.yaml":      {Mode: test.mode, Data: []byte(test.text)},
			"prod/globex/keep.yaml": {Data: []byte(strings.Replace(goodPolicy, "namespace: acme", "namespace: globex", 1))},
		})
		if err == nil || err.Error() != test.want {
			t.Errorf("%v: got %v, want %s", test.mode, err, test.want)
		}
	}
}

func TestLoadObjectsThatRepeat(t *testing.T) {
	const (
		role    = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: p\n"
		cluster = "apiVersion: postgresql.cnpg.io/v1\nkind: Cluster\nmetadata: {name: p, namespace: acme}\nspec: {instances: "
	)
	route := func(version string) string {
		return "apiVersion: " + version + "\nkind: Route\nmetadata: {name: p, namespace: acme}\n"
	}
	for _, test := range []struct {
		why, a, textA, b, textB string
		want                    string
	}{
		{"the same bytes", "prod/acme/a.yaml", goodPolicy, "prod/acme/b.yaml", goodPolicy, "prod/acme/b.yaml:4: NetworkPolicy/p is in prod/acme/a.yaml already: take one of them out"},
		{"another spec", "prod/acme/a.yaml", cluster + "1}\n", "prod/acme/b.yaml", cluster + "3}\n", "prod/acme/b.yaml:3: Cluster/p is in prod/acme/a.yaml already"},
		{"another version", "prod/acme/a.yaml", route("example.com/v1"), "prod/acme/b.yaml", route("example.com/v1beta1"), "prod/acme/b.yaml:3: Route/p is in prod/acme/a.yaml already"},
		{"two units have what is in no namespace", "prod/acme/a.yaml", role, "prod/globex/b.yaml", role, "prod/globex/b.yaml:4: ClusterRole/p is in prod/acme/a.yaml already"},
		{"another group", "prod/acme/a.yaml", route("example.com/v1"), "prod/acme/b.yaml", route("example.org/v1"), ""},
		{"another fleet", "prod/acme/a.yaml", role, "staging/acme/a.yaml", role, ""},
		{"another namespace", "prod/acme/a.yaml", goodPolicy, "prod/globex/a.yaml", strings.Replace(goodPolicy, "namespace: acme", "namespace: globex", 1), ""},
	} {
		t.Run(test.why, func(t *testing.T) {
			_, err := Load(fstest.MapFS{test.a: {Data: []byte(test.textA)}, test.b: {Data: []byte(test.textB)}})
			switch {
			case test.want == "" && err != nil:
				t.Errorf("got %v", err)
			case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), test.want)):
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestLoadOfNothing(t *testing.T) {
	if _, err := Load(fstest.MapFS{}); err == nil {
		t.Error("an empty directory has no finding, which would look like a fleet without any")
	}
}

// TestLoadAndOfAgree reads the golden files and takes the same units from memory.
func TestLoadAndOfAgree(t *testing.T) {
	read, err := Load(os.DirFS("../golden"))
	if err != nil {
		t.Fatal(err)
	}
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		t.Fatal(err)
	}
	made, err := Of(units)
	if err != nil {
		t.Fatal(err)
	}
	objects := 0
	for i, f := range made {
		if f.Name != read[i].Name || len(f.Units) != len(read[i].Units) {
			t.Fatalf("%s has %d units, %s %d", f.Name, len(f.Units), read[i].Name, len(read[i].Units))
		}
		byName := map[string]Object{}
		for _, u := range read[i].Units {
			for _, o := range u.Objects {
				byName[u.Name+"/"+o.File] = o
			}
		}
		for _, u := range f.Units {
			for _, o := range u.Objects {
				objects++
				a, errA := render.Encode(o.Object)
				b, errB := render.Encode(byName[u.Name+"/"+o.File].Object)
				if errA != nil || errB != nil {
					t.Fatal(errA, errB)
				}
				if !bytes.Equal(a, b) {
					t.Errorf("%s/%s: (-Of +Load)\n%s", u.Name, o.File, cmp.Diff(string(a), string(b)))
				}
				if _, custom := o.Object.(*unstructured.Unstructured); custom == scheme().Recognizes(o.GetObjectKind().GroupVersionKind()) {
					t.Errorf("%s/%s is a %T", u.Name, o.File, o.Object)
				}
			}
		}
	}
	if objects < 300 {
		t.Errorf("only %d objects", objects)
	}
}

// TestExtraPoliciesCount sees that a policy among a tenant's extra objects, which render holds without its
// type, is evaluated like any other.
func TestExtraPoliciesCount(t *testing.T) {
	fleets := tenants.Fleets()[:1]
	open := &networkingv1.NetworkPolicy{Spec: networkingv1.NetworkPolicySpec{Egress: []networkingv1.NetworkPolicyEgressRule{{}}}}
	open.APIVersion, open.Kind, open.Name = "networking.k8s.io/v1", "NetworkPolicy", "open"
	fleets[0].Tenants[0].Extra = append(fleets[0].Tenants[0].Extra, open)
	found := map[string]bool{}
	for _, f := range Check(fleetsOf(t, fleets), nil, today).Findings {
		found[f.Rule] = true
		if f.Object != "NetworkPolicy/open" || f.Unit != fleets[0].Tenants[0].Name {
			t.Errorf("%+v", f)
		}
	}
	for _, rule := range []string{"network/api-server", "network/inside", "network/internet", "network/metadata", "network/platform"} {
		if !found[rule] {
			t.Errorf("%s tells nothing", rule)
		}
	}
}

// TestDeclaredTooMuch has tenants ask for addresses that no value makes right.
func TestDeclaredTooMuch(t *testing.T) {
	for _, test := range []struct {
		why     string
		egress  render.Egress
		cluster string
		want    []string
	}{
		{"a private network of one's own", render.Egress{CIDR: "10.90.0.0/16", Port: 443}, "", nil},
		{"a public address", render.Egress{CIDR: "198.51.100.7/32", Port: 25}, "", nil},
		{"the metadata service", render.Egress{CIDR: "169.254.169.254/32", Port: 80}, "", []string{"network/metadata"}},
		{"all that is link-local, and more", render.Egress{CIDR: "169.0.0.0/8", Port: 80}, "", []string{"network/metadata"}},
		{"a network that holds the API servers", render.Egress{CIDR: "10.0.0.0/8", Port: 6443}, "", []string{"network/api-server"}},
		{"the network of the nodes", render.Egress{CIDR: "10.90.0.0/16", Port: 10250}, "10.90.0.0/20", []string{"network/inside", "network/platform"}},
	} {
		fleets := tenants.Fleets()[:1]
		for i := range fleets[0].Tenants {
			if fleets[0].Tenants[i].Name == "hooli" {
				fleets[0].Tenants[i].Egress = []render.Egress{test.egress}
			}
		}
		f := fleetsOf(t, fleets)[0]
		if test.cluster != "" {
			f.Facts.Cluster = parsed([]string{test.cluster})
		}
		var got []string
		for _, found := range networkFindings(f) {
			if found.Unit == "hooli" && !slices.Contains(got, found.Rule) {
				got = append(got, found.Rule)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: found %v, want %v", test.why, got, test.want)
		}
	}
}

func TestLocate(t *testing.T) {
	text := []byte(`# comment: not a key
apiVersion: v1
"kind": Pod
spec:
  list:
  - a: 1
    b: 2
  -
    a: 3
  - - deep: 1
    - deep: 2
  indented:
    - x: 1
      y:
        - z: 1
        - z: 2
  text: |
    a: not a key
    b: neither
  last: {a: 1}
`)
	for field, want := range map[string]int{
		"": 1, "nothing": 1, "kind": 3, "spec": 4, "spec.list[0]": 6, "spec.list[0].b": 7, "spec.list[1].a": 9, "spec.list[2][1].deep": 11,
		"spec.indented[0].y[1].z": 16, "spec.text": 17, "spec.last.a": 20, "spec.list[7]": 5, "spec.nothing": 4, "spec.a": 4,
	} {
		if got := locate(text, field); got != want {
			t.Errorf("%s is in line %d, want %d", field, got, want)
		}
	}
}

// FuzzLoad sees that whatever is loaded can be held against the rules.
func FuzzLoad(f *testing.F) {
	f.Add(goodPolicy)
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range units[0].Files {
		f.Add(string(file.YAML))
	}
	f.Fuzz(func(t *testing.T, text string) {
		fleets, err := Load(fstest.MapFS{
			"prod/acme/x.yaml":        {Data: []byte(text)},
			"prod/acme/p.yaml":        {Data: []byte(goodPolicy)},
			"prod/platform/n.yaml":    {Data: []byte("{apiVersion: v1, kind: Namespace, metadata: {name: platform}}")},
			"staging/platform/n.yaml": {Data: []byte("{apiVersion: v1, kind: Namespace, metadata: {name: platform}}")},
		})
		if err != nil {
			return
		}
		for i := range fleets {
			networkFindings(fleets[i])
			Reach(&fleets[i])
		}
	})
}
