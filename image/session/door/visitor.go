package door

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// cookieName has the prefix by which a browser lets no other host or path set it.
const cookieName = "__Host-dcv-session"

// visitor is somebody who may play: a browser that signed in, or a native client.
type visitor struct {
	over    context.Context // ends its WebSockets
	leave   func()
	sockets int       // open now; guarded by the door's mutex
	until   time.Time // by when a native client has to begin; zero: it may at any time
}

func newVisitor(of context.Context, until time.Time) *visitor {
	v := &visitor{until: until}
	v.over, v.leave = context.WithCancel(of)
	return v
}

// visitor is who sent a request; nil: somebody who has not signed in.
func (d *Door) visitor(r *http.Request) *visitor {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	v, _ := d.visitors.find(cookie.Value)
	return v
}

// maxForm is the most that a form of ours may have, bytes.
const maxForm = 4 << 10

// signIn takes the form of the page.
func (d *Door) signIn(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		d.page(w, r, http.StatusBadRequest, "That could not be read. Please try again.")
		return
	}
	right, wait := d.guard.try(addressOf(r.RemoteAddr), func() bool {
		return d.right(r.PostForm.Get("username"), r.PostForm.Get("password"))
	})
	switch {
	case wait > 0:
		seconds := int(math.Ceil(wait.Seconds()))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		d.page(w, r, http.StatusTooManyRequests, "Too many attempts. Please wait "+inWords(seconds)+", then try again.")
	case !right:
		d.page(w, r, http.StatusUnauthorized, "The name or the password is not right.")
	default:
		http.SetCookie(w, cookie(d.welcome(r)))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// right compares in the same time whatever is wrong.
func (d *Door) right(username, password string) bool {
	name, secret := sha256.Sum256([]byte(strings.TrimSpace(username))), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(name[:], d.credentials[0][:])&subtle.ConstantTimeCompare(secret[:], d.credentials[1][:]) == 1
}

// welcome makes a visitor of who signed in, and returns the cookie's value.
func (d *Door) welcome(r *http.Request) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if before, err := r.Cookie(cookieName); err == nil {
		d.visitors.drop(before.Value)
	}
	return d.visitors.mint(newVisitor(d.playing, time.Time{}))
}

func (d *Door) signOut(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(cookieName); err == nil {
		d.mu.Lock()
		d.visitors.drop(c.Value)
		d.mu.Unlock()
	}
	gone := cookie("")
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func cookie(value string) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

// inWords is a time that a person waits.
func inWords(seconds int) string {
	switch minutes := (seconds + 59) / 60; {
	case seconds == 1:
		return "1 second"
	case seconds < 60:
		return fmt.Sprintf("%d seconds", seconds)
	case minutes == 1:
		return "1 minute"
	default:
		return fmt.Sprintf("%d minutes", minutes)
	}
}
