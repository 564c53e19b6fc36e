package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestCurrent(t *testing.T) {
	want, err := generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := read("../" + file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the modules say: run go -C local run ./schemas", file)
	}
}

func TestSum(t *testing.T) {
	if _, err := download(t.Context(), "k8s.io/kubernetes", releases[0].version, "h1:another"); err == nil || !strings.Contains(err.Error(), "has the sum "+releases[0].sum+", not h1:another") {
		t.Errorf("content that is not what is pinned: %v", err)
	}
}

// What a schema demands and package verify/schema does not know is not dropped.
func TestKeywords(t *testing.T) {
	rules := 0
	ofResource := func(in node) (node, error) { return convert(in, &rules) }
	for _, row := range []struct {
		convert func(node) (node, error)
		in      node
		want    string
	}{
		{ofResource, node{"properties": node{"a": node{"uniqueItems": true}}}, "a: uniqueItems: package verify/schema does not know this keyword"},
		{ofResource, node{"anyOf": []any{node{"format": "uri"}}}, "anyOf: format: package verify/schema does not know the format uri"},
		{ofResource, node{"additionalProperties": false}, "additionalProperties: false instead of a schema"},
		{(&converter{}).convert, node{"items": node{"minimum": 1}}, "items: minimum: package verify/schema does not know this keyword"},
	} {
		if _, err := row.convert(row.in); err == nil || err.Error() != row.want {
			t.Errorf("%v: %v, want %s", row.in, err, row.want)
		}
	}
}
