package runner

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/template"

	"github.com/tenantry/tenantry/render"
)

// MasterKey is the variable that holds the key from which generated values are derived: 32 bytes in
// base64. Whoever has it can make every generated password again, which is how a lost state is rebuilt.
const MasterKey = "TENANTRY_MASTER_KEY"

// A filler fills the Secrets of units.
type filler struct {
	lookup  func(string) (string, bool) // of a variable
	lacking map[string]bool             // variables that are wanted and not there
	master  []byte                      // nil until one is needed
	wrong   error                       // with the master key
}

// missing is every variable that is wanted and that the environment lacks.
type missing []string

func (m missing) Error() string {
	return "the environment lacks " + strings.Join(m, ", ") + ": set them, such as with a secret manager that runs this command"
}

// fill returns the values of the keys of every Secret, by the unit's name and the Secret's file name. All variables
// that are missing are named at once, and no error holds a value.
func (f *filler) fill(units ...render.Unit) (map[string]map[string]map[string]string, error) {
	filled := map[string]map[string]map[string]string{}
	var errs []error
	for _, unit := range units {
		filled[unit.Name] = map[string]map[string]string{}
		for _, file := range unit.Files {
			gvk := file.Object.GetObjectKind().GroupVersionKind()
			if gvk.Group != "" || gvk.Kind != "Secret" {
				continue
			}
			values, err := f.secret(file.Object.GetAnnotations())
			if err != nil {
				errs = append(errs, fmt.Errorf("filling %s/%s/%s: %w", unit.Fleet, unit.Name, file.Name, err))
				continue
			}
			filled[unit.Name][file.Name] = values
		}
	}
	errs = append(errs, f.wrong)
	if len(f.lacking) > 0 {
		errs = append(errs, missing(slices.Sorted(maps.Keys(f.lacking))))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return filled, nil
}

func (f *filler) secret(annotations map[string]string) (map[string]string, error) {
	values, templates := map[string]string{}, map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		key, ours := strings.CutPrefix(name, render.SecretPrefix)
		if !ours {
			continue
		}
		scheme, rest, _ := strings.Cut(annotations[name], ":")
		switch scheme {
		case "environment":
			value, ok := f.lookup(rest)
			if !ok || value == "" {
				f.lacking[rest] = true
			}
			values[key] = value
		case "generated":
			value, err := f.generate(rest)
			if err != nil {
				return nil, fmt.Errorf("key %s: %w", key, err)
			}
			values[key] = value
		case "template":
			templates[key] = rest
		default:
			return nil, fmt.Errorf("key %s: unknown source %q", key, scheme)
		}
	}
	filled := maps.Clone(values)
	for _, key := range slices.Sorted(maps.Keys(templates)) {
		t, err := template.New(key).Option("missingkey=error").Parse(templates[key])
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", key, err)
		}
		var text bytes.Buffer
		if err := t.Execute(&text, values); err != nil {
			return nil, fmt.Errorf("key %s: its template refers to a key that the Secret lacks", key)
		}
		filled[key] = text.String()
	}
	return filled, nil
}

// generate derives bytes from the master key, the path and the version, in hexadecimal.
func (f *filler) generate(source string) (string, error) {
	path, query, _ := strings.Cut(source, "?")
	options, err := url.ParseQuery(query)
	if err != nil {
		return "", fmt.Errorf("reading %q: %w", source, err)
	}
	size, err := strconv.Atoi(options.Get("bytes"))
	if err != nil || size < 8 || size > 255 {
		return "", fmt.Errorf("reading %q: bytes must be 8 to 255", source)
	}
	version := options.Get("version")
	if path == "" || version == "" {
		return "", fmt.Errorf("reading %q: it names no path or no version", source)
	}
	if f.master == nil {
		text, ok := f.lookup(MasterKey)
		if !ok || text == "" {
			f.lacking[MasterKey] = true
			return "", nil
		}
		master, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(master) != 32 {
			f.wrong = errors.New(MasterKey + " is not 32 bytes in base64: make one with head -c 32 /dev/urandom | base64")
			return "", nil //nolint:nilerr // fill tells it, once for all that is generated
		}
		f.master = master
	}
	value, err := hkdf.Key(sha256.New, f.master, nil, "tenantry/"+path+"?version="+version, size)
	if err != nil {
		return "", fmt.Errorf("deriving %s: %w", path, err)
	}
	return hex.EncodeToString(value), nil
}

// moreVariables is the variable that has a JSON object of further ones, for who cannot name each of them, such as a
// workflow that is the same for every repository.
const moreVariables = "TENANTRY_ENVIRONMENT"

// environment is the process's own, and what moreVariables adds to it.
func environment() (*filler, error) {
	var more map[string]string
	if text := os.Getenv(moreVariables); text != "" && json.Unmarshal([]byte(text), &more) != nil {
		return nil, errors.New(moreVariables + " is not a JSON object of strings") // what is wrong could quote a value
	}
	return &filler{lacking: map[string]bool{}, lookup: func(name string) (string, bool) {
		if value, ok := os.LookupEnv(name); ok {
			return value, true
		}
		value, ok := more[name]
		return value, ok
	}}, nil
}
