package door

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// cookiePrefix begins the name of a session's cookie; the session's port follows. Other
// hosts and paths can't set a cookie with the prefix __Host- (RFC 6265bis, "The __Host-
// prefix"). A browser keeps one cookie of a name for all ports of a host, so the
// sessions of a host need names of their own.
const cookiePrefix = "__Host-dcv-session-"

// visitor is a client that may play: a browser that has signed in, or a native client.
type visitor struct {
	over    context.Context // its end closes the WebSockets
	leave   func()
	from    netip.Addr // the only household that it may use; a native client's is set at its first request
	sockets int        // open now; guarded by the door's mutex, as from is
	until   time.Time  // the latest first connection of a native client; zero: no limit
}

func newVisitor(of context.Context, from netip.Addr, until time.Time) *visitor {
	v := &visitor{from: from, until: until}
	v.over, v.leave = context.WithCancel(of)
	return v
}

// visitor returns the sender of a request, or nil if it has not signed in from its
// present address. moved reports whether it has signed in from another one: then it is
// a player with a new address, or a thief with the player's cookie.
func (d *Door) visitor(r *http.Request) (v *visitor, moved bool) {
	cookie, err := r.Cookie(d.cookieName)
	if err != nil {
		return nil, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.visitors.find(cookie.Value)
	if ok && v.from != addressOf(r.RemoteAddr) {
		return nil, true
	}
	return v, false
}

// guests returns the households that have signed in.
func (d *Door) guests() map[netip.Addr]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[netip.Addr]bool{}
	for _, ring := range []*secretRing[*visitor]{&d.visitors, &d.passes} {
		for i := range ring.held {
			all[ring.held[i].value.from] = true
		}
	}
	return all
}

// maxForm is the largest accepted form, in bytes.
const maxForm = 4 << 10

// signIn serves the form of the page.
func (d *Door) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		d.page(w, r, http.StatusBadRequest, badFormText)
		return
	}
	right, wait := d.guard.try(addressOf(r.RemoteAddr), func() bool {
		return d.correct(r.PostForm.Get("username"), r.PostForm.Get("password"))
	})
	switch {
	case wait > 0:
		seconds := int(math.Ceil(wait.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		d.page(w, r, http.StatusTooManyRequests, waitText(seconds))
	case !right:
		d.page(w, r, http.StatusUnauthorized, wrongPasswordText)
	default:
		http.SetCookie(w, d.cookie(d.welcome(r)))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// correct reports whether the name and the password are right. It takes the same time
// whichever is wrong.
func (d *Door) correct(username, password string) bool {
	name, secret := sha256.Sum256([]byte(strings.TrimSpace(username))), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(name[:], d.credentials[0][:])&subtle.ConstantTimeCompare(secret[:], d.credentials[1][:]) == 1
}

// welcome makes a visitor of a client that has signed in, and returns its cookie's value.
func (d *Door) welcome(r *http.Request) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before, err := r.Cookie(d.cookieName); err == nil {
		d.visitors.drop(before.Value)
	}
	return d.visitors.mint(newVisitor(d.playing, addressOf(r.RemoteAddr), time.Time{}))
}

// signOut removes a visitor. A browser with a new address only loses its cookie: a
// stolen cookie disconnects nobody.
func (d *Door) signOut(w http.ResponseWriter, r *http.Request) {
	v, _ := d.visitor(r)
	if c, err := r.Cookie(d.cookieName); err == nil && v != nil {
		d.mu.Lock()
		d.visitors.drop(c.Value)
		d.mu.Unlock()
	}
	gone := d.cookie("")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (d *Door) cookie(value string) *http.Cookie {
	return &http.Cookie{Name: d.cookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}
