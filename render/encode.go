package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Encode is the one encoding of an object: YAML with sorted keys, and without what Go's encoding of typed
// objects adds and nobody said: status, and metadata of templates that is empty. Golden files and whoever
// applies them share it.
//
// What cannot survive the way to the API server and back is refused: nulls, which appliers drop, and
// integers beyond 2^53, which JSON readers round.
func Encode(o Object) ([]byte, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return nil, err
	}
	prune(tree)
	if err := lossless("", tree); err != nil {
		return nil, err
	}
	return appendMap(make([]byte, 0, 2*len(text)), tree, 0), nil
}

func prune(tree map[string]any) {
	delete(tree, "status")
	for _, value := range tree {
		pruneEmpty(value)
	}
}

// pruneEmpty drops the empty status of volume claim templates and the empty metadata of job and claim
// templates. Other empty objects say something: an empty selector picks everything.
func pruneEmpty(value any) {
	switch v := value.(type) {
	case map[string]any:
		for _, key := range []string{"metadata", "status"} {
			if m, ok := v[key].(map[string]any); ok && len(m) == 0 {
				delete(v, key)
			}
		}
		for _, item := range v {
			pruneEmpty(item)
		}
	case []any:
		for _, item := range v {
			pruneEmpty(item)
		}
	}
}

func lossless(path string, value any) error {
	switch v := value.(type) {
	case nil:
		return fmt.Errorf("%s is null", strings.TrimPrefix(path, "."))
	case json.Number:
		if n, err := v.Int64(); (err == nil && (n > 1<<53 || n < -1<<53)) || (err != nil && !strings.ContainsAny(v.String(), ".eE")) {
			return fmt.Errorf("%s is an integer beyond 2^53", strings.TrimPrefix(path, "."))
		}
	case map[string]any:
		for key, item := range v {
			if err := lossless(path+"."+key, item); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range v {
			if err := lossless(path+"["+strconv.Itoa(i)+"]", item); err != nil {
				return err
			}
		}
	}
	return nil
}

// The emitter below writes the tree of a JSON value as YAML that every YAML 1.1 and 1.2 reader understands
// alike: block style, sorted keys, lists not indented below their key, text plain where no reader could
// take it for anything else, otherwise a literal block or double quotes.

func appendMap(out []byte, m map[string]any, indent int) []byte {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for i, key := range keys {
		if i > 0 || len(out) > 0 && out[len(out)-1] == '\n' {
			out = appendSpaces(out, indent)
		}
		out = appendText(out, key, -1)
		out = append(out, ':')
		switch v := m[key].(type) {
		case map[string]any:
			if len(v) > 0 {
				out = append(out, '\n')
				out = appendMap(out, v, indent+2)
				continue
			}
		case []any:
			if len(v) > 0 {
				out = append(out, '\n')
				out = appendList(out, v, indent)
				continue
			}
		}
		out = append(out, ' ')
		out = appendScalar(out, m[key], indent+2)
	}
	return out
}

func appendList(out []byte, list []any, indent int) []byte {
	for i, item := range list {
		if i > 0 || len(out) > 0 && out[len(out)-1] == '\n' {
			out = appendSpaces(out, indent)
		}
		out = append(out, '-', ' ')
		switch v := item.(type) {
		case map[string]any:
			if len(v) > 0 {
				out = appendMap(out, v, indent+2)
				continue
			}
		case []any:
			if len(v) > 0 {
				out = appendList(out, v, indent+2)
				continue
			}
		}
		out = appendScalar(out, item, indent+2)
	}
	return out
}

// appendScalar writes text, a number, a boolean or an empty collection, and the line's end.
func appendScalar(out []byte, value any, indent int) []byte {
	switch v := value.(type) {
	case string:
		return append(appendText(out, v, indent), '\n')
	case json.Number:
		return append(append(out, v...), '\n')
	case bool:
		return append(strconv.AppendBool(out, v), '\n')
	case map[string]any:
		return append(out, "{}\n"...)
	case []any:
		return append(out, "[]\n"...)
	default:
		panic(fmt.Sprintf("unhandled %T", v))
	}
}

func appendSpaces(out []byte, n int) []byte {
	for range n {
		out = append(out, ' ')
	}
	return out
}

// appendText writes a string. A literal block is indented by indent; a negative indent, as for keys,
// allows none. The line's end is not written.
func appendText(out []byte, s string, indent int) []byte {
	if plain(s) {
		return append(out, s...)
	}
	if indent >= 0 && strings.Contains(s, "\n") && literal(s) {
		body := strings.TrimSuffix(s, "\n")
		if body == s {
			out = append(out, "|-"...)
		} else {
			out = append(out, '|')
		}
		for line := range strings.SplitSeq(body, "\n") {
			out = append(out, '\n')
			if line != "" {
				out = append(appendSpaces(out, indent), line...)
			}
		}
		return out
	}
	out = append(out, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			out = append(out, '\\', byte(r))
		case r == '\n':
			out = append(out, `\n`...)
		case r == '\t':
			out = append(out, `\t`...)
		case printable(r):
			out = utf8.AppendRune(out, r)
		case r > 0xffff:
			out = fmt.Appendf(out, `\U%08x`, r)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return append(out, '"')
}

// printable says that a reader takes the rune as it is, anywhere in a line.
func printable(r rune) bool {
	return r >= ' ' && r <= '~' || r > 0xa0 && r < 0xfffe && r != 0x2028 && r != 0x2029 && r != 0xfeff && unicode.IsPrint(r)
}

// literal says that s can stand in a literal block: printable lines without blanks at either end of the
// text's first line or at any line's end, and at most one final line break.
func literal(s string) bool {
	if s[0] == ' ' || s[0] == '\n' || strings.HasSuffix(s, "\n\n") {
		return false
	}
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasSuffix(line, " ") {
			return false
		}
		for _, r := range line {
			if !printable(r) {
				return false
			}
		}
	}
	return true
}

// plain says that s can stand without quotes: no reader takes it for a number, a boolean, null, a date or
// syntax. It is stricter than the specification, which is hard to hold in one's head.
func plain(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '/' || c == '_' || c == '.' && i > 0:
		case '0' <= c && c <= '9':
		case i == 0 || i == len(s)-1 && (c == ':' || c == ' '):
			return false
		case c == ' ' && s[i+1] == '#' || c == ':' && s[i+1] == ' ':
			return false
		case strings.IndexByte(" :-+=@$%()*,;<>~^?!&|", c) < 0:
			return false
		}
	}
	if first := s[0]; '0' <= first && first <= '9' {
		return quantity(s)
	}
	if len(s) > len("false") {
		return true
	}
	switch strings.ToLower(s) {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		return false
	}
	return true
}

// quantity says that s starts with digits and is still no number: a count of bytes, a share of a core, an
// address range or a duration, such as 50Gi, 250m, 10.0.0.0/8, 30s.
func quantity(s string) bool {
	rest := strings.TrimLeft(s, "0123456789.")
	switch rest {
	case "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "s", "h", "d":
		return true
	}
	bits, ok := strings.CutPrefix(rest, "/")
	return ok && bits != "" && strings.Trim(bits, "0123456789") == ""
}
