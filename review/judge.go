package review

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
)

// A ruling is what a change of one object does.
type ruling struct {
	verdict Verdict
	reason  string
	loss    render.Loss // what the fleet has to acknowledge; empty: nothing
	refused bool        // no acknowledgement permits it
	opens   string      // why isolation changes too, where something is worse
}

// isolates is a ruling that something reaches or may do what it did not before.
func isolates(reason string) ruling {
	return ruling{verdict: IsolationChanged, reason: reason, loss: render.Isolation}
}

// judge rules on the change of one object, of which before or after is nil where there is none. It sets the
// verdict and the reason of each field. The objects of an object that is renamed differ in their names. whole says that
// the unit is new, or gone, with all that is in it.
func judge(before, after *object, fields []Field, whole bool) ruling {
	switch {
	case before == nil:
		return added(after, whole)
	case after == nil && whole && !render.HoldsData(before.GroupKind()):
		return ruling{reason: "it runs on until destroy takes the unit"}
	case after == nil:
		return removed(before)
	case before.id() != after.id() || before.namespace != after.namespace:
		return renamed(before, after, fields)
	}
	worst, opens := ruling{reason: "nothing that runs is made of it"}, ""
	for i := range fields {
		f := &fields[i]
		r := fieldRuling(before, after, f)
		f.Verdict = r.verdict
		if r.verdict > NothingRestarts {
			f.Reason = r.reason
		}
		opens = cmp.Or(opens, r.opens)
		if i == 0 || r.verdict > worst.verdict || r.verdict == worst.verdict && r.refused && !worst.refused {
			worst = r
		}
	}
	if at := render.Shrunk(before.tree, after.tree); at != "" && render.HoldsData(after.GroupKind()) && worst.loss != render.Replaced && !worst.refused {
		worst = ruling{verdict: DataAtRisk, reason: strings.TrimPrefix(at, ".") + " " + shrinking, refused: true} // deploying refuses it too
	}
	worst.opens = opens
	return worst
}

const shrinking = "becomes smaller, and no volume can: keep the size, or move the data to a new object"

// fieldRuling rules on one field of an object that stays: by how it is changed, and by what each part of it means.
func fieldRuling(before, after *object, f *Field) ruling {
	worst, decided := enforced(before, after, f)
	opens := ""
	for i, part := range parts(f) {
		r := meaning(before, after, &part)
		if r.loss == render.Isolation && !worst.refused {
			opens = cmp.Or(opens, r.reason)
		}
		if !decided && (i == 0 || r.verdict > worst.verdict) {
			worst = r
		}
	}
	if opens != "" && worst.verdict < IsolationChanged {
		worst = isolates(opens)
	}
	worst.opens = opens
	return worst
}

// parts are a field and, where it sets or takes out several at once, each of these. Where an item of a list is gone, so
// is all that could be said of its parts.
func parts(f *Field) []Field {
	list := []Field{*f}
	at := steps(f.Path)
	if f.Before != "" && f.After != "" || f.After == "" && at[len(at)-1] == "*" {
		return list
	}
	text := f.Before + f.After
	if !strings.HasPrefix(text, "{") && !strings.HasPrefix(text, "[{") {
		return list
	}
	var tree any
	if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
		return list
	}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		if path != f.Path {
			part := Field{Path: path, Before: flow(value)}
			if f.After != "" {
				part.Before, part.After = part.After, part.Before
			}
			list = append(list, part)
		}
		switch v := value.(type) {
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(spot{path: path}.field(key).path, v[key])
			}
		case []any:
			if f.After != "" && !scalars(v) {
				for i, item := range v {
					walk(spot{path: path}.item(strconv.Itoa(i)).path, item)
				}
			}
		}
	}
	walk(f.Path, tree)
	return list
}

// enforced rules on a field by what the API server and the provider do with it; decided is false where they change it in
// place.
func enforced(before, after *object, f *Field) (r ruling, decided bool) {
	kind := after.GroupKind()
	at := strings.Join(steps(f.Path), ".")
	effect := effectOf(before, after, f)
	switch {
	case effect == Refused && hollowed(before, after, f):
		r := ruling{verdict: Replacement, reason: "the API server refuses {} and [] where nothing is left, and deploying ends there: leave out what they stand for", refused: true}
		if render.HoldsData(kind) {
			r.verdict = DataAtRisk
		}
		return r, true
	case effect == Refused && render.HoldsData(kind):
		return ruling{verdict: DataAtRisk, reason: "the API server refuses it: only an object that is made again, without its data, could have it", refused: true}, true
	case effect == Refused:
		return ruling{verdict: Replacement, reason: "the API server refuses it, and deploying ends there: take it back, or give the object another name", refused: true}, true
	case effect == Replaces && effects[kind.String()] == nil:
		return unknownKind(at), true
	case effect == Replaces && at == "apiVersion" && render.HoldsData(kind):
		return ruling{verdict: DataAtRisk, reason: "deploying knows the object by it: the old one is deleted, with all that is in it", loss: render.Deleted}, true
	case effect == Replaces && render.HoldsData(kind):
		return ruling{verdict: DataAtRisk, reason: "it cannot be changed in place: the object is deleted, and made again without its data", loss: render.Replaced}, true
	case effect == Replaces && strings.HasPrefix(at, "roleRef"):
		return ruling{verdict: Replacement, reason: "it cannot be changed in place: the binding is deleted and made again"}, true
	case effect == Replaces:
		return ruling{verdict: Replacement, reason: "it cannot be changed in place: the object is deleted and made again, and is away in between"}, true
	}
	return ruling{}, false
}

// meaning rules on what a field says, however it is changed.
func meaning(before, after *object, f *Field) ruling {
	at := strings.Join(steps(f.Path), ".")
	if at == "metadata" || strings.HasPrefix(at, "metadata.") {
		return metadataRuling(after, at, f)
	}
	if pods := podAt[after.Kind]; pods != "" && (at == pods || strings.HasPrefix(at, pods+".") || strings.HasPrefix(at, strings.TrimSuffix(pods, "spec")+"metadata.")) {
		return podRuling(before, after, strings.TrimPrefix(strings.TrimPrefix(at, strings.TrimSuffix(pods, "spec")), "spec."), f)
	}
	return consequenceOf(after.GroupKind().String(), at)(before, after, f)
}

// unknownKind is what is safe to say of a kind that nobody here knows.
func unknownKind(at string) ruling {
	if strings.HasPrefix(at, "metadata.") {
		return ruling{verdict: Interruption, reason: "what a controller makes of it is not known here"}
	}
	return ruling{verdict: DataAtRisk, reason: "the kind, or the field, is not known here: what a controller makes of it may cost data", loss: render.Replaced}
}

// consequenceOf finds what is known of a field: by the longest beginning of its path.
func consequenceOf(kind, at string) consequence {
	known := consequences[kind]
	best, found := "", known[""]
	for prefix, m := range known {
		if (at == prefix || strings.HasPrefix(at, prefix+".")) && len(prefix) > len(best) {
			best, found = prefix, m
		}
	}
	if found == nil {
		return says(Interruption, "what is made of it is not known here")
	}
	return found
}

// entrances are the kinds that say who reaches a tenant from outside, by which name, and with which certificate.
var entrances = []string{
	"Ingress.networking.k8s.io", "Gateway.gateway.networking.k8s.io", "HTTPRoute.gateway.networking.k8s.io", "ListenerSet.gateway.networking.k8s.io",
	"DNSEndpoint.externaldns.k8s.io", "BackendTrafficPolicy.gateway.envoyproxy.io", "GatewayClass.gateway.networking.k8s.io",
}

// added rules on an object that is new. What a NetworkPolicy, a Role or a binding opens, evaluating the fleet tells.
func added(o *object, whole bool) ruling {
	kind := o.GroupKind().String()
	if effects[kind] == nil {
		switch kind {
		case "CustomResourceDefinition.apiextensions.k8s.io", "Event":
			return ruling{reason: "nothing uses it yet"}
		}
		return isolates("the kind is not known here: what it lets happen, nobody can tell")
	}
	if podAt[o.Kind] != "" {
		if weak := unconfined(o); weak != "" {
			return isolates("its pods are not confined: " + weak)
		}
	}
	if value(o.tree, "metadata.ownerReferences") != nil {
		if gone := removed(o); gone.loss == render.Isolation || o.Kind == "NetworkPolicy" {
			return isolates("it is deleted again where its owner is not there")
		}
	}
	switch kind {
	case "Cluster.postgresql.cnpg.io", "Pooler.postgresql.cnpg.io":
		if r := database(o); r.loss == render.Isolation || r.verdict > NothingRestarts && !whole {
			return r
		}
	case "Secret":
		metadata, _ := o.tree["metadata"].(map[string]any)
		notes, _ := metadata["annotations"].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(notes)) {
			if whose := borrowed(o, key, flow(notes[key])); whose != "" {
				return isolates("it has a value of " + whose)
			}
		}
		if o.tree["type"] == "kubernetes.io/service-account-token" {
			return isolates("it is given a token that does not expire")
		}
	case "Database.postgresql.cnpg.io":
		if strings.Contains(flow(o.tree["spec"]), "ensure: absent") && !whole {
			return ruling{verdict: DataAtRisk, reason: "it says that what it names is dropped, with all that is in it", loss: render.Replaced}
		}
	case "Kustomization.kustomize.toolkit.fluxcd.io":
		if value(o.tree, "spec.serviceAccountName") == nil {
			return isolates("it applies by Flux's own rights, which may change everything")
		}
	case "ExternalSecret.external-secrets.io":
		if place := foreign(o); place != "" {
			return isolates("it reads " + place + ", which its namespace is not given")
		}
	case "Namespace":
		if level(o) != "restricted" {
			return isolates("Pod Security is not restricted in it")
		}
	case "ServiceAccount":
		if o.tree["automountServiceAccountToken"] != false {
			return isolates("every pod of the account has its token, unless the pod declines it")
		}
	case "PodDisruptionBudget.policy":
		if r := budgetRuling(o); r.verdict > NothingRestarts && !whole {
			return r
		}
	case "Service":
		if outside(o) && !whole {
			return ruling{verdict: ExposureChanged, reason: "clients from outside reach it past the edge"}
		}
	case "ResourceQuota", "LimitRange":
		if !whole {
			return ruling{verdict: Interruption, reason: "pods that it has no room for are not made any more"}
		}
	case "ValidatingAdmissionPolicy.admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io":
		if !whole {
			return ruling{verdict: Interruption, reason: "what it does not admit is refused from now on, new pods included"}
		}
	}
	switch {
	case whole:
		return ruling{reason: "the unit is new: nobody uses it yet"}
	case slices.Contains(entrances, kind):
		return ruling{verdict: ExposureChanged, reason: "something is reached from outside that was not, or in another way"}
	case o.Kind == "Job":
		return ruling{reason: "it runs once"}
	}
	return ruling{reason: "nothing runs of it yet"}
}

// removed rules on an object that is gone from a unit that stays.
func removed(o *object) ruling {
	kind := o.GroupKind().String()
	switch {
	case render.HoldsData(o.GroupKind()):
		return ruling{verdict: DataAtRisk, reason: "it is deleted, with all that is in it", loss: render.Deleted}
	case kind == "Kustomization.kustomize.toolkit.fluxcd.io":
		if value(o.tree, "spec.deletionPolicy") == "Orphan" {
			return ruling{verdict: Interruption, reason: "Flux applies no more what it names, and leaves it where it is"}
		}
		return ruling{verdict: DataAtRisk, reason: "all that it has applied is deleted with it, where it prunes", loss: render.Deleted}
	case kind == "CustomResourceDefinition.apiextensions.k8s.io":
		return ruling{verdict: DataAtRisk, reason: "every object of its kind is deleted with it, in all namespaces", loss: render.Deleted}
	case effects[kind] == nil:
		return ruling{verdict: DataAtRisk, reason: "the kind is not known here: what a controller keeps for it may be deleted with it", loss: render.Deleted}
	case copies(o):
		return ruling{verdict: DataAtRisk, reason: "the database is no longer copied", loss: render.Deleted}
	case slices.Contains(entrances, kind), o.Group == "cert-manager.io":
		return ruling{verdict: ExposureChanged, reason: "whoever came by it finds nothing there, or no certificate that is renewed"}
	}
	switch o.Kind {
	case "ResourceQuota":
		return isolates("nothing bounds any more what the namespace takes from others")
	case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
		return isolates("what it refused is admitted")
	case "Job", "PodMonitor", "ServiceMonitor", "PrometheusRule", "NetworkPolicy", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding":
		return ruling{reason: "nothing that runs is made of it"}
	case "CronJob":
		return ruling{reason: "it does not run again"}
	case "PodDisruptionBudget":
		return ruling{verdict: Interruption, reason: "a node that is drained may take all of its pods at once"}
	case "HorizontalPodAutoscaler":
		return ruling{verdict: Interruption, reason: "the number of pods no longer follows the load"}
	case "LimitRange":
		return ruling{verdict: Interruption, reason: "a pod without limits of its own is refused by the quota, or has none"}
	case "Deployment", "DaemonSet":
		return ruling{verdict: Interruption, reason: "its pods end, and nothing takes their place"}
	case "Service":
		return ruling{verdict: Interruption, reason: "whoever calls it finds nothing"}
	}
	return ruling{verdict: Interruption, reason: "what refers to it fails when it is next made"}
}

// renamed rules on an object that has another name: it is another object, which may let happen what the old one did not.
func renamed(before, after *object, fields []Field) ruling {
	worst, opens := removed(before), opened(before, after, fields)
	if come := added(after, false); come.verdict > worst.verdict {
		worst = come
	}
	switch {
	case opens != "" && worst.verdict < IsolationChanged:
		worst = isolates(opens)
	case worst.verdict > Replacement:
	case after.Kind == "Job":
		worst = ruling{reason: "it runs once more, under its new name"}
	default:
		worst = ruling{verdict: Replacement, reason: "it is deleted under the old name and made under the new one"}
	}
	worst.opens = opens
	return worst
}

// opened is what an object lets happen and the one that it takes the place of did not; empty for nothing.
func opened(before, after *object, fields []Field) string {
	if r := added(after, true); r.loss == render.Isolation {
		return r.reason
	}
	for i := range fields {
		for _, part := range parts(&fields[i]) {
			if r := meaning(before, after, &part); r.loss == render.Isolation {
				return r.reason
			}
		}
	}
	return ""
}

// copies tells whether an object makes or keeps the copies of a database.
func copies(o *object) bool {
	switch o.GroupKind().String() {
	case "ScheduledBackup.postgresql.cnpg.io", "ObjectStore.barmancloud.cnpg.io":
		return true
	case "CronJob.batch":
		return strings.Contains(o.name, "backup")
	}
	return false
}

// metadataRuling rules on labels, annotations and the like of an object.
func metadataRuling(o *object, at string, f *Field) ruling {
	section, key, _ := strings.Cut(strings.TrimPrefix(at, "metadata."), ".")
	kind := o.GroupKind().String()
	if section == "labels" || section == "annotations" { // Flux looks at both, whatever the case
		if name, flux := strings.CutPrefix(strings.ToLower(key), fluxed); flux {
			return fluxRuling(o, name, f)
		}
	}
	switch section {
	case "labels":
		switch {
		case o.Kind == "Namespace" && strings.HasPrefix(key, podSecurity):
			return podSecurityRuling(key, f)
		case key == render.TenantLabel:
			return isolates("it is the label by which everything tells tenants apart")
		case strings.HasPrefix(key, "rbac.authorization.k8s.io/aggregate-to-"):
			return isolates("what the role allows is added to a role of the cluster's own, wherever that is bound")
		case o.Group == "cert-manager.io" && !strings.HasPrefix(key, "app.kubernetes.io/"):
			return ruling{verdict: ExposureChanged, reason: "issuers choose by labels how a certificate is proved: it may not be renewed"}
		case o.Kind == "Service" && strings.HasPrefix(key, "service.kubernetes.io/"):
			return ruling{verdict: Interruption, reason: "it decides who carries what is sent to it, or whether anybody does"}
		case o.Kind == "Namespace":
			return ruling{verdict: Interruption, reason: "gateways and admission policies pick namespaces by labels, and may no longer pick this one"}
		}
		return ruling{reason: "nothing that runs is made of it"}
	case "annotations":
		switch {
		case strings.HasPrefix(key, render.SecretPrefix) && borrowed(o, key, f.After) != "":
			return isolates("it has a value of " + borrowed(o, key, f.After))
		case strings.HasPrefix(key, render.SecretPrefix):
			return ruling{verdict: Interruption, reason: "the value is another one: what still has the old one fails until it is made anew"}
		case strings.HasPrefix(key, "pulumi.com/"):
			return ruling{verdict: Interruption, reason: "it changes how deploying treats the object"}
		case key == "cnpg.io/podPatch":
			return isolates("it rewrites the database's pods, whatever their specification says")
		case key == "cnpg.io/skipWalArchiving", key == "cnpg.io/skipEmptyWalArchiveCheck":
			return ruling{verdict: DataAtRisk, reason: "it decides whether the log of what is committed is copied, or over which other copies", loss: render.Replaced}
		case key == render.StageAnnotation && f.Before != "":
			return restaged(o, f)
		case strings.HasPrefix(key, "container.apparmor.security.beta.kubernetes.io/"):
			return isolates("its pods are confined in another way")
		case key == "config.kubernetes.io/local-config":
			return isolates("it decides whether Flux applies the object at all")
		case o.Kind == "Namespace" && key == render.HostsAnnotation:
			return ruling{verdict: ExposureChanged, reason: "the tenant may claim other hosts"}
		case o.Kind == "Namespace" && key == render.SecretsAnnotation && !within(strings.Split(f.After, ","), strings.Split(f.Before, ",")):
			return isolates("the tenant may read other places of the secret store")
		case o.Kind == "Namespace" && key == render.PriorityAnnotation:
			return ruling{verdict: Interruption, reason: "pods of another priority are admitted, which take the place of others, or lose their own"}
		case o.Group == "postgresql.cnpg.io":
			return ruling{verdict: Interruption, reason: "the operator may act on it: it fences and hibernates databases by annotations"}
		case o.Kind == "ServiceAccount":
			return isolates("accounts of clouds are given to pods by annotations of their service account")
		case strings.Contains(key, "snippet"):
			return isolates("it is put into the configuration of the proxy, which serves other tenants too")
		case slices.Contains(entrances, kind), o.Kind == "Service", o.Group == "cert-manager.io":
			return ruling{verdict: ExposureChanged, reason: "whoever implements the entrance may act on it"}
		}
		return ruling{reason: "nothing that runs is made of it"}
	}
	switch gone := removed(o); {
	case gone.verdict == DataAtRisk:
		return ruling{verdict: DataAtRisk, reason: "owners and finalizers decide when an object is deleted", loss: render.Deleted}
	case gone.loss == render.Isolation, o.Kind == "NetworkPolicy":
		return isolates("it is deleted where its owner is not there, and bounds nothing any more")
	}
	return ruling{verdict: Replacement, reason: "owners and finalizers decide when an object is deleted"}
}

// fluxed begins the annotations and labels by which Flux treats an object apart from what its Kustomization says.
const fluxed = "kustomize.toolkit.fluxcd.io/"

// staged tells whether Flux delivers a unit, by two objects that every unit has.
func staged(u *unit) bool {
	if u == nil {
		return true
	}
	return slices.ContainsFunc([]*object{u.find("Namespace", u.name), u.find("NetworkPolicy", "default-deny")}, func(o *object) bool {
		return o != nil && value(o.tree, `metadata.annotations["`+render.StageAnnotation+`"]`) != nil
	})
}

// restaged rules on an object that Flux applies in another stage, or in none any more: it deletes what leaves a stage.
func restaged(o *object, f *Field) ruling {
	if f.After == "" && !staged(o.unit) {
		return ruling{reason: "Flux no longer delivers the unit, which is told of what delivered it"}
	}
	spared := value(o.tree, `metadata.annotations["`+fluxed+`prune"]`) == "disabled"
	switch o.Kind {
	case "LimitRange", "NetworkPolicy", "ResourceQuota", "Role", "RoleBinding", "ServiceAccount":
		return isolates("Flux deletes it with the stage that it leaves, and only the first stage may make it")
	}
	switch {
	case spared:
		return ruling{reason: "Flux applies it sooner or later than before, and does not delete it"}
	case render.HoldsData(o.GroupKind()):
		return ruling{verdict: DataAtRisk, reason: "Flux deletes it, with all that is in it, with the stage that it leaves", loss: render.Deleted}
	}
	return ruling{verdict: Replacement, reason: "Flux deletes it with the stage that it leaves, and makes it again in the other"}
}

// fluxRuling rules on an annotation, or a label, by which Flux treats an object apart.
func fluxRuling(o *object, key string, f *Field) ruling {
	data := render.HoldsData(o.GroupKind())
	switch {
	case key == "prune" && f.After == "disabled":
		return ruling{reason: "Flux leaves it where it is when golden no longer has it"}
	case key == "prune" && data:
		return ruling{verdict: DataAtRisk, reason: "Flux deletes it, with all that is in it, when golden no longer has it", loss: render.Deleted}
	case key == "force" && data:
		return ruling{verdict: DataAtRisk, reason: "Flux deletes it and makes it again, without its data, where a change is refused", loss: render.Replaced}
	case key == "prune", key == "force":
		return ruling{verdict: Replacement, reason: "it decides when Flux deletes the object"}
	}
	return isolates("it decides whether Flux applies what golden says: what is reviewed may not be what runs")
}

const podSecurity = "pod-security.kubernetes.io/"

// level is what Pod Security enforces in a namespace.
func level(namespace *object) string {
	metadata, _ := namespace.tree["metadata"].(map[string]any)
	labels, _ := metadata["labels"].(map[string]any)
	text, _ := labels[podSecurity+"enforce"].(string)
	return text
}

// podSecurityRuling rules on a label by which Pod Security works.
func podSecurityRuling(key string, f *Field) ruling {
	levels := []string{"privileged", "baseline", "restricted"}
	switch strings.TrimPrefix(key, podSecurity) {
	case "enforce":
		if slices.Index(levels, f.After) > slices.Index(levels, cmp.Or(f.Before, "privileged")) {
			return ruling{verdict: Interruption, reason: "pods that are not as confined are refused when they are next made"}
		}
		return isolates("Pod Security admits pods that it refused")
	case "enforce-version":
		if f.Before != "" && newer(f.After, f.Before) {
			return ruling{reason: "the standards of a newer version are held"}
		}
		return isolates("the standards of another version admit what those of this one refuse")
	}
	return ruling{reason: "it only warns"}
}

// newer tells whether a version such as v1.36 is newer than another one.
func newer(a, b string) bool {
	return len(a) > len(b) || len(a) == len(b) && a > b
}
