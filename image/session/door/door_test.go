package door

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

const (
	player   = "player1"
	password = "Planted-Pa55word!"
	patience = 20 * time.Second // of a loaded machine
)

var loopback = netip.MustParseAddr("127.0.0.1")

// fakeDisplay records the requests to a display, and echoes messages on its WebSockets.
type fakeDisplay struct{ seen chan *http.Request }

func (f *fakeDisplay) Entry(token string) string { return "/display/?authToken=" + token + "#console" }
func (f *fakeDisplay) SessionID() string         { return "console" }
func (f *fakeDisplay) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case f.seen <- r:
		default:
		}
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, "the picture")
			return
		}
		if r.URL.Path == "/display/broken" {
			http.Error(w, "no such socket", http.StatusBadGateway)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		for { // without r.Context(): the door has to end it
			kind, text, err := c.Read(context.Background())
			if err != nil {
				return
			}
			_ = c.Write(context.Background(), kind, text)
		}
	})
}

// harness is a door on loopback.
type harness struct {
	*Door
	t       *testing.T
	url     string // without a "/" at its end
	board   *status.Board
	display *fakeDisplay
	served  chan error
}

func start(t *testing.T, change ...func(*Config)) *harness {
	t.Helper()
	h, listener := prepare(t, change...)
	h.serve(listener)
	return h
}

// prepare returns a door that does not serve yet, and its listener.
func prepare(t *testing.T, change ...func(*Config)) (*harness, net.Listener) {
	t.Helper()
	certificate, err := SelfSigned(loopback)
	require.NoError(t, err)
	brand, err := branding.Load("../../branding")
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	h := &harness{t: t, url: "https://" + listener.Addr().String(), board: &status.Board{}, display: &fakeDisplay{make(chan *http.Request, 100)}, served: make(chan error, 1)}
	config := Config{
		Certificate: certificate, Session: "job-1", Credentials: contract.Credentials{Username: player, Password: password},
		Branding: brand, Board: h.board, End: http.NotFoundHandler(), Address: listener.Addr().String(),
	}
	for _, c := range change {
		c(&config)
	}
	h.Door, err = New(config)
	require.NoError(t, err)
	return h, listener
}

func (h *harness) serve(l net.Listener) {
	go func() { h.served <- h.Serve(l) }()
	h.t.Cleanup(func() { h.Close(context.Background()) })
}

func (h *harness) Close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_ = h.Door.Close(ctx)
}

// toPlay is the script of the harness's game.
var toPlay = contract.Play{Width: 640, Height: 360, Script: contract.Script{
	Start: []contract.Step{{Key: "Enter"}, {Wait: 2}}, Repeat: []contract.Step{{Hold: &contract.Hold{Key: "ArrowUp", Seconds: 3}}, {Move: &contract.Point{0.5, 1}}},
}}

// Open opens the door to a display of the harness's game.
func (h *harness) Open(to Display) { h.Door.Open(to, toPlay) }

// ready makes the session ready for players.
func (h *harness) ready() {
	h.Open(h.display)
	h.state(contract.StateReady)
}

func (h *harness) state(s contract.State) {
	h.board.Change(func(is *status.Status) { is.State = s })
}

// client returns a browser: it keeps cookies, and follows no redirect.
func (h *harness) client() *http.Client { return h.clientAt("127.0.0.1") }

// clientAt returns a browser at an address in 127.0.0.0/8.
func (h *harness) clientAt(address string) *http.Client {
	roots := x509.NewCertPool()
	leaf, err := x509.ParseCertificate(h.config.Certificate.Certificate[0])
	require.NoError(h.t, err)
	roots.AddCert(leaf)
	jar, _ := cookiejar.New(nil)
	c := &http.Client{
		Jar: jar, Timeout: patience,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DialContext: dialer(address).DialContext},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	h.t.Cleanup(c.CloseIdleConnections)
	return c
}

func dialer(from string) *net.Dialer {
	return &net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
}

// do sends a request with headers in pairs, and returns the response and its body.
func (h *harness) do(c *http.Client, method, path, body string, headers ...string) (*http.Response, string) {
	h.t.Helper()
	req, err := http.NewRequest(method, h.url+path, strings.NewReader(body))
	require.NoError(h.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(req)
	require.NoError(h.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(h.t, err)
	return res, string(text)
}

func form(username, password string) string {
	return url.Values{"username": {username}, "password": {password}}.Encode()
}

// signedIn returns a client that has signed in.
func (h *harness) signedIn() *http.Client {
	h.t.Helper()
	c := h.client()
	res, _ := h.do(c, http.MethodPost, "/sign-in", form(player, password))
	require.Equal(h.t, http.StatusSeeOther, res.StatusCode)
	return c
}

func (h *harness) asked(c *http.Client) pageView {
	h.t.Helper()
	_, text := h.do(c, http.MethodGet, "/state", "")
	var v pageView
	require.NoError(h.t, json.Unmarshal([]byte(text), &v))
	return v
}

// dial opens a WebSocket as a page of an origin does, with more headers in pairs.
func (h *harness) dial(c *http.Client, path, origin string, more ...string) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	headers := http.Header{}
	for i := 0; i < len(more); i += 2 {
		headers.Set(more[i], more[i+1])
	}
	if origin != "" {
		headers.Set("Origin", origin)
	}
	plain := *c
	plain.Timeout = 0
	return websocket.Dial(ctx, h.url+path, &websocket.DialOptions{HTTPClient: &plain, HTTPHeader: headers})
}

func (h *harness) socket(c *http.Client) *websocket.Conn {
	h.t.Helper()
	conn, _, err := h.dial(c, "/display/ws", h.url)
	require.NoError(h.t, err)
	h.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn
}

func (h *harness) players(want int) {
	h.t.Helper()
	for {
		select {
		case n := <-h.Players():
			if n == want {
				return
			}
		case <-time.After(patience):
			require.Fail(h.t, fmt.Sprintf("there never were %d players", want))
		}
	}
}

func TestHealthTellsTheStateAndNotWhoseSessionItIs(t *testing.T) {
	h := start(t)
	c := h.client()
	for state, want := range map[contract.State]string{
		"":                    `{"status":"user","state":"user","contract":1}`,
		contract.StateDisplay: `{"status":"display","state":"display","contract":1}`,
		contract.StateReady:   `{"status":"ready","state":"ready","contract":1}`,
		contract.StatePlaying: `{"status":"ready","state":"playing","contract":1}`,
		contract.StateAway:    `{"status":"ready","state":"away","contract":1}`,
		contract.StateEnding:  `{"status":"ending","state":"ending","contract":1}`,
	} {
		h.state(state)
		res, text := h.do(c, http.MethodGet, contract.HealthPath, "")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.JSONEq(t, want, text)
	}
}

func TestEveryAnswerOfOursKeepsOtherSitesOut(t *testing.T) {
	h := start(t, func(c *Config) { c.NativeClients = true })
	h.ready()
	for _, c := range []*http.Client{h.client(), h.signedIn()} {
		for _, at := range []string{"GET /", "GET /state", "GET /healthz", "GET /nothing", "GET /play", "POST /sign-in", "POST /enter", "GET /session.dcv", "GET /assets/x/y", "POST /"} {
			method, path, _ := strings.Cut(at, " ")
			res, _ := h.do(c, method, path, "")
			policy := res.Header.Get("Content-Security-Policy")
			assert.Contains(t, policy, "default-src 'none'", at)
			assert.Contains(t, policy, "frame-ancestors 'none'", at)
			assert.NotContains(t, policy, "unsafe", at)
			assert.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"), at)
			assert.Equal(t, "no-referrer", res.Header.Get("Referrer-Policy"), at)
			assert.Equal(t, "no-store", res.Header.Get("Cache-Control"), at)
		}
	}
}

func TestTheScriptOfTheGameIsForSignedInPlayersAsLongAsTheyMayPlay(t *testing.T) {
	h := start(t)
	c := h.signedIn()
	refused := func(c *http.Client, want int) {
		t.Helper()
		res, text := h.do(c, http.MethodGet, contract.PlayPath, "")
		assert.Equal(t, want, res.StatusCode)
		assert.NotContains(t, text, "{")
	}
	refused(c, http.StatusServiceUnavailable)
	h.ready()
	refused(h.client(), http.StatusUnauthorized)
	res, text := h.do(c, http.MethodGet, contract.PlayPath, "")
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Equal(t, "no-store", res.Header.Get("Cache-Control"))
	assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
	assert.JSONEq(t, `{"width": 640, "height": 360, "start": [{"key": "Enter"}, {"wait": 2}],
		"repeat": [{"hold": {"key": "ArrowUp", "seconds": 3}}, {"move": [0.5, 1]}]}`, text)
	res, _ = h.do(c, http.MethodPost, contract.PlayPath, "{}")
	assert.Equal(t, http.StatusMethodNotAllowed, res.StatusCode, "it can only be read")
	h.Disconnect()
	refused(c, http.StatusServiceUnavailable)
	h.do(c, http.MethodPost, "/sign-out", "")
	refused(c, http.StatusUnauthorized)
}

func TestAfterCloseTheDoorAnswersNobody(t *testing.T) {
	h := start(t)
	h.ready()
	conn := h.socket(h.signedIn())
	h.players(1)
	h.Close(context.Background())
	assert.ErrorIs(t, <-h.served, http.ErrServerClosed)
	h.players(0)
	_, _, err := conn.Read(context.Background())
	assert.Error(t, err)
	res, err := h.client().Get(h.url)
	if err == nil {
		res.Body.Close()
	}
	assert.Error(t, err)
}

// The password may be in the player's own request only.
func TestThePasswordIsInNothingThatIsServed(t *testing.T) {
	h := start(t, func(c *Config) { c.NativeClients = true })
	h.ready()
	var all strings.Builder
	keep := func(res *http.Response, text string) {
		_ = res.Header.Write(&all)
		all.WriteString(text)
	}
	for _, c := range []*http.Client{h.client(), h.signedIn()} {
		for _, path := range []string{"/", "/state", "/healthz", "/display/", "/session.dcv", "/play", "/nothing"} {
			keep(h.do(c, http.MethodGet, path, "", "Accept", "text/html"))
		}
		keep(h.do(c, http.MethodPost, "/enter", ""))
		keep(h.do(c, http.MethodPost, "/sign-in", form("nobody", password)))
		keep(h.do(c, http.MethodPost, "/sign-in", form(player, password)+"&%zz"))
		keep(h.do(c, http.MethodGet, "/sign-in?"+form(player, "x"), ""))
		keep(h.do(c, http.MethodPost, "/sign-in", form(player, password)))
	}
	fmt.Fprintf(&all, "%+v", h.config)
	assert.NotContains(t, all.String(), password)
	assert.NotContains(t, all.String(), url.QueryEscape(password))
	assert.Contains(t, all.String(), "the picture", "the search saw something")
}
