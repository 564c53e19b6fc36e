package verify

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAddressesInWords has ranges that two rules open: what passes to them alike is told once, and ranges side by side
// are one.
func TestAddressesInWords(t *testing.T) {
	https, redis := traffic{tcp: ports{{443, 443}}}, traffic{tcp: ports{{6379, 6379}}}
	rest := stretch{areas: []area{{cidrs("10.80.0.33/32"), redis}, {cidrs("192.0.2.0/24"), https}, {cidrs("10.80.0.32/32"), redis}, {cidrs("10.80.0.0/28"), redis}}}
	const want = "api in acme now reaches private addresses: 10.80.0.0/28, 10.80.0.32/31 TCP 6379, 192.0.2.0/24 TCP 443"
	if got := (route{sender: "acme", pod: "api", where: OutsideWorld, what: "private"}).inWords("now reaches", rest); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestJobTakesLabelsOfAnother gives a Job the labels of the API's pods: what they reach, it gains.
func TestJobTakesLabelsOfAnother(t *testing.T) {
	t.Parallel()
	before := examples(t)[0]
	i := slices.IndexFunc(before.Units, func(u Unit) bool { return u.Name == "acme" })
	j := slices.IndexFunc(before.Units[i].Objects, func(o Object) bool { return strings.HasPrefix(o.ID(), "Job/migrate-") })
	job := before.Units[i].Objects[j].Object.(*batchv1.Job).DeepCopy()
	job.Name = "migrate-aaaaaaaa"
	job.Spec.Template.Labels[nameLabel] = "api"
	after := before.with("acme", before.Units[i].Objects[j].File, job)
	wantGains(t, Differ(&before, &after), "migrate in acme now reaches API servers addresses: ", "now reaches migrate in acme: TCP 4000")
}

// TestAlikeButForNames swaps the labels of two workloads in one of three tenants alike: its pods are as they were, but
// others are called so.
func TestAlikeButForNames(t *testing.T) {
	t.Parallel()
	before := many(t, 3, false)
	after := before
	for i := range 3 {
		unit := "tenant-000" + string('0'+rune(i))
		add := func(f Fleet, first, second string) Fleet {
			for name, label := range map[string]string{"first": first, "second": second} {
				job := &batchv1.CronJob{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "CronJob"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: unit}}
				job.Spec.JobTemplate.Spec.Template.Labels = map[string]string{nameLabel: label, "app.kubernetes.io/instance": unit}
				f = f.and(unit, job)
			}
			return f
		}
		before = add(before, "api", "other")
		if i == 1 {
			after = add(after, "other", "api")
		} else {
			after = add(after, "api", "other")
		}
	}
	wantGains(t, Differ(&before, &after), "second in tenant-0001 now reaches API servers addresses: ")
}

// wantGains sees that a difference has gains with these words.
func wantGains(t *testing.T, d Difference, words ...string) {
	t.Helper()
	var got []string
	for _, g := range d.Gains {
		got = append(got, g.Text)
	}
	for _, want := range words {
		if !slices.ContainsFunc(got, func(text string) bool { return strings.Contains(text, want) }) {
			t.Errorf("nothing gains %q:\n%s", want, strings.Join(got, "\n"))
		}
	}
}
