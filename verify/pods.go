package verify

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strconv"

	acmev1 "github.com/cert-manager/cert-manager/pkg/apis/acme/v1"
	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kruntime "k8s.io/apimachinery/pkg/runtime"
)

// later is the value of labels that only the cluster knows, such as the hash of a template.
const later = "set-by-the-cluster"

// most is how many pods of one set are told apart by their number.
const most = 1000

// podsOf is the pods that come of an object, with the labels that they will carry: those of its template and
// those that controllers and operators add. acme says that an issuer proves hosts by pods.
func podsOf(o Object, acme func(*certv1.Certificate) *acmev1.ACMEIssuer) []*pod {
	switch w := o.Object.(type) {
	case *corev1.Pod:
		return []*pod{newPod(o, w.Labels, &w.Spec, nil, true)}
	case *appsv1.Deployment:
		return []*pod{newPod(o, w.Spec.Template.Labels, &w.Spec.Template.Spec, map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: later}, false)}
	case *appsv1.ReplicaSet:
		return []*pod{newPod(o, w.Spec.Template.Labels, &w.Spec.Template.Spec, nil, false)}
	case *corev1.ReplicationController:
		if w.Spec.Template == nil {
			return nil
		}
		return []*pod{newPod(o, w.Spec.Template.Labels, &w.Spec.Template.Spec, nil, false)}
	case *appsv1.DaemonSet:
		return []*pod{newPod(o, w.Spec.Template.Labels, &w.Spec.Template.Spec, map[string]string{
			appsv1.ControllerRevisionHashLabelKey: later, "pod-template-generation": later,
		}, false)}
	case *appsv1.StatefulSet:
		replicas, start := int32(1), int32(0)
		if w.Spec.Replicas != nil {
			replicas = min(max(1, *w.Spec.Replicas), most) // one that is scaled to nothing may come back
		}
		if w.Spec.Ordinals != nil {
			start = w.Spec.Ordinals.Start
		}
		var pods []*pod
		for i := start; i < start+replicas; i++ {
			ordinal := strconv.Itoa(int(i))
			pods = append(pods, newPod(o, w.Spec.Template.Labels, &w.Spec.Template.Spec, map[string]string{
				appsv1.ControllerRevisionHashLabelKey: later, appsv1.StatefulSetPodNameLabel: w.Name + "-" + ordinal, appsv1.PodIndexLabel: ordinal,
			}, true))
		}
		return pods
	case *batchv1.Job:
		p := newPod(o, w.Spec.Template.Labels, &w.Spec.Template.Spec, jobLabels(w.Name), false)
		p.name = contentHash.ReplaceAllString(p.name, "")
		return []*pod{p}
	case *batchv1.CronJob:
		template := w.Spec.JobTemplate.Spec.Template
		return []*pod{newPod(o, template.Labels, &template.Spec, jobLabels(later), false)}
	case *certv1.Certificate:
		if issuer := acme(w); issuer != nil {
			return solvers(o, issuer)
		}
	case *unstructured.Unstructured:
		switch gvk := w.GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
		case "postgresql.cnpg.io/Cluster":
			return instances(o, w)
		case "postgresql.cnpg.io/Pooler":
			return poolers(o, w)
		}
	}
	return nil
}

const nameLabel = "app.kubernetes.io/name"

// contentHash ends the name of a Job that render names by its content.
var contentHash = regexp.MustCompile(`-[0-9a-f]{8}$`)

// tellApart gives the pods of a unit names by which those of different workloads differ: of workloads that are
// called alike, the kind is told. Jobs that share a label, such as one for each bucket, go by that, unless it is what
// another workload is called.
func tellApart(pods []*pod) {
	kindOf := func(p *pod) string { return p.object.GetObjectKind().GroupVersionKind().Kind }
	kinds, sharers := map[string]map[string]bool{}, map[string]map[string]bool{}
	add := func(to map[string]map[string]bool, key, value string) {
		if to[key] == nil {
			to[key] = map[string]bool{}
		}
		to[key][value] = true
	}
	for _, p := range pods {
		add(kinds, p.name, kindOf(p))
		if kindOf(p) == "Job" {
			add(sharers, p.labels[nameLabel], p.name)
		}
	}
	for _, p := range pods {
		label := p.labels[nameLabel]
		switch kind := kindOf(p); {
		case kind == "Job" && label != "" && len(sharers[label]) > 1 && kinds[label] == nil:
			p.name = label
		case len(kinds[p.name]) > 1:
			p.name = kind + "/" + p.name
		}
	}
}

func jobLabels(name string) map[string]string {
	return map[string]string{
		"job-name": name, batchv1.JobNameLabel: name,
		"controller-uid": later, batchv1.ControllerUidLabel: later,
	}
}

// newPod makes a pod of a template. added are the labels that its controller sets.
func newPod(o Object, labels map[string]string, spec *corev1.PodSpec, added map[string]string, alone bool) *pod {
	p := &pod{name: o.GetName(), labels: maps.Clone(labels), host: spec.HostNetwork, alone: alone, object: o}
	if p.labels == nil {
		p.labels = map[string]string{}
	}
	maps.Copy(p.labels, added)
	containers := spec.Containers
	for _, c := range spec.InitContainers { // sidecars
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			containers = append(slices.Clip(containers), c)
		}
	}
	for _, c := range containers {
		for _, listen := range c.Ports {
			if listen.Name != "" {
				p.ports = append(p.ports, namedPort{listen.Name, protocolOf(listen.Protocol), port(listen.ContainerPort)})
			}
		}
	}
	return p
}

// solvers is the pods by which cert-manager 1.21 proves a host over HTTP (pkg/issuer/acme/http/pod.go).
func solvers(o Object, issuer *acmev1.ACMEIssuer) []*pod {
	labels := map[string]string{
		acmev1.SolverIdentificationLabelKey: "true", acmev1.DomainLabelKey: later, acmev1.TokenLabelKey: later,
	}
	spec := &corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8089}}}}}
	var pods []*pod
	for _, s := range issuer.Solvers {
		if s.HTTP01 == nil {
			continue
		}
		var added map[string]string
		switch h := s.HTTP01; {
		case h.Ingress != nil && h.Ingress.PodTemplate != nil:
			added = h.Ingress.PodTemplate.Labels
		case h.GatewayHTTPRoute != nil && h.GatewayHTTPRoute.PodTemplate != nil:
			added = h.GatewayHTTPRoute.PodTemplate.Labels
		}
		p := newPod(o, labels, spec, added, false)
		p.name = "acme-solver"
		pods = append(pods, p)
	}
	return pods
}

// instances is the pods of a CloudNativePG 1.30 Cluster: its instances (pkg/specs/pods.go) and the jobs that
// make them (pkg/specs/jobs.go), which inherit no labels.
func instances(o Object, u *unstructured.Unstructured) []*pod {
	var cluster struct {
		Spec struct {
			Instances         int32 `json:"instances"`
			InheritedMetadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"inheritedMetadata"`
		} `json:"spec"`
	}
	convert(u, &cluster)
	spec := &corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
		{Name: "postgresql", ContainerPort: 5432}, {Name: "metrics", ContainerPort: 9187}, {Name: "status", ContainerPort: 8000},
	}}}}
	var pods []*pod
	add := func(serial int32, more map[string]string) {
		p := newPod(o, map[string]string{
			"cnpg.io/cluster": u.GetName(), "cnpg.io/instanceName": u.GetName() + "-" + strconv.Itoa(int(serial)),
			"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": u.GetName(), "app.kubernetes.io/version": later,
			"app.kubernetes.io/component": "database", "app.kubernetes.io/managed-by": "cloudnative-pg",
		}, spec, more, true)
		pods = append(pods, p)
	}
	for serial := int32(1); serial <= min(max(1, cluster.Spec.Instances), most); serial++ {
		roles := []string{"primary", "replica"} // each may become either
		if cluster.Spec.Instances <= 1 {
			roles = roles[:1]
		}
		for _, role := range roles {
			instance := map[string]string{"cnpg.io/podRole": "instance", "cnpg.io/instanceRole": role, "role": role}
			maps.Copy(instance, cluster.Spec.InheritedMetadata.Labels)
			add(serial, instance)
		}
	}
	for _, role := range []string{"initdb", "import", "join", "pgbasebackup", "full-recovery", "snapshot-recovery"} {
		more := jobLabels(later)
		more["cnpg.io/jobRole"] = role
		add(1, more)
	}
	return pods
}

// poolers is the pods of a CloudNativePG 1.30 Pooler (pkg/specs/pgbouncer/deployments.go).
func poolers(o Object, u *unstructured.Unstructured) []*pod {
	var pooler struct {
		Spec struct {
			Cluster struct {
				Name string `json:"name"`
			} `json:"cluster"`
			Template struct {
				Metadata struct {
					Labels map[string]string `json:"labels"`
				} `json:"metadata"`
			} `json:"template"`
		} `json:"spec"`
	}
	convert(u, &pooler)
	spec := &corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{
		{Name: "pgbouncer", ContainerPort: 5432}, {Name: "metrics", ContainerPort: 9127},
	}}}}
	return []*pod{newPod(o, pooler.Spec.Template.Metadata.Labels, spec, map[string]string{
		"cnpg.io/poolerName": u.GetName(), "cnpg.io/cluster": pooler.Spec.Cluster.Name, "cnpg.io/podRole": "pooler",
		"app.kubernetes.io/name": "postgresql", "app.kubernetes.io/instance": pooler.Spec.Cluster.Name,
		"app.kubernetes.io/component": "pooler", "app.kubernetes.io/managed-by": "cloudnative-pg",
		appsv1.DefaultDeploymentUniqueLabelKey: later,
	}, false)}
}

// convert reads the few fields of a custom resource that pods are made of. What has another shape is left
// empty: the API server refuses such a resource.
func convert(u *unstructured.Unstructured, into any) {
	_ = kruntime.DefaultUnstructuredConverter.FromUnstructured(u.Object, into)
}

// issuers finds the ACME configuration of the issuers of a fleet. One that no unit renders may be of any
// kind, and counts as an ACME issuer that proves over HTTP.
func issuers(f *Fleet) func(space string) func(*certv1.Certificate) *acmev1.ACMEIssuer {
	specs := map[[2]string]*certv1.IssuerSpec{}
	for _, u := range f.Units {
		for _, o := range u.Objects {
			switch i := o.Object.(type) {
			case *certv1.ClusterIssuer:
				specs[[2]string{"", i.Name}] = &i.Spec
			case *certv1.Issuer:
				specs[[2]string{u.Name, i.Name}] = &i.Spec
			}
		}
	}
	return func(space string) func(*certv1.Certificate) *acmev1.ACMEIssuer {
		return func(c *certv1.Certificate) *acmev1.ACMEIssuer {
			ref := c.Spec.IssuerRef
			if cmp.Or(ref.Group, "cert-manager.io") != "cert-manager.io" {
				return nil
			}
			if ref.Kind == "ClusterIssuer" {
				space = ""
			}
			spec, ok := specs[[2]string{space, ref.Name}]
			if !ok {
				return &acmev1.ACMEIssuer{Solvers: []acmev1.ACMEChallengeSolver{{HTTP01: &acmev1.ACMEChallengeSolverHTTP01{}}}}
			}
			return spec.ACME
		}
	}
}
