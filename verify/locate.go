package verify

import (
	"bytes"
	"strconv"
	"strings"
)

// An entry is one key, or the dash of one list item, of a YAML text in block style.
type entry struct {
	key  string // empty for a dash
	line int    // from 1
	col  int
}

// locate is the line of a field such as spec.egress[2].to[0], or of the innermost part of it that the text
// has in block style; 1 when it has none.
func locate(text []byte, field string) int {
	line := 1
	scope := entries(text)
	for _, step := range strings.FieldsFunc(field, func(r rune) bool { return r == '.' || r == '[' || r == ']' }) {
		if len(scope) == 0 {
			break
		}
		index, err := strconv.Atoi(step)
		if err != nil {
			index = 0
		}
		found := -1
		for i, e := range scope {
			if e.col != scope[0].col || err == nil && e.key != "" || err != nil && e.key != step {
				continue
			}
			if index == 0 {
				found = i
				break
			}
			index--
		}
		if found < 0 {
			break
		}
		line = scope[found].line
		scope = below(scope, found)
	}
	return line
}

// below is what an entry holds. The items of a list may stand at the column of its key.
func below(scope []entry, i int) []entry {
	of := scope[i]
	for j, e := range scope[i+1:] {
		if e.col < of.col || e.col == of.col && (e.key != "" || of.key == "") {
			return scope[i+1 : i+1+j]
		}
	}
	return scope[i+1:]
}

func entries(text []byte) []entry {
	var out []entry
	number := 0
	for line := range bytes.Lines(text) {
		number++
		rest := strings.TrimLeft(string(line), " ")
		col := len(line) - len(rest)
		for rest == "-\n" || strings.HasPrefix(rest, "- ") {
			out = append(out, entry{"", number, col})
			item := strings.TrimLeft(rest[1:], " ")
			col += len(rest) - len(item)
			rest = item
		}
		key, _, ok := strings.Cut(rest, ":")
		if ok && !strings.HasPrefix(rest, "#") {
			out = append(out, entry{strings.Trim(key, `"'`), number, col})
		}
	}
	return out
}
