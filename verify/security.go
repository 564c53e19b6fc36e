package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	psaapi "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"

	"github.com/tenantry/tenantry/render"
)

// podRules hold what pods are made of against what no pod may be.
var podRules = []Rule{
	{
		ID:       "pods/admission",
		Protects: "The API server itself refuses what could take over a node: each namespace enforces Pod Security restricted, at the version that runs.",
		check:    admission,
	},
	{
		ID:       "pods/capability",
		Protects: "No container has a privilege of the kernel's that others do not have.",
		check:    perPod("pods/capability", addsNothing),
	},
	{
		ID:       "pods/host-alias",
		Protects: "A name leads where DNS says, and where a reader of these objects sees it leads.",
		check:    perPod("pods/host-alias", noAliases),
	},
	{
		ID:       "pods/image",
		Protects: "What was reviewed is what runs: an image stays the same for as long as its reference does, and a node asks for it anew, with the pod's own credentials.",
		check:    perPod("pods/image", imagesStay),
	},
	{
		ID:       "pods/limits",
		Protects: "No container takes from its neighbours: each has requests and limits, and neither memory nor disk is promised twice.",
		check:    perPod("pods/limits", limited),
	},
	{
		ID:       "pods/non-root",
		Protects: "No process is root, in a user namespace neither, where Pod Security no longer asks.",
		check:    perPod("pods/non-root", nonRoot),
	},
	{
		ID:       "pods/patch",
		Protects: "The pods of a database are what its operator makes of its fields, which these rules look at.",
		check:    unpatched,
	},
	{
		ID:       "pods/placement",
		Protects: "Pods run on the nodes, and behind the kernel, that are meant for their tenant, and on nobody else's.",
		check:    func(s *subject) []Finding { return append(perPod("pods/placement", placed)(s), sandboxes(s)...) },
	},
	{
		ID:       "pods/priority",
		Protects: "When nodes are short, tenants are served by their tiers, after the platform: no tenant's pods go before.",
		check:    func(s *subject) []Finding { return append(perPod("pods/priority", ranked)(s), classesRanked(s)...) },
	},
	{
		ID:       "pods/probes",
		Protects: "A Service sends traffic only to what says that it is ready, and what hangs is started again.",
		check:    probed,
	},
	{
		ID:       "pods/read-only-root",
		Protects: "Nothing that gets into a container can change what runs in it.",
		check:    perPod("pods/read-only-root", readOnlyRoot),
	},
	{
		ID:       "pods/registry",
		Protects: "Images come from the fleet's own registries, where somebody looks at them.",
		check:    perPod("pods/registry", fromRegistries),
	},
	{
		ID:       "pods/restricted",
		Protects: "No pod can take over its node: Pod Security restricted, as the API server itself evaluates it, at the version that runs and at the newest.",
		check:    perPod("pods/restricted", restricted),
	},
}

// A blame adds a finding about a template.
type blame func(field, message, remedy string)

// perPod makes the check of a rule that looks at one template at a time.
func perPod(id string, look func(*subject, *template, blame)) func(*subject) []Finding {
	return func(s *subject) []Finding {
		var findings []Finding
		for _, t := range s.pods {
			look(s, t, func(field, message, remedy string) {
				findings = append(findings, s.finding(id, t.unit.Name, t.object, field, message, remedy))
			})
		}
		return findings
	}
}

// helper says that a container is an operator's own, of which no object tells the image or the resources.
func (t *template) helper(c *corev1.Container) bool {
	return t.made && slices.Contains([]string{"acmesolver", "bootstrap-controller"}, c.Name)
}

func admission(s *subject) []Finding {
	var findings []Finding
	for _, u := range s.Units {
		for _, o := range u.Objects {
			ns, ok := o.Object.(*corev1.Namespace)
			if !ok {
				continue
			}
			want := map[string]string{psaapi.EnforceLevelLabel: string(psaapi.LevelRestricted)}
			if s.Facts.Kubernetes != "" {
				want[psaapi.EnforceVersionLabel] = "v" + s.Facts.Kubernetes
			}
			for _, key := range []string{psaapi.EnforceLevelLabel, psaapi.EnforceVersionLabel} {
				if value, asked := want[key]; asked && ns.Labels[key] != value {
					findings = append(findings, s.finding("pods/admission", u.Name, o, "metadata.labels",
						fmt.Sprintf("the namespace's label %s is %q", key, ns.Labels[key]), "make it "+value))
				}
			}
		}
	}
	return findings
}

var evaluator = sync.OnceValue(func() psapolicy.Evaluator {
	e, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks(), nil)
	if err != nil {
		panic(err) // the library's own checks fit together
	}
	return e
})

// restrictedFields says of a reason of Pod Security's, by its first words, which field it is about.
var restrictedFields = []struct{ reason, field string }{
	{"allowPrivilegeEscalation", "securityContext.allowPrivilegeEscalation"},
	{"forbidden AppArmor", "securityContext.appArmorProfile"},
	{"forbidden sysctls", "securityContext.sysctls"},
	{"hostPort", "ports"},
	{"hostProcess", "securityContext.windowsOptions"},
	{"non-default capabilities", "securityContext.capabilities"},
	{"privileged", "securityContext.privileged"},
	{"procMount", "securityContext.procMount"},
	{"restricted volume types", "volumes"},
	{"runAsNonRoot", "securityContext.runAsNonRoot"},
	{"runAsUser", "securityContext.runAsUser"},
	{"seLinuxOptions", "securityContext.seLinuxOptions"},
	{"seccompProfile", "securityContext.seccompProfile"},
	{"unrestricted capabilities", "securityContext.capabilities"},
}

func restricted(s *subject, t *template, blame blame) {
	versions := []psaapi.Version{psaapi.LatestVersion()}
	if v, err := psaapi.ParseVersion("v" + s.Facts.Kubernetes); err == nil {
		versions = append(versions, v)
	}
	told := map[string]bool{}
	for _, v := range versions {
		level := psaapi.LevelVersion{Level: psaapi.LevelRestricted, Version: v}
		for i, result := range evaluator().EvaluatePod(level, t.meta, t.spec) {
			message := result.ForbiddenReason
			if result.ForbiddenDetail != "" {
				message += " (" + result.ForbiddenDetail + ")"
			}
			if result.Allowed || told[message] {
				continue
			}
			told[message] = true
			blame(t.blamed(level, i, result.ForbiddenReason), fmt.Sprintf("Pod Security restricted:%s refuses its pods: %s", v.String(), message), "give the pod what restricted asks for")
		}
	}
}

// blamed is the field because of which a check of Pod Security's refuses a pod: of the first container that
// is refused by itself, else of the pod.
func (t *template) blamed(level psaapi.LevelVersion, check int, reason string) string {
	field := ""
	for _, f := range restrictedFields {
		if strings.HasPrefix(reason, f.reason) {
			field = f.field
		}
	}
	if t.made {
		return t.field
	}
	alone := *t.spec
	alone.InitContainers, alone.Containers, alone.EphemeralContainers = nil, nil, nil
	if evaluator().EvaluatePod(level, t.meta, &alone)[check].Allowed {
		for path, c := range t.containers() {
			alone.Containers = []corev1.Container{*c}
			if !evaluator().EvaluatePod(level, t.meta, &alone)[check].Allowed {
				return strings.TrimSuffix(path+"."+field, ".")
			}
		}
	}
	return strings.TrimSuffix(t.at(field), ".")
}

func nonRoot(_ *subject, t *template, blame blame) {
	pod := cmp.Or(t.spec.SecurityContext, &corev1.PodSecurityContext{})
	for path, c := range t.containers() {
		own := cmp.Or(c.SecurityContext, &corev1.SecurityContext{})
		if not := cmp.Or(own.RunAsNonRoot, pod.RunAsNonRoot); not == nil || !*not {
			blame(t.below(path, "securityContext.runAsNonRoot"), c.Name+" may run as root", "set runAsNonRoot of the pod to true")
		}
		for field, id := range map[string]*int64{"runAsUser": cmp.Or(own.RunAsUser, pod.RunAsUser), "runAsGroup": cmp.Or(own.RunAsGroup, pod.RunAsGroup)} {
			switch {
			case id == nil && !t.made:
				blame(t.below(path, "securityContext."+field), fmt.Sprintf("%s runs as whatever its image says: %s is not set", c.Name, field), "set "+field+" of the pod to a number above 0, such as 10001")
			case id != nil && *id == 0:
				blame(t.below(path, "securityContext."+field), c.Name+" runs with root's "+field, "set "+field+" to a number above 0, such as 10001")
			}
		}
	}
	if pod.FSGroup != nil && *pod.FSGroup == 0 {
		blame(t.at("securityContext.fsGroup"), "the pod is in root's group for the files of its volumes", "set it to a number above 0, such as 10001")
	}
	for i, group := range pod.SupplementalGroups {
		if group == 0 {
			blame(t.at(fmt.Sprintf("securityContext.supplementalGroups[%d]", i)), "the pod is in root's group", "take it out")
		}
	}
}

func readOnlyRoot(_ *subject, t *template, blame blame) {
	for path, c := range t.containers() {
		if c.SecurityContext == nil || c.SecurityContext.ReadOnlyRootFilesystem == nil || !*c.SecurityContext.ReadOnlyRootFilesystem {
			blame(t.below(path, "securityContext.readOnlyRootFilesystem"), c.Name+" can write to the file system of its image", "set it to true, and mount an emptyDir where the program writes")
		}
	}
}

func addsNothing(_ *subject, t *template, blame blame) {
	for path, c := range t.containers() {
		if c.SecurityContext != nil && c.SecurityContext.Capabilities != nil && len(c.SecurityContext.Capabilities.Add) > 0 {
			blame(t.below(path, "securityContext.capabilities.add"), fmt.Sprintf("%s has %v", c.Name, c.SecurityContext.Capabilities.Add), "take it out; a port above 1023 needs none")
		}
	}
}

func noAliases(_ *subject, t *template, blame blame) {
	for i, alias := range t.spec.HostAliases {
		blame(t.at(fmt.Sprintf("hostAliases[%d]", i)), fmt.Sprintf("in its pods %s leads to %s", strings.Join(alias.Hostnames, ", "), alias.IP), "take it out, and have DNS say it")
	}
}

func limited(_ *subject, t *template, blame blame) {
	pod := cmp.Or(t.spec.Resources, &corev1.ResourceRequirements{})
	for path, c := range t.containers() {
		if t.helper(c) {
			continue
		}
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage} {
			limit, bounded := c.Resources.Limits[name]
			request, asked := c.Resources.Requests[name]
			_, podBounded := pod.Limits[name]
			_, podAsked := pod.Requests[name]
			remedy := fmt.Sprintf("set the %s that it needs, as request and as limit", name)
			switch {
			case !bounded && !podBounded:
				blame(t.below(path, "resources.limits"), fmt.Sprintf("%s has no limit of %s", c.Name, name), remedy)
			case !asked && !podAsked:
				blame(t.below(path, "resources.requests"), fmt.Sprintf("%s requests no %s", c.Name, name), remedy)
			case bounded && asked && name != corev1.ResourceCPU && limit.Cmp(request) != 0:
				blame(t.below(path, "resources.limits"), fmt.Sprintf("%s may use %s of %s and requests %s", c.Name, limit.String(), name, request.String()), remedy)
			}
		}
	}
}

// movingTags are tags that mean another image from one day to the next.
var movingTags = []string{"latest", "main", "master", "edge", "nightly", "stable"}

// images calls look for every image of a template, with its field and how it is pulled.
func (t *template) images(look func(field, image string, pull corev1.PullPolicy)) {
	for path, c := range t.containers() {
		if t.made && c.Image == "" && c.Name != "postgres" {
			continue // the operator's choice
		}
		look(t.below(path, "image"), c.Image, c.ImagePullPolicy)
	}
	for i, v := range t.spec.Volumes {
		if v.Image != nil {
			look(t.at(fmt.Sprintf("volumes[%d].image", i)), v.Image.Reference, v.Image.PullPolicy)
		}
	}
}

func imagesStay(_ *subject, t *template, blame blame) {
	remedy := "name the tag of one release, or a digest"
	t.images(func(field, image string, pull corev1.PullPolicy) {
		named, err := reference.ParseNormalizedNamed(image)
		tagged, hasTag := named.(reference.Tagged)
		_, hasDigest := named.(reference.Digested)
		switch {
		case image == "":
			blame(field, "no image is named, so that the operator takes one of its own", remedy)
		case err != nil:
			blame(field, fmt.Sprintf("%q is no image: %v", image, err), remedy)
		case hasDigest:
		case !hasTag:
			blame(field, image+" has no tag, which means latest", remedy)
		case slices.ContainsFunc(movingTags, func(word string) bool {
			return slices.Contains(strings.FieldsFunc(strings.ToLower(tagged.Tag()), func(r rune) bool { return strings.ContainsRune("-_.", r) }), word)
		}):
			blame(field, fmt.Sprintf("the tag %q moves from one image to another", tagged.Tag()), remedy)
		}
		if image != "" && pull != corev1.PullAlways {
			blame(field, "pods get the image from their node if some pod had it there before, whether they may have it or not", "set imagePullPolicy to Always")
		}
	})
}

func fromRegistries(s *subject, t *template, blame blame) {
	t.images(func(field, image string, _ corev1.PullPolicy) {
		named, err := reference.ParseNormalizedNamed(image)
		if err != nil {
			return // said by pods/image
		}
		if !slices.ContainsFunc(s.Facts.Registries, func(place string) bool { return strings.HasPrefix(named.Name()+"/", place+"/") }) {
			blame(field, image+" comes from "+reference.Domain(named), "mirror the image to "+cmp.Or(strings.Join(s.Facts.Registries, " or "), "a registry that the fleet declares"))
		}
	})
}

// patches are the annotations by which CloudNativePG changes the pods that it makes.
var patches = []string{"cnpg.io/podPatch"}

func unpatched(s *subject) []Finding {
	var findings []Finding
	for _, u := range s.Units {
		for _, o := range u.Objects {
			w, ok := o.Object.(*unstructured.Unstructured)
			if !ok || w.GroupVersionKind().Group != "postgresql.cnpg.io" {
				continue
			}
			for _, key := range patches {
				if _, patched := w.GetAnnotations()[key]; patched {
					findings = append(findings, s.finding("pods/patch", u.Name, o, "metadata.annotations",
						key+" rewrites its pods, past all that is checked of them", "take it out, and use the fields of the resource"))
				}
			}
		}
	}
	return findings
}

func placed(s *subject, t *template, blame blame) {
	tenant := t.unit.Name
	if t.unit.Name == render.PlatformUnit {
		tenant = ""
	}
	if t.spec.NodeName != "" {
		blame(t.at("nodeName"), "its pods go to the node "+t.spec.NodeName+" past the scheduler, whatever the node is kept for", "take it out, and select nodes by their labels")
	}
	own := corev1.Taint{Key: render.TenantLabel, Value: tenant, Effect: corev1.TaintEffectNoSchedule}
	tolerates := false
	for i, tol := range t.spec.Tolerations {
		switch {
		case tol.Key == "" || tol.Key == render.TenantLabel && tol.Operator == corev1.TolerationOpExists:
			blame(t.at(fmt.Sprintf("tolerations[%d]", i)), "its pods may run on the nodes of every tenant", "tolerate the taint of the tenant alone, with its value")
		case tol.Key == render.TenantLabel && (tenant == "" || tol.Value != tenant):
			blame(t.at(fmt.Sprintf("tolerations[%d]", i)), "its pods may run on the nodes of "+tol.Value, "take it out")
		case strings.HasPrefix(tol.Key, "node-role.kubernetes.io/"):
			blame(t.at(fmt.Sprintf("tolerations[%d]", i)), "its pods may run beside the control plane", "take it out")
		case tol.Key == own.Key && (tol.Effect == "" || tol.Effect == own.Effect):
			tolerates = true
		}
	}
	selected, selects := t.spec.NodeSelector[render.TenantLabel]
	if selects && selected != tenant {
		blame(t.at("nodeSelector"), "its pods run on the nodes of "+selected, "take it out")
	}
	if slices.Contains(s.Facts.Dedicated, tenant) && !t.solver() { // which cert-manager runs where it likes, for a minute
		if !selects {
			blame(t.at("nodeSelector"), "its pods run beside other tenants', and the tenant has nodes of its own", fmt.Sprintf("select %s: %s", render.TenantLabel, tenant))
		}
		if !tolerates {
			blame(t.at("tolerations"), "its pods cannot run on the tenant's own nodes", "tolerate their taint "+own.ToString())
		}
	}
	component := t.meta.Labels["app.kubernetes.io/component"]
	if slices.Contains(s.Facts.Sandboxed, tenant) && !t.made && !slices.Contains([]string{"backup", "cache", "database"}, component) {
		if class := t.spec.RuntimeClassName; class == nil || *class != "sandboxed" {
			blame(t.at("runtimeClassName"), "the tenant's own code shares the kernel of its node with other tenants", "set it to sandboxed")
		}
	}
}

func ranked(s *subject, t *template, blame blame) {
	if t.unit.Name == render.PlatformUnit && len(s.Facts.Tiers) > 0 && t.spec.PriorityClassName == "" {
		blame(t.at("priorityClassName"), "its pods go after those of every tenant", "make it platform")
	}
	tier, tenant := s.Facts.Tiers[t.unit.Name]
	if class := "tenant-" + tier; tenant && t.spec.PriorityClassName != class && (!t.solver() || t.spec.PriorityClassName != "") {
		blame(t.at("priorityClassName"), fmt.Sprintf("its pods have the priority %q", t.spec.PriorityClassName), "make it "+class)
	}
}

// classesRanked finds priority classes that put a tenant beside the platform, or somebody who names none
// before somebody who does.
func classesRanked(s *subject) []Finding {
	var findings []Finding
	classes := map[string]*schedulingv1.PriorityClass{}
	for _, u := range s.Units {
		for _, o := range u.Objects {
			if c, ok := o.Object.(*schedulingv1.PriorityClass); ok {
				classes[c.Name] = c
			}
		}
	}
	for _, u := range s.Units {
		for _, o := range u.Objects {
			c, ok := o.Object.(*schedulingv1.PriorityClass)
			if !ok {
				continue
			}
			if c.GlobalDefault {
				findings = append(findings, s.finding("pods/priority", u.Name, o, "globalDefault", "pods that name no class have this one", "take it out"))
			}
			if above := classes["platform"]; above != nil && strings.HasPrefix(c.Name, "tenant-") && c.Value >= above.Value {
				findings = append(findings, s.finding("pods/priority", u.Name, o, "value", "it puts tenants beside what all tenants lean on, or before it", fmt.Sprintf("make it less than %d", above.Value)))
			}
		}
	}
	return findings
}

// sandboxes finds the runtime class of Sandboxed tenants led to another runtime of the nodes.
func sandboxes(s *subject) []Finding {
	var findings []Finding
	for _, u := range s.Units {
		for _, o := range u.Objects {
			if c, ok := o.Object.(*nodev1.RuntimeClass); ok && c.Name == "sandboxed" && s.Facts.Sandbox != "" && c.Handler != s.Facts.Sandbox {
				findings = append(findings, s.finding("pods/placement", u.Name, o, "handler", "sandboxed pods run by "+c.Handler, "make it "+s.Facts.Sandbox))
			}
		}
	}
	return findings
}

func probed(s *subject) []Finding {
	var findings []Finding
	for _, u := range s.Units {
		for _, o := range u.Objects {
			service, ok := o.Object.(*corev1.Service)
			if !ok || len(service.Spec.Selector) == 0 {
				continue
			}
			for _, t := range s.pods {
				if t.unit.Name != u.Name || t.made || t.once() || !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(t.meta.Labels)) {
					continue
				}
				told := map[string]bool{}
				for _, port := range service.Spec.Ports {
					path, c := t.listens(port)
					if c == nil || told[path] {
						continue
					}
					told[path] = true
					for field, probe := range map[string]*corev1.Probe{"readinessProbe": c.ReadinessProbe, "livenessProbe": c.LivenessProbe} {
						if probe == nil {
							findings = append(findings, s.finding("pods/probes", u.Name, t.object, path+"."+field,
								fmt.Sprintf("%s of its pods has no %s", o.ID()+" sends traffic to "+c.Name, field), "add one"))
						}
					}
				}
			}
		}
	}
	return findings
}

// once says that the pods run to their end.
func (t *template) once() bool {
	return t.spec.RestartPolicy == corev1.RestartPolicyNever || t.spec.RestartPolicy == corev1.RestartPolicyOnFailure
}

// listens is the container that a Service's port leads to; nil where none says that it listens there.
func (t *template) listens(port corev1.ServicePort) (string, *corev1.Container) {
	target := port.TargetPort
	if target.Type == intstr.Int && target.IntVal == 0 {
		target = intstr.FromInt32(port.Port)
	}
	for path, c := range t.containers() {
		for _, p := range c.Ports {
			if target.Type == intstr.String && p.Name == target.StrVal || target.Type == intstr.Int && p.ContainerPort == target.IntVal {
				return path, c
			}
		}
	}
	return "", nil
}
