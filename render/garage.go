package render

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Garage is a self-hosted S3 store in the platform's namespace. Each tenant with a GarageBucket gets a
// bucket and a key of its own in it.
type Garage struct {
	Replicas  int32    // 1, or 3 for a copy on each of three nodes
	Storage   Quantity // of each replica
	Resources Resources
}

func (g *Garage) validate(c *checker) {
	if g.Replicas != 1 && g.Replicas != 3 {
		c.at("replicas").invalid(g.Replicas, "must be 1 or 3")
	}
	c.at("storage").bytes(g.Storage, leastDisk)
	c.at("resources").resources(g.Resources)
}

// garageConf keeps every object on as many nodes as there are replicas.
const garageConf = `metadata_dir = "/data/meta"
data_dir = "/data/data"
db_engine = "lmdb"
metadata_auto_snapshot_interval = "6h"
replication_factor = %d
rpc_bind_addr = "[::]:3901"
[s3_api]
s3_region = "garage"
api_bind_addr = "[::]:3900"
[admin]
api_bind_addr = "[::]:3903"
`

// joinScript introduces the replicas to each other and gives each its part of the data, once: a cluster
// that has a layout is left as it is.
const joinScript = `set -eu
call() { curl --silent --show-error --fail --retry 30 --retry-delay 5 --retry-all-errors --header "Authorization: Bearer $GARAGE_ADMIN_TOKEN" "$@"; }
nodes='' roles=''
for i in $(seq 0 $((REPLICAS - 1))); do
  host=garage-$i.garage
  id=$(call "http://$host:3903/v2/GetNodeInfo?node=self" | tr -d ' \n' | sed 's/.*"nodeId":"\([0-9a-f]*\)".*/\1/')
  nodes="$nodes,\"$id@$host:3901\""
  roles="$roles,{\"id\":\"$id\",\"zone\":\"$host\",\"capacity\":$CAPACITY,\"tags\":[]}"
done
call --json "[${nodes#,}]" http://garage-0.garage:3903/v2/ConnectClusterNodes
version=$(call http://garage-0.garage:3903/v2/GetClusterLayout | tr -d ' \n' | sed 's/.*"version":\([0-9]*\).*/\1/')
if [ "$version" = 0 ]; then
  call --json "{\"roles\":[${roles#,}]}" http://garage-0.garage:3903/v2/UpdateClusterLayout
  call --json '{"version":1}' http://garage-0.garage:3903/v2/ApplyClusterLayout
fi
`

// bucketScript makes one bucket and one key that opens it, and may be run again.
const bucketScript = `set -eu
call() { curl --silent --show-error --header "Authorization: Bearer $GARAGE_ADMIN_TOKEN" "$@"; }
admin=http://garage:3903
call --fail --retry 60 --retry-delay 5 --retry-all-errors --output /dev/null "$admin/health"
call --fail --output /dev/null "$admin/v2/GetKeyInfo?id=$ACCESS_KEY" ||
  call --fail --output /dev/null --json "{\"name\":\"$BUCKET\",\"accessKeyId\":\"$ACCESS_KEY\",\"secretAccessKey\":\"$SECRET_KEY\"}" "$admin/v2/ImportKey"
call --fail --output /dev/null "$admin/v2/GetBucketInfo?globalAlias=$BUCKET" ||
  call --fail --output /dev/null --json "{\"globalAlias\":\"$BUCKET\"}" "$admin/v2/CreateBucket"
id=$(call --fail "$admin/v2/GetBucketInfo?globalAlias=$BUCKET" | tr -d ' \n' | sed 's/^{"id":"\([0-9a-f]*\)".*/\1/')
call --fail --output /dev/null --json "{\"bucketId\":\"$id\",\"accessKeyId\":\"$ACCESS_KEY\",\"permissions\":{\"read\":true,\"write\":true,\"owner\":false}}" "$admin/v2/AllowBucketKey"
`

func (g *Garage) lower(s scope) []Object {
	m := s.named(garageName, "store", garageName)
	pods := selector(s.unit, garageName)
	rpc := s.secret(garageName, "store", garageName)
	rpc.keys = []secretKey{{name: "rpc-secret"}, {name: "admin-token"}}
	secrets := Generated{}.lowerSecret(s, rpc)
	conf := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: m,
		Data:       map[string]string{"garage.toml": fmt.Sprintf(garageConf, g.Replicas)},
	}
	volume, mount := configVolume("config", garageName, "/etc/garage.toml")
	mount.SubPath = "garage.toml"
	health := func(port string, failures int32) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString(port)}},
			PeriodSeconds: 10, TimeoutSeconds: 5, FailureThreshold: failures,
		}
	}
	c := container(garageName, s.images.Garage)
	c.Command = []string{"/garage", "server"}
	c.Env = []corev1.EnvVar{
		secretEnv("GARAGE_ADMIN_TOKEN", garageName, "admin-token"),
		secretEnv("GARAGE_RPC_SECRET", garageName, "rpc-secret"),
	}
	c.Ports = []corev1.ContainerPort{
		{Name: "s3", ContainerPort: 3900, Protocol: corev1.ProtocolTCP},
		{Name: "rpc", ContainerPort: 3901, Protocol: corev1.ProtocolTCP},
		{Name: "admin", ContainerPort: 3903, Protocol: corev1.ProtocolTCP},
	}
	c.Resources = g.Resources.requirements(Resources{CPU: "500m", Memory: "1Gi"})
	c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}, mount}
	c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = health("admin", 60), health("admin", 6), health("s3", 3)
	set := s.statefulSet(m, pods, g.Storage, c, checksum(append(secrets, conf)...), volume)
	set.Spec.Replicas = &g.Replicas
	set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	// The replicas have to find each other before any is ready.
	peers := headless(m, pods, "s3", 3900).(*corev1.Service)
	peers.Spec.PublishNotReadyAddresses = true
	peers.Spec.Ports = append(peers.Spec.Ports,
		corev1.ServicePort{Name: "rpc", Port: 3901, TargetPort: intstr.FromString("rpc"), Protocol: corev1.ProtocolTCP},
		corev1.ServicePort{Name: "admin", Port: 3903, TargetPort: intstr.FromString("admin"), Protocol: corev1.ProtocolTCP})

	storage := resource.MustParse(string(g.Storage))
	objects := slices.Concat(secrets, []Object{
		conf, set, peers, budget(m, pods),
		s.provision("garage-join", joinScript,
			corev1.EnvVar{Name: "CAPACITY", Value: strconv.FormatInt(storage.Value()/10*9, 10)},
			corev1.EnvVar{Name: "REPLICAS", Value: strconv.Itoa(int(g.Replicas))}),
	})

	provisioner := selector(s.unit, "garage-provision")
	clients := networkingv1.NetworkPolicyPeer{
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: TenantLabel, Operator: metav1.LabelSelectorOpExists}}},
	}
	objects = append(objects,
		policy(m, metav1.LabelSelector{MatchLabels: pods},
			[]networkingv1.NetworkPolicyIngressRule{from([]int32{3900}, clients), from([]int32{3901}, near(pods)), from([]int32{3903}, near(provisioner))},
			[]networkingv1.NetworkPolicyEgressRule{to([]int32{3901}, near(pods))}),
		policy(s.named("garage-provision", "store", "garage-provision"), metav1.LabelSelector{MatchLabels: provisioner}, nil,
			[]networkingv1.NetworkPolicyEgressRule{to([]int32{3903}, near(pods))}))

	for i := range s.fleet.Tenants {
		t := &s.fleet.Tenants[i]
		for name, store := range t.stores() {
			if b, ok := store.(GarageBucket); ok {
				objects = append(objects, s.garageBucket(t, name, b)...)
			}
		}
	}
	return objects
}

// garageBucket makes a tenant's bucket. The key is derived from the same path as in the tenant's own
// Secret, and is therefore the same.
func (s scope) garageBucket(t *Tenant, name string, b GarageBucket) []Object {
	object := "bucket-" + t.Name + "-" + name
	sec := b.key(secret{meta: s.named(object, "store", "garage-provision"), kind: corev1.SecretTypeOpaque, path: strings.Join([]string{s.fleet.Name, t.Name, name}, "/")})
	_, bucket := b.bucketName(s.fleet, t.Name, name)
	secrets := b.Key.lowerSecret(s, sec)
	return append(secrets, s.provision(object, bucketScript,
		secretEnv("ACCESS_KEY", object, "access-key"),
		corev1.EnvVar{Name: "BUCKET", Value: bucket},
		secretEnv("SECRET_KEY", object, "secret-key")))
}

// provision runs a script against Garage's admin port, once for each version of it.
func (s scope) provision(name, script string, env ...corev1.EnvVar) Object {
	env = append(env, secretEnv("GARAGE_ADMIN_TOKEN", garageName, "admin-token"))
	m := s.named(name, "store", "garage-provision")
	c := container("provision", s.images.Curl)
	c.Command = []string{"sh", "-c", script}
	c.Env = env
	c.Resources = Resources{}.requirements(Resources{CPU: "50m", Memory: "64Mi"})
	pod := s.pod(nil, c)
	pod.RestartPolicy = corev1.RestartPolicyOnFailure
	spec := batchv1.JobSpec{
		BackoffLimit:          new(int32(6)),
		ActiveDeadlineSeconds: new(int64(3600)),
		Template:              corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: m.Labels}, Spec: pod},
	}
	m.Name = contentName(name, spec)
	return &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: m, Spec: spec}
}
