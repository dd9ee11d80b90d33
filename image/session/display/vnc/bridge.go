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
var client embed.FS

// page is the client.
const page = "client.html"

// policy lets noVNC have the pictures that it makes of what it receives: parts of
// the screen (core/display.js) and the pointer (core/util/cursor.js).
const policy = "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'"

// ping is how often a browser has to show that it is there, and how long it may
// take for it: who has gone without a word is noticed within twice that.
const ping = 20 * time.Second

// dialLimit is how long the X server may take to take a connection.
const dialLimit = 5 * time.Second

// Handler serves the client, noVNC's files, and the bridge.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	pages, novnc := http.FileServerFS(client), http.FileServer(http.Dir(s.NoVNC))
	for _, name := range []string{page, "client.js", "client.css"} {
		mux.Handle("GET /"+name, pages)
	}
	mux.Handle("GET /core/", novnc)
	mux.Handle("GET /vendor/", novnc)
	mux.HandleFunc("GET /ws", s.bridge)
	files := http.StripPrefix(display.Path[:len(display.Path)-1], mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		files.ServeHTTP(w, r)
	})
}

// bridge joins a browser and the X server until either goes. Whether the browser
// may come, and from which page, the door has decided.
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
		return // it has answered
	}
	join(r.Context(), ws, rfb)
}

// join copies both ways and returns when neither side is left.
func join(ctx context.Context, ws *websocket.Conn, rfb net.Conn) {
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

// keepAlive returns when the browser is no longer there.
func keepAlive(ctx context.Context, ws *websocket.Conn) {
	tick := time.NewTicker(ping)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		limited, cancel := context.WithTimeout(ctx, ping)
		err := ws.Ping(limited)
		cancel()
		if err != nil {
			return
		}
	}
}
