package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// byHand is the password of containers that a test starts.
const byHand = "by-hand-Pa55word"

// container is a session as somebody would run it by hand: the stack's image
// with the environment that a job has, on the sandbox's Docker.
type container struct {
	t  *testing.T
	s  *sandbox
	id string
}

// container starts a session. changes replace variables; "" takes one away.
func (s *sandbox) container(t *testing.T, image string, changes map[string]string, flags ...string) *container {
	t.Helper()
	return s.containerFor(t, "", image, changes, flags...)
}

// containerFor starts the session's program for a command, "" for a session.
func (s *sandbox) containerFor(t *testing.T, command, image string, changes map[string]string, flags ...string) *container {
	t.Helper()
	environment := local.SessionEnvironment(image, byHand, contract.PortRange{First: 18443, Last: 18643})
	maps.Copy(environment, changes)
	args := append([]string{"run", "--detach", "--network", "host", "--shm-size", "256m", "--label", local.Label + "=" + s.tree.State}, flags...)
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		if environment[name] != "" {
			args = append(args, "--env", name+"="+environment[name])
		}
	}
	args = append(args, image)
	if command != "" {
		args = append(args, command)
	}
	c := &container{t, s, s.docker(t, args...)}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the session said:\n%s", c.log())
		}
		s.docker(t, "rm", "--force", c.id)
	})
	return c
}

func (c *container) log() string { return c.s.docker(c.t, "logs", c.id) }

// events are those that the session has written; whatever else it wrote fails
// the test.
func (c *container) events() []contract.Event {
	c.t.Helper()
	var events []contract.Event
	for _, line := range strings.Split(c.log(), "\n") {
		if line == "" {
			continue
		}
		var e contract.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Errorf("a line that is no event: %s", line)
		}
		events = append(events, e)
	}
	return events
}

// event waits for the first event of a name.
func (c *container) event(name contract.EventName) contract.Event {
	c.t.Helper()
	return c.eventWhere(string(name), func(e contract.Event) bool { return e.Event == name })
}

func (c *container) eventWhere(what string, wanted func(contract.Event) bool) (found contract.Event) {
	c.t.Helper()
	require.True(c.t, local.WaitUntil(90*time.Second, func() bool {
		events := c.events()
		if i := slices.IndexFunc(events, wanted); i >= 0 {
			found = events[i]
			return true
		}
		return false
	}), "no event: %s", what)
	return found
}

// ended waits until the container has, and returns its last event.
func (c *container) ended() contract.Event {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := local.Docker(ctx, c.s.cloud(c.t).DockerHost, "wait", c.id).Output()
	require.NoError(c.t, err, "it does not end")
	events := c.events()
	require.NotEmpty(c.t, events)
	last := events[len(events)-1]
	require.Equal(c.t, contract.EventEnded, last.Event)
	assert.Equal(c.t, strings.TrimSpace(string(out)), fmt.Sprint(*last.ExitCode), "the process ends with the code that it tells")
	return last
}

// processes are the container's, by process number on this machine.
func (c *container) processes() map[int]string {
	c.t.Helper()
	all := map[int]string{}
	for _, line := range strings.Split(c.s.docker(c.t, "top", c.id, "-eo", "pid,args"), "\n")[1:] {
		number, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		pid, err := strconv.Atoi(number)
		require.NoError(c.t, err, line)
		all[pid] = strings.TrimSpace(command)
	}
	return all
}

// process returns the id of the process with a text in its command.
func (c *container) process(text string) int {
	c.t.Helper()
	for pid, command := range c.processes() {
		if strings.Contains(command, text) {
			return pid
		}
	}
	c.t.Fatalf("no process %q among %v", text, c.processes())
	return 0
}

// kill ends one process of the container as the kernel does when memory is short.
func (c *container) kill(text string) {
	c.t.Helper()
	require.NoError(c.t, syscall.Kill(c.process(text), syscall.SIGKILL))
}

// visitor is a browser without a picture.
type visitor struct {
	*http.Client
	t   *testing.T
	url string
}

func (c *container) visitor(url string) *visitor {
	jar, err := cookiejar.New(nil)
	require.NoError(c.t, err)
	return &visitor{&http.Client{
		Timeout: 10 * time.Second, Jar: jar,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, c.t, strings.TrimSuffix(url, "/")}
}

func (v *visitor) get(path string) (status int, body string) {
	v.t.Helper()
	res, err := v.Get(v.url + path)
	require.NoError(v.t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(v.t, err)
	return res.StatusCode, string(text)
}

func (v *visitor) signIn(password string) int {
	v.t.Helper()
	res, err := v.PostForm(v.url+"/sign-in", url.Values{"username": {"player1"}, "password": {password}})
	require.NoError(v.t, err)
	res.Body.Close()
	return res.StatusCode
}
