package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tenantry/tenantry/review"
)

// running is the browser of all tests.
var running context.Context

func TestMain(m *testing.M) {
	ctx, end, err := start(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	running = ctx
	code := m.Run()
	end()
	os.Exit(code)
}

// A tab is one page, and what happened in it.
type tab struct {
	context.Context
	mu       sync.Mutex
	requests []string
	problems []string // errors, exceptions, violations of the policy, dialogs
}

// A look is how a page is looked at.
type look struct {
	width, height int64
	dark          bool
	scriptless    bool
}

// open shows a page in a tab of its own. When the test ends, it fails for whatever the browser complained of, and for
// every request but the one for the page.
func open(t *testing.T, r review.Report, l look) *tab {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "review.html")
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return visit(t, "file://"+path, l)
}

func visit(t *testing.T, url string, l look) *tab {
	t.Helper()
	ctx, leave := chromedp.NewContext(running)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	tb := &tab{Context: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	err := chromedp.Listen(ctx, func(event any) {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			tb.requests = append(tb.requests, e.Request.URL)
		case *runtime.EventExceptionThrown:
			tb.problems = append(tb.problems, fmt.Sprintf("%s: %s", e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description))
		case *runtime.EventConsoleAPICalled:
			tb.problems = append(tb.problems, fmt.Sprintf("console.%s", e.Type))
		case *log.EventEntryAdded:
			tb.problems = append(tb.problems, e.Entry.Text)
		case *page.EventJavascriptDialogOpening:
			tb.problems = append(tb.problems, "dialog: "+e.Message)
			go chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{}) //nolint:errcheck // the test fails anyway
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		tb.mu.Lock()
		defer tb.mu.Unlock()
		if len(tb.problems) > 0 {
			t.Errorf("the browser complains: %s", strings.Join(tb.problems, "\n"))
		}
		if len(tb.requests) != 1 || tb.requests[0] != url {
			t.Errorf("the page asks for %q", tb.requests)
		}
		cancel()
		leave()
	})
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	call(t, tb, network.Enable, network.EnableParams{})
	call(t, tb, log.Enable, cdp.Empty{})
	call(t, tb, runtime.Enable, cdp.Empty{})
	call(t, tb, page.Enable, page.EnableParams{})
	call(t, tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1})
	call(t, tb, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
	}})
	call(t, tb, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: l.scriptless})
	tb.do(t, chromedp.Navigate(url))
	return tb
}

// call is one command of the DevTools protocol.
func call[P, R any](t *testing.T, tb *tab, command cdp.Command[P, R], params P) R {
	t.Helper()
	r, err := chromedp.Call(tb, command, params)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// get is what an action returns.
func get[T any](t *testing.T, tb *tab, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(tb, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (tb *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tb, actions...); err != nil {
		t.Fatal(err)
	}
}

// eval is the value of an expression in the page.
func eval[T any](t *testing.T, tb *tab, expression string) T {
	t.Helper()
	return get(t, tb, chromedp.Evaluate[T](expression))
}

// sample is one of the reports that package review writes in its tests.
func sample(t testing.TB, name string) review.Report {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "review", "testdata", "reports", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r review.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}
