package main

import (
	"bytes"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/narrow"
)

// omit copies the CLI's source without the omissions, and puts the replacements of
// ../leftout into their places.
func omit(from, to string) error {
	if err := narrow.CopySource(from, to, func(string, fs.DirEntry) bool { return true }); err != nil {
		return err
	}
	for _, o := range omissions {
		if err := o.apply(to); err != nil {
			return fmt.Errorf("leaving out %s: %w", o.part, err)
		}
	}
	return narrow.CopySource("leftout", to, func(path string, entry fs.DirEntry) bool { return entry.IsDir() || filepath.Dir(path) != "." })
}

func (o omission) apply(dir string) error {
	for _, pattern := range o.remove {
		if err := removeFiles(dir, pattern, o.keep); err != nil {
			return err
		}
	}
	for _, e := range o.edits {
		if err := e.apply(dir); err != nil {
			return fmt.Errorf("%s: %w", e.file, err)
		}
	}
	return nil
}

func removeFiles(dir, pattern string, keep []string) error {
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no file matches %s", pattern)
	}
	for _, file := range files {
		relative, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if info, err := os.Stat(file); err != nil || info.IsDir() || slices.Contains(keep, relative) {
			continue
		}
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	return nil
}

func (e edit) apply(dir string) error {
	file := filepath.Join(dir, e.file)
	before, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	edited, err := e.in(string(before))
	if err != nil {
		return err
	}
	after, err := dropUnusedImports(before, []byte(edited))
	if err != nil {
		return err
	}
	return os.WriteFile(file, after, 0o644)
}

// in returns the text with the edit made.
func (e edit) in(text string) (string, error) {
	start, rest, found := strings.Cut(text, e.from)
	if !found || strings.Contains(rest, e.from) {
		return "", fmt.Errorf("not exactly once there: %s", e.from)
	}
	_, end, found := strings.Cut(rest, e.until)
	if !found {
		return "", fmt.Errorf("not there after %s: %s", e.from, e.until)
	}
	return start + e.to + e.until + end, nil
}

// dropUnusedImports returns the edited file without the imports that were used
// before the edit and are not used after it.
func dropUnusedImports(before, after []byte) ([]byte, error) {
	old, err := parser.ParseFile(token.NewFileSet(), "", before, 0)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, "", after, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	narrow.DropUnused(parsed, narrow.Used(old))
	var out bytes.Buffer
	err = format.Node(&out, set, parsed)
	return out.Bytes(), err
}
