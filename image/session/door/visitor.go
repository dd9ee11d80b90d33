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

// cookiePrefix begins with what keeps other hosts and paths from setting a cookie
// (RFC 6265bis, "The __Host- prefix"). A browser sends a host's cookies to each of
// its ports, and keeps one of a name: sessions of a host differ in the port that
// follows.
const cookiePrefix = "__Host-dcv-session-"

// visitor is somebody who may play: a browser that signed in, or a native client.
type visitor struct {
	over    context.Context // ends its WebSockets
	leave   func()
	from    netip.Addr // the only household that it is let in from; of a native client, where it first comes from
	sockets int        // open now; guarded by the door's mutex, as from is
	until   time.Time  // by when a native client has to begin; zero: it may at any time
}

func newVisitor(of context.Context, from netip.Addr, until time.Time) *visitor {
	v := &visitor{from: from, until: until}
	v.over, v.leave = context.WithCancel(of)
	return v
}

// visitor returns who sent a request: nil for somebody who has not signed in, or
// did so from another address. moved reports the latter, which is a player whose
// address has changed, or somebody who got hold of the player's cookie.
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

// guests are the households that somebody has signed in from.
func (d *Door) guests() map[netip.Addr]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := map[netip.Addr]bool{}
	for _, ring := range []*ring[*visitor]{&d.visitors, &d.passes} {
		for i := range ring.held {
			all[ring.held[i].value.from] = true
		}
	}
	return all
}

// maxForm is the most that a form of ours may have, bytes.
const maxForm = 4 << 10

// signIn takes the form of the page.
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

// correct compares in the same time whatever is wrong.
func (d *Door) correct(username, password string) bool {
	name, secret := sha256.Sum256([]byte(strings.TrimSpace(username))), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(name[:], d.credentials[0][:])&subtle.ConstantTimeCompare(secret[:], d.credentials[1][:]) == 1
}

// welcome makes a visitor of who signed in, and returns the cookie's value.
func (d *Door) welcome(r *http.Request) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before, err := r.Cookie(d.cookieName); err == nil {
		d.visitors.drop(before.Value)
	}
	return d.visitors.mint(newVisitor(d.playing, addressOf(r.RemoteAddr), time.Time{}))
}

// signOut ends a visitor. A browser whose address has changed loses its cookie
// only: another's cookie disconnects nobody.
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
