package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRun breaks a copy of golden/ in a way for each thing that is judged.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../golden")); err != nil {
		t.Fatal(err)
	}
	edit := func(name, old, replacement string) {
		t.Helper()
		name = filepath.Join(dir, filepath.FromSlash(name))
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		changed := strings.ReplaceAll(string(text), old, replacement)
		if changed == string(text) {
			t.Fatalf("%s has no %s", name, old)
		}
		if err := os.WriteFile(name, []byte(changed), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	edit("prod/acme/deployment-api.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")
	edit("prod/hooli/deployment-api.yaml", "replicas: 1", "replicas: 2")
	edit("prod/hooli/networkpolicy-database.yaml", "cnpg.io/cluster: database", "cnpg.io/cluster: nosuch")
	edit("prod/globex/externalsecret-settings.yaml", "refreshInterval:", "refreshIntervall:")
	edit("staging/acme/cluster-database.yaml", "apiVersion: postgresql.cnpg.io/v1", "apiVersion: postgresql.example.com/v1")
	t.Chdir("..")
	var stdout bytes.Buffer
	err := run(t.Context(), dir, &stdout)
	if err == nil {
		t.Fatalf("content with everything:\n%s", stdout.String())
	}
	for _, want := range []string{
		"kube-score: prod/acme/deployment-api.yaml container-security-context-readonlyrootfilesystem grade 1: ",
		"kube-score no longer says prod/hooli/deployment-api.yaml deployment-replicas: ",
		"kube-score: prod/hooli/networkpolicy-database.yaml networkpolicy-targets-pod grade 1: ",
		"globex/externalsecret-settings.yaml: statusInvalid: ",
		"'refreshIntervall'",
		"acme/cluster-database.yaml: statusError: could not find schema for Cluster",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("not told: %s", want)
		}
	}
	if t.Failed() {
		t.Logf("told:\n%v", err)
	}
}
