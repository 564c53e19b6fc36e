package review

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/tenantry/tenantry/render"
)

// podRuling rules on a field of a pod template: at is its place within it, such as containers.*.image or
// metadata.labels.app.
func podRuling(before, after *object, at string, f *Field) ruling {
	r := restart(before, after)
	switch lost := unmounted(before, after, at, f); {
	case lost != "":
		return ruling{verdict: DataAtRisk, reason: lost, loss: render.Replaced}
	case copies(after) && r.verdict == NothingRestarts:
		r = copied(at, f)
	case len(mounts(before)) > 0 && strings.HasSuffix(at, "ontainers.*.image") && imageMajor(f.Before) != imageMajor(f.After):
		return ruling{verdict: DataAtRisk, reason: "another major version reads the files on its volume, or cannot: only a backup leads back", loss: render.Replaced}
	case len(mounts(before)) > 0 && at == "terminationGracePeriodSeconds" && f.After == "0":
		return ruling{verdict: DataAtRisk, reason: "its pods are killed at once, while they write", loss: render.Replaced}
	}
	if at == "metadata.annotations.tenantry.dev/checksum" && r.verdict > NothingRestarts {
		r.reason = "its configuration changes, which it reads when it starts: " + r.reason
	}
	if weak := weaker(at, f); weak != "" {
		return isolates(weak)
	}
	if f.Before == "" && strings.Contains(at, "ontainers") {
		if weak := unconfined(after); weak != "" && weak != unconfined(before) {
			return isolates("its pods are not confined: " + weak)
		}
	}
	if strings.HasPrefix(at, "volumes") && (strings.Contains(at, "persistentVolumeClaim") || strings.Contains(f.Before, "persistentVolumeClaim:")) {
		return ruling{verdict: DataAtRisk, reason: "its pods have another volume, or none: what is on the one they had is not there", loss: render.Replaced}
	}
	return r
}

// restart rules on pods that are made anew.
func restart(before, after *object) ruling {
	switch after.Kind {
	case "Pod":
		return ruling{verdict: Replacement, reason: "a pod cannot be changed: it is deleted and made again"}
	case "CronJob":
		return ruling{reason: "it holds from the next run on"}
	case "StatefulSet":
		if value(after.tree, "spec.updateStrategy.type") == "OnDelete" {
			return ruling{verdict: Interruption, reason: "its pods are made anew when somebody deletes them"}
		}
		n := min(replicas(before), replicas(after))
		if most := value(after.tree, "spec.updateStrategy.rollingUpdate.maxUnavailable"); n > 1 && most != nil && share(most, n, true) >= n {
			return ruling{verdict: Interruption, reason: "all of its pods may be away at once"}
		}
	case "DaemonSet":
		return ruling{verdict: Interruption, reason: "the pod of each node is made anew, and does not serve meanwhile"}
	}
	n := min(replicas(before), replicas(after))
	strategy, _ := value(after.tree, "spec.strategy").(map[string]any)
	rolling, _ := strategy["rollingUpdate"].(map[string]any)
	switch {
	case n == 0:
		return ruling{reason: "no pod of it runs"}
	case n == 1:
		return ruling{verdict: Interruption, reason: "its only pod is made anew"}
	case strategy["type"] == "Recreate":
		return ruling{verdict: Interruption, reason: "all of its pods end before new ones are made"}
	case after.Kind == "Deployment" && share(rolling["maxUnavailable"], n, false) >= n:
		return ruling{verdict: Interruption, reason: "all of its pods may be away at once"}
	}
	return ruling{verdict: RollingRestart, reason: "its pods are made anew one after the other"}
}

// replicas is the least number of pods that a workload has.
func replicas(o *object) int64 {
	if o.unit != nil {
		if scaler := o.unit.find("HorizontalPodAutoscaler", o.name); scaler != nil && value(scaler.tree, "spec.scaleTargetRef.name") == o.name {
			if least, ok := value(scaler.tree, "spec.minReplicas").(int64); ok {
				return least
			}
			return 1
		}
	}
	if n, ok := value(o.tree, "spec.replicas").(int64); ok {
		return n
	}
	return 1
}

// share is a number of pods, or a percentage of n that is rounded up, or down.
func share(v any, n int64, up bool) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		percent, err := strconv.ParseInt(strings.TrimSuffix(v, "%"), 10, 32)
		if err != nil {
			return n
		}
		if up {
			return (n*percent + 99) / 100
		}
		return n * percent / 100
	}
	return n / 4
}

// replicasRuling rules on the number of pods of a workload.
func replicasRuling(before, after *object, f *Field) ruling {
	was, is := replicas(before), replicas(after)
	claims, _ := value(after.tree, "spec.volumeClaimTemplates").([]any)
	switch {
	case f.After != "" && after.unit != nil && after.unit.find("HorizontalPodAutoscaler", after.name) != nil:
		return ruling{verdict: Interruption, reason: "an autoscaler decides the number of pods, and each deploy would set it back to this one"}
	case f.After == "" && after.unit != nil && after.unit.find("HorizontalPodAutoscaler", after.name) != nil:
		return ruling{verdict: Interruption, reason: "one pod is left until the autoscaler has its say"}
	case f.After == "" && is < was:
		return ruling{verdict: Interruption, reason: fmt.Sprintf("nothing says how many pods it has: %d goes on", is)}
	case is == 0 && was > 0 && (len(claims) == 0 || value(after.tree, "spec.persistentVolumeClaimRetentionPolicy.whenScaled") != "Delete"):
		return ruling{verdict: Interruption, reason: "all of its pods end, and nothing takes their place"}
	case is > was && was > 0 && len(claims) > 0:
		return ruling{verdict: DataAtRisk, reason: "a pod that is added begins with an empty volume: where they do not copy each other, some clients read and write there", loss: render.Replaced}
	case is < was && len(claims) > 0:
		return ruling{verdict: DataAtRisk, reason: "the volumes of the pods that end are no longer read, or deleted with them", loss: render.Replaced}
	case is < was:
		return fewer(after.unit, after.name)
	}
	return ruling{reason: "pods are added, those that there are stay"}
}

// fewer rules on a workload of which fewer pods are left.
func fewer(u *unit, name string) ruling {
	if u != nil {
		if budget := u.find("PodDisruptionBudget", name); budget != nil {
			if r := budgetRuling(budget); r.verdict > NothingRestarts {
				return r
			}
		}
	}
	return ruling{reason: "pods end, and the others serve"}
}

// unmounted says how the pods of a workload begin without the data that they had, or may lose what they commit; empty where
// neither is so.
func unmounted(before, after *object, at string, f *Field) string {
	was, is := mounts(before), mounts(after)
	switch {
	case strings.Contains(at, "volumeMounts") || strings.HasSuffix(at, "ontainers.*"):
		if slices.ContainsFunc(was, func(m mount) bool { return !slices.Contains(is, m) }) {
			return "its pods no longer find the data of their volume where they did: they begin with none"
		}
	case strings.Contains(at, "ontainers.*.env") || strings.Contains(at, "ontainers.*.args") || strings.Contains(at, "ontainers.*.command"):
		words := func(s string) []string {
			return strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(" ,\"'[]{}=:", r) })
		}
		is := words(f.After)
		for _, word := range words(f.Before) {
			in := slices.ContainsFunc(was, func(m mount) bool { return word == m.path || strings.HasPrefix(word, m.path+"/") })
			if in && !slices.Contains(is, word) {
				return "its pods look elsewhere than in " + word + ", which is on their volume: they may begin without their data"
			}
		}
		if len(was) > 0 && !slices.Equal(durable.FindAllString(f.Before, -1), durable.FindAllString(f.After, -1)) {
			return "it decides whether what is committed survives a crash"
		}
	}
	return ""
}

// durable finds what tells PostgreSQL how sure it is to be of what it has committed.
var durable = regexp.MustCompile(`\b(` + strings.Join(durability, "|") + `)\s*=\s*\w+`)

// A mount is where the pods of a workload have a volume that stays.
type mount struct{ container, path, sub, claim string }

// mounts are those of a workload's containers.
func mounts(o *object) []mount {
	set, _ := o.tree["spec"].(map[string]any)
	spec, _ := value(o.tree, podAt[o.Kind]).(map[string]any)
	claims := map[string]bool{}
	for _, template := range listed(set, "volumeClaimTemplates") {
		name, _ := value(template, "metadata.name").(string)
		claims[name] = true
	}
	for _, v := range listed(spec, "volumes") {
		if name, _ := v["name"].(string); v["persistentVolumeClaim"] != nil {
			claims[name] = true
		}
	}
	var list []mount
	for _, c := range listed(spec, "containers") {
		for _, m := range listed(c, "volumeMounts") {
			if claim, _ := m["name"].(string); claims[claim] {
				container, _ := c["name"].(string)
				path, _ := m["mountPath"].(string)
				list = append(list, mount{container, path, flow(m["subPath"]) + flow(m["subPathExpr"]), claim})
			}
		}
	}
	return list
}

// listed are the maps in a list.
func listed(in map[string]any, name string) []map[string]any {
	list, _ := in[name].([]any)
	var found []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}

// copied rules on what copies a database from its next run on.
func copied(at string, f *Field) ruling {
	switch {
	case strings.Contains(f.Path, "[name=KEEP]") && !strings.HasSuffix(strings.Trim(f.After, `"`), "m"): // minutes
		return kept(nil, nil, f)
	case strings.HasSuffix(at, ".image") && imageMajor(f.Before) == imageMajor(f.After), strings.HasSuffix(at, ".imagePullPolicy") && f.After != "Never":
	case (strings.Contains(at, "resources.") || strings.Contains(at, "sizeLimit")) && !smaller(f.After, f.Before):
	case strings.HasSuffix(at, ".image"), strings.HasSuffix(at, ".imagePullPolicy"), strings.Contains(at, "resources."), strings.Contains(at, "sizeLimit"),
		at == "activeDeadlineSeconds", strings.HasPrefix(at, "hostAliases"), strings.HasPrefix(at, "volumes.*.") && (f.Before == "" || f.After == ""):
		return ruling{verdict: DataAtRisk, reason: "the database may not be copied any more: what copies it has less, or is another", loss: render.Replaced}
	case strings.Contains(at, ".env"), strings.Contains(at, ".args"), strings.Contains(at, ".command"), strings.Contains(at, ".volumeMounts"), strings.HasSuffix(at, "ontainers.*"):
		return ruling{verdict: DataAtRisk, reason: "the database is copied in another way, elsewhere, or not at all", loss: render.Replaced}
	}
	return ruling{reason: "it holds from the next run on"}
}

// jobs rules on how the jobs of a CronJob run.
func jobs(before, after *object, f *Field) ruling {
	at := steps(f.Path)
	stops := false
	switch at[len(at)-1] {
	case "suspend":
		stops = f.After == "true"
	case "parallelism", "completions":
		stops = f.After == "0"
	case "activeDeadlineSeconds", "startingDeadlineSeconds":
		was, _ := strconv.ParseFloat(f.Before, 64)
		is, _ := strconv.ParseFloat(f.After, 64)
		stops = f.After != "" && (f.Before == "" || is < was)
	case "concurrencyPolicy":
		stops = f.After == "Replace"
	}
	switch {
	case stops && copies(after):
		return ruling{verdict: DataAtRisk, reason: "it may end before the database is copied, or not begin", loss: render.Replaced}
	case stops:
		return ruling{verdict: Interruption, reason: "it may end before it is done, or not begin"}
	}
	return ruling{reason: "it holds from the next run on"}
}

// budgetRuling rules on a budget as it stands.
func budgetRuling(budget *object) ruling {
	n := int64(-1)
	if budget.unit != nil {
		for _, kind := range []string{"Deployment", "StatefulSet"} {
			if o := budget.unit.find(kind, budget.name); o != nil {
				n = replicas(o)
			}
		}
	}
	least, most := value(budget.tree, "spec.minAvailable"), value(budget.tree, "spec.maxUnavailable")
	switch {
	case most == int64(0) || most == "0%" || least == "100%":
		return ruling{verdict: Interruption, reason: "no pod of it may be moved: a node that it runs on is never drained, and an upgrade of the cluster stops there"}
	case n >= 0 && least != nil && share(least, n, true) >= n:
		return ruling{verdict: Interruption, reason: fmt.Sprintf("it wants all of its %d pods: a node that they run on is never drained, and an upgrade of the cluster stops there", n)}
	case n > 1 && most != nil && share(most, n, true) >= n:
		return ruling{verdict: Interruption, reason: "a node that is drained may take all of its pods at once"}
	case least == int64(0) || least == "0%":
		return ruling{verdict: Interruption, reason: "a node that is drained may take all of its pods at once"}
	}
	return ruling{reason: "drains still wait for its pods, and end"}
}

// outside tells whether a Service lets clients in past the edge.
func outside(service *object) bool {
	kind := value(service.tree, "spec.type")
	return kind == "LoadBalancer" || kind == "NodePort" || kind == "ExternalName" || value(service.tree, "spec.externalIPs") != nil
}

// weaker says what a change of a pod template's field takes from its confinement; empty for nothing.
func weaker(at string, f *Field) string {
	last := at[strings.LastIndex(at, ".")+1:]
	switch {
	case strings.Contains(at, "securityContext"):
		if !confines(last, f) {
			return "its pods are less confined"
		}
	case at == "hostNetwork" || at == "hostPID" || at == "hostIPC" || at == "shareProcessNamespace":
		if f.After == "true" {
			return "its pods share what is not theirs alone, past the policies that bind pods"
		}
	case at == "hostUsers":
		if f.After != "false" {
			return "root in its pods is root on the node"
		}
	case at == "automountServiceAccountToken":
		if f.After != "false" {
			return "its pods have the token of their account"
		}
	case at == "serviceAccountName" || at == "serviceAccount":
		return "its pods speak for another account"
	case at == "runtimeClassName", at == "nodeName", at == "schedulerName", strings.HasPrefix(at, "nodeSelector"), strings.HasPrefix(at, "tolerations"),
		strings.HasPrefix(at, "affinity.nodeAffinity"):
		return "it decides on which nodes its pods run, and so with whom they share a kernel"
	case strings.Contains(at, "hostPath") || strings.HasPrefix(at, "volumes") && strings.Contains(f.After, "hostPath:"):
		return "its pods have a part of their node's disk"
	case strings.Contains(at, "serviceAccountToken") || strings.HasPrefix(at, "volumes") && strings.Contains(f.After, "serviceAccountToken:"):
		return "its pods have a token"
	case last == "hostPort" || strings.Contains(f.After, "hostPort:"):
		return "its pods are reached at their node's address, past the edge"
	case strings.HasPrefix(at, "metadata.annotations.container.apparmor.security.beta.kubernetes.io/"):
		if f.After != "runtime/default" {
			return "its pods are less confined"
		}
	}
	return ""
}

// confines tells whether a field of a security context says nothing that is less strict than before.
func confines(name string, f *Field) bool {
	switch name {
	case "runAsNonRoot", "readOnlyRootFilesystem":
		return f.After == "true"
	case "allowPrivilegeEscalation":
		return f.After == "false"
	case "privileged":
		return f.After != "true"
	case "type":
		return f.After == "RuntimeDefault" || f.After == "Localhost" && f.Before != "RuntimeDefault"
	case "drop":
		return strings.Contains(f.After, "ALL") || f.After != "" && within(items(f.Before), items(f.After))
	case "add":
		return within(items(f.After), items(f.Before))
	case "runAsUser", "runAsGroup", "fsGroup":
		return f.After != "" && f.After != "0"
	case "fsGroupChangePolicy":
		return true
	case "securityContext", "capabilities", "seccompProfile":
		return f.Before == "" && !loose(f.After)
	}
	return false
}

// loose tells whether a security context, as text, lets its pod do more than it would without.
func loose(text string) bool {
	for _, sign := range []string{"privileged: true", "add: ", "Unconfined", "procMount", "sysctls", "runAsUser: 0", "hostProcess", "allowPrivilegeEscalation: true", "runAsNonRoot: false"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// items are those of a list in one line.
func items(list string) []string {
	list = strings.Trim(list, "[]")
	if list == "" {
		return nil
	}
	return strings.Split(list, ", ")
}

// within tells whether all of a list is in another one.
func within(list, of []string) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(of, s) })
}

// shares says what pods share that is not theirs alone; empty for nothing.
func shares(spec map[string]any) string {
	for _, name := range []string{"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} {
		if spec[name] == true {
			return name
		}
	}
	for _, v := range listed(spec, "volumes") {
		if v["hostPath"] != nil {
			return "a hostPath volume"
		}
	}
	if shared, _ := spec["securityContext"].(map[string]any); loose(flow(shared)) {
		return "its pods are " + flow(shared)
	}
	for _, list := range []string{"initContainers", "containers"} {
		for _, c := range listed(spec, list) {
			own, _ := c["securityContext"].(map[string]any)
			name, _ := c["name"].(string)
			switch {
			case loose(flow(own)):
				return "the container " + name + " is " + flow(own)
			case strings.Contains(flow(c["ports"]), "hostPort: "):
				return "the container " + name + " is reached at its node's address"
			}
		}
	}
	return ""
}

// unconfined says what the pods of a workload may do that confined ones may not; empty for nothing.
func unconfined(o *object) string {
	spec, _ := value(o.tree, podAt[o.Kind]).(map[string]any)
	if shared := shares(spec); shared != "" {
		return shared
	}
	if spec["nodeName"] != nil {
		return "they pass the scheduler by"
	}
	if slices.ContainsFunc(listed(spec, "tolerations"), func(t map[string]any) bool { return t["key"] == nil && t["operator"] == "Exists" }) {
		return "they may run on the nodes of anybody"
	}
	nodes := []any{spec["nodeSelector"], spec["tolerations"], value(spec, "affinity.nodeAffinity")}
	for _, tenant := range tenantIn.FindAllStringSubmatch(flow(nodes), -1) {
		if tenant[1] != o.namespace {
			return "they run on the nodes of " + tenant[1]
		}
	}
	shared, _ := spec["securityContext"].(map[string]any)
	for _, list := range []string{"initContainers", "containers"} {
		for _, c := range listed(spec, list) {
			own, _ := c["securityContext"].(map[string]any)
			name, _ := c["name"].(string)
			switch {
			case own["allowPrivilegeEscalation"] != false:
				return "the container " + name + " may gain privileges"
			case own["runAsNonRoot"] != true && shared["runAsNonRoot"] != true:
				return "the container " + name + " may run as root"
			case !strings.Contains(flow(value(own, "capabilities.drop")), "ALL"):
				return "the container " + name + " keeps capabilities"
			case value(own, "seccompProfile.type") == nil && value(shared, "seccompProfile.type") == nil:
				return "the container " + name + " may make any system call"
			}
		}
	}
	return ""
}

// tenantIn finds the tenants that nodes are selected, or tolerated, for.
var tenantIn = regexp.MustCompile(regexp.QuoteMeta(render.TenantLabel) + `(?:: |, operator: \w+, values?: \[?)([a-z0-9-]+)`)

// rarer tells whether a schedule comes less often than another one, at its longest pause, or may.
func rarer(now, before string) bool {
	a, b := pause(now), pause(before)
	return a == 0 || b == 0 || a > b
}

// pause is the longest time between two runs of a schedule; 0 for one that never comes, or is not understood.
func pause(schedule string) time.Duration {
	fields := cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor
	schedule = strings.Trim(schedule, `"`)
	if len(strings.Fields(schedule)) == 6 { // with seconds, as CloudNativePG has it
		fields |= cron.Second
	}
	s, err := cron.NewParser(fields).Parse(schedule)
	if err != nil {
		return 0
	}
	// Four years have every day of the calendar. What comes more often than it can be counted is told by its first days.
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	last, longest := s.Next(begin), time.Duration(0)
	for range 20_000 {
		next := s.Next(last)
		if last.IsZero() || next.IsZero() {
			return longest
		}
		longest = max(longest, next.Sub(last))
		if next.Sub(begin) > 4*366*24*time.Hour {
			break
		}
		last = next
	}
	return longest
}
