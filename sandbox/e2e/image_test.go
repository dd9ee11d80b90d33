package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// moreRights lists the files of an image with a setuid or setgid bit.
const moreRights = "find / -xdev -type f -perm /6000"

// inspectImage runs the stack's image by hand, well and badly. A session mostly waits, so
// several run side by side.
func (s *sandbox) inspectImage(t *testing.T, out outputs.Outputs) {
	image := out.ImageURI
	s.docker(t, "pull", "--quiet", image)

	t.Run("it has no build tool, package cache or secret, and its labels name what it is", func(t *testing.T) {
		found := s.docker(t, "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c",
			`for p in gcc cc go make curl sudo; do command -v $p; done; find /var/lib/apt/lists /var/cache/apt/archives /run/packages /run/fetch -type f -size +0 2>/dev/null; true`)
		assert.Empty(t, found)
		assert.Empty(t, s.docker(t, "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", moreRights),
			"no file runs with more rights than who starts it")
		labels := s.docker(t, "inspect", "--format", "{{json .Config.Labels}}", image)
		assert.Contains(t, labels, `"org.opencontainers.image.version":"dev"`)
		assert.Contains(t, labels, `"dcv-sessions.game":"Extreme Tux Racer 0.8.2"`)
		history := s.docker(t, "history", "--no-trunc", image)
		assert.NotContains(t, strings.ToLower(history), "password")
	})

	t.Run("faults of the environment end it at once, are all told, and no retry follows", func(t *testing.T) {
		for name, changes := range map[string]map[string]string{
			"no secret":            {contract.EnvCredentials: ""},
			"a malformed secret":   {contract.EnvCredentials: `{"username":"player1","password":"` + byHand + `"`},
			"another's secret":     {contract.EnvCredentials: `{"username":"player2","password":"` + byHand + `"}`},
			"a broken certificate": {contract.EnvCertificate: `{"certificate":"no PEM","privateKey":"` + byHand + `"}`},
		} {
			c := s.container(t, image, changes)
			ended := c.ended()
			assert.Equal(t, contract.ExitConfiguration, *ended.ExitCode, name)
			assert.NotEmpty(t, ended.Reason, name)
			assert.NotContains(t, c.log(), byHand, name)
		}
	})

	t.Run("without a GPU a game is refused where software is not allowed", func(t *testing.T) {
		t.Parallel()
		c := s.container(t, image, map[string]string{contract.EnvSoftwareRendering: "false"})
		assert.Equal(t, contract.ExitSoftware, *c.ended().ExitCode)
	})

	t.Run("a full disk is the host's fault", func(t *testing.T) {
		t.Parallel()
		c := s.container(t, image, nil, "--mount", "type=tmpfs,destination=/home,tmpfs-size=4096")
		ended := c.ended()
		assert.Equal(t, contract.ExitHost, *ended.ExitCode, ended.Reason)
	})

	t.Run("a read-only root is the host's fault, told in words", func(t *testing.T) {
		t.Parallel()
		c := s.container(t, image, nil, "--read-only", "--tmpfs", "/run", "--tmpfs", "/tmp")
		ended := c.ended()
		assert.Equal(t, contract.ExitHost, *ended.ExitCode)
		assert.Contains(t, ended.Reason, "user: ")
	})

	t.Run("two that start in the same instant share nothing, and a third finds no port", func(t *testing.T) {
		t.Parallel()
		ports := map[string]string{contract.EnvPortFirst: "18700", contract.EnvPortLast: "18701"}
		var both [2]*container
		var started sync.WaitGroup
		for i := range both {
			started.Go(func() { both[i] = s.container(t, image, ports) })
		}
		started.Wait()
		first, second := both[0].event(contract.EventReady), both[1].event(contract.EventReady)
		assert.NotEqual(t, first.URL, second.URL)
		for _, c := range both {
			name := "@/tmp/.X11-unix/X" + c.display()
			_, err := net.Listen("unix", name)
			assert.ErrorIs(t, err, syscall.EADDRINUSE, "a neighbour takes %s", name)
		}
		assert.Equal(t, contract.ExitNoPort, *s.container(t, image, ports).ended().ExitCode)
		// The first's port is free again after a crash.
		s.docker(t, "kill", both[0].id)
		assert.Equal(t, first.URL, s.container(t, image, ports).event(contract.EventReady).URL)
	})

	t.Run("the waiting screen answers before the session is ready, and the port until its end", func(t *testing.T) {
		c := s.container(t, image, nil)
		watch := c.watchPort("https://127.0.0.1:18443")
		ready := c.event(contract.EventReady)
		assert.Equal(t, "https://127.0.0.1:18443/", ready.URL)
		assert.Less(t, watch.firstAnswer(), c.took(contract.EventStarting, contract.EventReady), "before it is ready")
		s.docker(t, "stop", "--time", "40", c.id)
		ended := c.ended()
		assert.Equal(t, contract.ExitOK, *ended.ExitCode)
		assert.LessOrEqual(t, watch.longestGap(), time.Second)
		assert.Equal(t, []contract.State{
			contract.StateUser, contract.StateDisplay, contract.StateSession, contract.StateGame, contract.StateReady, contract.StateEnding,
		}, c.states())
		assert.NotContains(t, c.log(), byHand)
	})

	t.Run("a part that is killed ends the session with its name, or is started again", func(t *testing.T) {
		for _, part := range []struct {
			process string
			code    int // -1: the session goes on
		}{
			{"Xtigervnc", contract.ExitDisplay}, {"gpu-run", contract.ExitGame}, {"pulseaudio", -1},
		} {
			t.Run(part.process, func(t *testing.T) {
				t.Parallel()
				c := s.container(t, image, nil)
				ready := c.event(contract.EventReady)
				before := c.process(part.process)
				c.kill(part.process)
				if part.code >= 0 {
					assert.Equal(t, part.code, *c.ended().ExitCode)
					return
				}
				require.True(t, local.WaitUntil(20*time.Second, func() bool {
					for pid, command := range c.processes() {
						if strings.Contains(command, part.process) && pid != before {
							return true
						}
					}
					return false
				}), "it comes back")
				status, _ := c.visitor(ready.URL).get(contract.HealthPath)
				assert.Equal(t, http.StatusOK, status)
				assert.Empty(t, c.zombies(), "the dead are reaped")
				s.docker(t, "stop", "--time", "40", c.id)
				assert.Equal(t, contract.ExitOK, *c.ended().ExitCode, "and it ends as if nothing had been")
			})
		}
	})

	t.Run("a player signs in, plays, comes back within the grace time, and leaves for good", func(t *testing.T) {
		t.Parallel()
		c := s.container(t, image, map[string]string{contract.EnvGrace: "10"})
		ready := c.event(contract.EventReady)
		v := c.visitor(ready.URL)
		status, _ := v.get("/display/")
		assert.Equal(t, http.StatusUnauthorized, status, "nobody gets past the door")
		assert.Equal(t, http.StatusUnauthorized, v.signIn("wrong"))
		assert.Equal(t, http.StatusSeeOther, v.signIn(byHand))
		for range 2 {
			player := c.plays(v)
			c.eventWhere("a player", func(e contract.Event) bool { return e.State == contract.StatePlaying })
			require.NoError(t, player.Close(websocket.StatusNormalClosure, ""))
			time.Sleep(time.Second)
		}
		ended := c.ended()
		assert.Equal(t, contract.ExitOK, *ended.ExitCode)
		assert.Contains(t, ended.Reason, "away for 10s")
		assert.GreaterOrEqual(t, strings.Count(strings.Join(c.stateNames(), " "), "playing away"), 2)
	})

	t.Run("nothing of a player's can gain a right, and its root gave up what it does not need", func(t *testing.T) {
		t.Parallel()
		const givenUp = 1<<8 | 1<<13 | 1<<18 | 1<<27 | 1<<31 // SETPCAP, NET_RAW, SYS_CHROOT, MKNOD, SETFCAP (linux/capability.h)
		c := s.container(t, image, nil)
		c.event(contract.EventReady)
		for part, root := range map[string]bool{"/usr/local/bin/session": true, "gpu-run": false, "pulseaudio": false} {
			status := c.status(part)
			assert.Equal(t, "1", status["NoNewPrivs"], part)
			bounding, err := strconv.ParseUint(status["CapBnd"], 16, 64)
			require.NoError(t, err, part)
			assert.Zero(t, bounding&givenUp, "%s: %s", part, status["CapBnd"])
			if root {
				assert.Equal(t, status["CapBnd"], status["CapEff"], part)
			} else {
				assert.Equal(t, "0000000000000000", status["CapEff"], part)
			}
		}
	})

	t.Run("the password is nowhere: not in the log, the files, an argument or an environment, process 1's included", func(t *testing.T) {
		t.Parallel()
		c := s.container(t, image, nil)
		ready := c.event(contract.EventReady)
		c.visitor(ready.URL).signIn(byHand)
		found := s.docker(t, "exec", c.id, "sh", "-c", fmt.Sprintf(
			`grep -rlsF %[1]q /etc /home /run /tmp /var /usr/share/dcv-sessions /opt/game; for p in /proc/[0-9]*; do [ $p = /proc/$$ ] || grep -lsF %[1]q $p/environ $p/cmdline; done; true`, byHand[1:]))
		found = strings.Join(strings.Fields(found), " ")
		assert.Empty(t, found)
		assert.NotContains(t, c.log(), byHand)
	})
}

// display is the number of the session's X display.
func (c *container) display() string {
	c.t.Helper()
	x := strings.Fields(c.processes()[c.process("Xtigervnc")])
	require.Greater(c.t, len(x), 1)
	return strings.TrimPrefix(x[1], ":")
}

// states are those that a session entered.
func (c *container) states() (list []contract.State) {
	for _, e := range c.events() {
		if e.Event == contract.EventEntered {
			list = append(list, e.State)
		}
	}
	return list
}

func (c *container) stateNames() (list []string) {
	for _, state := range c.states() {
		list = append(list, string(state))
	}
	return list
}

// took is the time between two events.
func (c *container) took(from, to contract.EventName) time.Duration {
	at := map[contract.EventName]time.Time{}
	for _, e := range c.events() {
		when, err := time.Parse(time.RFC3339, e.Time)
		require.NoError(c.t, err)
		at[e.Event] = when
	}
	return at[to].Sub(at[from])
}

// status returns /proc/PID/status of the process with a text in its command.
func (c *container) status(text string) map[string]string {
	c.t.Helper()
	lines, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.process(text)))
	require.NoError(c.t, err)
	all := map[string]string{}
	for line := range strings.Lines(string(lines)) {
		name, value, _ := strings.Cut(line, ":")
		all[name] = strings.TrimSpace(value)
	}
	return all
}

// zombies are processes that nobody waited for.
func (c *container) zombies() (list []string) {
	for _, line := range strings.Split(c.s.docker(c.t, "top", c.id, "-eo", "pid,stat,args"), "\n")[1:] {
		if strings.HasPrefix(strings.Fields(line)[1], "Z") {
			list = append(list, line)
		}
	}
	return list
}

// plays connects to the display as a browser's client does.
func (c *container) plays(v *visitor) *websocket.Conn {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, res, err := websocket.Dial(ctx, v.url+"/display/ws", &websocket.DialOptions{
		HTTPClient: v.Client, Subprotocols: []string{"binary"}, HTTPHeader: http.Header{"Origin": {v.url}},
	})
	require.NoError(c.t, err, "%v", res)
	_, greeting, err := conn.Read(ctx)
	require.NoError(c.t, err)
	assert.True(c.t, strings.HasPrefix(string(greeting), "RFB 003"), "the display greets: %q", greeting)
	return conn
}

// portWatch looks at a port all the time.
type portWatch struct {
	began time.Time
	mu    sync.Mutex
	good  []time.Time
}

// watchPort asks for the health page every 50 ms until the test is over.
func (c *container) watchPort(url string) *portWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &portWatch{began: time.Now()}
	c.t.Cleanup(cancel)
	v := c.visitor(url)
	go func() {
		for ctx.Err() == nil {
			if res, err := v.Get(url + contract.HealthPath); err == nil {
				res.Body.Close()
				w.mu.Lock()
				w.good = append(w.good, time.Now())
				w.mu.Unlock()
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return w
}

// firstAnswer is after how long the port answered.
func (w *portWatch) firstAnswer() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.good) == 0 {
		return time.Hour
	}
	return w.good[0].Sub(w.began)
}

// longestGap is the longest time without an answer, from the first to the last.
func (w *portWatch) longestGap() (longest time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := 1; i < len(w.good); i++ {
		longest = max(longest, w.good[i].Sub(w.good[i-1]))
	}
	return longest
}
