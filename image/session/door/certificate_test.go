package door

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
)

// issued is a certificate and its key.
type issued struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

// issue returns a new certificate, signed by another one or by itself.
func issue(t *testing.T, by *issued, name string, until time.Duration, dns ...string) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: dns, IsCA: dns == nil, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(until),
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	require.NoError(t, err)
	c, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &issued{c, key}
}

func (i *issued) pem() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Raw}))
}

func (i *issued) keyPEM(t *testing.T) string {
	der, err := x509.MarshalPKCS8PrivateKey(i.key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func TestACertificateFromTheSecretGivesItsWildcardName(t *testing.T) {
	root := issue(t, nil, "root", time.Hour)
	leaf := issue(t, root, "leaf", time.Hour, "play.example.com", "*.play.example.com")
	certificate, wildcard, err := FromSecret(contract.Certificate{Certificate: leaf.pem() + root.pem(), PrivateKey: leaf.keyPEM(t)})
	require.NoError(t, err)
	assert.Equal(t, "*.play.example.com", wildcard)
	assert.Len(t, certificate.Certificate, 2)
	assert.Len(t, Fingerprint(certificate), 64)

	plain := issue(t, nil, "leaf", time.Hour, "play.example.com")
	_, wildcard, err = FromSecret(contract.Certificate{Certificate: plain.pem(), PrivateKey: plain.keyPEM(t)})
	require.NoError(t, err)
	assert.Empty(t, wildcard)
}

func TestEveryFaultOfTheCertificateIsNamedAtOnceAndNothingOfItsKey(t *testing.T) {
	root, stranger := issue(t, nil, "root", time.Hour), issue(t, nil, "stranger", time.Hour)
	leaf := issue(t, root, "leaf", -time.Hour, "play.example.com")
	_, _, err := FromSecret(contract.Certificate{Certificate: leaf.pem() + stranger.pem(), PrivateKey: stranger.keyPEM(t)})
	require.Error(t, err)
	assert.ErrorContains(t, err, `certificate: "CN=leaf" is valid from`)
	assert.ErrorContains(t, err, `certificate: "CN=stranger" does not sign "CN=leaf"`)
	assert.ErrorContains(t, err, "privateKey: it is not the PEM of the key of the first certificate")

	unnamed := issue(t, nil, "unnamed", time.Hour)
	for text, fault := range map[string]string{
		"":                 "it has no PEM block CERTIFICATE",
		"nonsense":         "it has no PEM block CERTIFICATE",
		unnamed.pem():      "names no host",
		stranger.keyPEM(t): `it has a PEM block "PRIVATE KEY"; only CERTIFICATE is allowed`,
		"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n": "certificate: ",
	} {
		_, _, err := FromSecret(contract.Certificate{Certificate: text, PrivateKey: "planted key"})
		require.ErrorContains(t, err, fault)
		assert.NotContains(t, err.Error(), "planted")
	}
}

// The studio's certificate is valid, so a browser never has to offer a way past a
// warning; for a self-signed one it has to.
func TestOnlyWithTheStudiosCertificateABrowserIsToldToInsistOnOne(t *testing.T) {
	root := issue(t, nil, "root", time.Hour)
	leaf := issue(t, root, "leaf", time.Hour, "*.play.example.com")
	studios, _, err := FromSecret(contract.Certificate{Certificate: leaf.pem() + root.pem(), PrivateKey: leaf.keyPEM(t)})
	require.NoError(t, err)
	own, err := SelfSigned(loopback)
	require.NoError(t, err)
	for want, certificate := range map[string]tls.Certificate{"max-age=31536000": studios, "": own} {
		h := start(t, func(c *Config) { c.Certificate, c.NativeClients = certificate, true })
		h.ready()
		visitor, stranger := h.client(), h.client()
		for _, c := range []*http.Client{visitor, stranger} {
			c.Transport.(*http.Transport).TLSClientConfig.InsecureSkipVerify = true // its name is not the test's address
		}
		is := func(res *http.Response) {
			t.Helper()
			assert.Equal(t, want, res.Header.Get("Strict-Transport-Security"), res.Status)
		}
		res, _ := h.do(visitor, http.MethodPost, "/sign-in", form(player, password))
		require.Equal(t, http.StatusSeeOther, res.StatusCode)
		is(res)
		for _, at := range []string{"GET /", "GET /nothing", "GET /display/", "GET /display/nothing", "POST /", "GET /native/none/", "GET /healthz", "POST /end"} {
			method, path, _ := strings.Cut(at, " ")
			for _, c := range []*http.Client{visitor, stranger} {
				res, _ := h.do(c, method, path, "")
				is(res)
			}
		}
		res, _ = h.do(visitor, http.MethodPost, "/enter", "", "Origin", "https://evil.example")
		assert.Equal(t, http.StatusForbidden, res.StatusCode)
		is(res)
		conn, res, err := h.dial(visitor, "/display/ws", h.url)
		require.NoError(t, err)
		_ = conn.CloseNow()
		is(res)
	}
}

func TestASelfSignedCertificateIsForTheSessionsAddresses(t *testing.T) {
	public := netip.MustParseAddr("203.0.113.7")
	certificate, err := SelfSigned(loopback, public)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	require.NoError(t, err)
	assert.NoError(t, leaf.VerifyHostname("127.0.0.1"))
	assert.NoError(t, leaf.VerifyHostname("203.0.113.7"))
	assert.Error(t, leaf.VerifyHostname("203.0.113.8"))
	assert.True(t, leaf.NotAfter.After(time.Now().Add(7*24*time.Hour)), "the longest session is seven days")
}

func TestASessionsURLIsInTheWildcardNameWhereThereIsOne(t *testing.T) {
	four, six := netip.MustParseAddr("203.0.113.7"), netip.MustParseAddr("2001:db8::1")
	const wildcard = "*.play.example.com"
	assert.Equal(t, "https://203.0.113.7:8443/", URL(four, 8443, ""))
	assert.Equal(t, "https://203-0-113-7.play.example.com:8443/", URL(four, 8443, wildcard))
	assert.Equal(t, "https://[2001:db8::1]:8443/", URL(six, 8443, ""))
	assert.Equal(t, "https://2001-0db8-0000-0000-0000-0000-0000-0001.play.example.com:8443/", URL(six, 8443, wildcard))
}
