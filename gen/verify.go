package gen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/tenantry/tenantry/render"
	"github.com/tenantry/tenantry/verify"
)

const verifyHelp = `Holds every unit against every rule: what two tenants must never share, what a pod must
never reach, run as or ask for, what an account must never be allowed, and what an API
server would refuse. Prints each finding with its place, what it endangers and the remedy,
and exits with 1 when there is one. Network policies are evaluated, not enforced: that is
the cluster's part. Rules in CEL are left to the API server.

Without DIR it is what the code renders. DIR is laid out like golden/; what a fleet there
declares is known when tenants/ has a fleet of its name.

Where Cluster.Pools declares the nodes, it also tells how much of them is asked for and how
many more tenants of each tier fit.

-matrix prints who reaches whom instead, and why.

An exception is a value, with a reason and a last day: see Exceptions in render.Fleet.
`

func runVerify(ctx context.Context, c *call) error {
	only := c.flags.String("fleet", "", "only the fleet of this `NAME`")
	matrix := c.flags.Bool("matrix", false, "print who reaches whom, on which ports, and by which policies")
	format := c.flags.String("format", "text", "print as `FORMAT`: text, json or sarif; with -matrix text, json or svg")
	operands, err := c.parse(0, 1)
	if err != nil {
		return err
	}
	formats := []string{"text", "json", "sarif"}
	if *matrix {
		formats = []string{"text", "json", "svg"}
	}
	if !slices.Contains(formats, *format) {
		return usageError{unknown("format", *format, formats), usage(c.command)}
	}
	dir, fleets, err := c.verified(ctx, operands)
	if err != nil {
		return err
	}
	if *only != "" {
		var names []string
		for _, f := range fleets {
			names = append(names, f.Name)
		}
		if !slices.Contains(names, *only) {
			return usageError{unknown("fleet", *only, names), usage(c.command)}
		}
		fleets = slices.DeleteFunc(fleets, func(f verify.Fleet) bool { return f.Name != *only })
	}
	if *format == "svg" && len(fleets) > 1 {
		return usageError{"a picture shows one fleet: name it with -fleet", usage(c.command)}
	}
	if *matrix {
		for i := range fleets {
			reach := verify.Reach(&fleets[i])
			write := map[string]func() error{
				"text": func() error { return reach.WriteText(c.stdout) },
				"json": func() error { return reach.WriteJSON(c.stdout) },
				"svg":  func() error { return reach.WriteSVG(c.stdout) },
			}[*format]
			if len(fleets) > 1 && *format == "text" {
				fmt.Fprintf(c.stdout, "%s:\n", fleets[i].Name)
			}
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	}
	report, err := await(ctx, func() (verify.Report, error) {
		return verify.Check(fleets, exceptions(c.fleets, fleets), time.Now()), nil
	})
	if err != nil {
		return err
	}
	switch *format {
	case "json":
		err = report.WriteJSON(c.stdout)
	case "sarif":
		err = report.WriteSARIF(c.stdout, dir)
	default:
		err = report.WriteText(c.stdout, dir)
		if len(report.Findings) == 0 {
			fmt.Fprintf(c.stderr, "%d rules hold in %s; %s\n", len(verify.Rules()), count(len(fleets), "fleet"), report.Left())
		}
		for _, f := range fleets {
			if len(f.Facts.Pools) == 0 {
				fmt.Fprintf(c.stderr, "%s: Cluster.Pools declares no nodes, so nobody knows whether they suffice\n", f.Name)
			}
		}
		for _, f := range report.Capacity {
			for _, use := range f.Pools {
				fmt.Fprintf(c.stderr, "%s: %s\n", f.Fleet, use)
			}
			for _, room := range f.Rooms {
				fmt.Fprintf(c.stderr, "%s: %s\n", f.Fleet, room)
			}
		}
	}
	if err == nil && len(report.Findings) > 0 {
		err = errors.New(count(len(report.Findings), "finding"))
	}
	return err
}

// verified is what is to be verified: the directory that an operand names, or what the code renders. dir is what
// paths in a report begin with.
func (c *call) verified(ctx context.Context, operands []string) (dir string, fleets []verify.Fleet, err error) {
	if len(operands) > 0 {
		dir = operands[0]
		if err := isDir(dir); err != nil {
			return "", nil, err
		}
		var files []string
		err := fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() {
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			return "", nil, fmt.Errorf("reading %s: %w", dir, err)
		}
		if err := laidOut(dir, files); err != nil {
			return "", nil, err
		}
		if fleets, err = verify.Load(os.DirFS(dir)); err != nil {
			return "", nil, fmt.Errorf("reading %s: %w", dir, err)
		}
	} else {
		dir = golden
		module, err := moduleRoot()
		if err != nil {
			return "", nil, err
		}
		rendered, err := units(ctx, module, c.fleets)
		if err != nil {
			return "", nil, err
		}
		if fleets, err = verify.Of(rendered); err != nil {
			return "", nil, err
		}
	}
	for i := range fleets {
		at := slices.IndexFunc(c.fleets, func(f render.Fleet) bool { return f.Name == fleets[i].Name })
		if at >= 0 {
			fleets[i].Facts = verify.FactsOf(&c.fleets[at])
		}
	}
	return dir, fleets, nil
}

// exceptions are those of the fleets that are verified.
func exceptions(declared []render.Fleet, fleets []verify.Fleet) []verify.Exception {
	var all []verify.Exception
	for _, f := range declared {
		if !slices.ContainsFunc(fleets, func(v verify.Fleet) bool { return v.Name == f.Name }) {
			continue
		}
		for _, e := range f.Exceptions {
			all = append(all, verify.Exception{Rule: e.Rule, Fleet: f.Name, Unit: e.Unit, Object: e.Object, Why: e.Why, Until: e.Until})
		}
	}
	return all
}
