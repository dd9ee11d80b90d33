// Package browser is a player's browser in tests: what it does not do within the
// patience of a test fails the test.
package browser

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/intraverse/dcv-sessions/internal/browser"
	"github.com/intraverse/dcv-sessions/internal/keyboard"
)

// Browser is one tab of a browser.
type Browser struct {
	t   testing.TB
	tab *browser.Browser
}

type (
	// Options are those of a browser.
	Options = browser.Options
	// Site is a session that a browser visits.
	Site = browser.Site
)

const (
	// patience is how long a test waits for a page to show something.
	patience = 30 * time.Second
	// startPatience is how long it waits for a browser to start.
	startPatience = 2 * time.Minute
)

// Open starts a browser that trusts the session at an address, if its certificate
// has this SHA-256, and goes there.
func Open(t testing.TB, address, fingerprint string, o Options) *Browser {
	t.Helper()
	return OpenTabs(t, o, Site{Address: address, Fingerprint: fingerprint})[0]
}

// OpenTabs starts one browser with a tab for each session, in their order. The tabs
// share cookies, as a browser's tabs do; Close of the first one closes them all, as the
// end of the test does.
func OpenTabs(t testing.TB, o Options, sites ...Site) []*Browser {
	t.Helper()
	var tabs []*Browser
	start(t, func(ctx context.Context) error {
		opened, err := browser.Open(ctx, o, sites...)
		for _, tab := range opened {
			tabs = append(tabs, &Browser{t, tab})
		}
		return err
	})
	t.Cleanup(tabs[0].Close)
	return tabs
}

// OpenFile starts a browser and opens a file in it.
func OpenFile(t testing.TB, file string, o Options) *Browser {
	t.Helper()
	b := &Browser{t: t}
	start(t, func(ctx context.Context) (err error) {
		b.tab, err = browser.OpenFile(ctx, o, file)
		return err
	})
	t.Cleanup(b.Close)
	return b
}

func start(t testing.TB, open func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	if err := open(ctx); err != nil {
		t.Fatal(err)
	}
}

// Close closes the browser, as a player does on leaving.
func (b *Browser) Close() { b.tab.Close() }

// do takes a step within a time, or else keeps a screenshot and fails the test.
func (b *Browser) do(limit time.Duration, what string, step func(context.Context) error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := step(ctx); err != nil {
		b.Shot("failed")
		b.t.Fatalf("%s: not within %s: %v", what, limit, err)
	}
}

// Reload loads the page again.
func (b *Browser) Reload() {
	b.t.Helper()
	b.do(patience, "reload", b.tab.Reload)
}

// Is waits until an expression of JavaScript is true in the page.
func (b *Browser) Is(what, expression string) {
	b.t.Helper()
	b.Within(patience, what, expression)
}

// Within is Is with another patience.
func (b *Browser) Within(limit time.Duration, what, expression string) {
	b.t.Helper()
	b.do(limit, what+": "+expression, func(ctx context.Context) error { return b.tab.Until(ctx, expression) })
}

// Text returns the page's visible text.
func (b *Browser) Text() (text string) {
	b.t.Helper()
	b.do(patience, "the page's text", func(ctx context.Context) (err error) {
		text, err = b.tab.Text(ctx)
		return err
	})
	return text
}

// Type fills a field, named by its CSS selector.
func (b *Browser) Type(field, text string) {
	b.t.Helper()
	b.do(patience, field, func(ctx context.Context) error { return b.tab.Type(ctx, field, text) })
}

// Click clicks an element.
func (b *Browser) Click(element string) {
	b.t.Helper()
	b.do(patience, element, func(ctx context.Context) error { return b.tab.Click(ctx, element) })
}

// ClickAt clicks at a point of the page.
func (b *Browser) ClickAt(x, y float64) {
	b.t.Helper()
	b.do(patience, "a click", func(ctx context.Context) error { return b.tab.ClickAt(ctx, x, y) })
}

// Press presses a key for a moment, by its code.
func (b *Browser) Press(code string) {
	b.t.Helper()
	key, known := keyboard.Find(code)
	if !known {
		b.t.Fatalf("%q is no key", code)
	}
	b.do(patience, code, func(ctx context.Context) error { return b.tab.Hold(ctx, key, browser.Moment) })
}

// shots names the folder that screenshots are kept in; without it they are not.
const shots = "DCV_SCREENSHOTS"

// KeepsShots reports whether screenshots are kept.
func KeepsShots() bool { return os.Getenv(shots) != "" }

// Shot keeps a screenshot of the page if DCV_SCREENSHOTS names a folder.
func (b *Browser) Shot(name string) {
	b.t.Helper()
	dir := os.Getenv(shots)
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	picture, err := b.tab.Screenshot(ctx)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".webp"), picture, 0o644)
	}
	if err != nil {
		b.t.Errorf("screenshot %s: %v", name, err)
	}
}
