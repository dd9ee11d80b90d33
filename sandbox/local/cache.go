package local

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// unusedFor is the time after which a cached build counts as old: before it, another
// work tree may still use it.
const unusedFor = 24 * time.Hour

// Use marks a cached build, CACHE/KIND-KEY, as used now. It removes the old builds of its
// kind, which have keys of earlier sources, except the one that was used last. A build
// that cannot be removed stays.
func Use(build string) error {
	now := time.Now()
	if err := os.Chtimes(build, now, now); err != nil {
		return err
	}
	kind, _, _ := strings.Cut(filepath.Base(build), "-")
	entries, err := os.ReadDir(filepath.Dir(build))
	if err != nil {
		return err
	}
	var others []os.FileInfo
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), kind+"-") || entry.Name() == filepath.Base(build) {
			continue
		}
		if other, err := entry.Info(); err == nil { // another process may have removed it
			others = append(others, other)
		}
	}
	slices.SortFunc(others, func(a, b os.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	for i, other := range others {
		if i > 0 && now.Sub(other.ModTime()) > unusedFor {
			os.RemoveAll(filepath.Join(filepath.Dir(build), other.Name()))
		}
	}
	return nil
}
