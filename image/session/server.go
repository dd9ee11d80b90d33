package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// errNoPort says that every port of the range is taken.
var errNoPort = errors.New("no port of the range is free on this host")

// listen takes the first free port of the range. Taking it is one step of the
// kernel's, so two sessions that start in the same instant get two ports.
func listen(at netip.Addr, ports contract.PortRange) (net.Listener, error) {
	for port := ports.First; port <= ports.Last; port++ {
		l, err := net.Listen("tcp", netip.AddrPortFrom(at, uint16(port)).String())
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %s", errNoPort, ports)
}

// newServer is the session's HTTPS server: its health page, and requests to end.
func newServer(certificate tls.Certificate, end http.Handler) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+contract.HealthPath, health)
	mux.Handle("POST "+contract.EndPath, end)
	return &http.Server{
		Handler:           mux,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ReadTimeout:       30 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // the internet's noise; stdout is for events
	}
}

// health tells anyone that a session answers here, and nothing about whose.
func health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(struct {
		Status   string `json:"status"`
		Contract int    `json:"contract"`
	}{"ready", contract.Version})
}

// fingerprint is a certificate's SHA-256.
func fingerprint(certificate tls.Certificate) string {
	sum := sha256.Sum256(certificate.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// selfSigned makes the session's certificate for the addresses that it has.
func selfSigned(names addresses) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: contract.Product},
		NotBefore:    time.Now().Add(-time.Hour), // clocks differ
		NotAfter:     time.Now().Add(8 * 24 * time.Hour),
		IPAddresses:  []net.IP{names.public.AsSlice(), names.private.AsSlice()},
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
