package live

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestErrorsHoldNoSecret is about API servers and webhooks that echo what they were sent or what they have.
func TestErrorsHoldNoSecret(t *testing.T) {
	const value = "CANARY-51d0c2"
	echo := func(details *metav1.StatusDetails) *apierrors.StatusError {
		return &apierrors.StatusError{ErrStatus: metav1.Status{
			Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Message: "the Secret has " + value, Details: details,
		}}
	}
	causes := &metav1.StatusDetails{Causes: []metav1.StatusCause{{Field: "data[key]", Message: "is " + value}}}
	for _, test := range []struct {
		kind  schema.GroupKind
		shown bool
	}{
		{secret, false},
		{schema.GroupKind{Kind: "ConfigMap"}, true},
	} {
		x := comparison{kind: test.kind, golden: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}}}
		if text := x.harmless(echo(causes)).Error(); strings.Contains(text, value) != test.shown {
			t.Errorf("%s: the error is %q", test.kind, text)
		}
		x.refused(echo(causes))
		x.refused(echo(nil))
		for _, d := range x.report {
			if d.What != Refused || strings.Contains(d.Reason, value) != test.shown {
				t.Errorf("%s: the difference is %+v", test.kind, d)
			}
		}
		if len(x.report) != 2 {
			t.Errorf("%s: %d differences", test.kind, len(x.report))
		}
	}
	if err := (&comparison{kind: secret}).harmless(errors.New("connection refused")); err.Error() != "connection refused" {
		t.Errorf("got %v", err)
	}
}

// TestStranger tells from whom the value of a key is.
func TestStranger(t *testing.T) {
	entry := func(manager string, operation metav1.ManagedFieldsOperationType, minute int, json string) note {
		at := metav1.Unix(int64(minute)*60, 0)
		return note{metav1.ManagedFieldsEntry{Manager: manager, Operation: operation, Time: &at}, fields(t, json)}
	}
	ours := entry(manager, metav1.ManagedFieldsOperationApply, 10, `{"f:data":{"f:k":{}}}`)
	for _, test := range []struct {
		name string
		all  []note
		want string
	}{
		{"ours", []note{ours}, ""},
		{"ours, and the same of another", []note{ours, entry("a", "Apply", 20, `{"f:data":{"f:k":{}}}`)}, ""},
		{"of another", []note{entry("a", "Update", 5, `{"f:data":{"f:k":{}}}`)}, "a"},
		{"of the latest other", []note{entry("b", "Update", 7, `{"f:data":{"f:k":{}}}`), entry("a", "Update", 5, `{"f:data":{"f:k":{}}}`)}, "b"},
		{"ours, then text of another", []note{ours, entry("a", "Apply", 20, `{"f:stringData":{"f:k":{}}}`)}, "a"},
		{"text of another, then ours", []note{entry("a", "Apply", 5, `{"f:stringData":{"f:k":{}}}`), ours}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if n := stranger(test.all, "k"); n != nil {
				got = n.Manager
			}
			if got != test.want {
				t.Errorf("it is from %q, want %q", got, test.want)
			}
		})
	}
}
