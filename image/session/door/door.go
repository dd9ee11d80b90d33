// Package door serves the session's public HTTPS port, from its first second to its
// last: the waiting page, the sign-in, and a reverse proxy to the remote display, which
// counts the display's connections.
package door

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// Config configures a Door.
type Config struct {
	Certificate tls.Certificate
	Session     string // its id; the page shows it, for the studio's support
	Credentials contract.Credentials
	Branding    *branding.Branding
	Board       *status.Board
	End         http.Handler // serves contract.EndPath: an *Ender
	// DisplayServer selects the hint about the mouse.
	DisplayServer contract.DisplayServer
	// NativeClients offers a .dcv file, for the display at Address, after the sign-in.
	NativeClients bool
	Address       string // "203.0.113.7:8443", public; each session of a host has a port of its own
}

// Display is the part of display.Display that the door needs.
type Display interface {
	// Handler serves the client and its WebSockets below display.Path. It must allow
	// a page of the same origin to frame the client.
	Handler() http.Handler
	// Entry returns the client's address, below display.Path, with query and fragment.
	Entry(token string) string
	// SessionID returns the session of the verifier's requests and of the .dcv file;
	// "" if the display has none.
	SessionID() string
}

// Door serves a session's public port.
type Door struct {
	config      Config
	credentials [2][sha256.Size]byte // name and password
	pages       *pages
	cookieName  string
	guard       signInGuard
	server      *http.Server
	verifier    *http.Server
	counts      chan int
	traffic     traffic

	playing context.Context // ends with Disconnect
	leave   context.CancelFunc
	serving context.Context // ends with Close
	stop    context.CancelFunc

	mu       sync.Mutex
	display  Display               // nil: not open
	play     contract.Play         // of its game
	visitors secretRing[*visitor]  // by cookie
	passes   secretRing[*visitor]  // of native clients, by path
	tokens   secretRing[time.Time] // the end of their validity
	players  int
}

// New returns a Door. Serve opens it.
func New(c Config) (*Door, error) {
	pages, err := newPages(c.Branding)
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(c.Address)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(c.Certificate.Certificate[0])
	if err != nil {
		return nil, err
	}
	d := &Door{
		config: c, pages: pages, cookieName: cookiePrefix + port, counts: make(chan int, 1),
		credentials: [2][sha256.Size]byte{sha256.Sum256([]byte(c.Credentials.Username)), sha256.Sum256([]byte(c.Credentials.Password))},
	}
	d.config.Credentials.Password = "" // the hash is enough
	d.visitors.dropped = func(v *visitor) { v.leave() }
	d.passes.dropped = d.visitors.dropped
	d.playing, d.leave = context.WithCancel(context.Background())
	d.serving, d.stop = context.WithCancel(context.Background())
	d.server = newServer(d.routes())
	if !selfIssued(leaf) {
		d.server.Handler = withHSTS(d.server.Handler)
	}
	d.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c.Certificate}, MinVersion: tls.VersionTLS12}
	d.server.BaseContext = func(net.Listener) context.Context { return d.serving }
	d.verifier = newServer(d.VerifierHandler())
	return d, nil
}

// newServer returns a server that slow clients can't keep busy.
func newServer(handler http.Handler) *http.Server {
	// A WebSocket gains nothing from HTTP/2, in which one connection can hold any
	// number of handlers. GODEBUG does not override a setting made here.
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         &http1,
		ReadHeaderTimeout: 10 * time.Second, // also of a TLS handshake
		ReadTimeout:       30 * time.Second, // none of these applies to a WebSocket: a hijacked connection has no deadline
		WriteTimeout:      30 * time.Second, // of the door's own answers; for the display's, see displayAnswer
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // noise of the internet; stdout is for events
	}
}

// Serve serves a listener until Close, then returns http.ErrServerClosed.
func (d *Door) Serve(l net.Listener) error {
	return d.server.ServeTLS(newConnectionLimiter(l, publicLimits, d.guests), "", "")
}

// ServeVerifier serves DCV's external authentication on a loopback listener until
// Close, then returns http.ErrServerClosed. Sessions share the host's network, so other
// sessions' players can reach it too.
func (d *Door) ServeVerifier(l net.Listener) error {
	return d.verifier.Serve(newConnectionLimiter(l, verifierLimits, nil))
}

// Open gives players access to a display and to the script of its game after the
// sign-in, until Disconnect.
func (d *Door) Open(to Display, play contract.Play) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.playing.Err() == nil {
		d.display, d.play = to, play
	}
}

// Players receives the number of connected players whenever it changes. Only the
// latest number waits to be read.
func (d *Door) Players() <-chan int { return d.counts }

// Disconnect closes all connections of players to the display and refuses new ones.
// The pages stay.
func (d *Door) Disconnect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.display = nil
	d.leave()
}

// Close ends everything. Requests in progress may finish until ctx ends.
func (d *Door) Close(ctx context.Context) error {
	d.Disconnect()
	defer d.stop()
	defer d.verifier.Close()
	err := d.server.Shutdown(ctx)
	if err != nil {
		_ = d.server.Close()
	}
	return err
}

// routes returns the handler of the public port. Requests with an effect are refused if
// they come from another site's page.
func (d *Door) routes() http.Handler {
	own, same := http.NewServeMux(), http.NewCrossOriginProtection()
	own.HandleFunc("GET /{$}", d.shell)
	own.HandleFunc("GET /state", d.state)
	own.HandleFunc("GET /assets/{version}/{name}", d.pages.asset)
	own.HandleFunc("GET "+contract.HealthPath, d.health)
	own.HandleFunc("GET "+contract.PlayPath, d.script)
	own.Handle("POST "+contract.EndPath, d.config.End)
	own.Handle("POST /sign-in", same.Handler(http.HandlerFunc(d.signIn)))
	own.Handle("POST /sign-out", same.Handler(http.HandlerFunc(d.signOut)))
	own.Handle("POST /enter", same.Handler(http.HandlerFunc(d.enter)))

	all := http.NewServeMux()
	all.Handle("/", withSecurityHeaders(own))
	all.Handle(display.Path, same.Handler(http.HandlerFunc(d.proxy)))
	if d.config.NativeClients {
		own.HandleFunc("GET /session.dcv", d.nativeFile)
		all.Handle(nativePath, same.Handler(http.HandlerFunc(d.proxyNative)))
	}
	return all
}

// withHSTS makes browsers remember that this host needs HTTPS with a valid certificate
// (RFC 6797): they then offer no way past the warning about another certificate, on any
// port of the host. The name stands for one address, so subdomains are not included.
func withHSTS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		next.ServeHTTP(w, r)
	})
}

// withSecurityHeaders adds the headers that keep the door's own answers from misuse.
func withSecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "+
			"frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// health reports the session's state, and nothing about its player.
func (d *Door) health(w http.ResponseWriter, _ *http.Request) {
	state := stateOf(d.config.Board.Get())
	health := struct {
		Status   contract.State `json:"status"` // StateReady as long as players may connect
		State    contract.State `json:"state"`
		Contract int            `json:"contract"`
	}{state, state, contract.Version}
	if isOpen(state) {
		health.Status = contract.StateReady
	}
	writeJSON(w, health)
}

// stateOf returns a session's state. An empty status is that of a session that begins.
func stateOf(s status.Status) contract.State {
	if s.State == "" {
		return contract.Steps[0]
	}
	return s.State
}

// isOpen reports whether players may connect in a state.
func isOpen(s contract.State) bool {
	return s == contract.StateReady || s == contract.StatePlaying || s == contract.StateAway
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
