package baseimage

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFindMirror(t *testing.T) {
	t.Setenv(mirrorVariable, "")
	cases := map[string]struct {
		files map[string]string
		want  mirror
	}{
		"one line": {
			map[string]string{"sources.list": "# deb http://old.example/debian bookworm main\ndeb http://mirror.example/debian bookworm main contrib # ours\n"},
			mirror{"http://mirror.example/debian", ""},
		},
		"one line with options": {
			map[string]string{"sources.list.d/x.list": "deb-src http://src.example/debian bookworm main\ndeb [ arch=amd64 signed-by=/keys/ours.gpg ] https://mirror.example/debian bookworm main\n"},
			mirror{"https://mirror.example/debian", "/keys/ours.gpg"},
		},
		"stanzas": {
			map[string]string{"sources.list.d/debian.sources": "Types: deb\n# a comment\nURIs: http://security.example/debian\nSuites: bookworm-security\nComponents: main\n\n" +
				"Types: deb\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\nEnabled: no\n\n" +
				"Types: deb deb-src\nURIs: cdrom:disk\n http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /keys/debian.gpg"},
			mirror{"http://mirror.example/debian", "/keys/debian.gpg"},
		},
		"an inline key is left to the default": {
			map[string]string{"sources.list.d/debian.sources": "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"},
			mirror{"http://mirror.example/debian", ""},
		},
		"files that apt ignores": {
			map[string]string{
				"sources.list.d/a.list.disabled": "deb http://off.example/debian bookworm main\n",
				"sources.list.d/b.list":          "deb http://mirror.example/debian bookworm main\n",
			},
			mirror{"http://mirror.example/debian", ""},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := findMirror(apt(t, c.files))
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestFindMirrorElsewhere(t *testing.T) {
	dir := apt(t, map[string]string{"sources.list": "deb http://mirror.example/other noble main\n"})
	t.Setenv(mirrorVariable, "")
	if _, err := findMirror(dir); err == nil || !strings.Contains(err.Error(), mirrorVariable) {
		t.Errorf("without Debian's packages the error is %v: it must say what to set", err)
	}
	t.Setenv(mirrorVariable, "http://mine.example/debian")
	if got, err := findMirror(dir); err != nil || got.uri != "http://mine.example/debian" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func apt(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
