// Package browser drives a player's browser: a real Chromium without a window, by its
// own protocol. It accepts the certificates of the sessions that it visits, and no
// other that no authority has issued.
package browser

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Browser is one tab of a browser. Its methods end with their context, and the browser
// then goes on; they are not for several goroutines at once.
type Browser struct {
	tab   context.Context // of chromedp
	close func()
}

// Options are the differences between players' browsers.
type Options struct {
	Width, Height int  // of the page, CSS pixels
	Phone         bool // a touch screen of double density
	Dark          bool
}

// Site is a session, as its ready event names it.
type Site struct {
	Address     string // its URL
	Fingerprint string // the SHA-256 of its certificate
}

// Open starts a browser with a tab for each site, in their order, and goes there. It
// trusts a site whose certificate has the fingerprint. The tabs share cookies, as a
// browser's tabs do. The browser runs until the first tab is closed.
func Open(ctx context.Context, o Options, sites ...Site) ([]*Browser, error) {
	var keys, addresses []string
	for _, site := range sites {
		key, err := pinned(ctx, site)
		if err != nil {
			return nil, err
		}
		keys, addresses = append(keys, key), append(addresses, site.Address)
	}
	return open(ctx, o, keys, addresses...)
}

// OpenFile starts a browser and opens a file in it.
func OpenFile(ctx context.Context, o Options, file string) (*Browser, error) {
	tabs, err := open(ctx, o, nil, "file://"+file)
	if err != nil {
		return nil, err
	}
	return tabs[0], nil
}

// open starts a browser that accepts certificates with some public keys, with a tab for
// each address.
func open(ctx context.Context, o Options, keys []string, addresses ...string) ([]*Browser, error) {
	first, err := start(o, keys)
	if err != nil {
		return nil, err
	}
	tabs := []*Browser{first}
	// A browser lives as long as the context of its first call, so that one has no limit.
	// To give up, the browser is closed.
	keep := context.AfterFunc(ctx, first.close)
	for i, address := range addresses {
		if i > 0 {
			next := &Browser{}
			next.tab, next.close = chromedp.NewContext(first.tab)
			tabs = append(tabs, next)
		}
		if err := chromedp.Do(tabs[i].tab, emulate(o), chromedp.Navigate(address)); err != nil {
			keep()
			first.close()
			return nil, fmt.Errorf("opening %s: %w", address, because(ctx, err))
		}
	}
	if !keep() {
		first.close()
		return nil, context.Cause(ctx)
	}
	return tabs, nil
}

// program is Chromium, by the name that Debian's package gives to it.
const program = "chromium"

// Installed returns an error that names the package to install if the machine has no browser.
func Installed() error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("there is no browser: %w; install Chromium (Debian's package chromium)", err)
	}
	return nil
}

// start returns the first tab of a new browser. The browser itself starts with the first
// call.
func start(o Options, keys []string) (*Browser, error) {
	if err := Installed(); err != nil {
		return nil, err
	}
	flags := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program),
		chromedp.Flag("ignore-certificate-errors-spki-list", strings.Join(keys, ",")),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-gpu", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.WindowSize(o.Width, o.Height),
	)
	running, end := chromedp.NewExecAllocator(context.Background(), flags...)
	tab, shut := chromedp.NewContext(running)
	return &Browser{tab: tab, close: sync.OnceFunc(func() {
		shut()
		end()
	})}, nil
}

// Close closes the tab, as a player does on leaving. With the first tab it closes the
// browser.
func (b *Browser) Close() { b.close() }

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
	)
}

// dialLimit is how long a session may take to show its certificate.
const dialLimit = 10 * time.Second

// pinned returns the SHA-256 of a site's public key, in the form of Chromium's flag, if
// the site's certificate has the fingerprint.
func pinned(ctx context.Context, site Site) (string, error) {
	at, err := url.Parse(site.Address)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // the fingerprint is checked below
	conn, err := dialer.DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	leaf := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
	if sum := sha256.Sum256(leaf.Raw); hex.EncodeToString(sum[:]) != site.Fingerprint {
		return "", fmt.Errorf("%s shows another certificate than its session names", site.Address)
	}
	sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// try takes an action, until ctx ends.
func try[T any](ctx context.Context, b *Browser, action chromedp.Action[T]) (T, error) {
	limited, cancel := context.WithCancel(b.tab)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	result, err := chromedp.Run(limited, action)
	return result, because(ctx, err)
}

// because returns an error that is the end of ctx as that.
func because(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (b *Browser) do(ctx context.Context, steps ...step) error {
	_, err := try(ctx, b, chromedp.Steps(steps...))
	return err
}
