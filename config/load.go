package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
)

// fileLimit is the size of the largest secret file: what a Kubernetes Secret
// can hold.
const fileLimit = 1 << 20

// Load fills into, a pointer to a schema struct, from environ, or from the
// process's environment when that is nil. A secret NAME may instead stand in
// the file that NAME_FILE names; one newline at its end is dropped. Of a choice
// only the chosen variant is read. The error joins an [*Error] for every bad or
// missing setting, and into is then left as it was; otherwise all of it is
// overwritten.
func Load(into any, environ map[string]string) error {
	target := reflect.ValueOf(into)
	if target.Kind() != reflect.Pointer {
		return &Error{Problem: "can only be loaded into a pointer to a struct"}
	}
	s, target, err := open(into)
	if err != nil {
		return err
	}
	if environ == nil {
		environ = env.ToMap(os.Environ())
	}
	l := loader{environ: environ, given: map[string]string{}}
	fresh := reflect.New(s.typ).Elem()
	l.group(s.items, fresh)

	values, errs := parse(l.leaves, l.given)
	for _, err := range errs {
		if err != nil {
			l.errs = append(l.errs, err)
		}
	}
	if len(l.errs) > 0 {
		return errors.Join(l.errs...)
	}
	for i, v := range values {
		if v.IsValid() {
			l.leaves[i].store(l.fields[i], v)
		}
	}
	for _, set := range l.sums {
		set()
	}
	target.Set(fresh)
	return nil
}

// loader gathers the leaves that an environment calls for, where they go and
// what they are given.
type loader struct {
	environ map[string]string
	leaves  []*leaf
	fields  []reflect.Value
	given   map[string]string // by name
	sums    []func()          // assign the variants, the innermost first
	errs    []error
}

func (l *loader) group(items []item, v reflect.Value) {
	for _, it := range items {
		field := v.FieldByIndex(it.index)
		if it.leaf != nil {
			value, problem := l.lookup(it.leaf)
			if problem != "" {
				l.errs = append(l.errs, problemf(it.leaf.Setting, "%s", problem))
				continue
			}
			l.given[it.leaf.Name] = value
			l.leaves, l.fields = append(l.leaves, it.leaf), append(l.fields, field)
			continue
		}
		chosen, problem := it.sum.named(l)
		if problem != "" {
			l.errs = append(l.errs, problemf(it.sum.Setting, "%s", problem))
			continue
		}
		inner := reflect.New(chosen.typ).Elem()
		l.group(chosen.items, inner)
		l.sums = append(l.sums, func() { field.Set(inner) })
	}
}

// named returns the variant that the environment chooses.
func (s *sum) named(l *loader) (variant, string) {
	if s.Name == "" {
		var given []variant
		for _, v := range s.variants {
			if l.environ[v.witness.Name] != "" || v.witness.Secret && l.environ[v.witness.Name+"_FILE"] != "" {
				given = append(given, v)
			}
		}
		if len(given) != 1 {
			return variant{}, fmt.Sprintf("needs exactly one of %s, %d given", strings.Join(s.Either, ", "), len(given))
		}
		return given[0], ""
	}
	word := l.environ[s.Name]
	switch {
	case word == "" && s.Default == nil:
		return variant{}, "is required: one of " + strings.Join(s.OneOf, ", ")
	case word == "":
		word = *s.Default
	}
	i := slices.Index(s.OneOf, word)
	if i < 0 {
		return variant{}, "must be one of " + strings.Join(s.OneOf, ", ")
	}
	return s.variants[i], ""
}

func (l *loader) lookup(leaf *leaf) (value, problem string) {
	value, file := l.environ[leaf.Name], l.environ[leaf.Name+"_FILE"]
	switch {
	case !leaf.Secret || file == "":
		return value, ""
	case value != "":
		return "", "is given twice: drop it or " + leaf.Name + "_FILE"
	}
	value, err := readSecret(file)
	if err != nil {
		// The cause alone: the path may be a secret put in the wrong variable.
		if p, ok := errors.AsType[*os.PathError](err); ok {
			err = p.Err
		}
		return "", fmt.Sprintf("reading the file that %s_FILE names: %v", leaf.Name, err)
	}
	return value, ""
}

func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe would block, a device never end
		return "", errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, fileLimit+1))
	if err != nil {
		return "", err
	}
	if len(content) > fileLimit {
		return "", errors.New("larger than 1 MiB")
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r"), nil
}

// parse reads the leaves from given, which holds their values by name: caarlos0
// fills a flat struct of them, of which each field is named after the leaf's
// position and is a pointer, nil for unset. What it makes of a bad value is
// replaced, because its errors quote it. Values and errors are by position; a
// leaf that is unset has the zero Value and nil.
func parse(leaves []*leaf, given map[string]string) ([]reflect.Value, []*Error) {
	fields := make([]reflect.StructField, len(leaves))
	position := map[string]int{}
	for i, l := range leaves {
		tag := fmt.Sprintf("env:%q", l.Name)
		if l.Required {
			tag = fmt.Sprintf("env:%q", l.Name+",required,notEmpty")
		}
		if l.Default != nil {
			tag += fmt.Sprintf(" envDefault:%q", *l.Default)
		}
		name := fmt.Sprintf("F%d", i)
		position[name], position[l.Name] = i, i
		fields[i] = reflect.StructField{Name: name, Type: reflect.PointerTo(l.wire()), Tag: reflect.StructTag(tag)}
	}
	flat := reflect.New(reflect.StructOf(fields))
	err := env.ParseWithOptions(flat.Interface(), env.Options{Environment: given})

	values, errs := make([]reflect.Value, len(leaves)), make([]*Error, len(leaves))
	if all, ok := errors.AsType[env.AggregateError](err); ok {
		for _, err := range all.Errors {
			name, problem := "", "is required"
			if bad, ok := errors.AsType[env.ParseError](err); ok {
				name, problem = bad.Name, "must be "+leaves[position[bad.Name]].article()
			} else if missing, ok := errors.AsType[env.VarIsNotSetError](err); ok {
				name = missing.Key
			} else if empty, ok := errors.AsType[env.EmptyVarError](err); ok {
				name = empty.Key
			} else {
				panic(fmt.Sprintf("unhandled %T", err))
			}
			errs[position[name]] = problemf(leaves[position[name]].Setting, "%s", problem)
		}
	}
	for i, l := range leaves {
		wire := flat.Elem().Field(i)
		if errs[i] != nil || wire.IsNil() {
			continue
		}
		v, problem := l.value(wire.Elem())
		if problem == "" {
			problem = l.check(v)
		}
		if problem != "" {
			errs[i] = problemf(l.Setting, "%s", problem)
			continue
		}
		values[i] = v
	}
	return values, errs
}

// store puts v, of type l.typ, into the field that l describes.
func (l *leaf) store(field, v reflect.Value) {
	switch {
	case l.Derived:
		field.Addr().Interface().(derived).fill(v)
	case field.Kind() == reflect.Pointer:
		p := reflect.New(l.typ)
		p.Elem().Set(v)
		field.Set(p)
	default:
		field.Set(v)
	}
}
