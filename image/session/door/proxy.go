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

// proxy passes the request of a signed-in player to the display.
func (d *Door) proxy(w http.ResponseWriter, r *http.Request) {
	v, _ := d.visitor(r)
	switch {
	case v == nil && isPage(r):
		http.Redirect(w, r, "/", http.StatusSeeOther)
	case v == nil:
		http.Error(w, "sign in first", http.StatusUnauthorized)
	case upgrades(r) && r.Header.Get("Origin") == "": // all browsers send it
		http.Error(w, "not from this session's page", http.StatusForbidden)
	default:
		d.serveDisplay(w, r, v)
	}
}

// serveDisplay lets the display answer, and counts the visitor's WebSockets as long as
// they are open. They are closed when the visitor has signed out or the session ends.
func (d *Door) serveDisplay(w http.ResponseWriter, r *http.Request, v *visitor) {
	d.mu.Lock()
	to := d.display
	d.mu.Unlock()
	if to == nil {
		notOpen(w)
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	r = r.Clone(ctx)
	stripCookies(r)
	if !upgrades(r) {
		w.Header().Set("Content-Security-Policy", "frame-ancestors 'self'")
		w.Header().Set("Referrer-Policy", "no-referrer") // the entry's token is in its address
		r.Body = countedBody{r.Body, &d.traffic}
		to.Handler().ServeHTTP(&displayAnswer{w, d.server.WriteTimeout, &d.traffic}, r)
		return
	}
	if !sameOrigin(r) {
		http.Error(w, "not from this session's page", http.StatusForbidden)
		return
	}
	defer context.AfterFunc(v.over, cancel)()
	socket := &webSocketAnswer{ResponseWriter: w}
	socket.began = func(conn net.Conn) net.Conn {
		d.countSockets(v, 1)
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		counted := d.traffic.begin(conn)
		context.AfterFunc(ctx, counted.end)
		return counted
	}
	defer func() {
		if socket.open {
			d.countSockets(v, -1)
		}
	}()
	to.Handler().ServeHTTP(socket, r)
}

// countSockets changes the number of a visitor's open WebSockets. A visitor with at
// least one counts as a player.
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
	d.traffic.count(d.players)
	select {
	case <-d.counts: // an old number that was not read
	default:
	}
	d.counts <- d.players
}

// displayAnswer is an answer of the display. As a stream it may take any time; limit is
// how long the visitor may leave a part of it unread.
type displayAnswer struct {
	http.ResponseWriter
	limit   time.Duration
	traffic *traffic
}

// extend moves the deadline to limit from now. It does nothing if the answer has no
// deadlines, as in a test without a connection.
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
	n, err := s.ResponseWriter.Write(b)
	s.traffic.to.Add(uint64(n))
	return n, err
}

// FlushError is for http.ResponseController.
func (s *displayAnswer) FlushError() error {
	s.extend()
	return http.NewResponseController(s.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (s *displayAnswer) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// webSocketAnswer is the answer to a request for a WebSocket. The handler takes over its
// connection by Hijack.
type webSocketAnswer struct {
	http.ResponseWriter
	began func(net.Conn) net.Conn // returns the connection that the handler gets
	open  bool
}

// Hijack implements http.Hijacker.
func (s *webSocketAnswer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	s.open = true
	closing := closingConn{s.began(conn)}
	buffered.Writer.Reset(closing) // net/http hands it over empty, and for conn
	return closing, buffered, nil
}

// Unwrap is for http.ResponseController.
func (s *webSocketAnswer) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// closingConn is a connection that ends as soon as one side closes it. TLS can be closed
// by half, and httputil.ReverseProxy would then wait for the other side; a WebSocket
// never goes on by half.
type closingConn struct{ net.Conn }

// Read returns an error instead of io.EOF, which ends the proxy's copying.
func (w closingConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = net.ErrClosed
	}
	return n, err
}

// upgrades reports whether a request asks for a WebSocket, or for another protocol.
func upgrades(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }

// sameOrigin reports whether a request comes from a page of this origin. A native client
// has no page and sends no origin.
func sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	from, err := url.Parse(origin)
	return origin == "" || err == nil && from.Scheme == "https" && from.Host == r.Host
}

// isPage reports whether a browser will show the answer as a page.
func isPage(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && !upgrades(r) && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// stripCookies removes the sessions' cookies from a request to the display: this
// session's, and those of other sessions on the host, which a browser sends too.
func stripCookies(r *http.Request) {
	cookies := r.Cookies()
	r.Header.Del("Cookie")
	for _, c := range cookies {
		if !strings.HasPrefix(c.Name, cookiePrefix) {
			r.AddCookie(c)
		}
	}
}

// enter returns the display's entry to a signed-in player.
func (d *Door) enter(w http.ResponseWriter, r *http.Request) {
	if v, _ := d.visitor(r); v == nil {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	to, token := d.mintToken(tokenLife)
	if to == nil {
		notOpen(w)
		return
	}
	writeJSON(w, struct {
		Entry string `json:"entry"`
	}{to.Entry(token)})
}

// notOpen answers a signed-in player while there is no display.
func notOpen(w http.ResponseWriter) {
	w.Header().Set("Retry-After", "1")
	http.Error(w, "the session is not ready, or over", http.StatusServiceUnavailable)
}

// script returns the script of the game to a signed-in player.
func (d *Door) script(w http.ResponseWriter, r *http.Request) {
	if v, _ := d.visitor(r); v == nil {
		http.Error(w, "sign in first", http.StatusUnauthorized)
		return
	}
	d.mu.Lock()
	to, play := d.display, d.play
	d.mu.Unlock()
	if to == nil {
		notOpen(w)
		return
	}
	writeJSON(w, play)
}

// nativePath begins the path of native clients. Their pass follows.
const nativePath = "/native/"

// proxyNative passes a native client's request to the display. The pass in its path
// takes the place of a cookie.
func (d *Door) proxyNative(w http.ResponseWriter, r *http.Request) {
	pass, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, nativePath), "/")
	v := d.nativeVisitor(pass, addressOf(r.RemoteAddr))
	if v == nil {
		http.NotFound(w, r)
		return
	}
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = display.Path+rest, ""
	r.RequestURI = r.URL.RequestURI()
	d.serveDisplay(w, r, v)
}
