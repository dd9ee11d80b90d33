package local

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAWebPageReachesNoServerOfTheSandbox(t *testing.T) {
	server := httptest.NewServer(RefusePages(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "the answer") })))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	require.NoError(t, err)
	ask := func(host string, header http.Header) (int, string) {
		req, err := http.NewRequest(http.MethodPost, server.URL, nil)
		require.NoError(t, err)
		req.Host, req.Header = host, header
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(text)
	}
	own := "127.0.0.1:" + port
	for _, host := range []string{own, "localhost:" + port} {
		status, text := ask(host, nil)
		assert.Equal(t, http.StatusOK, status, host)
		assert.Equal(t, "the answer", text, host)
	}
	for _, host := range []string{"evil.example:" + port, "evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example:" + port, "localhost.evil.example:" + port, "[::1]:" + port, "127.0.0.2:" + port} {
		status, text := ask(host, nil)
		assert.Equal(t, http.StatusForbidden, status, host)
		assert.Equal(t, fmt.Sprintf("sandbox: Host is %q; allowed: %s, or localhost with this port: web pages are not answered\n", host, own), text)
	}
	for name, values := range map[string][]string{
		"Origin":         {"https://evil.example", "null", "", "http://" + own},
		"Sec-Fetch-Site": {"cross-site", "same-site", "same-origin", "none"},
	} {
		for _, value := range values {
			status, text := ask(own, http.Header{name: {value}})
			assert.Equal(t, http.StatusForbidden, status, "%s: %s", name, value)
			assert.Contains(t, text, fmt.Sprintf("%s is %q; allowed: none", name, value))
		}
	}
}
