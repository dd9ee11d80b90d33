package door

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// SelfSigned returns a new certificate for the addresses of a session. It is valid
// for longer than the longest session.
func SelfSigned(addresses ...netip.Addr) (tls.Certificate, error) {
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
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// selfIssued reports whether a certificate was issued by itself, as one from
// SelfSigned: a browser asks its user whether to accept it, and must be able to.
func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// FromSecret returns the sessions' certificate and its wildcard name,
// "*.play.example.com" or "". The error names all its faults, and no part of the key.
func FromSecret(secret contract.Certificate) (certificate tls.Certificate, wildcard string, err error) {
	chain, err := readChain(secret.Certificate)
	if err != nil {
		return tls.Certificate{}, "", fmt.Errorf("certificate: %w", err)
	}
	var faults []error
	for i, c := range chain {
		if now := time.Now(); now.Before(c.NotBefore) || now.After(c.NotAfter) {
			faults = append(faults, fmt.Errorf("certificate: %q is valid from %s to %s, and not now",
				c.Subject, c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339)))
		}
		if i > 0 && chain[i-1].CheckSignatureFrom(c) != nil {
			faults = append(faults, fmt.Errorf("certificate: %q does not sign %q, which stands before it: the leaf comes first, then its chain", c.Subject, chain[i-1].Subject))
		}
	}
	if len(chain[0].DNSNames)+len(chain[0].IPAddresses) == 0 {
		faults = append(faults, fmt.Errorf("certificate: %q names no host (subject alternative name)", chain[0].Subject))
	}
	certificate, err = tls.X509KeyPair([]byte(secret.Certificate), []byte(secret.PrivateKey))
	if err != nil { // its text may contain parts of the key
		faults = append(faults, errors.New("privateKey: it is not the PEM of the key of the first certificate"))
	}
	if len(faults) > 0 {
		return tls.Certificate{}, "", errors.Join(faults...)
	}
	for _, name := range chain[0].DNSNames {
		if strings.HasPrefix(name, "*.") {
			return certificate, name, nil
		}
	}
	return certificate, "", nil
}

func readChain(text string) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("it has a PEM block %q; only CERTIFICATE is allowed", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, errors.New("it has no PEM block CERTIFICATE")
	}
	return chain, nil
}

// Fingerprint returns the SHA-256 of a certificate (DER), in hexadecimal digits.
func Fingerprint(certificate tls.Certificate) string {
	sum := sha256.Sum256(certificate.Certificate[0])
	return hex.EncodeToString(sum[:])
}

// Host returns the host in the URL of an address: the address itself, or its name
// under a certificate's wildcard name, "203-0-113-7.play.example.com". wildcard may
// be "".
func Host(address netip.Addr, wildcard string) string {
	_, domain, ok := strings.Cut(wildcard, "*.")
	if !ok {
		return address.String()
	}
	label := strings.ReplaceAll(address.String(), ".", "-")
	if address.Is6() {
		label = strings.ReplaceAll(address.StringExpanded(), ":", "-") // no "--", which a label may not end with
	}
	return label + "." + domain
}

// URL returns the address of a session for its players.
func URL(address netip.Addr, port int, wildcard string) string {
	return "https://" + net.JoinHostPort(Host(address, wildcard), strconv.Itoa(port)) + "/"
}
