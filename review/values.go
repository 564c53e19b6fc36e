package review

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/api/resource"
)

// canonical is a value in the one form that all that mean the same share: without what is the default, with sets
// sorted and quantities in one unit. It is nil for a value that means the same as none.
func canonical(at spot, value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			if item := canonical(at.below(key), item); item != nil {
				out[key] = item
			}
		}
		if len(out) == 0 && hollow[at.name] && at.part.Known() {
			return nil
		}
		return out
	case []any:
		if len(v) == 0 && at.part.Known() {
			return nil
		}
		out := make([]any, len(v))
		of := at.items()
		for i, item := range v {
			out[i] = canonical(of, item)
			if _, isMap := item.(map[string]any); isMap && out[i] == nil {
				out[i] = map[string]any{}
			} else if out[i] == nil {
				out[i] = item
			}
		}
		if sets[at.name] && scalars(v) {
			sortByText(out)
		}
		return out
	case string, int64, float64:
		if isQuantity(at) {
			value = quantity(v)
		}
	}
	if at.rule != nil && at.rule.standard == value {
		return nil
	}
	if is := at.part.Default(); is != nil && same(is, value) {
		return nil
	}
	return value
}

func sortByText(list []any) {
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(flow(a), flow(b)) })
}

// isQuantity tells whether a number at a spot counts bytes or cores. Where no schema says it, it goes by names.
func isQuantity(at spot) bool {
	if at.part.Quantity() || at.kind == "Cluster" && at.name == "size" {
		return true
	}
	if at.part.Known() {
		return false
	}
	return at.above == "requests" || at.above == "limits"
}

// quantity is a quantity in the unit that is the largest without a fraction.
func quantity(value any) any {
	text, isText := value.(string)
	if !isText {
		text = flow(value)
	}
	q, err := resource.ParseQuantity(text)
	if err != nil {
		return value
	}
	// A power of two and one of ten may be the same number: 1Ki and 1024.
	if q.Format == resource.BinarySI || q.MilliValue()%1000 == 0 && q.Value()%1024 == 0 {
		q = *resource.NewQuantity(q.Value(), resource.BinarySI)
	}
	return q.String()
}

// flow writes a value as YAML in one line, whatever is in it: nothing in it is taken for the end of a line, a
// control sequence of a terminal, or another value. It is empty for nil.
func flow(value any) string {
	if value == nil {
		return ""
	}
	return string(appendFlow(nil, value))
}

func appendFlow(out []byte, value any) []byte {
	switch v := value.(type) {
	case map[string]any:
		out = append(out, '{')
		for i, key := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(append(out, quote(key)...), ": "...)
			out = appendFlow(out, v[key])
		}
		return append(out, '}')
	case []any:
		out = append(out, '[')
		for i, item := range v {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = appendFlow(out, item)
		}
		return append(out, ']')
	case string:
		return append(out, quote(v)...)
	case bool:
		return strconv.AppendBool(out, v)
	case int64:
		return strconv.AppendInt(out, v, 10)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<53 {
			return strconv.AppendInt(out, int64(v), 10)
		}
		return strconv.AppendFloat(out, v, 'g', -1, 64)
	}
	return append(out, "null"...)
}

// quote writes text, in double quotes where it could be taken for anything else.
func quote(s string) string {
	if readable(s) {
		return s
	}
	out := append(make([]byte, 0, len(s)+2), '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r == '\n':
			out = append(out, `\n`...)
		case r == '\t':
			out = append(out, `\t`...)
		case r == utf8.RuneError || !unicode.IsPrint(r):
			out = append(out, `\u`...)
			hex := strconv.FormatInt(int64(r), 16)
			out = append(append(out, strings.Repeat("0", max(0, 4-len(hex)))...), hex...)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return string(append(out, '"'))
}

// readable says that text stands for itself without quotes, within brackets too.
func readable(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == ':' || strings.Contains(s, ": ") {
		return false
	}
	letters := false
	for _, r := range s {
		letters = letters || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '/'
		if !isAlphanumeric(r) && !strings.ContainsRune("/._-:@+=", r) {
			return false
		}
	}
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return false
	}
	return letters || strings.Count(s, ".") > 1
}
