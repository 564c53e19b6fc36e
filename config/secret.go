package config

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every printer and encoder gets of a Secret.
const redacted = "[redacted]"

// Secret is a value that prints as [redacted] wherever it goes. Only Load
// creates one that holds a value; in a tenant it is unset or Provided.
type Secret struct {
	// A pointer, because fmt calls no method on an unexported field that holds
	// a Secret and would print a string, but prints an address here.
	value *string
}

// Provided says that the tenant's secret source will hold this optional
// secret. Required ones are expected there without being mentioned.
func Provided() Secret { return Secret{value: new("")} }

// Reveal returns the value, empty unless Load found one.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// String returns [redacted], like every method below it.
func (Secret) String() string { return redacted }

// GoString is for %#v.
func (Secret) GoString() string { return redacted }

// Format is for every verb, %x and %q included.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is for log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText is for XML, gob, map keys and whatever else asks for text.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON is for encoding/json and the YAML packages on top of it.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalYAML is for the other YAML packages.
func (Secret) MarshalYAML() (any, error) { return redacted, nil }
