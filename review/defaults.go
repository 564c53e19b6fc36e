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
		switch at.last() {
		case "ingress", "egress", "from", "to", "ports", "matchExpressions":
			return true
		}
	case "Role", "ClusterRole":
		return at.rule == "rules"
	case "RoleBinding", "ClusterRoleBinding":
		return at.rule == "subjects"
	}
	return at.last() == "matchExpressions" || at.rule == "pod.tolerations"
}

// ordered tells whether the order of a list with keys counts: of what runs one after the other, and of variables
// that refer to earlier ones.
func ordered(at spot, b, a []any) bool {
	switch at.rule {
	case "pod.initContainers":
		return true
	case "pod.containers.*.env", "pod.initContainers.*.env":
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

// defaults are what the API server sets where a field is left out: by path for pods, by kind and path for others.
// Those that somebody else sets as well are not among them: an autoscaler knows whether spec.replicas is there.
var defaults = func() map[string]any {
	d := map[string]any{
		"pod.dnsPolicy": "ClusterFirst", "pod.enableServiceLinks": true, "pod.schedulerName": "default-scheduler", "pod.serviceAccountName": "default",
		"pod.terminationGracePeriodSeconds": int64(30), "pod.hostNetwork": false, "pod.hostPID": false, "pod.hostIPC": false,
		"pod.volumes.*.secret.defaultMode": int64(420), "pod.volumes.*.configMap.defaultMode": int64(420),
		"pod.volumes.*.projected.defaultMode": int64(420), "pod.volumes.*.downwardAPI.defaultMode": int64(420),
		"pod.volumes.*.hostPath.type": "",

		"Deployment spec.revisionHistoryLimit": int64(10), "Deployment spec.progressDeadlineSeconds": int64(600), "Deployment spec.minReadySeconds": int64(0),
		"Deployment spec.paused": false, "Deployment spec.strategy.type": "RollingUpdate",
		"Deployment spec.strategy.rollingUpdate.maxSurge": "25%", "Deployment spec.strategy.rollingUpdate.maxUnavailable": "25%",
		"Deployment pod.restartPolicy": "Always",

		"StatefulSet spec.podManagementPolicy": "OrderedReady", "StatefulSet spec.revisionHistoryLimit": int64(10), "StatefulSet spec.minReadySeconds": int64(0),
		"StatefulSet spec.updateStrategy.type": "RollingUpdate", "StatefulSet spec.updateStrategy.rollingUpdate.partition": int64(0),
		"StatefulSet spec.persistentVolumeClaimRetentionPolicy.whenDeleted": "Retain", "StatefulSet spec.persistentVolumeClaimRetentionPolicy.whenScaled": "Retain",
		"StatefulSet spec.volumeClaimTemplates.*.spec.volumeMode": "Filesystem", "StatefulSet pod.restartPolicy": "Always",

		"DaemonSet spec.revisionHistoryLimit": int64(10), "DaemonSet spec.minReadySeconds": int64(0), "DaemonSet spec.updateStrategy.type": "RollingUpdate",
		"DaemonSet spec.updateStrategy.rollingUpdate.maxSurge": int64(0), "DaemonSet spec.updateStrategy.rollingUpdate.maxUnavailable": int64(1),
		"DaemonSet pod.restartPolicy": "Always",

		"Job spec.backoffLimit": int64(6), "Job spec.completionMode": "NonIndexed", "Job spec.suspend": false,
		"CronJob spec.concurrencyPolicy": "Allow", "CronJob spec.suspend": false, "CronJob spec.successfulJobsHistoryLimit": int64(3),
		"CronJob spec.failedJobsHistoryLimit": int64(1), "CronJob spec.jobTemplate.spec.backoffLimit": int64(6),
		"CronJob spec.jobTemplate.spec.completionMode": "NonIndexed", "CronJob spec.jobTemplate.spec.suspend": false,

		"Service spec.type": "ClusterIP", "Service spec.sessionAffinity": "None", "Service spec.internalTrafficPolicy": "Cluster",
		"Service spec.ports.*.protocol": "TCP", "Service spec.publishNotReadyAddresses": false,
		"NetworkPolicy spec.ingress.*.ports.*.protocol": "TCP", "NetworkPolicy spec.egress.*.ports.*.protocol": "TCP",
		"PersistentVolumeClaim spec.volumeMode": "Filesystem", "HorizontalPodAutoscaler spec.minReplicas": int64(1),
		"RoleBinding roleRef.apiGroup": "rbac.authorization.k8s.io", "ClusterRoleBinding roleRef.apiGroup": "rbac.authorization.k8s.io",
		"Secret type": "Opaque", "PriorityClass globalDefault": false, "PriorityClass preemptionPolicy": "PreemptLowerPriority",
		"StorageClass reclaimPolicy": "Delete", "StorageClass volumeBindingMode": "Immediate",
	}
	for _, list := range []string{"pod.containers.*.", "pod.initContainers.*."} {
		for path, value := range map[string]any{
			"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File", "ports.*.protocol": "TCP",
			"stdin": false, "stdinOnce": false, "tty": false, "volumeMounts.*.readOnly": false, "env.*.valueFrom.fieldRef.apiVersion": "v1",
		} {
			d[list+path] = value
		}
		for _, probe := range []string{"livenessProbe.", "readinessProbe.", "startupProbe."} {
			for path, value := range map[string]any{
				"timeoutSeconds": int64(1), "periodSeconds": int64(10), "successThreshold": int64(1), "failureThreshold": int64(3),
				"initialDelaySeconds": int64(0), "httpGet.scheme": "HTTP", "httpGet.path": "/",
			} {
				d[list+probe+path] = value
			}
		}
	}
	return d
}()

// containsReference tells whether the value of a variable refers to another one, as $(NAME).
func containsReference(value string) bool { return strings.Contains(value, "$(") }
