package verify

import (
	"fmt"
	"iter"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// A template is what pods are made of: one that stands in an object, or one that an operator makes of a
// custom resource.
type template struct {
	unit   *Unit
	object Object
	field  string // where the pod's spec stands in the object; for an operator's, where what decides it stands
	meta   *metav1.ObjectMeta
	spec   *corev1.PodSpec
	// made says that an operator fills in what the object leaves out, such as the image of its own helpers.
	made bool
	// most is how many pods there are at once at the most, those that a rolling update adds included. Pods
	// that are on their way out are not counted.
	most int64
	// endless says that runs pile up, so that no number is the most.
	endless bool
	// daemon says that each node has its own, and most counts one node.
	daemon bool
	// volumes are the claims that come with each pod and outlive it.
	volumes []corev1.PersistentVolumeClaimSpec
}

// templatesOf lists the templates of a fleet. acme is what issuers of the fleet there are.
func templatesOf(f *Fleet) []*template {
	acme := issuers(f)
	var all []*template
	for i := range f.Units {
		u := &f.Units[i]
		scaled := map[string]int64{} // by the kind and the name of what is scaled
		for _, o := range u.Objects {
			if h, ok := o.Object.(*autoscalingv2.HorizontalPodAutoscaler); ok {
				scaled[h.Spec.ScaleTargetRef.Kind+"/"+h.Spec.ScaleTargetRef.Name] = int64(h.Spec.MaxReplicas)
			}
		}
		for _, o := range u.Objects {
			t := &template{unit: u, object: o, field: "spec.template.spec", most: 1}
			of := func(p *corev1.PodTemplateSpec) { t.meta, t.spec = &p.ObjectMeta, &p.Spec }
			replicas := func(n *int32) {
				if n != nil {
					t.most = int64(*n)
				}
				t.most = max(t.most, scaled[o.ID()])
			}
			switch w := o.Object.(type) {
			case *corev1.Pod:
				t.field, t.meta, t.spec = "spec", &w.ObjectMeta, &w.Spec
			case *appsv1.Deployment:
				of(&w.Spec.Template)
				replicas(w.Spec.Replicas)
				t.most += surge(w.Spec.Strategy, t.most)
			case *appsv1.ReplicaSet:
				of(&w.Spec.Template)
				replicas(w.Spec.Replicas)
			case *corev1.ReplicationController:
				if w.Spec.Template == nil {
					continue
				}
				of(w.Spec.Template)
				replicas(w.Spec.Replicas)
			case *appsv1.StatefulSet:
				of(&w.Spec.Template)
				replicas(w.Spec.Replicas)
				for _, c := range w.Spec.VolumeClaimTemplates {
					t.volumes = append(t.volumes, c.Spec)
				}
			case *appsv1.DaemonSet:
				of(&w.Spec.Template)
				t.daemon = true
			case *batchv1.Job:
				of(&w.Spec.Template)
				t.most = atOnce(&w.Spec)
			case *batchv1.CronJob:
				of(&w.Spec.JobTemplate.Spec.Template)
				t.field = "spec.jobTemplate.spec.template.spec"
				t.most = atOnce(&w.Spec.JobTemplate.Spec)
				switch w.Spec.ConcurrencyPolicy {
				case batchv1.ForbidConcurrent:
				case batchv1.ReplaceConcurrent:
					t.most *= 2 // the next run starts while the last one is ending
				default:
					t.endless = true
				}
			default:
				all = append(all, madeBy(o, u, acme(u.Name))...)
				continue
			}
			all = append(all, t)
		}
	}
	return all
}

// surge is how many pods a rolling update adds.
func surge(s appsv1.DeploymentStrategy, replicas int64) int64 {
	if s.Type == appsv1.RecreateDeploymentStrategyType {
		return 0
	}
	more := intstr.FromString("25%")
	if s.RollingUpdate != nil && s.RollingUpdate.MaxSurge != nil {
		more = *s.RollingUpdate.MaxSurge
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(&more, int(replicas), true)
	if err != nil {
		return 0 // the API server refuses it
	}
	return int64(n)
}

func atOnce(j *batchv1.JobSpec) int64 {
	n := int64(1)
	if j.Parallelism != nil {
		n = int64(*j.Parallelism)
	}
	if j.Completions != nil {
		n = min(n, int64(*j.Completions))
	}
	return n
}

// at is the path of a field of the pod's spec in the object.
func (t *template) at(field string) string {
	if t.made {
		return t.field
	}
	return t.field + "." + field
}

// containers yields every container with its path, those that run before the others included.
func (t *template) containers() iter.Seq2[string, *corev1.Container] {
	return func(yield func(string, *corev1.Container) bool) {
		for i := range t.spec.InitContainers {
			if !yield(t.at(fmt.Sprintf("initContainers[%d]", i)), &t.spec.InitContainers[i]) {
				return
			}
		}
		for i := range t.spec.Containers {
			if !yield(t.at(fmt.Sprintf("containers[%d]", i)), &t.spec.Containers[i]) {
				return
			}
		}
		for i := range t.spec.EphemeralContainers {
			c := corev1.Container(t.spec.EphemeralContainers[i].EphemeralContainerCommon)
			if !yield(t.at(fmt.Sprintf("ephemeralContainers[%d]", i)), &c) {
				return
			}
		}
	}
}

// below is the path of a container's field; that of the container where an operator fills it.
func (t *template) below(container, field string) string {
	if t.made {
		return container
	}
	return container + "." + field
}

// account is the service account that the pods run as.
func (t *template) account() string {
	switch {
	case t.spec.ServiceAccountName != "":
		return t.spec.ServiceAccountName
	case t.spec.DeprecatedServiceAccount != "":
		return t.spec.DeprecatedServiceAccount
	}
	return "default"
}

// labelled copies labels, so that a template may add to them.
func labelled(all ...map[string]string) map[string]string {
	labels := map[string]string{}
	for _, some := range all {
		maps.Copy(labels, some)
	}
	return labels
}
