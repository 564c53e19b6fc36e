// Provider is Pulumi's Kubernetes provider, pulumi-resource-kubernetes, as its own main does it.
package main

import (
	"bytes"
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

// version is the release that the module's version in go.mod follows: the module has no tags.
const version = "4.27.0"

// schema is a file of the provider's module, not of this directory: package build puts it in its place.
//
//go:embed schema.json
var schema []byte

func main() {
	versioned := bytes.Replace(schema, []byte("{"), []byte(`{"version": "`+version+`",`), 1)
	provider.Serve("kubernetes", version, versioned, []byte("{}"))
}
