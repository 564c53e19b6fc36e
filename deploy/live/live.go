// Package live looks at what a fleet's cluster has: which units are deployed, and what has become of their
// objects.
package live

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tenantry/tenantry/render"
)

// A Cluster is the one that a fleet is applied to.
type Cluster struct {
	fleet     string
	client    kubernetes.Interface
	dynamic   dynamic.Interface
	metadata  metadata.Interface
	discovery discovery.CachedDiscoveryInterface
	mapper    meta.ResettableRESTMapper
}

// Config reads the kubeconfig's context that is named after the fleet.
func Config(fleet string) (*rest.Config, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.WarnIfAllMissing = false
	var files, absent []string
	for _, file := range rules.Precedence {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			absent = append(absent, file)
		} else {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("there is no kubeconfig %s: have KUBECONFIG name one that has a context %s", strings.Join(absent, ", "), fleet)
	}
	kubeconfig := "the kubeconfig " + strings.Join(files, ", ")
	if len(absent) > 0 {
		kubeconfig += " (there is no " + strings.Join(absent, ", ") + ")"
	}
	read, err := rules.Load()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", kubeconfig, err)
	}
	if read.Contexts[fleet] == nil {
		contexts := slices.Sorted(maps.Keys(read.Contexts))
		if len(contexts) == 0 {
			return nil, fmt.Errorf("%s has no context at all: have KUBECONFIG name one that has a context %s", kubeconfig, fleet)
		}
		return nil, fmt.Errorf("%s has no context %s, but %s: if one of these is the fleet's cluster, name it so with kubectl config rename-context NAME %[2]s", kubeconfig, fleet, strings.Join(contexts, ", "))
	}
	config, err := clientcmd.NewNonInteractiveClientConfig(*read, fleet, &clientcmd.ConfigOverrides{}, rules).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the context %s of %s: %w", fleet, kubeconfig, err)
	}
	return config, nil
}

// Open finds the cluster by the kubeconfig. It asks nothing of the cluster yet.
func Open(fleet string) (*Cluster, error) {
	config, err := Config(fleet)
	if err != nil {
		return nil, err
	}
	config.QPS = -1                           // the server's own fairness is the limit
	config.WarningHandler = rest.NoWarnings{} // of kinds that are looked at because they are there
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster of %s: %w", fleet, err)
	}
	dynamic, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster of %s: %w", fleet, err)
	}
	metadata, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster of %s: %w", fleet, err)
	}
	cached := memory.NewMemCacheClient(client.Discovery())
	return &Cluster{
		fleet: fleet, client: client, dynamic: dynamic, metadata: metadata,
		discovery: cached, mapper: restmapper.NewDeferredDiscoveryRESTMapper(cached),
	}, nil
}

// changing is the annotation of a release while its unit is changed.
const changing = "tenantry.dev/changing"

// Changing is what stands for the digest of a unit that is being changed, or of which a change did not end.
const Changing = "changing"

// Deployed is the digest of every unit that the cluster has, by one list call. A unit whose first deploy did not end
// has none: the release is applied last.
func (c *Cluster) Deployed(ctx context.Context) (map[string]string, error) {
	list, err := c.client.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{LabelSelector: "tenantry.dev/release=true,app.kubernetes.io/part-of=" + c.fleet})
	if err != nil {
		return nil, fmt.Errorf("listing what is deployed to %s: %w", c.fleet, err)
	}
	digests := map[string]string{}
	for _, release := range list.Items {
		unit := release.Labels["app.kubernetes.io/instance"]
		digests[unit] = release.Data["digest"]
		if release.Annotations[changing] != "" {
			digests[unit] = Changing
		}
	}
	return digests, nil
}

// Change notes at a unit's release that the unit is being changed, or no longer is. Else a change that fails and is
// then taken back would be taken for what was deployed before it.
func (c *Cluster) Change(ctx context.Context, unit render.Unit, begin bool) error {
	i := slices.IndexFunc(unit.Files, func(f render.File) bool { return f.Object.GetLabels()["tenantry.dev/release"] != "" })
	if i < 0 {
		return fmt.Errorf("%s.%s has no release", unit.Fleet, unit.Name)
	}
	value := "null"
	if begin {
		value = `"true"`
	}
	release := unit.Files[i].Object
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%s}}}`, changing, value)
	_, err := c.client.CoreV1().ConfigMaps(release.GetNamespace()).Patch(ctx, release.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "tenantry-changing"})
	if err != nil {
		return fmt.Errorf("noting at the release of %s.%s that it changes: %w", unit.Fleet, unit.Name, err)
	}
	return nil
}

// Get returns the live object that a golden one describes; nil when there is none, or not even its kind.
func (c *Cluster) Get(ctx context.Context, o render.Object) (*unstructured.Unstructured, error) {
	resource, err := c.resource(o)
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := resource.Get(ctx, o.GetName(), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return found, err
}

// resource is where objects of the kind and namespace are served.
func (c *Cluster) resource(o render.Object) (dynamic.ResourceInterface, error) {
	kind := o.GetObjectKind().GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		return c.dynamic.Resource(mapping.Resource).Namespace(o.GetNamespace()), nil
	}
	return c.dynamic.Resource(mapping.Resource), nil
}
