package gateway

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

// visit asks a gateway for a page or makes a call, as one's own tool or as a
// browser does for a web page, by the Host and the headers.
func visit(t *testing.T, method, address, host string, header http.Header) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, address, nil)
	require.NoError(t, err)
	req.Host, req.Header = host, header
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}

func TestAWebPageIsNotServedByTheGatewayWhateverItKnows(t *testing.T) {
	g := newGuarded(t)
	own := strings.TrimPrefix(g.url, "http://")
	signed := func(key, service string) string {
		return g.url + "/?" + url.Values{
			"Action": {"ListRoles"}, "Version": {"2010-05-08"}, "X-Amz-Credential": {key + "/20260101/us-east-1/" + service + "/aws4_request"},
		}.Encode()
	}
	status, answer := visit(t, http.MethodGet, signed("sandbox", "iam"), own, nil)
	require.Equal(t, http.StatusOK, status, "the administrator's key, by hand: %s", answer)
	for name, of := range map[string]struct {
		host   string
		header http.Header
	}{
		"an image or a form of a page":  {own, http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"a script of a page":            {own, http.Header{"Origin": {"https://evil.example"}}},
		"a sandboxed frame":             {own, http.Header{"Origin": {"null"}}},
		"a session's page on this host": {own, http.Header{"Origin": {"https://127.0.0.1:8443"}, "Sec-Fetch-Site": {"same-site"}}},
		"a name that was bound anew":    {"evil.example:" + strings.TrimPrefix(own, "127.0.0.1:"), nil},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodOptions} {
			status, answer := visit(t, method, signed("sandbox", "iam"), of.host, of.header)
			assert.Equal(t, http.StatusForbidden, status, "%s, %s", name, method)
			assert.Contains(t, answer, "web pages are not answered", name)
		}
	}
	status, answer = visit(t, http.MethodGet, signed("guessed", "iam"), own, nil)
	assert.Equal(t, http.StatusForbidden, status, "another key")
	assert.Contains(t, answer, "InvalidClientTokenId")
}

func TestWithoutAnAdministratorsKeyNobodyIsOne(t *testing.T) {
	rights := NewRights(mototest.Moto(t))
	address := serve(t, Config{Upstream: mototest.Moto(t), Registry: "127.0.0.1:1", Behaviours: []Behaviour{rights.Behaviour()}})
	for _, key := range []string{"", local.MotoKey} {
		status, _ := visit(t, http.MethodGet, address+"/?Action=ListRoles&Version=2010-05-08", "", http.Header{"Authorization": {local.Authorization(key, "iam")}})
		assert.Equal(t, http.StatusForbidden, status, "%q", key)
	}
}

func TestTheSandboxsOwnPagesAreTheAdministrators(t *testing.T) {
	const key = "SANDBOX0123"
	served := 0
	address := serve(t, Config{Upstream: mototest.Moto(t), Registry: "127.0.0.1:1", AccessKey: key, Pages: map[string]http.HandlerFunc{
		OwnPages + "hosts": func(http.ResponseWriter, *http.Request) { served++ },
	}})
	for _, page := range []string{HealthPath, OwnPages + "hosts?take="} {
		for _, header := range []http.Header{nil, {"Authorization": {local.Authorization("sandbox", "sandbox")}}, {"Authorization": {"Bearer " + key}}} {
			status, answer := visit(t, http.MethodPost, address+page, "", header)
			assert.Equal(t, http.StatusForbidden, status, page)
			assert.Contains(t, answer, "its access key is missing")
		}
		assert.Zero(t, served)
		status, _ := visit(t, http.MethodPost, address+page, "", http.Header{"Authorization": {local.Authorization(key, "sandbox")}})
		assert.Equal(t, http.StatusOK, status, page)
	}
	assert.Equal(t, 1, served)
}
