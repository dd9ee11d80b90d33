package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// inspectSession runs the stack's image as somebody would by hand: pulled by its
// digest, with the environment that a job has.
func (s *sandbox) inspectSession(t *testing.T, out outputs.Outputs) {
	container := s.docker(t, "run", "--detach", "--network", "host", "--label", local.Label+"="+s.tree.State,
		"--env", contract.EnvContract+"="+fmt.Sprint(contract.Version), "--env", contract.EnvStack+"=sandbox", "--env", contract.EnvUser+"=player1",
		"--env", contract.EnvImage+"="+out.ImageURI, "--env", contract.EnvRegion+"="+out.Region,
		"--env", contract.EnvPortFirst+"=18443", "--env", contract.EnvPortLast+"=18643",
		"--env", contract.EnvStopSeconds+"=10", "--env", contract.EnvMaxSeconds+"=600",
		"--env", contract.EnvCredentials+`={"username":"player1","password":"by-hand"}`,
		"--env", "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1", // this machine's own metadata, if any, is not meant
		out.ImageURI)
	t.Cleanup(func() { s.docker(t, "rm", "--force", container) })

	var ready contract.Event
	require.True(t, local.WaitUntil(30*time.Second, func() bool {
		for _, e := range s.events(t, container) {
			if e.Event == contract.EventReady {
				ready = e
			}
		}
		return ready.URL != ""
	}), "no ready event:\n%s", s.docker(t, "logs", container))
	assert.True(t, answers(ready.URL))

	s.docker(t, "stop", "--time", "20", container)
	assert.Equal(t, fmt.Sprint(contract.ExitOK), s.docker(t, "inspect", "--format", "{{.State.ExitCode}}", container))
	events := s.events(t, container)
	assert.Equal(t, contract.EventEnded, events[len(events)-1].Event)
}

func (s *sandbox) events(t *testing.T, container string) []contract.Event {
	t.Helper()
	var events []contract.Event
	for _, line := range strings.Split(s.docker(t, "logs", container), "\n") {
		var e contract.Event
		if json.Unmarshal([]byte(line), &e) == nil {
			events = append(events, e)
		}
	}
	return events
}

// inspectState looks for what must be nowhere but in Secrets Manager: passwords,
// and the registry's password, in the state with its history and in every file
// that the sandbox wrote.
func (s *sandbox) inspectState(t *testing.T, c cloudClients, out outputs.Outputs) {
	secrets := map[string]string{}
	for user := range out.JobDefinitions {
		secrets[c.password(t, out, user)] = "the password of " + user
	}
	secrets[c.registryPassword(t)] = "the registry's password"
	cloud := s.cloud(t)
	files := 0
	for _, dir := range []string{cloud.StateDir(), filepath.Join(s.tree.Root, ".build"), cloud.Dir()} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || strings.Contains(path, "/registry/") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			for secret, whose := range secrets {
				if strings.Contains(string(text), secret) {
					t.Errorf("%s is in %s", whose, path)
				}
			}
			return nil
		})
		require.NoError(t, err)
	}
	assert.Greater(t, files, 3, "the state was looked at")
}
