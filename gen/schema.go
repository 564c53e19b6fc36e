package gen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/tenantry/tenantry/config/schema"
	"github.com/tenantry/tenantry/render"
)

const schemaHelp = `Writes what the tenants' settings are, for those who do not read Go: schema/<package>/ is
an npm package for a workspace, with a TypeScript module for the Effect library and a JSON
Schema, and docs/configuration.md lists every setting. Prints one line per changed file and
nothing when nothing changed. With -format it writes nothing and prints one of them. The Go
source of the settings is read for its comments, so this runs where it is.
`

// schemaDir is where the packages are, below the module's root, and page the list of settings.
const (
	schemaDir = "schema"
	pageDir   = "docs"
	pageName  = "configuration.md"
)

func runSchema(ctx context.Context, c *call) error {
	check := c.flags.Bool("check", false, "write nothing; fail with a diff when a file is not what the settings say")
	format := c.flags.String("format", "", "print one `FORMAT`: jsonschema, effect or markdown")
	if _, err := c.parse(0, 0); err != nil {
		return err
	}
	printed := map[string]string{"jsonschema": "schema.json", "effect": "index.ts", "markdown": pageName, "": ""}
	name, known := printed[*format]
	switch {
	case !known:
		return usageError{unknown("format", *format, []string{"jsonschema", "effect", "markdown"}), usage(c.command)}
	case *check && *format != "":
		return usageError{"-check and -format exclude each other", usage(c.command)}
	}
	module, err := moduleRoot()
	if err != nil {
		return err
	}
	packages, page, err := schemas(c.fleets)
	if err != nil {
		return err
	}
	if *format != "" {
		for _, f := range append(packages, page) {
			if path.Base(f.path) == name {
				if _, err := c.stdout.Write(f.data); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if *check {
		diff, err := checkSchema(module, packages, page)
		if err != nil {
			return err
		}
		fmt.Fprint(c.stdout, diff)
		if diff != "" {
			return fmt.Errorf("the schema is not what the settings say: run %s schema", self)
		}
		return nil
	}
	if err := c.write(ctx, module, schemaDir, packages, true); err != nil {
		return err
	}
	return c.write(ctx, module, pageDir, []file{page}, false)
}

// CheckSchema compares schema/ and docs/configuration.md below the module's root with what the settings of
// the fleets' tenants say, as Check does with golden/.
func CheckSchema(root string, fleets []render.Fleet) (string, error) {
	packages, page, err := schemas(fleets)
	if err != nil {
		return "", err
	}
	return checkSchema(root, packages, page)
}

func checkSchema(root string, packages []file, page file) (string, error) {
	diff, err := difference(filepath.Join(root, schemaDir), schemaDir, packages, true)
	if err != nil {
		return "", err
	}
	rest, err := difference(filepath.Join(root, pageDir), pageDir, []file{page}, false)
	return diff + rest, err
}

// schemas is what there is to write of every application whose settings a tenant has.
func schemas(fleets []render.Fleet) (packages []file, page file, err error) {
	kinds := map[string]reflect.Type{}
	for _, f := range fleets {
		for _, t := range f.Tenants {
			kind := reflect.TypeOf(t.Settings)
			if kind == nil {
				return nil, file{}, fmt.Errorf("tenant %s of %s has no settings", t.Name, f.Name)
			}
			if kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			name := path.Base(kind.PkgPath())
			if other, taken := kinds[name]; taken && other != kind {
				return nil, file{}, fmt.Errorf("the settings %s and %s would share schema/%s/: give their packages different names", other, kind, name)
			}
			kinds[name] = kind
		}
	}
	if len(kinds) == 0 {
		return nil, file{}, errors.New("no tenant has settings")
	}
	var pages [][]byte
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		settings := reflect.Zero(kinds[name]).Interface()
		files, err := schema.Package(settings)
		if err != nil {
			return nil, file{}, fmt.Errorf("describing %s: %w", kinds[name], err)
		}
		for _, base := range slices.Sorted(maps.Keys(files)) {
			packages = append(packages, file{path.Join(name, base), files[base]})
		}
		text, err := schema.Markdown(settings)
		if err != nil {
			return nil, file{}, fmt.Errorf("describing %s: %w", kinds[name], err)
		}
		pages = append(pages, text)
	}
	return packages, file{pageName, bytes.Join(pages, []byte("\n"))}, nil
}
