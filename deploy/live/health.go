package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// A Complaint is about one workload that is not as it should be.
type Complaint struct {
	Unit    string
	Object  string // namespace/Kind/name
	Status  string // InProgress, Failed or Terminating
	Message string // such as "Available: 1/2"
}

func (c Complaint) String() string {
	return fmt.Sprintf("%s: %s: %s", c.Object, c.Status, c.Message)
}

// workloads are the kinds whose health is a unit's own. Certificates, routes and records are not among them: they
// wait for what a customer does with their DNS.
var workloads = []schema.GroupVersionKind{
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "apps", Version: "v1", Kind: "DaemonSet"},
	{Group: "batch", Version: "v1", Kind: "Job"},
	{Group: "postgresql.cnpg.io", Version: "v1", Kind: "Cluster"},
}

// Unhealthy tells which workloads of the named units have not arrived at what they were last told, or have
// failed; none of no unit. One list call for each kind asks for all units; a kind that the cluster has not has
// no workloads. That a workload is not there at all is what Drift tells.
func (c *Cluster) Unhealthy(ctx context.Context, units []string) ([]Complaint, error) {
	if len(units) == 0 {
		return nil, nil
	}
	selector := fmt.Sprintf("%s=%s,%s=%s,%s in (%s)", managerLabel, manager, fleetLabel, c.fleet, unitLabel, strings.Join(units, ","))
	var complaints []Complaint
	for _, kind := range workloads {
		mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("looking for the %s kind in the cluster of %s: %w", kind.Kind, c.fleet, err)
		}
		pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return c.dynamic.Resource(mapping.Resource).List(ctx, options)
		})
		err = pages.EachListItem(ctx, metav1.ListOptions{LabelSelector: selector}, func(item runtime.Object) error {
			o := item.(*unstructured.Unstructured)
			if slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.Kind == "CronJob" }) {
				return nil // a run may fail or take its time: alerts tell, and no rollout waits for it
			}
			result, err := health(o)
			if err != nil {
				return fmt.Errorf("%s: %w", id(kind.Kind, o), err)
			}
			if result.Status != status.CurrentStatus {
				complaints = append(complaints, Complaint{o.GetLabels()[unitLabel], id(kind.Kind, o), string(result.Status), result.Message})
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("looking at the %s objects of %s: %w", kind.Kind, c.fleet, err)
		}
	}
	return complaints, nil
}

// proof is the condition without which a workload is not as it should be, where kstatus does not ask for it: it
// takes a job that runs for one that is done, and a database that no operator has looked at for one that is ready.
var proof = map[string]string{"Job": string(batchv1.JobComplete), "Cluster": "Ready"}

// health is what kstatus makes of a workload, and the proof.
func health(o *unstructured.Unstructured) (*status.Result, error) {
	result, err := status.Compute(o)
	condition, wanted := proof[o.GetKind()]
	if err != nil || !wanted || result.Status != status.CurrentStatus {
		return result, err
	}
	found, err := status.GetObjectWithConditions(o.Object)
	if err != nil {
		return nil, err
	}
	for _, c := range found.Status.Conditions {
		if c.Type == condition && c.Status == corev1.ConditionTrue {
			return result, nil
		}
	}
	return &status.Result{Status: status.InProgressStatus, Message: condition + " is not true"}, nil
}
