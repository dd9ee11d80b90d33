package door

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

func TestThePageAnswersFromTheFirstMomentWithBrandAndSignIn(t *testing.T) {
	h := start(t)
	res, text := h.do(h.client(), http.MethodGet, "/", "")
	assert.Equal(t, http.StatusOK, res.StatusCode)
	assert.Equal(t, "text/html; charset=utf-8", res.Header.Get("Content-Type"))
	brand := h.config.Branding
	text = html.UnescapeString(text)
	for _, part := range []string{
		"<title>" + brand.Title + "</title>", brand.Texts.Greeting, brand.Texts.SignIn, brand.Texts.Support, "job-1",
		`action="/sign-in"`, "Step 1 of 4: your account is being made.",
	} {
		assert.Contains(t, text, part)
	}
	assert.NotContains(t, text, player, "nobody learns whose it is")
}

func TestThePageIsReadableWithAScreenReaderAndOnAPhone(t *testing.T) {
	h := start(t)
	_, text := h.do(h.client(), http.MethodPost, "/sign-in", form(player, "wrong"))
	for _, part := range []string{
		`<html lang="en">`, `name="viewport" content="width=device-width`, "<header", "<main", "<footer", "<h1>",
		`<label for="username">`, `<label for="password">`, `role="status" aria-live="polite"`, `role="alert"`,
		`aria-describedby="fault"`, `<progress id="bar" max="4"`, `alt=""`, `autocomplete="current-password"`,
	} {
		assert.Contains(t, text, part)
	}
	for _, id := range regexp.MustCompile(`aria-(?:labelledby|describedby)="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		assert.Contains(t, text, `id="`+id[1]+`"`)
	}
	_, css := h.do(h.client(), http.MethodGet, h.assets()+"shell.css", "")
	assert.Contains(t, css, "prefers-reduced-motion")
	assert.Contains(t, css, "max-width: 26rem")
	_, colors := h.do(h.client(), http.MethodGet, h.assets()+"brand.css", "")
	assert.Contains(t, colors, "prefers-color-scheme:dark")
	assert.Contains(t, colors, h.config.Branding.Dark.Accent)
}

func (h *harness) assets() string { return "/assets/" + h.pages.version + "/" }

// The Content-Security-Policy would silently block them.
func TestThePageHasNoScriptOrStyleInItsText(t *testing.T) {
	h := start(t, func(c *Config) { c.NativeClients = true })
	h.ready()
	for _, c := range []*http.Client{h.client(), h.signedIn()} {
		_, text := h.do(c, http.MethodGet, "/", "")
		assert.NotRegexp(t, `<style|\sstyle=|\son[a-z]+=|javascript:|<script[^>]*>[^<]`, text)
		assert.NotRegexp(t, `(?:src|href)="(?:https?:)?//`, text)
	}
}

func TestAssetsMayBeKeptForEverUnderTheirVersionAndNoOther(t *testing.T) {
	h := start(t)
	c := h.client()
	_, text := h.do(c, http.MethodGet, "/", "")
	links := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(text, -1)
	require.GreaterOrEqual(t, len(links), 4)
	for _, link := range links {
		res, body := h.do(c, http.MethodGet, link[1], "")
		assert.Equal(t, http.StatusOK, res.StatusCode, link[1])
		assert.Contains(t, res.Header.Get("Cache-Control"), "immutable")
		assert.NotEmpty(t, body)
	}
	res, _ := h.do(c, http.MethodGet, "/assets/0123456789ab/shell.js", "")
	assert.Equal(t, http.StatusNotFound, res.StatusCode)
	res, _ = h.do(c, http.MethodGet, h.assets()+"shell.html", "")
	assert.Equal(t, http.StatusNotFound, res.StatusCode)

	another := *h.config.Branding
	another.Title = "Another"
	pages, err := newPages(&another)
	require.NoError(t, err)
	assert.NotEqual(t, h.pages.version, pages.version)
}

func TestABrandsTextsAreTextsAndNoMarkup(t *testing.T) {
	brand, err := branding.Load("../../branding")
	require.NoError(t, err)
	brand.Title = `<b>"Game"</b>`
	h := start(t, func(c *Config) { c.Branding = brand })
	_, text := h.do(h.client(), http.MethodGet, "/", "")
	assert.NotContains(t, text, "<b>")
	assert.Contains(t, text, "&lt;b&gt;")
}

func TestAnyoneSeesWhichStepIsDoneAndWhichIsUnderWay(t *testing.T) {
	h := start(t)
	c := h.client()
	for state, want := range map[contract.State]string{
		"":                    "now next next next",
		contract.StateUser:    "now next next next",
		contract.StateSession: "done done now next",
		contract.StateGame:    "done done done now",
		contract.StateReady:   "done done done done",
	} {
		h.state(state)
		var stages []string
		for _, s := range h.asked(c).Steps {
			stages = append(stages, s.Stage)
		}
		assert.Equal(t, want, strings.Join(stages, " "), state)
		_, text := h.do(c, http.MethodGet, "/", "") // without JavaScript
		assert.Equal(t, strings.Count(want, "done"), strings.Count(text, `data-stage="done"`), state)
	}
	h.state(contract.StateDisplay)
	assert.Equal(t, "Step 2 of 4: the screen is starting.", h.asked(c).Now)
}

func TestWithoutJavaScriptASignedInPlayerSeesTheStepMove(t *testing.T) {
	h := start(t)
	_, text := h.do(h.client(), http.MethodGet, "/", "")
	assert.NotContains(t, text, "http-equiv", "what somebody types into the form is not lost")
	_, text = h.do(h.signedIn(), http.MethodGet, "/", "")
	assert.Contains(t, text, `<noscript><meta http-equiv="refresh" content="5"></noscript>`)
	assert.Contains(t, text, "You are signed in")
	assert.NotContains(t, text, `type="password"`)
}

func TestAWarningIsForWhoHasSignedIn(t *testing.T) {
	h := start(t)
	h.ready()
	h.board.Change(func(s *status.Status) { s.Warning, s.EndsAt = status.WarningLongest, time.Now().Add(2*time.Minute) })
	assert.Nil(t, h.asked(h.client()).Warning)
	got := h.asked(h.signedIn()).Warning
	require.NotNil(t, got)
	assert.Equal(t, warningTexts[status.WarningLongest], got.Words)
	assert.InDelta(t, 110, got.Seconds, 10)
}

func TestAnEndIsToldInWordsForAPlayerAndNeverWithItsReason(t *testing.T) {
	h := start(t)
	c := h.client()
	for _, code := range contract.ExitCodes {
		words := exitTexts[code.Code]
		h.board.Change(func(s *status.Status) {
			s.State, s.Ended = contract.StateEnding, &status.Ending{Code: code.Code, Reason: "secret reason of support"}
		})
		res, text := h.do(c, http.MethodGet, "/", "")
		assert.Equal(t, http.StatusOK, res.StatusCode)
		assert.Contains(t, text, words.Text)
		assert.Contains(t, text, "job-1")
		assert.Contains(t, text, "You can close this window.")
		assert.NotContains(t, text, "secret reason")
		_, text = h.do(h.signedIn(), http.MethodGet, "/state", "")
		assert.Contains(t, text, words.Title)
		assert.NotContains(t, text, "secret reason")
	}
	h.board.Change(func(s *status.Status) { s.Ended = &status.Ending{Cause: status.CauseAway} })
	assert.Equal(t, causeTexts[status.CauseAway], h.asked(c).Ended.Text)
	h.board.Change(func(s *status.Status) { s.Ended = &status.Ending{Code: 255} })
	assert.Equal(t, exitTexts[contract.ExitInternal], *h.asked(c).Ended)
}

func TestHowTheMouseIsGivenBackStandsOnTheWaitingScreen(t *testing.T) {
	h := start(t, func(c *Config) { c.DisplayServer = contract.DCV })
	_, text := h.do(h.client(), http.MethodGet, "/", "")
	text = html.UnescapeString(text)
	assert.Contains(t, text, "<kbd>Esc</kbd> gives it back")
	assert.Contains(t, text, mouseTexts[contract.DCV])
}
