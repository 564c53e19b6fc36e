package cluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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

// unused is how long a binary stays in the cache after its last start.
const unused = 30 * 24 * time.Hour

// Build builds what Start needs and the cache does not have.
func Build(ctx context.Context, progress io.Writer) error {
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	_, err = buildAll(ctx, cache, progress)
	return err
}

// buildAll returns the path of each binary.
func buildAll(ctx context.Context, cache string, progress io.Writer) (map[string]string, error) {
	binaries := map[string]string{}
	for _, name := range []string{"controlplane", "kwok"} {
		dir, err := source(name)
		if err != nil {
			return nil, err
		}
		if binaries[name], err = build(ctx, dir, cache, progress); err != nil {
			return nil, err
		}
	}
	return binaries, nil
}

// source is the directory of the nested module that a component is built from. It is found beside this file:
// a checkout is needed, and a program that is built with -trimpath has lost it.
func source(name string) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Join(filepath.Dir(file), "..", name)
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		return "", fmt.Errorf("finding the sources of %s in the checkout: %w", name, err)
	}
	return dir, nil
}

// build returns the path of the binary of the module in dir, which it builds unless the cache has it. The name
// in the cache holds a digest of the module's files, of the Go toolchain and of the flags. Of any number of
// processes that ask at once, one builds and the others wait.
func build(ctx context.Context, dir, cache string, progress io.Writer) (string, error) {
	name := filepath.Base(dir)
	flags, err := linkFlags(ctx, dir)
	if err != nil {
		return "", err
	}
	digest, err := digestOf(ctx, dir, flags)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(cache, name+"-"+digest)
	if used(binary) {
		return binary, nil
	}
	lock, err := lockFile(ctx, filepath.Join(cache, name+".lock"), func() {
		fmt.Fprintf(progress, "%s: waiting for the process that is building it\n", name)
	})
	if err != nil {
		return "", fmt.Errorf("locking the build of %s: %w", name, err)
	}
	defer func() { _ = lock.Close() }()
	if used(binary) {
		return binary, nil
	}
	if err := sweep(cache, name); err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "%s: building it, which happens once and takes minutes\n", name)
	begin := time.Now()
	temporary := binary + ".tmp"
	cmd := exec.CommandContext(ctx, "go", "build", "-C", dir, "-trimpath", "-ldflags="+flags, "-o", temporary, ".")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.Join(fmt.Errorf("building %s: %w\n%s", name, err, bytes.TrimSpace(out)), ctx.Err())
	}
	if err := os.Rename(temporary, binary); err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "%s: built in %s\n", name, time.Since(begin).Round(time.Second))
	return binary, nil
}

// used tells whether the binary is there, and notes that it was used now.
func used(binary string) bool {
	now := time.Now()
	return os.Chtimes(binary, now, now) == nil
}

// sweep removes a program's binaries that nobody used for long, and what an interrupted build left.
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
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkFlags strips the binary and gives Kubernetes its version, which clients parse.
func linkFlags(ctx context.Context, dir string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("reading %s/go.mod: %w", dir, err)
	}
	mod, err := parse[struct {
		Require []struct{ Path, Version string }
	}](out)
	if err != nil {
		return "", err
	}
	flags := []string{"-s", "-w"}
	for _, r := range mod.Require {
		if r.Path != "k8s.io/kubernetes" {
			continue
		}
		part := strings.Split(strings.TrimPrefix(r.Version, "v"), ".")
		for _, v := range [][2]string{{"gitVersion", r.Version}, {"gitMajor", part[0]}, {"gitMinor", part[1]}} {
			flags = append(flags, "-X", "k8s.io/component-base/version."+v[0]+"="+v[1])
		}
	}
	return strings.Join(flags, " "), nil
}

func digestOf(ctx context.Context, dir, flags string) (string, error) {
	toolchain, err := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH", "CGO_ENABLED").Output()
	if err != nil {
		return "", fmt.Errorf("asking for the version of Go: %w", err)
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%s\n%s\n", toolchain, flags)
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		fmt.Fprintf(digest, "%s %d\n", path, len(data))
		digest.Write(data)
		return nil
	})
	return hex.EncodeToString(digest.Sum(nil))[:16], err
}
