// Package build builds programs from the nested modules of this checkout, once each, and keeps them in the
// user's cache directory.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A Program is built from a nested module.
type Program struct {
	dir    string // of the module, beside this package's unless it is absolute
	binary string
	embed  *embed
}

// An embed is a file that a program embeds as one of its own directory, and that stands in another module.
type embed struct{ name, module, path string }

var (
	// ControlPlane is etcd, kube-apiserver, kube-controller-manager and kube-scheduler; its first argument tells which.
	ControlPlane = Program{dir: "controlplane", binary: "controlplane"}
	// Kwok simulates nodes.
	Kwok = Program{dir: "kwok", binary: "kwok"}
	// Kubectl is Kubernetes' command.
	Kubectl = Program{dir: "kubectl", binary: "kubectl"}
	// KustomizeController is the part of Flux that applies what was fetched.
	KustomizeController = Program{dir: "kustomizecontroller", binary: "kustomize-controller"}
	// Pulumi is Pulumi's command.
	Pulumi = Program{dir: "pulumi", binary: "pulumi"}
	// Provider is Pulumi's Kubernetes provider. Pulumi takes it from PATH.
	Provider = Program{dir: "provider", binary: "pulumi-resource-kubernetes", embed: &embed{
		"schema.json", "github.com/pulumi/pulumi-kubernetes/provider/v4", "cmd/pulumi-resource-kubernetes/schema.json",
	}}
)

// unused is how long a program stays in the cache after its last start.
const unused = 30 * 24 * time.Hour

// Cache is the user's cache directory for all of this module.
func Cache() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(base, "tenantry")
	return dir, os.MkdirAll(dir, 0o700)
}

// Binary is the path of the program, which is built unless the cache has it. It is alone in its directory, under
// the name by which others look for it on PATH. The directory's name holds a digest of the module's files, of the
// Go toolchain and of the flags. Of any number of processes that ask at once, one builds and the others wait.
// progress is told what takes time.
func (p Program) Binary(ctx context.Context, progress io.Writer) (string, error) {
	cache, err := Cache()
	if err != nil {
		return "", err
	}
	return p.in(ctx, filepath.Join(cache, "bin"), progress)
}

func (p Program) in(ctx context.Context, cache string, progress io.Writer) (string, error) {
	source, err := p.source()
	if err != nil {
		return "", err
	}
	m, err := readModule(ctx, source)
	if err != nil {
		return "", err
	}
	digest, err := digestOf(ctx, source, m.linkFlags())
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, filepath.Base(source)+"-"+digest)
	binary := filepath.Join(dir, p.binary)
	if used(dir) {
		return binary, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	lock, err := lockFile(ctx, filepath.Join(cache, filepath.Base(source)+".lock"), func() {
		fmt.Fprintf(progress, "%s: waiting for the process that is building it\n", p.binary)
	})
	if err != nil {
		return "", fmt.Errorf("locking the build of %s: %w", p.binary, err)
	}
	defer func() { _ = lock.Close() }()
	if used(dir) {
		return binary, nil
	}
	if err := sweep(cache, filepath.Base(source)); err != nil {
		return "", err
	}
	temporary := dir + ".tmp"
	if err := p.compile(ctx, source, m, temporary, progress); err != nil {
		return "", errors.Join(fmt.Errorf("building %s: %w", p.binary, err), ctx.Err(), os.RemoveAll(temporary))
	}
	return binary, os.Rename(temporary, dir)
}

// source is the directory of the program's module. It is found beside this file: a checkout is needed, and a
// program that is built with -trimpath has lost it.
func (p Program) source() (string, error) {
	dir := p.dir
	if !filepath.IsAbs(dir) {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("finding the sources of %s in the checkout: %w", p.binary, err)
	}
	return dir, nil
}

// compile makes a directory with the binary.
func (p Program) compile(ctx context.Context, source string, m *module, dir string, progress io.Writer) error {
	fmt.Fprintf(progress, "%s: building it, which happens once and takes minutes\n", p.binary)
	begin := time.Now()
	defer every(time.Minute, func() {
		fmt.Fprintf(progress, "%s: still building, for %s now\n", p.binary, time.Since(begin).Round(time.Second))
	})()
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-ldflags=" + m.linkFlags(), "-o", filepath.Join(dir, p.binary)}
	if p.embed != nil {
		overlay := filepath.Join(dir, "overlay.json")
		if err := p.embed.write(ctx, source, overlay); err != nil {
			return err
		}
		defer func() { _ = os.Remove(overlay) }()
		args = append(args, "-overlay="+overlay)
	}
	if out, err := goCommand(ctx, source, append(args, m.main())...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(out))
	}
	fmt.Fprintf(progress, "%s: built in %s\n", p.binary, time.Since(begin).Round(time.Second))
	return nil
}

// every calls say at each interval until the function that it returns is called.
func every(interval time.Duration, say func()) (stop func()) {
	ticker, done, ended := time.NewTicker(interval), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ticker.C:
				say()
			case <-done:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(done)
		<-ended
	}
}

// write writes what go build -overlay reads.
func (e *embed) write(ctx context.Context, source, overlay string) error {
	out, err := goCommand(ctx, source, "mod", "download", "-json", e.module).Output()
	if err != nil {
		return fmt.Errorf("downloading %s: %w\n%s", e.module, err, out)
	}
	m, err := parse[struct{ Dir string }](out)
	if err != nil {
		return err
	}
	data, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(source, e.name): filepath.Join(m.Dir, filepath.FromSlash(e.path))},
	})
	if err != nil {
		return err
	}
	return os.WriteFile(overlay, data, 0o600)
}

// used tells whether the program is there, and notes that it was used now.
func used(dir string) bool {
	now := time.Now()
	return os.Chtimes(dir, now, now) == nil
}

// sweep removes what of a module nobody used for long, and what an interrupted build left.
func sweep(cache, name string) error {
	paths, err := filepath.Glob(filepath.Join(cache, name+"-*"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".tmp") || time.Since(info.ModTime()) > unused {
			if err := os.RemoveAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// A module is what a go.mod says.
type module struct {
	Require []struct{ Path, Version string }
	Tool    []struct{ Path string }
}

func readModule(ctx context.Context, source string) (*module, error) {
	out, err := goCommand(ctx, source, "mod", "edit", "-json").Output()
	if err != nil {
		return nil, fmt.Errorf("reading %s/go.mod: %w", source, err)
	}
	return parse[*module](out)
}

// main is the package that is built: the module's tool, or the module itself.
func (m *module) main() string {
	if len(m.Tool) > 0 {
		return m.Tool[0].Path
	}
	return "."
}

// version is that of a required module, or empty.
func (m *module) version(path string) string {
	for _, r := range m.Require {
		if r.Path == path {
			return r.Version
		}
	}
	return ""
}

// linkFlags strips the binary, and gives Kubernetes and Pulumi their versions, which clients parse.
func (m *module) linkFlags() string {
	flags := []string{"-s", "-w"}
	set := func(variable, value string) { flags = append(flags, "-X", variable+"="+value) }
	if v := m.version("k8s.io/kubernetes"); v != "" {
		part := strings.Split(strings.TrimPrefix(v, "v"), ".")
		set("k8s.io/component-base/version.gitVersion", v)
		set("k8s.io/component-base/version.gitMajor", part[0])
		set("k8s.io/component-base/version.gitMinor", part[1])
	}
	if v := m.version("github.com/pulumi/pulumi/sdk/v3"); v != "" {
		set("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", v)
	}
	return strings.Join(flags, " ")
}

func digestOf(ctx context.Context, source, flags string) (string, error) {
	toolchain, err := goCommand(ctx, source, "env", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED").Output()
	if err != nil {
		return "", fmt.Errorf("asking for the version of Go: %w", err)
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%s\n%s\n", toolchain, flags)
	err = fs.WalkDir(os.DirFS(source), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(source, path))
		if err != nil {
			return err
		}
		fmt.Fprintf(digest, "%s %d\n", path, len(data))
		digest.Write(data)
		return nil
	})
	return hex.EncodeToString(digest.Sum(nil))[:16], err
}

// goCommand runs go, which removes its temporary files when it is interrupted.
func goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return cmd
}

func parse[T any](data []byte) (v T, err error) {
	return v, json.Unmarshal(data, &v)
}
