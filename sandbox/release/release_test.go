package release

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAGameBuildIsAnArchiveThatIsThere(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"a.tar", "a.tar.gz", "a.tgz", "a.tar.zst", "a.zip"} {
		require.NoError(t, os.WriteFile(name, nil, 0o644))
		form, err := formOf(name)
		require.NoError(t, err)
		assert.Equal(t, strings.TrimPrefix(name, "a"), form)
	}
	for _, name := range []string{"", "a.7z", "gone.tar"} {
		_, err := formOf(name)
		assert.Error(t, err, name)
	}
}

func TestGitHubTakesOnlyWhatComesWithTheToken(t *testing.T) {
	const path = "/repos/studio/game/actions/workflows/release.yml/dispatches"
	const body = `{"ref":"main","inputs":{"bucket":"b","key":"k","versionId":"v"}}`
	call := func(g *github, path, token, body string) int {
		r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		g.dispatch(w, r)
		return w.Code
	}
	newGitHub := func() *github { return &github{calls: make(chan dispatched, 8), refused: make(chan string, 8)} }

	g := newGitHub()
	assert.Equal(t, http.StatusNoContent, call(g, path, releaseToken, strings.Replace(body, `"v"`, `"older"`, 1)))
	assert.Equal(t, http.StatusNoContent, call(g, path, releaseToken, body))
	assert.NoError(t, g.await(t.Context(), "b", "k", "v"), "another build's is left aside")

	for why, refused := range map[string]func(*github) int{
		"without the token": func(g *github) int { return call(g, path, "another", body) },
		`<bucket>`:          func(g *github) int { return call(g, path, releaseToken, `{"ref":"main","inputs":{"bucket":<bucket>}}`) },
		"/dispatches":       func(g *github) int { return call(g, "/repos/studio/game/dispatches", releaseToken, body) },
	} {
		g := newGitHub()
		assert.GreaterOrEqual(t, refused(g), 400)
		assert.ErrorContains(t, g.await(t.Context(), "b", "k", "v"), why)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorContains(t, newGitHub().await(ended, "b", "k", "v"), "no event came")
}
