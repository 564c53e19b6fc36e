package review

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/tenants"
)

// today is the day of the corpus.
var today = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// TestChanges reviews each change of the corpus. One is an archive below testdata/changes: in words what somebody does,
// how it changes the files of testdata/before.txtar, and the report. So what differs and what is said of it are read
// on one screen. The files are those that two tenants and a platform were once rendered to; the -update flag writes
// the reports.
func TestChanges(t *testing.T) {
	base, err := txtar.ParseFile(filepath.Join("testdata", "before.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join("testdata", "changes", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 60 {
		t.Errorf("there are %d changes, and no less than 60 are wanted", len(paths))
	}
	var seen [DataAtRisk + 1]int
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(archive.Comment) == 0 {
				t.Error("nothing says what is done and why it matters")
			}
			report, err := Compare(states(t, base, archive), declared(base), today)
			if err != nil {
				t.Fatal(err)
			}
			seen[report.Verdict]++
			var text strings.Builder
			if err := report.WriteText(&text, false); err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "report" })
			if *update {
				if i < 0 {
					i = len(archive.Files)
					archive.Files = append(archive.Files, txtar.File{Name: "report"})
				}
				archive.Files[i].Data = []byte(text.String())
				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if i < 0 {
				t.Fatal("has no report: run go test ./review -update, and read what it writes")
			}
			if diff := cmp.Diff(string(archive.Files[i].Data), text.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for verdict, n := range seen {
		if n == 0 {
			t.Errorf("no change is %q", Verdict(verdict))
		}
	}
}

// declared are this repository's fleets with the tenants of the corpus alone, so that another tenant changes no report.
func declared(base *txtar.Archive) []render.Fleet {
	fleets := tenants.Fleets()
	for i, f := range fleets {
		fleets[i].Rings = nil
		fleets[i].Tenants = slices.DeleteFunc(f.Tenants, func(tenant render.Tenant) bool {
			return !slices.ContainsFunc(base.Files, func(file txtar.File) bool { return strings.HasPrefix(file.Name, f.Name+"/"+tenant.Name+"/") })
		})
	}
	return fleets
}

// states are the files before, and what an archive makes of them: "change" are hunks such as diff writes, each below a
// line "@ path" and found once in the file; "before" is a change that is made first, to both; "removed" names files;
// any other path of the archive is a new file.
func states(t *testing.T, base, archive *txtar.Archive) States {
	t.Helper()
	before := map[string]string{}
	for _, f := range base.Files {
		before[f.Name] = string(f.Data)
	}
	for _, f := range archive.Files {
		if f.Name == "before" {
			patch(t, before, string(f.Data))
		}
	}
	after := maps.Clone(before)
	for _, f := range archive.Files {
		switch f.Name {
		case "before", "report":
		case "change":
			patch(t, after, string(f.Data))
		case "removed":
			for pattern := range strings.FieldsSeq(string(f.Data)) {
				found := false
				for name := range before {
					if ok, _ := filepath.Match(pattern, name); ok {
						found = true
						delete(after, name)
					}
				}
				if !found {
					t.Fatalf("%s: there is no such file", pattern)
				}
			}
		default:
			after[f.Name] = string(f.Data)
		}
	}
	s := States{Read: func(name string) ([]byte, error) { return []byte(before[name]), nil }}
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		b, was := before[name]
		a, is := after[name]
		if was && is && a == b {
			s.Same = append(s.Same, name)
			continue
		}
		f := File{Path: name}
		if was {
			f.Before = []byte(b)
		}
		if is {
			f.After = []byte(a)
		}
		s.Changed = append(s.Changed, f)
	}
	return s
}

// patch applies hunks.
func patch(t *testing.T, files map[string]string, text string) {
	t.Helper()
	name := ""
	var was, is strings.Builder
	flush := func() {
		if was.Len()+is.Len() == 0 {
			return
		}
		if n := strings.Count(files[name], was.String()); n != 1 || was.Len() == 0 {
			t.Fatalf("%s has %d times:\n%s", name, n, was.String())
		}
		files[name] = strings.Replace(files[name], was.String(), is.String(), 1)
		was.Reset()
		is.Reset()
	}
	for line := range strings.Lines(text) {
		switch line[0] {
		case '@':
			flush()
			name = strings.TrimSpace(line[1:])
			if _, ok := files[name]; !ok {
				t.Fatalf("%s: there is no such file", name)
			}
		case '-':
			was.WriteString(line[1:])
		case '+':
			is.WriteString(line[1:])
		case ' ':
			was.WriteString(line[1:])
			is.WriteString(line[1:])
		case '\n':
			flush()
		default:
			t.Fatal(fmt.Errorf("%q is no line of a hunk", line))
		}
	}
	flush()
}
