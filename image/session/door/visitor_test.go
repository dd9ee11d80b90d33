package door

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhoSignsInGetsACookieThatOnlyThisOriginSees(t *testing.T) {
	h := start(t)
	res, _ := h.do(h.client(), http.MethodPost, "/sign-in", form(player, password))
	assert.Equal(t, http.StatusSeeOther, res.StatusCode)
	assert.Equal(t, "/", res.Header.Get("Location"))
	require.Len(t, res.Cookies(), 1)
	c := res.Cookies()[0]
	assert.Equal(t, "__Host-dcv-session-"+h.port(), c.Name)
	assert.Len(t, c.Value, 64, "256 bits")
	assert.True(t, c.HttpOnly)
	assert.True(t, c.Secure)
	assert.Equal(t, http.SameSiteStrictMode, c.SameSite)
	assert.Equal(t, "/", c.Path)
	assert.Empty(t, c.Domain)
}

func TestAWrongNameOrPasswordShowsThePageAgainWithAnError(t *testing.T) {
	h := start(t)
	c := h.client()
	for _, wrong := range []string{form(player, "wrong"), form("player2", password), form("", ""), "no=form"} {
		res, text := h.do(c, http.MethodPost, "/sign-in", wrong)
		assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
		assert.Contains(t, text, `role="alert">The name or the password is not right.`)
		assert.Contains(t, text, `action="/sign-in"`)
		assert.Empty(t, res.Cookies())
	}
	assert.False(t, h.asked(c).SignedIn)
}

func TestAFormThatIsTooLongIsRefused(t *testing.T) {
	h := start(t)
	res, _ := h.do(h.client(), http.MethodPost, "/sign-in", form(player, strings.Repeat("x", maxForm)))
	assert.Equal(t, http.StatusBadRequest, res.StatusCode)
}

func TestAnotherSitesPageCanNeitherSignInNorEnter(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	for _, from := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		for _, path := range []string{"/sign-in", "/sign-out", "/enter", "/display/upload"} {
			res, _ := h.do(c, http.MethodPost, path, form(player, password), from...)
			assert.Equal(t, http.StatusForbidden, res.StatusCode, "%s %v", path, from)
			assert.Empty(t, res.Cookies())
		}
	}
	assert.True(t, h.asked(c).SignedIn, "it was not signed out")
	res, _ := h.do(h.client(), http.MethodPost, "/sign-in", form(player, password), "Origin", h.url, "Sec-Fetch-Site", "same-origin")
	assert.Equal(t, http.StatusSeeOther, res.StatusCode)
}

func TestWhoSignsOutIsOut(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	stolen := h.client()
	at := h.cookie(c)
	conn := h.socket(c)
	h.players(1)
	res, _ := h.do(c, http.MethodPost, "/sign-out", "")
	assert.Equal(t, http.StatusSeeOther, res.StatusCode)
	h.players(0)
	_, _, err := conn.Read(t.Context())
	assert.Error(t, err, "the picture goes with it")
	res, _ = h.do(stolen, http.MethodGet, "/display/", "", "Cookie", at)
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode, "a kept cookie is worth nothing")
}

func (h *harness) port() string {
	_, port, err := net.SplitHostPort(h.config.Address)
	require.NoError(h.t, err)
	return port
}

// cookie returns the cookie that a client sends.
func (h *harness) cookie(c *http.Client) string {
	req := httptest.NewRequest(http.MethodGet, h.url, nil)
	cookies := c.Jar.Cookies(req.URL)
	require.Len(h.t, cookies, 1)
	return cookies[0].Name + "=" + cookies[0].Value
}

func TestSigningInAgainEndsTheCookieOfBefore(t *testing.T) {
	h := start(t)
	c := h.signedIn()
	before := h.cookie(c)
	res, _ := h.do(c, http.MethodPost, "/sign-in", form(player, password))
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	assert.NotEqual(t, before, h.cookie(c))
	_, text := h.do(h.client(), http.MethodGet, "/state", "", "Cookie", before)
	assert.Contains(t, text, `"signedIn":false`)
}

func TestVisitorsAreBounded(t *testing.T) {
	h := start(t)
	first := h.signedIn()
	c := h.client()
	c.Jar = nil
	for range ringSize {
		h.do(c, http.MethodPost, "/sign-in", form(player, password))
	}
	assert.Len(t, h.visitors.held, ringSize)
	assert.False(t, h.asked(first).SignedIn, "the oldest gave way")
}

// attempt signs in from an address, without a network.
func (h *harness) attempt(from, password string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://session/sign-in", strings.NewReader(form(player, password)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = from
	w := httptest.NewRecorder()
	h.server.Handler.ServeHTTP(w, r)
	return w
}

func TestFiftyWrongGuessesAreTenChecksAndAnotherAddressIsNotHeldUp(t *testing.T) {
	h := start(t)
	codes := map[string]map[int]int{"192.0.2.1:1": {}, "198.51.100.7:1": {}}
	for i := range 25 {
		for from, got := range codes {
			got[h.attempt(from[:len(from)-1]+strconv.Itoa(i+1), "wrong").Code]++
		}
	}
	for from, got := range codes {
		assert.Equal(t, map[int]int{http.StatusUnauthorized: freeFailures, http.StatusTooManyRequests: 20}, got, from)
	}
	w := h.attempt("192.0.2.1:9", password)
	assert.Equal(t, http.StatusTooManyRequests, w.Code, "not even the right one")
	assert.Equal(t, "30", w.Header().Get("Retry-After"))
	assert.Contains(t, w.Body.String(), "Too many attempts. Please wait 30 seconds, then try again.")
	assert.Equal(t, http.StatusSeeOther, h.attempt("203.0.113.9:1", password).Code)
}

// A browser sends the cookies of a host to all of its ports, so a server on another port
// of the session's host may have stolen one.
func TestACookieIsWorthNothingAtAnotherAddress(t *testing.T) {
	h := start(t, func(c *Config) { c.NativeClients = true })
	h.ready()
	c, thief := h.signedIn(), h.clientAt("127.0.0.9")
	conn := h.socket(c)
	h.players(1)
	stolen := []string{"Cookie", h.cookie(c)}
	for at, want := range map[string]int{
		"GET /display/": http.StatusUnauthorized, "POST /enter": http.StatusUnauthorized, "GET /play": http.StatusUnauthorized,
		"GET /session.dcv": http.StatusSeeOther, "POST /sign-out": http.StatusSeeOther,
	} {
		method, path, _ := strings.Cut(at, " ")
		res, _ := h.do(thief, method, path, "", stolen...)
		assert.Equal(t, want, res.StatusCode, at)
	}
	_, res, err := h.dial(thief, "/display/ws", h.url, stolen...)
	require.Error(t, err)
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
	_, text := h.do(thief, http.MethodGet, "/state", "", stolen...)
	assert.Contains(t, text, `"signedIn":false`)

	require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("still here")))
	_, _, err = conn.Read(t.Context())
	require.NoError(t, err, "the player is not disturbed")
	assert.True(t, h.asked(c).SignedIn, "nor signed out")
}

func TestAPlayerWhoseAddressChangesIsAskedToSignInAgainAndTheGameGoesOn(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	before := h.socket(c)
	h.players(1)
	_, text := h.do(c, http.MethodGet, "/", "")
	assert.NotContains(t, text, `id="moved"`)

	c.Transport = h.clientAt("127.0.0.9").Transport
	is := h.asked(c)
	assert.True(t, is.Moved)
	assert.False(t, is.SignedIn)
	assert.Nil(t, is.Warning, "what is for players only stays theirs")
	res, text := h.do(c, http.MethodGet, "/", "")
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Contains(t, text, "Your network address has changed since you signed in.")
	assert.Contains(t, text, `action="/sign-in"`)
	assert.NotContains(t, text, "aria-invalid", "the player has typed nothing wrong")
	require.NoError(t, before.Write(t.Context(), websocket.MessageText, []byte("still here")))
	_, _, err := before.Read(t.Context())
	require.NoError(t, err, "the connection of before goes on")

	res, _ = h.do(c, http.MethodPost, "/sign-in", form(player, password))
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	assert.True(t, h.asked(c).SignedIn)
	h.socket(c)
}

// A browser keeps one cookie of a name for all ports of a host.
func TestTwoSessionsOfAHostDoNotSignEachOtherOut(t *testing.T) {
	one, two := start(t), start(t)
	c := one.signedIn()
	c.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true // both certificates are self-signed
	res, _ := two.do(c, http.MethodPost, "/sign-in", form(player, password))
	require.Equal(t, http.StatusSeeOther, res.StatusCode)
	assert.True(t, one.asked(c).SignedIn)
	assert.True(t, two.asked(c).SignedIn)
	two.do(c, http.MethodPost, "/sign-out", "")
	assert.True(t, one.asked(c).SignedIn)
	assert.False(t, two.asked(c).SignedIn)
}

func TestTheWaitDoublesUpToAQuarterOfAnHourAndIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g signInGuard
		from := netip.MustParseAddr("192.0.2.1")
		no, yes := func() bool { return false }, func() bool { return true }
		for range freeFailures {
			_, wait := g.try(from, no)
			assert.Zero(t, wait)
		}
		for _, want := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute, 15 * time.Minute} {
			right, wait := g.try(from, yes)
			assert.False(t, right)
			assert.Equal(t, want, wait)
			time.Sleep(want - time.Second)
			_, wait = g.try(from, yes)
			assert.Equal(t, time.Second, wait, "asking does not lengthen it")
			time.Sleep(time.Second)
			_, wait = g.try(from, no)
			assert.Zero(t, wait)
		}
		time.Sleep(longestWait)
		right, _ := g.try(from, yes)
		assert.True(t, right)
		for range freeFailures {
			g.try(from, no)
		}
		_, wait := g.try(from, no)
		assert.Equal(t, firstWait, wait, "who was right begins anew")
		time.Sleep(forgetAfter)
		_, wait = g.try(from, no)
		assert.Zero(t, wait)
		assert.Equal(t, 1, g.failed[from].count)
	})
}

func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	h := start(t)
	for i := range freeFailures {
		assert.Equal(t, http.StatusUnauthorized, h.attempt(fmt.Sprintf("[2001:db8::%x]:1", i+1), "wrong").Code)
	}
	assert.Equal(t, http.StatusTooManyRequests, h.attempt("[2001:db8::ffff]:1", "wrong").Code)
	assert.Equal(t, http.StatusUnauthorized, h.attempt("[2001:db8:0:1::1]:1", "wrong").Code)
	assert.Equal(t, netip.MustParseAddr("192.0.2.1"), household(netip.MustParseAddr("::ffff:192.0.2.1")))
}

func TestTheGuardsMemoryIsBoundedAndKeepsTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g signInGuard
		at := netip.MustParseAddr("10.0.0.0")
		first := at
		for range maxAddresses + 10 {
			g.try(at, func() bool { return false })
			at = at.Next()
			time.Sleep(time.Millisecond)
		}
		assert.Len(t, g.failed, maxAddresses)
		assert.NotContains(t, g.failed, first)
		assert.Contains(t, g.failed, at.Prev())
	})
}

func TestAWaitIsToldInWords(t *testing.T) {
	for seconds, want := range map[int]string{1: "1 second", 59: "59 seconds", 60: "1 minute", 61: "2 minutes", 900: "15 minutes"} {
		assert.Equal(t, want, durationText(seconds))
	}
}
