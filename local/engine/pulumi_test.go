package engine_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// underPulumi makes the repository a project of Pulumi's, as deploy/ is one.
func (r *repository) underPulumi(t *testing.T) *repository {
	t.Helper()
	project, err := os.ReadFile(filepath.Join("..", "..", "deploy", "Pulumi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.dir, "Pulumi.yaml"), project, 0o600); err != nil {
		t.Fatal(err)
	}
	r.set("PATH", r.playing(t, languageHost)+string(filepath.ListSeparator)+r.path)
	r.set(programVariable, filepath.Join(r.bin, deployCommand))
	r.set("PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER", "true")
	return r
}

// testOwnCommand runs the same program under Pulumi's own command: pulumi up -s trial.own.
func testOwnCommand(t *testing.T, w *world) {
	infra := func(t *testing.T, edits ...string) *repository {
		return w.repository(t, trial, spec{Tenants: map[string][]string{"own": edits}}).underPulumi(t)
	}
	r := infra(t, "a StatefulSet of 1Gi", "a ConfigMap")
	r.must(t, "up", "own")
	before := r.complete(t, "own")
	same := len(r.names("own")) + engineResources

	t.Run("it has nothing to do where the deploy command was", func(t *testing.T) {
		got := r.pulumi(t, "up", "-s", "trial.own", "--yes", "--non-interactive")
		if want := "    " + strconv.Itoa(same) + " unchanged\n"; got.code != 0 || strings.Count(got.stdout, want) != 2 {
			t.Errorf("want %q of preview and up: %s", want, got)
		}
		unchanged(t, before, r.look(t, "own"))
	})
	t.Run("it changes what was edited, and the deploy command has nothing to do", func(t *testing.T) {
		r := infra(t, "a StatefulSet of 1Gi", "another ConfigMap")
		got := r.pulumi(t, "up", "-s", "trial.own", "--yes", "--non-interactive")
		if want := "    ~ 2 updated\n    " + strconv.Itoa(same-2) + " unchanged\n"; got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("want %q: %s", want, got)
		}
		after := r.settled(t, "own")
		for name, operation := range changes(before, after) {
			if operation != "update" || name != "own/ConfigMap/more" && name != "own/ConfigMap/tenantry-release" {
				t.Errorf("%s: %s", name, operation)
			}
		}
		before = after
	})
	for _, test := range []struct {
		name, stack, want string
		repository        *repository
	}{
		{"it protects what holds data", "trial.own", "own/StatefulSet/database", infra(t, "another ConfigMap")},
		{"it applies only what was reviewed", "trial.own", "golden/ is not what the code renders", unreviewed(t, infra(t))},
		{"it names the variables that are missing", "trial.own", "the environment lacks OWN__API_KEY: set them", lacking(infra(t), "OWN__API_KEY")},
		{"it has a stack for each unit only", "trial.other", "there is no unit for the stack trial.other: its name is the fleet, a dot and the unit, such as prod.acme", infra(t)},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := test.repository
			if got := r.pulumi(t, "stack", "select", "--create", test.stack); got.code != 0 {
				t.Fatal(got)
			}
			got := r.pulumi(t, "up", "-s", test.stack, "--yes", "--non-interactive")
			if got.code == 0 || !strings.Contains(got.stdout+got.stderr, test.want) {
				t.Errorf("want %q: %s", test.want, got)
			}
			unchanged(t, before, r.look(t, "own"))
		})
	}
}

// unreviewed is a repository with a golden file that was edited by hand.
func unreviewed(t *testing.T, r *repository) *repository {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(r.dir, "golden", trial, "*", "service-api.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	text, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(paths[0], append(text, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

// lacking is a repository whose runs lack variables.
func lacking(r *repository, names ...string) *repository {
	for _, name := range names {
		r.set(name, "")
	}
	return r
}
