package live

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	none := filepath.Join(dir, "none")
	two := file("two", `{"apiVersion":"v1","kind":"Config","contexts":[{"name":"staging","context":{"cluster":"c"}},{"name":"kind","context":{"cluster":"gone"}}],
		"clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}]}`)
	empty, broken := file("empty", ""), file("broken", "contexts: x")
	both := two + string(filepath.ListSeparator) + none
	for _, row := range []struct{ kubeconfig, fleet, want string }{
		{two, "staging", ""},
		{both, "staging", ""},
		{none, "staging", "there is no kubeconfig " + none + ": have KUBECONFIG name one that has a context staging"},
		{empty, "staging", "the kubeconfig " + empty + " has no context at all: have KUBECONFIG name one that has a context staging"},
		{two, "prod", "the kubeconfig " + two + " has no context prod, but kind, staging: if one of these is the fleet's cluster, name it so with kubectl config rename-context NAME prod"},
		{both, "prod", "the kubeconfig " + two + " (there is no " + none + ") has no context prod, but kind, staging: "},
		{broken, "staging", "reading the kubeconfig " + broken + ": "},
		{two, "kind", "reading the context kind of the kubeconfig " + two + ": "},
	} {
		t.Setenv("KUBECONFIG", row.kubeconfig)
		config, err := Config(row.fleet)
		switch {
		case row.want == "" && (err != nil || config.Host != "https://127.0.0.1:1"):
			t.Errorf("%s of %s: %v, %v", row.fleet, row.kubeconfig, config, err)
		case row.want != "" && (err == nil || !strings.HasPrefix(err.Error(), row.want)):
			t.Errorf("%s of %s: got %v, want %q", row.fleet, row.kubeconfig, err, row.want)
		}
	}
}
