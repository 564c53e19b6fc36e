package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// object is a JSON object; encoding/json sorts its members.
type object map[string]any

// property describes a variable.
type property struct {
	Ref         string   `json:"$ref,omitempty"`
	Description string   `json:"description,omitempty"`
	Type        string   `json:"type"`
	Pattern     string   `json:"pattern,omitempty"`
	Enum        []string `json:"enum,omitempty"`
	MinLength   int      `json:"minLength,omitempty"`
	Default     *string  `json:"default,omitempty"`
	WriteOnly   bool     `json:"writeOnly,omitempty"`
	Path        string   `json:"x-path,omitempty"`
	Kind        string   `json:"x-type,omitempty"`
	Unit        string   `json:"x-unit,omitempty"`
	Minimum     *float64 `json:"x-minimum,omitempty"`
	Maximum     *float64 `json:"x-maximum,omitempty"`
	Fact        string   `json:"x-fact,omitempty"`
	When        string   `json:"x-when,omitempty"`
}

// environment is the schema of all variables.
type environment struct {
	Schema      string              `json:"$schema"`
	Title       string              `json:"title"`
	Description string              `json:"description"`
	Type        string              `json:"type"`
	Required    []string            `json:"required,omitempty"`
	Properties  map[string]property `json:"properties"`
	AllOf       []object            `json:"allOf,omitempty"`
	Defs        object              `json:"$defs,omitempty"`
}

// jsonSchema writes the schema of the environment.
func jsonSchema(t *tree) ([]byte, error) {
	j := jsonWriter{properties: map[string]property{}, defs: object{}}
	j.group(t.root)
	s := environment{
		Schema:      "https://json-schema.org/draft/2020-12/schema",
		Title:       "Environment of " + t.root.typ.String(),
		Description: summary,
		Type:        "object",
		Required:    j.required,
		Properties:  j.properties,
		AllOf:       j.rules,
		Defs:        j.defs,
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(s)
	return b.Bytes(), err
}

const summary = "The environment variables that the application reads, generated from Go: do not edit. " +
	"Every value is the string on the wire; x-type, x-unit, x-minimum and x-maximum say what it stands for. " +
	"An empty variable is an unset one. " +
	"A variable must be well-formed even where x-when does not hold and the application would not look. " +
	"Not checked here: bounds of numbers with a fraction, integers beyond 64 bits, times beyond 292 years, " +
	"the order of the two ends of a range in a schedule, and what files hold."

type jsonWriter struct {
	properties map[string]property
	required   []string
	rules      []object
	defs       object
}

func (j *jsonWriter) group(g *group) {
	for _, n := range g.nodes {
		switch {
		case n.leaf != nil:
			j.leaf(n)
		case n.group != nil:
			j.group(n.group)
		default:
			j.choice(n.choice)
		}
	}
}

func (j *jsonWriter) leaf(n *node) {
	l := n.leaf
	p := property{
		Description: n.about(func(n *node) string { return n.leaf.Name }),
		Type:        "string",
		WriteOnly:   l.Secret,
		Path:        l.Path,
		Unit:        l.Unit,
		Fact:        l.Fact,
		When:        conditions(l.when),
	}
	if !l.optional() {
		p.Default = l.Default
	}
	mandatory := l.Required && !l.Secret && len(l.Either) == 0 && len(l.when) == 0
	empty := "?" // after a pattern's group
	if mandatory {
		empty = ""
	}
	switch {
	case l.Secret:
	case len(l.OneOf) > 0:
		p.Enum = l.OneOf
		if !mandatory {
			p.Enum = append([]string{""}, l.OneOf...)
		}
	case l.Type == "string":
		if mandatory {
			p.MinLength = 1
		}
	default:
		p.Kind = l.Type
		p.Minimum, p.Maximum = l.limits()
		pattern := l.pattern()
		if l.Type == "boolean" || l.Type == "cron" { // all alike
			p.Ref = "#/$defs/" + l.Type
			j.defs[l.Type] = object{"description": l.wire(), "pattern": "^(" + pattern + ")?$"}
			if mandatory {
				p.MinLength = 1
			}
			break
		}
		p.Pattern = "^(" + pattern + ")" + empty + "$"
	}
	j.properties[l.Name] = p
	if l.Secret {
		j.properties[l.Name+"_FILE"] = property{Description: "Path of a file that holds " + l.Name + " instead.", Type: "string", When: p.When}
	}

	required := l.Required && len(l.Either) == 0
	switch {
	case required && l.Secret:
		j.rule(l.when, object{"oneOf": []object{isGiven(l.Name), isGiven(l.Name + "_FILE")}})
	case mandatory:
		j.required = append(j.required, l.Name)
	case required:
		j.rule(l.when, isGiven(l.Name))
	case l.Secret:
		j.rule(l.when, object{"not": isGiven(l.Name, l.Name+"_FILE")})
	}
}

func (j *jsonWriter) choice(c *choice) {
	if c.Name != "" {
		p := property{Description: c.doc, Type: "string", Enum: c.OneOf, Default: c.Default, Path: c.Path, When: conditions(c.when)}
		switch {
		case c.Default == nil && len(c.when) == 0:
			j.required = append(j.required, c.Name)
		case c.Default == nil:
			j.rule(c.when, isGiven(c.Name))
			fallthrough
		default:
			p.Enum = append([]string{""}, c.OneOf...)
		}
		j.properties[c.Name] = p
	} else {
		var witnesses []object
		for _, v := range c.variants {
			witnesses = append(witnesses, v.condition.object())
		}
		j.rule(c.when, object{"oneOf": witnesses})
	}
	for _, v := range c.variants {
		j.group(v.group)
	}
}

// rule adds what must hold under conditions.
func (j *jsonWriter) rule(when []condition, then object) {
	if len(when) > 0 {
		all := make([]object, len(when))
		for i, c := range when {
			all[i] = c.object()
		}
		then = object{"if": object{"allOf": all}, "then": then}
		if len(all) == 1 {
			then["if"] = all[0]
		}
	}
	j.rules = append(j.rules, then)
}

func (c condition) object() object {
	switch {
	case c.witness != nil && c.witness.Secret:
		return object{"anyOf": []object{isGiven(c.witness.Name), isGiven(c.witness.Name + "_FILE")}}
	case c.witness != nil:
		return isGiven(c.witness.Name)
	case c.assumed:
		return object{"properties": object{c.name: object{"enum": []string{"", c.word}}}}
	}
	return object{"required": []string{c.name}, "properties": object{c.name: object{"const": c.word}}}
}

// isGiven holds when all of the names are.
func isGiven(names ...string) object {
	properties := object{}
	for _, name := range names {
		properties[name] = object{"minLength": 1}
	}
	return object{"required": names, "properties": properties}
}

func conditions(when []condition) string {
	words := make([]string, len(when))
	for i, c := range when {
		words[i] = c.String()
	}
	return strings.Join(words, " and ")
}

// pattern matches what Load reads, anchors and the empty string left out.
func (l *leaf) pattern() string {
	switch l.Type {
	case "boolean":
		return "1|t|T|TRUE|true|True|0|f|F|FALSE|false|False"
	case "cron":
		return cronPattern()
	}
	low, high := l.limits()
	if l.Type == "number" {
		sign := "[+-]?"
		if low != nil && *low >= 0 {
			sign = "[+]?"
		}
		return sign + `([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?`
	}
	return integerPattern(low, high, l.unsigned())
}

// exact is where a bound is taken for none.
const exact = 1e15

// integerPattern matches the integers between bounds, nil for none.
func integerPattern(low, high *float64, unsigned bool) string {
	lo, hi := math.Inf(-1), math.Inf(1)
	if low != nil {
		lo = math.Ceil(*low)
	}
	if high != nil {
		hi = math.Floor(*high)
	}
	if unsigned {
		lo = max(lo, 0)
	}
	if lo <= -exact && hi >= exact {
		return "[+-]?[0-9]+"
	}
	var signed []string
	if hi >= 0 {
		sign := "[+]?"
		if unsigned {
			sign = ""
		}
		signed = append(signed, sign+"0*"+either(digits(max(lo, 0), hi)))
	}
	if lo <= 0 && !unsigned {
		signed = append(signed, "-0*"+either(digits(max(-hi, 0), -lo)))
	}
	return strings.Join(signed, "|")
}

func either(alternatives []string) string {
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return "(" + strings.Join(alternatives, "|") + ")"
}

// digits returns patterns for the integers from low, at least 0, to high.
func digits(low, high float64) (patterns []string) {
	if high >= exact {
		n := 1
		for math.Pow10(n) <= low {
			n++
		}
		if low == 0 {
			return []string{"[0-9]+"}
		}
		if low == 1 {
			return []string{"[1-9][0-9]*"}
		}
		return append(digits(low, math.Pow10(n)-1), fmt.Sprintf("[1-9][0-9]{%d,}", n))
	}
	for from, last := int64(low), int64(high); from <= last; {
		// The longest block of numbers that differ in their last digits only.
		size := int64(1)
		for from%(size*10) == 0 && from+size*10-1 <= last && from > 0 {
			size *= 10
		}
		first := from / size % 10
		blocks := min(9-first, (last-from+1)/size-1)
		head := ""
		if rest := from / size / 10; rest > 0 {
			head = strconv.FormatInt(rest, 10)
		}
		pattern := head + strconv.FormatInt(first, 10)
		if blocks > 0 {
			pattern = fmt.Sprintf("%s[%d-%d]", head, first, first+blocks)
		}
		switch n := len(strconv.FormatInt(size, 10)) - 1; n {
		case 0:
		case 1:
			pattern += "[0-9]"
		default:
			pattern += fmt.Sprintf("[0-9]{%d}", n)
		}
		patterns = append(patterns, pattern)
		from += size * (blocks + 1)
	}
	return patterns
}

func cronPattern() string {
	fields := []struct {
		low, high float64
		names     string
	}{{0, 59, ""}, {0, 23, ""}, {1, 31, ""}, {1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"}, {0, 6, "sun mon tue wed thu fri sat"}}
	patterns := make([]string, len(fields))
	for i, f := range fields {
		at := digits(f.low, f.high)
		for j := range at {
			at[j] = "0*" + at[j]
		}
		for name := range strings.FieldsSeq(f.names) {
			var anyCase strings.Builder
			for _, letter := range name {
				fmt.Fprintf(&anyCase, "[%c%c]", unicode.ToUpper(letter), letter)
			}
			at = append(at, anyCase.String())
		}
		one := "(" + strings.Join(at, "|") + ")"
		piece := "([*?]|" + one + "(-" + one + ")?)(/0*[1-9][0-9]*)?"
		patterns[i] = piece + "(," + piece + ")*"
	}
	return strings.Join(patterns, " ")
}
