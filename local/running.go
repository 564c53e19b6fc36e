package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/tenantry/tenantry/render"
)

// A workload is a row of the table.
type workload struct {
	unit, name  string
	ready, want int32
	images      []string
}

// printRunning prints the workloads of the units, as the cluster has them.
func printRunning(ctx context.Context, config *rest.Config, units []render.Unit, stdout io.Writer) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "UNIT\tWORKLOAD\tREADY\tIMAGE")
	for _, u := range units {
		all, err := workloads(ctx, client, u)
		if err != nil {
			return fmt.Errorf("listing what runs of %s: %w", u.Name, err)
		}
		for _, w := range all {
			fmt.Fprintf(table, "%s\t%s\t%d/%d\t%s\n", w.unit, w.name, w.ready, w.want, strings.Join(w.images, ", "))
		}
	}
	return table.Flush()
}

func workloads(ctx context.Context, client kubernetes.Interface, u render.Unit) ([]workload, error) {
	var all []workload
	add := func(kind string, o metav1.Object, ready, want int32, pod corev1.PodSpec) {
		w := workload{unit: u.Name, name: kind + "/" + o.GetName(), ready: ready, want: want}
		for _, c := range pod.Containers {
			w.images = append(w.images, c.Image)
		}
		all = append(all, w)
	}
	of := metav1.ListOptions{LabelSelector: "app.kubernetes.io/part-of=" + u.Fleet + ",app.kubernetes.io/instance=" + u.Name}
	deployments, err := client.AppsV1().Deployments("").List(ctx, of)
	if err != nil {
		return nil, err
	}
	for _, d := range deployments.Items {
		add("Deployment", &d, d.Status.ReadyReplicas, *d.Spec.Replicas, d.Spec.Template.Spec)
	}
	sets, err := client.AppsV1().StatefulSets("").List(ctx, of)
	if err != nil {
		return nil, err
	}
	for _, s := range sets.Items {
		add("StatefulSet", &s, s.Status.ReadyReplicas, *s.Spec.Replicas, s.Spec.Template.Spec)
	}
	jobs, err := client.BatchV1().Jobs("").List(ctx, of)
	if err != nil {
		return nil, err
	}
	for _, j := range jobs.Items {
		if metav1.GetControllerOf(&j) == nil { // else it is one of a cron job's many
			add("Job", &j, j.Status.Succeeded, *j.Spec.Completions, j.Spec.Template.Spec)
		}
	}
	slices.SortFunc(all, func(a, b workload) int { return cmp.Compare(a.name, b.name) })
	return all, nil
}
