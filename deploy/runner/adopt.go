package runner

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tenantry/tenantry/render"
)

// A getter returns the live object that a described one names; nil for none.
type getter func(context.Context, render.Object) (*unstructured.Unstructured, error)

// adopt adds to a state what a unit's program registers and the cluster has, but the state lacks, and takes from
// it the operations that never ended. What such an operation was about to create, and did, it adopts too, though
// golden/ may have gone on: up deletes it then.
//
// What is added has no outputs yet; a refresh must follow. What the state has besides stays as it is, what this
// code knows nothing of as well.
func adopt(ctx context.Context, broken string, unit render.Unit, run pulumi.RunFunc, get getter) (string, findings, error) {
	var found findings
	var state map[string]any
	decoder := json.NewDecoder(strings.NewReader(broken))
	decoder.UseNumber() // as it is, whatever its size
	if err := decoder.Decode(&state); err != nil {
		return "", found, fmt.Errorf("reading it: %w", err)
	}
	deployment, ok := state["deployment"].(map[string]any)
	if !ok {
		return "", found, errors.New("reading it: it has no deployment")
	}
	resources, _ := deployment["resources"].([]any)
	known := map[resource.URN]bool{}
	r := registry{provider: rand.Text()}
	for _, entry := range resources {
		entry, ok := entry.(map[string]any)
		if !ok {
			return "", found, errors.New("reading it: an entry is no resource")
		}
		urn, _ := entry["urn"].(string)
		known[resource.URN(urn)] = true
		if id, ok := entry["id"].(string); ok && entry["type"] == string(providerType) {
			r.provider = id
		}
		// It was deleted to be made anew, and either was or was not: the refresh sees to it.
		delete(entry, "pendingReplacement")
	}
	if err := pulumi.RunErr(run, pulumi.WithMocks(project, unit.Fleet+"."+unit.Name, &r)); err != nil {
		return "", found, err
	}
	var errs []error
	for _, entry := range r.entries {
		if known[entry.URN] {
			continue
		}
		if objectName(string(entry.URN)) != "" {
			lives, err := lives(ctx, get, unit, entry.Inputs)
			if err != nil {
				errs = append(errs, err)
			}
			if !lives {
				continue
			}
			found.adopted++
		}
		entry.Dependencies = slices.DeleteFunc(entry.Dependencies, func(urn resource.URN) bool { return !known[urn] })
		resources = append(resources, entry)
		known[entry.URN] = true
	}
	pending, _ := deployment["pending_operations"].([]any)
	found.pending = len(pending)
	for _, operation := range pending {
		operation, _ := operation.(map[string]any)
		entry, _ := operation["resource"].(map[string]any)
		inputs, ok := entry["inputs"].(map[string]any)
		urn, _ := entry["urn"].(string)
		if !ok || operation["type"] != string(apitype.OperationTypeCreating) || known[resource.URN(urn)] || objectName(urn) == "" {
			continue
		}
		if lives, err := lives(ctx, get, unit, inputs); err != nil || !lives {
			continue // somebody else's, then: it was never created
		}
		entry["id"] = idOf(inputs)
		resources = append(resources, entry)
		known[resource.URN(urn)] = true
		found.adopted++
	}
	if err := errors.Join(errs...); err != nil {
		return "", findings{}, err
	}
	deployment["resources"] = resources
	delete(deployment, "pending_operations")
	mended, err := json.Marshal(state)
	return string(mended), found, err
}

// lives tells whether the object that inputs describe is in the cluster as the unit's own. One of its name that
// is not is an error: it is not ours to change.
func lives(ctx context.Context, get getter, unit render.Unit, inputs map[string]any) (bool, error) {
	o := &unstructured.Unstructured{Object: inputs}
	name := strings.TrimPrefix(o.GetNamespace()+"/", "/") + o.GetKind() + "/" + o.GetName()
	found, err := get(ctx, o)
	if err != nil {
		return false, fmt.Errorf("looking for %s: %w", name, err)
	}
	if found == nil {
		return false, nil
	}
	labels := found.GetLabels()
	owner := labels["app.kubernetes.io/part-of"] + "." + labels["app.kubernetes.io/instance"]
	switch {
	case labels["app.kubernetes.io/managed-by"] == "tenantry" && owner == unit.Fleet+"."+unit.Name:
		if found.GetDeletionTimestamp() != nil {
			return false, fmt.Errorf("%s is being deleted: run recover again when it is gone", name)
		}
		return true, nil
	case o.GetKind() == "ServiceAccount" && o.GetName() == "default":
		return false, nil // Kubernetes makes one in every namespace, and up takes it over
	default:
		return false, fmt.Errorf("the cluster has %s, and its labels do not say that it is of %s.%s: if it is, label it as golden/ does, and rename either if it is not", name, unit.Fleet, unit.Name)
	}
}

// idOf is the ID that Pulumi's Kubernetes provider gives an object.
func idOf(inputs map[string]any) resource.ID {
	o := unstructured.Unstructured{Object: inputs}
	return resource.ID(strings.TrimPrefix(o.GetNamespace()+"/", "/") + o.GetName())
}

const providerType tokens.Type = "pulumi:providers:kubernetes"

// A registry is the engine's place taken: it writes down what a program registers, as the engine writes it into
// a state, each after what it depends on.
type registry struct {
	provider string // its ID
	mu       sync.Mutex
	entries  []apitype.ResourceV3
}

// NewResource is pulumi.MockResourceMonitor's.
func (r *registry) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	rpc := args.RegisterRPC
	stack := resource.URN(rpc.GetParent())
	entry := apitype.ResourceV3{
		URN:      resource.NewURN(stack.Stack(), stack.Project(), "", tokens.Type(args.TypeToken), args.Name),
		Type:     tokens.Type(args.TypeToken),
		Custom:   true,
		Parent:   stack,
		Provider: rpc.GetProvider(),
		Protect:  rpc.GetProtect(),
	}
	if version := rpc.GetVersion(); version != "" && entry.Type == providerType {
		args.Inputs["version"] = resource.NewProperty(version)
	}
	entry.Inputs, _ = plain(resource.NewProperty(args.Inputs)).(map[string]any)
	if entry.Type == providerType {
		entry.ID, entry.Outputs = resource.ID(r.provider), entry.Inputs
	} else {
		entry.ID = idOf(entry.Inputs)
	}
	for _, urn := range rpc.GetDependencies() {
		entry.Dependencies = append(entry.Dependencies, resource.URN(urn))
	}
	for _, key := range rpc.GetAdditionalSecretOutputs() {
		entry.AdditionalSecretOutputs = append(entry.AdditionalSecretOutputs, resource.PropertyKey(key))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) == 0 {
		r.entries = append(r.entries, apitype.ResourceV3{URN: stack, Type: resource.RootStackType})
	}
	r.entries = append(r.entries, entry)
	return string(entry.ID), args.Inputs, nil
}

// Call is pulumi.MockResourceMonitor's. Programs of units call nothing.
func (*registry) Call(args pulumi.MockCallArgs) (resource.PropertyMap, error) {
	return nil, fmt.Errorf("unexpected call of %s", args.Token)
}

// plain is a value as it stands in a state. Pulumi encrypts what is marked as secret before it writes it.
func plain(v resource.PropertyValue) any {
	switch {
	case v.IsSecret():
		text, err := json.Marshal(plain(v.SecretValue().Element))
		if err != nil {
			panic(fmt.Sprintf("a secret that came from JSON is none: %v", err))
		}
		return map[string]any{resource.SigKey: resource.SecretSig, "plaintext": string(text)}
	case v.IsObject():
		object := map[string]any{}
		for key, value := range v.ObjectValue() {
			object[string(key)] = plain(value)
		}
		return object
	case v.IsArray():
		array := []any{}
		for _, value := range v.ArrayValue() {
			array = append(array, plain(value))
		}
		return array
	default:
		return v.V // null, bool, number, string: golden files have no more
	}
}
