package path_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/rhysd/actionlint"
)

// A scope is what expressions can see: the contexts by name, and how what came before has ended.
type scope struct {
	contexts map[string]any // of maps, strings, numbers and booleans
	failed   bool
}

var inText = regexp.MustCompile(`(?s)\$\{\{(.*?)\}\}`)

// text fills in the expressions in a text.
func (s scope) text(text string) string {
	return inText.ReplaceAllStringFunc(text, func(e string) string { return str(s.eval(e[3 : len(e)-2])) })
}

// holds evaluates the if of a job or a step. Without a status function it wants success too.
func (s scope) holds(condition string) bool {
	condition = strings.TrimSpace(condition)
	if match := inText.FindStringSubmatch(condition); match != nil && match[0] == condition {
		condition = match[1]
	}
	if condition == "" {
		condition = "success()"
	}
	holds := truth(s.eval(condition))
	if !regexp.MustCompile(`\b(success|failure|always|cancelled)\(\)`).MatchString(condition) {
		holds = holds && !s.failed
	}
	return holds
}

// eval evaluates an expression. What it does not know, it panics at: a test must not go on with a guess.
func (s scope) eval(source string) any {
	node, err := actionlint.NewExprParser().Parse(actionlint.NewExprLexer(source + "}}"))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", source, err))
	}
	return s.value(node)
}

func (s scope) value(node actionlint.ExprNode) any {
	switch n := node.(type) {
	case *actionlint.StringNode:
		return n.Value
	case *actionlint.BoolNode:
		return n.Value
	case *actionlint.IntNode:
		return float64(n.Value)
	case *actionlint.NullNode:
		return nil
	case *actionlint.VariableNode:
		context, ok := s.contexts[n.Name]
		if !ok {
			panic(fmt.Sprintf("no context %q here", n.Name))
		}
		return context
	case *actionlint.ObjectDerefNode:
		object, _ := s.value(n.Receiver).(map[string]any)
		for name, value := range object { // names have no case
			if strings.EqualFold(name, n.Property) {
				return value
			}
		}
		return nil
	case *actionlint.NotOpNode:
		return !truth(s.value(n.Operand))
	case *actionlint.CompareOpNode:
		equal := strings.EqualFold(str(s.value(n.Left)), str(s.value(n.Right)))
		if n.Kind.IsEqualityOp() {
			return equal == (n.Kind == actionlint.CompareOpNodeKindEq)
		}
	case *actionlint.LogicalOpNode:
		left := s.value(n.Left)
		if truth(left) == (n.Kind == actionlint.LogicalOpNodeKindOr) {
			return left
		}
		return s.value(n.Right)
	case *actionlint.FuncCallNode:
		switch strings.ToLower(n.Callee) {
		case "always":
			return true
		case "success":
			return !s.failed
		case "failure":
			return s.failed
		case "cancelled":
			return false
		case "tojson":
			data, err := json.Marshal(s.value(n.Args[0]))
			if err != nil {
				panic(err)
			}
			return string(data)
		case "fromjson":
			var value any
			if err := json.Unmarshal([]byte(str(s.value(n.Args[0]))), &value); err != nil {
				panic(err)
			}
			return value
		}
	}
	panic(fmt.Sprintf("no such expression here: %#v", node))
}

func truth(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case float64:
		return v != 0
	}
	return true
}

func str(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	panic(fmt.Sprintf("%T is no text", value))
}
