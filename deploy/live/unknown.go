package live

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/tools/pager"

	"github.com/tenantry/tenantry/render"
)

// The labels by which an object says to whom it belongs; render.TenantLabel is one more.
const (
	unitLabel    = "app.kubernetes.io/instance"
	fleetLabel   = "app.kubernetes.io/part-of"
	managerLabel = "app.kubernetes.io/managed-by"
)

// A key tells an object from all others of a cluster, whatever version it is served in.
type key struct {
	schema.GroupKind
	namespace, name string
}

// unknown tells the objects with the fleet's or a tenant's labels that no unit has.
func (c *Cluster) unknown(ctx context.Context, units, known []render.Unit) (Report, error) {
	found, err := c.labelled(ctx, selectors(c.fleet, units, known))
	if err != nil {
		return nil, err
	}
	golden := map[key]bool{}
	var claims []*regexp.Regexp
	for _, unit := range known {
		for _, file := range unit.Files {
			o := file.Object
			golden[key{o.GetObjectKind().GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}] = true
			if set, ok := o.(*appsv1.StatefulSet); ok {
				for _, template := range set.Spec.VolumeClaimTemplates {
					claims = append(claims, regexp.MustCompile(fmt.Sprintf(`^%s/%s-%s-[0-9]+$`, regexp.QuoteMeta(set.Namespace), regexp.QuoteMeta(template.Name), regexp.QuoteMeta(set.Name))))
				}
			}
		}
	}
	var report Report
	for k, o := range found {
		_, service := found[key{schema.GroupKind{Kind: "Service"}, k.namespace, k.name}]
		switch {
		case golden[k]:
		case len(o.OwnerReferences) > 0:
			// Made by a controller from an object that is known, or that is reported itself.
		case k.GroupKind == schema.GroupKind{Kind: "PersistentVolumeClaim"} && slices.ContainsFunc(claims, func(claim *regexp.Regexp) bool { return claim.MatchString(k.namespace + "/" + k.name) }):
			// Of a StatefulSet, which does not own its claims, so that they outlive it.
		case k.GroupKind == schema.GroupKind{Kind: "Endpoints"} && service:
			// A controller writes them, with the labels of their Service.
		default:
			d := Difference{Fleet: c.fleet, Unit: o.Labels[unitLabel], Object: id(k.Kind, o), What: Unknown, Time: o.CreationTimestamp.UTC()}
			if tenant := o.Labels[render.TenantLabel]; tenant != "" {
				d.Unit = tenant
			}
			for _, entry := range o.ManagedFields { // the oldest first
				if entry.Subresource == "" {
					d.Manager = entry.Manager
					break
				}
			}
			report = append(report, d)
		}
	}
	report.sort()
	return report, nil
}

// selectors pick every object of the fleet or of a tenant, none twice; where units are not all that is known, only theirs.
func selectors(fleet string, units, known []render.Unit) []string {
	tenant := render.TenantLabel
	rest := fmt.Sprintf("!%s,%s=%s,%s=%s", render.TenantLabel, managerLabel, manager, fleetLabel, fleet)
	if len(units) < len(known) {
		var names []string
		for _, unit := range units {
			names = append(names, unit.Name)
		}
		in := " in (" + strings.Join(names, ",") + ")"
		tenant += in
		rest += "," + unitLabel + in
	}
	return []string{tenant, rest}
}

// labelled lists the metadata of all objects that any of the selectors picks, of every kind whose objects can be
// listed and deleted: what cannot be deleted, such as a measurement, is nobody's object. A Node is left out: by
// the label it says which tenant it is kept for.
func (c *Cluster) labelled(ctx context.Context, selectors []string) (map[key]*metav1.PartialObjectMetadata, error) {
	served, err := c.discovery.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("asking which kinds the cluster of %s has: %w", c.fleet, err)
	}
	found := map[key]*metav1.PartialObjectMetadata{}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, served) {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("asking which kinds the cluster of %s has: %w", c.fleet, err)
		}
		for _, resource := range list.APIResources {
			kind := schema.GroupKind{Group: version.Group, Kind: resource.Kind}
			if kind == (schema.GroupKind{Kind: "Node"}) {
				continue
			}
			client := c.metadata.Resource(version.WithResource(resource.Name))
			pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return client.List(ctx, options)
			})
			for _, selector := range selectors {
				group.Go(func() error {
					err := pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: selector}, func(item runtime.Object) error {
						o := item.(*metav1.PartialObjectMetadata)
						mu.Lock()
						defer mu.Unlock()
						found[key{kind, o.Namespace, o.Name}] = o
						return nil
					})
					if err != nil {
						return fmt.Errorf("listing the %s of %s: %w", version.WithResource(resource.Name).GroupResource(), c.fleet, err)
					}
					return nil
				})
			}
		}
	}
	return found, group.Wait()
}
