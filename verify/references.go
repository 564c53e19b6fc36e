package verify

import (
	"fmt"
	"slices"
	"strings"

	certv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/tenantry/tenantry/render"
)

// A link is what one object says of another in its own namespace.
type link struct {
	field string
	to    string // kind/name
	keys  []string
}

// there is what a namespace has by kind/name: what is rendered, and what operators are known to write. The
// keys are those of Secrets and ConfigMaps; nil where they cannot be told.
func there(u *Unit) map[string][]string {
	have := map[string][]string{"ConfigMap/kube-root-ca.crt": {"ca.crt"}, "ServiceAccount/default": nil}
	for _, o := range u.Objects {
		have[o.ID()] = nil
		name := o.GetName()
		switch w := o.Object.(type) {
		case *corev1.ConfigMap:
			keys := []string{}
			for key := range w.Data {
				keys = append(keys, key)
			}
			for key := range w.BinaryData {
				keys = append(keys, key)
			}
			have[o.ID()] = keys
		case *corev1.Secret:
			keys := []string{}
			for key := range w.Data {
				keys = append(keys, key)
			}
			for key := range w.StringData {
				keys = append(keys, key)
			}
			for annotation := range w.Annotations {
				if key, is := strings.CutPrefix(annotation, render.SecretPrefix); is {
					keys = append(keys, key)
				}
			}
			have[o.ID()] = keys
		case *certv1.Certificate:
			keys := []string{"ca.crt", "tls.crt", "tls.key"}
			if w.Spec.Keystores != nil || len(w.Spec.AdditionalOutputFormats) > 0 {
				keys = nil
			}
			have["Secret/"+w.Spec.SecretName] = keys
		case *unstructured.Unstructured:
			switch gvk := w.GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
			case "external-secrets.io/ExternalSecret":
				var e externalSecret
				convert(w, &e)
				var keys []string
				if t := e.Spec.Target.Template; t != nil {
					for key := range t.Data {
						keys = append(keys, key)
					}
				} else if len(e.Spec.DataFrom) == 0 {
					for _, d := range e.Spec.Data {
						keys = append(keys, d.SecretKey)
					}
				}
				target := e.Spec.Target.Name
				if target == "" {
					target = name
				}
				have["Secret/"+target] = keys
			case "postgresql.cnpg.io/Cluster":
				var c cnpgCluster
				convert(w, &c)
				for secret, keys := range c.secrets(name) {
					have["Secret/"+secret] = keys
				}
				have["ServiceAccount/"+name] = nil
				for _, service := range servicesOf(o) {
					have["Service/"+service] = nil
				}
			case "postgresql.cnpg.io/Pooler":
				have["ServiceAccount/"+name] = nil
				have["Service/"+name] = nil
			}
		}
	}
	return have
}

// secrets is those that CloudNativePG 1.30 writes for a Cluster (pkg/specs/secrets.go, pkg/certs), with their
// keys.
func (c *cnpgCluster) secrets(name string) map[string][]string {
	login := []string{"dbname", "fqdn-jdbc-uri", "fqdn-uri", "host", "jdbc-uri", "password", "pgpass", "port", "uri", "user", "username"}
	certificate := []string{"tls.crt", "tls.key"}
	authority := []string{"ca.crt", "ca.key"}
	secrets := map[string][]string{}
	if b := c.Spec.Bootstrap; b.InitDB.Secret == nil && b.Recovery.Secret == nil && b.BaseBackup.Secret == nil {
		secrets[name+"-app"] = login
	}
	if c.Spec.Superuser && c.Spec.SuperuserSecret == nil {
		secrets[name+"-superuser"] = login
	}
	for suffix, own := range map[string]struct {
		given string
		keys  []string
	}{
		"-ca":          {c.Spec.Certificates.ServerCA, authority},
		"-server":      {c.Spec.Certificates.ServerTLS, certificate},
		"-replication": {c.Spec.Certificates.Replication, certificate},
	} {
		if own.given == "" {
			secrets[name+suffix] = own.keys
		}
	}
	return secrets
}

// podLinks lists what the pods of a template refer to.
func (t *template) podLinks() []link {
	var links []link
	add := func(optional *bool, field, kind, name string, keys ...string) {
		if optional == nil || !*optional {
			links = append(links, link{field, kind + "/" + name, keys})
		}
	}
	paths := func(items []corev1.KeyToPath) []string {
		var keys []string
		for _, item := range items {
			keys = append(keys, item.Key)
		}
		return keys
	}
	for path, c := range t.containers() {
		for i, from := range c.EnvFrom {
			at := t.below(path, fmt.Sprintf("envFrom[%d]", i))
			if from.ConfigMapRef != nil {
				add(from.ConfigMapRef.Optional, at, "ConfigMap", from.ConfigMapRef.Name)
			}
			if from.SecretRef != nil {
				add(from.SecretRef.Optional, at, "Secret", from.SecretRef.Name)
			}
		}
		for i, e := range c.Env {
			at := t.below(path, fmt.Sprintf("env[%d].valueFrom", i))
			if e.ValueFrom == nil {
				continue
			}
			if ref := e.ValueFrom.ConfigMapKeyRef; ref != nil {
				add(ref.Optional, at, "ConfigMap", ref.Name, ref.Key)
			}
			if ref := e.ValueFrom.SecretKeyRef; ref != nil {
				add(ref.Optional, at, "Secret", ref.Name, ref.Key)
			}
		}
	}
	for i, v := range t.spec.Volumes {
		at := t.at(fmt.Sprintf("volumes[%d]", i))
		switch {
		case v.Secret != nil:
			add(v.Secret.Optional, at, "Secret", v.Secret.SecretName, paths(v.Secret.Items)...)
		case v.ConfigMap != nil:
			add(v.ConfigMap.Optional, at, "ConfigMap", v.ConfigMap.Name, paths(v.ConfigMap.Items)...)
		case v.CSI != nil && v.CSI.NodePublishSecretRef != nil:
			add(nil, at, "Secret", v.CSI.NodePublishSecretRef.Name)
		case v.Projected != nil:
			for j, source := range v.Projected.Sources {
				at := t.at(fmt.Sprintf("volumes[%d].projected.sources[%d]", i, j))
				if source.Secret != nil {
					add(source.Secret.Optional, at, "Secret", source.Secret.Name, paths(source.Secret.Items)...)
				}
				if source.ConfigMap != nil {
					add(source.ConfigMap.Optional, at, "ConfigMap", source.ConfigMap.Name, paths(source.ConfigMap.Items)...)
				}
			}
		}
	}
	for i, ref := range t.spec.ImagePullSecrets {
		add(nil, t.at(fmt.Sprintf("imagePullSecrets[%d]", i)), "Secret", ref.Name)
	}
	add(nil, t.at("serviceAccountName"), "ServiceAccount", t.account())
	return links
}

// links lists what an object refers to besides its pods.
func links(o Object) []link {
	var links []link
	add := func(to, field string, args ...any) {
		links = append(links, link{field: fmt.Sprintf(field, args...), to: to})
	}
	keyed := func(ref *corev1.SecretKeySelector, field string, args ...any) {
		if ref != nil {
			links = append(links, link{fmt.Sprintf(field, args...), "Secret/" + ref.Name, []string{ref.Key}})
		}
	}
	object := func(ref *objectRef, field string, args ...any) {
		if ref != nil {
			add("Secret/"+ref.Name, field, args...)
		}
	}
	parents := func(refs []gatewayv1.ParentReference) {
		for i, p := range refs {
			if p.Namespace == nil || string(*p.Namespace) == o.GetNamespace() {
				kind := "Gateway"
				if p.Kind != nil {
					kind = string(*p.Kind)
				}
				add(kind+"/"+string(p.Name), "spec.parentRefs[%d]", i)
			}
		}
	}
	certificates := func(refs []gatewayv1.SecretObjectReference, listener int) {
		for i, ref := range refs {
			if ref.Namespace == nil || string(*ref.Namespace) == o.GetNamespace() {
				add("Secret/"+string(ref.Name), "spec.listeners[%d].tls.certificateRefs[%d]", listener, i)
			}
		}
	}
	switch w := o.Object.(type) {
	case *autoscalingv2.HorizontalPodAutoscaler:
		add(w.Spec.ScaleTargetRef.Kind+"/"+w.Spec.ScaleTargetRef.Name, "spec.scaleTargetRef")
	case *corev1.ServiceAccount:
		for i, ref := range w.ImagePullSecrets {
			add("Secret/"+ref.Name, "imagePullSecrets[%d]", i)
		}
	case *networkingv1.Ingress:
		for i, t := range w.Spec.TLS {
			add("Secret/"+t.SecretName, "spec.tls[%d].secretName", i)
		}
		for i, r := range w.Spec.Rules {
			if r.HTTP == nil {
				continue
			}
			for j, p := range r.HTTP.Paths {
				if p.Backend.Service != nil {
					add("Service/"+p.Backend.Service.Name, "spec.rules[%d].http.paths[%d].backend", i, j)
				}
			}
		}
	case *certv1.Certificate:
		if ref := w.Spec.IssuerRef; ref.Kind != "ClusterIssuer" && (ref.Group == "" || ref.Group == "cert-manager.io") {
			add("Issuer/"+ref.Name, "spec.issuerRef")
		}
	case *certv1.Issuer:
		if w.Spec.CA != nil {
			add("Secret/"+w.Spec.CA.SecretName, "spec.ca.secretName")
		}
	case *gatewayv1.Gateway:
		for i, l := range w.Spec.Listeners {
			if l.TLS != nil {
				certificates(l.TLS.CertificateRefs, i)
			}
		}
	case *gatewayv1.ListenerSet:
		for i, l := range w.Spec.Listeners {
			if l.TLS != nil {
				certificates(l.TLS.CertificateRefs, i)
			}
		}
	case *gatewayv1.HTTPRoute:
		parents(w.Spec.ParentRefs)
		for i, r := range w.Spec.Rules {
			for j, b := range r.BackendRefs {
				if b.Namespace == nil && (b.Kind == nil || *b.Kind == "Service") {
					add("Service/"+string(b.Name), "spec.rules[%d].backendRefs[%d]", i, j)
				}
			}
		}
	case *unstructured.Unstructured:
		switch gvk := w.GroupVersionKind(); gvk.Group + "/" + gvk.Kind {
		case "barmancloud.cnpg.io/ObjectStore":
			var s objectStore
			convert(w, &s)
			c := &s.Spec.Configuration
			keyed(c.S3Credentials.AccessKeyID, "spec.configuration.s3Credentials.accessKeyId")
			keyed(c.S3Credentials.SecretAccessKey, "spec.configuration.s3Credentials.secretAccessKey")
			keyed(c.S3Credentials.Region, "spec.configuration.s3Credentials.region")
			keyed(c.S3Credentials.SessionToken, "spec.configuration.s3Credentials.sessionToken")
			keyed(c.EndpointCA, "spec.configuration.endpointCA")
		case "postgresql.cnpg.io/Cluster":
			var c cnpgCluster
			convert(w, &c)
			object(c.Spec.Bootstrap.InitDB.Secret, "spec.bootstrap.initdb.secret")
			object(c.Spec.Bootstrap.Recovery.Secret, "spec.bootstrap.recovery.secret")
			object(c.Spec.Bootstrap.BaseBackup.Secret, "spec.bootstrap.pg_basebackup.secret")
			object(c.Spec.SuperuserSecret, "spec.superuserSecret")
			for i, r := range c.Spec.Managed.Roles {
				object(r.PasswordSecret, "spec.managed.roles[%d].passwordSecret", i)
			}
			for i, e := range c.Spec.ExternalClusters {
				keyed(e.Password, "spec.externalClusters[%d].password", i)
				keyed(e.SSLCert, "spec.externalClusters[%d].sslCert", i)
				keyed(e.SSLKey, "spec.externalClusters[%d].sslKey", i)
				keyed(e.SSLRootCert, "spec.externalClusters[%d].sslRootCert", i)
			}
			certificates := &c.Spec.Certificates
			for field, name := range map[string]string{
				"serverCASecret": certificates.ServerCA, "serverTLSSecret": certificates.ServerTLS, "clientCASecret": certificates.ClientCA, "replicationTLSSecret": certificates.Replication,
			} {
				if name != "" {
					add("Secret/"+name, "spec.certificates.%s", field)
				}
			}
			for i, p := range c.Spec.Plugins {
				if p.Name == barmanPlugin {
					add("ObjectStore/"+p.Parameters["barmanObjectName"], "spec.plugins[%d].parameters", i)
				}
			}
		case "postgresql.cnpg.io/Pooler":
			var p cnpgPooler
			convert(w, &p)
			add("Cluster/"+p.Spec.Cluster.Name, "spec.cluster")
			object(p.Spec.PgBouncer.AuthQuerySecret, "spec.pgbouncer.authQuerySecret")
		case "postgresql.cnpg.io/Database", "postgresql.cnpg.io/ScheduledBackup":
			var d struct {
				Spec struct {
					Cluster objectRef `json:"cluster"`
				} `json:"spec"`
			}
			convert(w, &d)
			add("Cluster/"+d.Spec.Cluster.Name, "spec.cluster")
		}
	}
	return links
}

func referencesResolve(s *subject) []Finding {
	have := map[*Unit]map[string][]string{}
	for i := range s.Units {
		have[&s.Units[i]] = there(&s.Units[i])
	}
	var findings []Finding
	follow := func(u *Unit, o Object, links []link) {
		for _, l := range links {
			keys, found := have[u][l.to]
			message := ""
			switch {
			case !found:
				message = "there is no " + l.to
			case keys != nil:
				for _, key := range l.keys {
					if !slices.Contains(keys, key) {
						message = fmt.Sprintf("%s has no key %s", l.to, key)
					}
				}
			}
			if message != "" {
				findings = append(findings, s.finding("names/reference", u.Name, o, l.field, message, "name what there is in the namespace"))
			}
		}
	}
	for i := range s.Units {
		for _, o := range s.Units[i].Objects {
			follow(&s.Units[i], o, links(o))
		}
	}
	byUnit := map[*Unit][]*template{}
	for _, t := range s.pods {
		byUnit[t.unit] = append(byUnit[t.unit], t)
		follow(t.unit, t.object, t.podLinks())
	}
	for i := range s.Units {
		for _, o := range s.Units[i].Objects {
			if service, ok := o.Object.(*corev1.Service); ok && len(service.Spec.Selector) > 0 {
				if field, message := leadsNowhere(service, byUnit[&s.Units[i]]); message != "" {
					findings = append(findings, s.finding("names/reference", s.Units[i].Name, o, field, message, "name what there is in the namespace"))
				}
			}
		}
	}
	return findings
}

// leadsNowhere says which part of a Service leads to no pod; empty where all do.
func leadsNowhere(service *corev1.Service, templates []*template) (field, message string) {
	templates = slices.DeleteFunc(slices.Clone(templates), func(t *template) bool {
		return t.once() || !labels.SelectorFromSet(service.Spec.Selector).Matches(labels.Set(t.meta.Labels))
	})
	if len(templates) == 0 {
		return "spec.selector", "it picks no pod"
	}
	for i, port := range service.Spec.Ports {
		if port.TargetPort.Type == intstr.String && !slices.ContainsFunc(templates, func(t *template) bool { _, c := t.listens(port); return c != nil }) {
			return fmt.Sprintf("spec.ports[%d].targetPort", i), "no pod that it picks has a port " + port.TargetPort.StrVal
		}
	}
	return "", ""
}
