// Package engine_test runs the deploy command as people run it: as a process, with Pulumi's engine and Kubernetes
// provider, on a real control plane.
package engine_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenantry/tenantry/deploy/runner"
	"github.com/tenantry/tenantry/gen"
	"github.com/tenantry/tenantry/render"
)

// TestMain makes the test binary whatever its name says: a repository's commands, whose tenants are code, are then
// built once, with the tests.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case deployCommand:
		os.Exit(runner.Main("golden", fleets()))
	case genCommand:
		os.Exit(gen.Main(fleets()))
	}
	os.Exit(m.Run())
}

// The names of the commands.
const (
	deployCommand = "deploy"
	genCommand    = "gen"
)

// specVariable holds the spec of the fleets that a command has.
const specVariable = "TENANTRY_ENGINE_SPEC"

// fleets are those of a command's environment.
func fleets() []render.Fleet {
	var s spec
	if err := json.Unmarshal([]byte(os.Getenv(specVariable)), &s); err != nil {
		fmt.Fprintf(os.Stderr, "reading %s: %v\n", specVariable, err)
		os.Exit(1)
	}
	return s.fleets()
}
