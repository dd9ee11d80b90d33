package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Reload loads the page again.
func (b *Browser) Reload(ctx context.Context) error { return b.do(ctx, chromedp.Reload()) }

// Resize gives the page another size.
func (b *Browser) Resize(ctx context.Context, width, height int) error {
	return b.do(ctx, chromedp.EmulateViewport(int64(width), int64(height)))
}

// Evaluate returns the value of an expression of JavaScript in the page. It waits for a
// promise.
func Evaluate[T any](ctx context.Context, b *Browser, expression string) (T, error) {
	return try(ctx, b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// lookInterval is the time between two looks at a page that is waited for.
const lookInterval = 100 * time.Millisecond

// Until waits until an expression of JavaScript is true in the page. If ctx ends first, it
// returns the cause, with the error of the last look.
func (b *Browser) Until(ctx context.Context, expression string) error {
	for {
		// A page that is being loaded throws: that is no answer yet.
		holds, err := Evaluate[bool](ctx, b, "Promise.resolve("+expression+").then(Boolean)")
		switch {
		case err == nil && holds:
			return nil
		case b.tab.Err() != nil:
			return errors.New("the browser has ended")
		}
		select {
		case <-ctx.Done():
			if err == nil || errors.Is(err, context.Cause(ctx)) {
				return context.Cause(ctx)
			}
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(lookInterval):
		}
	}
}

// Text returns the page's visible text, with that of its frames of the same origin.
func (b *Browser) Text(ctx context.Context) (string, error) {
	return Evaluate[string](ctx, b, `[document, ...Array.from(frames, (f) => { try { return f.document; } catch { return null; } })]
		.map((d) => d?.body?.innerText ?? "").filter(Boolean).join("\n")`)
}

// Type fills a field, named by its CSS selector.
func (b *Browser) Type(ctx context.Context, field, text string) error {
	return b.do(ctx, chromedp.Clear(chromedp.CSS(field)), chromedp.SendKeys(chromedp.CSS(field), text))
}

// Click clicks an element, named by its CSS selector.
func (b *Browser) Click(ctx context.Context, element string) error {
	return b.do(ctx, chromedp.Click(chromedp.CSS(element)))
}

// Screenshot returns the page as it is shown, as WebP.
func (b *Browser) Screenshot(ctx context.Context) ([]byte, error) {
	quality := int64(85)
	return b.capture(ctx, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: &quality})
}

func (b *Browser) capture(ctx context.Context, p page.CaptureScreenshotParams) ([]byte, error) {
	shot, err := try(ctx, b, func(ctx context.Context, target *chromedp.Target) (page.CaptureScreenshotResult, error) {
		return cdp.Call(ctx, target, page.CaptureScreenshot, p)
	})
	return shot.Data, err
}

// Colours returns the number of colours in the middle half of the page, by its width and
// height: as the page is shown, whatever draws it.
func (b *Browser) Colours(ctx context.Context) (int, error) {
	size, err := Evaluate[[2]float64](ctx, b, "[innerWidth, innerHeight]")
	if err != nil {
		return 0, err
	}
	shot, err := b.capture(ctx, page.CaptureScreenshotParams{
		Format: page.CaptureScreenshotFormatPng,
		Clip:   &page.Viewport{X: size[0] / 4, Y: size[1] / 4, Width: size[0] / 2, Height: size[1] / 2, Scale: 1},
	})
	if err != nil {
		return 0, err
	}
	picture, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return 0, err
	}
	seen := map[color.Color]bool{}
	for y := picture.Bounds().Min.Y; y < picture.Bounds().Max.Y; y++ {
		for x := picture.Bounds().Min.X; x < picture.Bounds().Max.X; x++ {
			seen[picture.At(x, y)] = true
		}
	}
	return len(seen), nil
}
