// Deploy applies this repository's units with Pulumi; go -C deploy run . -h tells the rest.
package main

import (
	"os"

	"github.com/tenantry/tenantry/deploy/runner"
	"github.com/tenantry/tenantry/tenants"
)

func main() {
	os.Exit(runner.Main("../golden", tenants.Fleets()))
}
