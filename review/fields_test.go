package review

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
	"github.com/tenantry/tenantry/verify/schema"
)

func schemas(tb testing.TB) *schema.Set {
	tb.Helper()
	set, err := kinds()
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// objectOf is the object of a kind, as in "apps/v1 Deployment", with more lines of YAML, which may begin with its metadata.
func objectOf(tb testing.TB, kind, text string) *object {
	tb.Helper()
	if !strings.HasPrefix(text, "metadata") {
		text = "metadata: {name: it, namespace: acme}\n" + text
	}
	apiVersion, kind, _ := strings.Cut(kind, " ")
	o, err := parse("prod/acme/object.yaml", []byte("apiVersion: "+apiVersion+"\nkind: "+kind+"\n"+text))
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func TestCompareFields(t *testing.T) {
	const (
		deployment = "apps/v1 Deployment"
		policy     = "networking.k8s.io/v1 NetworkPolicy"
		role       = "rbac.authorization.k8s.io/v1 Role"
		cluster    = "postgresql.cnpg.io/v1 Cluster"
		unknown    = "example.com/v1 Any"
	)
	pod := func(text string) string { return "spec: {template: {spec: " + text + "}}" }
	container := func(text string) string { return pod("{containers: [{name: api, " + text + "}]}") }
	for _, row := range []struct {
		why, kind, before, after string
		want                     []string // path: before → after
	}{
		{"the same in other words", deployment, "spec: {paused: true, replicas: 2}", "spec:\n  \"replicas\": 2\n  paused: true # so it is\n", nil},
		{"a field", deployment, "spec: {replicas: 2}", "spec: {replicas: 3}", []string{"spec.replicas: 2 → 3"}},
		{"a field that is new", deployment, "spec: {}", "spec: {replicas: 3}", []string{"spec.replicas:  → 3"}},
		{"a field that goes", deployment, "spec: {replicas: 3}", "", []string{"spec.replicas: 3 → "}},
		{"text and a number", deployment, "spec: {replicas: 2}", "spec: {replicas: '2'}", []string{`spec.replicas: 2 → "2"`}},
		{"a map that is new", deployment, container("image: a"), container("image: a, lifecycle: {preStop: {sleep: {seconds: 5}}}"), []string{"spec.template.spec.containers[name=api].lifecycle:  → {preStop: {sleep: {seconds: 5}}}"}},
		{"a map in place of text", unknown, "spec: {a: b}", "spec: {a: {b: c}}", []string{"spec.a: b → {b: c}"}},
		{"a key with a dot", deployment, "spec: {template: {metadata: {annotations: {a.b/c: d}}}}", "spec: {template: {metadata: {annotations: {a.b/c: e}}}}", []string{"spec.template.metadata.annotations[a.b/c]: d → e"}},
		{"null is nothing", deployment, "spec: {replicas: null}", "spec: {}", nil},
		{"what the cluster writes", deployment, "status: {replicas: 1}", "", nil},

		{"a quantity in another unit", deployment, container("resources: {limits: {memory: 1Gi, cpu: 1}}"), container("resources: {limits: {memory: 1024Mi, cpu: 1000m}}"), nil},
		{"a quantity in a power of ten", deployment, container("resources: {limits: {memory: 1Gi}}"), container("resources: {limits: {memory: 1G}}"), []string{"spec.template.spec.containers[name=api].resources.limits.memory: 1Gi → 1G"}},
		{"a quantity as a number", deployment, container("resources: {limits: {memory: 1024}}"), container("resources: {limits: {memory: 1Ki}}"), nil},
		{"what looks like a quantity", deployment, container("env: [{name: A, value: 1Gi}]"), container("env: [{name: A, value: 1024Mi}]"), []string{"spec.template.spec.containers[name=api].env[name=A].value: 1Gi → 1024Mi"}},
		{"a quantity of an operator's", cluster, "spec: {resources: {requests: {cpu: 1}}}", "spec: {resources: {requests: {cpu: 1000m}}}", nil},
		{"a quantity of a kind that nobody knows", unknown, "spec: {resources: {requests: {cpu: '1'}}}", "spec: {resources: {requests: {cpu: 1000m}}}", nil},

		{"a default", deployment, container("image: a"), container("image: a, terminationMessagePolicy: File, ports: [], securityContext: {}"), nil},
		{"a default of a kind", deployment, "spec: {}", "spec: {revisionHistoryLimit: 10, strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 25%}}}", nil},
		{"no default", deployment, "spec: {}", "spec: {strategy: {type: Recreate}}", []string{"spec.strategy:  → {type: Recreate}"}},
		{"a default that an autoscaler looks at", deployment, "spec: {}", "spec: {replicas: 1}", []string{"spec.replicas:  → 1"}},
		{"a default of another kind", "batch/v1 Job", "spec: {}", "spec: {revisionHistoryLimit: 10}", []string{"spec.revisionHistoryLimit:  → 10"}},
		{"a default of init containers", deployment, pod("{initContainers: [{name: a}]}"), pod("{initContainers: [{name: a, tty: false}]}"), nil},
		{"an empty map that says something", policy, "spec: {ingress: [{from: [{podSelector: {}}]}]}", "spec: {ingress: [{from: [{}]}]}", []string{"spec.ingress[0].from[0].podSelector: {} → "}},
		{"an empty volume", deployment, pod("{volumes: [{name: a, emptyDir: {}}]}"), pod("{volumes: [{name: a}]}"), []string{"spec.template.spec.volumes[name=a].emptyDir: {} → "}},
		{"a selector of everything, in two words", policy, "spec: {podSelector: {}}", "spec: {podSelector: {matchLabels: {}}}", nil},

		{"items with a name, in another order", deployment, pod("{containers: [{name: a, image: x}, {name: b, image: y}]}"), pod("{containers: [{name: b, image: y}, {name: a, image: z}]}"), []string{"spec.template.spec.containers[name=a].image: x → z"}},
		{"an item that is new, and one that goes", deployment, pod("{volumes: [{name: a, emptyDir: {}}]}"), pod("{volumes: [{name: b, emptyDir: {}}]}"), []string{"spec.template.spec.volumes[name=a]: {emptyDir: {}, name: a} → ", "spec.template.spec.volumes[name=b]:  → {emptyDir: {}, name: b}"}},
		{"ports by number and protocol", deployment, container("ports: [{containerPort: 53, protocol: UDP}, {containerPort: 53}]"), container("ports: [{containerPort: 53, protocol: TCP, name: dns}, {containerPort: 53, protocol: UDP}]"), []string{"spec.template.spec.containers[name=api].ports[containerPort=53,protocol=TCP].name:  → dns"}},
		{"containers that run one after the other", deployment, pod("{initContainers: [{name: a}, {name: b}]}"), pod("{initContainers: [{name: b}, {name: a}]}"), []string{"spec.template.spec.initContainers: [name=a, name=b] → [name=b, name=a]"}},
		{"variables in another order", deployment, container("env: [{name: A, value: a}, {name: B, value: b}]"), container("env: [{name: B, value: b}, {name: A, value: a}]"), nil},
		{"variables that refer to earlier ones", deployment, container("env: [{name: A, value: a}, {name: B, value: $(A)}]"), container("env: [{name: B, value: $(A)}, {name: A, value: a}]"), []string{"spec.template.spec.containers[name=api].env: [name=A, name=B] → [name=B, name=A]"}},
		{"two items of one name", deployment, container("env: [{name: A, value: a}, {name: A, value: b}]"), container("env: [{name: A, value: a}, {name: A, value: c}]"), []string{"spec.template.spec.containers[name=api].env[1].value: b → c"}},
		{"items of a kind that nobody knows", unknown, "spec: {list: [{name: a, x: 1}, {name: b, x: 2}]}", "spec: {list: [{name: b, x: 2}, {name: a, x: 3}]}", []string{"spec.list[name=a].x: 1 → 3", "spec.list: [name=a, name=b] → [name=b, name=a]"}},

		{"words in another order", deployment, container("args: [a, b]"), container("args: [b, a]"), []string{"spec.template.spec.containers[name=api].args: [a, b] → [b, a]"}},
		{"a set", role, "rules: [{apiGroups: [''], resources: [pods, services], verbs: [get, list]}]", "rules: [{apiGroups: [''], resources: [services, pods], verbs: [list, get]}]", nil},
		{"a set that grows", role, "rules: [{apiGroups: [''], resources: [pods], verbs: [get]}]", "rules: [{apiGroups: [''], resources: [pods], verbs: [watch, get]}]", []string{"rules[0].verbs: [get] → [get, watch]"}},
		{"rules in another order", role, "rules: [{resources: [a]}, {resources: [b]}]", "rules: [{resources: [b]}, {resources: [a]}]", nil},
		{"a rule among others", role, "rules: [{resources: [a]}, {resources: [b]}]", "rules: [{resources: [c]}, {resources: [b]}, {resources: [a]}]", []string{"rules[0]:  → {resources: [c]}"}},
		{"a rule twice instead of another", role, "rules: [{resources: [a]}, {resources: [a]}, {resources: [b]}]", "rules: [{resources: [a]}, {resources: [b]}, {resources: [b]}]", []string{"rules[2].resources: [a] → [b]"}},
		{"peers in another order", policy, "spec: {ingress: [{from: [{podSelector: {}}, {ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: 1}, {port: 2}]}]}", "spec: {ingress: [{ports: [{port: 2, protocol: TCP}, {port: 1}], from: [{ipBlock: {cidr: 10.0.0.0/8}}, {podSelector: {}}]}]}", nil},
		{"a rule in the middle of an ordered list", unknown, "spec: {rules: [{a: 1}, {a: 2}, {a: 3}]}", "spec: {rules: [{a: 1}, {a: 9}, {a: 2}, {a: 3}]}", []string{"spec.rules[1]:  → {a: 9}"}},
		{"no rules at all", policy, "spec: {ingress: []}", "spec: {}", nil},

		{"lines of a text", "v1 ConfigMap", "data: {a.conf: \"one\\ntwo\\nthree\\n\"}", "data: {a.conf: \"one\\n2\\nthree\\nfour\\n\"}", []string{`data[a.conf][line 2]: two → "2"`, `data[a.conf][line 4]:  → four`}},
		{"a text of one line", "v1 ConfigMap", "data: {A: b}", "data: {A: c}", []string{"data.A: b → c"}},
		{"an address with another version", unknown, "spec: {}", "spec: {}", nil},
		{"what a terminal would obey", "v1 ConfigMap", "data: {}", `data: {A: "\e[31mred\r\nline"}`, []string{`data.A:  → "\u001b[31mred\u000d\nline"`}},
		{"a key that a terminal would obey", "v1 ConfigMap", "data: {}", `data: {"\e[2J": x}`, []string{`data["\u001b[2J"]:  → x`}},
	} {
		t.Run(row.why, func(t *testing.T) {
			before, after := objectOf(t, row.kind, row.before), objectOf(t, row.kind, row.after)
			if diff := cmp.Diff(row.want, told(compareFields(schemas(t), before, after))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", row.kind, diff)
			}
		})
	}
}

func told(fields []Field) []string {
	var out []string
	for _, f := range fields {
		out = append(out, fmt.Sprintf("%s: %s → %s", f.Path, f.Before, f.After))
	}
	return out
}

// TestDefaults looks for every default of the tables in the schemas, and expects it to be left out.
func TestDefaults(t *testing.T) {
	count, kinds := 0, map[string]bool{}
	var walk func(kind string, part schema.Part, path []string, r *rule)
	walk = func(kind string, part schema.Part, path []string, r *rule) {
		if r.standard != nil {
			count++
			value := r.standard
			for _, name := range slices.Backward(path) {
				if name == "*" {
					value = []any{value}
				} else {
					value = map[string]any{name: value}
				}
			}
			at := spot{kind: kind, rule: rules[kind], part: part}
			place := part
			for _, name := range path {
				if name == "*" {
					place = place.Item()
				} else {
					place = place.Field(name)
				}
			}
			if !place.Known() {
				t.Errorf("%s: there is no field %s", kind, strings.Join(path, "."))
			}
			if got := flow(canonical(at, value)); strings.Contains(got, path[len(path)-1]) {
				t.Errorf("%s: %s is told: %s", kind, strings.Join(path, "."), got)
			}
		}
		for name, below := range r.fields {
			walk(kind, part, append(slices.Clone(path), name), below)
		}
	}
	for _, name := range []string{
		"v1 Pod", "apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "apps/v1 ReplicaSet", "batch/v1 Job", "batch/v1 CronJob",
		"v1 Service", "networking.k8s.io/v1 NetworkPolicy", "v1 PersistentVolumeClaim", "autoscaling/v2 HorizontalPodAutoscaler",
		"rbac.authorization.k8s.io/v1 RoleBinding", "rbac.authorization.k8s.io/v1 ClusterRoleBinding", "v1 Secret",
		"scheduling.k8s.io/v1 PriorityClass", "storage.k8s.io/v1 StorageClass",
	} {
		kind := objectOf(t, name, "").GroupVersionKind
		kinds[kind.Kind] = true
		walk(kind.Kind, schemas(t).Part(kind), nil, rules[kind.Kind])
	}
	for kind := range rules {
		if !kinds[kind] {
			t.Errorf("the defaults of %s are not tested", kind)
		}
	}
	if count < 100 {
		t.Errorf("only %d defaults", count)
	}
}

// examples is every object that the example fleets render.
func examples(tb testing.TB) []*object {
	tb.Helper()
	units, err := render.Units(tenants.Fleets())
	if err != nil {
		tb.Fatal(err)
	}
	var all []*object
	for _, u := range units {
		for _, f := range u.Files {
			o, err := parse(u.Fleet+"/"+u.Name+"/"+f.Name, f.YAML)
			if err != nil {
				tb.Fatal(err)
			}
			all = append(all, o)
		}
	}
	return all
}

// TestCompareFieldsWithItself compares every object with itself, with its lists of maps that have no order the
// other way round.
func TestCompareFieldsWithItself(t *testing.T) {
	turned := 0
	for _, o := range examples(t) {
		other := *o
		root := spot{kind: o.Kind, rule: rules[o.Kind], part: schemas(t).Part(o.GroupVersionKind)}
		other.tree = turn(root, o.tree, &turned).(map[string]any)
		if fields := compareFields(schemas(t), o, &other); len(fields) > 0 {
			t.Errorf("%s %s: %q", o.namespace, o.id(), told(fields))
		}
	}
	if turned < 400 {
		t.Errorf("only %d lists were turned", turned)
	}
}

// turn is a tree with every list turned round that has no order.
func turn(at spot, value any, turned *int) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, item := range v {
			out[key] = turn(at.below(key), item, turned)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = turn(at.item(""), item, turned)
		}
		if len(v) > 1 && (unordered(at) && !ordered(at, v, v) || sets[at.name] && scalars(v)) {
			*turned++
			slices.Reverse(out)
		}
		return out
	}
	return value
}

// TestCompareFieldsBothWays compares different objects of a kind, and the other way round.
func TestCompareFieldsBothWays(t *testing.T) {
	byKind := map[string][]*object{}
	for _, o := range examples(t) {
		byKind[o.Kind] = append(byKind[o.Kind], o)
	}
	index := func(s string) string { // the place of an item is that in the list that is newer
		return strings.NewReplacer("0", "", "1", "", "2", "", "3", "", "4", "", "5", "", "6", "", "7", "", "8", "", "9", "").Replace(s)
	}
	pairs := 0
	for _, objects := range byKind {
		for i := 1; i < len(objects); i++ {
			pairs++
			var there, back []string
			for _, f := range compareFields(schemas(t), objects[i-1], objects[i]) {
				there = append(there, index(f.Path)+f.Before+"→"+f.After)
			}
			for _, f := range compareFields(schemas(t), objects[i], objects[i-1]) {
				back = append(back, index(f.Path)+f.After+"→"+f.Before)
			}
			slices.Sort(there)
			slices.Sort(back)
			if diff := cmp.Diff(there, back); diff != "" {
				t.Errorf("%s %s and %s (-there +back):\n%s", objects[i].Kind, objects[i-1].name, objects[i].name, diff)
			}
		}
	}
	if pairs < 300 {
		t.Errorf("only %d pairs", pairs)
	}
}

// FuzzCompareFields looks for objects that crash the comparison, that differ from themselves, or that change one way
// and not the other, or that have parts which are not judged.
func FuzzCompareFields(f *testing.F) {
	for _, row := range [][3]string{
		{"apps/v1 Deployment", "spec: {replicas: 1, template: {spec: {containers: [{name: a, env: [{name: A, value: $(B)}]}]}}}", "spec: {template: {spec: {containers: []}}}"},
		{"v1 ConfigMap", "data: {a: \"b\\nc\\n\"}", "data: {a: \"b\\n\\n\"}"},
		{"networking.k8s.io/v1 NetworkPolicy", "spec: {ingress: [{from: [{podSelector: {}}]}, {}]}", "spec: {ingress: [{}], policyTypes: [Ingress]}"},
		{"example.com/v1 Any", "spec: [1, [2], {a: null}]", "spec: {a: 1.5}"},
	} {
		f.Add(row[0], row[1], row[2])
	}
	f.Fuzz(func(t *testing.T, kind, before, after string) {
		var objects [2]*object
		for i, text := range []string{before, after} {
			apiVersion, kind, _ := strings.Cut(kind, " ")
			o, err := parse("prod/acme/object.yaml", []byte("apiVersion: "+apiVersion+"\nkind: "+kind+"\nmetadata: {name: it}\n"+text))
			if err != nil {
				return
			}
			objects[i] = o
		}
		for _, o := range objects {
			if fields := compareFields(schemas(t), o, o); len(fields) > 0 {
				t.Errorf("%s differs from itself: %q", flow(o.tree), told(fields))
			}
		}
		if objects[0].Kind != objects[1].Kind {
			return
		}
		there, back := compareFields(schemas(t), objects[0], objects[1]), compareFields(schemas(t), objects[1], objects[0])
		if (len(there) == 0) != (len(back) == 0) {
			t.Errorf("one way: %q\nthe other way: %q", told(there), told(back))
		}
		for _, f := range there {
			if f.Before == f.After || strings.ContainsFunc(f.Path+f.Before+f.After, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%+v", f)
			}
			if f.Before == "" && strings.HasPrefix(f.After, "{") && f.After != "{}" && len(parts(&f)) == 1 {
				t.Errorf("%+v is set at once, and its parts are not seen", f)
			}
		}
	})
}
