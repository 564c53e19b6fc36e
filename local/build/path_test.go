package build

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPath is about what is installed: what is not, is built, for minutes.
func TestPath(t *testing.T) {
	bin, home := t.TempDir(), t.TempDir()
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("PULUMI_HOME", home)
	script := func(dir, name, text string) {
		t.Helper()
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for version, want := range map[string]bool{"v3.249.9": false, "v3.250.0-alpha.1": false, "v3.250.0": true, "v4.0.0": true, "": false} {
		script(bin, "pulumi", "echo "+version)
		if got, err := pulumiInstalled(t.Context()); err != nil || got != want {
			t.Errorf("version %q is new enough: %t, %v, want %t", version, got, err, want)
		}
	}
	script(bin, "pulumi", "echo v3.250.0")

	plugins := filepath.Join(home, "plugins")
	for _, name := range []string{"resource-kubernetes-v4.26.0", "resource-kubernetes-v4.30.0", "resource-kubernetes-v4.9.1", "resource-aws-v9.0.0"} {
		script(filepath.Join(plugins, name), Provider.binary, "")
	}
	script(filepath.Join(plugins, "resource-kubernetes-v4.31.0"), "half-a-download", "")
	newest := filepath.Join(plugins, "resource-kubernetes-v4.30.0")
	if path, err := Path(t.Context(), t.Output()); err != nil || path != newest+":"+os.Getenv("PATH") {
		t.Errorf("%s, %v: want %s in front", path, err, newest)
	}
	script(bin, Provider.binary, "")
	if path, err := Path(t.Context(), t.Output()); err != nil || path != os.Getenv("PATH") {
		t.Errorf("%s, %v: want it as it is", path, err)
	}
	if err := os.RemoveAll(plugins); err != nil {
		t.Fatal(err)
	}
	if dir, err := plugin(); err != nil || dir != "" {
		t.Errorf("a plugin in %s, %v", dir, err)
	}
}
