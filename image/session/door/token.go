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
	// tokenLife is how long an entry is good: for the page that asked for it.
	tokenLife = time.Minute
	// nativeLife is how long a .dcv file is good for beginning a connection.
	nativeLife = 10 * time.Minute
)

// admit makes a token for the display; nil where nobody is let through.
func (d *Door) admit(life time.Duration) (Display, string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.display == nil {
		return nil, ""
	}
	return d.display, d.tokens.mint(time.Now().Add(life))
}

// VerifierHandler answers DCV's external authentication (DCV administrator guide,
// "Using external authentication"), on loopback. The player's processes reach it
// too: it only tells whether a token is good, and never makes or lists one.
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

// verify tells whether a token is one of ours for the display's session, and
// still good. It stays good for its short life: a client that connects again by
// itself may repeat it.
func (d *Door) verify(session, token string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, ours := d.tokens.find(token)
	return ours && session != "" && d.display != nil && session == d.display.SessionID() && time.Now().Before(until)
}

// nativeFile is a .dcv file (DCV user guide, "Connection file"), for a player who
// has signed in. Its path and token are good for the first connection only.
func (d *Door) nativeFile(w http.ResponseWriter, r *http.Request) {
	v, _ := d.visitor(r)
	if v == nil {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	to, token := d.admit(nativeLife)
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

// passed is the native client whose pass it is; nil where it is none, or came too
// late. One that is connected may open further WebSockets.
//
// The first client that comes with a pass binds it to its address, which need not
// be the browser's: a VPN or a proxy may be the browser's alone.
func (d *Door) passed(pass string, from netip.Addr) *visitor {
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
