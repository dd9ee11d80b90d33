package local

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// RefusePages lets no web page reach a server on loopback. A browser carries a
// page's calls there whoever made the page, but it says so: each has an Origin or
// a Sec-Fetch-Site (https://fetch.spec.whatwg.org/#origin-header,
// https://w3c.github.io/webappsec-fetch-metadata/), and a page whose own name was
// made to resolve to loopback ("DNS rebinding") has that name as its Host.
func RefusePages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := pageFault(r); fault != "" {
			http.Error(w, "sandbox: "+fault+": web pages are not answered", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// pageFault says by what a request shows that a web page made it; "" if nothing
// does.
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

// names reports whether a Host names a server by its own address.
func names(host string, server netip.AddrPort) bool {
	return host == server.String() || server.Addr().IsLoopback() && host == fmt.Sprintf("localhost:%d", server.Port())
}
