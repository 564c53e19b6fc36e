package engine_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tenantry/tenantry/render"
)

// testRemoved takes a tenant with data out of tenants/, and then out of the cluster.
func testRemoved(t *testing.T, w *world) {
	r := w.repository(t, trial, spec{Tenants: map[string][]string{"gone": {"a StatefulSet of 1Gi"}}})
	usage := r.run(t, "destroy", "gone")
	if want := "tenants/ still has gone: take it out there, have that reviewed, and destroy it then; -h helps\n"; usage.code != 2 || usage.stderr != want {
		t.Errorf("destroying what tenants/ has: want exit code 2 and %q: %s", want, usage)
	}
	r.must(t, "up", "gone")
	before := r.complete(t, "gone")

	s := spec{Tenants: map[string][]string{"stays": nil}}
	r = w.repository(t, trial, s)
	t.Run("up says that it is still there, and leaves it alone", func(t *testing.T) {
		got := r.must(t, "up", "stays")
		if want := "trial.gone is deployed, and tenants/ has it no longer: to take it from the cluster, run destroy -fleet trial gone\n"; !strings.Contains(got.stderr, want) {
			t.Errorf("nobody says %q: %s", want, got)
		}
		unchanged(t, before, r.look(t, "gone"))
	})
	keep := []string{"Namespace/gone", "gone/StatefulSet/database"}
	t.Run("destroy keeps data and what guards it", func(t *testing.T) {
		got := r.must(t, "destroy", "gone")
		after := r.look(t, "gone")
		for name := range before {
			kind := name[strings.LastIndex(name[:strings.LastIndex(name, "/")], "/")+1 : strings.LastIndex(name, "/")]
			goes := slices.Contains([]string{"Deployment", "PodDisruptionBudget"}, kind) || name == "gone/ConfigMap/tenantry-release"
			if (after[name] == nil) != goes {
				t.Errorf("%s is there: %t", name, after[name] != nil)
			}
		}
		for name, operation := range changes(before, after) {
			if operation != "delete" {
				t.Errorf("%s: %s", name, operation)
			}
		}
		if row := got.row("gone"); !slices.Contains(row, "data kept") {
			t.Errorf("the table says %q", row)
		}
		want := "trial.gone keeps its data: " + strings.Join(keep, ", ") + "\n"
		for _, object := range keep {
			want += acknowledgement(object)
		}
		for line := range strings.Lines(want) {
			if !strings.Contains(got.stderr, line) {
				t.Errorf("nobody says %q: %s", line, got)
			}
		}
		t.Run("and so it does again", func(t *testing.T) {
			if row := r.must(t, "destroy", "gone").row("gone"); !slices.Contains(row, "data kept") {
				t.Errorf("the table says %q", row)
			}
			unchanged(t, after, r.look(t, "gone"))
		})
	})
	t.Run("destroy takes what is acknowledged, and the stack", func(t *testing.T) {
		for _, object := range keep {
			s.Acknowledged = append(s.Acknowledged, render.Acknowledgement{Object: object, Loss: render.Deleted, Why: "a test", Until: render.Date(inAWeek())})
		}
		others := r.look(t, "stays", "platform")
		r = w.repository(t, trial, s)
		got := r.must(t, "destroy", "gone")
		if row := got.row("gone"); !slices.Contains(row, "destroyed") {
			t.Errorf("the table says %q", row)
		}
		if found := r.look(t, "gone"); len(found) > 0 {
			t.Errorf("the cluster has %v", found)
		}
		if _, err := w.client.CoreV1().Namespaces().Get(t.Context(), "gone", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the namespace: %v", err)
		}
		unchanged(t, others, r.look(t, "stays", "platform"))
		var stacks []struct{ Name string }
		if err := json.Unmarshal([]byte(r.pulumi(t, "stack", "ls", "--all", "--json").stdout), &stacks); err != nil {
			t.Fatal(err)
		}
		names := []string{}
		for _, s := range stacks {
			names = append(names, filepath.Base(s.Name))
		}
		if slices.Contains(names, "trial.gone") || !slices.Contains(names, "trial.stays") {
			t.Errorf("the state has the stacks %q", names)
		}
		again := r.run(t, "destroy", "gone")
		if want := "trial.gone: there is no state of trial.gone: "; again.code != 1 || !strings.Contains(again.stderr, want) {
			t.Errorf("destroying what is gone: want exit code 1 and %q: %s", want, again)
		}
		r.settled(t, "stays")
	})
}

// acknowledgement is the line that a refusal offers for a deletion.
func acknowledgement(object string) string {
	return "  {Object: \"" + object + "\", Loss: render.Deleted, Why: \"…\", Until: \"" + inAWeek() + "\"},\n"
}

func inAWeek() string { return time.Now().UTC().AddDate(0, 0, 7).Format(time.DateOnly) }
