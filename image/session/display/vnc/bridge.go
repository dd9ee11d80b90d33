package vnc

import (
	"context"
	"embed"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

//go:embed client.html client.js client.css
var clientFiles embed.FS

// clientPage is the page of the client.
const clientPage = "client.html"

// contentPolicy allows noVNC the images that it makes from its data: parts of the screen
// (core/display.js) and the pointer (core/util/cursor.js).
const contentPolicy = "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'"

// pingInterval is the time between two pings of a browser, and how long it may take to
// answer one: a lost browser is noticed within twice that time.
const pingInterval = 20 * time.Second

// dialLimit is how long the X server may take to accept a connection.
const dialLimit = 5 * time.Second

// Handler serves the client, noVNC's files, and the bridge.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	pages, novnc := http.FileServerFS(clientFiles), http.FileServer(http.Dir(s.NoVNC))
	for _, name := range []string{clientPage, "client.js", "client.css"} {
		mux.Handle("GET /"+name, pages)
	}
	mux.Handle("GET /core/", novnc)
	mux.Handle("GET /vendor/", novnc)
	mux.HandleFunc("GET /ws", s.bridge)
	files := http.StripPrefix(display.Path[:len(display.Path)-1], mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", contentPolicy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		files.ServeHTTP(w, r)
	})
}

// bridge connects a browser to the X server until either disconnects. The door has
// checked the browser's sign-in and origin.
func (s *Server) bridge(w http.ResponseWriter, r *http.Request) {
	ctx, limit := context.WithTimeout(r.Context(), dialLimit)
	defer limit()
	rfb, err := s.dial(ctx)
	if err != nil {
		http.Error(w, "The display does not answer.", http.StatusBadGateway)
		return
	}
	defer rfb.Close()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{"binary"}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return // Accept has answered
	}
	copyBoth(r.Context(), ws, rfb)
}

// copyBoth copies in both directions until a side ends, and closes both.
func copyBoth(ctx context.Context, ws *websocket.Conn, rfb net.Conn) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	browser := websocket.NetConn(ctx, ws, websocket.MessageBinary)
	done := make(chan struct{}, 3)
	for _, part := range []func(){
		func() { _, _ = io.Copy(browser, rfb) },
		func() { _, _ = io.Copy(rfb, browser) },
		func() { keepAlive(ctx, ws) },
	} {
		go func() {
			part()
			done <- struct{}{}
		}()
	}
	<-done
	end()
	_ = rfb.Close()
	_ = ws.CloseNow()
	<-done
	<-done
}

// keepAlive pings the browser, and returns when it no longer answers.
func keepAlive(ctx context.Context, ws *websocket.Conn) {
	tick := time.NewTicker(pingInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, pingInterval)
		err := ws.Ping(limited)
		cancel()
		if err != nil {
			return
		}
	}
}
