package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"

	"github.com/tenantry/tenantry/render"
)

// project is the name under which Pulumi keeps all stacks.
const project = "tenantry"

// one runs the command on one unit.
func (c *call) one(ctx context.Context, unit render.Unit, secrets map[string]map[string]string) (o outcome) {
	begin := time.Now()
	o.unit, o.result = unit.Name, "failed"
	defer func() { o.took = time.Since(begin) }()
	dir, err := os.MkdirTemp("", "tenantry-"+unit.Fleet+"."+unit.Name+"-")
	if err != nil {
		o.err = err
		return o
	}
	defer func() { _ = os.RemoveAll(dir) }()
	hide := scrubber(secrets)
	stack, err := c.stack(ctx, dir, unit, secrets)
	if err != nil {
		o.err = hide.error(fmt.Errorf("opening the stack: %w", err))
		return o
	}
	var log strings.Builder
	var counts map[string]int
	switch c.verb {
	case "preview":
		var result auto.PreviewResult
		result, err = stack.Preview(ctx, optpreview.ProgressStreams(&log), optpreview.ErrorProgressStreams(io.Discard), optpreview.SuppressProgress())
		counts = map[string]int{}
		for op, n := range result.ChangeSummary {
			counts[string(op)] = n
		}
		o.result = "previewed"
	case "up":
		var result auto.UpResult
		result, err = stack.Up(ctx, optup.ProgressStreams(&log), optup.ErrorProgressStreams(io.Discard), optup.SuppressProgress())
		if result.Summary.ResourceChanges != nil {
			counts = *result.Summary.ResourceChanges
		}
		o.result = "applied"
	default:
		panic(fmt.Sprintf("unhandled %q", c.verb))
	}
	if err != nil {
		o.result, o.err = "failed", hide.error(diagnosis(err, log.String()))
		return o
	}
	o.changes = summary(counts)
	return o
}

// stack opens a unit's stack in a folder of its own, for two stacks must not share one.
func (c *call) stack(ctx context.Context, dir string, unit render.Unit, secrets map[string]map[string]string) (auto.Stack, error) {
	return auto.UpsertStackInlineSource(ctx, unit.Fleet+"."+unit.Name, project, program(unit, secrets),
		auto.WorkDir(dir),
		auto.Project(workspace.Project{
			Name:    tokens.PackageName(project),
			Runtime: workspace.NewProjectRuntimeInfo("go", nil),
			Backend: &workspace.ProjectBackend{URL: c.state},
		}),
		auto.SecretsProvider("passphrase"),
		auto.EnvVars(map[string]string{
			"PULUMI_SKIP_UPDATE_CHECK": "true",
			// A workspace that is thrown away must not make a new salt each time.
			"PULUMI_FALLBACK_TO_STATE_SECRETS_MANAGER": "true",
		}))
}

// summary is counts such as "3 created, 1 updated".
func summary(counts map[string]int) string {
	words := map[string]string{string(apitype.OpCreate): "created", string(apitype.OpUpdate): "updated", string(apitype.OpDelete): "deleted", string(apitype.OpReplace): "replaced", string(apitype.OpSame): "same"}
	var parts []string
	for _, op := range slices.Sorted(maps.Keys(counts)) {
		if word := words[op]; word != "" {
			parts = append(parts, fmt.Sprintf("%d %s", counts[op], word))
		}
	}
	return strings.Join(parts, ", ")
}

// diagnosis is what Pulumi says went wrong, without what it says went well.
func diagnosis(err error, log string) error {
	_, said, found := strings.Cut(log, "Diagnostics:\n")
	if !found {
		return err
	}
	said, _, _ = strings.Cut(said, "\nResources:\n")
	var lines []string
	for line := range strings.Lines(said) {
		// That the provider was found on the PATH is no part of what went wrong.
		if !strings.Contains(line, "warning: using pulumi-resource-kubernetes from") {
			lines = append(lines, strings.TrimRight(line, "\n"))
		}
	}
	return errors.New(strings.TrimSpace(strings.Join(lines, "\n")))
}

// A hider keeps the values of secrets out of what people and logs see: API servers echo bodies.
type hider []string

func scrubber(secrets map[string]map[string]string) hider {
	var values hider
	for _, keys := range secrets {
		for _, value := range keys {
			if len(value) >= 4 { // a shorter one would blank half of every message
				values = append(values, value)
			}
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	return values
}

func (h hider) error(err error) error {
	text := err.Error()
	for _, value := range h {
		text = strings.ReplaceAll(text, value, "[secret]")
	}
	return errors.New(text)
}
