package config

import (
	"fmt"
	"slices"
)

// Setting describes one environment variable of a schema.
type Setting struct {
	Path     string   // where it stands, such as auth.maxSessionsPerUser
	Name     string   // the environment variable
	Type     string   // on the wire: string, integer, number, boolean or cron
	Unit     string   // of a number: ms, s, min, h, days, bytes
	Default  *string  // the application's own; nil when it has none
	Preset   string   // what is written when a tenant sets nothing; empty for nothing
	OneOf    []string // the allowed words
	Min, Max string   // inclusive bounds, in Unit; empty for none
	Required bool     // the application cannot start without it, if When holds
	Secret   bool
	Derived  bool   // no tenant can set it
	Fact     string // the fact that it comes from, such as edge.url
	True     string // the word for that fact when true; empty for the fact as it is
	False    string
	When     string   // read only when this holds: EMAIL_PROVIDER=smtp, or the name of a setting that must be given
	Either   []string // exactly one of these names must be given, this one among them
}

// Settings describes every setting of a schema, a struct or a pointer to one,
// in declaration order, the discriminator of a choice before its variants.
// The error joins every mistake in the schema itself.
func Settings(schema any) ([]Setting, error) {
	s, _, err := open(schema)
	if err != nil {
		return nil, err
	}
	return describe(nil, s.items), nil
}

func describe(to []Setting, items []item) []Setting {
	for _, it := range items {
		if it.leaf != nil {
			to = append(to, it.leaf.clone())
			continue
		}
		if it.sum.Name != "" {
			to = append(to, it.sum.clone())
		}
		for _, v := range it.sum.variants {
			to = describe(to, v.items)
		}
	}
	return to
}

// clone keeps callers off the remembered schema.
func (s Setting) clone() Setting {
	s.OneOf, s.Either = slices.Clone(s.OneOf), slices.Clone(s.Either)
	if s.Default != nil {
		s.Default = new(*s.Default)
	}
	return s
}

func problemf(s Setting, format string, args ...any) *Error {
	return &Error{Path: s.Path, Name: s.Name, Problem: fmt.Sprintf(format, args...)}
}
