package review

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/tenantry/tenantry/verify"
)

// An object is one golden file, decoded.
type object struct {
	schema.GroupVersionKind
	namespace, name string
	file            string         // within the unit's directory
	tree            map[string]any // of maps, lists, text, bool, int64 and float64
	unit            *unit          // in the same state of golden/
}

// id is the kind and the name: "Deployment/api".
func (o *object) id() string { return o.Kind + "/" + o.name }

// address is what an acknowledgement names the object by: "acme/Deployment/api", "Namespace/acme".
func (o *object) address() string {
	if o.namespace == "" {
		return o.id()
	}
	return o.namespace + "/" + o.id()
}

// A unit is one golden directory in one of the two states.
type unit struct {
	fleet, name string
	changed     []*object            // those that are not the same in the other state
	same        map[string]*object   // the others, as far as they have been read, by file
	read        func(string) *object // reads one of them; nil when there is none
}

// find is the object of the unit with this kind and name, whether it changes or not; nil when there is none.
func (u *unit) find(kind, name string) *object {
	for _, o := range u.changed {
		if o.Kind == kind && o.name == name {
			return o
		}
	}
	file := strings.ToLower(kind) + "-" + name + ".yaml"
	o, known := u.same[file]
	if !known {
		o = u.read(file)
		u.same[file] = o
	}
	if o == nil || o.Kind != kind || o.name != name {
		return nil
	}
	return o
}

// isName tells whether text can be a name of a file, a kind or an object: nobody is led astray by it.
func isName(s string) bool {
	return s != "" && isAlphanumeric(rune(s[0])) && strings.IndexFunc(s, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune(".:_-", r) }) < 0
}

// largest is the size of a file that is still read. An API server takes no object of half that size.
const largest = 4 << 20

// parse decodes the object of a file. The error is a [*verify.Mistake].
func parse(name string, text []byte) (*object, error) {
	at := func(line int, format string, args ...any) error {
		return &verify.Mistake{File: name, Line: line, Problem: fmt.Sprintf(format, args...)}
	}
	if len(text) > largest {
		return nil, at(1, "is larger than any object: %d bytes", len(text))
	}
	tree, err := verify.Decode(name, text)
	if err != nil {
		return nil, err
	}
	o := &object{file: path.Base(name), tree: tree}
	apiVersion, _ := tree["apiVersion"].(string)
	kind, _ := tree["kind"].(string)
	metadata, _ := tree["metadata"].(map[string]any)
	o.name, _ = metadata["name"].(string)
	o.namespace, _ = metadata["namespace"].(string)
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case err != nil || gv.Version == "" || !isName(kind):
		return nil, at(1, "holds no object: apiVersion and kind are not both set")
	case !isName(o.name) || o.namespace != "" && !isName(o.namespace):
		return nil, at(1, "holds no object that an API server would take: metadata.name is missing, or no name")
	}
	o.GroupVersionKind = gv.WithKind(kind)
	return o, nil
}

// place takes a path apart, as <fleet>/<unit>/<object>.yaml.
func place(name string) (fleet, unit, file string, err error) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || !strings.HasSuffix(name, ".yaml") {
		return "", "", "", errors.New("a file belongs at <fleet>/<unit>/<object>.yaml")
	}
	for _, part := range parts {
		if !isName(part) {
			return "", "", "", fmt.Errorf("%q is no name of an object's, a unit's or a fleet's", part)
		}
	}
	return parts[0], parts[1], parts[2], nil
}
