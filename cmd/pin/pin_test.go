package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	commit = strings.Repeat("0a", 20)
	digest = "sha256:" + strings.Repeat("0b", 32)
)

const (
	workflow = "jobs:\n  a:\n    steps:\n      - uses: actions/checkout@v6.0.2 # why\n      - id: x\n        uses: actions/checkout@v6.0.2\n" +
		"      - uses: ./.github/actions/stack\n"
	stack = "config:\n  dcv-sessions:image.base: ubuntu:24.04 # Ubuntu's own\n"
)

// network stands for GitHub's API and a registry that wants a login.
type network struct {
	*httptest.Server
	calls []string
}

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n.calls = append(n.calls, r.Method+" "+r.URL.Path)
		switch r.Method + " " + r.URL.Path {
		case "GET /repos/actions/checkout/commits/v6.0.2":
			if r.Header.Get("Accept") == "application/vnd.github.sha" {
				fmt.Fprint(w, commit)
			}
		case "GET /token":
			assert.Equal(t, "service=registry&scope=repository%3Alibrary%2Fubuntu%3Apull", reorder(r.URL.Query().Get("service"), r.URL.Query().Get("scope")))
			fmt.Fprint(w, `{"token": "anybody"}`)
		case "HEAD /v2/library/ubuntu/manifests/24.04":
			if r.Header.Get("Authorization") != "Bearer anybody" {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+n.URL+`/token",service="registry",scope="repository:library/ubuntu:pull"`)
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			assert.Contains(t, r.Header.Get("Accept"), "application/vnd.oci.image.index.v1+json", "one digest for every platform")
			w.Header().Set("Docker-Content-Digest", digest)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(n.Close)
	return n
}

func reorder(service, scope string) string {
	return "service=" + service + "&scope=" + strings.NewReplacer(":", "%3A", "/", "%2F").Replace(scope)
}

func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	require.NoError(t, err)
	return string(text)
}

var files = map[string]string{".github/workflows/a.yml": workflow, ".github/actions/stack/action.yml": "runs:\n  steps:\n    - uses: actions/checkout@v6.0.2\n", "Pulumi.dev.yaml": stack}

func (n *network) pinner() *pinner {
	return &pinner{github: n.URL, registry: n.URL, client: n.Client()}
}

func TestTagsBecomeCommitsAndDigestsWithTheTagBesideThem(t *testing.T) {
	n, dir := newNetwork(t), project(t, files)
	var out bytes.Buffer
	require.NoError(t, n.pinner().pin(t.Context(), dir, &out))
	assert.Equal(t, strings.ReplaceAll(workflow, "checkout@v6.0.2", "checkout@"+commit+" # v6.0.2"), read(t, dir, ".github/workflows/a.yml"))
	assert.Contains(t, read(t, dir, ".github/actions/stack/action.yml"), "checkout@"+commit+" # v6.0.2\n")
	assert.Equal(t, "config:\n  dcv-sessions:image.base: ubuntu:24.04@"+digest+" # Ubuntu's own\n", read(t, dir, "Pulumi.dev.yaml"))
	assert.Equal(t, "actions/checkout v6.0.2 is "+commit+"\nubuntu 24.04 is "+digest+"\n", out.String())
	assert.Len(t, n.calls, 4, "each once, and the login: %v", n.calls)

	before := read(t, dir, ".github/workflows/a.yml") + read(t, dir, "Pulumi.dev.yaml")
	require.NoError(t, n.pinner().pin(t.Context(), dir, &out))
	assert.Equal(t, before, read(t, dir, ".github/workflows/a.yml")+read(t, dir, "Pulumi.dev.yaml"), "again: the same")
}

func TestWithoutTheNetworkEverythingIsToldAndNothingChanged(t *testing.T) {
	n := newNetwork(t)
	unknown := map[string]string{".github/workflows/a.yml": workflow + "      - uses: a/b@v1.0.0\n", "Pulumi.dev.yaml": stack}
	for name, c := range map[string]struct {
		p    *pinner
		want []string
	}{
		"nothing answers":     {&pinner{github: "http://127.0.0.1:1", registry: "http://127.0.0.1:1", client: &http.Client{}}, []string{"actions/checkout v6.0.2: ", "a/b v1.0.0: ", "ubuntu 24.04: ", "refused"}},
		"a tag is not there":  {n.pinner(), []string{"a/b v1.0.0: " + n.URL + "/repos/a/b/commits/v1.0.0 answers 404 Not Found"}},
		"no registry is said": {&pinner{github: n.URL, client: n.Client()}, []string{"ubuntu 24.04: PIN_REGISTRY is missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := project(t, unknown)
			var out bytes.Buffer
			err := c.p.pin(t.Context(), dir, &out)
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Empty(t, out.String())
			for name, text := range unknown {
				assert.Equal(t, text, read(t, dir, name))
			}
		})
	}
}

func TestAnAnswerThatIsNoCommitOrDigestIsRefused(t *testing.T) {
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>sign in</html>") }))
	t.Cleanup(odd.Close)
	dir := project(t, files)
	err := (&pinner{github: odd.URL, registry: odd.URL, client: odd.Client()}).pin(t.Context(), dir, &bytes.Buffer{})
	assert.ErrorContains(t, err, `GitHub's answer is no commit: "<html>sign in</html>"`)
	assert.ErrorContains(t, err, "the registry's answer has no digest")
	assert.Equal(t, workflow, read(t, dir, ".github/workflows/a.yml"))
}

// The repository's own files have lines of both kinds: the expressions find them.
func TestTheProjectsOwnLinesAreFound(t *testing.T) {
	for i, name := range []string{".github/workflows/preview.yml", "Pulumi.dev.yaml"} {
		assert.Regexp(t, kinds[i].line, read(t, "../..", name), name)
	}
	assert.Regexp(t, kinds[0].line, read(t, "../..", ".github/actions/stack/action.yml"))
}
