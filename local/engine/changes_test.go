package engine_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenantry/tenantry/render"
)

// testChanges deploys many tenants at once, edits each, and deploys them again: every edit does what preview said,
// and nothing more.
func testChanges(t *testing.T, w *world) {
	tests := []struct {
		name, unit    string
		before, after string            // an edit, or none
		want          map[string]string // object in the namespace, and operation; the release, which changes each time, is left out
	}{
		{"a field", "field", "", "memory", map[string]string{"Deployment/api": "update"}},
		{"a new object", "new", "", "a ConfigMap", map[string]string{"ConfigMap/more": "create"}},
		{"a removed object", "removed", "a ConfigMap", "", map[string]string{"ConfigMap/more": "delete"}},
		{"a ConfigMap", "data", "a ConfigMap", "another ConfigMap", map[string]string{"ConfigMap/more": "update"}},
		{"a setting, which rolls what reads it", "setting", "", "a setting", map[string]string{"ConfigMap/settings": "update", "Deployment/api": "update"}},
		{"a field that cannot be changed", "selector", "a tool", "another tool", map[string]string{"Deployment/tool": "replace"}},
		{"a raised version of secrets, which rolls what reads them", "rotation", "generated secrets", "new generated secrets", map[string]string{"Secret/settings": "update", "Deployment/api": "update"}},
	}
	old, now := spec{Tenants: map[string][]string{"renamed": nil}}, spec{Tenants: map[string][]string{"renamed-since": nil}}
	units := []string{"renamed-since"}
	for _, test := range tests {
		old.Tenants[test.unit], now.Tenants[test.unit] = none(test.before), none(test.after)
		units = append(units, test.unit)
	}
	r := w.repository(t, trial, old)
	r.must(t, append([]string{"up", "renamed"}, units[1:]...)...)
	before := r.complete(t, append(units[1:], "renamed")...)

	r = w.repository(t, trial, now)
	preview := r.must(t, append([]string{"preview", "-format", "json"}, units...)...)
	unchanged(t, before, r.look(t, append(units, "renamed")...))
	up := r.must(t, append([]string{"up", "-format", "json"}, units...)...)
	after := r.complete(t, units...)
	told := map[string]map[string]string{"preview": preview.operations(t), "up": up.operations(t), "the cluster": changes(before, after)}

	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := map[string]string{test.unit + "/ConfigMap/tenantry-release": "update"}
			for name, operation := range test.want {
				want[test.unit+"/"+name] = operation
			}
			for who, all := range told {
				if diff := cmp.Diff(want, of(test.unit, all)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", who, diff)
				}
			}
		})
	}
	t.Run("a renamed tenant is another one, and the old one stays", func(t *testing.T) {
		want := map[string]string{}
		for _, name := range r.names("renamed-since") {
			want[name] = "create"
		}
		for who, all := range told {
			if diff := cmp.Diff(want, of("renamed-since", all)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", who, diff)
			}
		}
		note := "trial.renamed is deployed, and tenants/ has it no longer: to take it from the cluster, run destroy -fleet trial renamed"
		for _, got := range []result{preview, up} {
			if !strings.Contains(got.stdout, note) {
				t.Errorf("nobody says %q:\n%s", note, got)
			}
		}
		kept := objects{}
		for name, o := range before {
			if strings.HasPrefix(name, "renamed/") || name == "Namespace/renamed" {
				kept[name] = o
			}
		}
		unchanged(t, kept, r.look(t, "renamed"))
	})
	t.Run("a raised version makes another value", func(t *testing.T) {
		was, is := secretValues(t, before["rotation/Secret/settings"]), secretValues(t, after["rotation/Secret/settings"])
		for key, value := range is {
			if value == was[key] || len(value) < 32 {
				t.Errorf("%s was %d bytes, and is %d", key, len(was[key]), len(value))
			}
		}
	})
	t.Run("nothing is left to do", func(t *testing.T) { r.settled(t, units...) })
}

// testLosses edits what holds data: nothing is done before the loss is acknowledged.
func testLosses(t *testing.T, w *world) {
	tests := []struct {
		name, unit    string
		before, after string // an edit, or none
		object        string // that is lost
		loss          render.Loss
		refused       string // instead of the loss: what can never be done
		stuck         string // even when the loss is acknowledged
	}{
		{
			name: "a StatefulSet's volume grows", unit: "set-grows", before: "a StatefulSet of 2Gi", after: "a StatefulSet of 4Gi",
			object: "set-grows/StatefulSet/database", loss: render.Replaced,
		},
		{
			name: "a StatefulSet's volume shrinks", unit: "set-shrinks", before: "a StatefulSet of 2Gi", after: "a StatefulSet of 1Gi",
			object: "set-shrinks/StatefulSet/database", loss: render.Replaced,
		},
		{
			name: "a StatefulSet goes", unit: "set-goes", before: "a StatefulSet of 1Gi",
			object: "set-goes/StatefulSet/database", loss: render.Deleted,
		},
		{
			name: "a claim's modes change", unit: "claim-changes", before: "a claim of 2Gi", after: "a shared claim of 2Gi",
			object: "claim-changes/PersistentVolumeClaim/files", loss: render.Replaced,
			// The provider tries the new claim in the place of the old one, which is still there when it previews.
			stuck: "claim-changes/PersistentVolumeClaim/files: Preview failed: ",
		},
		{
			name: "a claim goes", unit: "claim-goes", before: "a claim of 2Gi",
			object: "claim-goes/PersistentVolumeClaim/files", loss: render.Deleted,
		},
		{
			name: "what only the state protects goes", unit: "state-protects", before: "a ConfigMap",
			object: "state-protects/ConfigMap/more", loss: render.Deleted,
		},
		{
			name: "a claim shrinks", unit: "claim-shrinks", before: "a claim of 2Gi", after: "a claim of 1Gi",
			refused: "claim-shrinks/PersistentVolumeClaim/files: .spec.resources.requests.storage becomes smaller, and no volume can",
		},
		{
			name: "a Cluster shrinks", unit: "cluster-shrinks", before: "a Cluster of 2Gi", after: "a Cluster of 1Gi",
			refused: "cluster-shrinks/Cluster/database: .spec.storage.size becomes smaller, and no volume can",
		},
		{
			name: "a Cluster goes", unit: "cluster-goes", before: "a Cluster of 1Gi",
			object: "cluster-goes/Cluster/database", loss: render.Deleted,
		},
	}
	today := time.Now().UTC()
	old, now := spec{Tenants: map[string][]string{}}, spec{Tenants: map[string][]string{}}
	expired, confused, acknowledged := now, now, now
	var units, losing, stuck []string // losing and stuck are all whose loss can be acknowledged
	for _, test := range tests {
		units = append(units, test.unit)
		old.Tenants[test.unit], now.Tenants[test.unit] = none(test.before), none(test.after)
		if test.object == "" {
			continue
		}
		if test.stuck == "" {
			losing = append(losing, test.unit)
		} else {
			stuck = append(stuck, test.unit)
		}
		a := render.Acknowledgement{Object: test.object, Loss: test.loss, Why: "a test", Until: render.Date(today.AddDate(0, 0, 1).Format(time.DateOnly))}
		acknowledged.Acknowledged = append(acknowledged.Acknowledged, a)
		other := a
		other.Loss = map[render.Loss]render.Loss{render.Deleted: render.Replaced, render.Replaced: render.Deleted}[a.Loss]
		confused.Acknowledged = append(confused.Acknowledged, other)
		a.Until = render.Date(today.AddDate(0, 0, -1).Format(time.DateOnly))
		expired.Acknowledged = append(expired.Acknowledged, a)
	}
	r := w.repository(t, trial, old)
	r.must(t, append([]string{"up"}, units...)...)
	before := r.complete(t, units...)
	protect := r.pulumi(t, "state", "protect", "urn:pulumi:trial.state-protects::tenantry::kubernetes:core/v1:ConfigMap::state-protects/ConfigMap/more", "--yes", "--stack", "organization/tenantry/trial.state-protects")
	if protect.code != 0 {
		t.Fatal(protect)
	}

	some := []string{"set-grows", "set-goes", "claim-goes", "state-protects"} // each way in which a plan tells of a loss
	for _, refusing := range []struct {
		name  string
		spec  spec
		units []string
	}{
		{"without a word", now, units},
		{"with an acknowledgement of the other loss, which drops the protection", confused, some},
		{"with an acknowledgement that has expired", expired, some},
	} {
		t.Run(refusing.name, func(t *testing.T) {
			r := w.repository(t, trial, refusing.spec)
			got := r.run(t, append([]string{"up"}, refusing.units...)...)
			if got.code != 1 {
				t.Errorf("want exit code 1: %s", got)
			}
			for _, test := range tests {
				if !slices.Contains(refusing.units, test.unit) {
					continue
				}
				t.Run(test.name, func(t *testing.T) {
					said := errorOf(t, got, test.unit)
					want := test.refused
					if want == "" {
						want = fmt.Sprintf("nothing was changed:\n%s would be %s", test.object, strings.ToLower(string(test.loss)))
						line := fmt.Sprintf("  {Object: %q, Loss: render.%s, Why: \"…\", Until: %q},\nTake the change back", test.object, test.loss, inAWeek())
						if !strings.Contains(said, line) {
							t.Errorf("the refusal has no line to paste\n%s:\n%s", line, said)
						}
					}
					if !strings.HasPrefix(said, want) {
						t.Errorf("want %q\ngot %q", want, said)
					}
					if row := got.row(test.unit); !slices.Contains(row, "failed") {
						t.Errorf("the table says %q", row)
					}
				})
			}
			unchanged(t, before, r.look(t, units...))
		})
	}
	t.Run("acknowledged", func(t *testing.T) {
		r := w.repository(t, trial, acknowledged)
		failed := r.run(t, append([]string{"up"}, stuck...)...)
		preview := r.must(t, append([]string{"preview", "-format", "json"}, some...)...)
		unchanged(t, before, r.look(t, units...))
		up := r.must(t, append([]string{"up", "-format", "json"}, losing...)...)
		got := changes(before, r.look(t, units...))
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				switch {
				case test.stuck != "":
					if said := errorOf(t, failed, test.unit); failed.code != 1 || !strings.HasPrefix(said, test.stuck) {
						t.Errorf("want %q: %s", test.stuck, failed)
					}
					fallthrough
				case test.refused != "":
					if all := of(test.unit, got); len(all) > 0 {
						t.Errorf("these have changed: %v", all)
					}
					return
				}
				want := map[render.Loss]string{render.Deleted: "delete", render.Replaced: "replace"}[test.loss]
				if got[test.object] != want {
					t.Errorf("%s: %q, want %q", test.object, got[test.object], want)
				}
				for who, told := range map[string]result{"preview": preview, "up": up} {
					if who == "preview" && !slices.Contains(some, test.unit) {
						continue
					}
					if diff := cmp.Diff(of(test.unit, got), of(test.unit, told.operations(t))); diff != "" {
						t.Errorf("%s (-cluster +told):\n%s", who, diff)
					}
				}
			})
		}
		t.Run("nothing is left to do", func(t *testing.T) { r.settled(t, losing...) })
	})
}

// none is a list of one, or of none.
func none(edit string) []string {
	if edit == "" {
		return nil
	}
	return []string{edit}
}

// of are the entries about a unit.
func of(unit string, all map[string]string) map[string]string {
	found := maps.Clone(all)
	maps.DeleteFunc(found, func(name, _ string) bool { return !strings.HasPrefix(name, unit+"/") && name != "Namespace/"+unit })
	return found
}

// operations are those of the events about objects.
func (r result) operations(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, e := range r.events(t) {
		if e.Event != "resource" {
			continue
		}
		if was, twice := found[e.Object]; twice {
			t.Errorf("two events tell of %s: %s and %s", e.Object, was, e.Op)
		}
		found[e.Object] = e.Op
	}
	return found
}

// errorOf is what a run says of a unit that failed.
func errorOf(t *testing.T, r result, unit string) string {
	t.Helper()
	_, said, found := strings.Cut(r.stderr, "\n"+trial+"."+unit+": ")
	for found && (strings.HasPrefix(said, "begun\n") || strings.HasPrefix(said, "failed, ")) {
		_, said, found = strings.Cut(said, "\n"+trial+"."+unit+": ")
	}
	if !found {
		t.Errorf("no error of %s: %s", unit, r)
	}
	said, _, _ = strings.Cut(said, "\n"+trial+".")
	return said
}

// row is a unit's in the table, cell by cell.
func (r result) row(unit string) []string {
	for line := range strings.Lines(r.stdout) {
		if cells := cells(line); len(cells) > 2 && cells[1] == unit {
			return cells
		}
	}
	return nil
}

// cells are those of a row, between which there are at least two spaces.
func cells(row string) []string {
	var found []string
	for cell := range strings.SplitSeq(row, "  ") {
		if cell = strings.TrimSpace(cell); cell != "" {
			found = append(found, cell)
		}
	}
	return found
}
