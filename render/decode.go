package render

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Decode reads what Encode has written, to a tree of maps, lists, text, bool, int64 and float64, many times faster
// than a reader of all of YAML. Of any other text ok is false: it may be YAML all the same.
func Decode(text []byte) (tree map[string]any, ok bool) {
	d := &decoder{rest: string(text)}
	if !utf8.Valid(text) || d.indent() != 0 {
		return nil, false
	}
	tree = d.mapping(d.key(), 0, 0)
	return tree, !d.failed && d.rest == ""
}

// deepest is how far down a text is followed; no API needs a tenth of it.
const deepest = 200

// A decoder stands at the beginning of a line, or behind its indentation or dash. Once it has failed, nothing is
// left and nothing that it returned means anything.
type decoder struct {
	rest   string
	failed bool
}

func (d *decoder) fail() { d.failed, d.rest = true, "" }

// indent counts the spaces that the line begins with; -1 at the end.
func (d *decoder) indent() int {
	if d.rest == "" {
		return -1
	}
	return len(d.rest) - len(strings.TrimLeft(d.rest, " "))
}

// mapping reads from behind the first of a map's keys, which are indented by indent.
func (d *decoder) mapping(key string, indent, depth int) map[string]any {
	m := map[string]any{}
	for {
		if d.failed || depth > deepest {
			d.fail()
			return nil
		}
		if after, inline := strings.CutPrefix(d.rest, " "); inline {
			d.rest = after
			m[key] = d.scalar(indent + 2)
		} else if after, below := strings.CutPrefix(d.rest, "\n"); below {
			d.rest = after
			switch n := d.indent(); {
			case n == indent && strings.HasPrefix(d.rest[n:], "- "):
				d.rest = d.rest[n:]
				m[key] = d.list(indent, depth+1)
			case n == indent+2:
				d.rest = d.rest[n:]
				m[key] = d.mapping(d.key(), n, depth+1)
			default:
				d.fail()
			}
		} else {
			d.fail()
		}
		n := d.indent()
		if n < indent {
			return m
		}
		d.rest = d.rest[indent:]
		last := key
		if key = d.key(); n > indent || key <= last {
			d.fail()
		}
	}
}

// list reads from the first of a list's dashes, which are indented by indent.
func (d *decoder) list(indent, depth int) []any {
	var list []any
	for {
		after, ok := strings.CutPrefix(d.rest, "- ")
		if !ok || depth > deepest {
			d.fail()
			return nil
		}
		d.rest = after
		if strings.HasPrefix(d.rest, "- ") {
			list = append(list, d.list(indent+2, depth+1))
		} else if key, ok := d.maybeKey(); ok {
			list = append(list, d.mapping(key, indent+2, depth+1))
		} else {
			list = append(list, d.scalar(indent+2))
		}
		n := d.indent()
		if n < indent || n == indent && !strings.HasPrefix(d.rest[n:], "- ") {
			return list // the next line is of what the list is in
		}
		if n > indent {
			d.fail()
			return nil
		}
		d.rest = d.rest[indent:]
	}
}

// key reads a key and its colon.
func (d *decoder) key() string {
	key, ok := d.maybeKey()
	if !ok {
		d.fail()
	}
	return key
}

// maybeKey reads a key and its colon, if that is what comes next.
func (d *decoder) maybeKey() (string, bool) {
	if strings.HasPrefix(d.rest, `"`) {
		ahead := *d
		key := ahead.quoted()
		after, ok := strings.CutPrefix(ahead.rest, ":")
		if ok {
			d.rest = after
		}
		return key, ok
	}
	line, _, ended := strings.Cut(d.rest, "\n")
	end := strings.Index(line, ": ")
	if end < 0 && strings.HasSuffix(line, ":") {
		end = len(line) - 1
	}
	if !ended || end < 0 || !plain(line[:end]) {
		return "", false
	}
	d.rest = d.rest[end+1:]
	return line[:end], true
}

// scalar reads text, a number, a boolean or an empty collection, and the line's end. Lines of a literal block are
// indented by indent.
func (d *decoder) scalar(indent int) any {
	if strings.HasPrefix(d.rest, `"`) {
		text := d.quoted()
		after, ok := strings.CutPrefix(d.rest, "\n")
		if !ok {
			d.fail()
		}
		d.rest = after
		return text
	}
	line, after, ended := strings.Cut(d.rest, "\n")
	if !ended {
		d.fail()
		return nil
	}
	d.rest = after
	switch {
	case plain(line):
		return line
	case line == "|" || line == "|-":
		return d.block(indent, line == "|")
	case line == "true" || line == "false":
		return line == "true"
	case line == "{}":
		return map[string]any{}
	case line == "[]":
		return []any{}
	}
	if n, err := strconv.ParseInt(line, 10, 64); err == nil && strconv.FormatInt(n, 10) == line {
		return n
	}
	if f, err := strconv.ParseFloat(line, 64); err == nil && strings.Contains(line, ".") && strconv.FormatFloat(f, 'f', -1, 64) == line {
		return f
	}
	d.fail()
	return nil
}

// block reads the lines of a literal block; final says that its text ends with a line break.
func (d *decoder) block(indent int, final bool) string {
	var text strings.Builder
	margin := strings.Repeat(" ", indent)
	for d.rest != "" {
		line, after, ended := strings.Cut(d.rest, "\n")
		body, inside := strings.CutPrefix(line, margin)
		if !ended || line != "" && !inside {
			break
		}
		if line == "" {
			body = ""
		}
		text.WriteString(body)
		text.WriteByte('\n')
		d.rest = after
	}
	s := text.String()
	if !final {
		s = strings.TrimSuffix(s, "\n")
	}
	if !strings.Contains(s, "\n") || !literal(s) {
		d.fail()
	}
	return s
}

// quoted reads text in double quotes.
func (d *decoder) quoted() string {
	// Most has nothing to unescape.
	if end := strings.IndexAny(d.rest[1:], "\"\\\n"); end >= 0 && d.rest[1+end] == '"' {
		text := d.rest[1 : 1+end]
		if strings.IndexFunc(text, func(r rune) bool { return !printable(r) }) < 0 {
			d.rest = d.rest[2+end:]
			return text
		}
	}
	var text strings.Builder
	rest := d.rest[1:]
	for rest != "" {
		r, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
		switch {
		case r == '"':
			d.rest = rest
			return text.String()
		case r != '\\' && printable(r):
			text.WriteRune(r)
			continue
		case r != '\\' || rest == "":
			rest = ""
			continue
		}
		escape := rest[0]
		rest = rest[1:]
		digits := map[byte]int{'u': 4, 'U': 8}[escape]
		switch {
		case escape == '"' || escape == '\\':
			text.WriteByte(escape)
		case escape == 'n':
			text.WriteByte('\n')
		case escape == 't':
			text.WriteByte('\t')
		case digits > 0 && len(rest) >= digits:
			n, err := strconv.ParseInt(rest[:digits], 16, 32)
			if err != nil || !utf8.ValidRune(rune(n)) {
				rest = ""
				continue
			}
			text.WriteRune(rune(n))
			rest = rest[digits:]
		default:
			rest = ""
		}
	}
	d.fail()
	return ""
}
