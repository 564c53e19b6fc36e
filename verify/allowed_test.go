package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/tenantry/tenantry/render"
)

// TestAllowed changes what no rule is about.
func TestAllowed(t *testing.T) {
	t.Parallel()
	fleet := examples(t)[0]
	for i := range fleet.Facts.Pools {
		p := &fleet.Facts.Pools[i]
		p.Labels = labelled(p.Labels, map[string]string{corev1.LabelArchStable: "arm64"})
	}
	data := func(text string) breakage {
		return breakage{"name " + text, "", func(_ *Unit, o render.Object) bool {
			m, ok := o.(*corev1.ConfigMap)
			if ok {
				m.Data["OTHER"] = text
			}
			return ok
		}}
	}
	digest := "@sha256:" + strings.Repeat("ab", 32)
	ways := []breakage{
		containers("", "name a digest", always(func(c *corev1.Container) { c.Image, _, _ = strings.Cut(c.Image, ":"); c.Image += digest })),
		containers("", "name a digest besides the tag", always(func(c *corev1.Container) { c.Image += digest })),
		containers("", "have more CPU than requested", always(func(c *corev1.Container) { c.Resources.Limits[corev1.ResourceCPU] = resource.MustParse("4") })),
		containers("", "say what the pod says too", always(func(c *corev1.Container) {
			c.SecurityContext.RunAsNonRoot, c.SecurityContext.RunAsUser = new(true), new(int64(20000))
		})),
		containers("", "miss what is optional", always(func(c *corev1.Container) {
			c.Env = append(c.Env, corev1.EnvVar{Name: "X", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "not-there"}, Key: "x", Optional: new(true),
			}}})
		})),
		containers("", "read the authority of the API server", always(func(c *corev1.Container) {
			c.Env = append(c.Env, corev1.EnvVar{Name: "X", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Key: "ca.crt",
			}}})
		})),
		inPod("", "have a user namespace", func(s *corev1.PodSpec) { s.HostUsers = new(false) }),
		inPod("", "tolerate a node that is not ready", func(s *corev1.PodSpec) {
			s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute})
		}),
		inPod("", "select nodes by what they are", func(s *corev1.PodSpec) {
			s.NodeSelector = labelled(s.NodeSelector, map[string]string{corev1.LabelArchStable: "arm64"})
		}),
		inPod("", "mount what the pod is", func(s *corev1.PodSpec) {
			s.Volumes = append(s.Volumes, corev1.Volume{Name: "pod", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{DownwardAPI: &corev1.DownwardAPIProjection{}},
			}}}})
		}),
		pods("", "restart all at once", func(_ *Unit, t *template) bool {
			d, ok := t.object.Object.(*appsv1.Deployment)
			if ok {
				d.Spec.Strategy = appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}
			}
			return ok
		}),
		data("https://api.openai.com/v1"),
		data("https://acme.example.com.evil.example"),
		data("postgresql://portal@db.prod.globex.example:5432/portal2"),
		data("postgresql://db.prod.globex.example/another"),
		data("http://collector.platform:4318"),
		data("umbrella"),
		data("mail.umbrella.example"),
		{"have a Gateway answer to all of a domain", "", func(u *Unit, o render.Object) bool {
			g, ok := o.(*gatewayv1.Gateway)
			if ok {
				g.Spec.Listeners = append(g.Spec.Listeners, gatewayv1.Listener{Name: "all", Hostname: new(gatewayv1.Hostname("*.example.com")), Port: 443, Protocol: gatewayv1.HTTPSProtocolType})
			}
			return ok
		}},
		{"have a bucket of another's name at another store", "", func(u *Unit, o render.Object) bool {
			m, ok := o.(*corev1.ConfigMap)
			if !ok || u.Name != "globex" || m.Data["STORAGE_BUCKET"] == "" {
				return false
			}
			m.Data["STORAGE_BUCKET"] = "acme"
			return true
		}},
		{"end a host with a dot", "", func(_ *Unit, o render.Object) bool {
			return o.GetObjectKind().GroupVersionKind().Kind == "DNSEndpoint" && claims(func(_ *Unit, host string) string { return host + "." })(&Unit{Name: o.GetNamespace()}, o)
		}},
		{"let the API read less", "", func(_ *Unit, o render.Object) bool {
			r, ok := o.(*rbacv1.Role)
			if ok {
				r.Rules = r.Rules[:1]
				r.Rules[0].Verbs = []string{"get"}
			}
			return ok
		}},
		{"end a run before the next", "", func(_ *Unit, o render.Object) bool {
			c, ok := o.(*batchv1.CronJob)
			if ok {
				c.Spec.ConcurrencyPolicy = batchv1.ReplaceConcurrent
			}
			return ok
		}},
	}
	total := 0
	for i := range fleet.Units {
		u := &fleet.Units[i]
		for _, o := range u.Objects {
			for _, way := range ways {
				changed := o.Object.(kruntime.Object).DeepCopyObject().(render.Object)
				if !way.change(u, changed) {
					continue
				}
				total++
				whole := fleet.with(u.Name, o.File, changed)
				alone := whole
				alone.Units = whole.Units[i : i+1]
				for _, all := range []map[string][]Finding{found(capacityRules, alone), found(identityRules, alone), found(nameRules, whole), found(podRules, alone)} {
					for id, list := range all {
						t.Errorf("%s/%s: %s: %s says %q", u.Name, o.File, way.how, id, list[0].Message)
					}
				}
			}
		}
	}
	t.Logf("%d changes", total)
}

// TestAcrossFleets has a fleet use what is another's.
func TestAcrossFleets(t *testing.T) {
	fleets := examples(t)
	prod, staging := fleets[0], fleets[1]
	for _, row := range []struct {
		rule, unit, file string
		change           func(render.Object) bool
	}{
		{"names/host", "acme", "certificate-edge.yaml", func(o render.Object) bool {
			return claims(func(*Unit, string) string { return "acme.example.com" })(&Unit{Name: "acme"}, o)
		}},
		{"names/mention", "acme", "configmap-settings.yaml", func(o render.Object) bool {
			o.(*corev1.ConfigMap).Data["API_BASE_URL"] = "https://acme.example.com"
			return true
		}},
		{"names/mention", "globex", "configmap-settings.yaml", func(o render.Object) bool {
			o.(*corev1.ConfigMap).Data["X"] = "redis-1.prod.globex.example:26379"
			return true
		}},
		{"names/bucket", "umbrella", "configmap-settings.yaml", func(o render.Object) bool {
			o.(*corev1.ConfigMap).Data["STORAGE_BUCKET"] = "umbrella-prod"
			return true
		}},
		{"names/secret", "globex", "externalsecret-database.yaml", func(o render.Object) bool {
			return custom("", "", "external-secrets.io/ExternalSecret", []any{map[string]any{"secretKey": "password", "remoteRef": map[string]any{"key": "prod/globex/database", "property": "DATABASE_PASSWORD"}}}, "spec", "data").change(nil, o)
		}},
	} {
		o := staging.object(row.unit, row.file).(kruntime.Object).DeepCopyObject().(render.Object)
		if !row.change(o) {
			t.Errorf("%s: nothing to change", row.file)
		}
		if list := found(nameRules, prod, staging.with(row.unit, row.file, o))[row.rule]; len(list) == 0 {
			t.Errorf("%s of staging: %s says nothing", row.file, row.rule)
		}
	}
}

func TestOver(t *testing.T) {
	for _, row := range []struct {
		groups, resources []string
		group             string
		of                []string
		want              bool
		why               string
	}{
		{[]string{""}, []string{"pods"}, "", []string{"pods"}, true, "itself"},
		{[]string{""}, []string{"pods"}, "", []string{"pods/exec"}, false, "a resource is not its subresources"},
		{[]string{""}, []string{"pods/exec"}, "", []string{"pods"}, false, "nor the other way round"},
		{[]string{""}, []string{"*"}, "", []string{"pods/exec"}, true, "a wildcard is every subresource too"},
		{[]string{""}, []string{"pods/*"}, "", []string{"pods/exec"}, true, "all subresources"},
		{[]string{""}, []string{"pods/*"}, "", []string{"pods"}, false, "all subresources are not the resource"},
		{[]string{""}, []string{"*/exec"}, "", []string{"pods/exec"}, true, "a subresource of everything"},
		{[]string{""}, []string{"*/log"}, "", []string{"pods/exec"}, false, "another subresource of everything"},
		{[]string{"apps"}, []string{"pods"}, "", []string{"pods"}, false, "another group"},
		{[]string{"*"}, []string{"pods"}, "", []string{"pods"}, true, "every group"},
		{[]string{"storage.k8s.io"}, []string{"storageclasses"}, "storage.k8s.io", []string{"*"}, true, "anything of the group"},
		{nil, nil, "", []string{"*"}, false, "a rule about paths"},
	} {
		if got := over(&rbacv1.PolicyRule{APIGroups: row.groups, Resources: row.resources}, row.group, row.of...); got != row.want {
			t.Errorf("%v %v over %q %v: %t: %s", row.groups, row.resources, row.group, row.of, got, row.why)
		}
	}
}

func TestBill(t *testing.T) {
	list := func(cpu string) corev1.ResourceList {
		return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
	}
	container := func(request, limit string) corev1.Container {
		var c corev1.Container
		if request != "" {
			c.Resources.Requests = list(request)
		}
		if limit != "" {
			c.Resources.Limits = list(limit)
		}
		return c
	}
	sidecar := container("2", "2")
	sidecar.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
	ranges := []*corev1.LimitRange{{Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Default: list("7"), DefaultRequest: list("3")}}}}}
	for _, row := range []struct {
		why            string
		spec           corev1.PodSpec
		ranges         []*corev1.LimitRange
		request, limit string
	}{
		{"containers add up", corev1.PodSpec{Containers: []corev1.Container{container("1", "2"), container("3", "4")}}, nil, "4", "6"},
		{"a limit is a request where there is none", corev1.PodSpec{Containers: []corev1.Container{container("", "2")}}, nil, "2", "2"},
		{"the limit range fills in what there is none of", corev1.PodSpec{Containers: []corev1.Container{container("", "")}}, ranges, "3", "7"},
		{"the limit range does not fill in a request where there is a limit", corev1.PodSpec{Containers: []corev1.Container{container("", "5")}}, ranges, "5", "5"},
		{"what runs first counts where it is more", corev1.PodSpec{InitContainers: []corev1.Container{container("5", "5")}, Containers: []corev1.Container{container("1", "9")}}, nil, "5", "9"},
		{"what runs first runs one by one", corev1.PodSpec{InitContainers: []corev1.Container{container("5", "5"), container("4", "4")}, Containers: []corev1.Container{container("1", "1")}}, nil, "5", "5"},
		{"a sidecar runs beside what runs after it", corev1.PodSpec{InitContainers: []corev1.Container{sidecar, container("5", "5")}, Containers: []corev1.Container{container("1", "1")}}, nil, "7", "7"},
		{"a sidecar does not run beside what ran before it", corev1.PodSpec{InitContainers: []corev1.Container{container("5", "5"), sidecar}, Containers: []corev1.Container{container("1", "1")}}, nil, "5", "5"},
		{"a sidecar adds to the containers", corev1.PodSpec{InitContainers: []corev1.Container{sidecar}, Containers: []corev1.Container{container("4", "4")}}, nil, "6", "6"},
		{"what the pod asks for stands for its containers", corev1.PodSpec{Resources: &corev1.ResourceRequirements{Requests: list("8"), Limits: list("9")}, Containers: []corev1.Container{container("1", "1")}}, nil, "8", "9"},
		{"a kernel of its own adds to both", corev1.PodSpec{RuntimeClassName: new("sandboxed"), Containers: []corev1.Container{container("1", "2")}}, nil, "1250m", "2250m"},
	} {
		b := (&template{spec: &row.spec}).bill(row.ranges, map[string]corev1.ResourceList{"sandboxed": list("250m")})
		request, limit := b[corev1.ResourceRequestsCPU], b[corev1.ResourceLimitsCPU]
		if request.String() != row.request || limit.String() != row.limit {
			t.Errorf("%s: requests %s and is limited to %s, not %s and %s", row.why, request.String(), limit.String(), row.request, row.limit)
		}
	}
}

func TestMost(t *testing.T) {
	deployment := func(replicas int32, strategy appsv1.DeploymentStrategy) *appsv1.Deployment {
		return &appsv1.Deployment{TypeMeta: metav1.TypeMeta{Kind: "Deployment"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas, Strategy: strategy}}
	}
	rolling := func(surge string) appsv1.DeploymentStrategy {
		return appsv1.DeploymentStrategy{RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.Parse(surge))}}
	}
	job := func(parallelism, completions *int32) *batchv1.Job {
		return &batchv1.Job{Spec: batchv1.JobSpec{Parallelism: parallelism, Completions: completions}}
	}
	cron := func(p batchv1.ConcurrencyPolicy) *batchv1.CronJob {
		return &batchv1.CronJob{Spec: batchv1.CronJobSpec{ConcurrencyPolicy: p, JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Parallelism: new(int32(3))}}}}
	}
	for _, row := range []struct {
		why    string
		object render.Object
		want   int64
	}{
		{"a quarter more by default, rounded up", deployment(5, appsv1.DeploymentStrategy{}), 7},
		{"a number more", deployment(5, rolling("3")), 8},
		{"a share more, rounded up", deployment(5, rolling("50%")), 8},
		{"none more", deployment(5, appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType}), 5},
		{"one where nothing is said, and one more", &appsv1.Deployment{}, 2},
		{"a StatefulSet replaces its pods in place", &appsv1.StatefulSet{Spec: appsv1.StatefulSetSpec{Replicas: new(int32(3))}}, 3},
		{"one run of one pod", job(nil, nil), 1},
		{"as many as may go at once", job(new(int32(4)), nil), 4},
		{"as many as there are to do", job(new(int32(4)), new(int32(2))), 2},
		{"one run at a time", cron(batchv1.ForbidConcurrent), 3},
		{"one that ends and one that starts", cron(batchv1.ReplaceConcurrent), 6},
	} {
		got := templatesOf(&Fleet{Units: []Unit{{Objects: []Object{{Object: row.object}}}}})[0]
		if got.most != row.want || got.endless {
			t.Errorf("%s: %d, not %d", row.why, got.most, row.want)
		}
	}
}

func TestCapacity(t *testing.T) {
	fleet := examples(t)[0]
	rooms := func() map[string]int64 {
		t.Helper()
		list := map[string]int64{}
		c, declared := fleet.capacity(templatesOf(&fleet))
		if !declared || c.Fleet != "prod" || len(c.Pools) != len(fleet.Facts.Pools) {
			t.Fatalf("%+v", c)
		}
		for _, r := range c.Rooms {
			list[r.Tier] = r.Tenants
		}
		return list
	}
	// Nodes that only what is added can fill: the tenants there are stay on those that are large enough.
	node := Pool{Name: "shared", Nodes: 40, Spare: 0, CPU: resource.MustParse("16"), Memory: resource.MustParse("32Gi"), Ephemeral: resource.MustParse("100Gi"), Pods: 110}
	own := node
	own.Name, own.Labels = "globex", map[string]string{render.TenantLabel: "globex"}
	own.Taints = []corev1.Taint{{Key: render.TenantLabel, Value: "globex", Effect: corev1.TaintEffectNoSchedule}}
	fleet.Facts.Pools = []Pool{node, own}
	before := rooms()
	if len(before) != 3 || before["basic"] <= before["standard"] || before["standard"] <= before["premium"] {
		t.Errorf("%v", before)
	}
	// 24 nodes more hold as many basic tenants as their quota divides by: 24 pods of 1/6 CPU, 1/3 Gi and 1 Gi.
	// A node holds 96 of them by its CPU and its memory: four tenants.
	fleet.Facts.Pools[0].Nodes += 24
	if grown := rooms()["basic"] - before["basic"]; grown < 24*95/24 || grown > 24*96/24+1 {
		t.Errorf("24 nodes more have room for %d tenants more", grown)
	}
	// Nodes of a tenant's own are nobody else's, and those that may be away are not there.
	fleet.Facts.Pools[1].Nodes += 100
	fleet.Facts.Pools[0].Nodes, fleet.Facts.Pools[0].Spare = 50, 10
	if after := rooms(); !maps.Equal(after, before) {
		t.Errorf("%v, and %v before", after, before)
	}
	// Where not even what there is fits, there is no room.
	fleet.Facts.Pools[0].Nodes, fleet.Facts.Pools[0].Spare = 1, 0
	for tier, n := range rooms() {
		if n != 0 {
			t.Errorf("%d of %s on a node that is too small", n, tier)
		}
	}
	fleet.Facts.Pools = nil
	if c, declared := fleet.capacity(templatesOf(&fleet)); declared {
		t.Errorf("%+v, without any pool", c)
	}
}

// TestUse adds up what one pool is asked for: two pods of 3 CPU and 1 Gi, and a daemon of 1 CPU on each of its nodes.
func TestUse(t *testing.T) {
	pod := func(cpu, memory string) corev1.PodSpec {
		list := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
		return corev1.PodSpec{Containers: []corev1.Container{{Resources: corev1.ResourceRequirements{Requests: list}}}}
	}
	app, agent := &appsv1.Deployment{}, &appsv1.DaemonSet{}
	app.Kind, app.Name, app.Spec.Replicas, app.Spec.Strategy.Type, app.Spec.Template.Spec = "Deployment", "app", new(int32(2)), appsv1.RecreateDeploymentStrategyType, pod("3", "1Gi")
	agent.Kind, agent.Name, agent.Spec.Template.Spec = "DaemonSet", "agent", pod("1", "0")
	f := Fleet{Name: "prod", Units: []Unit{{Name: "acme", Objects: []Object{{Object: app}, {Object: agent}}}}}
	f.Facts.Pools = []Pool{{Name: "shared", Nodes: 3, Spare: 1, CPU: resource.MustParse("4"), Memory: resource.MustParse("2Gi"), Ephemeral: resource.MustParse("1Gi"), Pods: 10}}
	c, _ := f.capacity(templatesOf(&f))
	if want := "pool shared: 100% of CPU, 50% of memory, 0% of disk and 20% of pods asked for, with 1 of 3 nodes away"; c.Pools[0].String() != want {
		t.Errorf("%s", c.Pools[0])
	}
	for _, r := range c.Rooms {
		if r.Tenants != 0 {
			t.Errorf("%s on nodes whose CPU is gone", r)
		}
	}
}

// TestNodesSay looks at what is said of pods that find no node.
func TestNodesSay(t *testing.T) {
	like := Pool{Name: "shared", Nodes: 12, CPU: resource.MustParse("16"), Memory: resource.MustParse("64Gi"), Ephemeral: resource.MustParse("200Gi"), Pods: 110}
	for _, row := range []struct {
		change      func(*Pool)
		unit, wants string
	}{
		{func(p *Pool) { p.CPU = resource.MustParse("150m") }, "hooli", "a pod asks for 0.5 CPU, 2.0Gi memory, 1.0Gi disk, more than any node of shared has"},
		{func(p *Pool) { p.Nodes = 1 }, "acme", "2 pods of acme find no node with 0.6 CPU, 2.2Gi memory, 2.0Gi disk free, in shared, no two on one node"},
		{func(*Pool) {}, "globex", "no pool of nodes takes its pods, by its labels and taints"},
	} {
		pool := like
		row.change(&pool)
		fleet := examples(t)[0]
		fleet.Facts.Pools = []Pool{pool}
		var said []string
		for _, f := range found(capacityRules, fleet)["capacity/nodes"] {
			if f.Unit == row.unit {
				said = append(said, f.Message)
			}
		}
		if !slices.Contains(said, row.wants) {
			t.Errorf("%s: %q, not %q", row.unit, said, row.wants)
		}
	}
}

// TestPoolOf compares what a fleet declares with what is taken from it.
func TestPoolOf(t *testing.T) {
	for _, row := range []struct {
		why  string
		pool render.Pool
		want Pool
	}{
		{"one of many may be away", render.Pool{Name: "a", Nodes: 3, CPU: "1", Memory: "1Gi", Ephemeral: "1Gi", Pods: 9}, Pool{Nodes: 3, Spare: 1}},
		{"a single one may not", render.Pool{Name: "a", Nodes: 1, CPU: "1", Memory: "1Gi", Ephemeral: "1Gi", Pods: 9}, Pool{Nodes: 1}},
		{"as many as is said", render.Pool{Name: "a", Nodes: 3, Spare: 2, CPU: "1", Memory: "1Gi", Ephemeral: "1Gi", Pods: 9}, Pool{Nodes: 3, Spare: 2}},
		{"those of a tenant's own have its label and its taint", render.Pool{Name: "a", Nodes: 1, CPU: "1", Memory: "1Gi", Ephemeral: "1Gi", Pods: 9, Tenant: "acme", Labels: map[string]string{"disk": "nvme"}}, Pool{
			Nodes: 1, Labels: map[string]string{"disk": "nvme", "tenantry.dev/tenant": "acme"}, Taints: []corev1.Taint{{Key: "tenantry.dev/tenant", Value: "acme", Effect: "NoSchedule"}},
		}},
	} {
		row.want.Name, row.want.CPU, row.want.Memory, row.want.Ephemeral, row.want.Pods = "a", resource.MustParse("1"), resource.MustParse("1Gi"), resource.MustParse("1Gi"), 9
		if diff := cmp.Diff(row.want, poolOf(row.pool)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", row.why, diff)
		}
	}
}

func TestPool(t *testing.T) {
	pool := Pool{Labels: map[string]string{"disk": "nvme", "cores": "16"}, Taints: []corev1.Taint{{Key: "gpu", Value: "a", Effect: corev1.TaintEffectNoSchedule}, {Key: "spot", Effect: corev1.TaintEffectPreferNoSchedule}}}
	in := func(key string, op corev1.NodeSelectorOperator, values ...string) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{
			{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}},
		}}}}
	}
	gpu := []corev1.Toleration{{Key: "gpu", Value: "a"}}
	for i, row := range []struct {
		spec corev1.PodSpec
		want bool
	}{
		{corev1.PodSpec{}, false},
		{corev1.PodSpec{Tolerations: gpu}, true},
		{corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "gpu", Value: "b"}}}, false},
		{corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}}}, true},
		{corev1.PodSpec{Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}}}, true},
		{corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: "gpu", Value: "a", Effect: corev1.TaintEffectNoExecute}}}, false},
		{corev1.PodSpec{Tolerations: gpu, NodeSelector: map[string]string{"disk": "nvme", corev1.LabelOSStable: "linux"}}, true},
		{corev1.PodSpec{Tolerations: gpu, NodeSelector: map[string]string{"disk": "hdd"}}, false},
		{corev1.PodSpec{Tolerations: gpu, Affinity: in("disk", corev1.NodeSelectorOpIn, "hdd", "nvme")}, true},
		{corev1.PodSpec{Tolerations: gpu, Affinity: in("disk", corev1.NodeSelectorOpNotIn, "nvme")}, false},
		{corev1.PodSpec{Tolerations: gpu, Affinity: in("zone", corev1.NodeSelectorOpExists)}, false},
		{corev1.PodSpec{Tolerations: gpu, Affinity: in("zone", corev1.NodeSelectorOpDoesNotExist)}, true},
		{corev1.PodSpec{Tolerations: gpu, Affinity: in("cores", corev1.NodeSelectorOpGt, "8")}, true},
		{corev1.PodSpec{Tolerations: gpu, Affinity: in("cores", corev1.NodeSelectorOpLt, "8")}, false},
	} {
		if got := pool.takes(&template{spec: &row.spec}); got != row.want {
			t.Errorf("%d: takes it: %t", i, got)
		}
	}
}

func BenchmarkRules(b *testing.B) {
	for _, count := range []int{100, 300, 1000} {
		f := many(b, count, true)
		f.Facts.Pools = []Pool{{Name: "shared", Nodes: int32(count), Spare: 1, CPU: resource.MustParse("16"), Memory: resource.MustParse("64Gi"), Ephemeral: resource.MustParse("400Gi"), Pods: 110}}
		for _, rules := range [][]Rule{capacityRules, identityRules, nameRules, podRules} {
			kind, _, _ := strings.Cut(rules[0].ID, "/")
			b.Run(fmt.Sprintf("%s/tenants=%d", kind, count), func(b *testing.B) {
				for b.Loop() {
					if all := found(rules, f); len(all) > 0 {
						b.Fatal(all)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("all/tenants=%d", count), func(b *testing.B) {
			for b.Loop() {
				if r := Check([]Fleet{f}, nil, today); len(r.Findings) > 0 {
					b.Fatal(r.Findings[0])
				}
			}
		})
	}
}

// TestPlaces looks for the field that is blamed, and its line.
func TestPlaces(t *testing.T) {
	fleet := examples(t)[0]
	for _, row := range []struct {
		unit, file string
		way        breakage
		field      string
		text       string // of the line in the file as it is
	}{
		{"acme", "deployment-api.yaml", containers("pods/restricted", "", always(func(c *corev1.Container) { c.SecurityContext.Privileged = new(true) })), "spec.template.spec.containers[0].securityContext.privileged", "securityContext:"},
		{"acme", "deployment-api.yaml", containers("pods/restricted", "", always(func(c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = new(true) })), "spec.template.spec.containers[0].securityContext.allowPrivilegeEscalation", "allowPrivilegeEscalation: false"},
		{"initech", "cronjob-database-backup.yaml", initial("pods/restricted", "", always(func(c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = nil })), "spec.jobTemplate.spec.template.spec.initContainers[0].securityContext.allowPrivilegeEscalation", "allowPrivilegeEscalation: false"},
		{"acme", "deployment-api.yaml", inPod("pods/restricted", "", func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeUnconfined }), "spec.template.spec.securityContext.seccompProfile", "seccompProfile:"},
		{"acme", "deployment-api.yaml", inPod("pods/restricted", "", func(s *corev1.PodSpec) { s.HostPID = true }), "spec.template.spec", "spec:"},
		{"acme", "deployment-api.yaml", containers("pods/image", "", always(func(c *corev1.Container) { c.Image = "registry.example.com/api" })), "spec.template.spec.containers[0].image", "image: registry.example.com/parametric_portal/api:sha-1a2b3c4"},
		{"acme", "cluster-database.yaml", custom("pods/registry", "", "postgresql.cnpg.io/Cluster", "elsewhere.example.net/x:1", "spec", "imageName"), "spec", "spec:"},
		{"acme", "role-deployer.yaml", grants("identity/shell", "", core("create", "pods/exec")), "rules[15].resources", "rules:"},
		{"acme", "resourcequota-tier.yaml", breakage{"", "capacity/quota", func(_ *Unit, o render.Object) bool {
			o.(*corev1.ResourceQuota).Spec.Hard[corev1.ResourcePods] = resource.MustParse("1")
			return true
		}}, "spec.hard.pods", `pods: "64"`},
		{"acme", "listenerset-edge.yaml", breakage{"", "names/host", claims(func(*Unit, string) string { return "umbrella.example.com" })}, "spec.listeners[0].hostname", "hostname: acme.example.com"},
		{"acme", "configmap-settings.yaml", breakage{"", "names/mention", func(_ *Unit, o render.Object) bool {
			o.(*corev1.ConfigMap).Data["SMTP_HOST"] = "umbrella.example.com"
			return true
		}}, "data.SMTP_HOST", "SMTP_HOST: mail.acme.example"},
	} {
		o := fleet.object(row.unit, row.file).(kruntime.Object).DeepCopyObject().(render.Object)
		i := slices.IndexFunc(fleet.Units, func(u Unit) bool { return u.Name == row.unit })
		row.way.change(&fleet.Units[i], o)
		rules := slices.DeleteFunc(slices.Concat(capacityRules, identityRules, nameRules, podRules), func(r Rule) bool { return r.ID != row.way.rule })
		list := slices.DeleteFunc(found(rules, fleet.with(row.unit, row.file, o))[row.way.rule], func(f Finding) bool { return f.Unit != row.unit })
		if len(list) != 1 {
			t.Errorf("%s: %d findings, not one: %v", row.file, len(list), list)
			continue
		}
		j := slices.IndexFunc(fleet.Units[i].Objects, func(o Object) bool { return o.File == row.file })
		line := strings.Split(string(fleet.Units[i].Objects[j].yaml), "\n")[list[0].Line-1]
		if got := list[0]; got.Field != row.field || strings.TrimLeft(line, " -") != row.text || got.File != row.file || got.Unit != row.unit || got.Fleet != "prod" {
			t.Errorf("%s: blames %s at %q, not %s at %q", row.file, got.Field, line, row.field, row.text)
		}
	}
}

// TestWildcard has both sides told: who covers others, and who is covered.
func TestWildcard(t *testing.T) {
	fleet := examples(t)[0]
	set := fleet.object("acme", "listenerset-edge.yaml").(*gatewayv1.ListenerSet).DeepCopy()
	set.Spec.Listeners[0].Hostname = new(gatewayv1.Hostname("*.example.com"))
	told := map[string]string{}
	for _, f := range found(nameRules, fleet.with("acme", "listenerset-edge.yaml", set))["names/host"] {
		told[f.Unit] = f.Message
	}
	want := map[string]string{
		"acme":     "*.example.com covers initech.example.com of prod/initech, and 2 more",
		"initech":  "initech.example.com is also prod/acme's: spec.listeners[0].hostname of ListenerSet/edge",
		"stark":    "stark.example.com is also prod/acme's: spec.listeners[0].hostname of ListenerSet/edge",
		"umbrella": "umbrella.example.com is also prod/acme's: spec.listeners[0].hostname of ListenerSet/edge",
	}
	if !maps.Equal(told, want) {
		t.Errorf("%v", told)
	}
}
