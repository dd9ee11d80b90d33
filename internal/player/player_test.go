package player_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/session/door"
	"github.com/intraverse/dcv-sessions/image/session/status"
	"github.com/intraverse/dcv-sessions/internal/browser"
	"github.com/intraverse/dcv-sessions/internal/player"
)

// event is a message that the display gets of a player.
type event struct {
	Kind, Key string
	X, Y      float64
}

func (e event) String() string {
	if e.Key != "" {
		return e.Kind + " " + e.Key
	}
	return fmt.Sprintf("%s %.0f,%.0f", e.Kind, e.X, e.Y)
}

// client is the page of the display: black, until its server says that there is a
// picture. It sends keys and pointer there.
const client = `<!doctype html><body style="margin:0; height:100vh; background:#000"><script>
	const server = new WebSocket("wss://" + location.host + "/display/ws");
	const send = (event) => server.send(JSON.stringify(event));
	server.onmessage = () => { document.body.style.background = "linear-gradient(#000, #0f0)"; };
	for (const kind of ["keydown", "keyup"]) addEventListener(kind, (e) => send({kind, key: e.code}));
	for (const kind of ["mousemove", "mousedown", "mouseup"]) addEventListener(kind, (e) => send({kind, x: e.clientX, y: e.clientY}));
</script>`

// display is a double of a display.
type display struct {
	empty bool // it never has a picture

	mu     sync.Mutex
	events []event
}

func (*display) Entry(string) string { return "/display/" }
func (*display) SessionID() string   { return "" }
func (d *display) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /display/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, client)
	})
	mux.HandleFunc("GET /display/ws", func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		if !d.empty {
			time.AfterFunc(time.Second, func() { _ = c.Write(r.Context(), websocket.MessageText, []byte("a picture")) })
		}
		for {
			var e event
			if wsjson.Read(r.Context(), c, &e) != nil {
				return
			}
			d.mu.Lock()
			d.events = append(d.events, e)
			d.mu.Unlock()
		}
	})
	return mux
}

// seen returns the events so far.
func (d *display) seen() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]string, len(d.events))
	for i, e := range d.events {
		all[i] = e.String()
	}
	return all
}

const (
	user     = "player1"
	password = "Planted-Pa55word!"
	patience = 2 * time.Minute // of a loaded machine
)

// session is a session's real door, before a double of its display.
type session struct {
	player.Session
	*display
	door  *door.Door
	board *status.Board
}

func start(t *testing.T, change ...func(*branding.Branding)) *session {
	t.Helper()
	if err := browser.Installed(); err != nil {
		t.Skip("SKIPPED: ", err)
	}
	certificate, err := door.SelfSigned(netip.MustParseAddr("127.0.0.1"))
	require.NoError(t, err)
	look, err := branding.Load("../../image/branding")
	require.NoError(t, err)
	for _, c := range change {
		c(look)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &session{display: &display{}, board: &status.Board{}, Session: player.Session{
		Address: "https://" + listener.Addr().String() + "/", Fingerprint: door.Fingerprint(certificate), User: user, Password: password,
	}}
	s.door, err = door.New(door.Config{
		Certificate: certificate, Session: "job-1", Credentials: contract.Credentials{Username: user, Password: password},
		Branding: look, Board: s.board, End: http.NotFoundHandler(), Address: listener.Addr().String(),
	})
	require.NoError(t, err)
	go func() { _ = s.door.Serve(listener) }() // until its end
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.door.Close(ctx)
	})
	return s
}

// ready opens the session to players.
func (s *session) ready(script contract.Script) {
	s.door.Open(s.display, contract.Play{Width: 641, Height: 361, Script: script})
	s.board.Change(func(is *status.Status) { is.State = contract.StateReady })
}

func (s *session) end() {
	s.door.Disconnect()
	s.board.Change(func(is *status.Status) {
		is.State, is.Ended = contract.StateEnding, &status.Ending{Code: contract.ExitOK, Cause: status.CauseStudio}
	})
}

// count returns how often an event is in a list.
func count(events []string, event string) (n int) {
	for _, e := range events {
		if e == event {
			n++
		}
	}
	return n
}

func TestAPlayerSignsInSeesThePictureAndPlaysTheScriptUntilToldToLeave(t *testing.T) {
	s := start(t)
	s.ready(contract.Script{
		Start:  []contract.Step{{Key: "Enter"}, {Wait: 0.1}},
		Repeat: []contract.Step{{Hold: &contract.Hold{Key: "ArrowUp", Seconds: 0.5}}, {Move: &contract.Point{1, 0}}, {Click: &contract.Point{0.5, 0.25}}},
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, err := player.Enter(ctx, s.Session)
	require.NoError(t, err)
	assert.Equal(t, []string{"keydown Enter", "keyup Enter"}, s.seen(), "the start is part of entering")

	playing, stop := context.WithCancel(ctx)
	go func() {
		defer stop()
		for count(s.seen(), "mouseup 320,90") < 2 && ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
		}
	}()
	require.NoError(t, p.Play(playing))
	require.NoError(t, ctx.Err())
	p.Leave()

	events := s.seen()
	assert.Equal(t, 1, count(events, "keydown Enter"))
	round := events[2 : slices.Index(events, "mouseup 320,90")+1]
	assert.Equal(t, []string{"keydown ArrowUp", "keyup ArrowUp"}, round[:2])
	moves := round[2 : len(round)-3]
	assert.Greater(t, len(moves), 3, "the pointer moves on in pieces")
	assert.Equal(t, "mousemove 640,0", moves[len(moves)-1], "the picture's right upper corner")
	assert.Equal(t, []string{"mousemove 320,90", "mousedown 320,90", "mouseup 320,90"}, round[len(round)-3:])
	left := func() bool {
		select {
		case n := <-s.door.Players():
			return n == 0
		default:
			return false
		}
	}
	assert.Eventually(t, left, patience, 50*time.Millisecond, "who leaves is no player any more")
}

func TestAnErrorNamesTheStageAndThePagesTextAndNeverThePassword(t *testing.T) {
	s := start(t, func(b *branding.Branding) { b.Texts.Greeting = "It is " + password })
	wrong := s.Session
	wrong.User = "player2"
	_, err := player.Enter(t.Context(), wrong)
	require.Error(t, err)
	for _, part := range []string{"player2's session at https://127.0.0.1", "signing in: the session refuses the name and the password", "The name or the password is not right.", "It is (the password)"} {
		assert.ErrorContains(t, err, part)
	}
	all := err.Error()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		all += fmt.Sprintf(verb, wrong)
	}
	assert.NotContains(t, all, password)
}

func TestASessionThatIsOverIsNoLongerPlayed(t *testing.T) {
	s := start(t)
	s.ready(contract.DefaultScript)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, err := player.Enter(ctx, s.Session)
	require.NoError(t, err)
	defer p.Leave()
	time.AfterFunc(time.Second, s.end)
	err = p.Play(ctx)
	require.Error(t, err)
	assert.ErrorContains(t, err, "playing: the game is no longer on the page")
	assert.ErrorContains(t, err, "The session was ended by the studio.")
	assert.Empty(t, slices.DeleteFunc(s.seen(), func(e string) bool { return strings.HasPrefix(e, "mousemove") }), "the default script presses nothing")

	_, err = player.Enter(ctx, s.Session)
	assert.ErrorContains(t, err, "signing in: the session is over")
}

func TestAnEmptyScreenIsNotPlayed(t *testing.T) {
	s := start(t)
	s.empty = true
	s.ready(contract.Script{Start: []contract.Step{{Key: "Enter"}}, Repeat: []contract.Step{{Wait: 1}}})
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, fmt.Errorf("time is up"))
	defer cancel()
	err := player.Play(ctx, s.Session)
	assert.ErrorContains(t, err, "waiting for the game's picture: time is up")
	assert.Empty(t, s.seen())
}

// The script has the same form in the session's answer and in this package.
func TestTheDefaultScriptSurvivesItsJSON(t *testing.T) {
	text, err := json.Marshal(contract.Play{Width: 640, Height: 360, Script: contract.DefaultScript})
	require.NoError(t, err)
	var back contract.Play
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, contract.DefaultScript, back.Script)
}
