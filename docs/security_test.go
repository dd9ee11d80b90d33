// Package docs_test holds the pages of this folder against the code.
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

// A page that names a test which is gone promises what nothing proves.
func TestEveryTestThatTheSecurityPageNamesExists(t *testing.T) {
	page, err := os.ReadFile("security.md")
	require.NoError(t, err)
	source := testSource(t)
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9_]+)`").FindAllStringSubmatch(string(page), -1) {
		assert.True(t, strings.Contains(source, "func "+name[1]+"(t *testing.T)"), name[1])
	}
	for _, step := range regexp.MustCompile("`engine: ([^`]+)`").FindAllStringSubmatch(string(page), -1) {
		assert.True(t, strings.Contains(source, `step("`+step[1]+`",`), step[1])
	}
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
