package review

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/tenantry/tenantry/render"
)

// A consequence rules on a field that can be changed in place.
type consequence func(before, after *object, f *Field) ruling

// says is a consequence that is always the same.
func says(v Verdict, reason string) consequence {
	return func(_, _ *object, _ *Field) ruling { return ruling{verdict: v, reason: reason} }
}

// risks is a consequence that data may be lost, which is acknowledged as if the object were made again.
func risks(reason string) consequence {
	return func(_, _ *object, _ *Field) ruling {
		return ruling{verdict: DataAtRisk, reason: reason, loss: render.Replaced}
	}
}

// widens is a consequence that something reaches or may do what it did not.
func widens(reason string) consequence {
	return func(_, _ *object, _ *Field) ruling { return isolates(reason) }
}

// volume rules on the size of a volume.
func volume(_, _ *object, f *Field) ruling {
	if f.After == "" || f.Before != "" && smaller(f.After, f.Before) {
		return ruling{verdict: DataAtRisk, reason: "it " + shrinking, refused: true}
	}
	return ruling{reason: "the volume grows in place, where its class lets it"}
}

// schedule rules on when something runs that copies a database, or anything else.
func schedule(_, after *object, f *Field) ruling {
	switch {
	case copies(after) && rarer(f.After, f.Before):
		return ruling{verdict: DataAtRisk, reason: "the database is copied less often: more is lost with it", loss: render.Replaced}
	case pause(f.After) == 0:
		return ruling{verdict: Interruption, reason: "it never runs again"}
	}
	return ruling{reason: "it runs at other times"}
}

// suspended rules on whether something runs that copies a database, or anything else.
func suspended(_, after *object, f *Field) ruling {
	switch {
	case f.After != "true":
		return ruling{reason: "it runs again"}
	case copies(after):
		return ruling{verdict: DataAtRisk, reason: "the database is no longer copied", loss: render.Replaced}
	}
	return ruling{verdict: Interruption, reason: "it does not run any more"}
}

// kept rules on how long copies are kept.
func kept(_, _ *object, f *Field) ruling {
	if f.After == "" || days(f.After) >= days(f.Before) && f.Before != "" {
		return ruling{reason: "copies are kept longer"}
	}
	return ruling{verdict: DataAtRisk, reason: "copies that are older are deleted", loss: render.Replaced}
}

// days is how long a retention such as 14d, 2w or 1m lasts; -1 for what is none.
func days(text string) int {
	var n int
	var unit string
	if _, err := fmt.Sscanf(text, "%d%s", &n, &unit); err != nil {
		return -1
	}
	of := map[string]int{"d": 1, "w": 7, "m": 30}[unit]
	if of == 0 {
		return -1
	}
	return n * of
}

// instances rules on the number of PostgreSQL instances.
func instances(before, after *object, _ *Field) ruling {
	was, _ := value(before.tree, "spec.instances").(int64)
	is, _ := value(after.tree, "spec.instances").(int64)
	if is >= was {
		return ruling{reason: "an instance copies the others, which serve meanwhile"}
	}
	return ruling{verdict: Interruption, reason: "instances end, and their copies of the data are deleted: fewer are left to take over"}
}

var major = regexp.MustCompile(`:[^0-9]*([0-9]+)`)

// imageMajor is the major version in an image's tag; empty where there is none.
func imageMajor(image string) string {
	if m := major.FindStringSubmatch(image[strings.LastIndex(image, "/")+1:]); m != nil {
		return m[1]
	}
	return ""
}

// postgresImage rules on the image of PostgreSQL.
func postgresImage(before, after *object, f *Field) ruling {
	was, is := imageMajor(f.Before), imageMajor(f.After)
	if was != is || was == "" {
		return ruling{verdict: DataAtRisk, reason: "PostgreSQL's files are converted to another major version, or nobody can tell: only a backup leads back", loss: render.Replaced}
	}
	return postgresRestart(before, after, f)
}

// postgresRestart rules on what the operator makes the instances anew for.
func postgresRestart(_, after *object, _ *Field) ruling {
	if n, _ := value(after.tree, "spec.instances").(int64); n > 1 {
		return ruling{verdict: Interruption, reason: "the instances are made anew one after the other, and connections end when another becomes the primary"}
	}
	return ruling{verdict: Interruption, reason: "the only instance is made anew"}
}

// reloaded are parameters of PostgreSQL that a running server takes. All others are taken for those that want it
// started anew.
var reloaded = []string{
	"autovacuum", "autovacuum_analyze_scale_factor", "autovacuum_analyze_threshold", "autovacuum_naptime", "autovacuum_vacuum_cost_delay",
	"autovacuum_vacuum_cost_limit", "autovacuum_vacuum_scale_factor", "autovacuum_vacuum_threshold", "autovacuum_work_mem", "checkpoint_completion_target",
	"checkpoint_timeout", "client_min_messages", "deadlock_timeout", "default_statistics_target", "effective_cache_size", "effective_io_concurrency",
	"hash_mem_multiplier", "idle_in_transaction_session_timeout", "idle_session_timeout", "jit", "lock_timeout", "log_autovacuum_min_duration", "log_checkpoints",
	"log_connections", "log_disconnections", "log_duration", "log_error_verbosity", "log_line_prefix", "log_lock_waits", "log_min_duration_statement",
	"log_min_error_statement", "log_min_messages", "log_statement", "log_temp_files", "maintenance_io_concurrency", "maintenance_work_mem", "max_parallel_maintenance_workers",
	"max_parallel_workers", "max_parallel_workers_per_gather", "max_slot_wal_keep_size", "max_standby_archive_delay", "max_standby_streaming_delay", "max_wal_size",
	"min_wal_size", "random_page_cost", "seq_page_cost", "statement_timeout", "temp_file_limit", "track_io_timing", "wal_keep_size", "wal_receiver_timeout",
	"wal_sender_timeout", "work_mem",
}

// durability are parameters of PostgreSQL that decide how much of what is committed survives what.
var durability = []string{
	"archive_timeout", "data_checksums", "data_sync_retry", "fsync", "full_page_writes", "ignore_checksum_failure", "ignore_invalid_pages", "synchronous_commit", "zero_damaged_pages",
}

// parameter rules on a parameter of PostgreSQL.
func parameter(before, after *object, f *Field) ruling {
	at := steps(f.Path)
	switch name := at[len(at)-1]; {
	case name == "lo_compat_privileges":
		return isolates("whoever may log in reads and changes every large object")
	case slices.Contains(durability, name):
		return ruling{verdict: DataAtRisk, reason: "it decides whether what is committed survives a crash", loss: render.Replaced}
	case slices.Contains(reloaded, name):
		return ruling{reason: "PostgreSQL takes it while it runs"}
	}
	return postgresRestart(before, after, f)
}

// quota rules on what a namespace may take.
func quota(_, _ *object, f *Field) ruling {
	switch {
	case f.After == "":
		return isolates("nothing bounds it any more: the namespace may take it from others")
	case f.Before == "" || smaller(f.After, f.Before):
		return ruling{verdict: Interruption, reason: "a pod or a volume that it has no room for is not made any more, that of a rollout included"}
	}
	return ruling{reason: "the namespace may take more"}
}

// token rules on whether pods of an account have its token.
func token(_, _ *object, f *Field) ruling {
	if f.After == "false" {
		return ruling{verdict: Interruption, reason: "pods that are made from now on have no token, unless they ask for one"}
	}
	return isolates("every pod of the account has its token, unless the pod declines it")
}

// rolled rules on data that others read.
func rolled(before, after *object, f *Field) ruling {
	if after.name == "tenantry-release" {
		return ruling{reason: "what the unit is made of is only written down"}
	}
	if !slices.Equal(laid.FindAllString(f.Before, -1), laid.FindAllString(f.After, -1)) {
		return ruling{verdict: DataAtRisk, reason: "it says where data lies, or whether it is written at all: what reads it may begin without any", loss: render.Replaced}
	}
	if after.unit != nil && slices.ContainsFunc(after.unit.changed, func(o *object) bool {
		if o.Kind != "Deployment" && o.Kind != "StatefulSet" && o.Kind != "DaemonSet" {
			return false
		}
		is, _ := value(o.tree, "spec.template").(map[string]any)
		was := before.unit.find(o.Kind, o.name)
		return readsMap(is["spec"], after.name) && (was == nil || !same(value(was.tree, "spec.template"), is))
	}) {
		return ruling{reason: "what reads it is made anew with it, which is told there"}
	}
	return ruling{verdict: Interruption, reason: "nothing is made anew with it: pods see it at another time each"}
}

// laid finds where Valkey, Garage and the like are told to keep data.
var laid = regexp.MustCompile(`\b(dir|data_dir|metadata_dir|appendonly)\b[ ="\\]+[\w/.-]+`)

// readsMap tells whether pods read a ConfigMap.
func readsMap(spec any, name string) bool {
	switch v := spec.(type) {
	case map[string]any:
		for key, item := range v {
			if m, _ := item.(map[string]any); strings.HasPrefix(key, "configMap") && m["name"] == name || readsMap(item, name) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, func(item any) bool { return readsMap(item, name) })
	}
	return false
}

// budget rules on a PodDisruptionBudget.
func budget(_, after *object, _ *Field) ruling { return budgetRuling(after) }

// admission rules on what an admission policy refuses.
func admission(_, _ *object, f *Field) ruling {
	at := steps(f.Path)
	last := at[len(at)-1]
	switch {
	case f.Before == "" && (slices.Contains(at, "validations") && last == "*"), last == "failurePolicy" && f.After == "Fail",
		last == "validationActions" && strings.Contains(f.After, "Deny"):
		return ruling{verdict: Interruption, reason: "what it does not admit is refused from now on, new pods included"}
	case at[1] == "validations" && (last == "message" || last == "messageExpression" || last == "reason"), at[1] == "auditAnnotations":
		return ruling{reason: "only what is said changes"}
	}
	return isolates("it may admit what it refused")
}

// service rules on the way into pods.
func service(_, after *object, f *Field) ruling {
	at := steps(f.Path)
	switch last := at[len(at)-1]; last {
	case "type", "externalIPs", "externalName", "loadBalancerIP", "loadBalancerSourceRanges", "nodePort", "externalTrafficPolicy":
		if outside(after) || f.Before != "ClusterIP" {
			return ruling{verdict: ExposureChanged, reason: "clients from outside reach it past the edge, or no longer do"}
		}
	case "internalTrafficPolicy":
		if f.After == "Local" {
			return ruling{verdict: Interruption, reason: "only pods on the caller's own node are called: where there is none, nobody answers"}
		}
		return ruling{reason: "it decides which of its pods is called next"}
	case "publishNotReadyAddresses":
		if f.After == "true" {
			return ruling{verdict: Interruption, reason: "pods that are not ready are called too"}
		}
		return ruling{reason: "only pods that are ready are called"}
	case "sessionAffinity", "timeoutSeconds", "trafficDistribution":
		return ruling{reason: "it decides which of its pods is called next"}
	}
	if f.Before == "" && len(at) == 3 && at[1] == "ports" {
		return ruling{reason: "another port is served beside the others"}
	}
	return ruling{verdict: Interruption, reason: "whoever calls it comes elsewhere, or nowhere until both sides have changed"}
}

// later is a consequence that nothing that runs notices.
func later(reason string) consequence { return says(NothingRestarts, reason) }

// autoscaled rules on the least number of pods that an autoscaler leaves.
func autoscaled(before, after *object, f *Field) ruling {
	was, _ := value(before.tree, "spec.minReplicas").(int64)
	is, _ := value(after.tree, "spec.minReplicas").(int64)
	name, _ := value(after.tree, "spec.scaleTargetRef.name").(string)
	if max(is, 1) < max(was, 1) {
		return fewer(after.unit, name)
	}
	return ruling{reason: "the number of pods follows the load in another way"}
}

// pooler rules on the template of a pooler's pods, of which the operator says what it does not.
func pooler(before, after *object, f *Field) ruling {
	at := strings.TrimPrefix(strings.TrimPrefix(strings.Join(steps(f.Path), "."), "spec.template."), "spec.")
	spec, _ := value(after.tree, "spec.template.spec").(map[string]any)
	was, _ := value(before.tree, "spec.template.spec").(map[string]any)
	if weak := cmp.Or(weaker(at, f), shares(spec)); weak != "" && weak != shares(was) {
		return isolates("its pods are less confined, or elsewhere: " + weak)
	}
	if strings.HasPrefix(at, "volumes") {
		return isolates("its pods have other volumes")
	}
	return pooled(before, after, f)
}

// database says what a new database, or a pooler, opens besides what its policies let pass.
func database(o *object) ruling {
	spec := flow(o.tree["spec"])
	pods, _ := value(o.tree, "spec.template.spec").(map[string]any)
	switch {
	case shares(pods) != "":
		return isolates("its pods are not confined: " + shares(pods))
	case strings.Contains(spec, "superuser: true"), value(o.tree, "spec.enableSuperuserAccess") == true:
		return isolates("somebody but the operator may be PostgreSQL's superuser")
	case strings.Contains(flow(value(o.tree, "spec.postgresql.pg_hba"))+flow(value(o.tree, "spec.pgbouncer.pg_hba")), " trust"):
		return isolates("whoever reaches it logs in without a password")
	case strings.Contains(spec, "{operator: Exists}"):
		return isolates("it may run on the nodes of anybody")
	}
	for _, tenant := range tenantIn.FindAllStringSubmatch(flow(value(o.tree, "spec.affinity"))+flow(pods), -1) {
		if tenant[1] != o.namespace {
			return isolates("it runs on the nodes of " + tenant[1])
		}
	}
	if strings.Contains(spec, "type: LoadBalancer") || strings.Contains(spec, "type: NodePort") {
		return ruling{verdict: ExposureChanged, reason: "clients from outside reach it past the edge"}
	}
	return ruling{}
}

// generated finds the tenant whose value a Secret has.
var generated = regexp.MustCompile(`generated:[^/]+/([^/?]+)/`)

// borrowed is the tenant whose generated value a Secret of another one has by an annotation; empty for none.
func borrowed(o *object, key, text string) string {
	if strings.HasPrefix(key, render.SecretPrefix) && o.namespace != render.PlatformUnit {
		for _, m := range generated.FindAllStringSubmatch(text, -1) {
			if m[1] != o.namespace {
				return m[1]
			}
		}
	}
	return ""
}

// admits rules on whom an entrance lets attach to it.
func admits(_, _ *object, f *Field) ruling {
	if strings.Contains(f.After, "All") {
		return isolates("any tenant may attach to it, and be served by its host and certificate")
	}
	return ruling{verdict: ExposureChanged, reason: "who reaches the tenant from outside, or how, changes"}
}

// switchover rules on how long a primary that leaves may take to hand over what is committed.
func switchover(_, _ *object, f *Field) ruling {
	if f.After != "" && smaller(f.After, cmp.Or(f.Before, "3600")) {
		return ruling{verdict: DataAtRisk, reason: "a primary that leaves may end before others have what it committed", loss: render.Replaced}
	}
	return ruling{reason: "it holds from the next restart on"}
}

// extended rules on what is added to a database, changed or taken out. What is new costs nothing.
func extended(reason string) consequence {
	return func(_, _ *object, f *Field) ruling {
		if f.Before == "" && !strings.Contains(f.After, "absent") {
			return ruling{reason: "the operator adds it while the database serves"}
		}
		return ruling{verdict: DataAtRisk, reason: reason, loss: render.Replaced}
	}
}

// waits rules on what Flux waits for before it applies what bounds a tenant, and then what runs there.
func waits(_, _ *object, f *Field) ruling {
	at := steps(f.Path)
	if at[1] == "wait" && f.After == "true" || at[1] == "dependsOn" && f.Before == "" {
		return ruling{verdict: Interruption, reason: "it waits for more, and for ever where that does not come"}
	}
	return isolates("what runs may be there before what bounds it, and a ring before the one that tries it out")
}

// rollout rules on how the pods of a set are made anew.
func rollout(before, after *object, f *Field) ruling {
	if strings.Contains(f.Before, "OnDelete") || strings.Contains(f.Path+f.Before, "partition") {
		return restart(before, after)
	}
	return ruling{reason: "it holds from the next rollout on"}
}

// fetches rules on what an external secret reads.
func fetches(_, after *object, _ *Field) ruling {
	if place := foreign(after); place != "" {
		return isolates("it reads " + place + ", which its namespace is not given")
	}
	return ruling{verdict: Interruption, reason: "the values are other ones: what still has the old ones fails until it is made anew"}
}

// foreign is a place in a secret store that an external secret reads and its namespace is not given; empty for none.
func foreign(o *object) string {
	if o.unit == nil {
		return ""
	}
	namespace := o.unit.find("Namespace", o.namespace)
	if namespace == nil {
		return ""
	}
	given, _ := value(namespace.tree, `metadata.annotations["`+render.SecretsAnnotation+`"]`).(string)
	spec, _ := o.tree["spec"].(map[string]any)
	shared, _ := value(spec, "secretStoreRef.name").(string)
	for _, list := range []string{"data", "dataFrom"} {
		for _, item := range listed(spec, list) {
			for _, ref := range []string{"remoteRef", "extract"} {
				key, _ := value(item, ref+".key").(string)
				store, _ := value(item, "sourceRef.storeRef.name").(string)
				if place := cmp.Or(store, shared) + ":" + key; key != "" && !slices.Contains(strings.Split(given, ","), place) {
					return place
				}
			}
			switch {
			case item["find"] != nil:
				return "whatever it finds in " + shared
			case value(item, "sourceRef.generatorRef") != nil:
				return "what a generator makes"
			}
		}
	}
	return ""
}

// fetched is what is known of the places that Flux fetches what it applies from.
var fetched = map[string]consequence{
	"":              widens("what is applied comes from elsewhere, or nobody proves any more who wrote it"),
	"spec.interval": later("a change is applied at another time"), "spec.timeout": later("a change is applied at another time"), "spec.suspend": suspended,
}

var (
	watched  = map[string]consequence{"": later("only what is watched changes")}
	weighed  = later("who reaches what, or may do what, stays the same") // the evaluation of the fleet tells of more
	entrance = says(ExposureChanged, "who reaches the tenant from outside, or how, changes")
	pooled   = says(Interruption, "the pooler is made anew, and connections through it end")
	signed   = says(ExposureChanged, "another certificate is served, or the same by another way")
)

// consequences is, for the kinds in effects, what a field that is changed in place does to who uses the tenant: by the
// beginning of the field's path, the longest that fits. What the operators do is what their documentation says.
var consequences = map[string]map[string]consequence{
	"BackendTrafficPolicy.gateway.envoyproxy.io": {"": entrance, "spec.timeout": later("requests that wait are given up at another time"), "spec.targetRefs": entrance},
	"Certificate.cert-manager.io": {
		"": signed, "spec.duration": says(ExposureChanged, "it is issued anew at once, with another key"), "spec.renewBefore": says(ExposureChanged, "it is renewed at another time, or at once"),
		"spec.revisionHistoryLimit": later("only what is kept of the past changes"),
		"spec.secretName":           says(ExposureChanged, "the certificate is written elsewhere, and what reads it where it was has an old one"),
		"spec.dnsNames":             says(ExposureChanged, "the certificate is for other names"),
	},
	"Cluster.postgresql.cnpg.io": {
		"":                                   postgresRestart,
		"spec.affinity":                      postgresRestart,
		"spec.affinity.nodeSelector":         widens("it decides on which nodes the database runs, and so with whom it shares a kernel"),
		"spec.affinity.nodeAffinity":         widens("it decides on which nodes the database runs, and so with whom it shares a kernel"),
		"spec.affinity.tolerations":          widens("it decides on which nodes the database runs, and so with whom it shares a kernel"),
		"spec.backup":                        risks("where the database is copied to, or for how long, changes"),
		"spec.bootstrap":                     risks("it says how an empty database begins: a cluster that is made again would begin in another way"),
		"spec.certificates":                  says(Interruption, "clients that do not know the new authority are refused"),
		"spec.description":                   later("it is only written down"),
		"spec.enablePDB":                     says(Interruption, "whether a node that is drained waits for the database changes"),
		"spec.enableSuperuserAccess":         widens("whether anybody but the operator may be PostgreSQL's superuser changes"),
		"spec.externalClusters":              risks("where a database that begins as a copy copies from changes"),
		"spec.failoverDelay":                 later("another instance takes over at another time"),
		"spec.imageName":                     postgresImage,
		"spec.imageCatalogRef":               risks("PostgreSQL's files may be converted to another major version: only a backup leads back"),
		"spec.imagePullPolicy":               postgresRestart,
		"spec.inheritedMetadata":             postgresRestart,
		"spec.instances":                     instances,
		"spec.managed.roles":                 widens("who may log in to the database, and what he may do there, changes"),
		"spec.managed.services":              says(ExposureChanged, "at which addresses the database is reached changes"),
		"spec.monitoring":                    later("only what is watched changes"),
		"spec.monitoring.tls":                postgresRestart,
		"spec.plugins":                       risks("where the database is copied to, or whether it is, changes"),
		"spec.postgresql":                    postgresRestart,
		"spec.postgresql.ldap":               widens("who may log in to the database changes"),
		"spec.postgresql.parameters":         parameter,
		"spec.postgresql.pg_hba":             widens("who may log in to the database, from where, changes"),
		"spec.postgresql.pg_ident":           widens("who may log in to the database changes"),
		"spec.postgresql.synchronous":        risks("how many instances have what is committed changes"),
		"spec.minSyncReplicas":               risks("how many instances have what is committed changes"),
		"spec.maxSyncReplicas":               risks("how many instances have what is committed changes"),
		"spec.primaryUpdateMethod":           later("it holds from the next restart on"),
		"spec.primaryUpdateStrategy":         later("it holds from the next restart on"),
		"spec.replica":                       risks("whether the database is a copy of another one changes"),
		"spec.seccompProfile":                widens("its pods are confined in another way"),
		"spec.securityContext":               widens("its pods are confined in another way"),
		"spec.podSecurityContext":            widens("its pods are confined in another way"),
		"spec.serviceAccountName":            widens("its pods speak for another account"),
		"spec.serviceAccountTemplate":        widens("its pods speak for another account, or one that may do more"),
		"spec.projectedVolumeTemplate":       widens("its pods have other secrets or tokens"),
		"spec.smartShutdownTimeout":          later("it holds from the next restart on"),
		"spec.storage":                       risks("a volume is made again for it, without the data"),
		"spec.storage.size":                  volume,
		"spec.storage.resizeInUseVolumes":    later("it holds when the volume grows"),
		"spec.switchoverDelay":               switchover,
		"spec.startDelay":                    postgresRestart,
		"spec.stopDelay":                     postgresRestart,
		"spec.superuserSecret":               widens("who may be PostgreSQL's superuser changes"),
		"spec.tablespaces":                   risks("a volume of the database is added or taken away"),
		"spec.walStorage":                    risks("a volume is made again for it, without the log of what was committed"),
		"spec.walStorage.size":               volume,
		"spec.walStorage.resizeInUseVolumes": later("it holds when the volume grows"),
		"spec.nodeMaintenanceWindow":         risks("whether a volume is kept when its node goes changes"),
		"spec.replicationSlots":              postgresRestart,
	},
	"ClusterIssuer.cert-manager.io":                {"": signed},
	"ClusterRole.rbac.authorization.k8s.io":        {"": weighed},
	"ClusterRoleBinding.rbac.authorization.k8s.io": {"": weighed},
	"ConfigMap":                      {"": rolled},
	"CronJob.batch":                  {"": later("it holds from the next run on"), "spec.schedule": schedule, "spec.suspend": suspended, "spec.timeZone": later("it runs at other times"), "spec.startingDeadlineSeconds": jobs, "spec.concurrencyPolicy": jobs, "spec.jobTemplate.spec": jobs},
	"DNSEndpoint.externaldns.k8s.io": {"": says(ExposureChanged, "the name leads elsewhere, or another name leads there"), "spec.endpoints.*.recordTTL": later("a later change of the name is noticed at another time")},
	"DaemonSet.apps": {
		"": says(Interruption, "its pods are made anew in another way"), "spec.revisionHistoryLimit": later("only what is kept of the past changes"),
		"spec.updateStrategy": later("it holds from the next rollout on"), "spec.minReadySeconds": later("it holds from the next rollout on"),
	},
	"Database.postgresql.cnpg.io": {
		"":                           says(Interruption, "the operator changes the database while it serves"),
		"spec.ensure":                risks("the database is dropped, or made"),
		"spec.databaseReclaimPolicy": risks("whether the database is dropped with its object changes"),
		"spec.extensions":            extended("an extension is changed, or dropped with all that depends on it"),
		"spec.schemas":               extended("a schema is changed, or dropped with all that is in it"),
		"spec.owner":                 widens("who owns the database changes"),
		"spec.servers":               widens("what other databases it reaches changes"),
		"spec.fdws":                  widens("what other databases it reaches changes"),
		"spec.allowConnections":      says(Interruption, "whether anybody can connect changes"),
	},
	"Deployment.apps": {
		"": says(Interruption, "its pods are made anew in another way"), "spec.replicas": replicasRuling,
		"spec.strategy": later("it holds from the next rollout on"), "spec.minReadySeconds": later("it holds from the next rollout on"),
		"spec.progressDeadlineSeconds": later("it holds from the next rollout on"), "spec.revisionHistoryLimit": later("only what is kept of the past changes"),
		"spec.paused": says(Interruption, "whether changes of it take effect at all changes"),
	},
	"ExternalSecret.external-secrets.io": {
		"": fetches, "spec.refreshInterval": later("a change of the values is noticed at another time"),
	},
	"Gateway.gateway.networking.k8s.io":      {"": entrance, "spec.listeners.*.allowedRoutes": admits, "spec.allowedListeners": admits, "spec.gatewayClassName": says(ExposureChanged, "another implementation serves the entrance, at another address")},
	"GatewayClass.gateway.networking.k8s.io": {"": entrance, "spec.description": later("it is only written down")},
	"HTTPRoute.gateway.networking.k8s.io": {
		"": entrance, "spec.hostnames": says(ExposureChanged, "the tenant is reached by another name"), "spec.parentRefs": says(ExposureChanged, "the tenant is reached through another entrance"),
	},
	"HorizontalPodAutoscaler.autoscaling": {
		"": later("the number of pods follows the load in another way"), "spec.minReplicas": autoscaled, "spec.scaleTargetRef": says(Interruption, "what it scaled keeps its number of pods, whatever the load"),
	},
	"Ingress.networking.k8s.io": {
		"": entrance, "spec.ingressClassName": says(ExposureChanged, "another implementation serves the entrance, at another address"),
		"spec.tls": says(ExposureChanged, "another certificate is served"),
	},
	"Issuer.cert-manager.io": {"": signed},
	"Job.batch":              {"": later("it holds while the job runs"), "spec.suspend": suspended},
	"Kustomization.kustomize.toolkit.fluxcd.io": {
		"": risks("what it applies, and deletes where it prunes, changes"), "spec.interval": later("a change is applied at another time"),
		"spec.retryInterval": later("a change is applied at another time"), "spec.timeout": later("it waits for another time"), "spec.suspend": suspended,
		"spec.wait": waits, "spec.healthChecks": later("it waits for more, or for less"), "spec.healthCheckExprs": later("it waits for more, or for less"), "spec.dependsOn": waits,
		"spec.serviceAccountName": widens("it applies by another account's rights"), "spec.kubeConfig": widens("it applies to another cluster, or by other rights"),
	},
	"LimitRange": {"": says(Interruption, "a pod that does not say its own limits has others when it is next made, or is refused")},
	"ListenerSet.gateway.networking.k8s.io": {
		"": entrance, "spec.listeners.*.allowedRoutes": admits, "spec.listeners.*.hostname": says(ExposureChanged, "the tenant is reached by another name"), "spec.listeners.*.tls": says(ExposureChanged, "another certificate is served"),
	},
	"Namespace":                              {"": later("only its finalizers are written there")},
	"NetworkPolicy.networking.k8s.io":        {"": weighed},
	"GitRepository.source.toolkit.fluxcd.io": fetched,
	"OCIRepository.source.toolkit.fluxcd.io": fetched,
	"ObjectStore.barmancloud.cnpg.io": {
		"": says(Interruption, "what copies the database is made anew"), "spec.instanceSidecarConfiguration.env": risks("the database is copied in another way"), "spec.configuration": risks("the database is copied elsewhere, or in a way by which earlier copies are not found"),
		"spec.configuration.data.jobs": later("the next copy is made faster or slower"), "spec.configuration.wal.maxParallel": later("copies are made faster or slower"),
		"spec.retentionPolicy": kept,
	},
	"PersistentVolumeClaim": {
		"": risks("the volume may be another one"), "spec.resources.requests.storage": volume, "spec.volumeAttributesClassName": says(Interruption, "the volume is changed while it is used"),
	},
	"PodDisruptionBudget.policy":       {"": budget, "spec.selector": says(Interruption, "drains wait for other pods, and no longer for those that it picked")},
	"PodMonitor.monitoring.coreos.com": watched,
	"Pooler.postgresql.cnpg.io": {
		"": pooled, "spec.monitoring": later("only what is watched changes"), "spec.template": pooler,
		"spec.serviceTemplate":     says(ExposureChanged, "at which addresses the database is reached changes"),
		"spec.pgbouncer.authQuery": widens("who may log in to the database changes"), "spec.pgbouncer.authQuerySecret": widens("who may log in to the database changes"),
		"spec.pgbouncer.parameters.auth_type": widens("who may log in to the database changes"), "spec.type": says(Interruption, "it leads to other instances"),
		"spec.serviceAccountName": widens("its pods speak for another account"),
		"spec.pgbouncer.pg_hba":   widens("who may log in to the database changes"),
	},
	"PriorityClass.scheduling.k8s.io":       {"": later("only what is said changes"), "globalDefault": says(Interruption, "pods that name no priority have another one when they are next made")},
	"PrometheusRule.monitoring.coreos.com":  {"": later("only what is alerted changes")},
	"ResourceQuota":                         {"": quota},
	"Role.rbac.authorization.k8s.io":        {"": weighed},
	"RoleBinding.rbac.authorization.k8s.io": {"": weighed},
	"RuntimeClass.node.k8s.io":              {"": widens("it decides which nodes have the sandbox, and so who has a kernel of his own")},
	"ScheduledBackup.postgresql.cnpg.io": {
		"": risks("the database is copied in another way"), "spec.schedule": schedule, "spec.suspend": suspended, "spec.immediate": later("one copy more is made, or none"),
		"spec.backupOwnerReference": risks("copies may be deleted with the object"),
	},
	"Secret":                               {"": says(Interruption, "the value is another one: what still has the old one fails until it is made anew")},
	"Service":                              {"": service},
	"ServiceAccount":                       {"": widens("which secrets its pods are given changes"), "automountServiceAccountToken": token, "imagePullSecrets": says(Interruption, "images are pulled with other credentials")},
	"ServiceMonitor.monitoring.coreos.com": watched,
	"StatefulSet.apps": {
		"": says(Interruption, "its pods are made anew in another way"), "spec.replicas": replicasRuling,
		"spec.minReadySeconds": later("it holds from the next rollout on"), "spec.updateStrategy": rollout,
		"spec.persistentVolumeClaimRetentionPolicy": risks("whether volumes are deleted with their pods changes"),
		"spec.ordinals": risks("pods are called otherwise, and have other volumes"),
	},
	"StorageClass.storage.k8s.io":                                   {"": later("it holds for volumes that are made from now on"), "allowVolumeExpansion": later("whether volumes can grow changes")},
	"ValidatingAdmissionPolicy.admissionregistration.k8s.io":        {"": admission},
	"ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": {"": admission},
}
