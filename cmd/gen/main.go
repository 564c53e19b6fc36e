// Gen renders this repository's tenants into golden/; go run ./cmd/gen -h tells the rest.
package main

import (
	"os"

	"github.com/tenantry/tenantry/gen"
	"github.com/tenantry/tenantry/tenants"
)

func main() {
	os.Exit(gen.Main(tenants.Fleets()))
}
