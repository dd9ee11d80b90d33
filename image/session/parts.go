package main

import (
	"context"
	"os"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/game"
	"github.com/intraverse/dcv-sessions/image/session/account"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/dcv"
	"github.com/intraverse/dcv-sessions/image/session/display/vnc"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/host"
	"github.com/intraverse/dcv-sessions/image/session/life"
	"github.com/intraverse/dcv-sessions/image/session/notify"
	"github.com/intraverse/dcv-sessions/image/session/sound"
	"github.com/intraverse/dcv-sessions/image/session/status"
	"github.com/intraverse/dcv-sessions/image/session/usage"
)

// newDisplay makes a display with the image's display server, without starting it.
var newDisplay = map[contract.DisplayServer]func(settings, display.Config) display.Display{
	contract.DCV: func(s settings, c display.Config) display.Display {
		return dcv.New(dcv.Config{Config: c, DisplayMode: s.DisplayMode, GPU: s.gpu, SoftwareRendering: s.SoftwareRendering, Sound: sound.Server(c.RunDir)})
	},
	contract.VNC: func(_ settings, c display.Config) display.Display { return vnc.New(c) },
}

// runDir is the folder of the files that the session's parts write.
const runDir = "/run/dcv-session"

// parts are the parts of a session behind its door. The steps of the start make them in
// order; they are closed in reverse.
type parts struct {
	settings
	log   *events.Writer
	front *front
	meter *usage.Meter // of a session, not of a doctor's run

	manifest *game.Manifest
	account  account.Account
	display  display.Display
	x        display.X
	sound    *sound.Sound
	game     *running

	failed chan error // of any part, for good
	over   chan status.Ending
}

func newParts(s settings, f *front, log *events.Writer) *parts {
	return &parts{settings: s, front: f, log: log, failed: f.failed, over: make(chan status.Ending, 1)}
}

// session returns the state machine of these parts.
func (p *parts) session() *life.Session {
	return &life.Session{
		Steps: []life.Step{
			{State: contract.StateUser, Run: p.makeUser, Limit: 20 * time.Second, Code: contract.ExitHost},
			{State: contract.StateDisplay, Run: p.startX, Limit: time.Minute, Code: contract.ExitDisplay},
			{State: contract.StateSession, Run: p.startServer, Limit: time.Minute, Code: contract.ExitDisplay},
			// A game may compile shaders before it shows a window.
			{State: contract.StateGame, Run: p.startGame, Limit: 5 * time.Minute, Code: contract.ExitGame},
		},
		Limits: p.Limits,
		Ready:  p.ready, Players: p.front.Players(), Idle: p.idle,
		Asked: p.front.asked, Game: p.over, Failed: p.failed,
		Save: p.save, Close: p.close,
		Board: p.front.board, Write: p.log.Write,
	}
}

// makeUser makes the player's account and the session's folder.
func (p *parts) makeUser(ctx context.Context) (err error) {
	if p.manifest, err = game.Load(game.Dir); err != nil {
		return fault.New(contract.ExitImage, err)
	}
	if err := host.Space("/home", "/run", "/tmp"); err != nil {
		return fault.New(contract.ExitHost, err)
	}
	if err := os.MkdirAll(runDir, 0o711); err != nil {
		return err
	}
	if err := os.Chmod(runDir, 0o711); err != nil { // regardless of the umask
		return err
	}
	p.account, err = account.Make(ctx, p.User)
	return err
}

func (p *parts) startX(ctx context.Context) (err error) {
	if err := p.makeDisplay(); err != nil {
		return err
	}
	if p.x, err = p.display.StartX(ctx); err != nil {
		return err
	}
	go p.pass(p.display.Failed())
	p.meter.Watch(p.x)
	return nil
}

// makeDisplay makes the display, without starting any of it.
func (p *parts) makeDisplay() error {
	public := p.front.listener.Addr()
	port, err := host.LoopbackPort(public)
	if err != nil {
		return fault.New(contract.ExitHost, err)
	}
	p.display = newDisplay[p.displayServer](p.settings, display.Config{
		User: p.account.Name, Account: p.account.User, Home: p.account.Home, RunDir: runDir,
		Number: host.Display(public), Width: p.manifest.Window.Width, Height: p.manifest.Window.Height,
		Port: port, Verifier: p.front.verifies, Idle: p.Idle, Log: p.log.Part,
	})
	return nil
}

// pass passes on the error of a failed part. The first one ends the session.
func (p *parts) pass(failed <-chan error) {
	err := <-failed
	select {
	case p.failed <- err:
	default:
	}
}

// startServer starts the sound first, since the display server looks for it once.
func (p *parts) startServer(ctx context.Context) error {
	if err := p.startSound(ctx); err != nil {
		return err
	}
	return p.display.StartServer(ctx)
}

func (p *parts) startSound(ctx context.Context) (err error) {
	p.sound, err = sound.Start(ctx, sound.Config{Account: p.account, RunDir: runDir, Log: p.log.Part})
	return err
}

// ready opens the door to players, and announces it.
func (p *parts) ready() {
	window := p.manifest.Window
	p.front.Open(p.display, contract.Play{Width: window.Width, Height: window.Height, Script: p.manifest.Play})
	waited := p.sinceSubmit()
	p.log.Write(contract.Event{
		Event: contract.EventReady, URL: p.front.url, Certificate: p.front.fingerprint, InstanceType: p.front.hostType, SinceSubmit: waited,
	})
	if waited != nil {
		p.meter.Waited(*waited)
	}
	if p.notification != nil {
		go p.notify()
	}
}

func (p *parts) notify() {
	told := contract.Event{Event: contract.EventNotified}
	if err := notify.Notify(context.Background(), notify.Config{
		Region: p.Region, Notification: *p.notification, URL: p.front.url, User: p.User, Stack: p.Stack,
	}); err != nil {
		told.Reason = err.Error()
	}
	p.log.Write(told)
}

func (p *parts) idle(ctx context.Context) (time.Duration, bool) { return p.display.Idle(ctx) }

// save ends the game as its manifest says. From here on nothing is measured.
func (p *parts) save(context.Context) {
	p.meter.Stop()
	if p.game != nil {
		p.game.end()
	}
}

// close ends the rest: players, display, sound, and the door last, so that the port
// answers until all else is gone.
func (p *parts) close(ctx context.Context) {
	p.front.Disconnect()
	if p.display != nil {
		p.display.Close(ctx)
	}
	if p.sound != nil {
		p.sound.Stop()
	}
	p.front.close(ctx)
}

// secrets returns the texts that no output of the session may contain.
func (s settings) secrets() []string {
	list := []string{s.credentials.Password}
	if s.certificate != nil {
		list = append(list, s.certificate.PrivateKey)
	}
	return list
}
