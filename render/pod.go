package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// uid runs every container that does not need another. It is above 10000 so that it meets no user of a
// node, and images whose files are readable to all run under it.
const uid = 10001

// cpuBurst is how far CPU may exceed its request.
const cpuBurst = 4

// requirements fills what is left out of r from the component's defaults.
func (r Resources) requirements(defaults Resources) corev1.ResourceRequirements {
	cpu := resource.MustParse(string(cmp.Or(r.CPU, defaults.CPU)))
	limit := *resource.NewMilliQuantity(cpu.MilliValue()*cpuBurst, resource.DecimalSI)
	if q := cmp.Or(r.CPULimit, defaults.CPULimit); q != "" {
		limit = resource.MustParse(string(q))
		if limit.Cmp(cpu) < 0 {
			limit = cpu
		}
	}
	memory := resource.MustParse(string(cmp.Or(r.Memory, defaults.Memory)))
	disk := resource.MustParse(string(cmp.Or(r.Ephemeral, defaults.Ephemeral, "1Gi")))
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: cpu, corev1.ResourceMemory: memory, corev1.ResourceEphemeralStorage: disk},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: limit, corev1.ResourceMemory: memory, corev1.ResourceEphemeralStorage: disk},
	}
}

// container is a container as Pod Security "restricted" wants it, with a read-only root.
func container(name, image string) corev1.Container {
	return corev1.Container{
		Name:            name,
		Image:           image,
		ImagePullPolicy: corev1.PullAlways,
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

// pod is a pod as Pod Security "restricted" wants it: no root, no token, and an account that can do nothing.
func (s scope) pod(volumes []corev1.Volume, containers ...corev1.Container) corev1.PodSpec {
	return corev1.PodSpec{
		ServiceAccountName:           "default",
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false),
		PriorityClassName:            s.priority,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot:        new(true),
			RunAsUser:           new(int64(uid)),
			RunAsGroup:          new(int64(uid)),
			FSGroup:             new(int64(uid)),
			FSGroupChangePolicy: new(corev1.FSGroupChangeOnRootMismatch),
			SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		NodeSelector: s.nodes.selector,
		Tolerations:  s.nodes.tolerations,
		Containers:   containers,
		Volumes:      volumes,
	}
}

// spread keeps the replicas of one workload on different nodes and zones as far as there are any.
func spread(pods map[string]string) (*corev1.Affinity, []corev1.TopologySpreadConstraint) {
	selector := &metav1.LabelSelector{MatchLabels: pods}
	affinity := &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{
			Weight:          100,
			PodAffinityTerm: corev1.PodAffinityTerm{LabelSelector: selector, TopologyKey: corev1.LabelHostname},
		}},
	}}
	var constraints []corev1.TopologySpreadConstraint
	for _, key := range []string{corev1.LabelHostname, corev1.LabelTopologyZone} {
		constraints = append(constraints, corev1.TopologySpreadConstraint{
			MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: selector,
		})
	}
	return affinity, constraints
}

// scratch is a writable directory that lives as long as the pod.
func scratch(name, path string, size Quantity) (corev1.Volume, corev1.VolumeMount) {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse(string(size)))}}},
		corev1.VolumeMount{Name: name, MountPath: path}
}

// secretVolume mounts the keys of a Secret as files that only the pod's group can read.
func secretVolume(name, secret, path string, keys ...string) (corev1.Volume, corev1.VolumeMount) {
	source := &corev1.SecretVolumeSource{SecretName: secret, DefaultMode: new(int32(0o440))}
	for _, k := range keys {
		source.Items = append(source.Items, corev1.KeyToPath{Key: k, Path: k})
	}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{Secret: source}}, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: true}
}

func configVolume(name, config, path string) (corev1.Volume, corev1.VolumeMount) {
	source := &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: config}, DefaultMode: new(int32(0o444))}
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{ConfigMap: source}}, corev1.VolumeMount{Name: name, MountPath: path, ReadOnly: true}
}

func secretEnv(name, secret, key string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: secretFact(secret, key).from}
}

// checksum changes with the content of configuration: with a ConfigMap's data, and with the annotations by
// which a Secret is filled. Pods that carry it are rolled when either changes.
func checksum(objects ...Object) map[string]string {
	sum := sha256.New()
	for _, o := range objects {
		var content any
		switch o := o.(type) {
		case *corev1.ConfigMap:
			content = o.Data
		case *corev1.Secret:
			content = o.Annotations
		case *externalSecret:
			content = o.Spec
		default:
			continue
		}
		text, err := json.Marshal(content)
		if err != nil {
			panic(err) // maps of strings and our own structs always encode
		}
		sum.Write(text)
	}
	return map[string]string{"tenantry.dev/checksum": hex.EncodeToString(sum.Sum(nil))[:16]}
}

// contentName adds a digest of a template to a name. What the API server lets nobody change, such as a
// Job's template, gets a new name instead.
func contentName(name string, template any) string {
	text, err := json.Marshal(template)
	if err != nil {
		panic(err) // a typed template always encodes
	}
	sum := sha256.Sum256(text)
	// A Job's name becomes a label of its pods, which holds 63 characters.
	name = strings.TrimRight(name[:min(len(name), 54)], "-")
	return name + "-" + hex.EncodeToString(sum[:])[:8]
}

func seconds(d, otherwise time.Duration) int64 {
	return int64(cmp.Or(d, otherwise) / time.Second)
}
