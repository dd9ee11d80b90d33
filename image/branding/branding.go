// Package branding is how the session's own pages look: title, logo, colours and
// texts, from a folder that is checked as a whole. The default brand lies beside
// this file.
package branding

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image/png"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// File is the brand's description in its folder. The logo that it names lies
// beside it.
const File = "branding.yaml"

// MaxLogo is the most that a logo may have, bytes: it is sent to every player
// before anything else.
const MaxLogo = 256 << 10

// maxLogoSide is the most that a PNG's sides may have, pixels.
const maxLogoSide = 2048

// Branding is a checked brand.
type Branding struct {
	Title       string
	Logo        Logo
	Light, Dark Colors
	Texts       Texts
	Files       []string // of the folder: File and the logo
}

// Logo is an image, as it is served.
type Logo struct {
	Type string // its media type
	Data []byte
}

// Colors of a page, each "#rrggbb" in small letters.
type Colors struct {
	Background string // of the page
	Surface    string // of a panel on it
	Text       string
	Quiet      string // text that stands back
	Accent     string // buttons, progress
	OnAccent   string // text on Accent
	Error      string // the colour of error messages
}

// Texts are the studio's own words.
type Texts struct {
	Greeting string // while the session starts
	SignIn   string // above the form
	Support  string // how a player gets help
}

// Version is short, and another for every other brand: a path with it in it may
// be kept by browsers for ever.
func (b *Branding) Version() string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q %q ", b.Title, b.Logo.Type, b.Light, b.Dark, b.Texts)
	sum.Write(b.Logo.Data)
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

// Load reads a brand from its folder, and names everything that is wrong with it.
func Load(dir string) (*Branding, error) {
	text, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	r := &reader{values: map[string]any{}}
	r.flatten("", tree)
	b := &Branding{Light: r.colors("colors.light."), Dark: r.colors("colors.dark.")}
	b.Title = r.text("title", 40)
	b.Texts = Texts{r.text("texts.greeting", 300), r.text("texts.signIn", 300), r.text("texts.support", 300)}
	b.Logo = r.logo(dir)
	for _, key := range slices.Sorted(maps.Keys(r.values)) {
		r.faults.Unknown(key, r.known)
	}
	if err := r.faults.Err(File); err != nil {
		return nil, err
	}
	b.Files = []string{File, tree["logo"].(string)}
	return b, nil
}

// reader takes values out of the file; keys that are left are unknown.
type reader struct {
	values map[string]any // by key, "colors.light.text"
	known  []string       // the keys that were asked for
	faults faults.Faults
}

// check adds a fault of a key that has no value, or one that is not ok.
func (r *reader) check(ok bool, key string, value any, allowed string) {
	r.faults.Required(value != nil, key, allowed)
	r.faults.Check(ok || value == nil, key, value, allowed)
}

func (r *reader) flatten(prefix string, tree map[string]any) {
	for key, value := range tree {
		if below, ok := value.(map[string]any); ok && len(below) > 0 {
			r.flatten(prefix+key+".", below)
			continue
		}
		r.values[prefix+key] = value
	}
}

func (r *reader) take(key string) any {
	r.known = append(r.known, key)
	value := r.values[key]
	delete(r.values, key)
	return value
}

func (r *reader) text(key string, most int) string {
	value := r.take(key)
	text, ok := value.(string)
	text = strings.TrimSpace(text)
	n := utf8.RuneCountInString(text)
	r.check(ok && 1 <= n && n <= most && !strings.ContainsFunc(text, unicode.IsControl), key, value, fmt.Sprintf("a text of 1 to %d characters on one line", most))
	return text
}

var colorPattern = regexp.MustCompile(`^#[0-9a-f]{6}$`)

// pairs need a contrast for people with low vision: 4.5 for text, 3 for parts of
// controls (WCAG 2.2, 1.4.3 and 1.4.11).
var pairs = []struct {
	front, ground string
	least         float64
}{
	{"text", "background", 4.5}, {"text", "surface", 4.5},
	{"quiet", "background", 4.5}, {"quiet", "surface", 4.5},
	{"error", "surface", 4.5}, {"onAccent", "accent", 4.5},
	{"accent", "surface", 3},
}

func (r *reader) colors(prefix string) Colors {
	of := map[string]string{}
	for _, name := range []string{"background", "surface", "text", "quiet", "accent", "onAccent", "error"} {
		value := r.take(prefix + name)
		text, _ := value.(string)
		text = strings.ToLower(text)
		ok := colorPattern.MatchString(text)
		r.check(ok, prefix+name, value, `a colour "#rrggbb", in quotes`)
		if ok {
			of[name] = text
		}
	}
	for _, p := range pairs {
		front, ground := of[p.front], of[p.ground]
		if front == "" || ground == "" {
			continue
		}
		is := contrast(front, ground)
		r.check(is >= p.least, prefix+p.front, front, fmt.Sprintf("a contrast of at least %v on %s %s; it has %.2f", p.least, p.ground, ground, is))
	}
	return Colors{of["background"], of["surface"], of["text"], of["quiet"], of["accent"], of["onAccent"], of["error"]}
}

// contrast of two colours, from 1 to 21 (WCAG 2.2, "contrast ratio").
func contrast(a, b string) float64 {
	one, two := luminance(a), luminance(b)
	return (max(one, two) + 0.05) / (min(one, two) + 0.05)
}

// luminance of a colour, from 0 to 1 (WCAG 2.2, "relative luminance").
func luminance(color string) float64 {
	channel := func(at int) float64 {
		n, _ := strconv.ParseUint(color[at:at+2], 16, 8) // colorPattern has seen it
		c := float64(n) / 255
		if c <= 0.04045 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*channel(1) + 0.7152*channel(3) + 0.0722*channel(5)
}

// logoTypes are the allowed types of a logo, by the file's extension.
var logoTypes = map[string]struct {
	media string
	check func([]byte) error
}{
	".svg": {"image/svg+xml", checkSVG},
	".png": {"image/png", checkPNG},
}

var logoPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

func (r *reader) logo(dir string) Logo {
	value := r.take("logo")
	name, _ := value.(string)
	kind, known := logoTypes[strings.ToLower(filepath.Ext(name))]
	if !known || !logoPattern.MatchString(name) {
		r.check(false, "logo", value, "the name of a .svg or .png file in the same folder")
		return Logo{}
	}
	data, err := readUpTo(filepath.Join(dir, name), MaxLogo)
	if err == nil {
		err = kind.check(data)
	}
	var fault *fs.PathError
	switch {
	case errors.As(err, &fault):
		r.faults.Nest("logo", err)
	case err != nil:
		r.faults.Add("logo", name, err.Error())
	}
	return Logo{kind.media, data}
}

func readUpTo(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("at most %d KiB", most>>10)
	}
	return data, err
}

func checkPNG(data []byte) error {
	is, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("a PNG image: %w", err)
	}
	if is.Width > maxLogoSide || is.Height > maxLogoSide {
		return fmt.Errorf("at most %d pixels a side; it has %d × %d", maxLogoSide, is.Width, is.Height)
	}
	return nil
}
