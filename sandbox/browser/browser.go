// Package browser is a player's browser in tests: a real Chromium, driven by its
// own protocol. It accepts the certificates of the sessions that it visits, and
// no other.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Browser is one tab of a browser.
type Browser struct {
	t     testing.TB
	ctx   context.Context
	close func()
}

// Close closes the browser, as a player does on leaving.
func (b *Browser) Close() { b.close() }

// Options are the differences between players' browsers.
type Options struct {
	Width, Height int  // of the page, CSS pixels
	Phone         bool // a touch screen of double density
	Dark          bool
	NoScript      bool
}

// patience is how long a test waits for a page to show something.
const patience = 30 * time.Second

// Site is a session, as its ready event names it.
type Site struct {
	Address     string // its URL
	Fingerprint string // the SHA-256 of its certificate
}

// Open starts a browser that trusts the session at an address, if its certificate
// has this SHA-256, and goes there.
func Open(t testing.TB, address, fingerprint string, o Options) *Browser {
	t.Helper()
	return OpenTabs(t, o, Site{address, fingerprint})[0]
}

// OpenFile starts a browser and opens a file in it.
func OpenFile(t testing.TB, file string, o Options) *Browser {
	t.Helper()
	ctx, end := start(t, o, nil)
	if err := chromedp.Do(ctx, emulate(o), chromedp.Navigate("file://"+file)); err != nil {
		t.Fatalf("opening %s: %v", file, err)
	}
	return &Browser{t, ctx, end}
}

// OpenTabs starts one browser with a tab for each session, in their order. The tabs
// share cookies, as a browser's tabs do; Close of the first one closes them all.
func OpenTabs(t testing.TB, o Options, sites ...Site) []*Browser {
	t.Helper()
	var keys []string
	for _, site := range sites {
		key, err := pinned(site.Address, site.Fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	ctx, end := start(t, o, keys)
	var tabs []*Browser
	for i, site := range sites {
		b := &Browser{t, ctx, end}
		if i > 0 {
			b.ctx, b.close = chromedp.NewContext(tabs[0].ctx)
		}
		// The browser lives as long as the context of its first call: it gets no limit.
		if err := chromedp.Do(b.ctx, emulate(o), chromedp.Navigate(site.Address)); err != nil {
			t.Fatalf("opening %s: %v", site.Address, err)
		}
		tabs = append(tabs, b)
	}
	return tabs
}

// start returns the first tab of a browser that accepts certificates with these
// public keys, and a function that closes the browser, as the end of the test does.
func start(t testing.TB, o Options, keys []string) (context.Context, func()) {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v: `sandbox install -tests` installs it", err)
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, // the tests run as root
		chromedp.UserDataDir(t.TempDir()), // without one, the next flag has no effect
		chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(keys, ",")),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.WindowSize(o.Width, o.Height), chromedp.WSURLReadTimeout(time.Minute),
	)
	running, end := chromedp.NewExecAllocator(context.Background(), flags...)
	ctx, shut := chromedp.NewContext(running)
	both := func() {
		shut()
		end()
	}
	t.Cleanup(both)
	return ctx, both
}

// step is something that a browser does.
type step = chromedp.Action[chromedp.Void]

// command is a call of the browser's protocol.
func command[P, R any](c cdp.Command[P, R], params P) step {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
}

func emulate(o Options) step {
	view, scheme := []chromedp.EmulateViewportOption{}, "light"
	if o.Phone {
		view = append(view, chromedp.EmulateScale(2), chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	if o.Dark {
		scheme = "dark"
	}
	return chromedp.Steps(
		chromedp.EmulateViewport(int64(o.Width), int64(o.Height), view...),
		command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		}),
		command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: o.NoScript}),
	)
}

// pinned returns the SHA-256 of a server's public key, in the form of Chromium's
// flag, if the server's certificate has the fingerprint.
func pinned(address, fingerprint string) (string, error) {
	at, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	dialer := &tls.Dialer{
		NetDialer: &net.Dialer{Timeout: 10 * time.Second},
		Config:    &tls.Config{InsecureSkipVerify: true}, // the fingerprint is checked below
	}
	conn, err := dialer.Dial("tcp", at.Host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	if sum := sha256.Sum256(leaf.Raw); hex.EncodeToString(sum[:]) != fingerprint {
		return "", fmt.Errorf("%s shows another certificate than its session tells", address)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// do takes steps, within the patience of a test.
func (b *Browser) do(steps ...step) {
	b.t.Helper()
	if _, err := try(b, chromedp.Steps(steps...)); err != nil {
		b.Shot("failed")
		b.t.Fatal(err)
	}
}

func try[T any](b *Browser, action chromedp.Action[T]) (T, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, action)
}

// Reload loads the page again.
func (b *Browser) Reload() {
	b.t.Helper()
	b.do(chromedp.Reload())
}

// Is waits until an expression of JavaScript is true in the page.
func (b *Browser) Is(what, expression string) {
	b.t.Helper()
	b.Within(patience, what, expression)
}

// Within is Is with another patience.
func (b *Browser) Within(limit time.Duration, what, expression string) {
	b.t.Helper()
	var last error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var holds bool
		// A page that is being loaded throws: that is no answer yet.
		if holds, last = try(b, chromedp.Evaluate[bool]("!!("+expression+")")); last == nil && holds {
			return
		}
	}
	b.Shot("failed")
	b.t.Fatalf("%s: not so after %s: %s: %v", what, limit, expression, last)
}

// Text returns the page's visible text.
func (b *Browser) Text() string {
	b.t.Helper()
	text, err := try(b, chromedp.Evaluate[string]("document.body.innerText"))
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// Type fills a field, named by its CSS selector.
func (b *Browser) Type(field, text string) {
	b.t.Helper()
	b.do(chromedp.Clear(chromedp.CSS(field)), chromedp.SendKeys(chromedp.CSS(field), text))
}

// Click clicks an element.
func (b *Browser) Click(element string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(element)))
}

// aFrame is more than a picture of any game here: it looks at keys and pointer once each.
const aFrame = 250 * time.Millisecond

// ClickAt clicks at a point of the page.
func (b *Browser) ClickAt(x, y float64) {
	b.t.Helper()
	b.do(chromedp.MouseEvent(chromedp.MouseMoved, x, y), chromedp.Sleep(aFrame),
		chromedp.MouseEvent(chromedp.MousePressed, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)), chromedp.Sleep(aFrame),
		chromedp.MouseEvent(chromedp.MouseReleased, x, y, chromedp.ButtonLeft, chromedp.ClickCount(1)))
}

// Press presses a key, by the name and the code that browsers give it.
func (b *Browser) Press(key, code string, number int64) {
	b.t.Helper()
	event := func(kind input.DispatchKeyEventType) step {
		return command(input.DispatchKeyEvent, input.DispatchKeyEventParams{
			Type: kind, Key: key, Code: code, WindowsVirtualKeyCode: number, NativeVirtualKeyCode: number,
		})
	}
	b.do(event(input.DispatchKeyEventTypeRawKeyDown), chromedp.Sleep(aFrame), event(input.DispatchKeyEventTypeKeyUp))
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
	picture, err := try(b, func(ctx context.Context, target *chromedp.Target) (page.CaptureScreenshotResult, error) {
		quality := int64(85)
		return cdp.Call(ctx, target, page.CaptureScreenshot, page.CaptureScreenshotParams{Format: page.CaptureScreenshotFormatWebp, Quality: &quality})
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".webp"), picture.Data, 0o644)
	}
	if err != nil {
		b.t.Errorf("screenshot %s: %v", name, err)
	}
}
