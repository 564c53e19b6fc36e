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
		"autoscaling/v2 HorizontalPodAutoscaler metadata: {name: scaled, namespace: acme}\nspec: {scaleTargetRef: {name: scaled}}",
		"policy/v1 PodDisruptionBudget metadata: {name: api, namespace: acme}\nspec: {minAvailable: 1}",
	}
	deployment := func(spec string) string { return "spec: {replicas: 2, template: {spec: {" + spec + "}}}" }
	backup := func(cron, job, pod string) string {
		return "metadata: {name: backup, namespace: acme}\nspec: {schedule: 0 1 * * *, " + cron + "jobTemplate: {spec: {" + job + "template: {spec: {" + confined + pod + "}}}}}"
	}
	image := func(text string) string {
		return "metadata: {name: backup, namespace: acme}\nspec: {schedule: 0 1 * * *, jobTemplate: {spec: {template: {spec: {" + strings.Replace(confined, "name: a", "name: a, image: "+text, 1) + "}}}}}"
	}
	set := func(spec, image string) string {
		return "spec: {" + spec + ", volumeClaimTemplates: [{metadata: {name: data}}], template: {spec: {containers: [{name: a, volumeMounts: [{name: data, mountPath: /data}], image: " + image + "}]}}}"
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
		{"batch/v1 CronJob", backup("", "", ""), backup("", "parallelism: 0, ", ""), "data at risk, Replaced", "no pod copies the database"},
		{"batch/v1 CronJob", backup("concurrencyPolicy: Forbid, ", "", ""), backup("concurrencyPolicy: Replace, ", "", ""), "data at risk, Replaced", "each copy may be ended by the next"},
		{"batch/v1 CronJob", backup("startingDeadlineSeconds: 600, ", "", ""), backup("startingDeadlineSeconds: 5, ", "", ""), "data at risk, Replaced", "a copy may not begin"},
		{"batch/v1 CronJob", strings.Replace(backup("", "", ""), "name: backup", "name: mail", 1), strings.Replace(backup("", "suspend: true, ", ""), "name: backup", "name: mail", 1), "brief interruption", "what copies nothing does not run"},
		{"batch/v1 CronJob", backup("", "", ""), backup("", "", ", activeDeadlineSeconds: 1"), "data at risk, Replaced", "the pods have no time"},
		{"batch/v1 CronJob", image("db/postgres:18.1"), image("db/postgres:17.5"), "data at risk, Replaced", "an older program"},
		{"batch/v1 CronJob", image("db/postgres:18.1"), image("db/postgres:18.2"), "nothing restarts", "a newer one that reads the same"},
		{"batch/v1 CronJob", image("a, resources: {limits: {memory: 1Gi}}"), image("a, resources: {limits: {memory: 1Mi}}"), "data at risk, Replaced", "too little memory"},
		{"batch/v1 CronJob", image("a, resources: {limits: {memory: 1Gi}}"), image("a, resources: {limits: {memory: 2Gi}}"), "nothing restarts", "more memory"},
		{"batch/v1 CronJob", backup("", "", ", volumes: [{name: a, ephemeral: {}}]"), backup("", "", ", volumes: [{name: a, emptyDir: {sizeLimit: 1Mi}}]"), "data at risk, Replaced", "another volume for the copy"},
		{"batch/v1 CronJob", strings.Replace(backup("", "", ""), "name: backup", "name: mail", 1), strings.NewReplacer("name: backup", "name: mail", "0 1 * * *", "0 1 30 2 *").Replace(backup("", "", "")), "brief interruption", "what copies nothing never runs"},
		{"apps/v1 StatefulSet", set("replicas: 1", "a:1"), set("replicas: 2", "a:1"), "data at risk, Replaced", "a second pod has a volume of its own"},
		{"apps/v1 StatefulSet", set("replicas: 1, persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}", "a:1"), set("replicas: 0, persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}", "a:1"), "data at risk, Replaced", "volumes go with the pods"},
		{"apps/v1 StatefulSet", set("replicas: 1", "a:1"), set("replicas: 0", "a:1"), "brief interruption", "volumes stay"},
		{"apps/v1 StatefulSet", set("replicas: 1", "db/postgres:18.1"), set("replicas: 1", "db/postgres:19.0"), "data at risk, Replaced", "files of another major version"},
		{"apps/v1 StatefulSet", set("replicas: 1", "a:1"), strings.Replace(set("replicas: 1", "a:1"), "containers:", "terminationGracePeriodSeconds: 0, containers:", 1), "data at risk, Replaced", "no time to end what is written"},
		{"apps/v1 StatefulSet", set("replicas: 3, updateStrategy: {type: OnDelete}", "a:1"), set("replicas: 3, updateStrategy: {type: RollingUpdate}", "a:1"), "rolling restart", "what waited for somebody is made anew"},
		{"apps/v1 Deployment", "metadata: {name: scaled, namespace: acme}\nspec: {replicas: 2}", "metadata: {name: scaled, namespace: acme}\nspec: {}", "brief interruption", "an autoscaler takes over from one pod"},
		{"v1 ConfigMap", "data: {valkey.conf: \"a\\ndir /data\\nb\\n\"}", "data: {valkey.conf: \"a\\ndir /tmp\\nb\\n\"}", "data at risk, Replaced", "data is kept elsewhere"},
		{"v1 ConfigMap", "data: {garage.toml: \"a\\ndata_dir = \\\"/data\\\"\\nb\\n\"}", "data: {garage.toml: \"a\\ndata_dir = \\\"/tmp\\\"\\nb\\n\"}", "data at risk, Replaced", "data is kept elsewhere, in quotes"},
		{"v1 ConfigMap", "metadata: {name: api, namespace: acme}\ndata: {a: b}", "metadata: {name: api, namespace: acme}\ndata: {a: c}", "brief interruption", "a Secret of its name is read, and not it"},
		{"v1 Secret", "metadata: {name: a, namespace: acme, annotations: {secret.tenantry.dev/a: \"generated:prod/acme/a/b?version=1\"}}", "metadata: {name: a, namespace: acme, annotations: {secret.tenantry.dev/a: \"generated:prod/globex/a/b?version=1\"}}", "isolation changed, Isolation", "another tenant's value"},
		{"v1 Secret", "", "metadata: {name: a, namespace: acme, annotations: {secret.tenantry.dev/a: \"generated:prod/globex/a/b?version=1\"}}", "isolation changed, Isolation", "another tenant's value in a new Secret"},
		{"v1 Secret", "", "metadata: {name: a, namespace: acme}\ntype: kubernetes.io/service-account-token", "isolation changed, Isolation", "a token"},
		{"v1 Endpoints", "", "subsets: [{addresses: [{ip: 169.254.169.254}]}]", "isolation changed, Isolation", "addresses past the policies"},
		{"networking.k8s.io/v1 NetworkPolicy", "spec: {podSelector: {}}", "metadata: {name: it, namespace: acme, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: b}]}\nspec: {podSelector: {}}", "isolation changed, Isolation", "an owner that is not there"},
		{"networking.k8s.io/v1 NetworkPolicy", "", "metadata: {name: it, namespace: acme, ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: a, uid: b}]}\nspec: {podSelector: {}}", "isolation changed, Isolation", "a policy that goes again"},
		{"v1 ConfigMap", "metadata: {name: it, namespace: acme, annotations: {tenantry.dev/stage: workload}}", "metadata: {name: it, namespace: acme}", "nothing restarts", "Flux no longer delivers the unit"},
		{"v1 ConfigMap", "metadata: {name: it, namespace: acme, annotations: {tenantry.dev/stage: workload}}", "metadata: {name: it, namespace: acme, annotations: {tenantry.dev/stage: foundation}}", "replaced", "Flux deletes what leaves a stage"},
		{"kustomize.toolkit.fluxcd.io/v1 Kustomization", "spec: {interval: 1m, dependsOn: [{name: a}]}", "spec: {interval: 1m}", "isolation changed, Isolation", "it waits for nothing"},
		{"kustomize.toolkit.fluxcd.io/v1 Kustomization", "spec: {dependsOn: [{name: a}]}", "spec: {dependsOn: [{name: a}, {name: b}]}", "brief interruption", "it waits for one more"},
		{"kustomize.toolkit.fluxcd.io/v1 Kustomization", "spec: {wait: true}", "spec: {wait: false}", "isolation changed, Isolation", "nothing waits for it"},
		{"kustomize.toolkit.fluxcd.io/v1 Kustomization", "spec: {deletionPolicy: Orphan}", "", "brief interruption", "what it applied stays"},
		{"kustomize.toolkit.fluxcd.io/v1 Kustomization", "spec: {prune: true}", "", "data at risk, Deleted", "what it applied goes"},
		{"postgresql.cnpg.io/v1 Cluster", "", "spec: {instances: 1, enableSuperuserAccess: true}", "isolation changed, Isolation", "a superuser of a new database"},
		{"postgresql.cnpg.io/v1 Cluster", "", "spec: {instances: 1, postgresql: {pg_hba: [host all all all trust]}}", "isolation changed, Isolation", "no password for a new database"},
		{"postgresql.cnpg.io/v1 Cluster", "", "spec: {instances: 1, affinity: {nodeSelector: {tenantry.dev/tenant: globex}}}", "isolation changed, Isolation", "another tenant's nodes for a new database"},
		{"postgresql.cnpg.io/v1 Cluster", "", "spec: {instances: 1, managed: {services: {additional: [{serviceTemplate: {spec: {type: LoadBalancer}}}]}}}", "exposure changed", "a new database for clients outside"},
		{"postgresql.cnpg.io/v1 Cluster", "", "spec: {instances: 1, seccompProfile: {type: RuntimeDefault}}", "nothing restarts", "a new database like others"},
		{"postgresql.cnpg.io/v1 Cluster", "spec: {instances: 3}", "spec: {instances: 3, switchoverDelay: 1}", "data at risk, Replaced", "no time to hand over"},
		{"postgresql.cnpg.io/v1 Cluster", "spec: {instances: 3, switchoverDelay: 60}", "spec: {instances: 3, switchoverDelay: 120}", "nothing restarts", "more time to hand over"},
		{"postgresql.cnpg.io/v1 Database", "spec: {name: a, owner: a, cluster: {name: a}}", "spec: {name: a, owner: a, cluster: {name: a}, extensions: [{name: b}]}", "nothing restarts", "an extension is added"},
		{"postgresql.cnpg.io/v1 Database", "spec: {name: a, owner: a, cluster: {name: a}}", "spec: {name: a, owner: a, cluster: {name: a}, extensions: [{name: b, ensure: absent}]}", "data at risk, Replaced", "an extension is dropped"},
		{"gateway.networking.k8s.io/v1 Gateway", "spec: {listeners: [{name: a, port: 1, protocol: HTTP}]}", "spec: {listeners: [{name: a, port: 1, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}", "isolation changed, Isolation", "anybody's routes"},
		{"v1 Namespace", "metadata: {name: acme, labels: {a: b}}", "metadata: {name: acme}", "brief interruption", "a label that a gateway may pick by"},
		{"cert-manager.io/v1 Certificate", "metadata: {name: a, namespace: acme, labels: {tenantry.dev/edge: b}}", "metadata: {name: a, namespace: acme}", "exposure changed", "a label that an issuer chooses by"},
		{"networking.k8s.io/v1 Ingress", "", "metadata: {name: a, namespace: acme}\nspec: {}", "exposure changed", "an entrance"},
		{"networking.k8s.io/v1 Ingress", "metadata: {name: a, namespace: acme}", "metadata: {name: a, namespace: acme, annotations: {nginx.ingress.kubernetes.io/configuration-snippet: b}}", "isolation changed, Isolation", "lines for the proxy"},
		{"postgresql.cnpg.io/v1 Cluster", "metadata: {name: a, namespace: acme}\nspec: {instances: 3}", "metadata: {name: a, namespace: acme, annotations: {container.apparmor.security.beta.kubernetes.io/postgres: unconfined}}\nspec: {instances: 3}", "isolation changed, Isolation", "an annotation that the operator hands on to pods"},
		{"postgresql.cnpg.io/v1 Cluster", "spec: {instances: 3, postgresql: {parameters: {a: b}}}", "spec: {instances: 3, postgresql: {parameters: {a: b, lo_compat_privileges: 'on'}}}", "isolation changed, Isolation", "no rights for large objects"},
		{"postgresql.cnpg.io/v1 Cluster", "", "spec: {instances: 1, affinity: {tolerations: [{operator: Exists}]}}", "isolation changed, Isolation", "a new database on every node"},
		{"v1 Service", "spec: {ports: [{port: 1}]}", "spec: {ports: [{port: 1}], publishNotReadyAddresses: true}", "brief interruption", "pods that are not ready"},
		{"batch/v1 CronJob", backup("", "", ""), backup("", "", ", hostAliases: [{ip: 10.0.0.1, hostnames: [s3]}]"), "data at risk, Replaced", "the copy goes elsewhere"},
		{"apps/v1 StatefulSet", set("replicas: 3, updateStrategy: {rollingUpdate: {partition: 3}}", "a:1"), set("replicas: 3", "a:1"), "rolling restart", "what was held back is made anew"},
		{"external-secrets.io/v1 ExternalSecret", "", strings.Replace(external, "remoteRef: {key: acme/db}", "sourceRef: {generatorRef: {kind: Password, name: a}}", 1), "isolation changed, Isolation", "a generator"},
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
			deployment := objectOf(t, "apps/v1 Deployment", "metadata: {name: api, namespace: acme}\nspec: {replicas: 1, template: {spec: {volumes: [{name: a, secret: {secretName: api}}]}}}")
			o.unit.changed = append(o.unit.changed, deployment)
			if o.Kind == "HorizontalPodAutoscaler" {
				deployment.unit = o.unit
				o.unit.changed = append(o.unit.changed, o)
			}
			return o
		}
		var before, after *object
		if row.after != "" {
			after = unit(objectOf(t, row.kind, row.after))
		}
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
