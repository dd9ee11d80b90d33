package door

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

func TestOnlyWhoHasSignedInReachesTheDisplay(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.client()
	res, _ := h.do(c, http.MethodGet, "/display/", "", "Accept", "text/html,*/*")
	assert.Equal(t, http.StatusSeeOther, res.StatusCode, "a page leads to the sign-in")
	assert.Equal(t, "/", res.Header.Get("Location"))
	res, _ = h.do(c, http.MethodGet, "/display/app.js", "")
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
	res, _ = h.do(c, http.MethodGet, "/display/app.js", "", "Cookie", h.cookieName+"="+strings.Repeat("0", 64))
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
	_, res, err := h.dial(c, "/display/ws", h.url)
	assert.Error(t, err)
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
	res, _ = h.do(c, http.MethodPost, "/enter", "")
	assert.Equal(t, http.StatusUnauthorized, res.StatusCode)
	assert.Empty(t, h.display.seen)

	res, text := h.do(h.signedIn(), http.MethodGet, "/display/", "")
	assert.Equal(t, "the picture", text)
	assert.Equal(t, "frame-ancestors 'self'", res.Header.Get("Content-Security-Policy"), "our page may frame it")
	assert.Equal(t, "no-referrer", res.Header.Get("Referrer-Policy"))
}

func TestBeforeItIsOpenAndAfterDisconnectNobodyIsLetThrough(t *testing.T) {
	h := start(t)
	c := h.signedIn()
	shut := func() {
		t.Helper()
		for _, at := range []string{"GET /display/", "POST /enter"} {
			method, path, _ := strings.Cut(at, " ")
			res, _ := h.do(c, method, path, "")
			assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode, at)
		}
		assert.False(t, h.asked(c).Ready)
	}
	shut()
	h.ready()
	assert.True(t, h.asked(c).Ready)
	conn := h.socket(c)
	h.players(1)
	h.Disconnect()
	h.players(0)
	_, _, err := conn.Read(t.Context())
	assert.Error(t, err)
	shut()
	h.Open(h.display)
	shut()
}

func TestTheDisplayNeverSeesACookieOfASession(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	h.do(c, http.MethodGet, "/display/a?b=c", "", "Cookie", "theirs=1; "+cookiePrefix+"8444=anothers")
	got := <-h.display.seen
	assert.Equal(t, "theirs=1", got.Header.Get("Cookie"))
	assert.Equal(t, "/display/a?b=c", got.URL.String())
	h.socket(c)
	assert.Empty(t, (<-h.display.seen).Header.Values("Cookie"))
}

func TestAWebSocketOfAnotherSitesPageIsRefused(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	for _, origin := range []string{"https://evil.example", "http://" + strings.TrimPrefix(h.url, "https://"), "https://127.0.0.1:1", "null", ""} {
		_, res, err := h.dial(c, "/display/ws", origin)
		require.Error(t, err, origin)
		assert.Equal(t, http.StatusForbidden, res.StatusCode, origin)
	}
	assert.Empty(t, h.display.seen)
	assert.Empty(t, h.Players())
}

func TestPlayersAreVisitorsWithOpenWebSockets(t *testing.T) {
	h := start(t)
	h.ready()
	one, two := h.signedIn(), h.signedIn()
	first := h.socket(one)
	h.players(1)
	second := h.socket(one)
	require.NoError(t, second.Write(t.Context(), websocket.MessageText, []byte("w")))
	_, text, err := second.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "w", string(text))
	assert.Empty(t, h.Players(), "a second WebSocket of a player is no second player")
	other := h.socket(two)
	h.players(2)
	assert.True(t, h.asked(one).Connected)
	require.NoError(t, other.Close(websocket.StatusNormalClosure, ""))
	h.players(1)
	require.NoError(t, first.CloseNow(), "cut off, without a word")
	require.NoError(t, second.CloseNow())
	h.players(0)
	assert.False(t, h.asked(one).Connected)
}

func TestAPlayerWhoReloadsIsCountedAgain(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	for range 3 {
		conn := h.socket(c)
		h.players(1)
		_ = conn.CloseNow()
		h.players(0)
	}
}

func TestOnlyTheLatestNumberOfPlayersWaitsAndNothingBlocks(t *testing.T) {
	h := start(t)
	v := newVisitor(context.Background(), loopback, time.Time{})
	for range 10 {
		h.countSockets(v, 1)
		h.countSockets(v, -1)
	}
	h.countSockets(v, 1)
	assert.Equal(t, 1, <-h.Players())
	assert.Empty(t, h.Players())
}

func TestAWebSocketThatTheDisplayRefusesIsNoPlayer(t *testing.T) {
	h := start(t)
	h.ready()
	_, res, err := h.dial(h.signedIn(), "/display/broken", h.url)
	require.Error(t, err)
	assert.Equal(t, http.StatusBadGateway, res.StatusCode)
	assert.Empty(t, h.Players())
}

// A WebSocket lasts as long as a session, far longer than a request may.
func TestTheServersTimeLimitsDoNotCutAWebSocket(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	before := h.socket(c)
	short := httptest.NewUnstartedServer(h.server.Handler)
	short.Config.ReadTimeout, short.Config.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond
	short.StartTLS()
	defer short.Close()
	client := short.Client()
	conn, _, err := websocket.Dial(t.Context(), short.URL+"/display/ws", &websocket.DialOptions{HTTPClient: client, HTTPHeader: http.Header{
		"Origin": {short.URL}, "Cookie": {h.cookie(c)},
	}})
	require.NoError(t, err)
	defer func() { _ = conn.CloseNow() }()
	time.Sleep(time.Second)
	for _, conn := range []*websocket.Conn{before, conn} {
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("still here")))
		_, text, err := conn.Read(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "still here", string(text))
	}
}

// DCV's display is a reverse proxy: its WebSockets must be counted and ended too.
func TestAReverseProxyAsDisplayIsCountedAndDisconnected(t *testing.T) {
	h := start(t)
	behind := httptest.NewServer(h.display.Handler())
	defer behind.Close()
	to, err := url.Parse(behind.URL)
	require.NoError(t, err)
	h.Open(proxied{h.display, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Header.Del("Origin")
	}}})
	conn := h.socket(h.signedIn())
	h.players(1)
	require.NoError(t, conn.Write(t.Context(), websocket.MessageBinary, []byte("through")))
	_, text, err := conn.Read(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "through", string(text))
	h.Disconnect()
	h.players(0)
}

// A reverse proxy waits for the other side. A player must stop counting when its network
// fails or its display dies, even if the other side has not noticed.
func TestThroughAReverseProxyAWebSocketIsOverWhenEitherSideEnds(t *testing.T) {
	h := start(t)
	died := make(chan struct{})
	behind := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := websocket.Accept(w, r, nil); err == nil {
			<-died // until then it reads nothing
			_ = c.CloseNow()
		}
	}))
	defer behind.Close()
	to, err := url.Parse(behind.URL)
	require.NoError(t, err)
	h.Open(proxied{h.display, &httputil.ReverseProxy{Transport: behind.Client().Transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Header.Del("Origin")
	}}})
	c := h.signedIn()
	cutOff := h.socket(c)
	h.players(1)
	_ = cutOff.CloseNow()
	h.players(0)
	h.socket(c)
	h.players(1)
	close(died)
	h.players(0)
}

type proxied struct {
	*fakeDisplay
	handler http.Handler
}

func (p proxied) Handler() http.Handler { return p.handler }

func TestAnEntryHasATokenThatTheVerifierKnows(t *testing.T) {
	h := start(t)
	h.ready()
	res, text := h.do(h.signedIn(), http.MethodPost, "/enter", "")
	require.Equal(t, http.StatusOK, res.StatusCode)
	var in struct{ Entry string }
	require.NoError(t, json.Unmarshal([]byte(text), &in))
	entry, err := url.Parse(in.Entry)
	require.NoError(t, err)
	assert.Equal(t, "/display/", entry.Path)
	assert.Equal(t, "console", entry.Fragment)
	token := entry.Query().Get("authToken")
	assert.Len(t, token, 64)
	for range 2 { // a client may reconnect by itself
		code, answer := verified(h.Door, "console", token)
		assert.Equal(t, http.StatusOK, code)
		assert.Equal(t, `<auth result="yes"><username>player1</username></auth>`, answer)
	}
}

// verified sends a request to the verifier as DCV does.
func verified(d *Door, session, token string) (int, string) {
	body := url.Values{"sessionId": {session}, "authenticationToken": {token}, "clientAddress": {"127.0.0.1"}}.Encode()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.VerifierHandler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestTheVerifierAnswersOnlyForItsOwnSessionsFreshTokens(t *testing.T) {
	h, another := start(t), start(t)
	h.ready()
	another.ready()
	_, token := h.mintToken(tokenLife)
	_, foreign := another.mintToken(tokenLife)
	_, expired := h.mintToken(-time.Second)
	for name, ask := range map[string][2]string{
		"another session's name": {"console2", token}, "no session": {"", token}, "another session's token": {"console", foreign},
		"an expired token": {"console", expired}, "no token": {"console", ""}, "a token cut short": {"console", token[:63]},
		"the password": {"console", password},
	} {
		code, answer := verified(h.Door, ask[0], ask[1])
		assert.Equal(t, http.StatusOK, code)
		assert.Equal(t, `<auth result="no"/>`, answer, name)
	}
	_, answer := verified(h.Door, "console", token)
	assert.Contains(t, answer, "yes", "the token itself was good")
	h.Disconnect()
	_, answer = verified(h.Door, "console", token)
	assert.Equal(t, `<auth result="no"/>`, answer, "nobody comes after the end")
}

func TestATokenIsGoodForAMinute(t *testing.T) {
	h := start(t)
	h.ready()
	_, _ = h.mintToken(tokenLife)
	assert.WithinDuration(t, time.Now().Add(time.Minute), h.tokens.held[0].value, patience)
}

func TestTheVerifierNeitherListsNorMints(t *testing.T) {
	h := start(t)
	h.ready()
	_, token := h.mintToken(tokenLife)
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete} {
		w := httptest.NewRecorder()
		h.VerifierHandler().ServeHTTP(w, httptest.NewRequest(method, "/?sessionId=console", nil))
		assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
		assert.NotContains(t, w.Body.String(), token)
	}
	for range 10 {
		verified(h.Door, "console", "guess")
	}
	assert.Len(t, h.tokens.held, 1)
	assert.NotContains(t, string(h.tokens.held[0].hash[:]), token)
}

// unnamed is a display without a name of its session, as VNC is.
type unnamed struct{ *fakeDisplay }

func (unnamed) SessionID() string { return "" }

func TestATokenOfASessionWithoutANameIsNeverGood(t *testing.T) {
	h := start(t)
	h.Open(unnamed{h.display})
	_, token := h.mintToken(tokenLife)
	_, answer := verified(h.Door, "", token)
	assert.Equal(t, `<auth result="no"/>`, answer)
}

// nativeFile downloads a .dcv file, and returns its values by name.
func (h *harness) nativeFile(c *http.Client) map[string]string {
	h.t.Helper()
	res, text := h.do(c, http.MethodGet, "/session.dcv", "")
	require.Equal(h.t, http.StatusOK, res.StatusCode)
	assert.Contains(h.t, res.Header.Get("Content-Disposition"), "session.dcv")
	assert.Equal(h.t, "no-store", res.Header.Get("Cache-Control"))
	values := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			values[name] = value
		}
	}
	return values
}

func TestANativeClientComesInByItsFile(t *testing.T) {
	h := start(t, func(c *Config) { c.NativeClients = true })
	h.ready()
	browser := h.signedIn()
	file := h.nativeFile(browser)
	assert.Equal(t, "1.0", file["format"])
	assert.Equal(t, strings.TrimPrefix(h.url, "https://"), file["host"]+":"+file["port"])
	assert.Equal(t, "console", file["sessionid"])
	assert.Regexp(t, "^/native/[0-9a-f]{64}/$", file["weburlpath"])
	_, answer := verified(h.Door, "console", file["authtoken"])
	assert.Contains(t, answer, "yes")

	native := h.clientAt("127.0.0.2") // without a cookie or an Origin, and not by the browser's VPN
	_, text := h.do(native, http.MethodGet, file["weburlpath"]+"a%2Fb?c=d", "")
	assert.Equal(t, "the picture", text)
	got := <-h.display.seen
	assert.Equal(t, "/display/a/b", got.URL.Path)
	assert.Equal(t, "c=d", got.URL.RawQuery)
	assert.NotContains(t, got.RequestURI, "native")
	conn, _, err := h.dial(native, file["weburlpath"]+"ws", "")
	require.NoError(t, err)
	defer func() { _ = conn.CloseNow() }()
	h.players(1)

	thief := h.clientAt("127.0.0.9")
	_, res, err := h.dial(thief, file["weburlpath"]+"ws", "")
	require.Error(t, err, "the file is that of the address which it was used from first")
	assert.Equal(t, http.StatusNotFound, res.StatusCode)
	_, res, err = h.dial(native, file["weburlpath"]+"ws", "https://evil.example")
	require.Error(t, err)
	assert.Equal(t, http.StatusForbidden, res.StatusCode)
	h.do(browser, http.MethodPost, "/sign-out", "")
	h.players(0)
	res, _ = h.do(native, http.MethodGet, file["weburlpath"], "")
	assert.Equal(t, http.StatusNotFound, res.StatusCode, "the file goes with its sign-in")
}

func TestANativeFileIsGoodForBeginningWithinTenMinutes(t *testing.T) {
	h := start(t, func(c *Config) { c.NativeClients = true })
	h.ready()
	file := h.nativeFile(h.signedIn())
	v := h.passes.held[0].value
	assert.WithinDuration(t, time.Now().Add(10*time.Minute), v.until, patience)
	native := h.client()
	conn, _, err := h.dial(native, file["weburlpath"]+"ws", "")
	require.NoError(t, err)
	h.players(1)
	h.mu.Lock()
	v.until = time.Now().Add(-time.Second)
	h.mu.Unlock()
	res, _ := h.do(native, http.MethodGet, file["weburlpath"], "")
	assert.Equal(t, http.StatusOK, res.StatusCode, "who is connected goes on")
	_ = conn.CloseNow()
	h.players(0)
	res, _ = h.do(native, http.MethodGet, file["weburlpath"], "")
	assert.Equal(t, http.StatusNotFound, res.StatusCode)
}

func TestNativeClientsAreOffUnlessTheyAreSwitchedOn(t *testing.T) {
	h := start(t)
	h.ready()
	c := h.signedIn()
	for _, path := range []string{"/session.dcv", "/native/" + strings.Repeat("0", 64) + "/"} {
		res, _ := h.do(c, http.MethodGet, path, "")
		assert.Equal(t, http.StatusNotFound, res.StatusCode, path)
	}
	_, text := h.do(c, http.MethodGet, "/", "")
	assert.NotContains(t, text, "session.dcv")
}

func TestOnlyWhoHasSignedInGetsANativeFile(t *testing.T) {
	h := start(t, func(c *Config) { c.NativeClients = true })
	res, text := h.do(h.client(), http.MethodGet, "/session.dcv", "")
	assert.Equal(t, http.StatusSeeOther, res.StatusCode)
	assert.NotContains(t, text, "weburlpath")
	res, _ = h.do(h.signedIn(), http.MethodGet, "/session.dcv", "")
	assert.Equal(t, http.StatusServiceUnavailable, res.StatusCode, "not before the session is open")
	h.state(contract.StateReady)
}
