package runner

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"sigs.k8s.io/yaml"

	"github.com/tenantry/tenantry/render"
)

// phases order the registration: a resource waits for all of the phase before its own. A kind that is not
// listed is of phase workloads' foundation: databases, caches, Services.
const (
	phaseNamespace = iota
	phaseConfiguration
	phaseFoundation
	phaseJob
	phaseWorkload
	phaseRelease
)

var phaseOf = map[string]int{
	"Namespace": phaseNamespace, "CustomResourceDefinition": phaseNamespace,

	"PriorityClass": phaseConfiguration, "RuntimeClass": phaseConfiguration, "StorageClass": phaseConfiguration, "GatewayClass": phaseConfiguration,
	"ResourceQuota": phaseConfiguration, "LimitRange": phaseConfiguration, "NetworkPolicy": phaseConfiguration,
	"ServiceAccount": phaseConfiguration, "ClusterRole": phaseConfiguration, "ClusterRoleBinding": phaseConfiguration, "Role": phaseConfiguration, "RoleBinding": phaseConfiguration,
	"ExternalSecret": phaseConfiguration, "Secret": phaseConfiguration, "ConfigMap": phaseConfiguration,
	"ClusterIssuer": phaseConfiguration, "Issuer": phaseConfiguration, "Certificate": phaseConfiguration,
	"PersistentVolume": phaseConfiguration, "PersistentVolumeClaim": phaseConfiguration,

	"Job": phaseJob,

	"Deployment": phaseWorkload, "DaemonSet": phaseWorkload, "CronJob": phaseWorkload, "HorizontalPodAutoscaler": phaseWorkload, "PodDisruptionBudget": phaseWorkload,
	"Gateway": phaseWorkload, "ListenerSet": phaseWorkload, "HTTPRoute": phaseWorkload, "BackendTrafficPolicy": phaseWorkload, "Ingress": phaseWorkload, "DNSEndpoint": phaseWorkload,
	"PodMonitor": phaseWorkload, "ServiceMonitor": phaseWorkload, "PrometheusRule": phaseWorkload,
}

// stateful are the kinds whose loss is the loss of data. Pulumi protects them: it neither replaces nor
// deletes one.
var stateful = map[string]bool{
	"Namespace": true, "PersistentVolume": true, "PersistentVolumeClaim": true, "StatefulSet": true, "postgresql.cnpg.io/Cluster": true, "postgresql.cnpg.io/Database": true,
}

// unawaited are the kinds that Pulumi waits for in vain: a Service without ready pods, an Ingress without
// a load balancer, a claim that waits for its first consumer.
var unawaited = map[string]bool{"Service": true, "Ingress": true, "PersistentVolumeClaim": true}

// program registers a unit's objects, as they are encoded, with Pulumi's Kubernetes provider. secrets are
// the values of its Secrets, by file name.
func program(unit render.Unit, secrets map[string]map[string]string) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		provider, err := newProvider(ctx, unit.Fleet)
		if err != nil {
			return err
		}
		phases := make([][]pulumi.Resource, phaseRelease+1)
		for _, file := range unit.Files {
			o, err := objectOf(file, secrets[file.Name])
			if err != nil {
				return fmt.Errorf("registering %s/%s/%s: %w", unit.Fleet, unit.Name, file.Name, err)
			}
			opts := []pulumi.ResourceOption{
				pulumi.Provider(provider),
				pulumi.Protect(o.protect),
				pulumi.DependsOn(before(phases, o.phase)),
			}
			if o.secret {
				opts = append(opts, pulumi.AdditionalSecretOutputs([]string{"data", "stringData"}))
			}
			var resource pulumi.CustomResourceState
			if err := ctx.RegisterResource(o.token, o.name, o.inputs, &resource, opts...); err != nil {
				return fmt.Errorf("registering %s/%s/%s: %w", unit.Fleet, unit.Name, file.Name, err)
			}
			phases[o.phase] = append(phases[o.phase], &resource)
		}
		return nil
	}
}

// before is all of the nearest phase before one that has any resource.
func before(phases [][]pulumi.Resource, phase int) []pulumi.Resource {
	for i := phase - 1; i >= 0; i-- {
		if len(phases[i]) > 0 {
			return slices.Clone(phases[i])
		}
	}
	return nil
}

// newProvider is the one provider of a stack, for the context that has the fleet's name. The cluster's identifier is constant, so that a change of
// the kubeconfig replaces nothing, and ConfigMaps and Secrets are changed in place.
func newProvider(ctx *pulumi.Context, fleet string) (pulumi.ProviderResource, error) {
	var provider pulumi.ProviderResourceState
	err := ctx.RegisterResource("pulumi:providers:kubernetes", "cluster", inputs{
		"context":                fleet,
		"clusterIdentifier":      "tenantry",
		"enableConfigMapMutable": true,
		"enableSecretMutable":    true,
		"enableServerSideApply":  true,
		"deleteUnreachable":      false,
		"skipUpdateUnreachable":  false,
	}, &provider)
	if err != nil {
		return nil, fmt.Errorf("registering the provider: %w", err)
	}
	return &provider, nil
}

// inputs are a resource's properties as they are, without a type for each kind.
type inputs map[string]any

// ElementType makes inputs a pulumi.Input.
func (inputs) ElementType() reflect.Type { return reflect.TypeFor[map[string]any]() }

// An object is one golden file as Pulumi takes it.
type object struct {
	token   string // kubernetes:<group>/<version>:<Kind>
	name    string // <namespace>/<kind>/<name>, which must never change for a live object
	inputs  inputs
	phase   int
	protect bool
	secret  bool
}

// objectOf reads a file's bytes, not its typed object: what is applied is what was reviewed.
func objectOf(file render.File, secret map[string]string) (object, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(file.YAML, &tree); err != nil {
		return object{}, err
	}
	gvk := file.Object.GetObjectKind().GroupVersionKind()
	group := gvk.Group
	if group == "" {
		group = "core"
	}
	o := object{
		token:   "kubernetes:" + group + "/" + gvk.Version + ":" + gvk.Kind,
		name:    strings.TrimPrefix(file.Object.GetNamespace()+"/", "/") + gvk.Kind + "/" + file.Object.GetName(),
		inputs:  tree,
		phase:   phaseFoundation,
		protect: stateful[gvk.Kind] && (gvk.Group == "" || gvk.Group == "apps") || stateful[gvk.Group+"/"+gvk.Kind],
		secret:  gvk.Group == "" && gvk.Kind == "Secret",
	}
	if phase, listed := phaseOf[gvk.Kind]; listed {
		o.phase = phase
	}
	if file.Object.GetLabels()["tenantry.dev/release"] != "" {
		o.phase = phaseRelease
	}
	meta, ok := tree["metadata"].(map[string]any)
	if !ok {
		return object{}, errors.New("has no metadata")
	}
	annotations := map[string]any{"pulumi.com/patchFieldManager": "tenantry"}
	if unawaited[gvk.Kind] {
		annotations["pulumi.com/skipAwait"] = "true"
	}
	if own, ok := meta["annotations"].(map[string]any); ok {
		maps.Copy(annotations, own)
	}
	meta["annotations"] = annotations
	if len(secret) > 0 {
		values := map[string]any{}
		for key, value := range secret {
			values[key] = pulumi.ToSecret(pulumi.String(value))
		}
		tree["stringData"] = values
	}
	return o, nil
}
