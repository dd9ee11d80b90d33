package door

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

//go:embed pages
var files embed.FS

// pages are the page that stays for the whole session, and what it is made of.
type pages struct {
	shell   *template.Template
	version string // of all assets; in their paths, so that browsers may keep them
	assets  map[string]asset
}

type asset struct {
	media string
	data  []byte
}

const css = "text/css; charset=utf-8"

func newPages(b *branding.Branding) (*pages, error) {
	shell, err := template.ParseFS(files, "pages/shell.html")
	if err != nil {
		return nil, err
	}
	p := &pages{shell: shell, assets: map[string]asset{"brand.css": {css, brandCSS(b)}, "logo": {b.Logo.Type, b.Logo.Data}}}
	sum := sha256.New()
	for _, own := range []struct{ name, media string }{{"shell.css", css}, {"shell.js", "text/javascript; charset=utf-8"}} {
		data, err := files.ReadFile("pages/" + own.name)
		if err != nil {
			return nil, err
		}
		p.assets[own.name] = asset{own.media, data}
		sum.Write(data)
	}
	sum.Write([]byte(b.Version()))
	p.version = hex.EncodeToString(sum.Sum(nil)[:6])
	return p, nil
}

// brandCSS are the brand's colours, which branding.Load has checked.
func brandCSS(b *branding.Branding) []byte {
	of := func(c branding.Colors) string {
		return fmt.Sprintf(":root{--background:%s;--surface:%s;--text:%s;--quiet:%s;--accent:%s;--on-accent:%s;--error:%s}",
			c.Background, c.Surface, c.Text, c.Quiet, c.Accent, c.OnAccent, c.Error)
	}
	return []byte(of(b.Light) + "\n@media (prefers-color-scheme:dark){" + of(b.Dark) + "}\n")
}

// asset serves what a path with its version names: it never changes.
func (p *pages) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("name")]
	if !ok || r.PathValue("version") != p.version {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.media)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(a.data)
}

// view is what the page shows, and what it asks for again and again.
type view struct {
	State    contract.State `json:"state"`
	Now      string         `json:"now"` // where the session is, in words
	Steps    []step         `json:"steps"`
	SignedIn bool           `json:"signedIn"`
	Moved    bool           `json:"moved,omitempty"` // signed in, but from another address
	Ready    bool           `json:"ready"`           // who has signed in may enter
	Ended    *words         `json:"ended,omitempty"`

	// To players who have signed in only.
	Connected bool     `json:"connected,omitempty"` // to the display
	Warning   *warning `json:"warning,omitempty"`
}

// step is one of contract.Steps.
type step struct {
	Name  contract.State `json:"name"`
	Title string         `json:"-"`
	Stage string         `json:"stage"` // "done", "now" or "next"
}

// warning is that the session is about to end.
type warning struct {
	Words   string `json:"words"`
	Seconds int    `json:"seconds"` // that are left; 0: not known, or none
}

// words are a heading and what it means, for a player.
type words struct {
	Title string `json:"title"`
	Text  string `json:"text"`
}

// steps in words for a player.
var steps = map[contract.State]struct{ title, now string }{
	contract.StateUser:    {"Your account", "your account is being made"},
	contract.StateDisplay: {"The screen", "the screen is starting"},
	contract.StateSession: {"Picture and sound", "picture and sound are starting"},
	contract.StateGame:    {"The game", "the game is starting"},
}

const (
	overTitle  = "The session is over"
	faultTitle = "The session can’t go on"
	retried    = "The machine that it ran on failed. Start it again where you started it: another machine will take over."
	mended     = "Starting it again will not help until your studio has mended it."
)

// endings are contract.ExitCodes in words for a player.
var endings = map[int]words{
	contract.ExitOK:            {overTitle, "Thank you for playing."},
	contract.ExitConfiguration: {faultTitle, "It is not set up as it should be. " + mended},
	contract.ExitImage:         {faultTitle, "The game is not installed as it should be. " + mended},
	contract.ExitGame:          {faultTitle, "The game stopped and could not go on. You may start a new session."},
	contract.ExitSoftware:      {faultTitle, "The graphics hardware could not be used, and without it the game would be too slow. " + mended},
	contract.ExitDisplay:       {faultTitle, "The picture of the game could not be shown. You may start a new session."},
	contract.ExitInternal:      {faultTitle, "Something went wrong that should not have. You may start a new session."},
	contract.ExitNoPort:        {faultTitle, retried},
	contract.ExitHost:          {faultTitle, retried},
	contract.ExitGPU:           {faultTitle, retried},
}

// wordsOf never tells status.Ended's Reason, which is for support.
func wordsOf(e status.Ended) *words {
	w, ok := endings[e.Code]
	if !ok {
		w = endings[contract.ExitInternal]
	}
	if e.Words != "" {
		w.Text = e.Words
	}
	return &w
}

// view is the session as it stands, for who asks.
func (d *Door) view(r *http.Request) view {
	s := d.config.Board.Get()
	state := stateOf(s)
	v, moved := d.visitor(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	is := view{State: state, SignedIn: v != nil, Moved: moved, Ready: d.display != nil && answers(state)}
	is.Steps, is.Now = progress(state)
	if s.Ended != nil {
		is.Ended = wordsOf(*s.Ended)
	}
	if v == nil {
		return is
	}
	is.Connected = v.sockets > 0
	if s.Warning != "" {
		is.Warning = &warning{Words: s.Warning}
		if !s.EndsAt.IsZero() {
			is.Warning.Seconds = max(0, int(time.Until(s.EndsAt).Seconds()))
		}
	}
	return is
}

// progress is how far the start has come.
func progress(state contract.State) ([]step, string) {
	all, now, stage := make([]step, 0, len(contract.Steps)), "", "done"
	for i, name := range contract.Steps {
		if name == state {
			stage = "now"
			now = fmt.Sprintf("Step %d of %d: %s.", i+1, len(contract.Steps), steps[name].now)
		}
		all = append(all, step{name, steps[name].title, stage})
		if stage == "now" {
			stage = "next"
		}
	}
	switch {
	case now != "":
	case state == contract.StateEnding:
		now = "The session is ending."
	default:
		now = "Your game is ready."
	}
	return all, now
}

func (d *Door) state(w http.ResponseWriter, r *http.Request) { writeJSON(w, d.view(r)) }

func (d *Door) shell(w http.ResponseWriter, r *http.Request) { d.page(w, r, http.StatusOK, "") }

// page writes the page, with a fault of the sign-in where there is one.
func (d *Door) page(w http.ResponseWriter, r *http.Request, code int, fault string) {
	var out bytes.Buffer
	err := d.pages.shell.Execute(&out, struct {
		view
		Brand          *branding.Branding
		Assets         string // their folder
		Fault          string
		Session, Mouse string
		Native         bool
	}{d.view(r), d.config.Branding, "/assets/" + d.pages.version + "/", fault, d.config.Session, d.config.Mouse, d.config.NativeClients})
	if err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = out.WriteTo(w)
}

// Done counts steps, for the page.
func (v view) Done() int {
	done := 0
	for _, s := range v.Steps {
		if s.Stage == "done" {
			done++
		}
	}
	return done
}
