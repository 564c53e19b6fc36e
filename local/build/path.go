package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
)

// oldestProvider is the release that Provider is built from.
var oldestProvider = version.MustParseSemantic("4.27.0")

// Path is the environment's PATH with, in front of it, what deploying needs and is not installed: Pulumi's
// command and its Kubernetes provider, which are then built. A command older than the one that would be built
// is not what is needed. A provider is installed if it is on PATH or among Pulumi's plugins.
func Path(ctx context.Context, progress io.Writer) (string, error) {
	var dirs []string
	installed, err := pulumiInstalled(ctx)
	if err != nil {
		return "", err
	}
	if !installed {
		binary, err := Pulumi.Binary(ctx, progress)
		if err != nil {
			return "", err
		}
		dirs = append(dirs, filepath.Dir(binary))
	}
	if _, err := exec.LookPath(Provider.binary); err != nil {
		binary, err := ProviderBinary(ctx, progress)
		if err != nil {
			return "", err
		}
		dirs = append(dirs, filepath.Dir(binary))
	}
	return strings.Join(append(dirs, os.Getenv("PATH")), string(filepath.ListSeparator)), nil
}

// ProviderBinary is the path of a Kubernetes provider: of the one that is installed, else of one that is built.
func ProviderBinary(ctx context.Context, progress io.Writer) (string, error) {
	if binary, err := exec.LookPath(Provider.binary); err == nil {
		return binary, nil
	}
	if dir, err := plugin(); err != nil || dir != "" {
		return filepath.Join(dir, Provider.binary), err
	}
	return Provider.Binary(ctx, progress)
}

// pulumiInstalled tells whether PATH has a command that is new enough.
func pulumiInstalled(ctx context.Context) (bool, error) {
	source, err := Pulumi.source()
	if err != nil {
		return false, err
	}
	m, err := readModule(ctx, source)
	if err != nil {
		return false, err
	}
	oldest, err := version.ParseSemantic(m.version("github.com/pulumi/pulumi/pkg/v3"))
	if err != nil {
		return false, fmt.Errorf("reading %s/go.mod: %w", source, err)
	}
	cmd := exec.CommandContext(ctx, Pulumi.binary, "version")
	cmd.Env = append(os.Environ(), "PULUMI_HOME="+os.DevNull, "PULUMI_SKIP_UPDATE_CHECK=true") // it would leave a log in the user's
	out, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking pulumi for its version: %w", err)
	}
	v, err := version.ParseSemantic(strings.TrimSpace(string(out)))
	return err == nil && v.AtLeast(oldest), nil // one that has no version is somebody's own build
}

// plugin is the directory of an installed provider, the newest, or empty.
func plugin() (string, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	const name = "resource-kubernetes-v"
	dirs, err := filepath.Glob(filepath.Join(cmp.Or(os.Getenv("PULUMI_HOME"), filepath.Join(home, ".pulumi")), "plugins", name+"*"))
	if err != nil {
		return "", err
	}
	newest, dir := oldestProvider, ""
	for _, d := range dirs {
		v, err := version.ParseSemantic(strings.TrimPrefix(filepath.Base(d), name))
		if err != nil {
			continue // a lock, or a download that is not complete
		}
		if _, err := exec.LookPath(filepath.Join(d, Provider.binary)); err == nil && v.AtLeast(newest) {
			newest, dir = v, d
		}
	}
	return dir, nil
}
