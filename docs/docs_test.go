// Package docs_test checks the pages of this folder against the repository.
package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A page that names a test which is gone makes a promise without a proof.
func TestEveryTestThatAPageNamesExists(t *testing.T) {
	source := testSource(t)
	for _, page := range pages(t) {
		text := read(t, page)
		for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(text, -1) {
			assert.True(t, strings.Contains(source, "func "+name[1]+"(t *testing.T)"), "%s: %s", page, name[1])
		}
		for _, step := range regexp.MustCompile("`engine: ([^`]+)`").FindAllStringSubmatch(text, -1) {
			assert.True(t, strings.Contains(source, `step("`+step[1]+`",`), "%s: %s", page, step[1])
		}
	}
}

// link matches a Markdown link or image, with its path and its anchor.
var link = regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]*))?\)`)

func TestEveryLinkOfAPageHasATarget(t *testing.T) {
	for _, page := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(read(t, page), -1) {
			path, anchor := found[1], found[2]
			if strings.Contains(path, "://") {
				continue
			}
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			_, err := os.Stat(target)
			if assert.NoError(t, err, page) && anchor != "" {
				assert.Contains(t, anchors(read(t, target)), anchor, "%s: %s", page, found[0])
			}
		}
	}
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	named   = regexp.MustCompile(`<a id="([^"]+)">`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the anchors of a page: those of its headings, as GitHub makes them,
// and those that it names itself.
func anchors(page string) []string {
	var all []string
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		all = append(all, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
	}
	for _, a := range named.FindAllStringSubmatch(page, -1) {
		all = append(all, a[1])
	}
	return all
}

func pages(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("*.md")
	require.NoError(t, err)
	require.NotEmpty(t, all)
	return append(all, "../README.md")
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(text)
}

// testSource returns all test files of the repository in one text.
func testSource(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != ".." && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	}))
	return all.String()
}
