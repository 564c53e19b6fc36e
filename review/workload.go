package review

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tenantry/tenantry/render"
)

// podRuling rules on a field of a pod template: at is its place within it, such as containers.*.image or
// metadata.labels.app.
func podRuling(before, after *object, at string, f *Field) ruling {
	r := restart(before, after)
	if at == "metadata.annotations.tenantry.dev/checksum" && r.verdict > NothingRestarts {
		r.reason = "its configuration changes, which it reads when it starts: " + r.reason
	}
	if weak := weaker(at, f); weak != "" {
		return isolates(weak)
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
	case after.Kind == "Deployment" && share(rolling["maxUnavailable"], n) >= n:
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

// share is a number of pods, or a percentage of n that is rounded down.
func share(v any, n int64) int64 {
	switch v := v.(type) {
	case int64:
		return v
	case string:
		percent, err := strconv.ParseInt(strings.TrimSuffix(v, "%"), 10, 32)
		if err != nil {
			return n
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
	case f.After == "" && is < was:
		return ruling{verdict: Interruption, reason: fmt.Sprintf("nothing says how many pods it has: %d goes on", is)}
	case is == 0 && was > 0:
		return ruling{verdict: Interruption, reason: "all of its pods end, and nothing takes their place"}
	case is < was && len(claims) > 0:
		return ruling{verdict: DataAtRisk, reason: "the volumes of the pods that end are no longer read, or deleted with them", loss: render.Replaced}
	case is < was:
		if after.unit != nil {
			if budget := after.unit.find("PodDisruptionBudget", after.name); budget != nil {
				if r := budgetRuling(budget); r.verdict > NothingRestarts {
					return r
				}
			}
		}
		return ruling{reason: "pods end, and the others serve"}
	}
	return ruling{reason: "pods are added, those that there are stay"}
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
	case n >= 0 && least != nil && share(least, n) >= n:
		return ruling{verdict: Interruption, reason: fmt.Sprintf("it wants all of its %d pods: a node that they run on is never drained, and an upgrade of the cluster stops there", n)}
	case n > 1 && most != nil && share(most, n) >= n:
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
		at == "affinity", strings.HasPrefix(at, "affinity.nodeAffinity"):
		return "it decides on which nodes its pods run, and so with whom they share a kernel"
	case strings.Contains(at, "hostPath") || strings.HasPrefix(at, "volumes") && strings.Contains(f.After, "hostPath:"):
		return "its pods have a part of their node's disk"
	case strings.Contains(at, "serviceAccountToken") || strings.HasPrefix(at, "volumes") && strings.Contains(f.After, "serviceAccountToken:"):
		return "its pods have a token"
	case last == "hostPort" || strings.Contains(f.After, "hostPort:"):
		return "its pods are reached at their node's address, past the edge"
	case f.Before == "" && (strings.HasSuffix(strings.ToLower(at), "containers.*") || strings.HasSuffix(strings.ToLower(at), "containers")):
		if !strings.Contains(f.After, "allowPrivilegeEscalation: false") || loose(f.After) {
			return "a container is added that is not confined"
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

// unconfined says what a new pod may do that a confined one may not; empty for nothing.
func unconfined(spec map[string]any) string {
	for _, name := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		if spec[name] == true {
			return name
		}
	}
	volumes, _ := spec["volumes"].([]any)
	for _, v := range volumes {
		if m, _ := v.(map[string]any); m["hostPath"] != nil {
			return "a hostPath volume"
		}
	}
	shared, _ := spec["securityContext"].(map[string]any)
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			own, _ := container["securityContext"].(map[string]any)
			name, _ := container["name"].(string)
			switch {
			case own["allowPrivilegeEscalation"] != false:
				return "the container " + name + " may gain privileges"
			case loose(flow(own)):
				return "the container " + name + " is " + flow(own)
			case own["runAsNonRoot"] != true && shared["runAsNonRoot"] != true:
				return "the container " + name + " may run as root"
			}
		}
	}
	return ""
}

// rarer tells whether a schedule in the fields of crontab(5) comes less often than another one, or may.
func rarer(now, before string) bool {
	a, b := runs(now), runs(before)
	return a == 0 || b == 0 || a < b
}

// runs is roughly how often a schedule comes in a year; 0 for one that is not understood.
func runs(schedule string) float64 {
	fields := strings.Fields(strings.Trim(schedule, `"`))
	sizes := []float64{60, 24, 31, 12, 7}
	if len(fields) == 6 { // with seconds, as CloudNativePG has it
		sizes = append([]float64{60}, sizes...)
	}
	if len(fields) != len(sizes) {
		return 0
	}
	times := 1.0
	for i, field := range fields {
		n := 0.0
		for part := range strings.SplitSeq(field, ",") {
			span, step, _ := strings.Cut(part, "/")
			by, err := strconv.ParseFloat(cmp.Or(step, "1"), 64)
			if err != nil || by < 1 {
				return 0
			}
			from, to, ranged := strings.Cut(span, "-")
			switch {
			case span == "*":
				n += sizes[i] / by
			case ranged:
				a, errA := strconv.Atoi(from)
				b, errB := strconv.Atoi(to)
				if errA != nil || errB != nil || b < a {
					return 0
				}
				n += float64(b-a+1) / by
			default:
				n++
			}
		}
		times *= n / sizes[i]
	}
	return times
}
