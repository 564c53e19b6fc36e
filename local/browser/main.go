// Browser draws what package review writes, and holds it in its tests against what reads it: its page against a real
// browser, its comment against a renderer of GitHub's Markdown. It is a module of its own, so that no other one needs
// either.
//
// It reads a report in JSON and writes pictures of its comment and of its page into a directory:
//
//	go run ./cmd/gen diff -base HEAD^ -format json | go -C local/browser run . DIR
package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"

	"github.com/tenantry/tenantry/review"
)

func main() {
	if len(os.Args) != 2 || strings.HasPrefix(os.Args[1], "-") {
		fmt.Fprintln(os.Stderr, "usage: go run ./cmd/gen diff -base REV -format json | go -C local/browser run . DIR")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdin, os.Args[1])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run draws the report that it reads, light and dark, into dir.
func run(ctx context.Context, in io.Reader, dir string) error {
	var report review.Report
	if err := json.NewDecoder(in).Decode(&report); err != nil {
		return fmt.Errorf("reading the report: %w", err)
	}
	var markdown, whole bytes.Buffer
	if err := errors.Join(report.WriteMarkdown(&markdown, ""), report.WriteHTML(&whole)); err != nil {
		return err
	}
	comment, err := likeGitHub(markdown.Bytes())
	if err != nil {
		return err
	}
	temporary, err := os.MkdirTemp("", "tenantry-pictures-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	ctx, end, err := start(ctx)
	if err != nil {
		return err
	}
	defer end()
	for _, p := range []struct {
		name          string
		text          []byte
		width, height int64
	}{{"review-comment", comment, 860, 1400}, {"review-page", whole.Bytes(), 1180, 1400}} {
		path := filepath.Join(temporary, p.name+".html")
		if err := os.WriteFile(path, p.text, 0o644); err != nil {
			return err
		}
		for _, scheme := range []string{"light", "dark"} {
			picture, err := shoot(ctx, "file://"+path, scheme, p.width, p.height)
			if err != nil {
				return fmt.Errorf("drawing %s: %w", p.name, err)
			}
			name := p.name + ".png"
			if scheme == "dark" {
				name = p.name + "-dark.png"
			}
			if err := os.WriteFile(filepath.Join(dir, name), picture, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// shoot is a picture of a page, from its top, as high as the page or as high as said.
func shoot(ctx context.Context, url, scheme string, width, height int64) ([]byte, error) {
	ctx, leave := chromedp.NewContext(ctx)
	defer leave()
	_, sized := chromedp.Call(ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: 600, DeviceScaleFactor: 1})
	_, themed := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err := errors.Join(sized, themed, chromedp.Do(ctx, chromedp.Navigate(url))); err != nil {
		return nil, err
	}
	all, err := chromedp.Run(ctx, chromedp.Evaluate[float64]("document.documentElement.offsetHeight"))
	if err != nil {
		return nil, err
	}
	shot, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{
		CaptureBeyondViewport: new(true), Clip: &page.Viewport{Width: float64(width), Height: min(all, float64(height)), Scale: 1},
	})
	if err != nil {
		return nil, err
	}
	return paletted(shot.Data)
}

// paletted is a picture of at most 256 colours, those that most of its points have: pages have few.
func paletted(data []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	points := map[color.Color]int{}
	for y := range from.Bounds().Dy() {
		for x := range from.Bounds().Dx() {
			points[from.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(points), func(a, b color.Color) int {
		return cmp.Or(cmp.Compare(points[b], points[a]), strings.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	to := image.NewPaletted(from.Bounds(), colours[:min(256, len(colours))])
	draw.Draw(to, to.Bounds(), from, image.Point{}, draw.Src)
	var b bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, to)
	return b.Bytes(), err
}

// chromium is the browser of this machine.
func chromium() (string, error) {
	if path := os.Getenv("CHROME"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("a real browser is wanted, and there is none: install Chromium (Debian: apt-get install chromium) or Chrome, or name one with CHROME=/path")
}

// start starts the browser. The end ends it.
func start(ctx context.Context) (running context.Context, end func(), err error) {
	path, err := chromium()
	if err != nil {
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium refuses to sandbox itself as root
	}
	allocator, stop := chromedp.NewExecAllocator(ctx, options...)
	running, leave := chromedp.NewContext(allocator)
	end = func() { leave(); stop() }
	if err := chromedp.Do(running); err != nil {
		end()
		return nil, nil, fmt.Errorf("starting %s: %w", path, err)
	}
	return running, end, nil
}

//go:embed github.css
var style string

var (
	alert  = regexp.MustCompile(`<blockquote>\s*<p>\[!(CAUTION|WARNING)\]\s*`)
	diffed = regexp.MustCompile(`(?s)<code class="language-diff">.*?</code>`)
	sign   = regexp.MustCompile(`(?m)^(<code class="language-diff">)?([-+]) .*$`)
	layout = template.Must(template.New("").Parse(`<!doctype html><meta charset="utf-8"><style>{{.Style}}</style><article><header><b>github-actions</b> commented</header><div>{{.Text}}</div></article>`))
)

// likeGitHub is a page that shows a comment much as GitHub does.
func likeGitHub(comment []byte) ([]byte, error) {
	text, err := toHTML(comment)
	if err != nil {
		return nil, err
	}
	text = alert.ReplaceAllStringFunc(text, func(found string) string {
		kind := strings.ToLower(alert.FindStringSubmatch(found)[1])
		return `<blockquote class="` + kind + `"><p class="kind">` + strings.ToUpper(kind[:1]) + kind[1:] + `</p><p>`
	})
	text = diffed.ReplaceAllStringFunc(text, func(block string) string {
		return sign.ReplaceAllStringFunc(block, func(line string) string {
			open := sign.FindStringSubmatch(line)[1]
			return open + map[string]string{"-": `<del>`, "+": `<ins>`}[sign.FindStringSubmatch(line)[2]] + strings.TrimPrefix(line, open) + map[string]string{"-": `</del>`, "+": `</ins>`}[sign.FindStringSubmatch(line)[2]]
		})
	})
	var b bytes.Buffer
	err = layout.Execute(&b, struct {
		Style template.CSS
		Text  template.HTML
	}{template.CSS(style), template.HTML(text)}) //nolint:gosec // the one is this package's own, the other is meant to be HTML
	return b.Bytes(), err
}

// toHTML is Markdown as GitHub's dialect says, with the HTML in it as it stands.
func toHTML(markdown []byte) (string, error) {
	var b bytes.Buffer
	err := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithRendererOptions(html.WithUnsafe())).Convert(markdown, &b)
	return b.String(), err
}
