package config

import (
	"errors"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// schema is a schema struct after reading its tags.
type schema struct {
	typ   reflect.Type
	items []item
}

// item is a leaf or a sum, in declaration order; groups are flattened.
type item struct {
	index []int // of the field, from the schema struct or the variant
	leaf  *leaf
	sum   *sum
}

// sum is a choice. Its Setting describes the discriminator, OneOf the words of
// the variants in their order; without a discriminator Name is empty and
// Either holds the name of each witness.
type sum struct {
	Setting
	variants []variant
}

type variant struct {
	word    string
	typ     reflect.Type
	items   []item
	witness *leaf // the required leaf that shows the variant, without a discriminator
}

var (
	secretType   = reflect.TypeFor[Secret]()
	cronType     = reflect.TypeFor[Cron]()
	durationType = reflect.TypeFor[time.Duration]()

	envName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	factName = regexp.MustCompile(`^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$`)
)

// open returns the schema of settings, a struct or a pointer to one, and the
// struct itself.
func open(settings any) (schema, reflect.Value, error) {
	v := reflect.ValueOf(settings)
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return schema{}, v, &Error{Problem: "is nil"}
	case v.Kind() != reflect.Struct:
		return schema{}, v, &Error{Problem: "must be a struct, not " + v.Type().String()}
	}
	s, err := compile(v.Type())
	return s, v, err
}

// compiled remembers schemas by type: rendering a fleet projects the same one
// for every tenant.
var compiled sync.Map

type outcome struct {
	schema schema
	err    error
}

func compile(t reflect.Type) (schema, error) {
	if o, ok := compiled.Load(t); ok {
		return o.(outcome).schema, o.(outcome).err
	}
	c := compiler{paths: map[string]string{}, defaults: map[string]string{}}
	items := c.group(t, place{})
	c.finish()
	o := outcome{schema{t, items}, errors.Join(c.errs...)}
	compiled.Store(t, o)
	return o.schema, o.err
}

type compiler struct {
	paths    map[string]string // by environment variable
	defaults map[string]string // of the enclosing groups, by environment variable, until used
	leaves   []*leaf
	settings []*Setting // of leaves and sums
	open     []reflect.Type
	errs     []error
}

// place is where the walk stands.
type place struct {
	path, prefix, when string
	index              []int
}

func (at place) field(f reflect.StructField) place {
	at.index = append(slices.Clip(at.index), f.Index...)
	if !f.Anonymous {
		at.path = strings.TrimPrefix(at.path+"."+lowerCamel(f.Name), ".")
	}
	return at
}

func (c *compiler) fail(s Setting, format string, args ...any) {
	c.errs = append(c.errs, problemf(s, format, args...))
}

func (c *compiler) group(t reflect.Type, at place) (items []item) {
	if slices.Contains(c.open, t) {
		c.fail(Setting{Path: at.path}, "%v contains itself", t)
		return nil
	}
	c.open = append(c.open, t)
	defer func() { c.open = c.open[:len(c.open)-1] }()

	var choices []Choice
	if chooser, ok := reflect.TypeAssert[Chooser](reflect.New(t)); ok {
		choices = chooser.Choices()
	}
	for f := range t.Fields() {
		at := at.field(f)
		_, tagged := f.Tag.Lookup("env")
		_, isDerived := reflect.TypeAssert[derived](reflect.New(f.Type))
		switch {
		case f.Name == "_":
		case !f.IsExported():
			c.fail(Setting{Path: at.path}, "is unexported: nothing could fill it")
		case f.Type.Kind() == reflect.Interface:
			items = append(items, item{index: at.index, sum: c.sum(f, at, choices)})
		case f.Type.Kind() == reflect.Struct && f.Type != secretType && !isDerived && !tagged:
			at.prefix += f.Tag.Get("envPrefix")
			own := c.overrule(f, at)
			items = append(items, c.group(f.Type, at)...)
			for _, name := range own {
				if _, unused := c.defaults[name]; unused {
					c.fail(Setting{Path: at.path, Name: name}, "has a default but no field")
					delete(c.defaults, name)
				}
			}
		default:
			items = append(items, item{index: at.index, leaf: c.leaf(f, at)})
		}
	}
	return items
}

// overrule notes the defaults tag of a group and returns the names in it.
func (c *compiler) overrule(f reflect.StructField, at place) (names []string) {
	tag, ok := f.Tag.Lookup("defaults")
	if !ok {
		return nil
	}
	for pair := range strings.SplitSeq(tag, ";") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			c.fail(Setting{Path: at.path}, "defaults must be NAME=value pairs between semicolons")
			continue
		}
		name = at.prefix + name
		if _, outer := c.defaults[name]; !outer { // the outermost group has the last word
			c.defaults[name] = value
			names = append(names, name)
		}
	}
	return names
}

// setting reads what the tags of leaves and sums have in common.
func (c *compiler) setting(f reflect.StructField, at place) Setting {
	name, options, _ := strings.Cut(f.Tag.Get("env"), ",")
	s := Setting{Path: at.path, When: at.when, Preset: f.Tag.Get("preset")}
	if name != "" {
		s.Name = at.prefix + name
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "":
		case "required", "notEmpty":
			s.Required = true
		default:
			c.fail(s, "unsupported option %q in the env tag", option)
		}
	}
	if value, ok := f.Tag.Lookup("envDefault"); ok {
		s.Default = &value
	}
	if value, ok := c.defaults[s.Name]; ok {
		s.Default = &value
		delete(c.defaults, s.Name)
	}
	if s.Required && s.Default != nil {
		c.fail(s, "is required and has a default")
	}
	return s
}

// claim takes the environment variable names of a setting.
func (c *compiler) claim(s Setting) {
	if !envName.MatchString(s.Name) {
		c.fail(s, "needs an env tag with the name of an environment variable")
		return
	}
	names := []string{s.Name}
	if s.Secret {
		names = append(names, s.Name+"_FILE")
	}
	for _, name := range names {
		if other, taken := c.paths[name]; taken {
			c.fail(s, "%s is already that of %s", name, other)
		}
		c.paths[name] = s.Path
	}
}

func (c *compiler) sum(f reflect.StructField, at place, choices []Choice) *sum {
	s := &sum{Setting: c.setting(f, at)}
	s.Type = "string"
	c.settings = append(c.settings, &s.Setting)
	for _, tag := range []string{"fact", "oneof", "min", "max", "unit"} {
		if _, ok := f.Tag.Lookup(tag); ok {
			c.fail(s.Setting, "a choice takes no %s tag", tag)
		}
	}
	if s.Name != "" {
		s.Required = s.Default == nil
		c.claim(s.Setting)
	} else if s.Default != nil {
		c.fail(s.Setting, "a choice without an env tag takes preset, not envDefault")
	}
	for _, choice := range choices {
		t := reflect.TypeOf(choice.Variant)
		switch {
		case t == nil || t.Kind() != reflect.Struct:
			c.fail(s.Setting, "the choice %q must hold a struct value", choice.Word)
			continue
		case f.Type.NumMethod() == 0 || !t.Implements(f.Type):
			continue // of another field
		case choice.Word == "" || slices.Contains(s.OneOf, choice.Word):
			c.fail(s.Setting, "the choice %v needs a word of its own", t)
		}
		s.OneOf = append(s.OneOf, choice.Word)
		s.variants = append(s.variants, variant{word: choice.Word, typ: t})
	}
	if len(s.variants) == 0 {
		c.fail(s.Setting, "no choice is listed for %v: its struct needs a Choices method", f.Type)
	}
	for _, word := range []string{s.Preset, deref(s.Default)} {
		if word != "" && !slices.Contains(s.OneOf, word) {
			c.fail(s.Setting, "%q is not among its choices", word)
		}
	}
	for i := range s.variants {
		c.variant(s, &s.variants[i], at)
	}
	for _, v := range s.variants { // after all of them: Either is shared
		if v.witness != nil {
			v.witness.Either = s.Either
		}
	}
	return s
}

func (c *compiler) variant(s *sum, v *variant, at place) {
	first, outer := len(c.settings), at.when
	at.index = nil
	if s.Name != "" {
		at.when = both(outer, s.Name+"="+v.word)
	}
	v.items = c.group(v.typ, at)
	if s.Name != "" {
		return
	}
	for _, it := range v.items {
		if it.leaf != nil && it.leaf.Required {
			if v.witness != nil {
				v.witness = nil
				break
			}
			v.witness = it.leaf
		}
	}
	if v.witness == nil {
		c.fail(s.Setting, "without an env tag its choice %q needs exactly one required field", v.word)
		return
	}
	for _, inner := range c.settings[first:] {
		if inner != &v.witness.Setting {
			own := strings.TrimPrefix(strings.TrimPrefix(inner.When, outer), ",")
			inner.When = both(both(outer, v.witness.Name), own)
		}
	}
	s.Either = append(s.Either, v.witness.Name)
}

func (c *compiler) leaf(f reflect.StructField, at place) *leaf {
	l := &leaf{Setting: c.setting(f, at), typ: f.Type, min: math.Inf(-1), max: math.Inf(1)}
	c.leaves, c.settings = append(c.leaves, l), append(c.settings, &l.Setting)
	pointer := f.Type.Kind() == reflect.Pointer
	if d, ok := reflect.TypeAssert[derived](reflect.New(f.Type)); ok {
		l.typ, l.Derived = d.elem(), true
	} else if pointer {
		l.typ = f.Type.Elem()
	}
	l.Type = kind(l.typ)
	l.Secret = l.typ == secretType
	c.claim(l.Setting)
	number := l.Type == "integer" || l.Type == "number"
	if l.Type == "" || pointer && !number && l.Type != "boolean" {
		c.fail(l.Setting, "has the unsupported type %v", f.Type)
		l.typ = reflect.TypeFor[string]()
		return l
	}

	if tag, ok := f.Tag.Lookup("fact"); ok {
		c.fact(l, tag)
	}
	if tag, ok := f.Tag.Lookup("oneof"); ok {
		l.OneOf = strings.Split(tag, "|")
		if l.Type != "string" || l.Secret || slices.Contains(l.OneOf, "") {
			c.fail(l.Setting, "oneof needs a string and words between bars")
		}
		for _, word := range []string{l.True, l.False} {
			if word != "" && !slices.Contains(l.OneOf, word) {
				c.fail(l.Setting, "the fact's %q is not among oneof", word)
			}
		}
	}
	l.Unit = f.Tag.Get("unit")
	l.unit = units[l.Unit]
	switch {
	case l.typ == durationType && l.unit == 0:
		c.fail(l.Setting, "a duration needs a unit: ms, s, min, h or days")
		l.unit = time.Millisecond
	case l.typ != durationType && l.Unit != "" && (l.Type != "integer" || l.Unit != "bytes"):
		c.fail(l.Setting, "the unit %q needs a time.Duration", l.Unit)
	}
	l.Min, l.Max = f.Tag.Get("min"), f.Tag.Get("max")
	c.bound(l, l.Min, &l.min, number)
	c.bound(l, l.Max, &l.max, number)

	switch {
	case l.Derived && l.Fact == "":
		c.fail(l.Setting, "is Derived and needs a fact")
	case l.Preset != "" && l.Fact != "":
		c.fail(l.Setting, "has a preset and a fact")
	case l.Secret && (l.Default != nil || l.Preset != ""):
		c.fail(l.Setting, "a secret takes no default and no preset")
	}
	// What a plain field cannot tell from unset must mean the same as unset.
	zeroIsAWord := l.Type == "boolean" || number && l.min <= 0 && l.max >= 0
	if zeroIsAWord && !pointer && !l.Derived && (l.Required || l.Fact != "" || !isZero(l.Preset) || !isZero(deref(l.Default))) {
		c.fail(l.Setting, "needs to be a pointer, or its zero value could not be set")
	}
	return l
}

func (c *compiler) bound(l *leaf, tag string, to *float64, number bool) {
	if tag == "" {
		return
	}
	value, err := strconv.ParseFloat(tag, 64)
	if err != nil || !number {
		c.fail(l.Setting, "bounds must be numbers, of a number")
		return
	}
	*to = value
}

func (c *compiler) fact(l *leaf, tag string) {
	name, words, translated := strings.Cut(tag, ",")
	l.Fact = name
	if !factName.MatchString(name) {
		c.fail(l.Setting, "the fact %q must look like edge.url", name)
	}
	if !translated {
		return
	}
	yes, no, _ := strings.Cut(words, ",")
	var isTrue, isFalse bool
	l.True, isTrue = strings.CutPrefix(yes, "true=")
	l.False, isFalse = strings.CutPrefix(no, "false=")
	if !isTrue || !isFalse || l.True == "" || l.False == "" || l.Type != "string" || l.Secret {
		c.fail(l.Setting, "a translated fact must be a string's, written name,true=word,false=word")
	}
}

// finish checks the defaults and presets of a schema that is sound so far the
// way Load would read them.
func (c *compiler) finish() {
	if len(c.errs) > 0 {
		return
	}
	for _, source := range []struct {
		tag string
		of  func(*leaf) string
	}{
		{"default", func(l *leaf) string { return deref(l.Default) }},
		{"preset", func(l *leaf) string { return l.Preset }},
	} {
		given := map[string]string{}
		var leaves []*leaf
		for _, l := range c.leaves {
			if value := source.of(l); value != "" {
				given[l.Name] = value
				leaves = append(leaves, l)
			}
		}
		_, errs := parse(leaves, given)
		for i, err := range errs {
			if err != nil {
				c.fail(leaves[i].Setting, "its %s %s", source.tag, err.Problem)
			}
		}
	}
}

// both joins two conditions.
func both(a, b string) string { return strings.Trim(a+","+b, ",") }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// isZero reports whether a default or preset says what an unset plain bool or
// number says.
func isZero(text string) bool {
	n, err := strconv.ParseFloat(text, 64)
	return text == "" || text == "false" || err == nil && n == 0
}

// lowerCamel turns APIKeys into apiKeys and URL into url.
func lowerCamel(name string) string {
	runes := []rune(name)
	for i := range runes {
		if i > 0 && (!unicode.IsUpper(runes[i]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			break
		}
		runes[i] = unicode.ToLower(runes[i])
	}
	return string(runes)
}
