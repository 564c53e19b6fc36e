package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
)

// Derived is a setting that infrastructure decides: its field carries a fact,
// no tenant can set it, and only Load fills it. It prints and encodes as the
// value it holds.
type Derived[T any] struct {
	value T
}

// Get returns the value, zero until Load.
func (d Derived[T]) Get() T { return d.value }

// Format prints the value.
func (d Derived[T]) Format(f fmt.State, verb rune) {
	_, _ = fmt.Fprintf(f, fmt.FormatString(f, verb), d.value)
}

// LogValue logs the value.
func (d Derived[T]) LogValue() slog.Value { return slog.AnyValue(d.value) }

// MarshalJSON encodes the value.
func (d Derived[T]) MarshalJSON() ([]byte, error) { return json.Marshal(d.value) }

// MarshalYAML encodes the value.
func (d Derived[T]) MarshalYAML() (any, error) { return d.value, nil }

func (d Derived[T]) elem() reflect.Type    { return reflect.TypeFor[T]() }
func (d *Derived[T]) fill(v reflect.Value) { d.value = v.Interface().(T) }

// derived is what *Derived[T] is to the walk, for any T.
type derived interface {
	elem() reflect.Type
	fill(reflect.Value)
}
