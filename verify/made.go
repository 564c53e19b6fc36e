package verify

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Made is the pods that operators make of the fleet's objects, one of each kind, as far as the objects tell: what
// other programs must know of to judge the fleet's policies and budgets. Each is named after the object that it comes
// of.
func (f *Fleet) Made() []*corev1.Pod {
	var pods []*corev1.Pod
	for i, t := range templatesOf(f) {
		if !t.made {
			continue
		}
		pod := &corev1.Pod{ObjectMeta: *t.meta.DeepCopy(), Spec: *t.spec.DeepCopy()}
		pod.APIVersion, pod.Kind = "v1", "Pod"
		pod.Namespace, pod.Name = t.unit.Name, fmt.Sprintf("%s-%d", t.object.GetName(), i)
		pods = append(pods, pod)
	}
	return pods
}
