package config

import (
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// leaf is a setting that holds a value: its type and how it stands on the wire.
type leaf struct {
	Setting
	typ      reflect.Type // without a pointer or Derived around it
	unit     time.Duration
	min, max float64
}

// units are the wire units of a time.Duration.
var units = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "days": 24 * time.Hour,
}

// kind returns the type on the wire, empty for what cannot be written there.
func kind(t reflect.Type) string {
	switch {
	case t == secretType:
		return "string"
	case t == cronType:
		return "cron"
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "integer"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	return ""
}

// wire returns the type that caarlos0 parses for the leaf: the widest of its
// kind, so that the size of an int decides and not its parser's.
func (l *leaf) wire() reflect.Type {
	switch {
	case l.Type == "boolean":
		return reflect.TypeFor[bool]()
	case l.Type == "number":
		return reflect.TypeFor[float64]()
	case l.Type != "integer":
		return reflect.TypeFor[string]()
	case l.typ.Kind() >= reflect.Uint:
		return reflect.TypeFor[uint64]()
	}
	return reflect.TypeFor[int64]()
}

func (l *leaf) article() string {
	switch l.Type {
	case "boolean":
		return "true or false"
	case "number":
		return "a number"
	}
	return "an integer in range"
}

// value turns what stood on the wire into the leaf's type.
func (l *leaf) value(wire reflect.Value) (v reflect.Value, problem string) {
	v = reflect.New(l.typ).Elem()
	overflow := false
	switch {
	case l.Secret:
		return reflect.ValueOf(Secret{value: new(wire.String())}), ""
	case l.unit != 0:
		if n := wire.Int(); n > math.MaxInt64/int64(l.unit) || n < math.MinInt64/int64(l.unit) {
			return v, "is too long a time"
		}
		v.SetInt(wire.Int() * int64(l.unit))
		return v, ""
	case wire.CanInt():
		overflow = v.OverflowInt(wire.Int())
	case wire.CanUint():
		overflow = v.OverflowUint(wire.Uint())
	case wire.CanFloat():
		overflow = v.OverflowFloat(wire.Float())
	}
	if overflow {
		return v, "must be " + l.article()
	}
	return wire.Convert(l.typ), ""
}

// text writes a value of the leaf's type as it stands on the wire.
func (l *leaf) text(v reflect.Value) (text, problem string) {
	switch {
	case l.unit != 0:
		if v.Int()%int64(l.unit) != 0 {
			return "", "must be a whole number of " + l.Unit
		}
		return strconv.FormatInt(v.Int()/int64(l.unit), 10), ""
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10), ""
	case v.CanUint():
		return strconv.FormatUint(v.Uint(), 10), ""
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'f', -1, l.typ.Bits()), ""
	case l.Type == "boolean":
		return strconv.FormatBool(v.Bool()), ""
	}
	return v.String(), ""
}

// check returns what is wrong with a value of the leaf's type, if anything.
func (l *leaf) check(v reflect.Value) (problem string) {
	n := math.NaN()
	switch {
	case l.Secret || l.Type == "boolean":
		return ""
	case l.unit != 0:
		n = float64(v.Int() / int64(l.unit))
	case v.CanInt():
		n = float64(v.Int())
	case v.CanUint():
		n = float64(v.Uint())
	case v.CanFloat():
		n = v.Float()
		if math.IsNaN(n) || math.IsInf(n, 0) {
			return "must be a finite number"
		}
	case l.typ == cronType && !Cron(v.String()).valid():
		return "must be a schedule of five fields: minute hour day month weekday"
	case len(l.OneOf) > 0 && !slices.Contains(l.OneOf, v.String()):
		return "must be one of " + strings.Join(l.OneOf, ", ")
	case !utf8.ValidString(v.String()) || strings.ContainsRune(v.String(), 0):
		return "must be UTF-8 without NUL"
	}
	switch {
	case n < l.min:
		return strings.TrimSpace("must be at least " + l.Min + " " + l.Unit)
	case n > l.max:
		return strings.TrimSpace("must be at most " + l.Max + " " + l.Unit)
	}
	return ""
}
