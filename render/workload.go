package render

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/distribution/reference"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
)

// apiName names the API's objects, and its host name within the namespace.
const apiName = "api"

// migrateName is the name that the pods of migrations go by.
const migrateName = "migrate"

// drain is how long a stopping pod goes on serving while the edge learns that it is leaving.
const drain = 10 * time.Second

var workloadDefaults = Resources{CPU: "250m", Memory: "512Mi"}

func (a Service) validate(c *checker, t *Tenant) {
	c.at("image").image(a.Image)
	c.at("port").port(a.Port)
	if at := c.at("scale"); !at.missing(a.Scale, "Fixed or Autoscale") {
		a.Scale.validateScale(at)
		if _, memory := t.Cache.(NoCache); memory && a.Scale.most() > 1 {
			at.invalid(a.Scale.most(), "without a cache sessions and rate limits live in one process: run one replica, or give the tenant a cache")
		}
	}
	for name, path := range map[string]string{"live": a.Live, "ready": a.Ready} {
		if path == "" || path[0] != '/' {
			c.at(name).invalid(path, "must be the path of a health check, such as /healthz")
		}
	}
	if a.Metrics != 0 {
		c.at("metrics").port(a.Metrics)
	}
	if a.UID < 0 {
		c.at("uid").invalid(a.UID, "must be a user other than root")
	}
	c.at("stop").duration(a.Stop)
	c.at("resources").resources(a.Resources)
}

// lower makes the API's Deployment and what belongs to it. clients are the pods that may call it.
func (a Service) lower(s scope, clients []networkingv1.NetworkPolicyPeer) []Object {
	m := s.named(apiName, "api", apiName)
	ports := []corev1.ContainerPort{{Name: "http", ContainerPort: a.Port, Protocol: corev1.ProtocolTCP}}
	if a.Metrics != 0 {
		ports = append(ports, corev1.ContainerPort{Name: "metrics", ContainerPort: a.Metrics, Protocol: corev1.ProtocolTCP})
	}
	get := func(path string) corev1.ProbeHandler {
		return corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), Scheme: corev1.URISchemeHTTP}}
	}
	p := program{name: apiName, component: "api", image: a.Image, command: a.Command, resources: a.Resources, stop: a.Stop, uid: a.UID, account: apiName, readsPods: a.ReadsPods}
	pod := p.pod(s)
	container := &pod.Spec.Containers[0]
	container.Ports = ports
	container.StartupProbe = &corev1.Probe{ProbeHandler: get(a.Live), PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 30}
	container.LivenessProbe = &corev1.Probe{ProbeHandler: get(a.Live), PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: 3}
	container.ReadinessProbe = &corev1.Probe{ProbeHandler: get(a.Ready), PeriodSeconds: 5, TimeoutSeconds: 5, FailureThreshold: 3}
	container.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: int64(drain / time.Second)}}}
	pod.Spec.TerminationGracePeriodSeconds = new(seconds(a.Stop, 30*time.Second) + int64(drain/time.Second))

	objects := slices.Concat(
		[]Object{s.serviceAccount(apiName, "api", apiName)},
		p.deployment(s, a.Scale, pod),
		[]Object{service(m, selector(s.unit, apiName), corev1.ServicePort{Name: "http", Port: 80, TargetPort: intstr.FromString("http"), Protocol: corev1.ProtocolTCP})},
	)
	var ingress []networkingv1.NetworkPolicyIngressRule
	if len(clients) > 0 {
		ingress = append(ingress, from([]int32{a.Port}, clients...))
	}
	var egress []networkingv1.NetworkPolicyEgressRule
	if a.ReadsPods {
		egress = append(egress, s.fleet.apiServers())
		objects = append(objects, s.grant("api-reads-pods", "api", apiName, account(s.unit, apiName),
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: looks})...)
	}
	if prometheus := s.fleet.Platform.Prometheus; prometheus != nil && a.Metrics != 0 {
		ingress = append(ingress, from([]int32{a.Metrics}, prometheus.peer()))
		objects = append(objects, s.podMonitor(apiName, "api", apiName, selector(s.unit, apiName), "metrics"))
	}
	objects = append(objects, policy(s.named(apiName, "api", apiName), metav1.LabelSelector{MatchLabels: selector(s.unit, apiName)}, ingress, egress))
	if len(a.Migrate) > 0 {
		objects = append(objects, a.migration(s))
	}
	return objects
}

// migration is a Job that runs to its end before the Deployment of the same version is applied. Its name
// changes with its template, which nobody may change in place; a change of settings alone does not run it
// again.
func (a Service) migration(s scope) Object {
	p := program{name: migrateName, component: "migration", image: a.Image, command: a.Migrate, resources: a.Resources, uid: a.UID, once: true}
	spec := batchv1.JobSpec{
		BackoffLimit:          new(int32(6)),
		ActiveDeadlineSeconds: new(int64(3600)),
		Template:              p.pod(s),
	}
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: s.named(contentName(migrateName, spec), "migration", migrateName),
		Spec:       spec,
	}
}

func (w Worker) workloadName() string { return w.Name }

func (w Worker) validateWorkload(c *checker, t *Tenant) {
	if w.Image != "" {
		c.at("image").image(w.Image)
	}
	if len(w.Command) == 0 {
		c.at("command").required("the command that makes the image a worker")
	}
	if at := c.at("scale"); !at.missing(w.Scale, "Fixed or Autoscale") {
		w.Scale.validateScale(at)
	}
	c.at("stop").duration(w.Stop)
	c.at("resources").resources(w.Resources)
}

func (w Worker) lowerWorkload(s scope) []Object {
	image := cmp.Or(w.Image, s.tenant.API.Image)
	p := program{name: w.Name, component: "worker", image: image, command: w.Command, resources: w.Resources, stop: w.Stop, uid: s.tenant.API.UID}
	pod := p.pod(s)
	pod.Spec.TerminationGracePeriodSeconds = new(seconds(w.Stop, 30*time.Second))
	return p.deployment(s, w.Scale, pod)
}

func (j CronJob) workloadName() string { return j.Name }

func (j CronJob) validateWorkload(c *checker, t *Tenant) {
	if j.Image != "" {
		c.at("image").image(j.Image)
	}
	if len(j.Name) > 52 {
		c.at("name").invalid(j.Name, "must be at most 52 characters: Kubernetes adds 11 to name each run")
	}
	if len(j.Command) == 0 {
		c.at("command").required("the command to run")
	}
	c.at("schedule").cron(j.Schedule)
	c.at("deadline").duration(j.Deadline)
	c.at("resources").resources(j.Resources)
}

func (j CronJob) lowerWorkload(s scope) []Object {
	image := cmp.Or(j.Image, s.tenant.API.Image)
	p := program{name: j.Name, component: "cronjob", image: image, command: j.Command, resources: j.Resources, uid: s.tenant.API.UID, once: true}
	return []Object{s.cronJob(s.named(j.Name, "cronjob", j.Name), j.Schedule, seconds(j.Deadline, time.Hour), p.pod(s))}
}

// cronJob runs a pod on a schedule in UTC, never twice at once, and keeps the last failures to be looked at.
func (s scope) cronJob(m metav1.ObjectMeta, schedule Cron, deadline int64, pod corev1.PodTemplateSpec) Object {
	return &batchv1.CronJob{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"},
		ObjectMeta: m,
		Spec: batchv1.CronJobSpec{
			Schedule:                   string(schedule),
			TimeZone:                   new("Etc/UTC"),
			ConcurrencyPolicy:          batchv1.ForbidConcurrent,
			StartingDeadlineSeconds:    new(int64(600)),
			SuccessfulJobsHistoryLimit: new(int32(1)),
			FailedJobsHistoryLimit:     new(int32(3)),
			JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{
				BackoffLimit:          new(int32(2)),
				ActiveDeadlineSeconds: new(deadline),
				Template:              pod,
			}},
		},
	}
}

// A program is one process of the application.
type program struct {
	name, component string
	image           string
	command         []string
	resources       Resources
	stop            time.Duration
	uid             int64
	account         string // Default: the one that can do nothing
	readsPods       bool
	once            bool // runs to its end
}

// pod is the template of every pod that runs the application's own code.
func (p program) pod(s scope) corev1.PodTemplateSpec {
	tmp, tmpMount := scratch("tmp", "/tmp", "512Mi")
	c := container(p.name, p.image)
	c.Command = p.command
	c.EnvFrom = s.app.from
	c.Env = s.app.env(p.facts(s))
	c.Resources = p.resources.requirements(workloadDefaults)
	c.VolumeMounts = []corev1.VolumeMount{tmpMount}
	volumes := []corev1.Volume{tmp}
	if len(s.app.files) > 0 {
		volumes = append(volumes, corev1.Volume{Name: "secrets", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: s.app.files, DefaultMode: new(int32(0o440)),
		}}})
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "secrets", MountPath: secretsPath, ReadOnly: true})
	}
	spec := s.pod(volumes, c)
	spec.AutomountServiceAccountToken = new(p.readsPods)
	spec.RuntimeClassName = s.nodes.runtimeClass
	if p.account != "" {
		spec.ServiceAccountName = p.account
	}
	if p.uid != 0 {
		spec.SecurityContext.RunAsUser, spec.SecurityContext.RunAsGroup, spec.SecurityContext.FSGroup = &p.uid, &p.uid, &p.uid
	}
	pod := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: p.labels(s)}, Spec: spec}
	if p.once {
		pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	} else {
		pod.Annotations = s.app.checksum
		pod.Spec.Affinity, pod.Spec.TopologySpreadConstraints = spread(selector(s.unit, p.name))
	}
	return pod
}

// labels of the workload and its pods say the version too, and nothing else does: a new image changes
// what runs it and no other object.
func (p program) labels(s scope) map[string]string {
	labels := s.labels(p.component, p.name)
	if version := tag(p.image); version != "" && len(validation.IsValidLabelValue(version)) == 0 {
		labels["app.kubernetes.io/version"] = version
	}
	return labels
}

// facts are those that differ between the workloads of one tenant.
func (p program) facts(s scope) map[string]fact {
	facts := map[string]fact{
		"app.component": text(p.name),
		"app.port":      text(strconv.Itoa(int(s.tenant.API.Port))),
		"pod.container": text(p.name),
		"pod.name":      podFact("metadata.name"),
		"pod.namespace": podFact("metadata.namespace"),
		"pod.node":      podFact("spec.nodeName"),
		"pods.readable": truth(p.readsPods),
		"pods.selector": text(metav1.FormatLabelSelector(&metav1.LabelSelector{MatchLabels: selector(s.unit, p.name)})),
	}
	if version := tag(p.image); version != "" {
		facts["app.version"] = text(version)
	}
	if !p.once {
		facts["pod.deployment"] = text(p.name)
	}
	return facts
}

// deployment is a Deployment that is updated without a gap and never blocks the drain of a node.
func (p program) deployment(s scope, scale Scale, pod corev1.PodTemplateSpec) []Object {
	m := s.named(p.name, p.component, p.name)
	replicas, objects := scale.lowerScale(m)
	return append(objects,
		&appsv1.Deployment{
			TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
			ObjectMeta: metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, Labels: p.labels(s)},
			Spec: appsv1.DeploymentSpec{
				Replicas:             replicas,
				Selector:             &metav1.LabelSelector{MatchLabels: selector(s.unit, p.name)},
				RevisionHistoryLimit: new(int32(3)),
				Strategy:             rolling(),
				Template:             pod,
			},
		},
		budget(m, selector(s.unit, p.name)))
}

// rolling replaces pods one at a time, each only once its successor is ready.
func rolling() appsv1.DeploymentStrategy {
	return appsv1.DeploymentStrategy{
		Type: appsv1.RollingUpdateDeploymentStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDeployment{
			MaxSurge:       new(intstr.FromInt32(1)),
			MaxUnavailable: new(intstr.FromInt32(0)),
		},
	}
}

// podMonitor has Prometheus scrape a named port of pods.
func (m meta) podMonitor(name, component, app string, pods map[string]string, port string) Object {
	return &monitoringv1.PodMonitor{
		TypeMeta:   metav1.TypeMeta{APIVersion: "monitoring.coreos.com/v1", Kind: "PodMonitor"},
		ObjectMeta: m.named(name, component, app),
		Spec: monitoringv1.PodMonitorSpec{
			Selector:            metav1.LabelSelector{MatchLabels: maps.Clone(pods)},
			PodTargetLabels:     []string{TenantLabel},
			PodMetricsEndpoints: []monitoringv1.PodMetricsEndpoint{{Port: new(port)}},
		},
	}
}

// tag is the tag of an image, empty where it has none.
func tag(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	if tagged, ok := named.(reference.Tagged); ok {
		return tagged.Tag()
	}
	return ""
}
