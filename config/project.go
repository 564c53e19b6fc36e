package config

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
)

// Projection is the environment that one set of settings asks for. The three
// lists are disjoint by name and each sorted by it.
type Projection struct {
	Plain   []Plain
	Secrets []SecretRef
	Facts   []Fact
}

// Plain is a variable whose value is known.
type Plain struct{ Name, Value string }

// SecretRef is a variable that the tenant's secret source must hold.
type SecretRef struct{ Name string }

// Fact is a variable whose value infrastructure publishes under the name Fact.
// True and False, when not empty, are the words to write for a boolean one. An
// unpublished fact is a mistake if Required, else the application's default
// applies. A Secret one must stay a reference.
type Fact struct {
	Name, Fact  string
	True, False string
	Required    bool
	Secret      bool
}

// Project lowers settings, a schema struct or a pointer to one, into what
// infrastructure must provide. Written are what is set, what has a preset and
// the discriminator of a choice that is not the application's default; the
// application's own defaults are not. No value of a secret is ever read. The
// error joins an [*Error] for every mistake.
func Project(settings any) (Projection, error) {
	s, v, err := open(settings)
	if err != nil {
		return Projection{}, err
	}
	var p projector
	p.group(s.items, v)
	if len(p.errs) > 0 {
		return Projection{}, errors.Join(p.errs...)
	}
	slices.SortFunc(p.Plain, func(a, b Plain) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Secrets, func(a, b SecretRef) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Facts, func(a, b Fact) int { return cmp.Compare(a.Name, b.Name) })
	return p.Projection, nil
}

type projector struct {
	Projection
	errs []error
}

func (p *projector) group(items []item, v reflect.Value) {
	for _, it := range items {
		field := v.FieldByIndex(it.index)
		if it.leaf != nil {
			p.leaf(it.leaf, field)
			continue
		}
		chosen, inner, problem := it.sum.chosen(field)
		if problem != "" {
			p.errs = append(p.errs, problemf(it.sum.Setting, "%s", problem))
			continue
		}
		if it.sum.Name != "" && (it.sum.Default == nil || chosen.word != *it.sum.Default) {
			p.Plain = append(p.Plain, Plain{it.sum.Name, chosen.word})
		}
		p.group(chosen.items, inner)
	}
}

// chosen returns the variant that a tenant's field holds or, when it is nil,
// stands for, and its value.
func (s *sum) chosen(field reflect.Value) (variant, reflect.Value, string) {
	if field.IsNil() {
		word := s.Preset
		if word == "" && s.Default != nil {
			word = *s.Default
		}
		i := slices.Index(s.OneOf, word)
		if i < 0 {
			return variant{}, reflect.Value{}, "is required: choose one of " + strings.Join(s.OneOf, ", ")
		}
		return s.variants[i], reflect.Zero(s.variants[i].typ), ""
	}
	v := field.Elem()
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return variant{}, reflect.Value{}, "holds a nil pointer"
		}
		v = v.Elem()
	}
	for _, choice := range s.variants {
		if choice.typ == v.Type() {
			return choice, v, ""
		}
	}
	return variant{}, reflect.Value{}, "holds a " + v.Type().String() + ", which is not among its choices"
}

func (p *projector) leaf(l *leaf, v reflect.Value) {
	set := !l.Derived && !v.IsZero()
	switch {
	case l.Fact != "" && !set:
		p.Facts = append(p.Facts, Fact{l.Name, l.Fact, l.True, l.False, l.Required, l.Secret})
	case l.Secret:
		if set || l.Required {
			p.Secrets = append(p.Secrets, SecretRef{l.Name})
		}
	case set:
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		text, problem := l.text(v)
		if problem == "" {
			problem = l.check(v)
		}
		if problem == "" && strings.Contains(text, "PRIVATE KEY-----") {
			problem = "must not hold a private key: a plain setting is for everyone to read"
		}
		if problem != "" {
			p.errs = append(p.errs, problemf(l.Setting, "%s", problem))
			return
		}
		p.Plain = append(p.Plain, Plain{l.Name, text})
	case l.Preset != "":
		p.Plain = append(p.Plain, Plain{l.Name, l.Preset})
	case l.Required:
		p.errs = append(p.errs, problemf(l.Setting, "is required"))
	}
}
