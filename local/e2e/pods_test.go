package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"

	"github.com/tenantry/tenantry/verify"
)

// podBreaks change one thing of a pod's spec. Where the rules are stricter than Pod Security on purpose, the row says
// which of them is: the API server takes the pod.
var podBreaks = []struct{ why, patch, stricter string }{
	{"as it is", ``, ""},
	{"a user namespace", `add /hostUsers false`, ""},
	{"no service links", `replace /enableServiceLinks true`, ""},
	{"another user", `replace /securityContext/runAsUser 20000`, ""},
	{"the profile of the runtime, once more", `add /containers/0/securityContext/seccompProfile {"type":"RuntimeDefault"}`, ""},
	{"a profile of the node's", `replace /securityContext/seccompProfile {"type":"Localhost","localhostProfile":"tenant.json"}`, ""},
	{"AppArmor of the runtime", `add /containers/0/securityContext/appArmorProfile {"type":"RuntimeDefault"}`, ""},
	{"an SELinux type for containers", `add /containers/0/securityContext/seLinuxOptions {"type":"container_t"}`, ""},
	{"a sysctl of its own", `add /securityContext/sysctls [{"name":"net.ipv4.ip_local_port_range","value":"1024 65535"}]`, ""},
	{"a volume that is empty", `add /volumes/- {"name":"x","emptyDir":{}}`, ""},

	{"privilege escalation", `replace /containers/0/securityContext/allowPrivilegeEscalation true`, ""},
	{"privilege escalation by default", `remove /containers/0/securityContext/allowPrivilegeEscalation`, ""},
	{"all privileges", `add /containers/0/securityContext/privileged true;replace /containers/0/securityContext/allowPrivilegeEscalation true`, ""},
	{"no context of the container", `remove /containers/0/securityContext`, ""},
	{"no context of the pod", `remove /securityContext`, ""},
	{"all capabilities of a container", `remove /containers/0/securityContext/capabilities`, ""},
	{"most capabilities", `replace /containers/0/securityContext/capabilities {"drop":["NET_RAW"]}`, ""},
	{"a capability of restricted", `replace /containers/0/securityContext/capabilities {"drop":["ALL"],"add":["NET_BIND_SERVICE"]}`, "pods/capability"},
	{"a capability of baseline", `replace /containers/0/securityContext/capabilities {"drop":["ALL"],"add":["CHOWN"]}`, ""},
	{"a capability of nobody", `replace /containers/0/securityContext/capabilities {"drop":["ALL"],"add":["SYS_ADMIN"]}`, ""},
	{"AppArmor off", `add /containers/0/securityContext/appArmorProfile {"type":"Unconfined"}`, ""},
	{"AppArmor off for the pod", `add /securityContext/appArmorProfile {"type":"Unconfined"}`, ""},
	{"an SELinux type of the host", `add /containers/0/securityContext/seLinuxOptions {"type":"spc_t"}`, ""},
	{"an SELinux user", `add /securityContext/seLinuxOptions {"user":"system_u"}`, ""},
	{"seccomp off", `add /containers/0/securityContext/seccompProfile {"type":"Unconfined"}`, ""},
	{"seccomp off for the pod", `replace /securityContext/seccompProfile {"type":"Unconfined"}`, ""},
	{"no seccomp", `remove /securityContext/seccompProfile`, ""},
	{"a sysctl of the node", `add /securityContext/sysctls [{"name":"kernel.msgmax","value":"65536"}]`, ""},
	{"the host's network", `add /hostNetwork true`, ""},
	{"the host's processes", `add /hostPID true`, ""},
	{"the host's IPC", `add /hostIPC true`, ""},
	{"a port of the host", `add /containers/0/ports [{"name":"http","containerPort":8080,"hostPort":8080}]`, ""},
	{"a probe of another host", `add /containers/0/livenessProbe {"tcpSocket":{"host":"10.0.0.10","port":80}}`, ""},
	{"a hook at another host", `add /containers/0/lifecycle {"preStop":{"httpGet":{"host":"10.0.0.10","port":80}}}`, ""},
	{"the host's files", `add /volumes/- {"name":"x","hostPath":{"path":"/"}}`, ""},
	{"NFS", `add /volumes/- {"name":"x","nfs":{"server":"10.0.0.1","path":"/"}}`, ""},
	{"iSCSI", `add /volumes/- {"name":"x","iscsi":{"targetPortal":"10.0.0.1","iqn":"iqn.2001-04.com.example:x","lun":0}}`, ""},
	{"root", `replace /securityContext/runAsUser 0`, ""},
	{"root in one container", `add /containers/0/securityContext/runAsUser 0`, ""},
	{"maybe root", `remove /securityContext/runAsNonRoot`, ""},
	{"maybe root in one container", `add /containers/0/securityContext/runAsNonRoot false`, ""},
	{"an unmasked /proc", `add /hostUsers false;add /containers/0/securityContext/procMount "Unmasked"`, ""},
	{"a process of the Windows host", `add /hostNetwork true;add /securityContext/windowsOptions {"hostProcess":true}`, ""},
	{"an initial container that is bare", `add /initContainers [{"name":"first","image":"registry.example.com/x:1"}]`, ""},
	{"an initial container as restricted wants it", `add /initContainers [{"name":"first","image":"registry.example.com/x:1",` +
		`"securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]`, "pods/limits"},

	{"root in a user namespace", `add /hostUsers false;replace /securityContext/runAsUser 0;remove /securityContext/runAsNonRoot`, "pods/non-root"},
	{"maybe root in a user namespace", `add /hostUsers false;remove /securityContext/runAsNonRoot`, "pods/non-root"},
	{"one container that may be root in a user namespace", `add /hostUsers false;add /containers/0/securityContext/runAsNonRoot false`, "pods/non-root"},
	{"privilege escalation in a user namespace", `add /hostUsers false;replace /containers/0/securityContext/allowPrivilegeEscalation true`, ""},
	{"capabilities in a user namespace", `add /hostUsers false;remove /containers/0/securityContext/capabilities`, ""},
	{"root's group", `replace /securityContext/runAsGroup 0`, "pods/non-root"},
	{"whatever user the image has", `remove /securityContext/runAsUser`, "pods/non-root"},
	{"root's group beside its own", `add /securityContext/supplementalGroups [0]`, "pods/non-root"},
	{"root's group for files", `replace /securityContext/fsGroup 0`, "pods/non-root"},
	{"a root that can be written", `replace /containers/0/securityContext/readOnlyRootFilesystem false`, "pods/read-only-root"},
	{"no limits", `remove /containers/0/resources`, "pods/limits"},
	{"an image of Docker Hub's", `replace /containers/0/image "valkey/valkey:9.0.1"`, "pods/registry"},
	{"an image that moves", `replace /containers/0/image "registry.example.com/x:latest"`, "pods/image"},
	{"a name that leads elsewhere", `add /hostAliases [{"ip":"10.0.0.10","hostnames":["db.example.com"]}]`, "pods/host-alias"},
	{"every node", `add /tolerations [{"operator":"Exists"}]`, "pods/placement"},
	{"to go before everybody", `replace /priorityClassName "system-cluster-critical"`, "pods/priority"},
}

// testPods asks a real API server about each pod that a tenant has, and about each with one thing broken, in a
// namespace that enforces restricted, and holds the answer against the rules: both take it or both refuse it. Pods
// that are broken in more than one way at once are not among them.
func testPods(t *testing.T, w *world) {
	facts := verify.FactsOf(&w.fleet)
	namespaces := w.restricted(t)
	var evaluated []string // checks of Pod Security that refused something
	asked, refused, stricter := 0, 0, 0
	for _, o := range w.objects {
		if templates[o.GetKind()] == nil || o.GetLabels()["tenantry.dev/tenant"] == "" {
			continue
		}
		var pods []*corev1.Pod
		unit := verify.Unit{Name: o.GetNamespace()}
		for i, b := range podBreaks {
			text := podFrom(t, o.Unstructured)
			if b.patch != "" {
				text = changed(t, text, inSpec(b.patch, "/spec"))
			}
			pod := &corev1.Pod{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(text.Object, pod); err != nil {
				t.Fatalf("%s: %s: %v", o.file, b.why, err)
			}
			pod.Name = fmt.Sprintf("pod-%d", i)
			pods = append(pods, pod)
			unit.Objects = append(unit.Objects, verify.Object{Object: pod, File: pod.Name + ".yaml"})
			evaluated = append(evaluated, failing(t, pod)...)
		}
		rules := map[string][]string{} // by pod
		report := verify.Check([]verify.Fleet{{Name: w.fleet.Name, Facts: facts, Units: []verify.Unit{unit}}}, nil, time.Now())
		for _, f := range report.Findings {
			if strings.HasPrefix(f.Rule, "pods/") && f.Rule != "pods/admission" && f.Rule != "pods/probes" {
				rules[f.Object] = append(rules[f.Object], f.Rule)
			}
		}
		for i, b := range podBreaks {
			asked++
			told := rules["Pod/"+pods[i].Name]
			var reasons []string
			for _, namespace := range namespaces {
				reason, err := w.restrictedRefuses(t.Context(), namespace, pods[i])
				if err != nil {
					t.Errorf("%s: %s: %v", o.file, b.why, err)
				}
				if reason != "" {
					reasons = append(reasons, reason)
				}
			}
			if says := slices.Contains(told, "pods/restricted"); says != (reasons != nil) {
				t.Errorf("%s: %s: pods/restricted tells %t, and the API server says %q", o.file, b.why, says, reasons)
			}
			switch {
			case reasons != nil:
				refused++
				if b.stricter != "" {
					t.Errorf("%s: %s: the API server refuses it too: %q", o.file, b.why, reasons)
				}
			case b.stricter != "":
				stricter++
				if !slices.Contains(told, b.stricter) {
					t.Errorf("%s: %s: %s does not tell, but %q do", o.file, b.why, b.stricter, told)
				}
			case len(told) > 0:
				t.Errorf("%s: %s: the API server takes it, and %q tell: say so in the table", o.file, b.why, told)
			}
		}
	}
	for _, check := range psapolicy.DefaultChecks() {
		if !slices.Contains(evaluated, string(check.ID)) && check.ID != "procMount" { // valid in a user namespace alone, where it is allowed
			t.Errorf("no pod was broken that the check %s refuses", check.ID)
		}
	}
	t.Logf("%d pods, %d refused by both, %d by stricter rules alone", asked, refused, stricter)
	if asked < 150 || refused < 100 || stricter < 40 { // the smallest fleet has one tenant
		t.Error("too few to tell")
	}
}

// inSpec has the paths of a patch begin somewhere.
func inSpec(patch, spec string) string {
	operations := strings.Split(patch, ";")
	for i, one := range operations {
		operations[i] = strings.Replace(one, " /", " "+spec+"/", 1)
	}
	return strings.Join(operations, ";")
}

// failing lists the checks of Pod Security that refuse a pod, one at a time.
func failing(t *testing.T, pod *corev1.Pod) []string {
	t.Helper()
	var ids []string
	for _, check := range psapolicy.DefaultChecks() {
		newest := check.Versions[len(check.Versions)-1]
		if !newest.CheckPod(&pod.ObjectMeta, &pod.Spec).Allowed {
			ids = append(ids, string(check.ID))
		}
	}
	return ids
}

// restricted makes two namespaces that enforce restricted, at the version that the fleet pins and at the newest.
func (w *world) restricted(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, version := range []string{"v" + w.fleet.Cluster.Kubernetes, psaapi.VersionLatest} {
		name := "restricted-" + strings.ReplaceAll(version, ".", "-")
		_, err := w.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{psaapi.EnforceLevelLabel: string(psaapi.LevelRestricted), psaapi.EnforceVersionLabel: version},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		err = eventually(t.Context(), func(ctx context.Context) error { // without it no pod is admitted at all
			_, err := w.client.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	return names
}

// restrictedRefuses asks whether Pod Security refuses a pod, and why. Any other refusal is an error.
func (w *world) restrictedRefuses(ctx context.Context, namespace string, pod *corev1.Pod) (string, error) {
	pod = pod.DeepCopy()
	pod.Namespace, pod.Spec.ServiceAccountName = namespace, "default"
	_, err := w.client.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil && errors.IsForbidden(err) && contains(err, `violates PodSecurity "restricted`) {
		return err.Error(), nil
	}
	return "", err
}
