package review

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/verify/schema"
)

// An Effect is what an API server and Pulumi's provider do when an object becomes another. A later one is worse than
// an earlier one.
type Effect int

// The effects.
const (
	InPlace  Effect = iota // the object is changed, and nothing that runs is made anew for it
	Restarts               // the object is changed, and its controller makes its pods anew
	Replaces               // the provider deletes the object and makes it again
	Refused                // the API server does not take it, and deploying ends there
)

// String is the effect in words.
func (e Effect) String() string {
	switch e {
	case InPlace:
		return "in place"
	case Restarts:
		return "restart"
	case Replaces:
		return "replaced"
	case Refused:
		return "refused"
	}
	return fmt.Sprintf("Effect(%d)", int(e))
}

// effects is, for every kind of which it is known, what a change of its fields does: by the beginning of the field's
// path, the longest that fits. What no line names is changed in place. A * is any item of a list or key of a map.
//
// The suite in local/review holds it against what is real.
var effects = map[string]map[string]Effect{
	"BackendTrafficPolicy.gateway.envoyproxy.io": {},
	"Certificate.cert-manager.io":                {},
	"Cluster.postgresql.cnpg.io":                 {"spec.serviceAccountName": Refused},
	"ClusterIssuer.cert-manager.io":              {},
	"ClusterRole.rbac.authorization.k8s.io":      {},
	"ClusterRoleBinding.rbac.authorization.k8s.io": {
		"roleRef": Replaces,
	},
	"ConfigMap":                      {},
	"CronJob.batch":                  {},
	"DNSEndpoint.externaldns.k8s.io": {},
	"DaemonSet.apps":                 {"spec.selector": Replaces, "spec.template": Restarts},
	"Database.postgresql.cnpg.io": {
		"spec.name": Refused, "spec.template": Refused, "spec.encoding": Refused, "spec.locale": Refused, "spec.localeProvider": Refused,
		"spec.localeCollate": Refused, "spec.localeCType": Refused, "spec.icuLocale": Refused, "spec.icuRules": Refused,
		"spec.builtinLocale": Refused, "spec.collationVersion": Refused, "spec.cluster": Refused,
	},
	"Deployment.apps":                        {"spec.selector": Replaces, "spec.template": Restarts},
	"ExternalSecret.external-secrets.io":     {},
	"Gateway.gateway.networking.k8s.io":      {},
	"GatewayClass.gateway.networking.k8s.io": {"spec.controllerName": Refused},
	"GitRepository.source.toolkit.fluxcd.io": {},
	"HTTPRoute.gateway.networking.k8s.io":    {},
	"HorizontalPodAutoscaler.autoscaling":    {},
	"Ingress.networking.k8s.io":              {},
	"Issuer.cert-manager.io":                 {},
	"Job.batch": {
		"spec.completions": Replaces, "spec.parallelism": Replaces, "spec.selector": Replaces, "spec.template": Replaces,
		"spec.completionMode": Refused, "spec.podFailurePolicy": Refused, "spec.successPolicy": Refused, "spec.backoffLimitPerIndex": Refused,
		"spec.maxFailedIndexes": Refused, "spec.managedBy": Refused,
	},
	"Kustomization.kustomize.toolkit.fluxcd.io": {},
	"LimitRange":                             {},
	"ListenerSet.gateway.networking.k8s.io":  {},
	"Namespace":                              {},
	"NetworkPolicy.networking.k8s.io":        {},
	"OCIRepository.source.toolkit.fluxcd.io": {},
	"ObjectStore.barmancloud.cnpg.io":        {},
	"PersistentVolumeClaim": {
		"spec": Refused, "spec.accessModes": Replaces, "spec.selector": Replaces, "spec.storageClassName": Replaces, "spec.volumeName": Replaces,
		"spec.resources.requests.storage": InPlace, "spec.volumeAttributesClassName": InPlace,
	},
	"PodDisruptionBudget.policy":           {},
	"PodMonitor.monitoring.coreos.com":     {},
	"Pooler.postgresql.cnpg.io":            {"spec.cluster": Refused, "spec.serviceAccountName": Refused},
	"PriorityClass.scheduling.k8s.io":      {"value": Refused, "preemptionPolicy": Refused},
	"PrometheusRule.monitoring.coreos.com": {},
	"ResourceQuota":                        {"spec.scopes": Replaces, "spec.scopeSelector": Refused},
	"Role.rbac.authorization.k8s.io":       {},
	"RoleBinding.rbac.authorization.k8s.io": {
		"roleRef": Replaces,
	},
	"RuntimeClass.node.k8s.io":             {"handler": Refused},
	"ScheduledBackup.postgresql.cnpg.io":   {"spec.cluster": Refused},
	"Secret":                               {"type": Replaces},
	"Service":                              {"spec.clusterIP": Replaces, "spec.clusterIPs": Refused, "spec.ipFamilies": Refused, "spec.loadBalancerClass": Refused},
	"ServiceAccount":                       {},
	"ServiceMonitor.monitoring.coreos.com": {},
	"StatefulSet.apps": {
		"spec.podManagementPolicy": Replaces, "spec.revisionHistoryLimit": Replaces, "spec.selector": Replaces,
		"spec.serviceName": Replaces, "spec.volumeClaimTemplates": Replaces, "spec.template": Restarts,
	},
	"StorageClass.storage.k8s.io": {
		"parameters": Replaces, "provisioner": Replaces, "reclaimPolicy": Refused, "volumeBindingMode": Refused,
	},
	"ValidatingAdmissionPolicy.admissionregistration.k8s.io":        {},
	"ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io": {},
}

// Foresee says what happens to an object whose golden file changes from one text to another. Both are of the same
// kind and name.
func Foresee(before, after []byte) (Effect, error) {
	set, err := kinds()
	if err != nil {
		return Refused, err
	}
	b, err := parse("before.yaml", before)
	if err != nil {
		return Refused, err
	}
	a, err := parse("after.yaml", after)
	if err != nil {
		return Refused, err
	}
	worst := InPlace
	fields := compareFields(set, b, a)
	for _, f := range append(fields, writtenOtherwise(b, a, fields)...) {
		worst = max(worst, effectOf(b, a, &f))
	}
	return worst, nil
}

// writtenOtherwise lists the fields that mean the same in two objects and for which the provider replaces one all the
// same, because they are not written the same: a default that is set, a list in another order.
func writtenOtherwise(before, after *object, fields []Field) []Field {
	if before == nil || after == nil {
		return nil
	}
	var found []Field
	known := effects[after.GroupKind().String()]
	for _, path := range slices.Sorted(maps.Keys(known)) {
		b, a := value(before.tree, path), value(after.tree, path)
		if known[path] == Replaces && !same(b, a) && !slices.ContainsFunc(fields, func(f Field) bool { return strings.HasPrefix(f.Path, path) }) {
			found = append(found, Field{Path: path, Before: flow(b), After: flow(a)})
		}
	}
	return found
}

// effectOf is the effect of one field that differs.
func effectOf(before, after *object, f *Field) Effect {
	set, err := kinds()
	if err != nil {
		return Refused
	}
	known, ok := effects[after.GroupKind().String()]
	at := steps(f.Path)
	switch {
	case at[0] == "apiVersion" && before.GroupVersionKind != after.GroupVersionKind:
		return Replaces // the provider knows the object by it
	case at[0] == "metadata":
		return InPlace
	case !ok:
		return Replaces
	case frozen(before) && !frozen(after):
		return Refused
	case frozen(after) && (at[0] == "data" || at[0] == "binaryData" || at[0] == "stringData"):
		return Replaces
	case !described(set.Part(after.GroupVersionKind), at):
		return Replaces // of a version that is not known here
	}
	whole := strings.Join(at, ".")
	if hollowed(before, after, f) {
		return Refused
	}
	effect, longest := InPlace, ""
	for prefix, e := range known {
		if (whole == prefix || strings.HasPrefix(whole, prefix+".")) && len(prefix) > len(longest) {
			effect, longest = e, prefix
		}
	}
	for prefix, e := range known {
		if strings.HasPrefix(prefix, whole+".") && e > effect { // it is part of what is set or taken out here
			effect, longest = e, prefix
		}
	}
	if effect == Refused && custom(after) && (value(before.tree, longest) == nil || value(after.tree, longest) == nil) {
		return InPlace // a definition's rule compares two values
	}
	if after.Kind == "PersistentVolumeClaim" && whole == "spec.resources.requests.storage" && (f.After == "" || smaller(f.After, f.Before)) {
		return Refused
	}
	return effect
}

// custom tells whether a kind is defined in the cluster, and not Kubernetes' own.
func custom(o *object) bool {
	return strings.Contains(o.Group, ".") && (!strings.HasSuffix(o.Group, ".k8s.io") || strings.HasPrefix(o.Group, "gateway."))
}

// hollowed tells whether a field is the last of what it is in.
func hollowed(before, after *object, f *Field) bool {
	set, err := kinds()
	if err != nil || !custom(after) || f.After != "" {
		return false
	}
	at := emptied(set.Part(after.GroupVersionKind).Field("spec"), "spec", before.tree["spec"], after.tree["spec"])
	return at != "" && strings.HasPrefix(strings.Join(steps(f.Path), ".")+".", at+".")
}

// emptied is where a custom resource has something no more and says so, with {} or []; empty for nowhere. An API server
// that applies it makes null of it, and then refuses that, unless a default takes its place.
func emptied(part schema.Part, at string, before, after any) string {
	switch b := before.(type) {
	case map[string]any:
		a, ok := after.(map[string]any)
		switch {
		case !ok || part.Field("matchLabels").Known(): // a selector is one value
			return ""
		case len(a) == 0 && len(b) > 0 && part.Default() == nil:
			return at
		}
		for _, name := range slices.Sorted(maps.Keys(b)) {
			if found := emptied(part.Field(name), at+"."+name, b[name], a[name]); found != "" {
				return found
			}
		}
	case []any:
		a, ok := after.([]any)
		keys, _ := part.Keys()
		if !ok || keys == nil {
			return ""
		}
		if len(a) == 0 && len(b) > 0 {
			return at
		}
		for _, was := range b {
			for _, is := range a {
				w, _ := was.(map[string]any)
				i, _ := is.(map[string]any)
				if !slices.ContainsFunc(keys, func(key string) bool { return !same(w[key], i[key]) }) {
					if found := emptied(part.Item(), at+".*", w, i); found != "" {
						return found
					}
				}
			}
		}
	}
	return ""
}

// frozen tells whether a ConfigMap or a Secret is immutable.
func frozen(o *object) bool {
	return o.Group == "" && (o.Kind == "ConfigMap" || o.Kind == "Secret") && o.tree["immutable"] == true
}

// described tells whether a schema has a field.
func described(part schema.Part, at []string) bool {
	for _, s := range at {
		if s == "*" {
			part = part.Item()
		} else {
			part = part.Field(s)
		}
	}
	return part.Known()
}

// steps takes the path of a field apart; the label or the index of an item is *.
func steps(path string) []string {
	var out []string
	for path != "" {
		switch path[0] {
		case '.':
			path = path[1:]
		case '[':
			label, rest := bracketed(path)
			path = rest
			switch {
			case strings.HasPrefix(label, "line "):
			case strings.Contains(label, "=") || label != "" && strings.Trim(label, "0123456789") == "":
				out = append(out, "*")
			default:
				out = append(out, strings.Trim(label, `"`))
			}
		default:
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			out = append(out, path[:end])
			path = path[end:]
		}
	}
	return out
}

// bracketed splits [label]rest. A label may be quoted.
func bracketed(path string) (label, rest string) {
	quoted := false
	for i := 1; i < len(path); i++ {
		switch {
		case path[i] == '\\' && quoted:
			i++
		case path[i] == '"':
			quoted = !quoted
		case path[i] == ']' && !quoted:
			return path[1:i], path[i+1:]
		}
	}
	return path[1:], ""
}

// value is what stands at a path without lists.
func value(tree map[string]any, path string) any {
	var at any = tree
	for _, s := range steps(path) {
		m, _ := at.(map[string]any)
		at = m[s]
	}
	return at
}

// smaller tells whether a quantity, as a field shows it, is smaller than another one.
func smaller(a, b string) bool {
	return render.Quantity(strings.Trim(a, `"`)).Less(render.Quantity(strings.Trim(b, `"`)))
}
