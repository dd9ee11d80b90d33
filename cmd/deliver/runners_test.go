package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const onlyRollout = `{"name":"dev","restricted_to_workflows":true,"selected_workflows":["studio/game/.github/workflows/rollout.yml@refs/heads/main"]}`

// runnersOf checks the group dev of a repository, with GitHub's answers.
func runnersOf(t *testing.T, groups, runners string) (string, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer "+token, r.Header.Get("Authorization"))
		answer := map[string]string{
			"/orgs/studio/actions/runner-groups?per_page=100&visible_to_repository=game": groups,
			"/repos/studio/game/actions/runners":                                         runners,
		}[r.URL.String()]
		if answer == "" {
			w.WriteHeader(http.StatusForbidden)
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	var out bytes.Buffer
	err := gitHub{API: server.URL, Repository: "studio/game", Ref: "main", token: token}.checkRunners(t.Context(), "dev", &out)
	return out.String(), err
}

func TestARunnerGroupIsForTheRolloutOnMainOnly(t *testing.T) {
	said, err := runnersOf(t, `{"runner_groups":[`+onlyRollout+`,{"name":"Default"}]}`, `{"total_count":0}`)
	require.NoError(t, err)
	assert.Contains(t, said, "runner group dev: only studio/game/.github/workflows/rollout.yml@refs/heads/main\n")
	assert.Contains(t, said, "studio/game may also use the group Default (all workflows)")

	for name, c := range map[string]struct{ groups, runners, want string }{
		"every workflow": {`{"runner_groups":[{"name":"dev"}]}`, `{"total_count":0}`,
			`runner group dev is "all workflows"; allowed: selected workflows: studio/game/.github/workflows/rollout.yml@refs/heads/main`},
		"a list that is not in force": {`{"runner_groups":[{"name":"dev","restricted_to_workflows":false,"selected_workflows":["studio/game/.github/workflows/rollout.yml@refs/heads/main"]}]}`,
			`{"total_count":0}`, `"all workflows"; allowed`},
		"any branch": {`{"runner_groups":[{"name":"dev","restricted_to_workflows":true,"selected_workflows":["studio/game/.github/workflows/rollout.yml@*"]}]}`,
			`{"total_count":0}`, `rollout.yml@*"; allowed`},
		"one more": {`{"runner_groups":[{"name":"dev","restricted_to_workflows":true,"selected_workflows":["studio/game/.github/workflows/rollout.yml@refs/heads/main","studio/game/.github/workflows/preview.yml@refs/heads/main"]}]}`,
			`{"total_count":0}`, `preview.yml@refs/heads/main"; allowed`},
		"no such group":              {`{"runner_groups":[{"name":"Default"}]}`, `{"total_count":0}`, `runner group is "dev"; allowed: a group of studio that studio/game may use`},
		"a runner of the repository": {`{"runner_groups":[` + onlyRollout + `]}`, `{"total_count":1}`, `the number of studio/game's own runners is 1; allowed: 0`},
		"no right to ask":            {"", "", "takes a token with its permission Self-hosted runners (read): GitHub answers 403 Forbidden"},
		"half a right":               {`{"runner_groups":[` + onlyRollout + `]}`, "", "takes a token with its permission Administration (read)"},
	} {
		said, err := runnersOf(t, c.groups, c.runners)
		require.ErrorContains(t, err, c.want, name)
		assert.NotContains(t, err.Error(), token, name)
		assert.Empty(t, said, name)
	}
}

func TestTheRunnersRepositoryIsTheStacks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Pulumi.dev.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("config:\n  dcv-sessions:delivery.repository: studio/game\n")
	got, err := readGitHub(file)
	require.NoError(t, err)
	assert.Equal(t, gitHub{API: "https://api.github.com", Repository: "studio/game", Ref: "main"}, got)
	write("config:\n  dcv-sessions:delivery.repository: studio/game\n  dcv-sessions:delivery.ref: next\n  dcv-sessions:delivery.api: https://git.example.com/api/v3\n")
	got, err = readGitHub(file)
	require.NoError(t, err)
	assert.Equal(t, gitHub{API: "https://git.example.com/api/v3", Repository: "studio/game", Ref: "next"}, got)
	write("config: {}\n")
	_, err = readGitHub(file)
	assert.ErrorContains(t, err, "dcv-sessions:delivery.repository")
}
