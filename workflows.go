// Package tenantry holds the workflows by which this repository is reviewed and deployed. A repository that gen init
// makes has the very same ones; local/path runs their steps.
package tenantry

import "embed"

// Workflows has them as files in .github/workflows.
//
//go:embed .github/workflows/pull-request.yml .github/workflows/comment.yml
//go:embed .github/workflows/deploy.yml .github/workflows/nightly.yml
var Workflows embed.FS
