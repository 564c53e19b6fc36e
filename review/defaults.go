package review

import "strings"

// podAt is where a kind has the specification of its pods.
var podAt = map[string]string{
	"Pod": "spec", "Deployment": "spec.template.spec", "StatefulSet": "spec.template.spec", "DaemonSet": "spec.template.spec",
	"ReplicaSet": "spec.template.spec", "Job": "spec.template.spec", "CronJob": "spec.jobTemplate.spec.template.spec",
}

// sets are the lists of scalars that have no order, and of which no schema says so.
var sets = map[string]bool{
	"accessModes": true, "policyTypes": true, "verbs": true, "apiGroups": true, "resources": true, "resourceNames": true, "nonResourceURLs": true,
	"finalizers": true, "values": true, "except": true, "dnsNames": true, "ipAddresses": true, "usages": true, "add": true, "drop": true,
	"loadBalancerSourceRanges": true, "externalIPs": true, "hostnames": true, "targets": true, "scopes": true,
}

// unordered tells whether a list of maps has no order.
func unordered(at spot) bool {
	if at.part.Unordered() {
		return true
	}
	switch at.kind {
	case "NetworkPolicy":
		switch at.name {
		case "ingress", "egress", "from", "to", "ports":
			return true
		}
	case "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding":
		return at.name == "rules" || at.name == "subjects"
	}
	return at.name == "matchExpressions" || at.name == "tolerations"
}

// ordered tells whether the order of a list with keys counts: of what runs one after the other, and of variables
// that refer to earlier ones.
func ordered(at spot, b, a []any) bool {
	switch at.name {
	case "initContainers":
		return true
	case "env":
		for _, list := range [][]any{b, a} {
			for _, item := range list {
				m, _ := item.(map[string]any)
				if text, _ := m["value"].(string); containsReference(text) {
					return true
				}
			}
		}
	}
	return !unordered(at)
}

// hollow are the maps that mean nothing when they are empty, in kinds that a schema describes.
var hollow = map[string]bool{
	"annotations": true, "labels": true, "matchLabels": true, "nodeSelector": true, "data": true, "securityContext": true, "resources": true,
	"limits": true, "requests": true, "strategy": true, "updateStrategy": true, "rollingUpdate": true, "persistentVolumeClaimRetentionPolicy": true,
}

// containsReference tells whether the value of a variable refers to another one, as $(NAME).
func containsReference(value string) bool { return strings.Contains(value, "$(") }

// A rule is what is known of a field by its path. Of a nil rule nothing is known, here or below.
type rule struct {
	standard any // what the API server sets where the field is left out; nil: nothing, or not always the same
	fields   map[string]*rule
}

// below is the rule of a field, or of the items of a list by the name *.
func (r *rule) below(name string) *rule {
	if r == nil {
		return nil
	}
	return r.fields[name]
}

func (r *rule) set(path string, standard any) {
	for name := range strings.SplitSeq(path, ".") {
		if r.fields == nil {
			r.fields = map[string]*rule{}
		}
		if r.fields[name] == nil {
			r.fields[name] = &rule{}
		}
		r = r.fields[name]
	}
	r.standard = standard
}

// rules are by kind.
var rules = func() map[string]*rule {
	all := map[string]*rule{}
	add := func(kind, path string, standard any) {
		if all[kind] == nil {
			all[kind] = &rule{}
		}
		all[kind].set(path, standard)
	}
	for kind, at := range podAt {
		for path, standard := range podDefaults {
			add(kind, at+"."+path, standard)
		}
		for _, list := range []string{".containers.*.", ".initContainers.*."} {
			for path, standard := range containerDefaults {
				add(kind, at+list+path, standard)
			}
			for _, probe := range []string{"livenessProbe.", "readinessProbe.", "startupProbe."} {
				for path, standard := range probeDefaults {
					add(kind, at+list+probe+path, standard)
				}
			}
		}
	}
	for kind, list := range defaults {
		for path, standard := range list {
			add(kind, path, standard)
		}
	}
	return all
}()

// What an API server sets where a field is left out. What somebody else looks at or sets as well is not here: an
// autoscaler does otherwise where spec.replicas is given.
var (
	podDefaults = map[string]any{
		"dnsPolicy": "ClusterFirst", "schedulerName": "default-scheduler",
		"terminationGracePeriodSeconds": int64(30), "hostNetwork": false, "hostPID": false, "hostIPC": false,
		"volumes.*.secret.defaultMode": int64(420), "volumes.*.configMap.defaultMode": int64(420),
		"volumes.*.projected.defaultMode": int64(420), "volumes.*.downwardAPI.defaultMode": int64(420),
	}
	containerDefaults = map[string]any{
		"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "ports.*.protocol": "TCP",
		"stdin": false, "stdinOnce": false, "tty": false, "volumeMounts.*.readOnly": false, "env.*.valueFrom.fieldRef.apiVersion": "v1",
	}
	probeDefaults = map[string]any{
		"timeoutSeconds": int64(1), "periodSeconds": int64(10), "successThreshold": int64(1), "failureThreshold": int64(3),
		"initialDelaySeconds": int64(0), "httpGet.scheme": "HTTP", "httpGet.path": "/",
	}
	defaults = map[string]map[string]any{
		"Deployment": {
			"spec.revisionHistoryLimit": int64(10), "spec.progressDeadlineSeconds": int64(600), "spec.minReadySeconds": int64(0), "spec.paused": false,
			"spec.strategy.type": "RollingUpdate", "spec.strategy.rollingUpdate.maxSurge": "25%", "spec.strategy.rollingUpdate.maxUnavailable": "25%",
			"spec.template.spec.restartPolicy": "Always",
		},
		"StatefulSet": {
			"spec.podManagementPolicy": "OrderedReady", "spec.revisionHistoryLimit": int64(10), "spec.minReadySeconds": int64(0),
			"spec.updateStrategy.type": "RollingUpdate", "spec.updateStrategy.rollingUpdate.partition": int64(0),
			"spec.persistentVolumeClaimRetentionPolicy.whenDeleted": "Retain", "spec.persistentVolumeClaimRetentionPolicy.whenScaled": "Retain",
			"spec.volumeClaimTemplates.*.spec.volumeMode": "Filesystem", "spec.template.spec.restartPolicy": "Always",
		},
		"DaemonSet": {
			"spec.revisionHistoryLimit": int64(10), "spec.minReadySeconds": int64(0), "spec.updateStrategy.type": "RollingUpdate",
			"spec.updateStrategy.rollingUpdate.maxSurge": int64(0), "spec.updateStrategy.rollingUpdate.maxUnavailable": int64(1),
			"spec.template.spec.restartPolicy": "Always",
		},
		"Job": {"spec.backoffLimit": int64(6), "spec.completionMode": "NonIndexed", "spec.suspend": false},
		"CronJob": {
			"spec.concurrencyPolicy": "Allow", "spec.suspend": false, "spec.successfulJobsHistoryLimit": int64(3), "spec.failedJobsHistoryLimit": int64(1),
			"spec.jobTemplate.spec.backoffLimit": int64(6), "spec.jobTemplate.spec.completionMode": "NonIndexed", "spec.jobTemplate.spec.suspend": false,
		},
		"Service": {
			"spec.type": "ClusterIP", "spec.sessionAffinity": "None", "spec.internalTrafficPolicy": "Cluster", "spec.ports.*.protocol": "TCP",
			"spec.publishNotReadyAddresses": false,
		},
		"NetworkPolicy":           {"spec.ingress.*.ports.*.protocol": "TCP", "spec.egress.*.ports.*.protocol": "TCP"},
		"PersistentVolumeClaim":   {"spec.volumeMode": "Filesystem"},
		"HorizontalPodAutoscaler": {"spec.minReplicas": int64(1)},
		"RoleBinding":             {"roleRef.apiGroup": "rbac.authorization.k8s.io"},
		"ClusterRoleBinding":      {"roleRef.apiGroup": "rbac.authorization.k8s.io"},
		"Secret":                  {"type": "Opaque"},
		"PriorityClass":           {"globalDefault": false, "preemptionPolicy": "PreemptLowerPriority"},
		"StorageClass":            {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
	}
)
