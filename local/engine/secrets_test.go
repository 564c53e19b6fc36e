package engine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/tenantry/tenantry/deploy/runner"
)

// remember notes the values of a Secret, so that testSecrets looks for them.
func (s *suite) remember(t *testing.T, name string, o *unstructured.Unstructured) {
	t.Helper()
	for key, value := range secretValues(t, o) {
		source := o.GetAnnotations()["secret.tenantry.dev/"+key]
		for line := range strings.Lines(value) { // a key pair has many, which JSON would not leave as they are
			line = strings.TrimSpace(line)
			if constant := strings.Contains(source, line) || strings.HasPrefix(line, "-----"); !constant { // such as the name of a user
				s.secrets.Store(line, name+" "+key+", "+source)
			}
		}
	}
}

// echo has the API server say what it refuses, as it has the values of a Secret: in base64.
func (r *repository) echo(t *testing.T, unit string) {
	t.Helper()
	rule := registrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"secrets"}}
	says := func(object []byte) string {
		var secret struct{ Data map[string]string }
		if err := json.Unmarshal(object, &secret); err != nil {
			return err.Error()
		}
		return "no such keys: " + strings.Join(slices.Sorted(maps.Values(secret.Data)), ", ")
	}
	mend := r.police(t, unit, rule, says, func(ctx context.Context, namespace string) error {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "probe"}, StringData: map[string]string{"key": "probe"}}
		_, err := r.client.CoreV1().Secrets(namespace).Create(ctx, secret, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err
	})
	for _, format := range []string{"text", "json"} {
		got := r.run(t, "up", "-format", format, unit)
		if got.code != 1 || !strings.Contains(got.stderr, "no such keys: [secret]\n") {
			t.Errorf("want exit code 1, and [secret] where the value was: %s", got)
		}
	}
	mend()
}

// stop kills a run when it has files, and leaves them.
func (r *repository) stop(t *testing.T, unit string) {
	t.Helper()
	n := r.command(t, "up", unit)
	n.start(t)
	eventually(t, func(ctx context.Context) error { return r.has(ctx, "secrets", unit) })
	for len(processesOf(t, n.id)) > 0 {
		for pid := range processesOf(t, n.id) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-n.ended()
}

// testSecrets looks for the values of secrets in all that any run of the suite has written or left: output, golden
// files, temporary files of runs that were killed, what Pulumi keeps, and its state. Two runs are made for it.
func testSecrets(t *testing.T, w *world) {
	r := w.repository(t, trial, spec{Tenants: map[string][]string{"secret": {"generated secrets"}}})
	r.echo(t, "secret")
	r.stop(t, "secret")
	r.mends(t, "secret")

	values := map[string]string{canary: "what all secrets of an environment begin with", masterKey: runner.MasterKey}
	generated := 0
	for value, where := range w.secrets.Range {
		values[value.(string)] = where.(string)
		if strings.Contains(where.(string), ", generated:") {
			generated++
		}
	}
	if generated == 0 {
		t.Error("no value is derived from the master key")
	}
	needles := map[string]string{}
	for value, where := range values {
		needles[value] = where
		for _, text := range encoded(value) {
			needles[text] = where + ", in base64"
		}
	}
	files, unpacked, size := 0, 0, 0
	err := filepath.WalkDir(w.suite.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		size += len(data)
		for _, hit := range hits(data, needles) {
			t.Errorf("%s has %s", path, hit)
		}
		if packed, err := gzip.NewReader(bytes.NewReader(data)); err == nil { // such as the logs of Pulumi
			unpacked++
			data, _ = io.ReadAll(packed) // whose writer may have been killed
			for _, hit := range hits(data, needles) {
				t.Errorf("%s has, compressed, %s", path, hit)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d values, %d of them derived from the master key, are in none of %d files, %d of them compressed, with %d bytes", len(values), generated, files, unpacked, size)
	for _, part := range []string{"runs/*/stdout", "runs/*/stderr", "runs/*/tmp/tenantry-*/home/plugins", "repositories/*/golden/trial", "state.trial/.pulumi/stacks", "home/pulumi"} {
		if found, err := filepath.Glob(filepath.Join(w.suite.dir, filepath.FromSlash(part))); err != nil || len(found) == 0 {
			t.Errorf("nothing was read of %s: %v", part, err)
		}
	}
	if logs, err := filepath.Glob(filepath.Join(w.suite.dir, "runs", "*", "tmp", "tenantry-*", "home", "logs", "*")); err != nil || len(logs) > 0 {
		t.Errorf("Pulumi logs what it does: %v, %v", logs, err)
	}

	// A test of the test: it finds a Secret as the API server has it, and a value in the middle of a line.
	live, err := w.dynamic.Resource(schema.GroupVersionResource{Version: "v1", Resource: "secrets"}).Namespace("secret").Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := live.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	message := "the API server refused " + secretValues(t, live)["API_KEY"] + " and more"
	within := base64.StdEncoding.EncodeToString(append([]byte("?"), message...))
	for what, data := range map[string][]byte{"a stored Secret": stored, "a message": []byte(message), "a message in base64": []byte(within)} {
		if len(hits(data, needles)) == 0 {
			t.Errorf("%s shows no secret", what)
		}
	}
}

// encoded is what of a value is the same in base64 whatever stands before and after it, for each place in which it
// can begin.
func encoded(value string) []string {
	var texts []string
	for before := range 3 {
		text := base64.RawStdEncoding.EncodeToString(append(make([]byte, before), value...))
		texts = append(texts, text[(before*8+5)/6:(before+len(value))*8/6])
	}
	return texts
}

// hits are what of needles stands in data.
func hits(data []byte, needles map[string]string) []string {
	var found []string
	for value, what := range needles {
		if bytes.Contains(data, []byte(value)) {
			found = append(found, what)
		}
	}
	return found
}
