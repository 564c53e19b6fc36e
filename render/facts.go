package render

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// A fact is one thing that the application may ask of what was created for its tenant: a plain value, or
// where Kubernetes takes it from when a container starts.
type fact struct {
	value string
	from  *corev1.EnvVarSource
	needs []corev1.EnvVar // what value refers to as $(NAME)
}

func text(value string) fact { return fact{value: value} }

func truth(b bool) fact {
	if b {
		return text("true")
	}
	return text("false")
}

func secretFact(name, key string) fact {
	return fact{from: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key}}}
}

func podFact(path string) fact {
	return fact{from: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

// Facts describes every fact that a schema may ask for, by the name that stands in its fact tag. A fact
// that a tenant's variants do not publish leaves the setting at the application's default.
var Facts = map[string]string{
	"app.component": "name of the workload: api, or the worker's or cron job's own",
	"app.port":      "port that the API listens on",
	"app.version":   "tag of the workload's image",

	"cache.enabled":           "whether there is a cache",
	"cache.ca":                "PEM of the authority that signed the cache's certificate",
	"cache.host":              "host of the cache",
	"cache.password":          "password of the cache's user",
	"cache.port":              "port of the cache",
	"cache.sentinel":          "whether the cache is found through Sentinel",
	"cache.sentinel-name":     "name of the Sentinel master group",
	"cache.sentinel-password": "password of the Sentinels",
	"cache.sentinel-tls":      "whether the Sentinels speak TLS",
	"cache.sentinel-username": "user at the Sentinels",
	"cache.sentinels":         "host:port of every Sentinel, with commas",
	"cache.servername":        "name in the cache's certificate",
	"cache.tls":               "whether the cache speaks TLS",
	"cache.username":          "user at the cache",

	"database.ca":         "PEM of the authority that signed the database's certificate",
	"database.servername": "name in the database's certificate",
	"database.tls":        "whether the database speaks TLS",
	"database.url":        "postgresql:// with user and password",

	"edge.hops":    "number of proxies between a client and the API",
	"edge.host":    "host name at which clients reach the API",
	"edge.proxied": "whether a proxy stands before the API",
	"edge.url":     "URL at which clients reach the API, without a final slash",

	"pod.container":  "name of the container",
	"pod.deployment": "name of the Deployment",
	"pod.name":       "name of the pod",
	"pod.namespace":  "namespace of the pod",
	"pod.node":       "name of the node",
	"pods.readable":  "whether the pod may list the pods of its namespace",
	"pods.selector":  "label selector of the workload's pods",

	"store.access-key": "id of the object store's key",
	"store.bucket":     "name of the bucket",
	"store.endpoint":   "URL of the object store",
	"store.path-style": "whether the bucket stands in the path rather than in the host name",
	"store.region":     "region of the object store",
	"store.secret-key": "secret of the object store's key",

	"telemetry.enabled":  "whether there is a collector",
	"telemetry.endpoint": "OTLP over HTTP endpoint of the collector",
}

// environment lowers facts to a container's variables, sorted, after the variables that they refer to.
func environment(facts map[string]fact) []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, name := range slices.Sorted(maps.Keys(facts)) {
		f := facts[name]
		env = append(env, corev1.EnvVar{Name: name, Value: f.value, ValueFrom: f.from})
	}
	var needs []corev1.EnvVar
	for _, f := range facts {
		needs = append(needs, f.needs...)
	}
	slices.SortFunc(needs, func(a, b corev1.EnvVar) int { return cmp.Compare(a.Name, b.Name) })
	return append(needs, env...)
}
