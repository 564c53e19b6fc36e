package live

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// theirs tells whether a field that golden has not is there because somebody does their work. It is told by the
// path alone: the name of a writer is what the writer says it is. So a path may only be here if it does no
// harm whoever wrote it, because it changes nothing by itself, or because its owner writes it again.
func theirs(kind schema.GroupKind, path string) bool {
	// .status is what was found, not what is wanted, and the next look of its controller writes it again. Flux notes
	// on each object which Kustomization brought it, and goes by its own inventory.
	return path == ".status" || path == `.metadata.labels["kustomize.toolkit.fluxcd.io/name"]` || path == `.metadata.labels["kustomize.toolkit.fluxcd.io/namespace"]` ||
		slices.Contains(kept[kind], path)
}

var kept = map[schema.GroupKind][]string{
	// The deployment controller counts the revisions, and writes the number again when it is another.
	{Group: "apps", Kind: "Deployment"}: {`.metadata.annotations["deployment.kubernetes.io/revision"]`},

	// A claim is bound by the controller manager to a volume that a provisioner makes where the scheduler said.
	// The API server refuses another volume from then on.
	{Kind: "PersistentVolumeClaim"}: {
		`.spec.volumeName`,
		`.metadata.annotations["pv.kubernetes.io/bind-completed"]`,
		`.metadata.annotations["pv.kubernetes.io/bound-by-controller"]`,
		`.metadata.annotations["volume.beta.kubernetes.io/storage-provisioner"]`,
		`.metadata.annotations["volume.kubernetes.io/selected-node"]`,
		`.metadata.annotations["volume.kubernetes.io/storage-provisioner"]`,
		`.metadata.finalizers["kubernetes.io/pvc-protection"]`,
	},
	// The other side of the same binding.
	{Kind: "PersistentVolume"}: {
		`.spec.claimRef`,
		`.metadata.annotations["pv.kubernetes.io/bound-by-controller"]`,
		`.metadata.finalizers["kubernetes.io/pv-protection"]`,
	},

	// What follows are finalizers: each holds up the deletion of an object until its operator has cleaned up
	// what it made of it. None changes what the object means.
	{Kind: "Service"}: {`.metadata.finalizers["service.kubernetes.io/load-balancer-cleanup"]`},
	{Group: "gateway.networking.k8s.io", Kind: "GatewayClass"}:    {`.metadata.finalizers["gateway-exists-finalizer.gateway.networking.k8s.io"]`},
	{Group: "external-secrets.io", Kind: "ExternalSecret"}:        {`.metadata.finalizers["externalsecrets.external-secrets.io/externalsecret-cleanup"]`},
	{Group: "postgresql.cnpg.io", Kind: "Database"}:               {`.metadata.finalizers["cnpg.io/deleteDatabase"]`},
	{Group: "postgresql.cnpg.io", Kind: "DatabaseRole"}:           {`.metadata.finalizers["cnpg.io/deleteRole"]`},
	{Group: "postgresql.cnpg.io", Kind: "Publication"}:            {`.metadata.finalizers["cnpg.io/deletePublication"]`},
	{Group: "kustomize.toolkit.fluxcd.io", Kind: "Kustomization"}: {`.metadata.finalizers["finalizers.fluxcd.io"]`},
	{Group: "source.toolkit.fluxcd.io", Kind: "GitRepository"}:    {`.metadata.finalizers["finalizers.fluxcd.io"]`},
	{Group: "source.toolkit.fluxcd.io", Kind: "OCIRepository"}:    {`.metadata.finalizers["finalizers.fluxcd.io"]`},
	{Group: "postgresql.cnpg.io", Kind: "Subscription"}:           {`.metadata.finalizers["cnpg.io/deleteSubscription"]`},
}
