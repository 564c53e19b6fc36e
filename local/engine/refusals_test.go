package engine_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/tenantry/tenantry/deploy/runner"
)

// testRefusals begins with something missing or wrong: one message says what and how to mend it, and nothing is done.
func testRefusals(t *testing.T, w *world) {
	two := spec{Tenants: map[string][]string{"faulty": {"generated secrets"}, "faulty-too": nil}}
	for _, test := range []struct {
		name string
		want string // all that is said
		code int
		make func(*testing.T, *repository)
	}{
		{"no pulumi", "there is no pulumi on the PATH: install Pulumi 3.250.0 or newer, or build it with: go -C local run . build", 1, func(t *testing.T, r *repository) {
			r.set("PATH", t.TempDir())
		}},
		{"a pulumi that is too old", "the pulumi on the PATH is 3.100.0: install 3.250.0 or newer", 1, func(t *testing.T, r *repository) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "pulumi"), []byte("#!/bin/sh\necho v3.100.0\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			r.set("PATH", dir+string(filepath.ListSeparator)+r.path)
		}},
		{"a provider that is too old", "%s/pulumi-resource-kubernetes is 4.26.0: install 4.27.0 or newer, or take it off the PATH and let Pulumi install it", 1, func(t *testing.T, r *repository) {
			dir := r.playing(t, oldProvider)
			r.set("PATH", dir+string(filepath.ListSeparator)+r.path)
		}},
		{"a provider that does not start", "asking %s/pulumi-resource-kubernetes for its version: reading its port: EOF", 1, func(t *testing.T, r *repository) {
			dir := filepath.Join(r.dir, "broken")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, oldProvider), []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			r.set("PATH", dir+string(filepath.ListSeparator)+r.path)
		}},
		{"no kubeconfig", "there is no kubeconfig /nonexistent: have KUBECONFIG name one that has a context trial", 1, func(_ *testing.T, r *repository) {
			r.set("KUBECONFIG", "/nonexistent")
		}},
		{"a kubeconfig without a context for the fleet", "the kubeconfig ", 1, func(t *testing.T, r *repository) {
			config, err := clientcmd.LoadFromFile(w.cluster.Kubeconfig())
			if err != nil {
				t.Fatal(err)
			}
			delete(config.Contexts, trial)
			path := filepath.Join(r.dir, "kubeconfig")
			if err := clientcmd.WriteToFile(*config, path); err != nil {
				t.Fatal(err)
			}
			r.set("KUBECONFIG", path)
		}},
		{"a golden file that is edited", "golden/ is not what the code renders, so what would be applied was not reviewed: run make gen, and have the change reviewed", 1, func(t *testing.T, r *repository) {
			unreviewed(t, r)
		}},
		{
			"variables that are missing, all of them",
			"the environment lacks FAULTY_TOO__API_KEY, FAULTY_TOO__DATABASE_PASSWORD, FAULTY__DATABASE_PASSWORD, PULUMI_CONFIG_PASSPHRASE, TENANTRY_MASTER_KEY: set them, such as with a secret manager that runs this command", 1,
			func(_ *testing.T, r *repository) {
				r.unset("PULUMI_CONFIG_PASSPHRASE")
				lacking(r, "FAULTY_TOO__API_KEY", "FAULTY_TOO__DATABASE_PASSWORD", "FAULTY__DATABASE_PASSWORD", runner.MasterKey)
			},
		},
		{
			"a master key that is none", "TENANTRY_MASTER_KEY is not 32 bytes in base64: make one with head -c 32 /dev/urandom | base64", 1,
			func(_ *testing.T, r *repository) { r.set(runner.MasterKey, canary+"short") },
		},
		{"a cluster that does not answer", "listing what is deployed to trial: ", 1, func(t *testing.T, r *repository) {
			config, err := clientcmd.LoadFromFile(w.cluster.Kubeconfig())
			if err != nil {
				t.Fatal(err)
			}
			config.Clusters["local"].Server = "https://127.0.0.1:1"
			path := filepath.Join(r.dir, "kubeconfig")
			if err := clientcmd.WriteToFile(*config, path); err != nil {
				t.Fatal(err)
			}
			r.set("KUBECONFIG", path)
		}},
		{"credentials that have expired", "listing what is deployed to trial: Unauthorized", 1, func(t *testing.T, r *repository) {
			path, err := w.cluster.ExpiredKubeconfig()
			if err != nil {
				t.Fatal(err)
			}
			r.set("KUBECONFIG", path)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := w.repository(t, trial, two)
			test.make(t, r)
			for _, verb := range []string{"preview", "up"} {
				got := r.run(t, verb, "faulty", "faulty-too")
				var said []string
				for line := range strings.Lines(got.stderr) {
					if !strings.Contains(line, " is deployed, and tenants/ has it no longer: ") { // of other tests
						said = append(said, strings.TrimSuffix(line, "\n"))
					}
				}
				want := test.want
				if strings.Contains(want, "%s") {
					want = fmt.Sprintf(want, filepath.SplitList(r.get("PATH"))[0])
				}
				if got.code != test.code || len(said) != 1 || !strings.HasPrefix(said[0], want) || got.stdout != "" {
					t.Errorf("%s: want %q\n%s", verb, want, got)
				}
			}
		})
	}
	r := w.repository(t, trial, two)
	if found := r.look(t, "faulty", "faulty-too"); len(found) > 0 {
		t.Errorf("the cluster has %d objects", len(found))
	}
	if paths, err := filepath.Glob(filepath.Join(w.stateDir(), ".pulumi", "*", "*", "trial.faulty*")); err != nil || len(paths) > 0 {
		t.Errorf("the state has %v: %v", paths, err)
	}
	// A test of the test: nothing but what was wrong was in the way.
	r.must(t, "up", "faulty", "faulty-too")
	r.settled(t, "faulty", "faulty-too")
	if paths, err := filepath.Glob(filepath.Join(w.stateDir(), ".pulumi", "*", "*", "trial.faulty*")); err != nil || len(paths) == 0 {
		t.Errorf("the state has none of them: %v", err)
	}
}
