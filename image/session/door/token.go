package door

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	// tokenLife is how long the token of an entry is valid.
	tokenLife = time.Minute
	// nativeLife is how long a .dcv file can begin a connection.
	nativeLife = 10 * time.Minute
)

// mintToken returns the display and a new token for it, or nil if the door is not open.
func (d *Door) mintToken(life time.Duration) (Display, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.display == nil {
		return nil, ""
	}
	return d.display, d.tokens.mint(time.Now().Add(life))
}

// VerifierHandler serves DCV's external authentication (DCV administrator guide, "Using
// external authentication") on loopback. The player's processes can reach it too, so it
// only answers whether a token is valid, and never makes or lists one.
func (d *Door) VerifierHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.Error(w, "POST only", http.StatusMethodNotAllowed)
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "no form", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "text/xml")
		if !d.verify(r.PostForm.Get("sessionId"), r.PostForm.Get("authenticationToken")) {
			_, _ = io.WriteString(w, `<auth result="no"/>`)
			return
		}
		var name bytes.Buffer
		_ = xml.EscapeText(&name, []byte(d.config.Credentials.Username)) // to memory
		fmt.Fprintf(w, `<auth result="yes"><username>%s</username></auth>`, &name)
	})
}

// verify reports whether a token was issued for the display's session and is still
// valid. A token can be used more than once in its short life: a client that reconnects
// by itself may repeat it.
func (d *Door) verify(session, token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ours := d.tokens.find(token)
	return ours && session != "" && d.display != nil && session == d.display.SessionID() && time.Now().Before(until)
}

// nativeFile serves a .dcv file (DCV user guide, "Connection file") to a signed-in
// player. Its path and token are valid for the first connection only.
func (d *Door) nativeFile(w http.ResponseWriter, r *http.Request) {
	v, _ := d.visitor(r)
	if v == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	to, token := d.mintToken(nativeLife)
	host, port, err := net.SplitHostPort(d.config.Address)
	if to == nil || err != nil {
		http.Error(w, "the session is not ready, or over", http.StatusServiceUnavailable)
		return
	}
	d.mu.Lock()
	pass := d.passes.mint(newVisitor(v.over, netip.Addr{}, time.Now().Add(nativeLife)))
	d.mu.Unlock()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="session.dcv"`)
	fmt.Fprintf(w, "[version]\nformat=1.0\n\n[connect]\nhost=%s\nport=%s\nweburlpath=%s%s/\nsessionid=%s\nauthtoken=%s\n",
		host, port, nativePath, pass, to.SessionID(), token)
}

// nativeVisitor returns the native client that a pass belongs to, or nil if the pass is
// unknown or has expired. A connected client may open more WebSockets.
//
// The first client with a pass binds it to the client's address. That may differ from
// the browser's, which may use a VPN or a proxy of its own.
func (d *Door) nativeVisitor(pass string, from netip.Addr) *visitor {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.passes.find(pass)
	if !ok || v.over.Err() != nil || v.sockets == 0 && !time.Now().Before(v.until) {
		return nil
	}
	if !v.from.IsValid() {
		v.from = from
	}
	if v.from != from {
		return nil
	}
	return v
}
