package cluster

import (
	"strings"
	"testing"
)

// TestProcessEnds starts a shell that ends with its input, as the components do.
func TestProcessEnds(t *testing.T) {
	p, err := startProcess(t.TempDir(), "reader", "/bin/sh", "-c", "echo started; cat")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(p.err.Error(), "started") {
		t.Errorf("the end of the log is missing: %v", p.err)
	}
}
