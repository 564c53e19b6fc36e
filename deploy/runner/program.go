package runner

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

	"ValidatingAdmissionPolicy": phaseConfiguration, "ValidatingAdmissionPolicyBinding": phaseConfiguration,
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
	"GitRepository": phaseWorkload, "OCIRepository": phaseWorkload, "Kustomization": phaseWorkload,
}

// unawaited are the kinds that Pulumi waits for in vain: a Service without ready pods, an Ingress without
// a load balancer, a claim that waits for its first consumer.
var unawaited = map[string]bool{"Service": true, "Ingress": true, "PersistentVolumeClaim": true}

// holdsData tells whether the loss of an object of a Pulumi type, such as kubernetes:apps/v1:StatefulSet, is a
// loss of data.
func holdsData(token string) bool {
	group, kind := tokenKind(token)
	if group == "core" {
		group = ""
	}
	return render.HoldsData(schema.GroupKind{Group: group, Kind: kind})
}

// tokenKind is the group and the kind of kubernetes:<group>/<version>:<Kind>.
func tokenKind(token string) (group, kind string) {
	rest := strings.TrimPrefix(token, "kubernetes:")
	group, rest, _ = strings.Cut(rest, "/")
	_, kind, _ = strings.Cut(rest, ":")
	return group, kind
}

func phase(kind string) int {
	if phase, listed := phaseOf[kind]; listed {
		return phase
	}
	return phaseFoundation
}

// releaseName is the name of the ConfigMap that ends a unit.
const releaseName = "tenantry-release"

// program registers a unit's objects, as they are encoded, with Pulumi's Kubernetes provider. secrets are
// the values of its Secrets, by file name. An object is protected unless the fleet acknowledges its loss.
func program(unit render.Unit, fleet render.Fleet, secrets map[string]map[string]string) pulumi.RunFunc {
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
				pulumi.Protect(o.protect && !fleet.Acknowledges(o.name, render.Replaced, time.Now())),
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

// underPulumi is the program of the stack that Pulumi's own CLI chose: pulumi up -s prod.acme.
func underPulumi(golden string, fleets []render.Fleet) error {
	return pulumi.RunErr(func(ctx *pulumi.Context) error {
		all, err := reviewed(golden, fleets)
		if err != nil {
			return err
		}
		for _, fleet := range fleets {
			for _, unit := range all {
				if unit.Fleet != fleet.Name || ctx.Stack() != unit.Fleet+"."+unit.Name {
					continue
				}
				if pulled(unit.Delivery) {
					return fmt.Errorf("%s.%s is delivered by Flux, and nothing is pushed to it: merge the change", unit.Fleet, unit.Name)
				}
				fill, err := environment()
				if err != nil {
					return err
				}
				secrets, err := fill.fill(unit)
				if err != nil {
					return err
				}
				return program(unit, fleet, secrets[unit.Name])(ctx)
			}
		}
		return fmt.Errorf("there is no unit for the stack %s: its name is the fleet, a dot and the unit, such as prod.acme", ctx.Stack())
	})
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
	}, &provider, pulumi.Version(providerVersion.String()))
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
		token:  "kubernetes:" + group + "/" + gvk.Version + ":" + gvk.Kind,
		name:   strings.TrimPrefix(file.Object.GetNamespace()+"/", "/") + gvk.Kind + "/" + file.Object.GetName(),
		inputs: tree,
		phase:  phase(gvk.Kind),
		secret: gvk.Group == "" && gvk.Kind == "Secret",
	}
	o.protect = holdsData(o.token)
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
