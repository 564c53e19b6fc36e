package verify

import (
	"path"
	"slices"
	"strings"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"

	"github.com/tenantry/tenantry/render"
)

const pruneAnnotation = "kustomize.toolkit.fluxcd.io/prune"

// stages are those that a tenant's unit is applied in; the fleet's own account applies the first.
var stages = []string{"bounds", "foundation", "workload"}

// orders are the annotations by which Flux, and the kustomize in it, are told what to do with an object, and what comes
// of them. Flux reads its own in labels too.
var orders = []struct{ key, message string }{
	{"config.kubernetes.io/local-config", "Flux leaves it out of what it applies, and deletes it where it is"},
	{"kustomize.toolkit.fluxcd.io/force", "what cannot be changed in place is deleted and made again, without its data"},
	{"kustomize.toolkit.fluxcd.io/reconcile", "Flux does not apply it"},
	{"kustomize.toolkit.fluxcd.io/ssa", "what Flux applies of it is not all that was reviewed"},
}

// boundKinds are those that keep a tenant in its bounds.
var boundKinds = []string{"LimitRange", "Namespace", "NetworkPolicy", "ResourceQuota", "Role", "RoleBinding", "ServiceAccount"}

// delivered holds what Flux is told to apply against whose it is.
func delivered(s *subject) []Finding {
	var findings []Finding
	tell := func(u *Unit, o Object, field, message, remedy string) {
		findings = append(findings, s.finding("identity/delivery", u.Name, o, field, message, remedy))
	}
	pulled := map[string]bool{} // units that a Kustomization applies
	for i := range s.Units {
		u := &s.Units[i]
		for _, o := range u.Objects {
			k, ok := o.Object.(*kustomizev1.Kustomization)
			switch {
			case !ok:
			case u.Name != render.PlatformUnit:
				tell(u, o, "kind", "it has Flux apply things from a tenant's namespace, with whatever rights Flux has", "take it out, and choose the tenant's Delivery")
			default:
				pulled[path.Base(k.Spec.Path)] = true
				s.reconciled(k, func(field, message, remedy string) { tell(u, o, field, message, remedy) })
			}
		}
	}
	for i := range s.Units {
		u := &s.Units[i]
		if !pulled[u.Name] {
			continue
		}
		for _, o := range u.Objects {
			gvk := o.GetObjectKind().GroupVersionKind()
			if render.HoldsData(gvk.GroupKind()) && o.GetAnnotations()[pruneAnnotation] != "disabled" {
				tell(u, o, "metadata.annotations", "Flux deletes it with its data when golden no longer has it", "set "+pruneAnnotation+" to disabled")
			}
			for _, order := range orders {
				_, label := o.GetLabels()[order.key]
				_, annotation := o.GetAnnotations()[order.key]
				if label {
					tell(u, o, "metadata.labels", order.message, "take out "+order.key)
				}
				if annotation {
					tell(u, o, "metadata.annotations", order.message, "take out "+order.key)
				}
			}
			switch stage := o.GetAnnotations()[render.StageAnnotation]; {
			case u.Name == render.PlatformUnit:
			case !slices.Contains(stages, stage):
				tell(u, o, "metadata.annotations", "Flux never applies it: its stage is "+`"`+stage+`"`, "set "+render.StageAnnotation+" to one of "+strings.Join(stages, ", "))
			case stage == stages[0] && !slices.Contains(boundKinds, gvk.Kind):
				tell(u, o, "metadata.annotations", "the fleet's own account applies it, which may change everything", "leave to the stage "+stage+" what bounds the tenant")
			case stage != stages[0] && slices.Contains(boundKinds, gvk.Kind):
				tell(u, o, "metadata.annotations", "the stage "+stages[0]+" drops it, and the tenant's own account, which applies the stage "+stage+", may not change what bounds the tenant",
					"set "+render.StageAnnotation+" to "+stages[0])
			}
		}
	}
	return findings
}

// reconciled looks at one Kustomization of the platform.
func (s *subject) reconciled(k *kustomizev1.Kustomization, tell func(field, message, remedy string)) {
	spec := &k.Spec
	unit := path.Base(spec.Path)
	own, only := unit+".deployer", ""
	for i, p := range spec.Patches {
		if p.Target == nil || !strings.Contains(p.Patch, "\n$patch: delete\n") {
			tell("spec.patches", "what is applied is not what was reviewed", "leave nothing but patches that delete")
		} else if i == 0 && len(spec.Patches) == 1 {
			only, _ = strings.CutPrefix(p.Target.AnnotationSelector, render.StageAnnotation+"!=")
		}
	}
	if spec.PostBuild != nil || spec.CommonMetadata != nil || spec.TargetNamespace != "" || spec.NamePrefix+spec.NameSuffix != "" || len(spec.Images)+len(spec.Components) > 0 {
		tell("spec", "what is applied is not what was reviewed", "leave out what changes objects on their way")
	}
	switch account := spec.ServiceAccountName; {
	case unit != render.PlatformUnit && !slices.ContainsFunc(s.Facts.Grants, func(g Grant) bool { return g.Namespace == unit && g.Home != "" }):
		tell("spec.path", unit+" is no tenant that Flux is to deliver", "apply what the fleet's values say")
	case account == "":
		tell("spec.serviceAccountName", "Flux applies it with its own rights", "name an account")
	case unit == render.PlatformUnit && account != "fleet", unit != render.PlatformUnit && account != own && (account != "fleet" || only != stages[0]):
		tell("spec.serviceAccountName", account+" applies what is "+unit+"'s", "let "+own+" apply all but the bounds, and fleet the bounds and the platform")
	}
	if spec.Force {
		tell("spec.force", "what cannot be changed in place is deleted and made again, without its data", "take it out")
	}
	if spec.DeletionPolicy != kustomizev1.DeletionPolicyOrphan {
		tell("spec.deletionPolicy", "whoever deletes it deletes all that it has applied", "make it Orphan")
	}
	if spec.SourceRef.Namespace != "" && spec.SourceRef.Namespace != k.Namespace {
		tell("spec.sourceRef.namespace", "others say what is applied", "refer to the platform's own source")
	}
	if spec.KubeConfig != nil {
		tell("spec.kubeConfig", "it is applied to another cluster", "take it out")
	}
}
