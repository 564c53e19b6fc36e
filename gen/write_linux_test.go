package gen

import (
	"os"
	"strings"
	"testing"
)

// Results that cannot be written are a failure.
func TestUnwritableResults(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	cmd := genCommand(t, newModule(t), "")
	cmd.Stdout = full
	if r := finish(t, cmd); r.code != 1 || !strings.HasPrefix(r.stderr, "writing the results: ") {
		t.Errorf("exit code %d, stderr %q", r.code, r.stderr)
	}
}
