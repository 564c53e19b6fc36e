// Package crds installs the custom resources that tenants use in a control plane that has no operators.
//
// The definitions are the operators' own: they are read from the operators' modules, whose content is pinned
// by hash, and none is copied here.
package crds

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A source is the files of one module that hold definitions.
type source struct {
	module, version string
	sum             string // of the module's content, as in go.sum
	files           []string
}

// They are not in go.mod: as requirements they would bring in, and choose versions for, all that the operators
// are built from. A new version's sum is told by the error.
var sources = []source{
	{
		"github.com/cloudnative-pg/cloudnative-pg", "v1.30.0", "h1:fnhVq44xXx97MNiuvJsPrX1vSjYbgdyBK5MSGfdHdp0=",
		[]string{"config/crd/bases/*.yaml"},
	},
	{
		"github.com/cloudnative-pg/plugin-barman-cloud", "v0.13.0", "h1:dcEVsozSmdx5p2LbG1hbkWBvr6LXs1xpCsQiJWpo/ew=",
		[]string{"config/crd/bases/*.yaml"},
	},
	{
		"github.com/cert-manager/cert-manager", "v1.21.2", "h1:UWgoYM+KLNtRlqmoWOKjKBOBUPVHeepQ6/ac3ERJW68=",
		[]string{"deploy/crds/*.yaml"},
	},
	{
		"sigs.k8s.io/gateway-api", "v1.6.3", "h1:lKpJa5bGlraC/QeACvCpsHLdmO6y0iKfzVl6gzaFEYc=",
		[]string{"config/crd/standard/*.yaml"},
	},
	{
		"sigs.k8s.io/external-dns", "v0.20.0", "h1:rJ4Q5c32NStvI8J+u2nyM4bcKxZG4g1NLPL0p994U9M=",
		[]string{"config/crd/standard/*.yaml"},
	},
	{
		// Of its ten definitions those that say what is watched; the others, of Prometheus itself, are huge.
		"github.com/prometheus-operator/prometheus-operator", "v0.94.0", "h1:VxMKzqr8Xqw5/QInNT7a3B5XInPnHqE7SD2UIdwKpRM=",
		[]string{"example/prometheus-operator-crd/*monitors.yaml", "example/prometheus-operator-crd/*rules.yaml"},
	},
	{
		"github.com/envoyproxy/gateway", "v1.9.1", "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=",
		[]string{"charts/gateway-helm/charts/crds/crds/generated/*trafficpolicies.yaml"},
	},
	{
		"github.com/external-secrets/external-secrets", "v1.3.2", "h1:u2J8RjlHIeF0oZCqtl92adI/uZWUwOesJIDkfql6LqQ=",
		[]string{"config/crds/bases/external-secrets.io_externalsecrets.yaml"},
	},
	{
		// Of its six definitions those that a fleet pulls from, and what kustomize-controller watches besides.
		"github.com/fluxcd/source-controller", "v1.9.2", "h1:dPaSvA6Gd/YYsVCOALG8hq8ADA23fXK36yFzbj8tv/o=",
		[]string{"config/crd/bases/*_buckets.yaml", "config/crd/bases/*_gitrepositories.yaml", "config/crd/bases/*_ocirepositories.yaml"},
	},
	{
		"github.com/fluxcd/kustomize-controller", "v1.9.6", "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=",
		[]string{"config/crd/bases/*.yaml"},
	},
}

var resource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Load reads all definitions. It downloads the modules that are not in the module cache.
func Load(ctx context.Context) ([]*unstructured.Unstructured, error) {
	dirs, err := download(ctx)
	if err != nil {
		return nil, err
	}
	var definitions []*unstructured.Unstructured
	for _, s := range sources {
		for _, pattern := range s.files {
			paths, err := filepath.Glob(filepath.Join(dirs[s.module], pattern))
			if err != nil {
				return nil, err
			}
			if len(paths) == 0 {
				return nil, fmt.Errorf("%s@%s has no %s", s.module, s.version, pattern)
			}
			for _, path := range paths {
				found, err := read(path)
				if err != nil {
					return nil, fmt.Errorf("reading %s: %w", path, err)
				}
				definitions = append(definitions, found...)
			}
		}
	}
	return definitions, nil
}

// manager is the owner of the definitions that Install applies.
const manager = "tenantry-local"

// Install loads all definitions, applies them and returns when the API server serves them. One that somebody else
// has installed, such as an operator, stays as it is.
func Install(ctx context.Context, config *rest.Config) error {
	definitions, err := Load(ctx)
	if err != nil {
		return err
	}
	dynamic, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	client := dynamic.Resource(resource)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the definitions that are there: %w", err)
	}
	for _, d := range definitions {
		if slices.ContainsFunc(list.Items, func(there unstructured.Unstructured) bool {
			return there.GetName() == d.GetName() && !ours(there)
		}) {
			continue
		}
		data, err := d.MarshalJSON()
		if err != nil {
			return err
		}
		o := metav1.PatchOptions{FieldManager: manager, Force: new(true)}
		if _, err := client.Patch(ctx, d.GetName(), types.ApplyPatchType, data, o); err != nil {
			return fmt.Errorf("applying the definition %s: %w", d.GetName(), err)
		}
	}
	waiting := ""
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := client.List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, d := range list.Items {
			if ours(d) && !established(d) {
				waiting = d.GetName()
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for the definition %s: %w", waiting, err)
	}
	return nil
}

func ours(d unstructured.Unstructured) bool {
	return slices.ContainsFunc(d.GetManagedFields(), func(m metav1.ManagedFieldsEntry) bool { return m.Manager == manager })
}

func established(d unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(d.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == "Established" {
			return c["status"] == "True"
		}
	}
	return false
}

// download returns the directory of each module, by its path.
func download(ctx context.Context) (map[string]string, error) {
	args := []string{"mod", "download", "-json"}
	sums := map[string]string{}
	for _, s := range sources {
		args = append(args, s.module+"@"+s.version)
		sums[s.module] = s.sum
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = os.TempDir() // no go.mod has a say
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, runErr := cmd.Output() // errors are in the output
	dirs := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var m struct{ Path, Version, Dir, Sum, Error string }
		if err := d.Decode(&m); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading what go mod download says: %w", err)
		}
		if m.Error != "" {
			return nil, fmt.Errorf("downloading %s@%s: %s", m.Path, m.Version, m.Error)
		}
		if m.Sum != sums[m.Path] {
			return nil, fmt.Errorf("the content of %s@%s has the sum %s, not %s", m.Path, m.Version, m.Sum, sums[m.Path])
		}
		dirs[m.Path] = m.Dir
	}
	if runErr != nil {
		return nil, fmt.Errorf("downloading the operators' modules: %w", runErr)
	}
	return dirs, nil
}

// read returns the definitions of a file, which may hold other objects too.
func read(path string) ([]*unstructured.Unstructured, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var definitions []*unstructured.Unstructured
	for d := yaml.NewYAMLOrJSONDecoder(file, 4096); ; {
		u := &unstructured.Unstructured{}
		if err := d.Decode(u); errors.Is(err, io.EOF) {
			return definitions, nil
		} else if err != nil {
			return nil, err
		}
		if u.GetKind() == "CustomResourceDefinition" {
			definitions = append(definitions, u)
		}
	}
}
