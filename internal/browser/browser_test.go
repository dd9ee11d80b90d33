package browser_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/browser"
	"github.com/intraverse/dcv-sessions/internal/keyboard"
)

var options = browser.Options{Width: 400, Height: 300}

// site serves a page by HTTPS.
func site(t *testing.T, page string) browser.Site {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, page)
	}))
	t.Cleanup(server.Close)
	sum := sha256.Sum256(server.Certificate().Raw)
	return browser.Site{Address: server.URL, Fingerprint: hex.EncodeToString(sum[:])}
}

func needsBrowser(t *testing.T) {
	t.Helper()
	if err := browser.Installed(); err != nil {
		t.Skip("SKIPPED: ", err)
	}
}

func TestAMissingBrowserIsNamedWithItsPackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := browser.Open(t.Context(), options, site(t, "a page"))
	assert.ErrorContains(t, err, "install Chromium (Debian's package chromium)")
}

func TestASessionWithAnotherCertificateIsNotVisited(t *testing.T) {
	at := site(t, "a page")
	at.Fingerprint = hex.EncodeToString(make([]byte, sha256.Size))
	_, err := browser.Open(t.Context(), options, at)
	assert.ErrorContains(t, err, "another certificate")
}

// page notes the events that reach it.
const page = `<!doctype html><body style="margin:0; color:#000; background:#000">
<p>Words</p><p hidden>unseen</p><input id="field" value="before"><button onclick="notes.push('button')">press</button>
<iframe srcdoc="<p>within</p>"></iframe>
<script>
	const notes = [];
	for (const kind of ["keydown", "keyup"]) addEventListener(kind, (e) => notes.push([kind, e.code, e.key, e.keyCode].join(" ")));
	for (const kind of ["mousemove", "mousedown", "mouseup"]) addEventListener(kind, (e) => notes.push([kind, e.clientX, e.clientY].join(" ")));
</script>`

func TestWhatABrowserDoesReachesThePage(t *testing.T) {
	needsBrowser(t)
	ctx, at := t.Context(), site(t, page)
	tabs, err := browser.Open(ctx, options, at, at)
	require.NoError(t, err)
	b := tabs[0]
	t.Cleanup(b.Close)

	text, err := b.Text(ctx)
	require.NoError(t, err)
	assert.Contains(t, text, "Words")
	assert.Contains(t, text, "within")
	assert.NotContains(t, text, "unseen")

	require.NoError(t, b.Type(ctx, "#field", "after"))
	require.NoError(t, b.Click(ctx, "button"))
	require.NoError(t, b.Until(ctx, `field.value === "after" && notes.includes("button")`))

	forget := func() {
		t.Helper()
		_, err := browser.Evaluate[int](ctx, b, "notes.length = 0")
		require.NoError(t, err)
	}
	notes := func() []string {
		t.Helper()
		notes, err := browser.Evaluate[[]string](ctx, b, "notes")
		require.NoError(t, err)
		return notes
	}
	forget()
	key, _ := keyboard.Find("KeyW")
	began := time.Now()
	require.NoError(t, b.Hold(ctx, key, 300*time.Millisecond))
	assert.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond)
	assert.Equal(t, []string{"keydown KeyW w 87", "keyup KeyW w 87"}, notes())

	limited, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	forget()
	assert.ErrorIs(t, b.Hold(limited, key, time.Hour), context.DeadlineExceeded)
	assert.Equal(t, []string{"keydown KeyW w 87", "keyup KeyW w 87"}, notes(), "a key that is given up is released")

	forget()
	require.NoError(t, b.MoveTo(ctx, 300, 250))
	require.NoError(t, b.ClickAt(ctx, 310, 260))
	assert.Equal(t, []string{"mousemove 300 250", "mousemove 310 260", "mousedown 310 260", "mouseup 310 260"}, notes())

	_, err = browser.Evaluate[bool](ctx, tabs[1], "document.body.replaceChildren() === undefined")
	require.NoError(t, err)
	colours, err := tabs[1].Colours(ctx)
	require.NoError(t, err)
	assert.Equal(t, 1, colours, "an empty page")
	_, err = browser.Evaluate[string](ctx, tabs[1], `document.body.style.cssText = "height: 100vh; background: linear-gradient(#000, #fff)"`)
	require.NoError(t, err)
	require.NoError(t, tabs[1].Resize(ctx, 200, 100))
	require.NoError(t, tabs[1].Until(ctx, "innerWidth === 200 && innerHeight === 100"))
	colours, err = tabs[1].Colours(ctx)
	require.NoError(t, err)
	assert.Greater(t, colours, 10)

	shot, err := b.Screenshot(ctx)
	require.NoError(t, err)
	assert.Equal(t, "image/webp", http.DetectContentType(shot))
	require.NoError(t, b.Reload(ctx))
	require.NoError(t, b.Until(ctx, `notes.length === 0 && document.readyState === "complete"`))

	never, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, b.Until(never, "false"), context.DeadlineExceeded)
	never, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	assert.ErrorContains(t, b.Until(never, "nothing.of.that"), "nothing is not defined")
	b.Close()
	assert.ErrorContains(t, b.Until(ctx, "true"), "the browser has ended")
}

func TestAFileIsOpened(t *testing.T) {
	needsBrowser(t)
	file := filepath.Join(t.TempDir(), "page.html")
	require.NoError(t, os.WriteFile(file, []byte("<p>from a file"), 0o600))
	b, err := browser.OpenFile(t.Context(), options, file)
	require.NoError(t, err)
	t.Cleanup(b.Close)
	text, err := b.Text(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "from a file", text)
}

func TestWhoGivesUpOpeningLeavesNoBrowser(t *testing.T) {
	needsBrowser(t)
	stuck := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(stuck.Close)
	sum := sha256.Sum256(stuck.Certificate().Raw)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := browser.Open(ctx, options, browser.Site{Address: stuck.URL, Fingerprint: hex.EncodeToString(sum[:])})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}
