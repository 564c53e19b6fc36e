package verify

import (
	"maps"
	"slices"
	"strings"
	"testing"

	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	"github.com/fluxcd/pkg/apis/kustomize"
	fluxmeta "github.com/fluxcd/pkg/apis/meta"
	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	nodev1 "k8s.io/api/node/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/tenantry/tenantry/render"
)

// found is what the rules about one thing find, by rule.
func found(rules []Rule, fleets ...Fleet) map[string][]Finding {
	list := map[string][]Finding{}
	var names *names
	if strings.HasPrefix(rules[0].ID, "names/") {
		names = newNames(fleets)
	}
	for i := range fleets {
		s := &subject{Fleet: &fleets[i], access: newAccess(&fleets[i]), pods: templatesOf(&fleets[i]), names: names}
		for _, r := range rules {
			if findings := r.check(s); len(findings) > 0 {
				list[r.ID] = append(list[r.ID], findings...)
			}
		}
	}
	return list
}

// A breakage is one way to break an object, and the rule that must tell. change returns whether there was
// something to break.
type breakage struct {
	how, rule string
	change    func(u *Unit, o render.Object) bool
}

// tally counts what was broken and what told.
type tally struct {
	rules  []Rule
	alone  bool // the rules look at one unit at a time
	total  int
	byRule map[string]int
	kinds  map[string]bool
}

// breakAll breaks every object of the fleet in every way that there is something to break.
func (n *tally) breakAll(t *testing.T, f Fleet, ways []breakage) {
	t.Helper()
	for i := range f.Units {
		u, around := &f.Units[i], f
		if n.alone {
			around.Units = f.Units[i : i+1]
		}
		for _, o := range u.Objects {
			for _, way := range ways {
				broken := o.Object.(kruntime.Object).DeepCopyObject().(render.Object)
				if way.change(u, broken) {
					with := around.with(u.Name, o.File, broken)
					n.expect(t, with, way, u.Name+"/"+o.File)
					if strings.HasPrefix(way.rule, "identity/") {
						n.idle(t, with, with.active(u.Name, o.File), u.Name+"/"+o.File+": "+way.how)
					}
				}
			}
		}
	}
}

// idle holds what is found in a fleet, but for what is about idle objects, against what is without them.
func (n *tally) idle(t *testing.T, whole, active Fleet, what string) {
	t.Helper()
	there := map[string]bool{}
	for _, u := range active.Units {
		for _, o := range u.Objects {
			there[u.Name+"/"+o.File] = true
		}
	}
	want, got := found(n.rules, whole), found(n.rules, active)
	for rule, list := range want {
		want[rule] = slices.DeleteFunc(list, func(f Finding) bool { return !there[f.Unit+"/"+f.File] })
	}
	maps.DeleteFunc(want, func(_ string, list []Finding) bool { return len(list) == 0 })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: without what is idle, another is found:\n%s", what, diff)
	}
}

// active is the fleet with one file and those that are not idle.
func (f Fleet) active(unit, file string) Fleet {
	out := f
	out.Units = nil
	for _, u := range f.Units {
		u.Objects = slices.DeleteFunc(slices.Clone(u.Objects), func(o Object) bool {
			kind, _, _ := strings.Cut(o.File, "-")
			return Idle(kind) && (u.Name != unit || o.File != file)
		})
		out.Units = append(out.Units, u)
	}
	return out
}

func (n *tally) expect(t *testing.T, f Fleet, way breakage, where string) {
	t.Helper()
	n.total++
	if n.byRule == nil {
		n.byRule, n.kinds = map[string]int{}, map[string]bool{}
	}
	n.kinds[way.how] = true
	all := found(n.rules, f)
	if len(all[way.rule]) == 0 {
		t.Errorf("%s: %s: %s says nothing; found by %v", where, way.how, way.rule, slices.Sorted(maps.Keys(all)))
		return
	}
	n.byRule[way.rule]++
	for _, one := range all[way.rule] {
		if one.Message == "" || one.Remedy == "" || one.Object == "" || one.Unit == "" {
			t.Errorf("%s: %s: an incomplete finding %+v", where, way.how, one)
		}
	}
}

func (n *tally) log(t *testing.T) {
	t.Helper()
	t.Logf("%d breaks of %d kinds, told by %v", n.total, len(n.kinds), n.byRule)
	for _, r := range n.rules {
		if n.byRule[r.ID] == 0 {
			t.Errorf("nothing was broken that %s tells of", r.ID)
		}
	}
}

// pods makes a breakage of one of the pod's spec in whatever object makes pods.
func pods(rule, how string, change func(u *Unit, t *template) bool) breakage {
	return breakage{how, rule, func(u *Unit, o render.Object) bool {
		switch o.(type) {
		case *appsv1.Deployment, *appsv1.StatefulSet, *batchv1.Job, *batchv1.CronJob:
			return change(u, templatesOf(&Fleet{Units: []Unit{{Name: u.Name, Objects: []Object{{Object: o}}}}})[0])
		}
		return false
	}}
}

// containers makes a breakage of one of every container of a pod.
func containers(rule, how string, change func(c *corev1.Container) bool) breakage {
	return pods(rule, how, func(_ *Unit, t *template) bool {
		changed := false
		for i := range t.spec.Containers {
			changed = change(&t.spec.Containers[i]) || changed
		}
		return changed
	})
}

func initial(rule, how string, change func(c *corev1.Container) bool) breakage {
	return pods(rule, how, func(_ *Unit, t *template) bool {
		return len(t.spec.InitContainers) > 0 && change(&t.spec.InitContainers[0])
	})
}

func always[T any](change func(T)) func(T) bool {
	return func(v T) bool { change(v); return true }
}

func inPod(rule, how string, change func(*corev1.PodSpec)) breakage {
	return pods(rule, how, func(_ *Unit, t *template) bool { change(t.spec); return true })
}

func TestBreaksOfPods(t *testing.T) {
	t.Parallel()
	fleet := examples(t)[0]
	set := func(rule, how string, change func(*corev1.Container)) []breakage {
		return []breakage{containers(rule, how, always(change)), initial(rule, how+" of what runs first", always(change))}
	}
	ways := slices.Concat(
		set("pods/restricted", "drop the security context", func(c *corev1.Container) { c.SecurityContext = nil }),
		set("pods/read-only-root", "drop the security context", func(c *corev1.Container) { c.SecurityContext = nil }),
		set("pods/restricted", "drop allowPrivilegeEscalation", func(c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = nil }),
		set("pods/restricted", "allow privilege escalation", func(c *corev1.Container) { c.SecurityContext.AllowPrivilegeEscalation = new(true) }),
		set("pods/restricted", "drop capabilities", func(c *corev1.Container) { c.SecurityContext.Capabilities = nil }),
		set("pods/restricted", "drop less than all", func(c *corev1.Container) { c.SecurityContext.Capabilities.Drop = []corev1.Capability{"NET_RAW"} }),
		set("pods/restricted", "add NET_ADMIN", func(c *corev1.Container) { c.SecurityContext.Capabilities.Add = []corev1.Capability{"NET_ADMIN"} }),
		set("pods/capability", "add SYS_ADMIN", func(c *corev1.Container) { c.SecurityContext.Capabilities.Add = []corev1.Capability{"SYS_ADMIN"} }),
		set("pods/capability", "add NET_BIND_SERVICE", func(c *corev1.Container) {
			c.SecurityContext.Capabilities.Add = []corev1.Capability{"NET_BIND_SERVICE"}
		}),
		set("pods/restricted", "be privileged", func(c *corev1.Container) { c.SecurityContext.Privileged = new(true) }),
		set("pods/restricted", "unmask /proc", func(c *corev1.Container) { c.SecurityContext.ProcMount = new(corev1.UnmaskedProcMount) }),
		set("pods/restricted", "unconfine seccomp", func(c *corev1.Container) {
			c.SecurityContext.SeccompProfile = &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}
		}),
		set("pods/restricted", "unconfine AppArmor", func(c *corev1.Container) {
			c.SecurityContext.AppArmorProfile = &corev1.AppArmorProfile{Type: corev1.AppArmorProfileTypeUnconfined}
		}),
		set("pods/restricted", "take another SELinux type", func(c *corev1.Container) { c.SecurityContext.SELinuxOptions = &corev1.SELinuxOptions{Type: "spc_t"} }),
		set("pods/restricted", "be a process of the Windows host", func(c *corev1.Container) {
			c.SecurityContext.WindowsOptions = &corev1.WindowsSecurityContextOptions{HostProcess: new(true)}
		}),
		set("pods/restricted", "be root", func(c *corev1.Container) { c.SecurityContext.RunAsUser = new(int64(0)) }),
		set("pods/non-root", "be root", func(c *corev1.Container) { c.SecurityContext.RunAsUser = new(int64(0)) }),
		set("pods/non-root", "be of root's group", func(c *corev1.Container) { c.SecurityContext.RunAsGroup = new(int64(0)) }),
		set("pods/restricted", "may be root", func(c *corev1.Container) { c.SecurityContext.RunAsNonRoot = new(false) }),
		set("pods/read-only-root", "drop readOnlyRootFilesystem", func(c *corev1.Container) { c.SecurityContext.ReadOnlyRootFilesystem = nil }),
		set("pods/read-only-root", "write to the root", func(c *corev1.Container) { c.SecurityContext.ReadOnlyRootFilesystem = new(false) }),
		set("pods/restricted", "take a port of the host", func(c *corev1.Container) { c.Ports = []corev1.ContainerPort{{ContainerPort: 8080, HostPort: 8080}} }),
		set("pods/restricted", "probe another host", func(c *corev1.Container) {
			c.LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Host: "10.0.0.10"}}}
		}),
		set("pods/image", "take latest", func(c *corev1.Container) { c.Image, _, _ = strings.Cut(c.Image, ":"); c.Image += ":latest" }),
		set("pods/image", "take no tag", func(c *corev1.Container) { c.Image, _, _ = strings.Cut(c.Image, ":") }),
		set("pods/image", "take a tag that moves", func(c *corev1.Container) { c.Image += "-latest" }),
		set("pods/image", "take no image", func(c *corev1.Container) { c.Image = "" }),
		set("pods/image", "take what is no image", func(c *corev1.Container) { c.Image = "Registry/Not A Name" }),
		set("pods/image", "pull once", func(c *corev1.Container) { c.ImagePullPolicy = corev1.PullIfNotPresent }),
		set("pods/image", "pull by default", func(c *corev1.Container) { c.ImagePullPolicy = "" }),
		set("pods/registry", "take an image of Docker Hub's", func(c *corev1.Container) { c.Image = "valkey/valkey:9.0.1" }),
		set("pods/registry", "take an image of a registry that is called alike", func(c *corev1.Container) { c.Image = "registry.example.com.evil.example/api:1" }),
		set("pods/limits", "drop limits", func(c *corev1.Container) { c.Resources.Limits = nil }),
		set("pods/limits", "drop requests", func(c *corev1.Container) { c.Resources.Requests = nil }),
		[]breakage{
			inPod("pods/restricted", "drop the pod's security context", func(s *corev1.PodSpec) { s.SecurityContext = nil }),
			inPod("pods/restricted", "drop runAsNonRoot", func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil }),
			inPod("pods/non-root", "drop runAsNonRoot", func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil }),
			inPod("pods/non-root", "drop runAsNonRoot in a user namespace", func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot, s.HostUsers = nil, new(false) }),
			inPod("pods/non-root", "be root in a user namespace", func(s *corev1.PodSpec) { s.SecurityContext.RunAsUser, s.HostUsers = new(int64(0)), new(false) }),
			inPod("pods/non-root", "drop runAsUser", func(s *corev1.PodSpec) { s.SecurityContext.RunAsUser = nil }),
			inPod("pods/non-root", "drop runAsGroup", func(s *corev1.PodSpec) { s.SecurityContext.RunAsGroup = nil }),
			inPod("pods/non-root", "be in root's group too", func(s *corev1.PodSpec) { s.SecurityContext.SupplementalGroups = []int64{0} }),
			inPod("pods/restricted", "drop seccomp", func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil }),
			inPod("pods/restricted", "unconfine seccomp of the pod", func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeUnconfined }),
			inPod("pods/restricted", "set a sysctl", func(s *corev1.PodSpec) {
				s.SecurityContext.Sysctls = []corev1.Sysctl{{Name: "kernel.msgmax", Value: "65536"}}
			}),
			inPod("pods/restricted", "join the host's network", func(s *corev1.PodSpec) { s.HostNetwork = true }),
			inPod("pods/restricted", "join the host's processes", func(s *corev1.PodSpec) { s.HostPID = true }),
			inPod("pods/restricted", "join the host's IPC", func(s *corev1.PodSpec) { s.HostIPC = true }),
			inPod("pods/restricted", "mount the host", func(s *corev1.PodSpec) {
				s.Volumes = append(s.Volumes, corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
			}),
			inPod("pods/restricted", "mount NFS", func(s *corev1.PodSpec) {
				s.Volumes = append(s.Volumes, corev1.Volume{Name: "nfs", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "10.0.0.1", Path: "/"}}})
			}),
			inPod("pods/registry", "mount an image from elsewhere", func(s *corev1.PodSpec) {
				s.Volumes = append(s.Volumes, corev1.Volume{Name: "image", VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "elsewhere.example.net/library/tools:1"}}})
			}),
			inPod("pods/restricted", "run an ephemeral container as root", func(s *corev1.PodSpec) {
				s.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug"}}}
			}),
			inPod("pods/host-alias", "say where a name leads", func(s *corev1.PodSpec) {
				s.HostAliases = []corev1.HostAlias{{IP: "10.0.0.10", Hostnames: []string{"db.prod.globex.example"}}}
			}),
			inPod("pods/placement", "name a node", func(s *corev1.PodSpec) { s.NodeName = "node-1" }),
			inPod("pods/placement", "tolerate everything", func(s *corev1.PodSpec) {
				s.Tolerations = append(s.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
			}),
			inPod("pods/placement", "tolerate every tenant's nodes", func(s *corev1.PodSpec) {
				s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: render.TenantLabel, Operator: corev1.TolerationOpExists})
			}),
			inPod("pods/placement", "tolerate another tenant's nodes", func(s *corev1.PodSpec) {
				s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: render.TenantLabel, Value: "wayne"})
			}),
			inPod("pods/placement", "tolerate the control plane", func(s *corev1.PodSpec) {
				s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: "node-role.kubernetes.io/control-plane", Operator: corev1.TolerationOpExists})
			}),
			inPod("pods/placement", "select another tenant's nodes", func(s *corev1.PodSpec) { s.NodeSelector = map[string]string{render.TenantLabel: "wayne"} }),
			pods("pods/placement", "leave the tenant's nodes", func(_ *Unit, t *template) bool {
				had := len(t.spec.NodeSelector) > 0
				t.spec.NodeSelector = nil
				return had
			}),
			pods("pods/placement", "tolerate the tenant's nodes no more", func(_ *Unit, t *template) bool {
				had := len(t.spec.Tolerations) > 0
				t.spec.Tolerations = nil
				return had
			}),
			pods("pods/placement", "leave the sandbox", func(_ *Unit, t *template) bool {
				had := t.spec.RuntimeClassName != nil
				t.spec.RuntimeClassName = nil
				return had
			}),
			pods("pods/priority", "go before everybody", func(u *Unit, t *template) bool {
				t.spec.PriorityClassName = "system-cluster-critical"
				return u.Name != render.PlatformUnit
			}),
			pods("pods/priority", "go after everybody", func(_ *Unit, t *template) bool {
				t.spec.PriorityClassName = ""
				return true
			}),
			pods("pods/priority", "go with the platform", func(u *Unit, t *template) bool {
				t.spec.PriorityClassName = "platform"
				return u.Name != render.PlatformUnit
			}),
			pods("pods/probes", "drop readiness", func(_ *Unit, t *template) bool {
				had := t.spec.Containers[0].ReadinessProbe != nil
				t.spec.Containers[0].ReadinessProbe = nil
				return had
			}),
			pods("pods/probes", "drop liveness", func(_ *Unit, t *template) bool {
				had := t.spec.Containers[0].LivenessProbe != nil
				t.spec.Containers[0].LivenessProbe = nil
				return had
			}),
			{"have every pod go before others", "pods/priority", func(_ *Unit, o render.Object) bool {
				c, ok := o.(*schedulingv1.PriorityClass)
				if ok {
					c.GlobalDefault = true
				}
				return ok
			}},
			{"have a tier go before the platform", "pods/priority", func(_ *Unit, o render.Object) bool {
				c, ok := o.(*schedulingv1.PriorityClass)
				if ok {
					c.Value = 10_000
				}
				return ok && strings.HasPrefix(c.Name, "tenant-")
			}},
			{"have no kernel in the sandbox", "pods/placement", func(_ *Unit, o render.Object) bool {
				c, ok := o.(*nodev1.RuntimeClass)
				if ok {
					c.Handler = "runc"
				}
				return ok
			}},
			{"let pods be privileged", "pods/admission", namespaceLabel("pod-security.kubernetes.io/enforce", "privileged")},
			{"let pods be baseline", "pods/admission", namespaceLabel("pod-security.kubernetes.io/enforce", "baseline")},
			{"enforce nothing", "pods/admission", namespaceLabel("pod-security.kubernetes.io/enforce", "")},
			{"enforce what an old version asked for", "pods/admission", namespaceLabel("pod-security.kubernetes.io/enforce-version", "v1.19")},
			{"pin no version", "pods/admission", namespaceLabel("pod-security.kubernetes.io/enforce-version", "")},
		},
	)
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
		ways = append(ways, set("pods/limits", "drop the limit of "+string(name), func(c *corev1.Container) { delete(c.Resources.Limits, name) })...)
		ways = append(ways, set("pods/limits", "drop the request of "+string(name), func(c *corev1.Container) { delete(c.Resources.Requests, name) })...)
		if name != corev1.ResourceCPU {
			ways = append(ways, set("pods/limits", "promise twice the "+string(name), func(c *corev1.Container) {
				q := c.Resources.Requests[name].DeepCopy()
				q.Mul(2)
				c.Resources.Limits[name] = q
			})...)
		}
	}
	n := tally{rules: podRules, alone: true}
	n.breakAll(t, fleet, ways)
	n.breakAll(t, fleet, operatorBreaks())
	n.log(t)
}

func namespaceLabel(key, value string) func(*Unit, render.Object) bool {
	return func(_ *Unit, o render.Object) bool {
		ns, ok := o.(*corev1.Namespace)
		if ok && value == "" {
			delete(ns.Labels, key)
		} else if ok {
			ns.Labels[key] = value
		}
		return ok
	}
}

// custom makes a breakage of a custom resource: it sets a field, or takes it out where the value is nil.
func custom(rule, how, id string, value any, field ...string) breakage {
	return breakage{how, rule, func(_ *Unit, o render.Object) bool {
		u, ok := o.(*unstructured.Unstructured)
		if gvk := o.GetObjectKind().GroupVersionKind(); !ok || gvk.Group+"/"+gvk.Kind != id {
			return false
		}
		if value == nil {
			unstructured.RemoveNestedField(u.Object, field...)
			return true
		}
		if err := unstructured.SetNestedField(u.Object, value, field...); err != nil {
			panic(err)
		}
		return true
	}}
}

func operatorBreaks() []breakage {
	const cluster, pooler, store = "postgresql.cnpg.io/Cluster", "postgresql.cnpg.io/Pooler", "barmancloud.cnpg.io/ObjectStore"
	patch := map[string]any{"cnpg.io/podPatch": `[{"op": "add", "path": "/spec/hostNetwork", "value": true}]`}
	bouncer := func(more map[string]any) []any {
		c := map[string]any{"name": "pgbouncer", "resources": map[string]any{
			"limits":   map[string]any{"cpu": "1", "memory": "128Mi", "ephemeral-storage": "1Gi"},
			"requests": map[string]any{"cpu": "1", "memory": "128Mi", "ephemeral-storage": "1Gi"},
		}}
		maps.Copy(c, more)
		return []any{c}
	}
	return []breakage{
		custom("pods/patch", "patch the pods of a database", cluster, patch, "metadata", "annotations"),
		custom("pods/patch", "patch the pods of a pooler", pooler, patch, "metadata", "annotations"),
		custom("pods/image", "take any image for a database", cluster, nil, "spec", "imageName"),
		custom("pods/image", "take the latest database", cluster, "registry.example.com/postgres:latest", "spec", "imageName"),
		custom("pods/image", "pull a database's image once", cluster, "IfNotPresent", "spec", "imagePullPolicy"),
		custom("pods/registry", "take a database from elsewhere", cluster, "ghcr.io/cloudnative-pg/postgresql:18.1", "spec", "imageName"),
		custom("pods/limits", "bound no database", cluster, nil, "spec", "resources"),
		custom("pods/limits", "let a database use what it does not request", cluster, "64Gi", "spec", "resources", "limits", "memory"),
		custom("pods/limits", "bound no sidecar", store, nil, "spec", "instanceSidecarConfiguration", "resources"),
		custom("pods/restricted", "unconfine a database", cluster, "Unconfined", "spec", "seccompProfile", "type"),
		custom("pods/restricted", "let a database be root", cluster, map[string]any{"runAsNonRoot": false}, "spec", "securityContext"),
		custom("pods/restricted", "let a database be privileged", cluster, map[string]any{"privileged": true}, "spec", "securityContext"),
		custom("pods/restricted", "give a database capabilities", cluster, map[string]any{"add": []any{"SYS_PTRACE"}}, "spec", "securityContext", "capabilities"),
		custom("pods/restricted", "unconfine a database by annotation", cluster, map[string]any{"container.apparmor.security.beta.kubernetes.io/postgres": "unconfined"}, "metadata", "annotations"),
		custom("pods/non-root", "make a database root", cluster, map[string]any{"runAsUser": int64(0), "runAsNonRoot": true}, "spec", "podSecurityContext"),
		custom("pods/read-only-root", "let a database write to its root", cluster, map[string]any{"readOnlyRootFilesystem": false}, "spec", "securityContext"),
		custom("pods/placement", "tolerate every node with a database", cluster, []any{map[string]any{"operator": "Exists"}}, "spec", "affinity", "tolerations"),
		custom("pods/priority", "put a database before everybody", cluster, "system-node-critical", "spec", "priorityClassName"),
		custom("pods/restricted", "put a pooler in the host's network", pooler, true, "spec", "template", "spec", "hostNetwork"),
		custom("pods/restricted", "mount the host in a pooler", pooler, []any{map[string]any{"name": "host", "hostPath": map[string]any{"path": "/"}}}, "spec", "template", "spec", "volumes"),
		custom("pods/limits", "bound no pooler", pooler, []any{map[string]any{"name": "pgbouncer"}}, "spec", "template", "spec", "containers"),
		custom("pods/registry", "take a pooler from elsewhere", pooler, bouncer(map[string]any{"image": "ghcr.io/cloudnative-pg/pgbouncer:1.25.0"}), "spec", "template", "spec", "containers"),
		custom("pods/registry", "take a pooler's image from elsewhere", pooler, "elsewhere.example.net/library/pgbouncer:1", "spec", "pgbouncer", "image"),
		custom("pods/image", "take the latest pooler", pooler, "registry.example.com/pgbouncer", "spec", "pgbouncer", "image"),
	}
}

// grants adds a rule to every Role.
func grants(id, how string, r rbacv1.PolicyRule) breakage {
	return breakage{how, id, func(_ *Unit, o render.Object) bool {
		role, ok := o.(*rbacv1.Role)
		if ok {
			role.Rules = append(role.Rules, r)
		}
		return ok
	}}
}

func core(verb string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: resources, Verbs: []string{verb}}
}

func of(group, verb string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{verb}}
}

func TestBreaksOfIdentity(t *testing.T) {
	t.Parallel()
	fleet := examples(t)[0]
	const rbac = rbacv1.GroupName
	ways := []breakage{
		grants("identity/wildcard", "every verb", core("*", "configmaps")),
		grants("identity/wildcard", "every resource", core("get", "*")),
		grants("identity/wildcard", "every subresource", core("get", "pods/*")),
		grants("identity/wildcard", "one subresource of everything", core("get", "*/status")),
		grants("identity/wildcard", "every group", of("*", "get", "configmaps")),
		grants("identity/wildcard", "every path", rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/debug/*"}}),
		grants("identity/shell", "attach through a subresource of everything", core("create", "*/attach")),
		grants("identity/bounds", "tokens through a subresource of accounts", core("create", "serviceaccounts/*")),
		grants("identity/bounds", "bounds among everything", rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"patch"}}),
		grants("identity/pods", "pods among everything", core("create", "*")),
		grants("identity/escalation", "escalate", of(rbac, "escalate", "roles")),
		grants("identity/escalation", "bind", of(rbac, "bind", "clusterroles")),
		grants("identity/escalation", "impersonate users", core("impersonate", "users")),
		grants("identity/escalation", "impersonate accounts", core("impersonate", "serviceaccounts")),
		grants("identity/escalation", "impersonate on behalf", of("authentication.k8s.io", "impersonate-on:user-info:list", "users")),
		grants("identity/escalation", "any verb on roles", of(rbac, "*", "roles")),
		grants("identity/escalation", "sign certificates", of("certificates.k8s.io", "sign", "signers")),
		grants("identity/escalation", "approve certificates", of("certificates.k8s.io", "approve", "signers")),
		grants("identity/pods", "create pods", core("create", "pods")),
		grants("identity/pods", "patch pods", core("patch", "pods")),
		{"read Secrets as the API", "identity/undeclared", func(_ *Unit, o render.Object) bool {
			role, ok := o.(*rbacv1.Role)
			if ok {
				role.Rules = append(role.Rules, core("get", "secrets"))
			}
			return ok && role.Name == "api-reads-pods"
		}},
	}
	for _, sub := range []string{"pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "pods/ephemeralcontainers", "services/proxy", "nodes/proxy"} {
		for _, verb := range []string{"get", "create", "patch"} {
			ways = append(ways, grants("identity/shell", verb+" "+sub, core(verb, sub)))
		}
	}
	var bounding []breakage
	for _, verb := range []string{"create", "update", "patch", "delete", "deletecollection"} {
		for _, r := range []rbacv1.PolicyRule{
			of(rbac, verb, "roles"), of(rbac, verb, "rolebindings"), of(rbac, verb, "clusterrolebindings"), core(verb, "resourcequotas"), core(verb, "limitranges"), core(verb, "namespaces"),
			core(verb, "serviceaccounts"), core(verb, "serviceaccounts/token"), core(verb, "endpoints"), core(verb, "nodes"), core(verb, "persistentvolumes"), core(verb, "pods/binding"),
			of("networking.k8s.io", verb, "networkpolicies"), of("cilium.io", verb, "ciliumnetworkpolicies"), of("gateway.networking.k8s.io", verb, "referencegrants"),
			of("gateway.networking.k8s.io", verb, "gateways"), of("discovery.k8s.io", verb, "endpointslices"), of("apiextensions.k8s.io", verb, "customresourcedefinitions"),
			of("admissionregistration.k8s.io", verb, "mutatingwebhookconfigurations"), of("certificates.k8s.io", verb, "certificatesigningrequests"), of("scheduling.k8s.io", verb, "priorityclasses"),
			of("storage.k8s.io", verb, "storageclasses"), of("node.k8s.io", verb, "runtimeclasses"), of("cert-manager.io", verb, "clusterissuers"),
			of("apiregistration.k8s.io", verb, "apiservices"), of("authentication.k8s.io", verb, "tokenreviews"), of("crd.projectcalico.org", verb, "globalnetworkpolicies"),
			of("projectcalico.org", verb, "tiers"), of("policy.networking.k8s.io", verb, "adminnetworkpolicies"), of("external-secrets.io", verb, "clustersecretstores"),
			of("flowcontrol.apiserver.k8s.io", verb, "flowschemas"), of("kustomize.toolkit.fluxcd.io", verb, "kustomizations"), of("source.toolkit.fluxcd.io", verb, "gitrepositories"),
			of("helm.toolkit.fluxcd.io", verb, "helmreleases"), of("gateway.envoyproxy.io", verb, "envoyproxies"), of("networking.k8s.io", verb, "ingressclasses"), core(verb, "services/status"),
		} {
			bounding = append(bounding, grants("identity/bounds", verb+" "+r.Resources[0], r))
		}
	}
	bind := func(id, how string, change func(u *Unit, b *rbacv1.RoleBinding)) breakage {
		return breakage{how, id, func(u *Unit, o render.Object) bool {
			b, ok := o.(*rbacv1.RoleBinding)
			if ok {
				change(u, b)
			}
			return ok
		}}
	}
	for how, s := range map[string]rbacv1.Subject{
		"an account of another tenant":  {Kind: "ServiceAccount", Name: "api", Namespace: "wayne-or-globex"},
		"another tenant's accounts":     {Kind: "Group", APIGroup: rbac, Name: "system:serviceaccounts:wayne-or-globex"},
		"another tenant's user name":    {Kind: "User", APIGroup: rbac, Name: "system:serviceaccount:wayne-or-globex:api"},
		"every account":                 {Kind: "Group", APIGroup: rbac, Name: "system:serviceaccounts"},
		"everybody who is known":        {Kind: "Group", APIGroup: rbac, Name: "system:authenticated"},
		"everybody":                     {Kind: "Group", APIGroup: rbac, Name: "system:unauthenticated"},
		"anonymous":                     {Kind: "User", APIGroup: rbac, Name: "system:anonymous"},
		"a person":                      {Kind: "User", APIGroup: rbac, Name: "mallory"},
		"a group of people":             {Kind: "Group", APIGroup: rbac, Name: "system:masters"},
		"a namespace that is no unit":   {Kind: "ServiceAccount", Name: "default", Namespace: "default"},
		"the platform":                  {Kind: "ServiceAccount", Name: "default", Namespace: "platform"},
		"every account of its own":      {Kind: "Group", APIGroup: rbac, Name: "system:serviceaccounts:own"},
		"an account that has no grants": {Kind: "ServiceAccount", Name: "default", Namespace: "own"},
	} {
		id := "identity/cross-tenant"
		if slices.Contains([]string{"a person", "a group of people", "a namespace that is no unit", "the platform", "every account of its own", "an account that has no grants"}, how) {
			id = "identity/undeclared"
		}
		ways = append(ways, bind(id, "bind "+how, func(u *Unit, b *rbacv1.RoleBinding) {
			other := "globex"
			if u.Name == other {
				other = "acme"
			}
			who := s
			for old, to := range map[string]string{"wayne-or-globex": other, "own": u.Name} {
				who.Namespace = strings.Replace(who.Namespace, old, to, 1)
				if strings.HasSuffix(who.Name, ":"+old) || strings.Contains(who.Name, ":"+old+":") {
					who.Name = strings.Replace(who.Name, old, to, 1)
				}
			}
			b.Subjects = append(b.Subjects, who)
		}))
	}
	ways = append(ways,
		bind("identity/unseen-role", "bind cluster-admin", func(_ *Unit, b *rbacv1.RoleBinding) {
			b.RoleRef = rbacv1.RoleRef{APIGroup: rbac, Kind: "ClusterRole", Name: "cluster-admin"}
		}),
		bind("identity/unseen-role", "bind edit", func(_ *Unit, b *rbacv1.RoleBinding) {
			b.RoleRef = rbacv1.RoleRef{APIGroup: rbac, Kind: "ClusterRole", Name: "edit"}
		}),
		bind("identity/unseen-role", "bind a role that is not there", func(_ *Unit, b *rbacv1.RoleBinding) { b.RoleRef.Name = "another" }),
		breakage{"have a token in every pod of an account", "identity/token", account(func(a *corev1.ServiceAccount) { a.AutomountServiceAccountToken = nil })},
		breakage{"have a token", "identity/token", account(func(a *corev1.ServiceAccount) { a.AutomountServiceAccountToken = new(true) })},
		pods("identity/token", "leave a token to the account", func(_ *Unit, t *template) bool {
			had := *t.spec.AutomountServiceAccountToken
			t.spec.AutomountServiceAccountToken = nil
			return !had
		}),
		pods("identity/token", "mount a token", func(_ *Unit, t *template) bool {
			had := *t.spec.AutomountServiceAccountToken
			t.spec.AutomountServiceAccountToken = new(true)
			return !had
		}),
		pods("identity/token", "mount the deployer's token", func(u *Unit, t *template) bool {
			t.spec.AutomountServiceAccountToken, t.spec.ServiceAccountName = new(true), "deployer"
			return u.Name != render.PlatformUnit
		}),
		pods("identity/token", "project a token", func(_ *Unit, t *template) bool { return project(t, "") }),
		pods("identity/token", "project a token for somebody else", func(_ *Unit, t *template) bool { return project(t, "vault") }),
		pods("identity/token", "have a certificate", func(_ *Unit, t *template) bool {
			t.spec.Volumes = append(t.spec.Volumes, corev1.Volume{Name: "certificate", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{PodCertificate: &corev1.PodCertificateProjection{SignerName: "kubernetes.io/kube-apiserver-client-pod"}}},
			}}})
			return t.object.GetName() != "api"
		}),
		breakage{"keep a token in a Secret", "identity/token", func(_ *Unit, o render.Object) bool {
			s, ok := o.(*corev1.Secret)
			if ok {
				s.Type = corev1.SecretTypeServiceAccountToken
			}
			return ok
		}},
		breakage{"aggregate to admin", "identity/unseen-role", func(_ *Unit, o render.Object) bool {
			r, ok := o.(*rbacv1.Role)
			if ok {
				r.Labels["rbac.authorization.k8s.io/aggregate-to-admin"] = "true"
			}
			return ok
		}},
	)
	for how, change := range map[string]func(*kustomizev1.KustomizationSpec){
		"apply with Flux's own rights":      func(k *kustomizev1.KustomizationSpec) { k.ServiceAccountName = "" },
		"apply by another tenant's account": func(k *kustomizev1.KustomizationSpec) { k.ServiceAccountName = "acme.deployer" },
		"apply another tenant's unit":       func(k *kustomizev1.KustomizationSpec) { k.Path = "./golden/prod/acme" },
		"apply the platform": func(k *kustomizev1.KustomizationSpec) {
			k.Path, k.ServiceAccountName = "./golden/prod/platform", "acme.deployer"
		},
		"apply more than the bounds": func(k *kustomizev1.KustomizationSpec) { k.ServiceAccountName, k.Patches = "fleet", nil },
		"apply another stage as the fleet": func(k *kustomizev1.KustomizationSpec) {
			k.ServiceAccountName, k.Patches[0].Target.AnnotationSelector = "fleet", render.StageAnnotation+"!=workload"
		},
		"apply what is not bounds as well": func(k *kustomizev1.KustomizationSpec) {
			k.ServiceAccountName, k.Patches[0].Target.AnnotationSelector = "fleet", render.StageAnnotation+"!=bounds,x"
		},
		"patch":                             func(k *kustomizev1.KustomizationSpec) { k.Patches[0].Patch = "- op: remove\n  path: /spec\n" },
		"patch everything":                  func(k *kustomizev1.KustomizationSpec) { k.Patches[0].Target = nil },
		"substitute":                        func(k *kustomizev1.KustomizationSpec) { k.PostBuild = &kustomizev1.PostBuild{} },
		"rename":                            func(k *kustomizev1.KustomizationSpec) { k.NamePrefix = "new-" },
		"move to another namespace":         func(k *kustomizev1.KustomizationSpec) { k.TargetNamespace = "acme" },
		"run other images":                  func(k *kustomizev1.KustomizationSpec) { k.Images = []kustomize.Image{{Name: "a", NewName: "b"}} },
		"label":                             func(k *kustomizev1.KustomizationSpec) { k.CommonMetadata = &kustomizev1.CommonMetadata{} },
		"add components":                    func(k *kustomizev1.KustomizationSpec) { k.Components = []string{"../acme"} },
		"replace what cannot be changed":    func(k *kustomizev1.KustomizationSpec) { k.Force = true },
		"delete all with the Kustomization": func(k *kustomizev1.KustomizationSpec) { k.DeletionPolicy = "" },
		"take them from somebody else":      func(k *kustomizev1.KustomizationSpec) { k.SourceRef.Namespace = "default" },
		"apply to another cluster":          func(k *kustomizev1.KustomizationSpec) { k.KubeConfig = &fluxmeta.KubeConfigReference{} },
	} {
		ways = append(ways, breakage{how, "identity/delivery", func(_ *Unit, o render.Object) bool {
			k, ok := o.(*kustomizev1.Kustomization)
			if ok {
				change(&k.Spec)
			}
			return ok
		}})
	}
	note := func(how, key, value string, of func(render.Object) bool) breakage {
		return breakage{how, "identity/delivery", func(u *Unit, o render.Object) bool {
			if u.Name != "stark" || !of(o) {
				return false
			}
			o.SetAnnotations(map[string]string{key: value})
			return true
		}}
	}
	ways = append(ways,
		note("be applied by nobody", pruneAnnotation, "disabled", func(render.Object) bool { return true }),
		note("be applied by the fleet", render.StageAnnotation, "bounds", func(o render.Object) bool {
			return !slices.Contains(boundKinds, o.GetObjectKind().GroupVersionKind().Kind)
		}),
		note("be deleted with its data", render.StageAnnotation, "foundation", func(o render.Object) bool {
			return slices.Contains([]string{"Cluster", "Database", "Namespace", "StatefulSet"}, o.GetObjectKind().GroupVersionKind().Kind)
		}),
	)
	bounds := func(o render.Object) bool {
		return slices.Contains(boundKinds, o.GetObjectKind().GroupVersionKind().Kind)
	}
	order := func(how, key, value string) []breakage {
		return []breakage{
			{how, "identity/delivery", func(u *Unit, o render.Object) bool {
				notes := maps.Clone(o.GetAnnotations())
				if u.Name != "stark" {
					return false
				}
				notes[key] = value
				o.SetAnnotations(notes)
				return true
			}},
			{how + " by a label", "identity/delivery", func(u *Unit, o render.Object) bool {
				o.SetLabels(map[string]string{key: value})
				return u.Name == "stark"
			}},
		}
	}
	ways = slices.Concat(ways,
		[]breakage{note("be dropped from the bounds", render.StageAnnotation, "foundation", bounds), note("be applied by who it bounds", render.StageAnnotation, "workload", bounds)},
		order("be left as it is", "kustomize.toolkit.fluxcd.io/reconcile", "disabled"),
		order("be ignored", "kustomize.toolkit.fluxcd.io/ssa", "Ignore"),
		order("be applied once", "kustomize.toolkit.fluxcd.io/ssa", "IfNotPresent"),
		order("keep what others add", "kustomize.toolkit.fluxcd.io/ssa", "Merge"),
		order("be deleted and made again", "kustomize.toolkit.fluxcd.io/force", "enabled"),
		order("be no part of the unit", "config.kubernetes.io/local-config", "true")[:1],
	)
	n := tally{rules: identityRules}
	n.breakAll(t, fleet, ways)
	n.breakAll(t, Fleet{Name: fleet.Name, Facts: fleet.Facts, Units: slices.DeleteFunc(slices.Clone(fleet.Units), func(u Unit) bool { return u.Name != "acme" })}, bounding)
	for _, u := range fleet.Units {
		n.expect(t, fleet.with(u.Name, "serviceaccount-default.yaml", nil), breakage{"leave the account default to the cluster", "identity/token", nil}, u.Name)
	}
	binding := &rbacv1.ClusterRoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: rbac + "/v1", Kind: "ClusterRoleBinding"}, ObjectMeta: metav1.ObjectMeta{Name: "x"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbac, Kind: "ClusterRole", Name: "reader"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "api", Namespace: "acme"}},
	}
	reader := &rbacv1.ClusterRole{
		TypeMeta: metav1.TypeMeta{APIVersion: rbac + "/v1", Kind: "ClusterRole"}, ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{"reader": "true"}}}},
	}
	part := &rbacv1.ClusterRole{
		TypeMeta: reader.TypeMeta, ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: map[string]string{"reader": "true"}}, Rules: []rbacv1.PolicyRule{core("list", "secrets")},
	}
	for _, unit := range []string{"acme", render.PlatformUnit} {
		n.expect(t, fleet.and(unit, binding, reader, part), breakage{"bind an account in every namespace", "identity/cluster-wide", nil}, unit)
	}
	// What is aggregated counts too.
	own := fleet.object("acme", "rolebinding-api-reads-pods.yaml").(*rbacv1.RoleBinding).DeepCopy()
	own.RoleRef = rbacv1.RoleRef{APIGroup: rbac, Kind: "ClusterRole", Name: "reader"}
	n.expect(t, fleet.with("acme", "rolebinding-api-reads-pods.yaml", own).and(render.PlatformUnit, reader, part), breakage{"aggregate what is read", "identity/undeclared", nil}, "acme")
	n.log(t)
}

func account(change func(*corev1.ServiceAccount)) func(*Unit, render.Object) bool {
	return func(_ *Unit, o render.Object) bool {
		a, ok := o.(*corev1.ServiceAccount)
		if ok {
			change(a)
		}
		return ok
	}
}

func project(t *template, audience string) bool {
	t.spec.Volumes = append(t.spec.Volumes, corev1.Volume{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: audience, Path: "token"}}},
	}}})
	return t.object.GetName() != "api"
}

// and is the fleet with more objects in a unit.
func (f Fleet) and(unit string, objects ...render.Object) Fleet {
	f.Units = slices.Clone(f.Units)
	for i := range f.Units {
		if f.Units[i].Name == unit {
			f.Units[i].Objects = slices.Clone(f.Units[i].Objects)
			for _, o := range objects {
				f.Units[i].Objects = append(f.Units[i].Objects, Object{Object: o, File: "added-" + o.GetName() + ".yaml"})
			}
		}
	}
	return f
}

func (f *Fleet) object(unit, file string) render.Object {
	for _, u := range f.Units {
		for _, o := range u.Objects {
			if u.Name == unit && o.File == file {
				return o.Object
			}
		}
	}
	panic("no " + unit + "/" + file)
}

func TestBreaksOfNames(t *testing.T) {
	t.Parallel()
	fleet := examples(t)[0]
	host := func(u *Unit) string { // another tenant's
		if u.Name == "umbrella" {
			return "acme.example.com"
		}
		return "umbrella.example.com"
	}
	var ways []breakage
	for how, hostOf := range map[string]func(*Unit) string{
		"another tenant's host":             host,
		"another tenant's host in capitals": func(u *Unit) string { return strings.ToUpper(host(u)) },
		"a wildcard over other tenants":     func(*Unit) string { return "*.example.com" },
		"a wildcard over everything":        func(*Unit) string { return "*.com" },
	} {
		ways = append(ways, breakage{"claim " + how, "names/host", claims(func(u *Unit, _ string) string { return hostOf(u) })})
	}
	ways = append(ways,
		breakage{"claim every host", "names/host", func(u *Unit, o render.Object) bool {
			switch w := o.(type) {
			case *gatewayv1.ListenerSet:
				w.Spec.Listeners[0].Hostname = nil
			case *gatewayv1.HTTPRoute:
				w.Spec.Hostnames = nil
			case *networkingv1.Ingress:
				w.Spec.Rules[0].Host = ""
			default:
				return false
			}
			return u.Name != render.PlatformUnit
		}},
		breakage{"answer to whatever nobody answers to", "names/host", func(u *Unit, o render.Object) bool {
			i, ok := o.(*networkingv1.Ingress)
			if ok {
				i.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "api"}}
			}
			return ok
		}},
		breakage{"certify another tenant's host by the old name", "names/host", func(u *Unit, o render.Object) bool {
			c, ok := o.(*certv1.Certificate)
			if ok {
				c.Spec.CommonName = host(u)
			}
			return ok
		}},
		custom("names/mention", "fill another tenant's host into a Secret", "external-secrets.io/ExternalSecret", "https://acme.example.com", "spec", "target", "template", "data", "url"),
		custom("names/mention", "copy another tenant's database", "postgresql.cnpg.io/Cluster", []any{map[string]any{
			"name": "other", "connectionParameters": map[string]any{"host": "database.initech.svc", "user": "streaming_replica"},
		}}, "spec", "externalClusters"),
		breakage{"have a Service at another tenant's host", "names/host", func(u *Unit, o render.Object) bool {
			s, ok := o.(*corev1.Service)
			if ok {
				s.Annotations = map[string]string{"external-dns.alpha.kubernetes.io/hostname": host(u)}
			}
			return ok
		}},
		breakage{"certify another namespace's Service", "names/host", func(u *Unit, o render.Object) bool {
			c, ok := o.(*certv1.Certificate)
			if ok {
				c.Spec.DNSNames = append(c.Spec.DNSNames, "api.globex.svc.cluster.local")
			}
			return ok && u.Name != "globex"
		}},
		breakage{"certify another namespace's Service by its short name", "names/host", func(u *Unit, o render.Object) bool {
			c, ok := o.(*certv1.Certificate)
			if ok {
				c.Spec.DNSNames = append(c.Spec.DNSNames, "api.globex")
			}
			return ok && u.Name != "globex"
		}},
		breakage{"back up into another tenant's bucket", "names/bucket", func(u *Unit, o render.Object) bool {
			other := map[string]string{"acme": "s3://umbrella-prod/", "umbrella": "s3://acme-backup-prod/x", "stark": "s3://acme-backup-prod/x"}[u.Name]
			return custom("", "", "barmancloud.cnpg.io/ObjectStore", other, "spec", "configuration", "destinationPath").change(u, o)
		}},
		breakage{"store in another tenant's bucket", "names/bucket", func(u *Unit, o render.Object) bool {
			m, ok := o.(*corev1.ConfigMap)
			if !ok || m.Data["STORAGE_BUCKET"] == "" {
				return false
			}
			other := map[string]string{"acme": "hooli", "hooli": "initech-backup", "initech": "acme", "umbrella": "acme-backup-prod", "globex": "", "stark": "acme-backup-prod"}[u.Name]
			m.Data["STORAGE_BUCKET"] = other
			return other != ""
		}},
		pods("names/bucket", "dump into another tenant's bucket", func(_ *Unit, t *template) bool {
			return variableOf(t, "BUCKET", "hooli")
		}),
		breakage{"generate another tenant's value", "names/secret", secretSource("generated:", func(u *Unit) string {
			return "generated:prod/wayne/cache/password?bytes=32&version=1"
		})},
		breakage{"generate the same as in another fleet", "names/secret", secretSource("generated:", func(u *Unit) string {
			return "generated:staging/" + u.Name + "/cache/password?bytes=32&version=1"
		})},
		breakage{"take another tenant's variable", "names/secret", secretSource("environment:", func(u *Unit) string {
			if u.Name == "acme" {
				return "environment:HOOLI__OPENAI_API_KEY"
			}
			return "environment:ACME__OPENAI_API_KEY"
		})},
		breakage{"take what another tenant may have some day", "names/secret", secretSource("environment:", func(u *Unit) string {
			if u.Name == "acme" {
				return "environment:HOOLI__NEW"
			}
			return "environment:ACME__NEW"
		})},
		stored("take another tenant's place in the store", map[string]any{"secretKey": "password", "remoteRef": map[string]any{"key": "prod/acme/anything", "property": "x"}}, "data"),
		stored("take all of a place", map[string]any{"extract": map[string]any{"key": "prod/acme/settings"}}, "dataFrom"),
		stored("take whatever there is", map[string]any{"find": map[string]any{"name": map[string]any{"regexp": ".*"}}}, "dataFrom"),
		breakage{"be another namespace", "names/namespace", func(u *Unit, o render.Object) bool {
			ns, ok := o.(*corev1.Namespace)
			if ok {
				ns.Name = "acme-2"
			}
			return ok
		}},
		breakage{"take a port of the nodes", "names/address", service(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })},
		breakage{"take a load balancer", "names/address", service(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })},
		custom("names/address", "take a load balancer for a database", "postgresql.cnpg.io/Cluster", []any{map[string]any{
			"selectorType": "rw", "serviceTemplate": map[string]any{"metadata": map[string]any{"name": "x"}, "spec": map[string]any{"type": "LoadBalancer"}},
		}}, "spec", "managed", "services", "additional"),
		custom("names/address", "take a port of the nodes for a pooler", "postgresql.cnpg.io/Pooler", "NodePort", "spec", "serviceTemplate", "spec", "type"),
		breakage{"pull with an account's Secret that is not there", "names/reference", account(func(a *corev1.ServiceAccount) {
			a.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "not-there"}}
		})},
		breakage{"take an address", "names/address", service(func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"8.8.8.8"} })},
		breakage{"lead anywhere", "names/address", service(func(s *corev1.Service) { s.Spec.Selector = nil })},
		breakage{"be another tenant's Service by name", "names/mention", func(u *Unit, o render.Object) bool {
			s, ok := o.(*corev1.Service)
			if ok {
				s.Spec = corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "api.globex.svc.cluster.local"}
			}
			return ok && u.Name != "globex" && u.Name != render.PlatformUnit
		}},
	)
	for how, text := range map[string]string{
		"host":                     "https://umbrella.example.com/api",
		"Service":                  "http://api.umbrella.svc.cluster.local",
		"Service by short name":    "http://api.umbrella:80/",
		"Service without a scheme": "database-rw.umbrella.svc:5432",
		"pooler":                   "postgresql://app@database-pooler.umbrella:5432/app",
		"database":                 "postgresql://portal:x@db.prod.globex.example:5432/portal?sslmode=verify-full",
		"Sentinel":                 "redis-1.prod.globex.example:26379",
	} {
		foreign := func(u *Unit) bool {
			return u.Name != render.PlatformUnit && u.Name != "umbrella" && (u.Name != "globex" || !strings.Contains(text, "globex"))
		}
		ways = append(ways,
			breakage{"name another tenant's " + how + " in a ConfigMap", "names/mention", func(u *Unit, o render.Object) bool {
				m, ok := o.(*corev1.ConfigMap)
				if ok {
					m.Data["OTHER"] = text
				}
				return ok && foreign(u)
			}},
			pods("names/mention", "name another tenant's "+how+" in a variable", func(u *Unit, t *template) bool {
				t.spec.Containers[0].Env = append(t.spec.Containers[0].Env, corev1.EnvVar{Name: "OTHER", Value: text})
				return foreign(u)
			}),
			pods("names/mention", "name another tenant's "+how+" in a command", func(u *Unit, t *template) bool {
				t.spec.Containers[0].Args = append(t.spec.Containers[0].Args, "--to="+text)
				return foreign(u)
			}),
		)
	}
	swap := func(kind string) []breakage {
		return []breakage{
			pods("names/reference", "swap every "+kind+" for one that is not there", func(_ *Unit, t *template) bool { return swapped(t, kind, "not-there", "") }),
			pods("names/reference", "take a key that no "+kind+" has", func(_ *Unit, t *template) bool { return swapped(t, kind, "", "not-there") }),
		}
	}
	ways = append(ways, slices.Concat(swap("Secret"), swap("ConfigMap"))...)
	ways = append(ways,
		inPod("names/reference", "run as an account that is not there", func(s *corev1.PodSpec) { s.ServiceAccountName = "not-there" }),
		inPod("names/reference", "pull with a Secret that is not there", func(s *corev1.PodSpec) {
			s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "not-there"}}
		}),
		custom("names/reference", "give a database a Secret that is not there", "postgresql.cnpg.io/Cluster", []any{map[string]any{
			"name": "TOKEN", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "not-there", "key": "uri"}},
		}}, "spec", "env"),
		custom("names/reference", "give a role another Secret", "postgresql.cnpg.io/Cluster", []any{map[string]any{"name": "x", "passwordSecret": map[string]any{"name": "not-there"}}}, "spec", "managed", "roles"),
		custom("names/reference", "back up to another store", "postgresql.cnpg.io/Cluster", []any{map[string]any{"name": barmanPlugin, "parameters": map[string]any{"barmanObjectName": "not-there"}}}, "spec", "plugins"),
		custom("names/reference", "back up with another key", "barmancloud.cnpg.io/ObjectStore", "not-there", "spec", "configuration", "s3Credentials", "accessKeyId", "name"),
		custom("names/reference", "put another database behind a pooler", "postgresql.cnpg.io/Pooler", "not-there", "spec", "cluster", "name"),
		custom("names/reference", "make a database in another cluster", "postgresql.cnpg.io/Database", "not-there", "spec", "cluster", "name"),
		breakage{"refer to what is not there", "names/reference", func(u *Unit, o render.Object) bool {
			switch w := o.(type) {
			case *networkingv1.Ingress:
				w.Spec.TLS[0].SecretName = "not-there"
			case *gatewayv1.ListenerSet:
				w.Spec.Listeners[0].TLS.CertificateRefs[0].Name = "not-there"
			case *gatewayv1.HTTPRoute:
				if len(w.Spec.Rules[0].BackendRefs) == 0 {
					return false
				}
				w.Spec.Rules[0].BackendRefs[0].Name = "not-there"
			case *certv1.Certificate:
				w.Spec.IssuerRef.Kind, w.Spec.IssuerRef.Name = "Issuer", "not-there"
			case *certv1.Issuer:
				w.Spec.CA, w.Spec.SelfSigned = &certv1.CAIssuer{SecretName: "not-there"}, nil
			case *autoscalingv2.HorizontalPodAutoscaler:
				w.Spec.ScaleTargetRef.Name = "not-there"
			default:
				return false
			}
			return true
		}},
		breakage{"route through what is not there", "names/reference", func(u *Unit, o render.Object) bool {
			switch w := o.(type) {
			case *gatewayv1.HTTPRoute:
				w.Spec.ParentRefs[0].Name, w.Spec.ParentRefs[0].Namespace = "not-there", nil
			case *networkingv1.Ingress:
				w.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "not-there"
			default:
				return false
			}
			return true
		}},
		breakage{"reach into another namespace", "names/cross-namespace", func(u *Unit, o render.Object) bool {
			other := gatewayv1.Namespace("globex")
			switch w := o.(type) {
			case *gatewayv1.HTTPRoute:
				if len(w.Spec.Rules[0].BackendRefs) == 0 {
					return false
				}
				w.Spec.Rules[0].BackendRefs[0].Namespace = &other
			case *gatewayv1.ListenerSet:
				w.Spec.Listeners[0].TLS.CertificateRefs[0].Namespace = &other
			case *networkingv1.Ingress:
				w.Annotations = map[string]string{"nginx.ingress.kubernetes.io/auth-tls-secret": "acme/edge-tls"}
			case *monitoringv1.PodMonitor:
				w.Spec.NamespaceSelector.MatchNames = []string{"globex"}
			case *appsv1.StatefulSet:
				w.Spec.VolumeClaimTemplates[0].Spec.DataSourceRef = &corev1.TypedObjectReference{Kind: "PersistentVolumeClaim", Name: "data", Namespace: new("globex")}
			default:
				return false
			}
			return true
		}},
		breakage{"attach to another namespace's", "names/cross-namespace", func(u *Unit, o render.Object) bool {
			other := gatewayv1.Namespace("globex")
			switch w := o.(type) {
			case *gatewayv1.HTTPRoute:
				w.Spec.ParentRefs[0].Namespace = &other
			case *gatewayv1.ListenerSet:
				w.Spec.ParentRef.Namespace = &other
			default:
				return false
			}
			return true
		}},
		breakage{"let others in", "names/cross-namespace", func(u *Unit, o render.Object) bool {
			switch w := o.(type) {
			case *gatewayv1.Gateway:
				w.Spec.AllowedListeners.Namespaces.From = new(gatewayv1.NamespacesFromAll)
			case *gatewayv1.ListenerSet:
				w.Spec.Listeners[0].AllowedRoutes.Namespaces.From = new(gatewayv1.NamespacesFromAll)
			case *monitoringv1.PodMonitor:
				w.Spec.NamespaceSelector.Any = true
			default:
				return false
			}
			return true
		}},
		breakage{"let every namespace in by labels", "names/cross-namespace", func(_ *Unit, o render.Object) bool {
			g, ok := o.(*gatewayv1.Gateway)
			if ok {
				g.Spec.AllowedListeners.Namespaces.Selector = &metav1.LabelSelector{}
			}
			return ok
		}},
		breakage{"let every namespace's routes in by labels that it has not", "names/cross-namespace", func(_ *Unit, o render.Object) bool {
			g, ok := o.(*gatewayv1.Gateway)
			if ok {
				g.Spec.Listeners[0].AllowedRoutes.Namespaces.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "closed", Operator: metav1.LabelSelectorOpDoesNotExist}}}
			}
			return ok
		}},
		breakage{"lead to no pod", "names/reference", func(_ *Unit, o render.Object) bool {
			s, ok := o.(*corev1.Service)
			if ok {
				s.Spec.Selector["app.kubernetes.io/name"] = "another"
			}
			return ok
		}},
		breakage{"lead to no port", "names/reference", func(_ *Unit, o render.Object) bool {
			s, ok := o.(*corev1.Service)
			if ok {
				s.Spec.Ports[0].TargetPort = intstr.FromString("another")
			}
			return ok
		}},
		breakage{"let others' routes in", "names/cross-namespace", func(u *Unit, o render.Object) bool {
			switch w := o.(type) {
			case *gatewayv1.Gateway:
				w.Spec.Listeners[0].AllowedRoutes.Namespaces.From = new(gatewayv1.NamespacesFromAll)
			case *gatewayv1.ListenerSet:
				w.Spec.Listeners[0].AllowedRoutes.Namespaces.From = new(gatewayv1.NamespacesFromSelector)
			default:
				return false
			}
			return true
		}},
		breakage{"mirror requests to another namespace", "names/cross-namespace", func(u *Unit, o render.Object) bool {
			r, ok := o.(*gatewayv1.HTTPRoute)
			if ok {
				r.Spec.Rules[0].Filters = append(r.Spec.Rules[0].Filters, gatewayv1.HTTPRouteFilter{RequestMirror: &gatewayv1.HTTPRequestMirrorFilter{
					BackendRef: gatewayv1.BackendObjectReference{Name: "api", Namespace: new(gatewayv1.Namespace("globex"))},
				}})
			}
			return ok
		}},
		breakage{"write a part of the controller's configuration", "names/cross-namespace", func(u *Unit, o render.Object) bool {
			i, ok := o.(*networkingv1.Ingress)
			if ok {
				i.Annotations = map[string]string{"nginx.ingress.kubernetes.io/server-snippet": "location /x { }"}
			}
			return ok
		}},
		inPod("names/cross-namespace", "keep others' pods away", func(s *corev1.PodSpec) {
			s.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
				TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{}, NamespaceSelector: &metav1.LabelSelector{},
			}}}}
		}),
		inPod("names/cross-namespace", "seek another tenant's pods", func(s *corev1.PodSpec) {
			s.Affinity = &corev1.Affinity{PodAffinity: &corev1.PodAffinity{PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
				Weight: 1, PodAffinityTerm: corev1.PodAffinityTerm{TopologyKey: corev1.LabelHostname, LabelSelector: &metav1.LabelSelector{}, Namespaces: []string{"wayne"}},
			}}}}
		}),
	)
	n := tally{rules: nameRules}
	n.breakAll(t, fleet, ways)
	both := fleet
	for _, unit := range []string{"acme", "umbrella"} {
		store := fleet.object(unit, "objectstore-database.yaml").(*unstructured.Unstructured).DeepCopy()
		custom("", "", "barmancloud.cnpg.io/ObjectStore", "s3://shared/"+unit, "spec", "configuration", "destinationPath").change(nil, store)
		both = both.with(unit, "objectstore-database.yaml", store)
	}
	n.expect(t, both, breakage{"back up into a bucket that another tenant takes too", "names/bucket", nil}, "acme and umbrella")
	n.alone = true
	n.breakAll(t, fleet, []breakage{
		{"carry another tenant's label", "names/label", func(u *Unit, o render.Object) bool {
			o.SetLabels(labelled(o.GetLabels(), map[string]string{render.TenantLabel: "wayne"}))
			return true
		}},
		{"carry no tenant's label", "names/label", func(u *Unit, o render.Object) bool {
			labels := labelled(o.GetLabels())
			delete(labels, render.TenantLabel)
			o.SetLabels(labels)
			return u.Name != render.PlatformUnit
		}},
		pods("names/label", "have pods with another tenant's label", func(_ *Unit, t *template) bool {
			t.meta.Labels[render.TenantLabel] = "wayne"
			return true
		}),
	})
	grant := &gatewayv1.ReferenceGrant{
		TypeMeta: metav1.TypeMeta{APIVersion: "gateway.networking.k8s.io/v1", Kind: "ReferenceGrant"}, ObjectMeta: metav1.ObjectMeta{Name: "x", Namespace: "acme"},
		Spec: gatewayv1.ReferenceGrantSpec{From: []gatewayv1.ReferenceGrantFrom{{Namespace: "globex"}}},
	}
	n.expect(t, fleet.and("acme", grant), breakage{"let another namespace refer to this", "names/cross-namespace", nil}, "acme")
	endpoints := &corev1.Endpoints{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Endpoints"}, ObjectMeta: metav1.ObjectMeta{Name: "api", Namespace: "acme"}} //nolint:staticcheck // deprecated, and still served
	n.expect(t, fleet.and("acme", endpoints), breakage{"lead to addresses", "names/address", nil}, "acme")
	class := &schedulingv1.PriorityClass{TypeMeta: metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"}, ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	for _, u := range fleet.Units {
		if u.Name != render.PlatformUnit {
			n.expect(t, fleet.and(u.Name, class), breakage{"bring a priority class", "names/cluster-scoped", nil}, u.Name)
			n.expect(t, fleet.with(u.Name, "namespace-"+u.Name+".yaml", nil), breakage{"render no namespace", "names/namespace", nil}, u.Name)
			ns := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: u.Name}}
			n.expect(t, fleet.and(render.PlatformUnit, ns), breakage{"render a tenant's namespace too", "names/namespace", nil}, u.Name)
		}
		// Whatever others refer to is missed.
		for _, o := range u.Objects {
			switch o.Object.(type) {
			case *corev1.Secret, *certv1.Certificate:
				if o.GetName() != "cache-ca" {
					n.expect(t, fleet.with(u.Name, o.File, nil), breakage{"leave out a " + o.GetObjectKind().GroupVersionKind().Kind, "names/reference", nil}, u.Name+"/"+o.File)
				}
			}
		}
	}
	for _, u := range fleet.Units[:1] {
		for _, o := range u.Objects {
			if job, ok := o.Object.(*batchv1.Job); ok && strings.HasPrefix(job.Name, "bucket-") {
				other := job.DeepCopy()
				bucket := "hooli"
				if strings.Contains(job.Name, "hooli") {
					bucket = "acme"
				}
				variableOf(templatesOf(&Fleet{Units: []Unit{{Objects: []Object{{Object: other}}}}})[0], "BUCKET", bucket)
				n.expect(t, fleet.with(u.Name, o.File, other), breakage{"open another tenant's bucket to a key", "names/bucket", nil}, o.File)
			}
		}
	}
	n.log(t)
}

// claims changes every host that an object claims in the world.
func claims(to func(u *Unit, host string) string) func(*Unit, render.Object) bool {
	return func(u *Unit, o render.Object) bool {
		if u.Name == render.PlatformUnit {
			return false
		}
		changed := false
		change := func(host string) string {
			if !strings.Contains(host, "example") {
				return host
			}
			changed = true
			return to(u, host)
		}
		switch w := o.(type) {
		case *gatewayv1.ListenerSet:
			w.Spec.Listeners[0].Hostname = new(gatewayv1.Hostname(change(string(*w.Spec.Listeners[0].Hostname))))
		case *gatewayv1.HTTPRoute:
			w.Spec.Hostnames[0] = gatewayv1.Hostname(change(string(w.Spec.Hostnames[0])))
		case *networkingv1.Ingress:
			w.Spec.Rules[0].Host = change(w.Spec.Rules[0].Host)
		case *certv1.Certificate:
			for i := range w.Spec.DNSNames {
				w.Spec.DNSNames[i] = change(w.Spec.DNSNames[i])
			}
		case *unstructured.Unstructured:
			endpoints, _, _ := unstructured.NestedSlice(w.Object, "spec", "endpoints")
			for _, e := range endpoints {
				e.(map[string]any)["dnsName"] = change(e.(map[string]any)["dnsName"].(string))
			}
			if len(endpoints) > 0 {
				_ = unstructured.SetNestedSlice(w.Object, endpoints, "spec", "endpoints")
			}
		}
		return changed
	}
}

func variableOf(t *template, name, value string) bool {
	changed := false
	for i := range t.spec.Containers {
		for j := range t.spec.Containers[i].Env {
			if e := &t.spec.Containers[i].Env[j]; e.Name == name {
				e.Value, changed = value, true
			}
		}
	}
	return changed && t.object.GetName() == "database-backup"
}

// stored has an ExternalSecret take its value from elsewhere.
func stored(how string, from map[string]any, field string) breakage {
	return custom("names/secret", how, "external-secrets.io/ExternalSecret", []any{from}, "spec", field)
}

func secretSource(kind string, to func(*Unit) string) func(*Unit, render.Object) bool {
	return func(u *Unit, o render.Object) bool {
		s, ok := o.(*corev1.Secret)
		if !ok || u.Name == render.PlatformUnit {
			return false
		}
		for key, word := range s.Annotations {
			if strings.HasPrefix(word, kind) {
				s.Annotations[key] = to(u)
				return true
			}
		}
		return false
	}
}

func service(change func(*corev1.Service)) func(*Unit, render.Object) bool {
	return func(u *Unit, o render.Object) bool {
		s, ok := o.(*corev1.Service)
		if ok {
			change(s)
		}
		return ok && u.Name != render.PlatformUnit
	}
}

// swapped changes the names, or the keys, of all Secrets or ConfigMaps that pods take something from.
func swapped(t *template, kind, name, key string) bool {
	changed := false
	change := func(of string, ref *string, to string) {
		if of == kind && to != "" {
			*ref, changed = to, true
		}
	}
	for i := range t.spec.Containers {
		c := &t.spec.Containers[i]
		for j := range c.Env {
			if from := c.Env[j].ValueFrom; from != nil && from.SecretKeyRef != nil {
				change("Secret", &from.SecretKeyRef.Name, name)
				change("Secret", &from.SecretKeyRef.Key, key)
			}
		}
		for j := range c.EnvFrom {
			if ref := c.EnvFrom[j].SecretRef; ref != nil {
				change("Secret", &ref.Name, name)
			}
			if ref := c.EnvFrom[j].ConfigMapRef; ref != nil {
				change("ConfigMap", &ref.Name, name)
			}
		}
	}
	for i := range t.spec.Volumes {
		if v := t.spec.Volumes[i].Secret; v != nil {
			change("Secret", &v.SecretName, name)
			for j := range v.Items {
				change("Secret", &v.Items[j].Key, key)
			}
		}
		if v := t.spec.Volumes[i].ConfigMap; v != nil {
			change("ConfigMap", &v.Name, name)
			for j := range v.Items {
				change("ConfigMap", &v.Items[j].Key, key)
			}
		}
	}
	return changed
}

func TestBreaksOfCapacity(t *testing.T) {
	t.Parallel()
	fleet := examples(t)[0]
	quota := func(rule, how string, change func(corev1.ResourceList)) breakage {
		return breakage{how, rule, func(_ *Unit, o render.Object) bool {
			q, ok := o.(*corev1.ResourceQuota)
			if ok {
				change(q.Spec.Hard)
			}
			return ok
		}}
	}
	var ways []breakage
	for _, name := range bounded {
		ways = append(ways, quota("capacity/bounded", "do not bound "+string(name), func(l corev1.ResourceList) { delete(l, name) }))
		if strings.HasPrefix(string(name), "services.") {
			ways = append(ways, quota("capacity/bounded", "allow "+string(name), func(l corev1.ResourceList) { l[name] = resource.MustParse("1") }))
		} else if name != corev1.ResourceRequestsStorage && name != corev1.ResourcePersistentVolumeClaims { // globex has none
			ways = append(ways, quota("capacity/quota", "allow hardly any "+string(name), func(l corev1.ResourceList) { l[name] = resource.MustParse("1m") }))
		}
	}
	huge := map[corev1.ResourceName]string{corev1.ResourceCPU: "100", corev1.ResourceMemory: "900Gi", corev1.ResourceEphemeralStorage: "900Gi"}
	for _, name := range slices.Sorted(maps.Keys(huge)) {
		raise := pods("capacity/quota", "ask for "+huge[name]+" of "+string(name), func(u *Unit, t *template) bool {
			for i := range t.spec.Containers {
				t.spec.Containers[i].Resources.Requests[name], t.spec.Containers[i].Resources.Limits[name] = resource.MustParse(huge[name]), resource.MustParse(huge[name])
			}
			return u.Name != render.PlatformUnit
		})
		first := pods("capacity/quota", "ask for "+huge[name]+" of "+string(name)+" while starting", func(u *Unit, t *template) bool {
			for i := range t.spec.InitContainers {
				t.spec.InitContainers[i].Resources.Requests[name], t.spec.InitContainers[i].Resources.Limits[name] = resource.MustParse(huge[name]), resource.MustParse(huge[name])
			}
			return u.Name != render.PlatformUnit && len(t.spec.InitContainers) > 0
		})
		ways = append(ways, raise, first)
	}
	ways = append(ways,
		custom("capacity/quota", "ask for a thousand poolers", "postgresql.cnpg.io/Pooler", int64(1000), "spec", "instances"),
		custom("capacity/quota", "ask for many databases", "postgresql.cnpg.io/Cluster", int64(99), "spec", "instances"),
		custom("capacity/quota", "ask for a large volume", "postgresql.cnpg.io/Cluster", "90Ti", "spec", "storage", "size"),
		containers("capacity/quota", "have a limit below the request", func(c *corev1.Container) bool {
			c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Mi"), corev1.ResourceCPU: resource.MustParse("1m")}
			return true
		}),
		breakage{"count some pods", "capacity/bounded", func(_ *Unit, o render.Object) bool {
			q, ok := o.(*corev1.ResourceQuota)
			if ok {
				q.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
			}
			return ok
		}},
		breakage{"run many at once", "capacity/quota", func(u *Unit, o render.Object) bool {
			switch w := o.(type) {
			case *appsv1.Deployment:
				w.Spec.Replicas = new(int32(1000))
			case *appsv1.StatefulSet:
				w.Spec.Replicas = new(int32(1000))
			case *batchv1.Job:
				w.Spec.Parallelism = new(int32(1000))
			case *autoscalingv2.HorizontalPodAutoscaler:
				w.Spec.MaxReplicas = 1000
			default:
				return false
			}
			return u.Name != render.PlatformUnit
		}},
		breakage{"run again before the last run is over", "capacity/quota", func(_ *Unit, o render.Object) bool {
			c, ok := o.(*batchv1.CronJob)
			if ok {
				c.Spec.ConcurrencyPolicy = batchv1.AllowConcurrent
			}
			return ok
		}},
		breakage{"claim a large volume", "capacity/quota", func(u *Unit, o render.Object) bool {
			s, ok := o.(*appsv1.StatefulSet)
			if ok {
				s.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("90Ti")
			}
			return ok && u.Name != render.PlatformUnit
		}},
		breakage{"refuse what is larger than small", "capacity/quota", func(_ *Unit, o render.Object) bool {
			l, ok := o.(*corev1.LimitRange)
			if ok {
				l.Spec.Limits[0].Max = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
			}
			return ok
		}},
		breakage{"refuse what is smaller than large", "capacity/quota", func(_ *Unit, o render.Object) bool {
			l, ok := o.(*corev1.LimitRange)
			if ok {
				l.Spec.Limits[0].Min = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Gi")}
			}
			return ok
		}},
	)
	n := tally{rules: capacityRules, alone: true}
	n.breakAll(t, fleet, ways)
	for _, u := range fleet.Units {
		if u.Name != render.PlatformUnit {
			n.expect(t, fleet.with(u.Name, "resourcequota-tier.yaml", nil), breakage{"have no quota", "capacity/bounded", nil}, u.Name)
		}
	}
	n.expect(t, fleet.with("umbrella", "limitrange-containers.yaml", nil), breakage{"fill in nothing", "capacity/quota", nil}, "umbrella")

	shared := Pool{Name: "shared", Nodes: 12, Spare: 1, CPU: resource.MustParse("16"), Memory: resource.MustParse("64Gi"), Ephemeral: resource.MustParse("200Gi"), Pods: 110}
	own := Pool{
		Name: "globex", Nodes: 3, Spare: 1, CPU: resource.MustParse("8"), Memory: resource.MustParse("32Gi"), Ephemeral: resource.MustParse("100Gi"), Pods: 110,
		Labels: map[string]string{render.TenantLabel: "globex"}, Taints: []corev1.Taint{{Key: render.TenantLabel, Value: "globex", Effect: corev1.TaintEffectNoSchedule}},
	}
	fleet.Facts.Pools = []Pool{shared, own}
	if all := found(capacityRules, fleet); len(all) > 0 {
		t.Errorf("%v", all)
	}
	for how, change := range map[string]func([]Pool){
		"nodes":            func(p []Pool) { p[0].Nodes = 3 },
		"CPU":              func(p []Pool) { p[0].CPU = resource.MustParse("1") },
		"memory":           func(p []Pool) { p[0].Memory = resource.MustParse("2Gi") },
		"disk":             func(p []Pool) { p[0].Ephemeral = resource.MustParse("4Gi") },
		"pods":             func(p []Pool) { p[0].Pods = 3 },
		"nodes that stay":  func(p []Pool) { p[0].Spare = 11 },
		"nodes of globex":  func(p []Pool) { p[1].Nodes = 1 },
		"labels of globex": func(p []Pool) { p[1].Labels = nil },
		"nodes that are open to all": func(p []Pool) {
			p[0].Taints = []corev1.Taint{{Key: "spot", Effect: corev1.TaintEffectNoSchedule}}
		},
		"nodes for each instance": func(p []Pool) {
			p[0].Nodes, p[0].Spare, p[0].CPU, p[0].Memory, p[0].Ephemeral, p[0].Pods = 2, 0, resource.MustParse("500"), resource.MustParse("9Ti"), resource.MustParse("9Ti"), 500
		},
	} {
		pools := []Pool{shared, own}
		change(pools)
		fleet.Facts.Pools = pools
		n.expect(t, fleet, breakage{"have too few " + how, "capacity/nodes", nil}, "prod")
	}
	n.log(t)
}

func TestExamplesBreakNoRuleOfTheirs(t *testing.T) {
	fleets := examples(t)
	for _, rules := range [][]Rule{capacityRules, identityRules, nameRules, podRules} {
		for id, list := range found(rules, fleets...) {
			for _, f := range list {
				t.Errorf("%s: %+v", id, f)
			}
		}
	}
	seen := map[string]bool{}
	for _, r := range Rules() {
		if seen[r.ID] || r.Protects == "" || !strings.HasSuffix(r.Protects, ".") {
			t.Errorf("%s: %q: twice, or protects nothing", r.ID, r.Protects)
		}
		seen[r.ID] = true
	}
}
