package engine_test

import (
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/config"
	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// trial is the fleet of most tests. Its tenants are small, and have what a test is about.
const trial = "trial"

// A spec is what a test has written in tenants/. The test and the commands that it runs make the same fleets of it.
type spec struct {
	Example      bool                // the fleets of this repository, and nothing else
	Copies       int                 // of initech, which needs no operator, in staging
	Tenants      map[string][]string // by name: the edits that tell one from small
	Rings        []render.Ring
	Acknowledged []render.Acknowledgement
}

func (s spec) fleets() []render.Fleet {
	if s.Example {
		return tenants.Fleets()
	}
	if s.Copies > 0 {
		return []render.Fleet{copies(s.Copies)}
	}
	f := render.Fleet{
		Name:         trial,
		Cluster:      render.Cluster{Kubernetes: "1.37", APIServers: []string{"127.0.0.1/32"}, Registry: "registry.example.com"},
		Rings:        s.Rings,
		Acknowledged: s.Acknowledged,
	}
	for _, name := range slices.Sorted(maps.Keys(s.Tenants)) {
		t := small(name)
		for _, name := range s.Tenants[name] {
			edit, ok := edits[name]
			if !ok {
				panic(fmt.Sprintf("no edit %q", name))
			}
			edit(&t)
		}
		f.Tenants = append(f.Tenants, t)
	}
	return []render.Fleet{f}
}

// copies is staging with initech alone, many times, and with room for them.
func copies(n int) render.Fleet {
	fleets := tenants.Fleets()
	f := fleets[slices.IndexFunc(fleets, func(f render.Fleet) bool { return f.Name == "staging" })]
	initech := f.Tenants[slices.IndexFunc(f.Tenants, func(t render.Tenant) bool { return t.Name == "initech" })]
	edge := initech.Edge.(render.Ingress)
	edge.Certificate = render.Issued{} // the Secret of another has no value that kubectl could apply
	f.Name, f.Rings, f.Tenants, f.Cluster.Pools = trial, nil, nil, nil
	for i := range n {
		initech.Name = fmt.Sprintf("copy-%03d", i)
		edge.Host = initech.Name + ".example.com"
		initech.Edge = edge
		f.Tenants = append(f.Tenants, initech)
	}
	return f
}

// settings ask for one secret.
type settings struct {
	API apiSettings
}

type apiSettings struct {
	Key   config.Secret `env:"API_KEY,required"`
	Color string        `env:"COLOR"`
}

// small is a tenant without anything that holds data, but for its namespace.
func small(name string) render.Tenant {
	return render.Tenant{
		Name: name,
		Tier: render.Basic,
		API: render.Service{
			Image: "registry.example.com/api:1", Port: 8080, Scale: render.Fixed{Replicas: 1}, Live: "/live", Ready: "/ready",
		},
		Database: render.ExternalPostgres{
			Host: name + ".db.example", Database: "app", User: "app", Password: render.FromEnvironment{}, CIDRs: []string{"10.9.0.0/24"},
		},
		Cache:     render.NoCache{},
		Store:     render.NoStore{},
		Edge:      render.NoEdge{},
		DNS:       render.ManualDNS{},
		Placement: render.SharedNodes{},
		Secrets:   render.FromEnvironment{},
		Settings:  settings{},
	}
}

// edits are what somebody writes in the file of a tenant.
var edits = map[string]func(*render.Tenant){
	"memory":                func(t *render.Tenant) { t.API.Resources.Memory = "1Gi" },
	"a setting":             func(t *render.Tenant) { t.Settings = settings{apiSettings{Color: "green"}} },
	"generated secrets":     func(t *render.Tenant) { t.Secrets = render.Generated{} },
	"new generated secrets": func(t *render.Tenant) { t.Secrets = render.Generated{Version: 2} },
	"a ConfigMap":           extra(configMap("1")),
	"another ConfigMap":     extra(configMap("2")),
	"a tool":                extra(tool("hammer")),
	"another tool":          extra(tool("saw")),
	"a StatefulSet of 1Gi":  postgres("1Gi"),
	"a StatefulSet of 2Gi":  postgres("2Gi"),
	"a StatefulSet of 4Gi":  postgres("4Gi"),
	"a Cluster of 1Gi":      cloudNativePG("1Gi"),
	"a Cluster of 2Gi":      cloudNativePG("2Gi"),
	"a claim of 1Gi":        extra(claim("1Gi", corev1.ReadWriteOnce)),
	"a claim of 2Gi":        extra(claim("2Gi", corev1.ReadWriteOnce)),
	"a shared claim of 2Gi": extra(claim("2Gi", corev1.ReadWriteMany)),
}

func postgres(size render.Quantity) func(*render.Tenant) {
	return func(t *render.Tenant) {
		t.Database = render.Postgres{Image: "registry.example.com/postgres:18", Storage: size, Backup: render.Backup{To: render.NoStore{}}}
	}
}

func cloudNativePG(size render.Quantity) func(*render.Tenant) {
	return func(t *render.Tenant) {
		t.Database = render.CloudNativePG{Instances: 1, Image: "registry.example.com/postgres:18", Storage: size, Backup: render.Backup{To: render.NoStore{}}}
	}
}

func extra(o render.Object) func(*render.Tenant) {
	return func(t *render.Tenant) { t.Extra = append(t.Extra, o) }
}

func configMap(value string) render.Object {
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "more"},
		Data:       map[string]string{"value": value},
	}
}

// tool is a Deployment whose selector, which cannot be changed, has a part of its own.
func tool(name string) *appsv1.Deployment {
	labels := map[string]string{"tool": name}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Name: "tool"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					SecurityContext: &corev1.PodSecurityContext{
						RunAsNonRoot: new(true), RunAsUser: new(int64(10001)),
						SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
					},
					Containers: []corev1.Container{{
						Name: "tool", Image: "registry.example.com/tool:1",
						SecurityContext: &corev1.SecurityContext{
							AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
						},
					}},
				},
			},
		},
	}
}

func claim(size string, mode corev1.PersistentVolumeAccessMode) render.Object {
	return &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: "files"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{mode},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}},
		},
	}
}
