package review

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tenantry/tenantry/verify/schema"
)

// compareFields lists the fields in which two objects of one kind differ. One that is nil has none. What tells two
// values apart does not change between versions of Kubernetes: set is the newest that is known.
func compareFields(set *schema.Set, before, after *object) []Field {
	o := cmp.Or(after, before)
	root := spot{kind: o.Kind, rule: rules[o.Kind], part: set.Part(o.GroupVersionKind)}
	c := &comparison{}
	var b, a map[string]any
	if before != nil {
		b = before.tree
	}
	if after != nil {
		a = after.tree
	}
	for _, key := range keysOf(b, a) {
		at := root.field(key)
		vb, va := b[key], a[key]
		switch {
		case key == "status":
		case key == "metadata":
			mb, ma := withoutName(vb), withoutName(va)
			if before != nil && after != nil {
				c.maps(at, mb, ma)
			}
		case (key == "apiVersion" || key == "kind") && (before == nil || after == nil):
		default:
			mb, bIsMap := vb.(map[string]any)
			ma, aIsMap := va.(map[string]any)
			if (bIsMap || vb == nil) && (aIsMap || va == nil) {
				c.maps(at, mb, ma) // what is new is told by its parts
				continue
			}
			c.value(at, vb, va)
		}
	}
	return c.fields
}

// withoutName is metadata without what tells the object from others.
func withoutName(metadata any) map[string]any {
	m, _ := metadata.(map[string]any)
	m = maps.Clone(m)
	delete(m, "name")
	delete(m, "namespace")
	return m
}

// A comparison collects the fields in which two objects differ. A value that is nil is absent.
type comparison struct{ fields []Field }

// A spot is a place in an object.
type spot struct {
	kind  string
	path  string // spec.template.spec.containers[name=api]; empty where nobody asks
	name  string // of the field, or of the list that it is an item of
	above string // the name of what the field is in
	rule  *rule
	part  schema.Part
}

// below is a field, without its path.
func (s spot) below(name string) spot {
	return spot{kind: s.kind, name: name, above: s.name, rule: s.rule.below(name), part: s.part.Field(name)}
}

func (s spot) field(name string) spot {
	at := s.below(name)
	switch {
	case !plainKey(name):
		at.path = s.path + "[" + quote(name) + "]"
	case s.path == "":
		at.path = name
	default:
		at.path = s.path + "." + name
	}
	return at
}

func plainKey(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r != '_' && r != '-' && !isAlphanumeric(r) }) < 0
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// items is any item of a list, without its path.
func (s spot) items() spot {
	return spot{kind: s.kind, name: s.name, above: s.above, rule: s.rule.below("*"), part: s.part.Item()}
}

func (s spot) item(label string) spot {
	at := s.items()
	at.path = s.path + "[" + label + "]"
	return at
}

func keysOf(b, a map[string]any) []string {
	keys := make([]string, 0, max(len(b), len(a)))
	for key := range a {
		keys = append(keys, key)
	}
	for key := range b {
		if _, both := a[key]; !both {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func (c *comparison) differ(at spot, before, after string) {
	c.fields = append(c.fields, Field{Path: at.path, Before: before, After: after})
}

func (c *comparison) maps(at spot, b, a map[string]any) {
	for _, key := range keysOf(b, a) {
		if vb, va := b[key], a[key]; !same(vb, va) {
			c.value(at.field(key), vb, va)
		}
	}
}

// value compares what stands at a spot.
func (c *comparison) value(at spot, b, a any) {
	mb, bIsMap := b.(map[string]any)
	ma, aIsMap := a.(map[string]any)
	if bIsMap && aIsMap {
		c.maps(at, mb, ma)
		return
	}
	b, a = canonical(at, b), canonical(at, a)
	if same(b, a) {
		return
	}
	lb, bIsList := b.([]any)
	la, aIsList := a.([]any)
	if bIsList && aIsList {
		c.lists(at, lb, la)
		return
	}
	tb, bIsText := b.(string)
	ta, aIsText := a.(string)
	if bIsText && aIsText && strings.Contains(tb, "\n") && strings.Contains(ta, "\n") {
		c.lines(at, tb, ta)
		return
	}
	c.differ(at, flow(b), flow(a))
}

// same tells whether two trees are the same as they stand.
func same(b, a any) bool {
	switch b := b.(type) {
	case map[string]any:
		a, ok := a.(map[string]any)
		if !ok || len(b) != len(a) {
			return false
		}
		for key, vb := range b {
			if va, both := a[key]; !both || !same(vb, va) {
				return false
			}
		}
		return true
	case []any:
		a, ok := a.([]any)
		return ok && slices.EqualFunc(b, a, same)
	}
	switch a.(type) {
	case map[string]any, []any:
		return false
	}
	return b == a
}

// lists compares two lists that are in their canonical form.
func (c *comparison) lists(at spot, b, a []any) {
	if labels, ok := labelsOf(at, b, a); ok {
		c.keyed(at, b, a, labels[0], labels[1])
		return
	}
	if scalars(b) && scalars(a) {
		if wb, wa := flow(b), flow(a); len(wb)+len(wa) <= 2*wide {
			c.differ(at, wb, wa)
			return
		}
	}
	tb, ta := texts(at, b), texts(at, a)
	pairs := align(tb, ta)
	if unordered(at) {
		pairs = match(tb, ta)
	}
	for _, p := range pairs {
		switch {
		case p.before < 0:
			c.value(at.item(strconv.Itoa(p.after)), nil, a[p.after])
		case p.after < 0:
			c.value(at.item(strconv.Itoa(p.before)), b[p.before], nil)
		default:
			c.value(at.item(strconv.Itoa(p.after)), b[p.before], a[p.after])
		}
	}
}

// wide is how long a list of scalars may be to be shown whole.
const wide = 200

func scalars(list []any) bool {
	return !slices.ContainsFunc(list, func(v any) bool {
		switch v.(type) {
		case map[string]any, []any:
			return true
		}
		return false
	})
}

// texts are the items of a list as texts that are the same for all that mean the same.
func texts(at spot, list []any) []string {
	out := make([]string, len(list))
	of := at.items()
	for i, v := range list {
		out[i] = flow(settled(of, v))
	}
	return out
}

// settled is a canonical value with all lists sorted that have no order.
func settled(at spot, value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = settled(at.below(key), item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		of := at.items()
		for i, item := range v {
			out[i] = settled(of, item)
		}
		if unordered(at) && !ordered(at, v, nil) {
			sortByText(out)
		}
		return out
	}
	return value
}

// keyed compares two lists whose items are told apart by their labels.
func (c *comparison) keyed(at spot, b, a []any, labelsB, labelsA []string) {
	indexB, indexA := map[string]int{}, map[string]int{}
	for i, label := range labelsB {
		indexB[label] = i
	}
	var common, commonBefore []string
	for i, label := range labelsA {
		indexA[label] = i
		if _, both := indexB[label]; both {
			common = append(common, label)
		}
	}
	for i, label := range labelsB {
		if j, both := indexA[label]; both {
			commonBefore = append(commonBefore, label)
			c.value(at.item(label), b[i], a[j])
		} else {
			c.value(at.item(label), b[i], nil)
		}
	}
	for i, label := range labelsA {
		if _, both := indexB[label]; !both {
			c.value(at.item(label), nil, a[i])
		}
	}
	if ordered(at, b, a) && !slices.Equal(common, commonBefore) {
		c.differ(at, "["+strings.Join(commonBefore, ", ")+"]", "["+strings.Join(common, ", ")+"]")
	}
}

// keysByGuess are what items of lists are told apart by where no schema says it, the first that fits.
var keysByGuess = [][]string{{"name"}, {"mountPath"}, {"dnsName", "recordType"}, {"containerPort"}, {"port"}, {"type"}, {"key"}, {"alert"}}

// labelsOf tells the items of two lists apart by their merge keys: name=api. There are none when an item lacks a
// key, or when two have the same.
func labelsOf(at spot, b, a []any) (labels [2][]string, ok bool) {
	try := func(keys []string, absent map[string]any) bool {
		for side, list := range [][]any{b, a} {
			labels[side] = make([]string, len(list))
			seen := make(map[string]bool, len(list))
			for i, item := range list {
				m, isMap := item.(map[string]any)
				var parts []string
				for _, key := range keys {
					value := m[key]
					if value == nil {
						value = absent[key]
					}
					switch value.(type) {
					case nil, map[string]any, []any:
						if len(keys) == 1 {
							return false
						}
					default:
						parts = append(parts, key+"="+flow(value))
					}
				}
				label := strings.Join(parts, ",")
				if !isMap || label == "" || seen[label] {
					return false
				}
				seen[label] = true
				labels[side][i] = label
			}
		}
		return true
	}
	if keys, absent := at.part.Keys(); keys != nil && try(keys, absent) {
		return labels, true
	}
	if unordered(at) {
		return labels, false // rules and peers are what they say
	}
	if at.name == "volumeClaimTemplates" {
		named := func(list []any) []any {
			out := make([]any, len(list))
			for i, item := range list {
				m, _ := item.(map[string]any)
				out[i] = m["metadata"]
			}
			return out
		}
		b, a = named(b), named(a)
	}
	for _, keys := range keysByGuess {
		if try(keys, nil) {
			return labels, true
		}
	}
	return labels, false
}

// lines compares texts of several lines.
func (c *comparison) lines(at spot, b, a string) {
	lb, la := strings.Split(b, "\n"), strings.Split(a, "\n")
	// Neighbours that change are one field.
	var was, is []string
	first := 0
	flush := func() {
		if was == nil && is == nil {
			return
		}
		f := Field{Path: at.path + "[line " + strconv.Itoa(first) + "]"}
		if was != nil {
			f.Before = flow(strings.Join(was, "\n"))
		}
		if is != nil {
			f.After = flow(strings.Join(is, "\n"))
		}
		c.fields = append(c.fields, f)
		was, is = nil, nil
	}
	lastB, lastA := -1, -1
	for _, p := range align(lb, la) {
		adjacent := (p.before < 0 || p.before == lastB+1) && (p.after < 0 || p.after == lastA+1)
		if !adjacent {
			flush()
		}
		if was == nil && is == nil {
			first = max(p.before, p.after) + 1
			if p.after >= 0 {
				first = p.after + 1
			}
		}
		if p.before >= 0 {
			was = append(was, lb[p.before])
			lastB = p.before
		}
		if p.after >= 0 {
			is = append(is, la[p.after])
			lastA = p.after
		}
	}
	flush()
}

// A pair is two items that take each other's place; -1 where there is none.
type pair struct{ before, after int }

// align pairs the items of two lists that are not the same in both, where order counts.
func align(b, a []string) []pair {
	start := 0
	for start < len(b) && start < len(a) && b[start] == a[start] {
		start++
	}
	endB, endA := len(b), len(a)
	for endB > start && endA > start && b[endB-1] == a[endA-1] {
		endB--
		endA--
	}
	n, m := endB-start, endA-start
	var pairs []pair
	gap := func(fromB, toB, fromA, toA int) {
		for fromB < toB || fromA < toA {
			p := pair{-1, -1}
			if fromB < toB {
				p.before = fromB
				fromB++
			}
			if fromA < toA {
				p.after = fromA
				fromA++
			}
			pairs = append(pairs, p)
		}
	}
	if n == 0 || m == 0 || n*m > 1<<20 {
		gap(start, endB, start, endA)
		return pairs
	}
	// length[i][j] is of the longest common subsequence of b[start+i:endB] and a[start+j:endA].
	length := make([][]int32, n+1)
	for i := range length {
		length[i] = make([]int32, m+1)
	}
	for i := n - 1; i >= 0; i-- {
		for j := m - 1; j >= 0; j-- {
			if b[start+i] == a[start+j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	i, j, fromB, fromA := 0, 0, 0, 0
	for i < n && j < m {
		switch {
		case b[start+i] == a[start+j]:
			gap(start+fromB, start+i, start+fromA, start+j)
			i, j = i+1, j+1
			fromB, fromA = i, j
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	gap(start+fromB, endB, start+fromA, endA)
	return pairs
}

// match pairs the items of two lists that are not the same in both, where order does not count.
func match(b, a []string) []pair {
	restB, restA := without(b, a), without(a, b)
	pairs := make([]pair, max(len(restB), len(restA)))
	for i := range pairs {
		pairs[i] = pair{-1, -1}
		if i < len(restB) {
			pairs[i].before = restB[i]
		}
		if i < len(restA) {
			pairs[i].after = restA[i]
		}
	}
	return pairs
}

// without is where in a list what stands that another list does not have as often.
func without(list, other []string) []int {
	count := map[string]int{}
	for _, s := range other {
		count[s]++
	}
	var rest []int
	for i, s := range list {
		if count[s]--; count[s] < 0 {
			rest = append(rest, i)
		}
	}
	return rest
}
