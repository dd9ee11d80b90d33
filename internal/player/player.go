// Package player plays a session in a browser of its own, as the manifest of the
// session's game says, so that a session can be measured without a person.
package player

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/browser"
)

// Session is a session to play: its address and the SHA-256 of its certificate, as its
// ready event has them, and its user's credentials.
type Session struct {
	Address        string
	Fingerprint    string
	User, Password string
}

// String returns the session without the password.
func (s Session) String() string { return s.User + "'s session at " + s.Address }

// GoString is String, for %#v.
func (s Session) GoString() string { return s.String() }

// Player is a player who is in the game.
type Player struct {
	session Session
	tab     *browser.Browser
	play    contract.Play
	pointer contract.Point
}

// Play enters a session, plays it until ctx ends, and leaves. It returns nil if ctx ends
// while the session is played.
func Play(ctx context.Context, s Session) error {
	p, err := Enter(ctx, s)
	if err != nil {
		return err
	}
	defer p.Leave()
	return p.Play(ctx)
}

// stage is a stage on the way into the game.
type stage struct {
	name  string        // for errors
	limit time.Duration // 0: none
	do    func(*Player, context.Context) error
}

// stages lead from the session's page into its game. Each limit is several times
// the time that the stage takes between a session that is ready and a browser near it.
var stages = []stage{
	{"signing in", 30 * time.Second, (*Player).signIn},
	{"connecting to the display", time.Minute, (*Player).connect},
	{"reading the script of the game", 30 * time.Second, (*Player).read},
	{"waiting for the game's picture", time.Minute, (*Player).seePicture},
	{"going through the game's menus", 0, (*Player).start},
}

// openLimit is how long a browser may take to start and to show the session's page.
const openLimit = 2 * time.Minute

// Enter opens a ready session's page in a new browser, signs in, waits for the game's
// picture and takes the first steps of the game's script. Then the session is played:
// Play goes on with it, and Leave closes the browser.
func Enter(ctx context.Context, s Session) (*Player, error) {
	opening, cancel := within(ctx, openLimit)
	defer cancel()
	tabs, err := browser.Open(opening, browser.Options{Width: 1280, Height: 720}, browser.Site{Address: s.Address, Fingerprint: s.Fingerprint})
	if err != nil {
		return nil, fmt.Errorf("%v: opening its page: %w", s, err)
	}
	p := &Player{session: s, tab: tabs[0], pointer: contract.Point{0.5, 0.5}}
	for _, stage := range stages {
		if err := p.take(ctx, stage); err != nil {
			defer p.Leave()
			return nil, p.failure(ctx, stage.name, err)
		}
	}
	return p, nil
}

// Leave closes the browser, as a player does on leaving.
func (p *Player) Leave() { p.tab.Close() }

// Play repeats the script of the game until ctx ends, and then returns nil. It returns
// an error when the game is no longer on the page.
func (p *Player) Play(ctx context.Context) error {
	err := p.repeat(ctx)
	if ctx.Err() != nil {
		return nil
	}
	return p.failure(ctx, "playing", err)
}

func (p *Player) take(ctx context.Context, s stage) error {
	if s.limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = within(ctx, s.limit)
		defer cancel()
	}
	return s.do(p, ctx)
}

func within(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("it takes longer than %s", limit))
}

// failure returns the error of a stage, with the page's text and without the password.
func (p *Player) failure(ctx context.Context, stage string, err error) error {
	text := fmt.Sprintf("%v: %s: %v; the page says:\n%s", p.session, stage, err, p.text(ctx))
	if p.session.Password != "" {
		text = strings.ReplaceAll(text, p.session.Password, "(the password)")
	}
	return errors.New(text)
}

// textLimit is how long a page may take to say its text.
const textLimit = 5 * time.Second

// text returns the page's visible text, even if ctx has ended.
func (p *Player) text(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), textLimit)
	defer cancel()
	text, err := p.tab.Text(ctx)
	if err != nil {
		return fmt.Sprintf("(nothing: %v)", err)
	}
	return strings.TrimSpace(text)
}
