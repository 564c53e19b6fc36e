package verify

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	acmev1 "github.com/cert-manager/cert-manager/pkg/apis/acme/v1"
	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What operators make of the resources that they watch, as far as those tell. The images of an operator's
// own helpers are the operator's configuration, which no fleet shows: they are left empty.

// madeBy lists the templates that an operator makes of an object.
func madeBy(o Object, u *Unit, acme func(*certv1.Certificate) *acmev1.ACMEIssuer) []*template {
	switch w := o.Object.(type) {
	case *certv1.Certificate:
		if issuer := acme(w); issuer != nil {
			return solverTemplates(o, u, w, issuer)
		}
	case *unstructured.Unstructured:
		switch gvk := w.GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
		case "postgresql.cnpg.io/Cluster":
			return []*template{clusterTemplate(o, u, w)}
		case "postgresql.cnpg.io/Pooler":
			return []*template{poolerTemplate(o, u, w)}
		}
	}
	return nil
}

// A cnpgCluster is what of a CloudNativePG 1.30 Cluster decides about pods and Secrets.
type cnpgCluster struct {
	Spec struct {
		Instances          int32                         `json:"instances"`
		ImageName          string                        `json:"imageName"`
		ImagePullPolicy    corev1.PullPolicy             `json:"imagePullPolicy"`
		ImagePullSecrets   []corev1.LocalObjectReference `json:"imagePullSecrets"`
		ServiceAccountName string                        `json:"serviceAccountName"`
		PostgresUID        int64                         `json:"postgresUID"`
		PostgresGID        int64                         `json:"postgresGID"`
		PriorityClassName  string                        `json:"priorityClassName"`
		SchedulerName      string                        `json:"schedulerName"`
		Resources          corev1.ResourceRequirements   `json:"resources"`
		SeccompProfile     *corev1.SeccompProfile        `json:"seccompProfile"`
		PodSecurityContext *corev1.PodSecurityContext    `json:"podSecurityContext"`
		SecurityContext    *corev1.SecurityContext       `json:"securityContext"`
		Env                []corev1.EnvVar               `json:"env"`
		EnvFrom            []corev1.EnvFromSource        `json:"envFrom"`
		Projected          *corev1.ProjectedVolumeSource `json:"projectedVolumeTemplate"`
		Scratch            *corev1.EphemeralVolumeSource `json:"ephemeralVolumeSource"`
		InheritedMetadata  struct {
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"inheritedMetadata"`
		Affinity struct {
			EnablePodAntiAffinity *bool                   `json:"enablePodAntiAffinity"`
			PodAntiAffinityType   string                  `json:"podAntiAffinityType"`
			TopologyKey           string                  `json:"topologyKey"`
			NodeSelector          map[string]string       `json:"nodeSelector"`
			NodeAffinity          *corev1.NodeAffinity    `json:"nodeAffinity"`
			Tolerations           []corev1.Toleration     `json:"tolerations"`
			More                  *corev1.PodAffinity     `json:"additionalPodAffinity"`
			MoreAnti              *corev1.PodAntiAffinity `json:"additionalPodAntiAffinity"`
		} `json:"affinity"`
		Storage     cnpgStorage  `json:"storage"`
		WALStorage  *cnpgStorage `json:"walStorage"`
		Tablespaces []struct {
			Storage cnpgStorage `json:"storage"`
		} `json:"tablespaces"`
		Plugins   []cnpgPlugin `json:"plugins"`
		Bootstrap struct {
			InitDB struct {
				Secret *objectRef `json:"secret"`
			} `json:"initdb"`
			Recovery   struct{ Secret *objectRef } `json:"recovery"`
			BaseBackup struct{ Secret *objectRef } `json:"pg_basebackup"`
		} `json:"bootstrap"`
		Superuser       bool       `json:"enableSuperuserAccess"`
		SuperuserSecret *objectRef `json:"superuserSecret"`
		Managed         struct {
			Roles []struct {
				PasswordSecret *objectRef `json:"passwordSecret"`
			} `json:"roles"`
			Services struct {
				Additional []struct {
					Template serviceTemplate `json:"serviceTemplate"`
				} `json:"additional"`
			} `json:"services"`
		} `json:"managed"`
		Certificates struct {
			ServerCA    string `json:"serverCASecret"`
			ServerTLS   string `json:"serverTLSSecret"`
			ClientCA    string `json:"clientCASecret"`
			Replication string `json:"replicationTLSSecret"`
		} `json:"certificates"`
		ExternalClusters []struct {
			ConnectionParameters map[string]string         `json:"connectionParameters"`
			Password             *corev1.SecretKeySelector `json:"password"`
			SSLCert              *corev1.SecretKeySelector `json:"sslCert"`
			SSLKey               *corev1.SecretKeySelector `json:"sslKey"`
			SSLRootCert          *corev1.SecretKeySelector `json:"sslRootCert"`
			Barman               *barmanStore              `json:"barmanObjectStore"`
		} `json:"externalClusters"`
		Backup struct {
			Barman *barmanStore `json:"barmanObjectStore"`
		} `json:"backup"`
	} `json:"spec"`
}

type objectRef struct {
	Name string `json:"name"`
}

type serviceTemplate struct {
	Spec corev1.ServiceSpec `json:"spec"`
}

type cnpgStorage struct {
	Size         string                            `json:"size"`
	StorageClass *string                           `json:"storageClass"`
	Claim        *corev1.PersistentVolumeClaimSpec `json:"pvcTemplate"`
}

type cnpgPlugin struct {
	Name       string            `json:"name"`
	Enabled    *bool             `json:"enabled"`
	Parameters map[string]string `json:"parameters"`
}

// A barmanStore is where backups go: that of the Barman Cloud plugin 0.13, and of a Cluster itself.
type barmanStore struct {
	DestinationPath string `json:"destinationPath"`
	EndpointURL     string `json:"endpointURL"`
	S3Credentials   struct {
		AccessKeyID     *corev1.SecretKeySelector `json:"accessKeyId"`
		SecretAccessKey *corev1.SecretKeySelector `json:"secretAccessKey"`
		Region          *corev1.SecretKeySelector `json:"region"`
		SessionToken    *corev1.SecretKeySelector `json:"sessionToken"`
	} `json:"s3Credentials"`
	EndpointCA *corev1.SecretKeySelector `json:"endpointCA"`
}

// An objectStore is what of the plugin's ObjectStore decides about pods, buckets and Secrets.
type objectStore struct {
	Spec struct {
		Configuration barmanStore `json:"configuration"`
		Sidecar       struct {
			Env       []corev1.EnvVar             `json:"env"`
			Resources corev1.ResourceRequirements `json:"resources"`
		} `json:"instanceSidecarConfiguration"`
	} `json:"spec"`
}

const barmanPlugin = "barman-cloud.cloudnative-pg.io"

// claim is the volume claim of a storage.
func (s *cnpgStorage) claim() corev1.PersistentVolumeClaimSpec {
	var c corev1.PersistentVolumeClaimSpec
	if s.Claim != nil {
		c = *s.Claim.DeepCopy()
	}
	if s.StorageClass != nil {
		c.StorageClassName = s.StorageClass
	}
	if size, err := resource.ParseQuantity(s.Size); err == nil {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: size}
	}
	return c
}

// clusterTemplate is the instances of a CloudNativePG 1.30 Cluster (pkg/specs/pods.go, containers.go,
// volumes.go). The jobs that make an instance have the same resources and run in its place.
func clusterTemplate(o Object, u *Unit, w *unstructured.Unstructured) *template {
	var c cnpgCluster
	convert(w, &c)
	s := &c.Spec
	t := &template{unit: u, object: o, field: "spec", made: true, most: max(1, int64(s.Instances))}
	t.meta = &metav1.ObjectMeta{
		Annotations: labelled(s.InheritedMetadata.Annotations),
		Labels: labelled(map[string]string{
			"cnpg.io/cluster": w.GetName(), "cnpg.io/podRole": "instance",
		}, s.InheritedMetadata.Labels),
	}
	for key, value := range w.GetAnnotations() {
		if strings.HasPrefix(key, corev1.DeprecatedAppArmorBetaContainerAnnotationKeyPrefix) {
			t.meta.Annotations[key] = value
		}
	}
	security := c.container()
	postgres := corev1.Container{
		Name: "postgres", Image: s.ImageName, ImagePullPolicy: s.ImagePullPolicy, Env: s.Env, EnvFrom: s.EnvFrom, Resources: s.Resources, SecurityContext: security,
		Ports: []corev1.ContainerPort{{Name: "postgresql", ContainerPort: 5432}, {Name: "metrics", ContainerPort: 9187}, {Name: "status", ContainerPort: 8000}},
		// Of all three kinds; what a Cluster may change of them is their timing.
		StartupProbe: &corev1.Probe{}, LivenessProbe: &corev1.Probe{}, ReadinessProbe: &corev1.Probe{},
	}
	t.spec = &corev1.PodSpec{
		InitContainers:     []corev1.Container{{Name: "bootstrap-controller", Resources: s.Resources, SecurityContext: security}},
		Containers:         []corev1.Container{postgres},
		ServiceAccountName: cmp.Or(s.ServiceAccountName, w.GetName()),
		ImagePullSecrets:   s.ImagePullSecrets,
		PriorityClassName:  s.PriorityClassName,
		SchedulerName:      s.SchedulerName,
		SecurityContext:    c.pod(),
		NodeSelector:       s.Affinity.NodeSelector,
		Tolerations:        s.Affinity.Tolerations,
		Affinity:           &corev1.Affinity{NodeAffinity: s.Affinity.NodeAffinity, PodAffinity: s.Affinity.More, PodAntiAffinity: s.Affinity.MoreAnti},
	}
	if on := s.Affinity.EnablePodAntiAffinity; (on == nil || *on) && s.Affinity.PodAntiAffinityType == "required" {
		anti := &corev1.PodAntiAffinity{}
		if s.Affinity.MoreAnti != nil {
			anti = s.Affinity.MoreAnti.DeepCopy()
		}
		anti.RequiredDuringSchedulingIgnoredDuringExecution = append(anti.RequiredDuringSchedulingIgnoredDuringExecution, corev1.PodAffinityTerm{
			LabelSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"cnpg.io/cluster": w.GetName(), "cnpg.io/podRole": "instance"}},
			TopologyKey:   cmp.Or(s.Affinity.TopologyKey, corev1.LabelHostname),
		})
		t.spec.Affinity.PodAntiAffinity = anti
	}
	if s.Projected != nil {
		t.spec.Volumes = append(t.spec.Volumes, corev1.Volume{Name: "projected", VolumeSource: corev1.VolumeSource{Projected: s.Projected}})
	}
	if s.Scratch != nil {
		t.spec.Volumes = append(t.spec.Volumes, corev1.Volume{Name: "scratch-data", VolumeSource: corev1.VolumeSource{Ephemeral: s.Scratch}})
	}
	if store := c.store(u); store != nil {
		t.spec.InitContainers = append(t.spec.InitContainers, corev1.Container{
			Name: "plugin-barman-cloud", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Env: store.Spec.Sidecar.Env, Resources: store.Spec.Sidecar.Resources,
			SecurityContext: closedContext(&corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}),
		})
	}
	t.volumes = append(t.volumes, s.Storage.claim())
	if s.WALStorage != nil {
		t.volumes = append(t.volumes, s.WALStorage.claim())
	}
	for _, space := range s.Tablespaces {
		t.volumes = append(t.volumes, space.Storage.claim())
	}
	return t
}

// store is the ObjectStore of the plugin that a Cluster names; nil where it has none.
func (c *cnpgCluster) store(u *Unit) *objectStore {
	for _, p := range c.Spec.Plugins {
		if p.Name != barmanPlugin || p.Enabled != nil && !*p.Enabled {
			continue
		}
		store := &objectStore{} // one that nobody renders still brings its sidecar
		for _, o := range u.Objects {
			if w, ok := o.Object.(*unstructured.Unstructured); ok && o.ID() == "ObjectStore/"+p.Parameters["barmanObjectName"] {
				convert(w, store)
			}
		}
		return store
	}
	return nil
}

// pod is the security context of a Cluster's pods.
func (c *cnpgCluster) pod() *corev1.PodSecurityContext {
	s := &c.Spec
	group := cmp.Or(s.PostgresGID, 26)
	filled := &corev1.PodSecurityContext{RunAsNonRoot: new(true), RunAsUser: new(cmp.Or(s.PostgresUID, 26)), RunAsGroup: &group, FSGroup: &group, SeccompProfile: c.seccomp()}
	if s.PodSecurityContext == nil {
		return filled
	}
	own := s.PodSecurityContext.DeepCopy()
	own.RunAsUser, own.RunAsGroup = cmp.Or(own.RunAsUser, filled.RunAsUser), cmp.Or(own.RunAsGroup, filled.RunAsGroup)
	own.SeccompProfile = cmp.Or(own.SeccompProfile, filled.SeccompProfile)
	return own
}

// container is the security context of a Cluster's containers, and of its poolers'.
func (c *cnpgCluster) container() *corev1.SecurityContext {
	filled := closedContext(c.seccomp())
	if c.Spec.SecurityContext == nil {
		return filled
	}
	own := c.Spec.SecurityContext.DeepCopy()
	own.SeccompProfile, own.Capabilities = cmp.Or(own.SeccompProfile, filled.SeccompProfile), cmp.Or(own.Capabilities, filled.Capabilities)
	own.Privileged, own.RunAsNonRoot = cmp.Or(own.Privileged, filled.Privileged), cmp.Or(own.RunAsNonRoot, filled.RunAsNonRoot)
	own.ReadOnlyRootFilesystem = cmp.Or(own.ReadOnlyRootFilesystem, filled.ReadOnlyRootFilesystem)
	own.AllowPrivilegeEscalation = cmp.Or(own.AllowPrivilegeEscalation, filled.AllowPrivilegeEscalation)
	return own
}

func (c *cnpgCluster) seccomp() *corev1.SeccompProfile {
	return cmp.Or(c.Spec.SeccompProfile, &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault})
}

// closedContext is the security context that CloudNativePG and its plugin give their containers.
func closedContext(seccomp *corev1.SeccompProfile) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		SeccompProfile: seccomp, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, Privileged: new(false), RunAsNonRoot: new(true),
		ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false),
	}
}

// A cnpgPooler is what of a CloudNativePG 1.30 Pooler decides about pods and Secrets.
type cnpgPooler struct {
	Spec struct {
		Cluster            objectRef                  `json:"cluster"`
		Instances          *int32                     `json:"instances"`
		ServiceAccountName string                     `json:"serviceAccountName"`
		Strategy           *appsv1.DeploymentStrategy `json:"deploymentStrategy"`
		Template           *corev1.PodTemplateSpec    `json:"template"`
		Service            serviceTemplate            `json:"serviceTemplate"`
		PgBouncer          struct {
			Image           string     `json:"image"`
			AuthQuerySecret *objectRef `json:"authQuerySecret"`
		} `json:"pgbouncer"`
	} `json:"spec"`
}

// poolerTemplate is the pods of a CloudNativePG 1.30 Pooler (pkg/specs/pgbouncer/deployments.go): its own
// template, with the security contexts of the Cluster, whatever the template says of them.
func poolerTemplate(o Object, u *Unit, w *unstructured.Unstructured) *template {
	var p cnpgPooler
	convert(w, &p)
	var c cnpgCluster
	for _, other := range u.Objects {
		if w, ok := other.Object.(*unstructured.Unstructured); ok && w.GroupVersionKind().Group == "postgresql.cnpg.io" && other.ID() == "Cluster/"+p.Spec.Cluster.Name {
			convert(w, &c)
		}
	}
	pod := &corev1.PodTemplateSpec{}
	if p.Spec.Template != nil {
		pod = p.Spec.Template.DeepCopy()
	}
	t := &template{unit: u, object: o, field: "spec.template.spec", made: true, meta: &pod.ObjectMeta, spec: &pod.Spec, most: 1}
	t.meta.Labels = labelled(pod.Labels, map[string]string{"cnpg.io/poolerName": w.GetName(), "cnpg.io/cluster": p.Spec.Cluster.Name, "cnpg.io/podRole": "pooler"})
	t.spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsNonRoot: new(true), RunAsUser: new(int64(998)), RunAsGroup: new(int64(996)), FSGroup: new(int64(996)), SeccompProfile: c.seccomp(),
	}
	t.spec.ServiceAccountName = cmp.Or(p.Spec.ServiceAccountName, w.GetName())
	bouncer := containerNamed(&t.spec.Containers, "pgbouncer")
	bouncer.SecurityContext = c.container()
	bouncer.Image = cmp.Or(bouncer.Image, p.Spec.PgBouncer.Image)
	bouncer.ReadinessProbe = cmp.Or(bouncer.ReadinessProbe, &corev1.Probe{})
	bouncer.Ports = append(bouncer.Ports, corev1.ContainerPort{Name: "pgbouncer", ContainerPort: 5432}, corev1.ContainerPort{Name: "metrics", ContainerPort: 9127})
	boot := containerNamed(&t.spec.InitContainers, "bootstrap-controller")
	boot.SecurityContext, boot.Image = c.container(), ""
	if boot.Resources.Requests == nil && boot.Resources.Limits == nil && t.spec.Resources != nil {
		boot.Resources = *t.spec.Resources
	}
	if p.Spec.Instances != nil {
		t.most = int64(*p.Spec.Instances)
	}
	var strategy appsv1.DeploymentStrategy
	if p.Spec.Strategy != nil {
		strategy = *p.Spec.Strategy
	}
	t.most += surge(strategy, t.most)
	return t
}

// containerNamed finds a container, or adds it.
func containerNamed(list *[]corev1.Container, name string) *corev1.Container {
	i := slices.IndexFunc(*list, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		*list = append(*list, corev1.Container{Name: name})
		i = len(*list) - 1
	}
	return &(*list)[i]
}

// solverTemplates is the pods by which cert-manager 1.21 proves the hosts of a certificate over HTTP, one for
// each (pkg/issuer/acme/http/pod.go), with the resources that it is configured with by default. Where several
// solvers would do, all are looked at, and the first is counted.
func solverTemplates(o Object, u *Unit, c *certv1.Certificate, issuer *acmev1.ACMEIssuer) []*template {
	var all []*template
	for _, s := range issuer.Solvers {
		if s.HTTP01 == nil || !picks(s.Selector, c) {
			continue
		}
		list := func(cpu string) corev1.ResourceList {
			return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse("64Mi")}
		}
		t := &template{unit: u, object: o, field: "spec.dnsNames", made: true}
		t.meta = &metav1.ObjectMeta{Labels: map[string]string{acmev1.SolverIdentificationLabelKey: "true"}}
		t.spec = &corev1.PodSpec{
			AutomountServiceAccountToken: new(false),
			SecurityContext:              &corev1.PodSecurityContext{RunAsNonRoot: new(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault}},
			Containers: []corev1.Container{{
				Name: "acmesolver", Resources: corev1.ResourceRequirements{Requests: list("10m"), Limits: list("100m")}, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8089}},
				SecurityContext: &corev1.SecurityContext{
					ReadOnlyRootFilesystem: new(true), AllowPrivilegeEscalation: new(false), Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		}
		if len(all) == 0 {
			t.most = int64(len(c.Spec.DNSNames))
		}
		if h := s.HTTP01; h.Ingress != nil {
			t.override(h.Ingress.PodTemplate)
		} else if h.GatewayHTTPRoute != nil {
			t.override(h.GatewayHTTPRoute.PodTemplate)
		}
		all = append(all, t)
	}
	return all
}

// solver says that the pods are cert-manager's.
func (t *template) solver() bool {
	return t.object.GetObjectKind().GroupVersionKind().Group == certv1.SchemeGroupVersion.Group
}

// override has an issuer's own template change that of a solver, as cert-manager does.
func (t *template) override(own *acmev1.ACMEChallengeSolverHTTP01IngressPodTemplate) {
	if own == nil {
		return
	}
	t.meta.Labels, t.meta.Annotations = labelled(t.meta.Labels, own.Labels), own.Annotations
	t.spec.NodeSelector, t.spec.Tolerations, t.spec.Affinity = own.Spec.NodeSelector, own.Spec.Tolerations, own.Spec.Affinity
	t.spec.PriorityClassName, t.spec.ServiceAccountName, t.spec.ImagePullSecrets = own.Spec.PriorityClassName, own.Spec.ServiceAccountName, own.Spec.ImagePullSecrets
	if s := own.Spec.SecurityContext; s != nil {
		t.spec.SecurityContext = &corev1.PodSecurityContext{
			SELinuxOptions: s.SELinuxOptions, RunAsUser: s.RunAsUser, RunAsGroup: s.RunAsGroup, RunAsNonRoot: s.RunAsNonRoot, SupplementalGroups: s.SupplementalGroups,
			FSGroup: s.FSGroup, Sysctls: s.Sysctls, FSGroupChangePolicy: s.FSGroupChangePolicy, SeccompProfile: s.SeccompProfile,
		}
	}
	if r := own.Spec.Resources; r != nil {
		have := &t.spec.Containers[0].Resources
		maps.Copy(have.Requests, r.Requests)
		maps.Copy(have.Limits, r.Limits)
	}
}

// picks says that a solver is for a certificate.
func picks(s *acmev1.CertificateDNSNameSelector, c *certv1.Certificate) bool {
	if s == nil {
		return true
	}
	for key, value := range s.MatchLabels {
		if c.Labels[key] != value {
			return false
		}
	}
	return len(s.DNSNames)+len(s.DNSZones) == 0 || slices.ContainsFunc(c.Spec.DNSNames, func(host string) bool {
		return slices.Contains(s.DNSNames, host) || slices.ContainsFunc(s.DNSZones, func(zone string) bool { return host == zone || strings.HasSuffix(host, "."+zone) })
	})
}
