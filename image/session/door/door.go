// Package door is the session's public HTTPS port, from its first second to its
// last: the pages that a player waits on, the sign-in, and the way through to the
// remote display, whose connections it counts.
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

// Config is what a door is made of.
type Config struct {
	Certificate tls.Certificate
	Session     string // its id, shown to players for their studio's support
	Credentials contract.Credentials
	Branding    *branding.Branding
	Board       *status.Board
	End         http.Handler // of contract.EndPath: an *Ender
	// DisplayServer chooses the hint about the mouse.
	DisplayServer contract.DisplayServer
	// NativeClients lets a player who has signed in download a .dcv file, for the
	// display at Address.
	NativeClients bool
	Address       string // "203.0.113.7:8443", as players reach the session; each session of a host has a port of its own
}

// Display is the part of display.Display that the door needs.
type Display interface {
	// Handler serves the client and its WebSockets below display.Path. It has to
	// let a page of the same origin frame the client.
	Handler() http.Handler
	// Entry is the client's address, below display.Path, with query and fragment.
	Entry(token string) string
	// SessionID is the session that the verifier and the .dcv file name; "": none.
	SessionID() string
}

// Door is a session's public port.
type Door struct {
	config      Config
	credentials [2][sha256.Size]byte // name and password
	pages       *pages
	cookieName  string
	guard       guard
	server      *http.Server
	verifier    *http.Server
	counts      chan int

	playing context.Context // ends with Disconnect
	leave   context.CancelFunc
	serving context.Context // ends with Close
	stop    context.CancelFunc

	mu       sync.Mutex
	display  Display         // nil: nobody is let through
	visitors ring[*visitor]  // by cookie
	passes   ring[*visitor]  // of native clients, by path
	tokens   ring[time.Time] // until when they are good
	players  int
}

// New makes a door; it opens with Serve.
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
	d.config.Credentials.Password = "" // its hash will do
	d.visitors.dropped = func(v *visitor) { v.leave() }
	d.passes.dropped = d.visitors.dropped
	d.playing, d.leave = context.WithCancel(context.Background())
	d.serving, d.stop = context.WithCancel(context.Background())
	d.server = newServer(d.routes())
	if !selfIssued(leaf) {
		d.server.Handler = strict(d.server.Handler)
	}
	d.server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{c.Certificate}, MinVersion: tls.VersionTLS12}
	d.server.BaseContext = func(net.Listener) context.Context { return d.serving }
	d.verifier = newServer(d.VerifierHandler())
	return d, nil
}

// newServer makes a server that nobody can keep busy by being slow.
func newServer(handler http.Handler) *http.Server {
	// A WebSocket gains nothing from HTTP/2, whose streams let one connection hold
	// any number of handlers. What is set here, GODEBUG does not change.
	var http1 http.Protocols
	http1.SetHTTP1(true)
	return &http.Server{
		Handler:           handler,
		Protocols:         &http1,
		ReadHeaderTimeout: 10 * time.Second, // of a TLS handshake too
		ReadTimeout:       30 * time.Second, // none of these is a WebSocket's: a hijacked connection has no deadline
		WriteTimeout:      30 * time.Second, // of an answer of ours; of the display's, see steady
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // the internet's noise; stdout is for events
	}
}

// Serve answers on a listener until Close, then returns http.ErrServerClosed.
func (d *Door) Serve(l net.Listener) error {
	return d.server.ServeTLS(newLimiter(l, publicLimits, d.guests), "", "")
}

// ServeVerifier answers DCV on a listener on loopback until Close, then returns
// http.ErrServerClosed. Other sessions' players reach it too where they share the
// host's network.
func (d *Door) ServeVerifier(l net.Listener) error {
	return d.verifier.Serve(newLimiter(l, verifierLimits, nil))
}

// Open lets players who have signed in through to a display, until Disconnect.
func (d *Door) Open(to Display) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.playing.Err() == nil {
		d.display = to
	}
}

// Players tells how many players are connected, each time that it changes. Only
// the latest number waits to be read.
func (d *Door) Players() <-chan int { return d.counts }

// Disconnect closes every connection of players to the display, and lets nobody
// through again. The pages stay.
func (d *Door) Disconnect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.display = nil
	d.leave()
}

// Close ends everything; requests under way may finish until ctx ends.
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

// routes are the paths of the public port. What changes something is refused to
// other sites' pages.
func (d *Door) routes() http.Handler {
	own, same := http.NewServeMux(), http.NewCrossOriginProtection()
	own.HandleFunc("GET /{$}", d.shell)
	own.HandleFunc("GET /state", d.state)
	own.HandleFunc("GET /assets/{version}/{name}", d.pages.asset)
	own.HandleFunc("GET "+contract.HealthPath, d.health)
	own.Handle("POST "+contract.EndPath, d.config.End)
	own.Handle("POST /sign-in", same.Handler(http.HandlerFunc(d.signIn)))
	own.Handle("POST /sign-out", same.Handler(http.HandlerFunc(d.signOut)))
	own.Handle("POST /enter", same.Handler(http.HandlerFunc(d.enter)))

	all := http.NewServeMux()
	all.Handle("/", guarded(own))
	all.Handle(display.Path, same.Handler(http.HandlerFunc(d.proxy)))
	if d.config.NativeClients {
		own.HandleFunc("GET /session.dcv", d.nativeFile)
		all.Handle(nativePath, same.Handler(http.HandlerFunc(d.proxyNative)))
	}
	return all
}

// strict has browsers remember that this host is reached by HTTPS with a valid
// certificate only (RFC 6797): they then give no way past the warning that another
// certificate leads to, on any port of the host. Its name belongs to its address,
// so nothing below the name is included.
func strict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		next.ServeHTTP(w, r)
	})
}

// guarded gives an answer of our own what keeps it from being misused.
func guarded(next http.Handler) http.Handler {
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

// health tells anyone how the session is, and nothing about whose.
func (d *Door) health(w http.ResponseWriter, _ *http.Request) {
	state := stateOf(d.config.Board.Get())
	health := struct {
		Status   contract.State `json:"status"` // StateReady for as long as a player may come
		State    contract.State `json:"state"`
		Contract int            `json:"contract"`
	}{state, state, contract.Version}
	if answers(state) {
		health.Status = contract.StateReady
	}
	writeJSON(w, health)
}

// stateOf is a session's state. A board on which nobody has written yet is of a
// session that begins.
func stateOf(s status.Status) contract.State {
	if s.State == "" {
		return contract.Steps[0]
	}
	return s.State
}

// answers tells whether a player may come.
func answers(s contract.State) bool {
	return s == contract.StateReady || s == contract.StatePlaying || s == contract.StateAway
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
