package review

import (
	"strings"
	"testing"
)

// TestJudge rules on one object at a time, which is of the namespace acme and beside others of its unit. What is wanted is
// the verdict, and the losses that are to be acknowledged.
func TestJudge(t *testing.T) {
	const (
		safe     = "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"
		confined = "securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, " + safe + "}]"
		external = "spec: {secretStoreRef: {name: vault}, target: {name: it}, data: [{secretKey: a, remoteRef: {key: acme/db}}]}"
	)
	beside := []string{
		"v1 Namespace metadata: {name: acme, annotations: {tenantry.dev/secrets: \"vault:acme/db,vault:acme/x\"}}",
		"policy/v1 PodDisruptionBudget metadata: {name: api, namespace: acme}\nspec: {minAvailable: 1}",
	}
	deployment := func(spec string) string { return "spec: {replicas: 2, template: {spec: {" + spec + "}}}" }
	backup := func(cron, job, pod string) string {
		return "metadata: {name: backup, namespace: acme}\nspec: {schedule: 0 1 * * *, " + cron + "jobTemplate: {spec: {" + job + "template: {spec: {" + confined + pod + "}}}}}"
	}
	for _, row := range []struct{ kind, before, after, want, why string }{
		{"apps/v1 Deployment", "", deployment(confined), "nothing restarts", "pods that are confined"},
		{"apps/v1 Deployment", "", deployment("containers: [{name: a, " + safe + "}]"), "isolation changed, Isolation", "who runs as root"},
		{"apps/v1 Deployment", "", deployment("securityContext: {runAsNonRoot: true}, containers: [{name: a, " + safe + "}]"), "isolation changed, Isolation", "no profile of system calls"},
		{"apps/v1 Deployment", "", deployment(strings.Replace(confined, "drop: [ALL]", "drop: [NET_RAW]", 1)), "isolation changed, Isolation", "capabilities that are kept"},
		{"apps/v1 Deployment", "", deployment(strings.Replace(confined, "name: a", "name: a, ports: [{containerPort: 1, hostPort: 1}]", 1)), "isolation changed, Isolation", "a port of the node"},
		{"apps/v1 Deployment", "", deployment(strings.Replace(confined, "runAsNonRoot: true", "runAsNonRoot: true, sysctls: [{name: a, value: b}]", 1)), "isolation changed, Isolation", "a setting of the node"},
		{"apps/v1 Deployment", "", deployment("nodeName: a, " + confined), "isolation changed, Isolation", "a node by its name"},
		{"apps/v1 Deployment", "", deployment("tolerations: [{operator: Exists}], " + confined), "isolation changed, Isolation", "every node"},
		{"apps/v1 Deployment", "", deployment("nodeSelector: {tenantry.dev/tenant: acme}, " + confined), "nothing restarts", "the tenant's own nodes"},
		{"apps/v1 Deployment", "", deployment("affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: tenantry.dev/tenant, operator: In, values: [globex]}]}]}}}, " + confined), "isolation changed, Isolation", "another tenant's nodes"},
		{"apps/v1 Deployment", deployment("hostPID: true, " + confined), deployment("hostPID: true, " + strings.TrimSuffix(confined, "]") + ", {name: b, " + safe + "}]"), "rolling restart", "a container that opens nothing more in pods that are open"},
		{"apps/v1 StatefulSet", "metadata: {name: old, namespace: acme}\n" + deployment(confined), "metadata: {name: new, namespace: acme}\n" + deployment("hostPID: true, "+confined), "data at risk, Deleted, Isolation", "another name, and more that is open"},
		{"apps/v1 StatefulSet", "spec: {volumeClaimTemplates: [{metadata: {name: data}}], template: {spec: {containers: [{name: a}, {name: b, volumeMounts: [{name: data, mountPath: /data}]}]}}}", "spec: {volumeClaimTemplates: [{metadata: {name: data}}], template: {spec: {containers: [{name: a}]}}}", "data at risk, Replaced", "the container that had the volume is gone"},
		{"apps/v1 StatefulSet", "spec: {volumeClaimTemplates: [{metadata: {name: data}}], template: {spec: {volumes: [{name: data, emptyDir: {}}], containers: [{name: a, volumeMounts: [{name: data, mountPath: /data}]}]}}}", "spec: {volumeClaimTemplates: [{metadata: {name: data}}], template: {spec: {volumes: [{name: data, emptyDir: {}}], containers: [{name: a, volumeMounts: [{name: data, mountPath: /tmp}]}]}}}", "brief interruption", "a volume of the name of a claim that is none"},
		{"batch/v1 CronJob", backup("", "", ""), backup("", "parallelism: 0, ", ""), "data at risk, Replaced", "no pod copies the database"},
		{"batch/v1 CronJob", backup("concurrencyPolicy: Forbid, ", "", ""), backup("concurrencyPolicy: Replace, ", "", ""), "data at risk, Replaced", "each copy may be ended by the next"},
		{"batch/v1 CronJob", backup("startingDeadlineSeconds: 600, ", "", ""), backup("startingDeadlineSeconds: 5, ", "", ""), "data at risk, Replaced", "a copy may not begin"},
		{"batch/v1 CronJob", strings.Replace(backup("", "", ""), "name: backup", "name: mail", 1), strings.Replace(backup("", "suspend: true, ", ""), "name: backup", "name: mail", 1), "brief interruption", "what copies nothing does not run"},
		{"autoscaling/v2 HorizontalPodAutoscaler", "metadata: {name: api, namespace: acme}\nspec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: api}}", "metadata: {name: api, namespace: acme}\nspec: {maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: api}}", "brief interruption", "one pod is left by default, and a budget wants it to stay"},
		{"autoscaling/v2 HorizontalPodAutoscaler", "metadata: {name: api, namespace: acme}\nspec: {minReplicas: 1, maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: api}}", "metadata: {name: api, namespace: acme}\nspec: {minReplicas: 2, maxReplicas: 9, scaleTargetRef: {kind: Deployment, name: api}}", "nothing restarts", "more pods"},
		{"postgresql.cnpg.io/v1 Pooler", "spec: {cluster: {name: a}, pgbouncer: {poolMode: session}}", "spec: {cluster: {name: a}, pgbouncer: {poolMode: session}, template: {spec: {containers: [], volumes: [{name: a, secret: {secretName: b}}]}}}", "isolation changed, Isolation", "a pooler's first volume"},
		{"postgresql.cnpg.io/v1 Pooler", "spec: {cluster: {name: a}, pgbouncer: {poolMode: session}}", "spec: {cluster: {name: a}, pgbouncer: {poolMode: session}, template: {spec: {containers: [], terminationGracePeriodSeconds: 5}}}", "brief interruption", "a pooler's pods end otherwise"},
		{"external-secrets.io/v1 ExternalSecret", external, strings.Replace(external, "acme/db", "acme/x", 1), "brief interruption", "another place of the tenant's own"},
		{"external-secrets.io/v1 ExternalSecret", external, strings.Replace(external, "acme/db", "globex/db", 1), "isolation changed, Isolation", "another tenant's place"},
		{"external-secrets.io/v1 ExternalSecret", external, strings.Replace(external, "remoteRef: {key: acme/db}", "remoteRef: {key: acme/db}, sourceRef: {storeRef: {name: other}}", 1), "isolation changed, Isolation", "the same place of another store"},
		{"external-secrets.io/v1 ExternalSecret", external, strings.Replace(external, "data: [", "dataFrom: [{extract: {key: globex/db}}], data: [", 1), "isolation changed, Isolation", "all of another tenant's place"},
		{"external-secrets.io/v1 ExternalSecret", external, strings.Replace(external, "data: [", "dataFrom: [{find: {name: {regexp: a}}}], data: [", 1), "isolation changed, Isolation", "whatever is found"},
		{"admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy", "spec: {matchConstraints: {namespaceSelector: {matchLabels: {a: b}}}}", "spec: {matchConstraints: {namespaceSelector: {matchLabels: {a: b, reason: c}}}}", "isolation changed, Isolation", "a label that is called like a text"},
		{"admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy", "spec: {validations: [{expression: a, message: b}]}", "spec: {validations: [{expression: a, message: c}]}", "nothing restarts", "a text"},
	} {
		unit := func(o *object) *object {
			o.unit = &unit{fleet: "prod", name: "acme", same: map[string]*object{}, read: func(string) *object { return nil }}
			for _, text := range beside {
				version, rest, _ := strings.Cut(text, " ")
				kind, rest, _ := strings.Cut(rest, " ")
				other := objectOf(t, version+" "+kind, rest)
				other.unit = o.unit
				o.unit.changed = append(o.unit.changed, other)
			}
			deployment := objectOf(t, "apps/v1 Deployment", "metadata: {name: api, namespace: acme}\nspec: {replicas: 1}")
			o.unit.changed = append(o.unit.changed, deployment)
			if o.Kind == "HorizontalPodAutoscaler" {
				deployment.unit = o.unit
				o.unit.changed = append(o.unit.changed, o)
			}
			return o
		}
		var before *object
		after := unit(objectOf(t, row.kind, row.after))
		if row.before != "" {
			before = unit(objectOf(t, row.kind, row.before))
		}
		r := judge(before, after, compareFields(schemas(t), before, after), false)
		got := r.verdict.String()
		if r.loss != "" {
			got += ", " + string(r.loss)
		}
		if r.opens != "" && r.loss != "Isolation" {
			got += ", Isolation"
		}
		if got != row.want {
			t.Errorf("%s: %s: %s (%s), and not %s", row.kind, row.why, got, r.reason, row.want)
		}
	}
}
