// Schemas writes what package verify/schema knows, to verify/schema/schemas.json.gz:
//
//	go -C local run ./schemas
//
// With -strict DIR it writes JSON Schemas of one minor version there instead, for the linters of package local/score.
//
// All of it is read from Go modules whose content is pinned by hash: what each minor version of Kubernetes serves
// by default from k8s.io/kubernetes, the custom resources from the operators' modules, and when an API is
// deprecated or goes from the methods of its type in k8s.io/api.
package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
)

// file is beside the directory of this module, where go -C starts the command.
const file = "../verify/schema/schemas.json.gz"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	dir := flag.String("strict", "", "write JSON Schemas into `DIR`")
	minor := flag.String("minor", "", "of Kubernetes, for -strict, such as 1.36")
	flag.Parse()
	var err error
	if *dir != "" {
		err = writeStrict(ctx, *dir, *minor)
	} else {
		err = run(ctx, os.Stdout)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

// run writes the file unless it says the same already, and prints its name when it is written.
func run(ctx context.Context, stdout io.Writer) error {
	text, err := generate(ctx)
	if err != nil {
		return err
	}
	old, err := read(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if bytes.Equal(old, text) {
		return nil // compressing again would change the file with Go's version
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return err
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(file, packed.Bytes(), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s: %d bytes, %d unpacked\n", file, packed.Len(), len(text))
	return nil
}

// read returns what a packed file says.
func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	r, err := gzip.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("unpacking %s: %w", path, err)
	}
	return io.ReadAll(r)
}

// A node is a schema, or a part of one, in the vocabulary of package verify/schema.
type node = map[string]any

// A gvk names a kind of object, and is how the OpenAPI documents of Kubernetes do it.
type gvk struct {
	Group   string `json:"group"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
}

func compareKinds(a, b gvk) int {
	return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Version, b.Version))
}

// A document is what is written.
type document struct {
	Minors      []int        `json:"minors"` // of Kubernetes 1, ascending
	Definitions []definition `json:"definitions"`
	Lifecycles  []lifecycle  `json:"lifecycles"`
}

// A definition is a schema under a name, for those minors in which it says this. Other minors may have another
// one under the same name; a schema refers to the one of its own minor.
type definition struct {
	Name   string `json:"name"`
	Minors []int  `json:"minors,omitempty"` // none: all, since the operators are the same everywhere
	Kind   *gvk   `json:"kind,omitempty"`   // of which it is the schema
	Rules  int    `json:"rules,omitempty"`  // in CEL
	Schema node   `json:"schema"`
}

// generate returns the document as JSON.
func generate(ctx context.Context) ([]byte, error) {
	doc := document{Lifecycles: lifecycles()}
	variants := map[string]*definition{} // by name and text
	for _, r := range releases {
		doc.Minors = append(doc.Minors, r.minor)
		definitions, err := builtins(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("reading Kubernetes %s: %w", r.version, err)
		}
		for _, d := range definitions {
			text, err := json.Marshal(d)
			if err != nil {
				return nil, err
			}
			if variants[string(text)] == nil {
				variants[string(text)] = &d
			}
			variants[string(text)].Minors = append(variants[string(text)].Minors, r.minor)
		}
	}
	for _, d := range variants {
		doc.Definitions = append(doc.Definitions, *d)
	}
	custom, err := customs(ctx)
	if err != nil {
		return nil, err
	}
	doc.Definitions = append(doc.Definitions, custom...)
	slices.SortFunc(doc.Definitions, func(a, b definition) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), slices.Compare(a.Minors, b.Minors))
	})
	return json.Marshal(doc)
}

// rewrite returns a schema whose parts are what part makes of them and whose other keywords are what keyword puts
// there. A keyword that it does not expect has to be an error, so that nothing that a schema demands is lost.
func rewrite(in node, part func(node) (node, error), keyword func(out node, key string, value any) error) (node, error) {
	out := node{}
	for _, key := range slices.Sorted(maps.Keys(in)) {
		var err error
		switch value := in[key]; key {
		case "properties":
			fields := node{}
			for name, field := range value.(node) {
				if fields[name], err = part(field.(node)); err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
			}
			out[key] = fields
		case "allOf", "anyOf", "oneOf":
			list := make([]any, len(value.([]any)))
			for i, one := range value.([]any) {
				if list[i], err = part(one.(node)); err != nil {
					return nil, fmt.Errorf("%s: %w", key, err)
				}
			}
			out[key] = list
		case "items", "additionalProperties", "not":
			one, ok := value.(node)
			if !ok {
				return nil, fmt.Errorf("%s: %v instead of a schema", key, value)
			}
			out[key], err = part(one)
		default:
			err = keyword(out, key, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	return out, nil
}

// download returns the directory of a module's content, which must have the sum.
func download(ctx context.Context, module, version, sum string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir = os.TempDir() // no go.mod has a say
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, runErr := cmd.Output() // errors are in the output
	var m struct{ Dir, Sum, Error string }
	switch err := json.Unmarshal(out, &m); {
	case err == nil && m.Error != "":
		return "", fmt.Errorf("downloading %s@%s: %s", module, version, m.Error)
	case runErr != nil || err != nil:
		return "", fmt.Errorf("downloading %s@%s: %w", module, version, errors.Join(runErr, err))
	case m.Sum != sum:
		return "", fmt.Errorf("the content of %s@%s has the sum %s, not %s", module, version, m.Sum, sum)
	}
	return m.Dir, nil
}
