package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tenantry/tenantry/review"
)

var wide = look{width: 1280, height: 900}

// shown is the objects of the changes that are seen.
const shown = `[...document.querySelectorAll(".change .object")].filter((object) => !object.closest("[hidden]")).map((object) => object.textContent)`

// TestSearch filters by text, unit, kind and verdict, and expects what a loop over the report finds.
func TestSearch(t *testing.T) {
	r := sample(t, "mixed")
	tb := open(t, r, wide)
	contains := strings.Contains
	for _, row := range []struct {
		reason, text, unit, kind string
		without                  []review.Verdict
		fits                     func(c review.Change, text string) bool
	}{
		{reason: "everything at first", fits: func(review.Change, string) bool { return true }},
		{reason: "an object", text: "networkpolicy/api", fits: func(_ review.Change, text string) bool { return contains(text, "networkpolicy/api") }},
		{reason: "a value", text: "20Gi", fits: func(_ review.Change, text string) bool { return contains(text, "20gi") }},
		{reason: "two words, in any order", text: "PODS template", fits: func(_ review.Change, text string) bool { return contains(text, "pods") && contains(text, "template") }},
		{reason: "a unit that is not among the first", unit: "tenant-0037", fits: func(c review.Change, _ string) bool { return slices.Contains(c.Units, "tenant-0037") }},
		{reason: "a unit by text", text: "tenant-0037", fits: func(c review.Change, _ string) bool { return slices.Contains(c.Units, "tenant-0037") }},
		{reason: "a kind", kind: "Deployment", fits: func(c review.Change, _ string) bool { return strings.HasPrefix(c.Object, "Deployment/") }},
		{reason: "only the harmless", without: []review.Verdict{1, 2, 3, 4, 5, 6}, fits: func(c review.Change, _ string) bool { return c.Verdict == 0 }},
		{reason: "all at once", text: "image", unit: "tenant-00", kind: "Deployment", without: []review.Verdict{0}, fits: func(c review.Change, text string) bool {
			return c.Verdict != 0 && contains(text, "image") && strings.HasPrefix(c.Object, "Deployment/") && contains(strings.Join(c.Units, " "), "tenant-00")
		}},
		{reason: "what is nowhere", text: "nowhere to be found", fits: func(review.Change, string) bool { return false }},
	} {
		t.Run(row.reason, func(t *testing.T) {
			tb.do(t, chromedp.Click(chromedp.CSS(`button[type=reset]`)))
			if row.text != "" {
				tb.do(t, chromedp.SendKeys(chromedp.CSS(`input[name=text]`), row.text))
			}
			if row.unit != "" {
				tb.do(t, chromedp.SendKeys(chromedp.CSS(`input[name=unit]`), row.unit))
			}
			if row.kind != "" {
				tb.do(t, chromedp.Focus(chromedp.CSS(`select[name=kind]`)), chromedp.KeyEvent(row.kind))
			}
			for _, v := range row.without {
				tb.do(t, chromedp.Click(chromedp.CSS(fmt.Sprintf(`input[name=verdict][value="%d"]`, v))))
			}
			var want []string
			for _, c := range r.Changes {
				text := strings.ToLower(fmt.Sprint(c))
				if row.fits(c, text) {
					want = append(want, c.Object)
				}
			}
			// The page filters in the next frame.
			tb.do(t, wait(fmt.Sprintf(`(%s).length === %d && !document.querySelector(".empty").hidden === %t && document.querySelector("output").value !== ""`, shown, len(want), len(want) == 0)))
			got := eval[[]string](t, tb, shown)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("shows %q, want %q", got, want)
			}
			count := fmt.Sprintf("%d of %d changes", len(want), len(r.Changes))
			if len(want) == len(r.Changes) {
				count = fmt.Sprintf("%d changes", len(want))
			}
			if told := eval[string](t, tb, `document.querySelector("output").value`); told != count {
				t.Errorf("tells of %q, want %q", told, count)
			}
			if heads := eval[int](t, tb, `[...document.querySelectorAll(".group, .of-verdict")].filter((each) => !each.closest("[hidden]") && ![...each.querySelectorAll(".change")].some((change) => !change.hidden)).length`); heads > 0 {
				t.Errorf("%d headings stand over nothing", heads)
			}
		})
	}
}

// wait waits until an expression of the page is true.
func wait(expression string) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(10*time.Second)))
		return err
	})
}

// TestKeyboard goes through the page with nothing but keys.
func TestKeyboard(t *testing.T) {
	tb := open(t, sample(t, "mixed"), wide)
	const can = `a[href], button, input, select, summary, [tabindex='0']`
	eval[bool](t, tb, `(() => { [...document.querySelectorAll("`+can+`")].forEach((each, i) => each.dataset.stop = i); return true })()`)
	stop := func() string {
		return eval[string](t, tb, `(() => { const a = document.activeElement; return a === document.body ? "" : a.dataset.stop ?? "unexpected " + a.outerHTML.slice(0, 80) })()`)
	}
	var reached []string
	for range 500 {
		tb.do(t, chromedp.KeyEvent(kb.Tab))
		at := stop()
		if at == "" || len(reached) > 0 && at == reached[0] {
			break
		}
		reached = append(reached, at)
		if seen := eval[string](t, tb, `(() => { const a = document.activeElement, s = getComputedStyle(a), box = a.getBoundingClientRect();
			return s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2 ? "has no outline" : box.width === 0 || box.bottom < 0 || box.top > innerHeight ? "is out of sight" : "" })()`); seen != "" {
			t.Errorf("what has the focus %s: %s", seen, eval[string](t, tb, `document.activeElement.outerHTML.slice(0, 200)`))
		}
	}
	// One of several radio buttons is a stop, and what is folded is none.
	want := eval[[]string](t, tb, `[...document.querySelectorAll("[data-stop]")].filter((each) => each.checkVisibility({contentVisibilityAuto: false}) && !(each.type === "radio" && !each.checked)).map((each) => each.dataset.stop)`)
	if !slices.Equal(reached, want) {
		t.Errorf("Tab reaches %q, want %q", reached, want)
	}
	if first := eval[string](t, tb, `document.querySelector('[data-stop="`+reached[0]+`"]').className`); first != "skip" {
		t.Errorf("the first stop is no link to skip to the changes but %q", first)
	}

	t.Run("the link skips to the changes", func(t *testing.T) {
		eval[bool](t, tb, `(document.querySelector(".skip").focus(), true)`)
		tb.do(t, chromedp.KeyEvent(kb.Enter), wait(`document.activeElement.id === "changes"`), chromedp.KeyEvent(kb.Tab))
		if name := eval[string](t, tb, `document.activeElement.name`); name != "text" {
			t.Errorf("after it Tab goes to %q", name)
		}
	})
	t.Run("every fold opens and closes", func(t *testing.T) {
		folds := eval[int](t, tb, `document.querySelectorAll("summary").length`)
		if folds < 10 {
			t.Fatalf("there are %d folds only", folds)
		}
		for i := range folds {
			before := eval[bool](t, tb, fmt.Sprintf(`(() => { const s = document.querySelectorAll("summary")[%d]; s.focus(); return s.parentElement.open })()`, i))
			for _, key := range []string{kb.Enter, " "} {
				before = !before
				tb.do(t, chromedp.KeyEvent(key), wait(fmt.Sprintf(`document.querySelectorAll("summary")[%d].parentElement.open === %t`, i, before)))
			}
		}
	})
	t.Run("buttons open and close everything", func(t *testing.T) {
		for _, open := range []string{"open", "close"} {
			eval[bool](t, tb, `(document.querySelector("button[name=`+open+`]").focus(), true)`)
			tb.do(t, chromedp.KeyEvent(" "), wait(fmt.Sprintf(`[...document.querySelectorAll("details.change")].every((each) => each.open === %t)`, open == "open")))
		}
	})
	t.Run("the matrix shows before, after or both", func(t *testing.T) {
		seen := func(tag string) int {
			return eval[int](t, tb, `[...document.querySelectorAll(".matrix `+tag+`")].filter((each) => each.checkVisibility()).length`)
		}
		for _, row := range []struct {
			choice   string
			del, ins int
		}{{"both", 1, 2}, {"only-before", 1, 0}, {"only-after", 0, 2}} {
			eval[bool](t, tb, `(document.querySelector(".switch input:checked").focus(), true)`)
			for range 3 {
				if eval[bool](t, tb, `document.querySelector(".`+row.choice+`").checked`) {
					break
				}
				tb.do(t, chromedp.KeyEvent(kb.ArrowRight))
			}
			if del, ins := seen("del"), seen("ins"); del != row.del || ins != row.ins {
				t.Errorf("%s shows %d that were and %d that are new, want %d and %d", row.choice, del, ins, row.del, row.ins)
			}
		}
		rows := `[...document.querySelectorAll(".matrix tbody tr")].filter((each) => each.checkVisibility()).length`
		before := eval[int](t, tb, rows)
		eval[bool](t, tb, `(document.querySelector(".unchanged").focus(), true)`)
		tb.do(t, chromedp.KeyEvent(" "))
		if after := eval[int](t, tb, rows); before != 2 || after != 5 {
			t.Errorf("shows %d rows that change and %d in all, want 2 and 5", before, after)
		}
	})
}

// faint finds every text that is seen and has less contrast to what is behind it than WCAG AA asks for.
const faint = `(() => {
  const rgba = (text) => { const n = text.match(/[\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
  const over = (top, below) => top.slice(0, 3).map((c, i) => c * top[3] + below[i] * (1 - top[3])).concat(1);
  const behind = (e) => { let layers = []; for (; e; e = e.parentElement) layers.push(rgba(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), rgba(getComputedStyle(document.body).backgroundColor)); };
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), wrong = [];
  let count = 0;
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ["SCRIPT", "STYLE", "OPTION"].includes(e.tagName) || !e.checkVisibility()) continue;
    count++;
    const s = getComputedStyle(e), back = behind(e), ink = over(rgba(s.color), back), size = parseFloat(s.fontSize);
    const [a, b] = [light(ink), light(back)], ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    const big = size >= 24 || size >= 18.66 && s.fontWeight >= 700;
    if (ratio < (big ? 3 : 4.5)) wrong.push(ratio.toFixed(2) + " " + e.tagName + "." + e.className + " " + walker.currentNode.data.trim().slice(0, 40));
  }
  return [String(count), ...wrong];
})()`

func TestContrast(t *testing.T) {
	for _, dark := range []bool{false, true} {
		for _, name := range []string{"mixed", "bump", "new"} {
			tb := open(t, sample(t, name), look{width: 1280, height: 900, dark: dark})
			eval[bool](t, tb, `([...document.querySelectorAll("details")].forEach((each) => each.open = true), document.querySelectorAll(".unchanged").forEach((each) => each.checked = true), true)`)
			got := eval[[]string](t, tb, faint)
			if len(got) < 2 && got[0] == "0" {
				t.Fatal("no text is seen")
			}
			if len(got) > 1 {
				t.Errorf("%s, dark %t: too little contrast:\n%s", name, dark, strings.Join(got[1:], "\n"))
			}
			page := eval[string](t, tb, `getComputedStyle(document.body).backgroundColor`)
			if light := page == "rgb(255, 255, 255)"; light == dark {
				t.Errorf("%s, dark %t: the page is %s", name, dark, page)
			}
		}
	}
	t.Run("the measure finds what is faint", func(t *testing.T) {
		tb := open(t, sample(t, "new"), wide)
		if got := eval[[]string](t, tb, `(() => { document.querySelector("h1").style.color = "rgb(200, 200, 200)"; return `+faint+`; })()`); len(got) != 2 {
			t.Errorf("found %q", got)
		}
	})
}

// TestHostile shows what somebody wrote to be more than text. The tab fails for whatever would be run or fetched.
func TestHostile(t *testing.T) {
	tb := open(t, sample(t, "hostile"), wide)
	eval[bool](t, tb, `([...document.querySelectorAll("details")].forEach((each) => each.open = true), true)`)
	for selector, want := range map[string]int{
		"script": 1, "style": 1, "img, iframe, object, embed, link, base, svg, video, audio": 0, `meta[http-equiv=refresh]`: 0,
		"[onerror], [onload], [onclick]": 0, `a:not([href^="#"])`: 0, "form": 1, "template": 0,
	} {
		if got := eval[int](t, tb, fmt.Sprintf("document.querySelectorAll(%q).length", selector)); got != want {
			t.Errorf("there are %d of %s, want %d", got, selector, want)
		}
	}
	for _, text := range []string{"<script>alert(1)</script>", "</details></summary><img src=x onerror=alert(1)>", `\u202egnp.exe`, "{{.}} {{template", "&lt;b&gt;"} {
		if !eval[bool](t, tb, fmt.Sprintf("document.body.textContent.includes(%q)", text)) {
			t.Errorf("%s is not to be read", text)
		}
	}
	tb.do(t, chromedp.SendKeys(chromedp.CSS(`input[name=text]`), "<img"), wait(`document.querySelector("output").value.includes(" of ")`))

	t.Run("the policy stops a script that gets in all the same", func(t *testing.T) {
		tb := open(t, sample(t, "new"), wide)
		ran := eval[bool](t, tb, `(() => { const s = document.createElement("script"); s.textContent = "window.ran = true"; document.body.append(s); return !!window.ran })()`)
		tb.mu.Lock()
		defer tb.mu.Unlock()
		if ran || len(tb.problems) == 0 {
			t.Error("it ran")
		}
		tb.problems = nil // the violation was wanted
	})
}

// TestWithoutScript shows everything but the search.
func TestWithoutScript(t *testing.T) {
	r := sample(t, "mixed")
	tb := open(t, r, look{width: 1280, height: 900, scriptless: true})
	if eval[bool](t, tb, `document.querySelector(".tools").checkVisibility()`) {
		t.Error("a search is offered that does nothing")
	}
	if objects := eval[int](t, tb, `document.querySelectorAll(".change .object").length`); objects != len(r.Changes) {
		t.Errorf("%d of %d changes are there", objects, len(r.Changes))
	}
	if eval[bool](t, tb, `[...document.querySelectorAll(".change, .missing, .matrix")].some((each) => !each.checkVisibility())`) {
		t.Error("something is hidden")
	}
}

// TestAccessible looks for what a screen reader stumbles over.
func TestAccessible(t *testing.T) {
	for _, name := range []string{"mixed", "bump", "nothing", "hostile"} {
		tb := open(t, sample(t, name), wide)
		for what, expression := range map[string]string{
			"names that stand twice":      `[...document.querySelectorAll("[id]")].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i)`,
			"references to nothing":       `[...document.querySelectorAll("[aria-labelledby], a[href^='#'], [list]")].map((e) => e.getAttribute("aria-labelledby") ?? e.getAttribute("list") ?? e.getAttribute("href").slice(1)).filter((id) => !document.getElementById(id))`,
			"fields without a name":       `[...document.querySelectorAll("input, select")].filter((e) => !e.labels.length).map((e) => e.outerHTML)`,
			"headings but one":            `document.querySelectorAll("h1").length === 1 ? [] : ["h1"]`,
			"headings that skip one":      `[...document.querySelectorAll("h1, h2, h3")].map((e) => +e.tagName[1]).filter((n, i, all) => i && n > all[i - 1] + 1).map(String)`,
			"tables without headings":     `[...document.querySelectorAll("table")].filter((e) => !e.querySelector("th[scope=col]") || !e.querySelector("tbody th[scope=row]")).map((e) => e.className)`,
			"regions without a name":      `[...document.querySelectorAll("[role=region]")].filter((e) => !e.ariaLabel && !e.getAttribute("aria-labelledby")).map((e) => e.outerHTML)`,
			"a language that is not said": `document.documentElement.lang ? [] : ["html"]`,
		} {
			if wrong := eval[[]string](t, tb, expression); len(wrong) > 0 {
				t.Errorf("%s: %s: %q", name, what, wrong)
			}
		}
	}
}

// thousand is a report of a thousand units that each change in a way of their own.
func thousand() review.Report {
	r := review.Report{Verdict: review.DataAtRisk}
	f := review.Fleet{Name: "prod", Of: 1000}
	for i := range 1000 {
		unit := fmt.Sprintf("tenant-with-a-rather-long-name-%04d", i)
		f.Changed = append(f.Changed, unit)
		for j, kind := range []string{"Deployment/api", "Cluster/database", "ConfigMap/settings"} {
			c := review.Change{Fleet: "prod", Units: []string{unit}, Object: kind, Action: review.Changed, Verdict: review.Verdict(6 - (i+j)%7), Reason: "for a reason of its own"}
			for k := range 3 {
				c.Fields = append(c.Fields, review.Field{Path: fmt.Sprintf("spec.template.spec.containers[name=api].env[name=VARIABLE_%d].value", k), Before: fmt.Sprint(i) + strings.Repeat("before", i%40+1), After: strings.Repeat("after", j+i%30+1)})
			}
			r.Changes = append(r.Changes, c)
		}
	}
	r.Fleets = []review.Fleet{f}
	slices.SortStableFunc(r.Changes, func(a, b review.Change) int { return int(b.Verdict) - int(a.Verdict) })
	return r
}

// TestLayout looks whether anything is wider than the window, from a telephone to a wide screen.
func TestLayout(t *testing.T) {
	for name, r := range map[string]review.Report{"mixed": sample(t, "mixed"), "bump": sample(t, "bump"), "hostile": sample(t, "hostile"), "thousand": thousand()} {
		start := time.Now()
		tb := open(t, r, look{width: 1280, height: 900})
		eval[int](t, tb, `document.body.offsetHeight`)
		t.Logf("%s: opened and laid out in %s", name, time.Since(start))
		for _, width := range []int64{320, 480, 800, 1280, 2560} {
			call(t, tb, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 900, DeviceScaleFactor: 1})
			if over := eval[[]string](t, tb, `document.documentElement.scrollWidth <= innerWidth ? [] : [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, .paste")).slice(0, 5).map((e) => e.tagName + "." + e.className)`); len(over) > 0 {
				t.Errorf("%s: at %d pixels the page is too wide, by %q", name, width, over)
			}
		}
		if name == "thousand" {
			start = time.Now()
			tb.do(t, chromedp.SendKeys(chromedp.CSS(`input[name=unit]`), "-0999"), wait(`document.querySelector("output").value === "3 of 3000 changes"`))
			t.Logf("searched in %s", time.Since(start))
		}
	}
}

// TestPrint opens what is folded for the printer, and folds it again.
func TestPrint(t *testing.T) {
	tb := open(t, sample(t, "mixed"), wide)
	folded := `document.querySelectorAll("details:not([open])").length`
	before := eval[int](t, tb, folded)
	eval[bool](t, tb, `dispatchEvent(new Event("beforeprint"))`)
	during := eval[int](t, tb, folded)
	eval[bool](t, tb, `dispatchEvent(new Event("afterprint"))`)
	if after := eval[int](t, tb, folded); before == 0 || during != 0 || after != before {
		t.Errorf("%d are folded before, %d while and %d after printing", before, during, after)
	}
	if pdf := get(t, tb, chromedp.PrintToPDF()); len(pdf) < 10_000 {
		t.Errorf("the print has %d bytes", len(pdf))
	}
}
