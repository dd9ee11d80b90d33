package player

import (
	"context"
	"fmt"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/browser"
	"github.com/intraverse/dcv-sessions/internal/keyboard"
)

// start takes the steps that lead through the game's menus.
func (p *Player) start(ctx context.Context) error { return p.takeSteps(ctx, p.play.Start) }

// repeat takes the steps of the game again and again, until ctx ends or the game is no
// longer on the page.
func (p *Player) repeat(ctx context.Context) error {
	for {
		if err := p.takeSteps(ctx, p.play.Repeat); err != nil {
			return err
		}
		if err := p.unless(ctx, "!("+inGame+")", errGone); err != nil {
			return err
		}
	}
}

func (p *Player) takeSteps(ctx context.Context, steps []contract.Step) error {
	for i, s := range steps {
		if err := p.takeStep(ctx, s); err != nil {
			return fmt.Errorf("step %d of %d: %w", i+1, len(steps), err)
		}
	}
	return nil
}

func (p *Player) takeStep(ctx context.Context, s contract.Step) error {
	switch {
	case s.Key != "":
		return p.hold(ctx, s.Key, browser.Moment)
	case s.Hold != nil:
		return p.hold(ctx, s.Hold.Key, s.Hold.Seconds.Duration())
	case s.Move != nil:
		return p.move(ctx, *s.Move)
	case s.Click != nil:
		x, y := p.at(*s.Click)
		p.pointer = *s.Click
		return p.tab.ClickAt(ctx, x, y)
	default:
		return wait(ctx, max(s.Wait, contract.MinStep).Duration())
	}
}

func (p *Player) hold(ctx context.Context, code string, d time.Duration) error {
	key, known := keyboard.Find(code)
	if !known {
		return fmt.Errorf("%q is the code of no key that this program knows", code)
	}
	return p.tab.Hold(ctx, key, d)
}

// A movement of the pointer takes half a second, in pieces, as that of a hand does.
const (
	pieces    = 10
	pieceTime = 500 * time.Millisecond / pieces
)

func (p *Player) move(ctx context.Context, to contract.Point) error {
	from := p.pointer
	for i := 1.0; i <= pieces; i++ {
		part := i / pieces
		p.pointer = contract.Point{from[0] + part*(to[0]-from[0]), from[1] + part*(to[1]-from[1])}
		x, y := p.at(p.pointer)
		if err := p.tab.MoveTo(ctx, x, y); err != nil {
			return err
		}
		if err := wait(ctx, pieceTime); err != nil {
			return err
		}
	}
	return nil
}

// at returns a point of the page in pixels, the last of which is one less than its size.
func (p *Player) at(point contract.Point) (x, y float64) {
	return point[0] * float64(p.play.Width-1), point[1] * float64(p.play.Height-1)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
