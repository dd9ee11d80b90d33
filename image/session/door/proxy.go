package door

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// proxy passes a request of a player who has signed in on to the display.
func (d *Door) proxy(w http.ResponseWriter, r *http.Request) {
	v, _ := d.visitor(r)
	switch {
	case v == nil && isPage(r):
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case v == nil:
		http.Error(w, "sign in first", http.StatusUnauthorized)
	case upgrades(r) && r.Header.Get("Origin") == "": // every browser sends it
		http.Error(w, "not from this session's page", http.StatusForbidden)
	default:
		d.serveDisplay(w, r, v)
	}
}

// serveDisplay has the display answer, and counts the visitor's WebSockets for as long as
// they are open. They end when the visitor's time is over.
func (d *Door) serveDisplay(w http.ResponseWriter, r *http.Request, v *visitor) {
	d.mu.Lock()
	to := d.display
	d.mu.Unlock()
	if to == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the session is not ready, or over", http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	r = r.Clone(ctx)
	stripCookies(r)
	if !upgrades(r) {
		w.Header().Set("Content-Security-Policy", "frame-ancestors 'self'")
		w.Header().Set("Referrer-Policy", "no-referrer") // the entry's token is in its address
		to.Handler().ServeHTTP(&displayAnswer{w, d.server.WriteTimeout}, r)
		return
	}
	if !sameOrigin(r) {
		http.Error(w, "not from this session's page", http.StatusForbidden)
		return
	}
	defer context.AfterFunc(v.over, cancel)()
	socket := &webSocketAnswer{ResponseWriter: w}
	socket.began = func(conn net.Conn) {
		d.countSockets(v, 1)
		context.AfterFunc(ctx, func() { _ = conn.Close() })
	}
	defer func() {
		if socket.open {
			d.countSockets(v, -1)
		}
	}()
	to.Handler().ServeHTTP(socket, r)
}

// countSockets follows a visitor's WebSockets: a player is a visitor who has any.
func (d *Door) countSockets(v *visitor, change int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	before := v.sockets
	v.sockets += change
	switch {
	case before == 0:
		d.players++
	case v.sockets == 0:
		d.players--
	default:
		return
	}
	select {
	case <-d.counts: // nobody has read it, and now it is old
	default:
	}
	d.counts <- d.players
}

// displayAnswer is an answer of the display. It may take as long as it likes, as a
// stream does; limit is how long the visitor may leave a piece of it unread.
type displayAnswer struct {
	http.ResponseWriter
	limit time.Duration
}

// extend begins the time of the next piece. Of an answer that has no deadlines,
// as in a test without a connection, nothing is asked.
func (s *displayAnswer) extend() {
	_ = http.NewResponseController(s.ResponseWriter).SetWriteDeadline(time.Now().Add(s.limit))
}

// WriteHeader implements http.ResponseWriter.
func (s *displayAnswer) WriteHeader(code int) {
	s.extend()
	s.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (s *displayAnswer) Write(b []byte) (int, error) {
	s.extend()
	return s.ResponseWriter.Write(b)
}

// FlushError is for http.ResponseController.
func (s *displayAnswer) FlushError() error {
	s.extend()
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (s *displayAnswer) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// webSocketAnswer is the answer to a request that becomes a WebSocket, when whoever
// answers takes the connection over.
type webSocketAnswer struct {
	http.ResponseWriter
	began func(net.Conn)
	open  bool
}

// Hijack implements http.Hijacker.
func (s *webSocketAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s.open = true
	s.began(conn)
	return closingConn{conn}, buffered, nil
}

// Unwrap is for http.ResponseController.
func (s *webSocketAnswer) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// closingConn is a connection that is over as soon as one side says so. By half, as TLS
// can be closed, httputil.ReverseProxy would wait for what the other side still
// has to say; no WebSocket goes on like that.
type closingConn struct{ net.Conn }

// Read ends with an error, and so the proxy's copying does.
func (w closingConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = net.ErrClosed
	}
	return n, err
}

// upgrades tells whether a request wants to become a WebSocket, or anything else.
func upgrades(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// sameOrigin tells whether a request comes from a page of this very origin. A
// native client has no page, and sends none.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	from, err := url.Parse(origin)
	return origin == "" || err == nil && from.Scheme == "https" && from.Host == r.Host
}

// isPage tells whether a browser is about to show the answer.
func isPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !upgrades(r) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// stripCookies keeps from the display our cookie, and those of other sessions on
// this host, which a browser sends here too.
func stripCookies(r *http.Request) {
	cookies := r.Cookies()
	r.Header.Del("Cookie")
	for _, c := range cookies {
		if !strings.HasPrefix(c.Name, cookiePrefix) {
			r.AddCookie(c)
		}
	}
}

// enter gives a player who has signed in the way into the display.
func (d *Door) enter(w http.ResponseWriter, r *http.Request) {
	if v, _ := d.visitor(r); v == nil {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	to, token := d.admit(tokenLife)
	if to == nil {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the session is not ready, or over", http.StatusServiceUnavailable)
		return
	}
	writeJSON(w, struct {
		Entry string `json:"entry"`
	}{to.Entry(token)})
}

// nativePath is where native clients come in, followed by their pass.
const nativePath = "/native/"

// proxyNative passes a native client on: its path stands for the cookie.
func (d *Door) proxyNative(w http.ResponseWriter, r *http.Request) {
	pass, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, nativePath), "/")
	v := d.passed(pass, addressOf(r.RemoteAddr))
	if v == nil {
		http.NotFound(w, r)
		return
	}
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = display.Path+rest, ""
	r.RequestURI = r.URL.RequestURI()
	d.serveDisplay(w, r, v)
}
