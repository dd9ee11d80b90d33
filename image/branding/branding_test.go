package branding

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheDefaultBrandIsGood(t *testing.T) {
	b, err := Load(".")
	require.NoError(t, err)
	assert.Equal(t, "Intraverse", b.Title)
	assert.Equal(t, "image/svg+xml", b.Logo.Type)
	assert.Contains(t, string(b.Logo.Data), "<svg")
	assert.NotEqual(t, b.Light, b.Dark)
	assert.NotEmpty(t, b.Texts.Support)
}

// brand is a folder with the default brand, its text changed by pairs of old and new.
func brand(t *testing.T, changes ...string) string {
	t.Helper()
	text, err := os.ReadFile(File)
	require.NoError(t, err)
	for i := 0; i < len(changes); i += 2 {
		require.Contains(t, string(text), changes[i])
	}
	dir := t.TempDir()
	write(t, dir, File, []byte(strings.NewReplacer(changes...).Replace(string(text))))
	logo, err := os.ReadFile("logo.svg")
	require.NoError(t, err)
	write(t, dir, "logo.svg", logo)
	return dir
}

func write(t *testing.T, dir, name string, data []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
}

func TestEveryFaultOfABrandIsNamedAtOnceWithFileKeyValueAndWhatIsAllowed(t *testing.T) {
	_, err := Load(brand(t,
		"title: Intraverse", "titel: Intraverse",
		"logo: logo.svg", "logo: ../logo.svg",
		`quiet: "#545c70"`, `quiet: "#c0c0c0"`,
		`accent: "#9aa5ff"`, `accent: blue`,
		"greeting: Your", "greeting: "+strings.Repeat("long ", 80)+"Your",
	))
	require.Error(t, err)
	for _, fault := range []string{
		`branding.yaml has 7 faults:`,
		`title is not set; allowed: a text of 1 to 40 characters on one line`,
		`titel is no known key; nearest: title`,
		`logo is "../logo.svg"; allowed: the name of a .svg or .png file in the same folder`,
		`colors.light.quiet is "#c0c0c0"; allowed: a contrast of at least 4.5 on background #`,
		`colors.light.quiet is "#c0c0c0"; allowed: a contrast of at least 4.5 on surface #ffffff; it has 1.82`,
		`colors.dark.accent is "blue"; allowed: a colour "#rrggbb", in quotes`,
		`texts.greeting is "long `,
	} {
		assert.Contains(t, err.Error(), fault)
	}
}

func TestABrandWithoutItsFileOrThatIsNoYAMLIsRefused(t *testing.T) {
	_, err := Load(t.TempDir())
	assert.ErrorIs(t, err, os.ErrNotExist)
	for _, text := range []string{"title: [", "- title", "title: a\ntitle: b"} {
		dir := t.TempDir()
		write(t, dir, File, []byte(text))
		_, err = Load(dir)
		assert.ErrorContains(t, err, File, text)
	}
}

func TestALogoThatRunsOrLoadsSomethingIsRefused(t *testing.T) {
	const svg = `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">%</svg>`
	for _, inside := range []string{
		`<script>alert(1)</script>`, `<g onclick="x()"/>`, `<image href="https://example.com/a.png"/>`, `<use xlink:href="data:x"/>`,
		`<a href="javascript:x()"/>`, `<foreignObject/>`, `<style>@import "a.css"</style>`, `<rect fill="url(https://example.com/a)"/>`,
		`<style>rect{fill:u\72l(//example.com)}</style>`, `<?xml-stylesheet href="a.css"?>`, `<animate attributeName="href"/>`, `<g>`,
	} {
		dir := brand(t)
		write(t, dir, "logo.svg", []byte(strings.Replace(svg, "%", inside, 1)))
		_, err := Load(dir)
		assert.ErrorContains(t, err, `branding.yaml: logo is "logo.svg"; allowed: an SVG image`, inside)
	}
	for _, whole := range []string{"", "<p/>", `<!DOCTYPE svg [<!ENTITY a "b">]><svg/>`} {
		dir := brand(t)
		write(t, dir, "logo.svg", []byte(whole))
		_, err := Load(dir)
		assert.ErrorContains(t, err, "an SVG image", whole)
	}
}

func TestALogoIsSmall(t *testing.T) {
	dir := brand(t)
	write(t, dir, "logo.svg", []byte("<svg><!--"+strings.Repeat("x", MaxLogo)+"--></svg>"))
	_, err := Load(dir)
	assert.ErrorContains(t, err, `logo is "logo.svg"; allowed: at most 256 KiB`)

	dir = brand(t, "logo.svg #", "big.png #")
	var wide bytes.Buffer
	require.NoError(t, png.Encode(&wide, image.NewGray(image.Rect(0, 0, maxLogoSide+1, 1))))
	write(t, dir, "big.png", wide.Bytes())
	_, err = Load(dir)
	assert.ErrorContains(t, err, "at most 2048 pixels a side; it has 2049 × 1")
	write(t, dir, "big.png", []byte("no image"))
	_, err = Load(dir)
	assert.ErrorContains(t, err, "a PNG image")
}

func TestALogoMayBeAPNG(t *testing.T) {
	dir := brand(t, "logo.svg #", "logo.png #")
	var small bytes.Buffer
	require.NoError(t, png.Encode(&small, image.NewGray(image.Rect(0, 0, 2, 2))))
	write(t, dir, "logo.png", small.Bytes())
	b, err := Load(dir)
	require.NoError(t, err)
	assert.Equal(t, Logo{"image/png", small.Bytes()}, b.Logo)
}

func TestAnotherBrandHasAnotherVersion(t *testing.T) {
	version := func(dir string) string {
		b, err := Load(dir)
		require.NoError(t, err)
		return b.Version()
	}
	one := version(".")
	assert.Len(t, one, 12)
	assert.Equal(t, one, version(brand(t)))
	assert.NotEqual(t, one, version(brand(t, "title: Intraverse", "title: Another")))
	assert.NotEqual(t, one, version(brand(t, `accent: "#3d4bd8"`, `accent: "#3d4bd9"`)))
	dir := brand(t)
	write(t, dir, "logo.svg", []byte("<svg/>"))
	assert.NotEqual(t, one, version(dir))
}

func TestContrastIsWhatWCAGSays(t *testing.T) {
	assert.InDelta(t, 21, contrast("#000000", "#ffffff"), 0.001)
	assert.InDelta(t, 1, contrast("#3d4bd8", "#3d4bd8"), 0.001)
	assert.InDelta(t, 4.54, contrast("#767676", "#ffffff"), 0.01) // the lightest grey that passes on white
}
