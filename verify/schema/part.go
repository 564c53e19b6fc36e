package schema

import (
	"strings"

	apischema "k8s.io/apimachinery/pkg/runtime/schema"
)

// A Part is what is known of one place in the objects of a kind. Of the zero Part nothing is known.
type Part struct {
	set  *Set
	node *node
}

// Part is the root of the objects of a kind; zero where the set does not know it.
func (s *Set) Part(kind apischema.GroupVersionKind) Part {
	if d := s.kinds[kind]; d != nil {
		return s.part(d.Schema)
	}
	return Part{}
}

func (s *Set) part(n *node) Part {
	if n == nil {
		return Part{}
	}
	return Part{s, s.resolve(n)}
}

// Field is a field of a struct, or what a map has under a key.
func (p Part) Field(name string) Part {
	if p.node == nil {
		return Part{}
	}
	if n := p.node.Properties[name]; n != nil {
		return p.set.part(n)
	}
	return p.set.part(p.node.AdditionalProperties)
}

// Item is what a list consists of.
func (p Part) Item() Part {
	if p.node == nil {
		return Part{}
	}
	return p.set.part(p.node.Items)
}

// Known tells whether the schema describes the place.
func (p Part) Known() bool { return p.node != nil }

// Quantity tells whether a number here is a resource.Quantity, such as 50Gi.
func (p Part) Quantity() bool {
	return p.node != nil && (p.node.Format == "quantity" || p.node.IntOrString && strings.HasPrefix(p.node.Pattern, quantities))
}

// quantities begins the pattern by which custom resource definitions say that something is one.
const quantities = `^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))`

// Unordered tells whether a list has no order.
func (p Part) Unordered() bool { return p.node != nil && p.node.ListType != "" }

// Keys are the fields that the items of a list are told apart by. A key that an item leaves out has a default
// where absent is not nil.
func (p Part) Keys() (keys []string, absent map[string]any) {
	if p.node == nil {
		return nil, nil
	}
	return p.node.ListMapKeys, p.node.KeyDefaults
}

// Default is what a field of a custom resource has where it is left out; nil for none, and for every field of
// Kubernetes' own APIs.
func (p Part) Default() any {
	if p.node == nil {
		return nil
	}
	return p.node.Default
}
