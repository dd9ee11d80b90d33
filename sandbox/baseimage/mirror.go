package baseimage

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mirror is a source of Debian's packages.
type mirror struct {
	uri     string
	keyring string // that its index is signed with, "" for debootstrap's default
}

// mirrorVariable names a mirror if apt's sources have none, as on a machine that is
// not Debian.
const mirrorVariable = "DCV_DEBIAN_MIRROR"

// findMirror takes the mirror from the machine's own apt sources: it is known
// to be reached from here.
func findMirror(apt string) (mirror, error) {
	if uri := os.Getenv(mirrorVariable); uri != "" {
		return mirror{uri: uri}, nil
	}
	files, err := filepath.Glob(filepath.Join(apt, "sources.list.d", "*"))
	if err != nil {
		return mirror{}, err
	}
	for _, file := range append([]string{filepath.Join(apt, "sources.list")}, files...) {
		parse := oneLine
		switch filepath.Ext(file) {
		case ".list":
		case ".sources":
			parse = deb822
		default:
			continue // apt ignores it too
		}
		b, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			return mirror{}, err
		}
		for _, s := range parse(string(b)) {
			if m, ok := s.mirror(); ok {
				return m, nil
			}
		}
	}
	return mirror{}, fmt.Errorf("the base image needs Debian's %s: no apt source in %s has its main packages; set %s to a mirror's URL", suite, apt, mirrorVariable)
}

// source is one entry of apt's sources.
type source struct {
	types, uris, suites, components []string
	signedBy                        string
	disabled                        bool
}

// mirror returns the source as a mirror, and reports whether it has the suite's
// packages.
func (s source) mirror() (mirror, bool) {
	if s.disabled || !slices.Contains(s.types, "deb") || !slices.Contains(s.suites, suite) || !slices.Contains(s.components, "main") {
		return mirror{}, false
	}
	for _, uri := range s.uris {
		scheme, _, _ := strings.Cut(uri, ":")
		if slices.Contains([]string{"http", "https", "file"}, scheme) { // those that debootstrap reads
			return mirror{uri: uri, keyring: s.keyring()}, true
		}
	}
	return mirror{}, false
}

// keyring returns the source's keyring, or "" if debootstrap's gpgv can't read it:
// armoured and inline keys.
func (s source) keyring() string {
	if filepath.IsAbs(s.signedBy) && filepath.Ext(s.signedBy) == ".gpg" {
		return s.signedBy
	}
	return ""
}

// oneLine reads lines like: deb [signed-by=FILE] URI SUITE COMPONENT...
func oneLine(text string) []source {
	var found []source
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		s, rest := source{types: []string{kind}}, strings.TrimSpace(rest)
		if options, after, bracket := strings.Cut(strings.TrimPrefix(rest, "["), "]"); bracket && strings.HasPrefix(rest, "[") {
			for _, option := range strings.Fields(options) {
				if name, value, _ := strings.Cut(option, "="); strings.EqualFold(name, "signed-by") {
					s.signedBy = value
				}
			}
			rest = after
		}
		if words := strings.Fields(rest); len(words) > 2 {
			s.uris, s.suites, s.components = words[:1], words[1:2], words[2:]
			found = append(found, s)
		}
	}
	return found
}

// deb822 reads stanzas of fields, an empty line between them.
func deb822(text string) []source {
	var found []source
	var s source
	var field string
	for line := range strings.Lines(text + "\n\n") {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "#"):
			continue
		case strings.TrimSpace(line) == "":
			found, s, field = append(found, s), source{}, ""
			continue
		case line[0] == ' ' || line[0] == '\t': // goes on with the field
		default:
			field, line, _ = strings.Cut(line, ":")
		}
		s.add(strings.ToLower(field), strings.TrimSpace(line))
	}
	return found
}

func (s *source) add(field, value string) {
	words := strings.Fields(value)
	switch field {
	case "types":
		s.types = append(s.types, words...)
	case "uris":
		s.uris = append(s.uris, words...)
	case "suites":
		s.suites = append(s.suites, words...)
	case "components":
		s.components = append(s.components, words...)
	case "signed-by":
		s.signedBy += value
	case "enabled":
		s.disabled = slices.Contains([]string{"no", "false", "0"}, strings.ToLower(value))
	}
}
