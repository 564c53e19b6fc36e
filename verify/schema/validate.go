package schema

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	apischema "k8s.io/apimachinery/pkg/runtime/schema"
)

// A Problem is one thing that an API server would not take.
type Problem struct {
	Path    string // of the field, such as spec.containers[0].image; empty for the object as a whole
	Message string // what is wrong
	Remedy  string // empty where the message says it all
}

// deepest is how far down an object is looked at; no API needs a tenth of it.
const deepest = 1000

// Validate returns all that is wrong with an object, by path, or nothing. The object is a tree as package
// encoding/json decodes it, with numbers of any of Go's usual types; it is not changed.
//
// A null is a problem unless a definition allows it: who applies an object drops it, takes it for a field that is
// not there or refuses it.
func (s *Set) Validate(object map[string]any) []Problem {
	kind, problem := s.kindOf(object)
	if problem != nil {
		return []Problem{*problem}
	}
	d := s.kinds[kind]
	w := &walk{set: s, secret: kind.Group == "" && kind.Kind == "Secret"}
	var value any = object
	if d.Schema.defaults {
		value = withDefaults(d.Schema, value)
	}
	w.value(d.Schema, value, true)
	slices.SortFunc(w.problems, compareProblems)
	return w.problems
}

func compareProblems(a, b Problem) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Remedy, b.Remedy))
}

// kindOf returns which of the known kinds an object says it is, or what is wrong with that.
func (s *Set) kindOf(object map[string]any) (apischema.GroupVersionKind, *Problem) {
	var none apischema.GroupVersionKind
	if object == nil {
		return none, &Problem{Message: "is no object"}
	}
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	gv, err := apischema.ParseGroupVersion(apiVersion)
	switch {
	case err != nil || gv.Version == "":
		return none, &Problem{Path: "apiVersion", Message: "must be a group and a version such as apps/v1, or v1"}
	case kind == "":
		return none, &Problem{Path: "kind", Message: "must be the name of a kind such as Deployment"}
	}
	gvk := gv.WithKind(kind)
	if s.kinds[gvk] == nil {
		return none, s.unknown(gvk)
	}
	return gvk, nil
}

// unknown says what is wrong with a kind that the set does not know.
func (s *Set) unknown(kind apischema.GroupVersionKind) *Problem {
	l := s.lifecycles[kind]
	if l != nil && l.Removed != 0 && l.Removed <= s.minor {
		p := &Problem{Path: "apiVersion", Message: fmt.Sprintf("%s is gone since Kubernetes %s", say(kind), name(l.Removed))}
		if r := s.replacement(l); !r.Empty() {
			p.Remedy = "use " + say(r)
		}
		return p
	}
	var versions, groups, kinds []string
	knownGroup := false
	for k := range s.kinds {
		switch {
		case k.GroupKind() == kind.GroupKind():
			versions = append(versions, k.GroupVersion().String())
		case k.Kind == kind.Kind:
			groups = append(groups, k.GroupVersion().String())
		case k.GroupVersion() == kind.GroupVersion():
			kinds = append(kinds, k.Kind)
		}
		knownGroup = knownGroup || k.Group == kind.Group
	}
	none := fmt.Sprintf("there is no %s in Kubernetes %s", say(kind), name(s.minor))
	switch meant := nearest(kind.Kind, kinds); {
	case versions != nil:
		return &Problem{"apiVersion", say(kind) + " is not served by default", "use " + some(versions)}
	case l != nil:
		return &Problem{Path: "apiVersion", Message: say(kind) + " is not served by default"}
	case groups != nil && knownGroup:
		return &Problem{"apiVersion", none, "use " + some(groups)}
	case meant != "":
		return &Problem{"kind", none, fmt.Sprintf("did you mean %s?", meant)}
	case knownGroup:
		return &Problem{Path: "kind", Message: none}
	}
	return &Problem{Message: fmt.Sprintf("there is no schema of %s: nothing in it was looked at", say(kind))}
}

func say(kind apischema.GroupVersionKind) string {
	return kind.GroupVersion().String() + " " + kind.Kind
}

// withDefaults returns the value with what a server sets in a custom resource before it judges it. It copies what
// it changes.
func withDefaults(n *node, value any) any {
	if !n.defaults {
		return value
	}
	switch v := value.(type) {
	case map[string]any:
		out, copied := v, false
		set := func(key string, item any) {
			if !copied {
				out, copied = maps.Clone(v), true
			}
			out[key] = item
		}
		for key, p := range n.Properties {
			if item, found := v[key]; found && p.defaults {
				set(key, withDefaults(p, item))
			} else if !found && p.Default != nil {
				set(key, withDefaults(p, p.Default))
			}
		}
		if n.AdditionalProperties != nil && n.AdditionalProperties.defaults {
			for key, item := range v {
				if n.Properties[key] == nil {
					set(key, withDefaults(n.AdditionalProperties, item))
				}
			}
		}
		return out
	case []any:
		if n.Items == nil || !n.Items.defaults {
			return v
		}
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = withDefaults(n.Items, item)
		}
		return out
	}
	return value
}

// A walk goes through one object along its schema.
type walk struct {
	set      *Set
	secret   bool // no value is repeated
	path     []step
	problems []Problem
}

// A step is a field, a key of a map, or an index if there is neither.
type step struct {
	name  string
	key   bool
	index int
}

func (w *walk) report(message string, args ...any) {
	w.reportWith("", message, args...)
}

func (w *walk) reportWith(remedy, message string, args ...any) {
	w.problems = append(w.problems, Problem{w.at(), fmt.Sprintf(message, args...), remedy})
}

// at writes the path.
func (w *walk) at() string {
	var b strings.Builder
	for _, s := range w.path {
		switch {
		case s.key:
			b.WriteString("[" + s.name + "]")
		case s.name == "":
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case b.Len() > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

// below judges a part of the value at hand.
func (w *walk) below(s step, n *node, value any, strict bool) {
	w.path = append(w.path, s)
	w.value(n, value, strict)
	w.path = w.path[:len(w.path)-1]
}

// value judges a value. Only if strict are fields that the schema does not know problems.
func (w *walk) value(n *node, value any, strict bool) {
	n = w.set.resolve(n)
	if len(w.path) > deepest {
		w.report("lies deeper than %d levels", deepest)
		return
	}
	if !w.typed(n, value) {
		return
	}
	switch v := value.(type) {
	case nil:
		return
	case map[string]any:
		w.object(n, v, strict)
	case []any:
		w.list(n, v, strict)
	case string:
		w.text(n, v)
	case bool:
	default:
		w.number(n, v)
	}
	if n.Format != "" && !formats[n.Format].holds(value) {
		w.report("must be %s, not %s", formats[n.Format].says, w.describe(value))
	}
	if n.Enum != nil {
		w.enumerated(n, value)
	}
	w.alternatives(n, value)
}

// typed judges whether a value is of the type that the schema asks for.
func (w *walk) typed(n *node, value any) bool {
	text, isText := value.(string)
	_, isBool := value.(bool)
	_, whole, isNumber := toNumber(value)
	var want string
	var ok bool
	switch {
	case n.IntOrString:
		want, ok = "a whole number or text", whole || isText
	case n.Format == "quantity":
		want, ok = "a quantity", isNumber || isText
	case n.Type == "object":
		want = "an object"
		_, ok = value.(map[string]any)
	case n.Type == "array":
		want = "a list"
		_, ok = value.([]any)
	case n.Type == "string":
		want, ok = "text", isText
	case n.Type == "boolean":
		want, ok = "true or false", isBool
	case n.Type == "integer":
		want, ok = "a whole number", whole
	case n.Type == "number":
		want, ok = "a number", isNumber
	default:
		return true
	}
	if ok || value == nil && n.Nullable {
		return true
	}
	remedy := ""
	switch n.Type {
	case "string":
		if isNumber || isBool {
			remedy = "quote it"
		}
	case "boolean":
		if text == "true" || text == "false" {
			remedy = "leave out the quotes"
		}
	case "integer", "number":
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			remedy = "leave out the quotes"
		}
	}
	if value == nil {
		remedy = "leave the field out"
	}
	w.reportWith(remedy, "must be %s, not %s", want, w.describe(value))
	return false
}

func (w *walk) object(n *node, fields map[string]any, strict bool) {
	for name, value := range fields {
		switch field := n.Properties[name]; {
		case field != nil:
			w.below(step{name: name}, field, value, strict)
		case n.AdditionalProperties != nil:
			w.below(step{name: name, key: true}, n.AdditionalProperties, value, strict)
		case strict && !n.PreserveUnknown:
			w.path = append(w.path, step{name: name, key: name == ""})
			w.reportWith(suggestion(n, fields, name), "there is no such field")
			w.path = w.path[:len(w.path)-1]
		}
	}
	for _, name := range n.Required {
		if _, found := fields[name]; !found {
			w.path = append(w.path, step{name: name})
			w.report("is required, and is not there")
			w.path = w.path[:len(w.path)-1]
		}
	}
	w.size("fields", len(fields), n.MinProperties, n.MaxProperties)
}

// suggestion is what to do about a field that the schema does not know.
func suggestion(n *node, fields map[string]any, name string) string {
	known := slices.Collect(maps.Keys(n.Properties))
	meant := nearest(name, known)
	_, there := fields[meant]
	switch {
	case len(known) == 0:
		return "leave it out, there are none"
	case meant == "":
		return "there are only " + some(known)
	case there:
		return fmt.Sprintf("did you mean %s, which is there too?", meant)
	}
	return fmt.Sprintf("did you mean %s?", meant)
}

func (w *walk) list(n *node, items []any, strict bool) {
	if n.Items != nil {
		for i, item := range items {
			w.below(step{index: i}, n.Items, item, strict)
		}
	}
	w.size("items", len(items), n.MinItems, n.MaxItems)
	if n.ListType != "" && len(items) > 0 {
		w.duplicates(n, items)
	}
}

// duplicates reports items that are told apart from an earlier one by nothing: those of a set by their value, those
// of a map by the fields that are its keys.
func (w *walk) duplicates(n *node, items []any) {
	first := make(map[string]int, len(items))
	for i, item := range items {
		identity, known := w.identity(n, item)
		if !known {
			continue // the item is wrong itself
		}
		if j, taken := first[identity]; taken {
			w.path = append(w.path, step{index: i})
			if n.ListType == "set" {
				w.report("is what [%d] is already", j)
			} else {
				w.report("has the %s that [%d] has already, by which the items are told apart", strings.Join(n.ListMapKeys, " and "), j)
			}
			w.path = w.path[:len(w.path)-1]
			continue
		}
		first[identity] = i
	}
}

// identity is a text that two items share if they are the same to the list.
func (w *walk) identity(n *node, item any) (string, bool) {
	if n.ListType == "set" {
		return scalar(item)
	}
	fields, ok := item.(map[string]any)
	if !ok {
		return "", false
	}
	var b strings.Builder
	keyed := false
	for _, key := range n.ListMapKeys {
		value, found := fields[key]
		if !found {
			value, found = n.KeyDefaults[key]
		}
		text, ok := scalar(value)
		if found && !ok {
			return "", false
		}
		keyed = keyed || found
		b.WriteString(strconv.Quote(text))
	}
	return b.String(), keyed
}

// scalar writes a text, a number or a boolean so that no two that differ are the same.
func scalar(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return "s" + v, true
	case bool:
		return strconv.FormatBool(v), true
	}
	n, _, ok := toNumber(value)
	return strconv.FormatFloat(n, 'g', -1, 64), ok
}

func same(a, b any) bool {
	if text, ok := a.(string); ok {
		return b == any(text)
	}
	x, ok := scalar(a)
	y, also := scalar(b)
	return ok && also && x == y
}

func (w *walk) text(n *node, text string) {
	if n.MinLength != nil || n.MaxLength != nil {
		w.size("characters", utf8.RuneCountInString(text), n.MinLength, n.MaxLength)
	}
	if n.pattern != nil && !n.pattern.MatchString(text) {
		w.report("must match %s, not %s", n.Pattern, w.describe(text))
	}
}

func (w *walk) size(of string, n int, least, most *int) {
	if least != nil && n < *least {
		w.report("must have at least %d %s, not %d", *least, of, n)
	}
	if most != nil && n > *most {
		w.report("must have at most %d %s, not %d", *most, of, n)
	}
}

func (w *walk) number(n *node, value any) {
	v, _, _ := toNumber(value)
	if n.Minimum != nil && v < *n.Minimum {
		w.report("must be at least %s, not %s", decimal(*n.Minimum), w.describe(value))
	}
	if n.Maximum != nil && v > *n.Maximum {
		w.report("must be at most %s, not %s", decimal(*n.Maximum), w.describe(value))
	}
}

func (w *walk) enumerated(n *node, value any) {
	if slices.ContainsFunc(n.Enum, func(e any) bool { return same(e, value) }) {
		return
	}
	var texts, all []string
	for _, e := range n.Enum {
		if text, ok := e.(string); ok {
			texts = append(texts, text)
			all = append(all, strconv.Quote(text))
		} else {
			all = append(all, fmt.Sprint(e))
		}
	}
	remedy := ""
	if text, _ := value.(string); !w.secret {
		if meant := nearest(text, texts); meant != "" {
			remedy = fmt.Sprintf("did you mean %q?", meant)
		}
	}
	w.reportWith(remedy, "must be one of %s, not %s", strings.Join(all, ", "), w.describe(value))
}

// alternatives judges the value by the schemas beside its own.
func (w *walk) alternatives(n *node, value any) {
	for _, part := range n.AllOf {
		w.value(part, value, false)
	}
	// What is wrong for each of the alternatives.
	try := func(parts []*node) (wrong []string, fits int) {
		for _, part := range parts {
			trial := *w
			trial.problems = nil
			if trial.value(part, value, false); trial.problems == nil {
				fits++
				continue
			}
			p := slices.MinFunc(trial.problems, compareProblems)
			field := strings.TrimPrefix(strings.TrimPrefix(p.Path, w.at()), ".")
			wrong = append(wrong, strings.TrimPrefix(field+" "+p.Message, " "))
		}
		return wrong, fits
	}
	if n.AnyOf != nil {
		if wrong, fits := try(n.AnyOf); fits == 0 {
			w.report("fits nothing that is allowed here: %s", strings.Join(wrong, "; or "))
		}
	}
	if n.OneOf != nil {
		switch wrong, fits := try(n.OneOf); {
		case fits == 0:
			w.report("fits nothing that is allowed here: %s", strings.Join(wrong, "; or "))
		case fits > 1:
			w.report("fits %d of %d things of which it may be only one", fits, len(n.OneOf))
		}
	}
	if n.Not != nil {
		if _, fits := try([]*node{n.Not}); fits == 1 {
			w.report("is what it may not be")
		}
	}
}

// describe names a value in a message.
func (w *walk) describe(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		if w.secret {
			return "this text"
		}
		if utf8.RuneCountInString(v) > 60 {
			v = string([]rune(v)[:60]) + "…"
		}
		return strconv.Quote(v)
	case bool:
		return strconv.FormatBool(v)
	}
	switch n, _, ok := toNumber(value); {
	case ok && w.secret:
		return "this number"
	case ok:
		return decimal(n)
	}
	return fmt.Sprintf("a %T, which is no JSON", value)
}

func decimal(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

// nearest is the candidate that somebody who wrote a name has most likely meant, or none.
func nearest(name string, candidates []string) string {
	best, least := "", 1+len(name)/4
	slices.Sort(candidates)
	for _, c := range candidates {
		if d := distance(strings.ToLower(name), strings.ToLower(c)); d <= least && (best == "" || d < least) {
			best, least = c, d
		}
	}
	return best
}

// distance is how many letters have to be put in, left out or changed to make one text of the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}

// some lists names, a dozen at most.
func some(names []string) string {
	const most = 12
	slices.Sort(names)
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
