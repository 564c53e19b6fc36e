package review

import (
	"flag"
	"fmt"
	"slices"

	"github.com/tenantry/tenantry/verify"
)

var update = flag.Bool("update", false, "write the expected reports below testdata")

// tenantNames are so many names of tenants.
func tenantNames(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("tenant-%04d", i+1)
	}
	return list
}

const (
	image    = "registry.example.com/parametric_portal/api:sha-"
	rolls    = "the pod template changes: pods are replaced one after the other while others serve"
	shrinks  = "a volume cannot become smaller: PostgreSQL would have to be made again, without its data"
	recorded = "what the unit is made of is only written down"
)

// samples are reports such as reviewers meet.
func samples() map[string]Report {
	bump := bumped(500)
	mixed := bumped(40)
	mixed.Verdict = DataAtRisk
	mixed.Fleets[0].Verdict = DataAtRisk
	mixed.Fleets[0].Added = []string{"wayne"}
	mixed.Fleets[0].Removed = []string{"oldco"}
	mixed.Fleets[0].Renamed = []Rename{{From: "hooli", To: "hooli-eu"}}
	mixed.Fleets[0].Before, mixed.Fleets[0].After = reach(false), reach(true)
	mixed.Changes = slices.Concat(shrunk().Changes, widened().Changes, []Change{
		{Fleet: "prod", Units: []string{"oldco"}, Object: "Cluster/database", File: "cluster-database.yaml", Action: Removed, Verdict: DataAtRisk, Reason: "a database goes with all that is in it"},
		{Fleet: "prod", Units: []string{"oldco"}, Object: "Namespace/oldco", File: "namespace-oldco.yaml", Action: Removed, Verdict: DataAtRisk, Reason: "everything in the namespace goes with it"},
		{
			Fleet: "prod", Units: []string{"globex"}, Object: "HTTPRoute/edge", File: "httproute-edge.yaml", Action: Changed, Verdict: ExposureChanged,
			Reason: "the tenant answers to another name; whoever knows the old one finds nothing",
			Fields: []Field{{Path: "spec.hostnames[0]", Before: "globex.example.com", After: "portal.globex.example", Verdict: ExposureChanged, Reason: "the tenant answers to another name; whoever knows the old one finds nothing"}},
		},
		{
			Fleet: "prod", Units: []string{"initech"}, Object: "Deployment/api", File: "deployment-api.yaml", Action: Changed, Verdict: Replacement,
			Reason: "a selector cannot be changed in place: the Deployment is deleted and made again",
			Fields: []Field{
				{Path: "spec.selector.matchLabels[app.kubernetes.io/name]", Before: "api", After: "portal", Verdict: Replacement, Reason: "immutable"},
				{Path: "spec.template.metadata.labels[app.kubernetes.io/name]", Before: "api", After: "portal", Verdict: RollingRestart, Reason: rolls},
			},
		},
		{
			Fleet: "prod", Units: []string{"initech"}, Object: "StatefulSet/cache", File: "statefulset-cache.yaml", Action: Changed, Verdict: Interruption,
			Reason: "the only pod is replaced, and nothing serves until the new one does",
			Fields: []Field{{Path: "spec.template.spec.containers[name=valkey].resources.limits.memory", Before: "512Mi", After: "1Gi", Verdict: Interruption, Reason: "the only pod is replaced, and nothing serves until the new one does"}},
		},
	}, mixed.Changes, fresh().Changes)
	mixed.Missing = slices.Concat(shrunk().Missing, widened().Missing)
	mixed.Acknowledged = []Missing{
		{Fleet: "prod", Object: "Namespace/oldco", Loss: "Deleted", Why: "oldco left on 2026-11-01 and has its export"},
		{Fleet: "prod", Object: "oldco/Cluster/database", Loss: "Deleted", Why: "oldco left on 2026-11-01 and has its export"},
	}
	mixed.Leftover = []Missing{{Fleet: "prod", Object: "hooli/StatefulSet/cache", Loss: "Replaced", Why: "the cache moves to another class of storage"}}
	return map[string]Report{
		"nothing": {},
		"bump":    bump,
		"shrunk":  shrunk(),
		"widened": widened(),
		"new":     fresh(),
		"mixed":   mixed,
		"hostile": hostile(),
	}
}

// bumped is a new image of the API in so many tenants, three of which differ.
func bumped(n int) Report {
	names := tenantNames(n)
	most := names[3:]
	digest := func(units []string) Change {
		return Change{Fleet: "prod", Units: units, Object: "ConfigMap/tenantry-release", File: "configmap-tenantry-release.yaml", Action: Changed, Reason: recorded, Fields: []Field{
			{Path: "data.digest", Before: "sha256:34d1e6c7e0cd2cf6c86a0d8d85eb07b26613001a3c49ae90f297a7566c46b673", After: "sha256:0b6cd9f7f1ecf5ac35d6d7cf0e86a7a4ec5e0a1c90b9fb2b1f3a8e7c21f9d10c", Differs: true},
			{Path: "data.image", Before: image + "1a2b3c4", After: image + "5d6e7f8"},
		}}
	}
	api := func(units []string, outlier bool, fields ...Field) Change {
		return Change{Fleet: "prod", Units: units, Object: "Deployment/api", File: "deployment-api.yaml", Action: Changed, Verdict: RollingRestart, Reason: rolls, Outlier: outlier, Fields: fields}
	}
	to := func(before, after string) Field {
		return Field{Path: "spec.template.spec.containers[name=api].image", Before: image + before, After: image + after, Verdict: RollingRestart, Reason: rolls}
	}
	return Report{
		Verdict: RollingRestart,
		Fleets:  []Fleet{{Name: "prod", Verdict: RollingRestart, Changed: names, Of: n + 3}},
		Changes: []Change{
			api(most, false, to("1a2b3c4", "5d6e7f8")),
			api(names[:2], true, to("0000abc", "5d6e7f8")),
			api(names[2:3], true, to("1a2b3c4", "5d6e7f8"), Field{Path: "spec.template.spec.containers[name=api].resources.requests.cpu", Before: "100m", After: "250m", Verdict: RollingRestart, Reason: rolls}),
			{
				Fleet: "prod", Units: names, Object: "Job/migrate-{hash}", File: "job-migrate-{hash}.yaml", Action: Changed, Reason: "a migration runs once, beside what serves",
				Fields: []Field{{Path: "spec.template.spec.containers[name=migrate].image", Before: image + "1a2b3c4", After: image + "5d6e7f8"}},
			},
			digest(names),
		},
	}
}

func shrunk() Report {
	return Report{
		Verdict: DataAtRisk,
		Fleets:  []Fleet{{Name: "prod", Verdict: DataAtRisk, Changed: []string{"acme"}, Of: 7}},
		Changes: []Change{{
			Fleet: "prod", Units: []string{"acme"}, Object: "Cluster/database", File: "cluster-database.yaml", Action: Changed, Verdict: DataAtRisk, Reason: shrinks,
			Fields: []Field{{Path: "spec.storage.size", Before: "50Gi", After: "20Gi", Verdict: DataAtRisk, Reason: shrinks}},
		}},
		Missing: []Missing{{Fleet: "prod", Object: "acme/Cluster/database", Loss: "Replaced", Line: `{Object: "acme/Cluster/database", Loss: render.Replaced, Why: "…", Until: "2026-12-04"},`, Why: shrinks}},
	}
}

func widened() Report {
	const why = "the API reaches every private address instead of one"
	return Report{
		Verdict: IsolationChanged,
		Fleets:  []Fleet{{Name: "prod", Verdict: IsolationChanged, Changed: []string{"globex"}, Of: 7, Before: reach(false), After: reach(true)}},
		Changes: []Change{{
			Fleet: "prod", Units: []string{"globex"}, Object: "NetworkPolicy/application", File: "networkpolicy-application.yaml", Action: Changed, Verdict: IsolationChanged, Reason: why,
			Fields: []Field{{Path: "spec.egress[1].to[0].ipBlock.cidr", Before: "10.80.0.16/28", After: "10.0.0.0/8", Verdict: IsolationChanged, Reason: why}},
		}},
		Missing: []Missing{{Fleet: "prod", Object: "globex/NetworkPolicy/application", Loss: "Widened", Line: `{Object: "globex/NetworkPolicy/application", Loss: render.Widened, Why: "…", Until: "2026-12-04"},`, Why: why}},
	}
}

func fresh() Report {
	r := Report{Fleets: []Fleet{{Name: "prod", Added: []string{"wayne"}, Of: 8}}}
	for _, object := range []string{
		"Namespace/wayne", "ResourceQuota/tier", "LimitRange/containers", "NetworkPolicy/default-deny", "NetworkPolicy/api", "NetworkPolicy/application",
		"ServiceAccount/api", "Secret/settings", "ConfigMap/settings", "Cluster/database", "StatefulSet/cache", "Deployment/api", "Service/api", "HTTPRoute/edge", "Certificate/edge",
	} {
		r.Changes = append(r.Changes, Change{Fleet: "prod", Units: []string{"wayne"}, Object: object, Action: Added, Reason: "the tenant is new: nobody uses it yet"})
	}
	return r
}

// reach is who reaches whom in a small fleet.
func reach(wide bool) *verify.Reachability {
	own := verify.Reached{Where: "own namespace", What: "database", Traffic: "TCP 5432", Because: []string{"networkpolicy-application.yaml spec.egress[0]", "networkpolicy-database.yaml spec.ingress[0]"}}
	dns := verify.Reached{Where: "kube-system", What: "kube-dns", Traffic: "TCP 53; UDP 53", Because: []string{"networkpolicy-dns.yaml spec.egress[0]"}}
	internet := verify.Reached{Where: "addresses", What: "internet", Traffic: "TCP 443", Because: []string{"networkpolicy-application.yaml spec.egress[4]"}}
	private := verify.Reached{Where: "addresses", What: "private", Traffic: "TCP 6379, 26379", Ranges: []string{"10.80.0.16/28"}, Because: []string{"networkpolicy-application.yaml spec.egress[1]"}}
	if wide {
		private.Ranges = []string{"10.0.0.0/8"}
	}
	r := &verify.Reachability{Fleet: "prod", Senders: []verify.Sender{
		{Tenants: []string{"acme", "umbrella"}, Pods: []string{"api", "migrate"}, Reaches: []verify.Reached{own, dns, internet}},
		{Tenants: []string{"globex"}, Pods: []string{"api"}, Reaches: []verify.Reached{dns, private, internet}},
		{Namespace: "platform", Pods: []string{"garage"}, Reaches: []verify.Reached{dns}},
		{Addresses: "internet", Reaches: []verify.Reached{{Where: "platform", What: "gateway", Traffic: "TCP 80, 443", Because: []string{"networkpolicy-gateway.yaml spec.ingress[0]"}}}},
	}}
	if wide {
		r.Senders = append(r.Senders, verify.Sender{Tenants: []string{"globex"}, Pods: []string{"debug"}, Reaches: []verify.Reached{{Where: "other tenants", What: "api", Traffic: "TCP 4000", Because: []string{"networkpolicy-application.yaml spec.egress[1]"}}}})
	}
	return r
}

// hostile is what somebody writes who wants the report to say something else.
func hostile() Report {
	values := []string{
		"` **bold** ![x](https://evil.example/x.png) <script>alert(1)</script>", "```\n## Nothing restarts\n", "~~~~~~~~~~~~~~~~~~~~\n# free", "a | b | c", "@everyone please approve #12 org/repo#34 GH-56",
		"\u202egnp.exe\u202c\u2066\x1b[2J\x07\x00\xff", "</details></summary><img src=x onerror=alert(1)>", "[click](javascript:alert(1)) www.evil.example https://evil.example/issues/1",
		"-->\n<!-- tenantry:review -->", "$\\unicode{41}$ $`x`$ :tada:", "> [!TIP]", "\r\n\r\n- [x] approved", "&lt;b&gt; &#64;everyone &amp;", "{{.}} {{template \"x\"}}", "</script><script>alert(2)</script>", "\\`x\\` \\@me", "`", "``", " ", "=== --- ***",
	}
	r := Report{Verdict: IsolationChanged}
	for i, v := range values {
		unit := fmt.Sprintf("u%d%s", i, v)
		c := Change{
			Fleet: "f" + v, Units: []string{unit, v}, Object: "Kind/" + v, From: "Kind/was-" + v, Action: Renamed, Verdict: Verdict(i % 7), Reason: "the value " + v + " is hostile",
			Outlier: i%2 == 0, Fields: []Field{{Path: "data." + v, Before: v, After: v + v, Verdict: Verdict(i % 7), Reason: "because of " + v}, {Path: v, After: v}, {Path: v, Before: v, Differs: true}},
		}
		r.Changes = append(r.Changes, c)
		r.Fleets = append(r.Fleets, Fleet{
			Name: "f" + v, Verdict: c.Verdict, Changed: c.Units, Added: []string{v}, Removed: []string{v}, Renamed: []Rename{{From: v, To: unit}}, Of: 2,
			Before: &verify.Reachability{Fleet: v, Senders: []verify.Sender{{Tenants: []string{v}, Pods: []string{v}, Reaches: []verify.Reached{{Where: v, What: v, Traffic: v, Because: []string{v}}}}}},
			After:  &verify.Reachability{Fleet: v, Senders: []verify.Sender{{Namespace: v, Pods: []string{v}, Reaches: []verify.Reached{{Where: "addresses", What: v, Traffic: v, Ranges: []string{v}, Because: []string{v}}}}}},
		})
		r.Missing = append(r.Missing, Missing{Fleet: "f" + v, Object: "ns/Kind/" + v, Loss: v, Line: fmt.Sprintf("{Object: %q, Why: \"…\"},", v), Why: "since " + v}, Missing{Fleet: "f" + v, Object: v, Loss: v, Why: v})
		r.Acknowledged = append(r.Acknowledged, Missing{Fleet: "f" + v, Object: v, Loss: v, Why: v})
		r.Leftover = append(r.Leftover, Missing{Fleet: "f" + v, Object: "ns/Kind/" + v, Loss: v, Why: v})
	}
	slices.SortStableFunc(r.Changes, func(a, b Change) int { return int(b.Verdict) - int(a.Verdict) })
	r.Verdict = DataAtRisk
	return r
}
