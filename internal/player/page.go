package player

import (
	"context"
	"errors"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/browser"
)

// The states of a session's page (image/session/door/pages), as JavaScript that is true
// in that state.
const (
	signInForm = `document.getElementById("form")`
	signedIn   = `document.body.dataset.signedIn === "true"`
	refused    = `document.getElementById("fault")`
	over       = `!document.getElementById("ended").closest("[hidden]")`
	// inGame is true as long as the display's client is shown, and not known to have
	// lost its connection.
	inGame = `!document.getElementById("play").hidden && document.getElementById("lost").hidden && document.getElementById("moved-here").hidden`
	// connected is true if the session counts this browser as a player.
	connected = inGame + ` && fetch("/state", {cache: "no-store"}).then((answer) => answer.json()).then((state) => state.connected === true)`
	script    = `fetch("` + contract.PlayPath + `", {cache: "no-store"}).then((answer) => {
		if (!answer.ok) throw new Error("the session answers with status " + answer.status);
		return answer.json();
	})`
)

var (
	errOver    = errors.New("the session is over")
	errRefused = errors.New("the session refuses the name and the password")
	errGone    = errors.New("the game is no longer on the page")
)

// until waits until the page is in a state. It returns errOver if the session ends first.
func (p *Player) until(ctx context.Context, state string) error {
	if err := p.tab.Until(ctx, "("+over+") || ("+state+")"); err != nil {
		return err
	}
	return p.unless(ctx, over, errOver)
}

// unless returns an error if the page is in a state.
func (p *Player) unless(ctx context.Context, state string, wrong error) error {
	is, err := browser.Evaluate[bool](ctx, p.tab, "Boolean("+state+")")
	if err == nil && is {
		return wrong
	}
	return err
}

func (p *Player) signIn(ctx context.Context) error {
	if err := p.until(ctx, signInForm); err != nil {
		return err
	}
	if err := p.tab.Type(ctx, "#username", p.session.User); err != nil {
		return err
	}
	if err := p.tab.Type(ctx, "#password", p.session.Password); err != nil {
		return err
	}
	if err := p.tab.Click(ctx, "#form button"); err != nil {
		return err
	}
	if err := p.until(ctx, signedIn+" || "+refused); err != nil {
		return err
	}
	return p.unless(ctx, refused, errRefused)
}

func (p *Player) connect(ctx context.Context) error { return p.until(ctx, connected) }

// read reads the script, and gives the page the size of the game's picture: a part of
// the one is then the same part of the other.
func (p *Player) read(ctx context.Context) (err error) {
	if p.play, err = browser.Evaluate[contract.Play](ctx, p.tab, script); err != nil {
		return err
	}
	return p.tab.Resize(ctx, p.play.Width, p.play.Height)
}

// pictureInterval is the time between two looks at the picture.
const pictureInterval = 500 * time.Millisecond

// seePicture waits until the display shows more than an empty screen, which has one
// colour, and gives it the keyboard.
func (p *Player) seePicture(ctx context.Context) error {
	for {
		switch colours, err := p.tab.Colours(ctx); {
		case err != nil:
			return err
		case colours > 1:
			_, err := browser.Evaluate[bool](ctx, p.tab, `document.querySelector("#frame iframe").focus() === undefined`)
			return err
		}
		if err := wait(ctx, pictureInterval); err != nil {
			return err
		}
	}
}
