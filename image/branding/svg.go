package branding

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// forbidden elements of a logo: they run something, or bring in other documents.
var forbidden = []string{"script", "foreignobject", "iframe", "embed", "object", "audio", "video", "animate", "set", "handler", "listener"}

// checkSVG lets through a picture that runs nothing and loads nothing. Browsers
// see to that as well, for an SVG in <img>; a logo may be opened by itself.
func checkSVG(data []byte) error {
	decoder := xml.NewDecoder(bytes.NewReader(data))
	first := true
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && !first {
			return nil
		}
		if err != nil {
			return fmt.Errorf("an SVG image: %w", err)
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("an SVG image without <!DOCTYPE> or entities")
		case xml.ProcInst:
			if t.Target != "xml" {
				return fmt.Errorf("an SVG image without <?%s?>", t.Target)
			}
		case xml.StartElement:
			if first && t.Name.Local != "svg" {
				return fmt.Errorf("an SVG image; its first element is <%s>", t.Name.Local)
			}
			first = false
			if err := checkElement(t); err != nil {
				return err
			}
		case xml.CharData: // of <style>, or of an element that a browser takes for one
			if loads(string(t)) {
				return errors.New("an SVG image whose <style> loads nothing")
			}
		}
	}
}

func checkElement(e xml.StartElement) error {
	if slices.Contains(forbidden, strings.ToLower(e.Name.Local)) {
		return fmt.Errorf("an SVG image without <%s>", e.Name.Local)
	}
	for _, a := range e.Attr {
		name, value := strings.ToLower(a.Name.Local), strings.TrimSpace(a.Value)
		switch {
		case strings.HasPrefix(name, "on"):
			return fmt.Errorf("an SVG image without the attribute %s", a.Name.Local)
		case (name == "href" || name == "src") && !strings.HasPrefix(value, "#"):
			return fmt.Errorf("an SVG image that refers to its own parts only; not %s=%q", a.Name.Local, shorten(value))
		case a.Name.Space != "xmlns" && name != "xmlns" && loads(value):
			return fmt.Errorf("an SVG image that loads nothing; not %s=%q", a.Name.Local, shorten(value))
		}
	}
	return nil
}

// loads reports whether a style sheet loads anything from outside. A backslash may
// hide that.
func loads(style string) bool {
	style = strings.ToLower(style)
	if strings.Contains(style, "@import") || strings.Contains(style, `\`) {
		return true
	}
	for _, at := range strings.Split(style, "url(")[1:] {
		if !strings.HasPrefix(strings.TrimLeft(at, ` '"`), "#") {
			return true
		}
	}
	return false
}

func shorten(s string) string {
	if len(s) > 60 {
		return s[:60] + "…"
	}
	return s
}
