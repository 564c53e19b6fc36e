package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// TestFailures makes the components of one control plane fail, each step after the one before it.
func TestFailures(t *testing.T) {
	c, err := Start(t.Context(), Options{Contexts: []string{"staging"}, Progress: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		// A paused component does not see that it should end, and is made to: it ends by itself, not because
		// Close loses patience and kills it.
		if err := c.Pause(Etcd); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if state := c.processes[Etcd].cmd.ProcessState; !state.Exited() {
			t.Errorf("etcd: %s", state)
		}
	}()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	// ask reads the object of all steps, or creates another one.
	ask := func(create string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if create == "" {
			_, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{})
			return err
		}
		o := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: create}}
		_, err := client.CoreV1().ConfigMaps("default").Create(ctx, o, metav1.CreateOptions{})
		return err
	}
	answers := func(t *testing.T) {
		t.Helper()
		var last error
		err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			last = ask("")
			return last == nil, nil
		})
		if err != nil {
			t.Fatalf("%v: %v", err, last)
		}
	}
	if err := ask("kept"); err != nil {
		t.Fatal(err)
	}
	t.Run("nodes are heard of again and again", func(t *testing.T) {
		// Who is not heard of for 50 seconds is not ready, and its pods are not.
		after := time.Now()
		err := wait.PollUntilContextTimeout(t.Context(), 500*time.Millisecond, 40*time.Second, true, func(ctx context.Context) (bool, error) {
			nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			if err != nil {
				return false, err
			}
			for _, n := range nodes.Items {
				for _, c := range n.Status.Conditions {
					if c.Type == corev1.NodeReady && !c.LastHeartbeatTime.After(after) {
						return false, nil
					}
				}
			}
			return true, nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	for _, component := range []Component{APIServer, Etcd, Kwok} {
		t.Run(string(component)+" stops and starts again", func(t *testing.T) {
			if err := c.Stop(component); err != nil {
				t.Fatal(err)
			}
			if err := ask(""); err == nil && component != Kwok {
				t.Error("there is an answer")
			}
			if err := c.Restart(t.Context(), component); err != nil {
				t.Fatal(err)
			}
			answers(t)
		})
	}
	t.Run("one that runs starts again", func(t *testing.T) {
		if err := c.Restart(t.Context(), Etcd); err != nil {
			t.Fatal(err)
		}
		answers(t)
	})
	t.Run("etcd stands still and goes on", func(t *testing.T) {
		if err := c.Pause(Etcd); err != nil {
			t.Fatal(err)
		}
		// A signal takes effect when the kernel gets to it: for a moment there are answers still.
		asked := 0
		err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
			asked++
			return ask(fmt.Sprintf("paused-%d", asked)) != nil, nil
		})
		if err != nil {
			t.Errorf("there are answers: %v", err)
		}
		if err := c.Resume(Etcd); err != nil {
			t.Fatal(err)
		}
		answers(t)
	})
	t.Run("an expired credential", func(t *testing.T) {
		path, err := c.ExpiredKubeconfig()
		if err != nil {
			t.Fatal(err)
		}
		for path, expired := range map[string]bool{path: true, c.Kubeconfig(): false} {
			rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: path}
			overrides := &clientcmd.ConfigOverrides{CurrentContext: "staging"}
			config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
			if err != nil {
				t.Fatal(err)
			}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			_, err = client.CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{})
			if errors.IsUnauthorized(err) != expired || !expired && err != nil {
				t.Errorf("expired %t: %v", expired, err)
			}
		}
	})
	t.Run("a component that is none", func(t *testing.T) {
		if err := c.Restart(t.Context(), "kubelet"); err == nil || !strings.Contains(err.Error(), `"kubelet"`) {
			t.Error(err)
		}
	})
	t.Run("only what ends by itself is dead", func(t *testing.T) {
		select {
		case <-c.Dead():
			t.Fatalf("dead, though only stopped: %v", c.Err())
		default:
		}
		if err := c.processes[Scheduler].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-c.Dead():
		case <-time.After(time.Minute):
			t.Fatal("it died and nobody tells")
		}
		if !strings.Contains(c.Err().Error(), string(Scheduler)) {
			t.Error(c.Err())
		}
	})
}
