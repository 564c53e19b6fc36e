package schema

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A format is what a text or a number must be like, and how that is said after "must be".
type format struct {
	holds func(value any) bool // of the type that the schema asks for
	says  string
}

// formats are all that any schema asks for. Those of Kubernetes' own types are what their decoders take, those of
// custom resources what an API server makes of them, but for addresses whose numbers begin with zero: nobody knows
// what such an address means.
var formats = map[string]format{
	"int32": {func(v any) bool {
		n, _, _ := toNumber(v)
		return n >= math.MinInt32 && n <= math.MaxInt32
	}, "between -2147483648 and 2147483647"},
	"int64": {func(v any) bool {
		n, _, _ := toNumber(v)
		return n >= math.MinInt64 && n < -math.MinInt64
	}, "a number of 64 bits"},
	"double": {func(any) bool { return true }, "a number"},

	"quantity": {func(v any) bool {
		text, ok := v.(string)
		if !ok {
			n, _, _ := toNumber(v)
			text = strconv.FormatFloat(n, 'g', -1, 64)
		}
		_, err := resource.ParseQuantity(strings.TrimSpace(text))
		return err == nil
	}, "a number with one of the suffixes m, k, M, G, T, Ki, Mi, Gi, Ti, such as 50Gi"},
	"date-time":  textual(func(s string) bool { _, err := time.Parse(time.RFC3339, s); return err == nil }, "a time such as 2006-01-02T15:04:05Z"),
	"micro-time": textual(func(s string) bool { _, err := time.Parse(metav1.RFC3339Micro, s); return err == nil }, "a time such as 2006-01-02T15:04:05.000000Z"),
	"base64":     textual(func(s string) bool { _, err := base64.StdEncoding.DecodeString(s); return err == nil }, "base64"),
	"byte": textual(func(s string) bool {
		_, err := base64.StdEncoding.DecodeString(s)
		return err == nil && s != "" && !strings.ContainsAny(s, "\r\n")
	}, "base64 on one line, and not empty"),
	"ipv4": textual(func(s string) bool { return net.ParseIP(s) != nil && strings.Contains(s, ".") }, "an IPv4 address such as 203.0.113.7"),
	"ipv6": textual(func(s string) bool { return net.ParseIP(s) != nil && strings.Contains(s, ":") }, "an IPv6 address such as 2001:db8::7"),
}

// textual is a format of texts; numbers, where a schema allows both, have none.
func textual(holds func(string) bool, says string) format {
	return format{func(v any) bool { s, ok := v.(string); return !ok || holds(s) }, says}
}

// toNumber reads a number as JSON and YAML decoders and Kubernetes' own converter represent it. It returns whether
// it is whole, and false if it is no number.
func toNumber(v any) (n float64, whole, ok bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true, true
	case int32:
		return float64(v), true, true
	case int64:
		return float64(v), true, true
	case uint64:
		return float64(v), true, true
	case float64:
		n = v
	case json.Number:
		var err error
		if n, err = v.Float64(); err != nil {
			return 0, false, false
		}
	default:
		return 0, false, false
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, false, false
	}
	return n, n == math.Trunc(n), true
}
