package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/report"
)

// completeKilledRuns kills the engine, its providers and the program at several moments,
// then runs up again.
func (s *sandbox) completeKilledRuns(t *testing.T, base config) {
	file := base.write(t, s.dir)
	s.killUp(t, "when the first resources exist", " created (", "-config", file)
	s.killUp(t, "between the image's push and the state", "digest: sha256:", "-config", file)
	s.deploy(t, "up", base)
	assert.Empty(t, changes(s.deploy(t, "up", base)), "after a killed run was completed, up still changes something")
}

// killCloud kills everything that runs, while somebody plays, and deploys again.
func (s *sandbox) killCloud(t *testing.T, base config) *report.Report {
	old := s.cloud(t)
	s.session(t, "start", "player1")
	containers := strings.Fields(s.docker(t, "ps", "--quiet"))
	require.NotEmpty(t, containers)
	pid := s.docker(t, "inspect", "--format", "{{.State.Pid}}", containers[0])
	for _, p := range old.Processes {
		require.NoError(t, syscall.Kill(p.PID, syscall.SIGKILL))
	}
	r := s.deploy(t, "up", base)
	assert.NotEqual(t, old.ID, s.cloud(t).ID, "the dead cloud's id was used again")
	assert.NoDirExists(t, old.Dir())
	program, _ := os.ReadFile("/proc/" + pid + "/cmdline")
	assert.NotContains(t, string(program), "session", "a session outlived its sandbox")
	return r
}

// killUp runs up and kills all of it at the moment at which it says something.
func (s *sandbox) killUp(t *testing.T, name, sign string, args ...string) {
	t.Helper()
	cmd, out := s.command(append([]string{"up"}, args...)...)
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	local.WaitUntil(4*time.Minute, func() bool { return strings.Contains(out.String(), sign) || len(ended) > 0 })
	killed := killTree(cmd.Process.Pid)
	require.Error(t, <-ended, "%s: up came to its end", name)
	require.Contains(t, out.String(), sign, name)
	t.Logf("killed %d processes %s", killed, name)
}

// killTree kills a process and its descendants, except those in a session of their
// own, which are the local AWS.
func killTree(pid int) int {
	_ = syscall.Kill(pid, syscall.SIGSTOP) // it starts nothing more
	killed := 0
	for _, child := range children(pid) {
		killed += killTree(child)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	return killed + 1
}

func children(pid int) []int {
	var found []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		child, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if fields[1] == fmt.Sprint(pid) && fields[3] != fmt.Sprint(child) { // parent, session
			found = append(found, child)
		}
	}
	return found
}

func (c cloudClients) repositories(t *testing.T) []string {
	t.Helper()
	got, err := c.ecr.DescribeRepositories(context.Background(), &ecr.DescribeRepositoriesInput{})
	require.NoError(t, err)
	var names []string
	for _, r := range got.Repositories {
		names = append(names, *r.RepositoryName)
	}
	return names
}

// images counts the repositories that have one.
func (c cloudClients) images(t *testing.T) int {
	t.Helper()
	count := 0
	for _, name := range c.repositories(t) {
		if c.hasImages(t, name) {
			count++
		}
	}
	return count
}

// hasImages asks the registry, not ECR: it knows as soon as the push has ended.
func (c cloudClients) hasImages(t *testing.T, repository string) bool {
	t.Helper()
	res, err := http.Get("http://" + c.registry + "/v2/" + repository + "/tags/list")
	require.NoError(t, err)
	defer res.Body.Close()
	var list struct{ Tags []string }
	return res.StatusCode == http.StatusOK && json.NewDecoder(res.Body).Decode(&list) == nil && len(list.Tags) > 0
}
