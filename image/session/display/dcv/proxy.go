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

// newProxy passes requests and WebSockets on to dcvserver on loopback, which
// has to show this very certificate. Host and Origin become what dcvserver's
// checks know; the door has looked at the browser's own by then. tell hears of
// a fault when it is another than the one before.
func newProxy(port int, certificate *x509.Certificate, tell func(line string)) *httputil.ReverseProxy {
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
		ErrorLog:      log.New(io.Discard, "", 0), // it would tell addresses, and a token is in one
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			mu.Lock()
			defer mu.Unlock()
			if line := err.Error(); line != last && r.Context().Err() == nil {
				last = line
				tell(line)
			}
			http.Error(w, "The display does not answer.", http.StatusBadGateway)
		},
	}
}
