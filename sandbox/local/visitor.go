package local

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// RefusePages lets no web page reach a server on loopback. A browser makes the calls of
// any page, but marks them: each has an Origin or
// a Sec-Fetch-Site (https://fetch.spec.whatwg.org/#origin-header,
// https://w3c.github.io/webappsec-fetch-metadata/), and a page with a
// name that resolves to loopback ("DNS rebinding") has that name as its Host.
func RefusePages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := pageFault(r); fault != "" {
			http.Error(w, "sandbox: "+fault+": web pages are not answered", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// pageFault returns the sign that a web page made a request, or "" if there is none.
func pageFault(r *http.Request) string {
	for _, name := range []string{"Origin", "Sec-Fetch-Site"} {
		if values, sent := r.Header[name]; sent {
			return fmt.Sprintf("%s is %q; allowed: none", name, strings.Join(values, ", "))
		}
	}
	if at, is := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); is && !names(r.Host, at.AddrPort()) {
		return fmt.Sprintf("Host is %q; allowed: %s, or localhost with this port", r.Host, at)
	}
	return ""
}

// names reports whether a Host is the server's own address.
func names(host string, server netip.AddrPort) bool {
	return host == server.String() || server.Addr().IsLoopback() && host == fmt.Sprintf("localhost:%d", server.Port())
}
