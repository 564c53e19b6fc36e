package runner

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/tenantry/tenantry/render"
)

// deployed is the digest of every unit that the fleet's cluster has, by one list call. A unit whose last
// deploy did not end has none: the release is applied last.
func deployed(ctx context.Context, fleet string) (map[string]string, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: fleet}).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the context %s of the kubeconfig: %w", fleet, err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster of %s: %w", fleet, err)
	}
	list, err := client.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{LabelSelector: "tenantry.dev/release=true,app.kubernetes.io/part-of=" + fleet})
	if err != nil {
		return nil, fmt.Errorf("listing what is deployed to %s: %w", fleet, err)
	}
	digests := map[string]string{}
	for _, release := range list.Items {
		digests[release.Labels["app.kubernetes.io/instance"]] = release.Data["digest"]
	}
	return digests, nil
}

// digest is that of a unit as it is rendered.
func digest(u render.Unit) string {
	release, ok := u.Files[len(u.Files)-1].Object.(*corev1.ConfigMap)
	if !ok {
		panic("a unit ends with its release")
	}
	return release.Data["digest"]
}
