package main

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"html/template"
	"regexp"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/internal/dashboard"
)

// view has the content of the page.
type view struct {
	Name, Stack, Region, Link string
	From, To                  time.Time
	Tiles                     []tile
}

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"columns": func() int { return dashboard.Columns },
	"line":    func(i int) int { return i + 1 }, // CSS counts from 1
	"picture": func(png []byte) template.URL {
		return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
	},
	"markdown": markdown,
	"time":     func(t time.Time) string { return t.Format("2006-01-02 15:04 MST") },
}).Parse(pageText))

// render returns the page. It needs no other file.
func render(v view) ([]byte, error) {
	var text bytes.Buffer
	err := page.Execute(&text, v)
	return text.Bytes(), err
}

var (
	markdownLink = regexp.MustCompile(`\[([^\]]+)\]\((https?://[^)\s]+)\)`)
	markdownBold = regexp.MustCompile(`\*\*([^*]+)\*\*`)
)

// markdown returns the HTML of a text with headings, paragraphs, lists, links and bold
// words; anything else stays as it is written.
func markdown(text string) template.HTML {
	var out, paragraph strings.Builder
	flush := func() {
		if paragraph.Len() > 0 {
			out.WriteString("<p>" + paragraph.String() + "</p>")
			paragraph.Reset()
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		words := strings.TrimLeft(line, "#")
		switch {
		case line == "":
			flush()
		case words != line:
			flush()
			out.WriteString("<h2>" + inline(words) + "</h2>")
		case strings.HasPrefix(line, "- "), strings.HasPrefix(line, "* "):
			flush()
			out.WriteString("<p class=item>" + inline(line[2:]) + "</p>")
		default:
			if paragraph.Len() > 0 {
				paragraph.WriteByte(' ')
			}
			paragraph.WriteString(inline(line))
		}
	}
	flush()
	return template.HTML(out.String())
}

func inline(text string) string {
	text = template.HTMLEscapeString(strings.TrimSpace(text))
	text = markdownLink.ReplaceAllString(text, `<a href="$2">$1</a>`)
	return markdownBold.ReplaceAllString(text, `<b>$1</b>`)
}
