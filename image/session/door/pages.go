package door

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
)

//go:embed pages
var pageFiles embed.FS

// pages is the page of a session and its assets.
type pages struct {
	shell   *template.Template
	version string // of all assets; in their paths, so that browsers may cache them
	assets  map[string]asset
}

type asset struct {
	media string
	data  []byte
}

const cssMedia = "text/css; charset=utf-8"

func newPages(b *branding.Branding) (*pages, error) {
	shell, err := template.ParseFS(pageFiles, "pages/shell.html")
	if err != nil {
		return nil, err
	}
	p := &pages{shell: shell, assets: map[string]asset{"brand.css": {cssMedia, brandCSS(b)}, "logo": {b.Logo.Type, b.Logo.Data}}}
	sum := sha256.New()
	for _, own := range []struct{ name, media string }{{"shell.css", cssMedia}, {"shell.js", "text/javascript; charset=utf-8"}} {
		data, err := pageFiles.ReadFile("pages/" + own.name)
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

// brandCSS returns the brand's colours as CSS. branding.Load has checked them.
func brandCSS(b *branding.Branding) []byte {
	of := func(c branding.Colors) string {
		return fmt.Sprintf(":root{--background:%s;--surface:%s;--text:%s;--quiet:%s;--accent:%s;--on-accent:%s;--error:%s}",
			c.Background, c.Surface, c.Text, c.Quiet, c.Accent, c.OnAccent, c.Error)
	}
	return []byte(of(b.Light) + "\n@media (prefers-color-scheme:dark){" + of(b.Dark) + "}\n")
}

// asset serves an asset. Its path contains the version, so it never changes.
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

// pageView is the data of the page. The page polls it.
type pageView struct {
	State    contract.State `json:"state"`
	Now      string         `json:"now"` // the text of the state
	Steps    []step         `json:"steps"`
	SignedIn bool           `json:"signedIn"`
	Moved    bool           `json:"moved,omitempty"` // signed in from another address
	Ready    bool           `json:"ready"`           // a signed-in player may enter
	Ended    *endText       `json:"ended,omitempty"`

	// For signed-in players only.
	Connected bool     `json:"connected,omitempty"` // to the display
	Warning   *warning `json:"warning,omitempty"`
}

// step is one of contract.Steps.
type step struct {
	Name  contract.State `json:"name"`
	Title string         `json:"-"`
	Stage string         `json:"stage"` // "done", "now" or "next"
}

// warning announces the end of the session.
type warning struct {
	Words   string `json:"words"`
	Seconds int    `json:"seconds"` // until the end; 0: unknown, or now
}

// view returns the session's status for the sender of a request.
func (d *Door) view(r *http.Request) pageView {
	s := d.config.Board.Get()
	state := stateOf(s)
	v, moved := d.visitor(r)
	d.mu.Lock()
	defer d.mu.Unlock()
	is := pageView{State: state, SignedIn: v != nil, Moved: moved, Ready: d.display != nil && isOpen(state)}
	is.Steps, is.Now = progress(state)
	if s.Ended != nil {
		is.Ended = textOf(*s.Ended)
	}
	if v == nil {
		return is
	}
	is.Connected = v.sockets > 0
	if s.Warning != "" {
		is.Warning = &warning{Words: warningTexts[s.Warning]}
		if !s.EndsAt.IsZero() {
			is.Warning.Seconds = max(0, int(time.Until(s.EndsAt).Seconds()))
		}
	}
	return is
}

// progress returns the steps of the start with their stages, and the text of a state.
func progress(state contract.State) (all []step, now string) {
	at := slices.Index(contract.Steps, state) // -1: the start is over
	for i, name := range contract.Steps {
		stage := "done"
		switch {
		case i == at:
			stage = "now"
		case at >= 0 && i > at:
			stage = "next"
		}
		all = append(all, step{name, stateTexts[name].title, stage})
	}
	if at >= 0 {
		return all, stepText(at+1, state)
	}
	return all, stateTexts[state].now
}

func (d *Door) state(w http.ResponseWriter, r *http.Request) { writeJSON(w, d.view(r)) }

func (d *Door) shell(w http.ResponseWriter, r *http.Request) { d.page(w, r, http.StatusOK, "") }

// page writes the page. fault is the text of a failed sign-in, or "".
func (d *Door) page(w http.ResponseWriter, r *http.Request, code int, fault string) {
	var out bytes.Buffer
	err := d.pages.shell.Execute(&out, struct {
		pageView
		Brand          *branding.Branding
		Assets         string // the path of their folder
		Fault          string
		Session, Mouse string
		Native         bool
	}{d.view(r), d.config.Branding, "/assets/" + d.pages.version + "/", fault, d.config.Session, mouseTexts[d.config.DisplayServer], d.config.NativeClients})
	if err != nil {
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = out.WriteTo(w)
}

// Done returns the number of steps that are done, for the template.
func (v pageView) Done() int {
	done := 0
	for _, s := range v.Steps {
		if s.Stage == "done" {
			done++
		}
	}
	return done
}
