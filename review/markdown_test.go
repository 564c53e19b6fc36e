package review

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const wholeReport = "[review.html](https://example.com/review.html)"

func markdownOf(t *testing.T, r Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteMarkdown(&b, wholeReport); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestBumpIsShort says how long the comment on an everyday change is.
func TestBumpIsShort(t *testing.T) {
	long := func(r Report) Report {
		for i := range r.Fleets[0].Changed { // the units of the changes, too: they are parts of the same list
			r.Fleets[0].Changed[i] = strings.Repeat("x", 59) + fmt.Sprintf("%04d", i)
		}
		return r
	}
	both := bumped(500)
	staging := bumped(500)
	staging.Fleets[0].Name = "staging"
	for _, c := range staging.Changes {
		c.Fleet = "staging"
		both.Changes = append(both.Changes, c)
	}
	both.Fleets = append(both.Fleets, staging.Fleets...)
	for name, r := range map[string]Report{
		"one fleet": bumped(500), "two fleets": both, "the longest names": long(bumped(500)), "5000 tenants": bumped(5000),
	} {
		text := markdownOf(t, r)
		t.Logf("%s: %d bytes", name, len(text))
		if len(text) >= 20_000 {
			t.Errorf("%s: %d bytes", name, len(text))
		}
		if strings.Contains(text, "Not shown") {
			t.Errorf("%s: something is left out", name)
		}
	}
	if text := markdownOf(t, bumped(500)); !strings.Contains(text, "tenant-0499, tenant-0500`") {
		t.Error("there is room, and not all units are listed")
	}
}

// random is a report of any size, with the objects named by a number.
func random(rng *rand.Rand) Report {
	word := func(most int) string {
		alphabet := []rune("abc -`|<>@#*_\n\u202e\x00é日🌈")
		var b strings.Builder
		for range rng.IntN(most + 1) {
			b.WriteRune(alphabet[rng.IntN(len(alphabet))])
		}
		return b.String()
	}
	size := func(most int) int { return int(float64(most) * rng.Float64() * rng.Float64() * rng.Float64()) }
	longest := 1 + size(2000)
	names := func(most int) (list []string) {
		for range size(most) {
			list = append(list, word(60))
		}
		return list
	}
	missing := func(most int) (list []Missing) {
		for i := range size(most) {
			m := Missing{Fleet: fmt.Sprint("fleet", i%(1+size(30))), Object: fmt.Sprintf("ns%d/Kind/%s", i, word(20)), Loss: "Replaced", Why: word(longest)}
			if rng.IntN(5) > 0 {
				m.Line = fmt.Sprintf("{Object: %q, Loss: render.Replaced},", m.Object)
			}
			list = append(list, m)
		}
		return list
	}
	var r Report
	for range size(200) {
		r.Fleets = append(r.Fleets, Fleet{Name: word(longest), Verdict: Verdict(rng.IntN(7)), Added: names(500), Removed: names(500), Changed: names(500), Renamed: slices.Repeat([]Rename{{word(50), word(50)}}, size(50))})
	}
	units := [][]string{{word(60)}, names(2000), names(50), {"a", "b"}}
	for i := range 1 + size(3000) {
		c := Change{Fleet: fmt.Sprint("fleet", rng.IntN(4)), Units: units[rng.IntN(4)], Object: fmt.Sprintf("Kind/object-%d", i), Action: Changed, Verdict: Verdict(rng.IntN(7)), Reason: word(longest), Outlier: rng.IntN(10) == 0}
		for range size(30) {
			c.Fields = append(c.Fields, Field{Path: word(longest), Before: word(longest), After: word(longest), Reason: word(longest), Differs: rng.IntN(2) == 0})
		}
		r.Verdict = max(r.Verdict, c.Verdict)
		r.Changes = append(r.Changes, c)
	}
	r.Missing, r.Acknowledged, r.Leftover = missing(3000), missing(300), missing(300)
	return r
}

// TestCommentFits holds any report against the size of a comment, and whether what matters most stays.
func TestCommentFits(t *testing.T) {
	object, told := regexp.MustCompile("`Kind/object-([0-9]+)`"), regexp.MustCompile(`([0-9]+) changes? of the verdict ([a-z ]+[a-z])`)
	cut := 0
	for seed := range uint64(40) {
		r := random(rand.New(rand.NewPCG(seed, 1)))
		text := markdownOf(t, r)
		wrong := func(format string, args ...any) {
			t.Errorf("seed %d: %s", seed, fmt.Sprintf(format, args...))
		}
		if len(text) > commentSize {
			wrong("%d bytes", len(text))
		}
		if !strings.HasPrefix(text, "## "+title(r.Verdict.String())+"\n") {
			wrong("it does not begin with the verdict but with %.80q", text)
		}
		if n := len(r.Missing); n > 0 && !strings.Contains(text, lacks(r.Missing)+": this must not be deployed") {
			wrong("it does not say what keeps it from being deployed")
		}
		lines, left := 0, 0
		for _, m := range r.Missing {
			if m.Line != "" && strings.Contains(text, "> "+m.Line+"\n") {
				lines++
			} else if m.Line != "" {
				left++
			}
		}
		if left > 0 && !strings.Contains(text, fmt.Sprintf("and %d more lines like these: %s", left, wholeReport)) {
			wrong("%d lines are missing, and it does not say so", left)
		}
		if lines == 0 && left > 0 {
			wrong("no line to paste")
		}
		if strings.Count(text, "<details>") != strings.Count(text, "</details>") {
			wrong("a fold does not end")
		}
		shown := map[string]bool{}
		for _, m := range object.FindAllStringSubmatch(text, -1) {
			shown["Kind/object-"+m[1]] = true
		}
		worstLeft, leastShown, omitted := Verdict(-1), DataAtRisk+1, map[Verdict]int{}
		for _, c := range r.Changes {
			if shown[c.Object] {
				leastShown = min(leastShown, c.Verdict)
			} else {
				worstLeft = max(worstLeft, c.Verdict)
				omitted[c.Verdict]++
			}
		}
		if len(shown) == 0 || worstLeft > leastShown {
			wrong("%s is left out, and %s is not", worstLeft, leastShown)
		}
		for _, m := range told.FindAllStringSubmatch(text, -1) {
			v := Verdict(slices.Index(verdicts, m[2]))
			if fmt.Sprint(omitted[v]) != m[1] {
				wrong("it tells of %s left out, and these are %d", m[0], omitted[v])
			}
			delete(omitted, v)
		}
		if len(omitted) > 0 {
			wrong("it does not tell of %v left out", omitted)
		}
		if worstLeft >= 0 {
			cut++
			if !strings.Contains(text, "All of it: "+wholeReport) {
				wrong("it does not say where the rest is")
			}
		}
	}
	if cut < 10 {
		t.Errorf("only %d of the reports were too long: this shows little", cut)
	}
}

// TestManyLosses is a change that takes an acknowledgement for each of a thousand tenants.
func TestManyLosses(t *testing.T) {
	var r Report
	for _, name := range tenantNames(1000) {
		r.Missing = append(r.Missing, Missing{Fleet: "prod", Object: name + "/Cluster/database", Loss: "Replaced", Why: shrinks, Line: fmt.Sprintf("{Object: %q, Loss: render.Replaced, Why: \"…\", Until: \"2026-12-04\"},", name+"/Cluster/database")})
	}
	r.Verdict = DataAtRisk
	r.Fleets = []Fleet{{Name: "prod", Changed: tenantNames(1000), Of: 1000}}
	r.Changes = []Change{{Fleet: "prod", Units: tenantNames(1000), Object: "Cluster/database", Action: Changed, Verdict: DataAtRisk, Reason: shrinks, Fields: []Field{{Path: "spec.storage.size", Before: "50Gi", After: "20Gi"}}}}
	text := markdownOf(t, r)
	for _, want := range []string{"1000 acknowledgements are missing", "`Cluster/database` of `tenant-0001`", " and 995 more", "spec.storage.size", `{Object: "tenant-0001/Cluster/database"`, "more lines like these: " + wholeReport} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q", want)
		}
	}
}
