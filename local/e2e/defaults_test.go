package e2e_test

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/review"
)

// telling are the fields that an API server sets and that are told all the same when somebody writes them out, and
// why.
var telling = map[string]string{
	"spec.replicas":               "an autoscaler does otherwise where it is given",
	"imagePullPolicy":             "it depends on the image's tag",
	"targetPort":                  "it is the port",
	"spec.clusterIP":              "each Service has its own",
	"spec.clusterIPs":             "each Service has its own",
	"spec.ipFamilies":             "it depends on the cluster",
	"spec.ipFamilyPolicy":         "it depends on the cluster",
	"spec.completions":            "it depends on parallelism",
	"spec.parallelism":            "it depends on completions",
	"spec.podReplacementPolicy":   "it depends on the failure policy",
	"spec.policyTypes":            "it depends on the rules",
	"securityContext":             "an empty one says nothing",
	"spec.metrics":                "an autoscaler without any is for the processor",
	"deprecatedServiceAccount":    "",
	"spec.finalizers":             "the namespace controller's",
	"kubernetes.io/metadata.name": "each Namespace has its own",
}

// testDefaults compares what is sent with what the API server makes of it: what it adds is no change, in every object
// of golden/ and in those that say as little as they can.
func testDefaults(t *testing.T, w *world) {
	var states review.States
	compare := func(unit, file string, o object) {
		got, _, err := w.apply(t.Context(), o, metav1.DryRunAll)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
		got = got.DeepCopy()
		metadata := got.Object["metadata"].(map[string]any)
		for _, field := range []string{"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"} {
			delete(metadata, field)
		}
		before, err := yaml.Marshal(o.Object)
		if err != nil {
			t.Fatal(err)
		}
		after, err := yaml.Marshal(got.Object)
		if err != nil {
			t.Fatal(err)
		}
		states.Changed = append(states.Changed, review.File{Path: path.Join(w.fleet.Name, unit, file), Before: before, After: after})
	}
	for _, o := range w.objects {
		if o.GetKind() != "Secret" { // its values are not in golden/
			compare(path.Base(path.Dir(o.file)), path.Base(o.file), o)
		}
	}
	for i, o := range least(w.fleet.Tenants[0].Name) {
		tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			t.Fatal(err)
		}
		delete(tree, "status")
		u := &unstructured.Unstructured{Object: tree}
		body, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		compare("least", strings.ToLower(u.GetKind())+string(rune('a'+i))+".yaml", object{"", u, body})
	}
	report, err := review.Compare(states, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range report.Changes {
		for _, f := range c.Fields {
			known := slices.IndexFunc(slices.Collect(maps.Keys(telling)), func(name string) bool { return strings.Contains(f.Path, name) }) >= 0
			if !known && !seen[c.Object+f.Path] {
				seen[c.Object+f.Path] = true
				t.Errorf("%v %s: the API server sets %s: %q → %q", c.Units, c.Object, f.Path, f.Before, f.After)
			}
		}
	}
	t.Logf("%d objects", len(states.Changed))
}

// least are objects of every kind that package review knows defaults of, with little more than what must be there.
func least(namespace string) []any {
	meta := metav1.ObjectMeta{Name: "least", Namespace: namespace}
	global := metav1.ObjectMeta{Name: "least"}
	labels := map[string]string{"app": "least"}
	probe := &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Port: intstr.FromInt32(80)}}}
	pod := func(restart corev1.RestartPolicy) corev1.PodTemplateSpec {
		container := corev1.Container{
			Name: "one", Image: "registry.example.com/one:1", Ports: []corev1.ContainerPort{{ContainerPort: 80}},
			LivenessProbe: probe, ReadinessProbe: probe, StartupProbe: probe,
			Env:          []corev1.EnvVar{{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}},
			VolumeMounts: []corev1.VolumeMount{{Name: "a", MountPath: "/a"}},
		}
		first := container
		first.Name, first.LivenessProbe, first.ReadinessProbe, first.StartupProbe = "first", nil, nil, nil
		return corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{
				RestartPolicy: restart, Containers: []corev1.Container{container}, InitContainers: []corev1.Container{first},
				Volumes: []corev1.Volume{
					{Name: "a", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "a"}}},
					{Name: "b", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "b"}}}},
					{Name: "c", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}},
					{Name: "d", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{}}},
				},
			},
		}
	}
	selector := &metav1.LabelSelector{MatchLabels: labels}
	claim := corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}
	kind := func(apiVersion, kind string) metav1.TypeMeta {
		return metav1.TypeMeta{APIVersion: apiVersion, Kind: kind}
	}
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Name: "a", Namespace: namespace}}
	return []any{
		&appsv1.Deployment{TypeMeta: kind("apps/v1", "Deployment"), ObjectMeta: meta, Spec: appsv1.DeploymentSpec{Selector: selector, Template: pod("")}},
		&appsv1.StatefulSet{TypeMeta: kind("apps/v1", "StatefulSet"), ObjectMeta: meta, Spec: appsv1.StatefulSetSpec{
			Selector: selector, Template: pod(""), VolumeClaimTemplates: []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}, Spec: claim}},
		}},
		&appsv1.DaemonSet{TypeMeta: kind("apps/v1", "DaemonSet"), ObjectMeta: meta, Spec: appsv1.DaemonSetSpec{Selector: selector, Template: pod("")}},
		&appsv1.ReplicaSet{TypeMeta: kind("apps/v1", "ReplicaSet"), ObjectMeta: meta, Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: pod("")}},
		&batchv1.CronJob{TypeMeta: kind("batch/v1", "CronJob"), ObjectMeta: meta, Spec: batchv1.CronJobSpec{
			Schedule: "@daily", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: pod(corev1.RestartPolicyNever)}},
		}},
		&corev1.Service{TypeMeta: kind("v1", "Service"), ObjectMeta: meta, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
		&networkingv1.NetworkPolicy{TypeMeta: kind("networking.k8s.io/v1", "NetworkPolicy"), ObjectMeta: meta, Spec: networkingv1.NetworkPolicySpec{
			Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt32(80))}}}},
			Egress:  []networkingv1.NetworkPolicyEgressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromInt32(80))}}}},
		}},
		&corev1.PersistentVolumeClaim{TypeMeta: kind("v1", "PersistentVolumeClaim"), ObjectMeta: meta, Spec: claim},
		&autoscalingv2.HorizontalPodAutoscaler{TypeMeta: kind("autoscaling/v2", "HorizontalPodAutoscaler"), ObjectMeta: meta, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			MaxReplicas: 2, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "api"},
		}},
		&rbacv1.RoleBinding{TypeMeta: kind("rbac.authorization.k8s.io/v1", "RoleBinding"), ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{Kind: "Role", Name: "a"}},
		&rbacv1.ClusterRoleBinding{TypeMeta: kind("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), ObjectMeta: global, Subjects: subjects, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "a"}},
		&schedulingv1.PriorityClass{TypeMeta: kind("scheduling.k8s.io/v1", "PriorityClass"), ObjectMeta: global, Value: 1},
		&storagev1.StorageClass{TypeMeta: kind("storage.k8s.io/v1", "StorageClass"), ObjectMeta: global, Provisioner: "example.com/none"},
	}
}
