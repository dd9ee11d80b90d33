package e2e

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/browser"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

var (
	desktop = browser.Options{Width: 1280, Height: 720}
	phone   = browser.Options{Width: 390, Height: 844, Phone: true, Dark: true}
)

// The states of the page, as JavaScript that is true in that state.
const (
	waiting = `!document.getElementById("waiting").closest("[hidden]")`
	signIn  = `document.getElementById("form")`
	inGame  = `document.querySelector('[data-step="game"]').dataset.stage === "now"`
	over    = `!document.getElementById("ended").closest("[hidden]")`

	frame     = `document.querySelector("iframe")?.contentDocument`
	connected = frame + `?.body?.dataset.state === "connected"`
	// colours counts those of the picture, on a grid: an empty screen has one.
	colours = `(() => {
		const c = ` + frame + `.querySelector("canvas"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, seen = new Set();
		for (let i = 0; i < d.length; i += 4 * 97) seen.add(d[i] << 16 | d[i+1] << 8 | d[i+2]);
		return seen.size;
	})()`
)

// picture waits until the game is on the screen.
func picture(b *browser.Browser) {
	b.Within(time.Minute, "the display is connected", connected)
	b.Within(time.Minute, "the game's picture is on the screen", colours+" > 100")
}

func enterCredentials(b *browser.Browser, password string) {
	b.Type("#username", "player1")
	b.Type("#password", password)
	b.Is("the page is marked", "window.before = true")
	b.Click("#form button")
	b.Is("the answer is there", "!window.before && document.readyState === 'complete'")
}

// portrait is a part of the game's first screen that is dark, and is bright in
// its menu: a corner of the box around a character's picture.
const portrait = `(() => {
	const d = ` + frame + `.querySelector("canvas").getContext("2d").getImageData(108, 152, 6, 6).data;
	let sum = 0;
	for (let i = 0; i < d.length; i += 4) sum += d[i] + d[i+1] + d[i+2];
	return sum / (d.length / 4 * 3);
})()`

// quit leaves the game by its keys, as often as there are screens to leave.
func quit(b *browser.Browser, c *container) {
	c.t.Helper()
	require.True(c.t, local.WaitUntil(time.Minute, func() bool {
		b.Press("Escape")
		return slices.ContainsFunc(c.events(), func(e contract.Event) bool { return e.State == contract.StateEnding })
	}), "Escape, pressed in the browser, ends the game")
}

// race goes from the game's first screen down the first slope.
func race(b *browser.Browser) {
	for range 5 { // player, event, cup, slope, start
		b.Press("Enter")
		time.Sleep(2 * time.Second)
	}
}

// held is a session started by hand. Its game waits at its start until it is let go.
type held struct{ *container }

// held replaces the script that starts the game; "exec" in it starts the game.
func (s *sandbox) held(t *testing.T, image, then string) held {
	t.Helper()
	dir, err := os.MkdirTemp(s.dir, "") // this test's own name has commas, which docker takes apart
	require.NoError(t, err)
	script := filepath.Join(dir, "start")
	text := "#!/bin/sh\nwhile [ ! -e /tmp/go ]; do sleep 0.1; done\n" + then + "\n"
	require.NoError(t, os.WriteFile(script, []byte(text), 0o755))
	return held{s.container(t, image, map[string]string{contract.EnvUsage: "5"}, "--mount", "type=bind,readonly,source="+script+",target=/opt/game/start")}
}

// theGame is the command in the script of the sandbox's game.
const theGame = `mkdir -p "$HOME/.etr"; cp /opt/game/options.txt "$HOME/.etr/"; exec /opt/game/bin/etr`

func (h held) letGo() { h.s.docker(h.t, "exec", h.id, "touch", "/tmp/go") }

// atHand is the address of a session started by hand, if it is the only one.
const atHand = "127.0.0.1:18443"

// visit opens a browser at a session by hand, as soon as its page answers.
func (c *container) visit(o browser.Options) *browser.Browser { return c.visitBy(atHand, o) }

func (c *container) visitBy(at string, o browser.Options) *browser.Browser {
	c.t.Helper()
	var fingerprint string
	require.True(c.t, local.WaitUntil(20*time.Second, func() bool {
		conn, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return false
		}
		defer conn.Close()
		sum := sha256.Sum256(conn.ConnectionState().PeerCertificates[0].Raw)
		fingerprint = hex.EncodeToString(sum[:])
		return true
	}), "the port answers")
	return browser.Open(c.t, "https://"+at+"/", fingerprint, o)
}

// line leads to a session, and can be cut.
type line struct {
	address string

	mu   sync.Mutex
	from net.IP // its address, as the session sees it
	ends []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{address: listener.Addr().String(), from: net.IPv4(127, 0, 0, 1)}
	t.Cleanup(func() {
		listener.Close()
		l.cut()
	})
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			l.lead(from, to)
		}
	}()
	return l
}

func (l *line) lead(from net.Conn, address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: l.from}}
	to, err := dialer.Dial("tcp", address)
	if err != nil {
		from.Close()
		return
	}
	l.ends = append(l.ends, from, to)
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			way[0].Close()
		}()
	}
}

// cut ends all connections; new ones may come.
func (l *line) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end()
}

// move cuts the line and leads from another address, as a phone does that leaves
// its home's network.
func (l *line) move(to net.IP) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from = to
	l.end()
}

func (l *line) end() {
	for _, end := range l.ends {
		end.Close()
	}
	l.ends = nil
}

// browse visits sessions by hand in a real Chromium.
func (s *sandbox) browse(t *testing.T, out outputs.Outputs) {
	image := out.ImageURI

	t.Run("a player waits, signs in, is taken into the game, comes back, and ends it by its keys", func(t *testing.T) {
		c := s.held(t, image, theGame)
		line := newLine(t, atHand)
		b := c.visitBy(line.address, desktop)
		b.Is("the waiting screen is there from the first request", waiting+" && "+signIn)
		b.Is("it shows the step that is under way", inGame)
		b.Shot("waiting")

		enterCredentials(b, "wrong")
		b.Is("a wrong password is told", `document.getElementById("fault")`)
		b.Shot("sign-in-wrong")
		enterCredentials(b, byHand)
		b.Is("who has signed in waits", waiting+" && !"+signIn)

		c.letGo()
		picture(b)
		race(b)
		b.Shot("playing")
		played := c.eventWhere("what the player gets", func(e contract.Event) bool {
			u := e.Usage
			return u != nil && u.FramesPerSecond != nil && u.MegabitsToPlayer != nil && u.RoundTripMilliseconds != nil
		}).Usage
		assert.Greater(t, *played.FramesPerSecond, 1.0)
		assert.Greater(t, *played.MegabitsToPlayer, 0.1)
		assert.Positive(t, *played.RoundTripMilliseconds)
		if assert.NotNil(t, played.CPUCores) && assert.NotNil(t, played.MemoryMiB) {
			assert.Greater(t, *played.CPUCores, 0.1, "a game is drawn")
			assert.Greater(t, *played.MemoryMiB, 50.0)
		}
		game := c.process("/opt/game/bin/etr")

		b.Reload()
		picture(b)
		assert.Equal(t, game, c.process("/opt/game/bin/etr"), "a reload finds the running game")
		b.Is("the client is marked", `document.querySelector("iframe").contentWindow.marked = true`)
		before := strings.Count(strings.Join(c.stateNames(), " "), "away playing")
		line.cut()
		require.True(t, local.WaitUntil(time.Minute, func() bool {
			return strings.Count(strings.Join(c.stateNames(), " "), "away playing") > before
		}), "the player is away for a moment, and back")
		picture(b)
		b.Is("by itself, without a reload", `document.querySelector("iframe").contentWindow.marked`)
		assert.Equal(t, game, c.process("/opt/game/bin/etr"))

		line.move(net.IPv4(127, 0, 0, 9))
		b.Is("a player at another address is asked to sign in again", `!document.getElementById("moved-here").closest("[hidden]")`)
		b.Click("#moved-again")
		b.Is("the page says why", signIn+` && document.getElementById("moved")`)
		b.Shot("sign-in-moved")
		enterCredentials(b, byHand)
		picture(b)
		assert.Equal(t, game, c.process("/opt/game/bin/etr"), "the game went on")

		quit(b, c.container)
		ended := c.ended()
		assert.Equal(t, contract.ExitOK, *ended.ExitCode)
		assert.Contains(t, ended.Reason, "the game ended")
		assert.Equal(t, "ok", ended.Exit)
		summary := c.event(contract.EventSummary).Summary
		assert.Equal(t, "ok", summary.Exit)
		assert.Greater(t, summary.PlayedSeconds, 10.0)
		assert.Positive(t, summary.Usage["framesPerSecond"].Median)
		b.Is("the page says so", over)
		assert.Contains(t, b.Text(), "The game has ended")
		b.Shot("ended")
	})

	t.Run("two sessions of a host are played in one browser", func(t *testing.T) {
		var sites []browser.Site
		for range 2 {
			ready := s.container(t, image, nil).event(contract.EventReady)
			sites = append(sites, browser.Site{Address: ready.URL, Fingerprint: ready.Certificate})
		}
		tabs := browser.OpenTabs(t, desktop, sites...)
		for _, b := range tabs {
			enterCredentials(b, byHand)
			picture(b)
		}
		for _, b := range tabs {
			b.Reload()
			picture(b)
		}
	})

	t.Run("the mouse reaches the game", func(t *testing.T) {
		c := s.container(t, image, nil)
		c.event(contract.EventReady)
		b := c.visit(desktop)
		enterCredentials(b, byHand)
		picture(b)
		b.Within(time.Minute, "the game's first screen is there", portrait+" < 100")
		b.ClickAt(635, 482) // "Enter", on a screen of 1280x720
		b.Is("a click on its button leads to its menu", portrait+" > 120")
	})

	t.Run("a phone in the dark shows the same, and who fails too often waits", func(t *testing.T) {
		c := s.held(t, image, theGame)
		b := c.visit(phone)
		b.Is("nothing is wider than the screen", waiting+` && document.documentElement.scrollWidth <= innerWidth`)
		b.Shot("waiting-phone")
		for range 5 {
			enterCredentials(b, "wrong")
			b.Is("it is told", `document.getElementById("fault")`)
		}
		enterCredentials(b, byHand)
		b.Is("even the right password has to wait", `/wait|seconds|again in/i.test(document.getElementById("fault")?.textContent)`)
		b.Shot("sign-in-too-often")
	})

	t.Run("a game that fails is told in words, with the session's id", func(t *testing.T) {
		c := s.held(t, image, "echo the disk is gone >&2; exit 3")
		b := c.visit(desktop)
		enterCredentials(b, byHand)
		b.Is("who has signed in waits", waiting+" && !"+signIn)
		c.letGo()
		ended := c.ended()
		assert.Equal(t, contract.ExitGame, *ended.ExitCode)
		b.Is("the page tells it", over)
		assert.Contains(t, b.Text(), ended.Session)
		assert.NotContains(t, b.Text(), "exit code", "but not what only support understands")
		b.Shot("failed-game")
	})
}

// browseQueued plays two sessions of the queue at once, as the README says. One
// player leaves: the session ends by itself.
func (s *sandbox) browseQueued(t *testing.T, out outputs.Outputs) {
	c := s.aws(t)
	var sessions [2]launch.Session
	var both sync.WaitGroup
	for i := range sessions {
		both.Go(func() { sessions[i] = s.session(t, "start", fmt.Sprintf("player%d", i+1)) })
	}
	both.Wait()
	var browsers [2]*browser.Browser
	for i, session := range sessions {
		user := fmt.Sprintf("player%d", i+1)
		b := browser.Open(t, session.URL, session.Certificate, desktop)
		b.Type("#username", user)
		b.Type("#password", c.password(t, out, user))
		b.Click("#form button")
		picture(b)
		b.Shot("playing-" + user)
		browsers[i] = b
	}
	browsers[0].Close()
	assert.Equal(t, "SUCCEEDED", s.session(t, "end", "player2").State)
	var state types.JobStatus
	assert.True(t, local.WaitUntil(2*time.Minute, func() bool {
		jobs, err := c.batch.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: []string{sessions[0].JobID}})
		require.NoError(t, err)
		state = jobs.Jobs[0].Status
		return state == types.JobStatusSucceeded || state == types.JobStatusFailed
	}), "a session whose player has left ends after the grace time")
	assert.Equal(t, types.JobStatusSucceeded, state)
}
