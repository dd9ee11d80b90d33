package dcv

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// newProxy returns a proxy for requests and WebSockets to dcvserver on loopback, which
// must have the given certificate. Host and Origin become the values that dcvserver
// checks; the door has checked the browser's own by then. logFault is called with an
// error that differs from the previous one.
func newProxy(port int, certificate *x509.Certificate, logFault func(line string)) *httputil.ReverseProxy {
	target := &url.URL{Scheme: "https", Host: fmt.Sprintf("127.0.0.1:%d", port)}
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)
	var mu sync.Mutex
	var last string
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = target.Host
			if r.Out.Header.Get("Origin") != "" {
				r.Out.Header.Set("Origin", target.String())
			}
		},
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0), // it would log addresses, and one contains a token
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			mu.Lock()
			defer mu.Unlock()
			if line := err.Error(); line != last && r.Context().Err() == nil {
				last = line
				logFault(line)
			}
			http.Error(w, "The display does not answer.", http.StatusBadGateway)
		},
	}
}
