// Package local is the sandbox's local AWS. It installs the programs that are missing,
// starts the moto server behind the gateway, a container registry and, if none runs,
// Docker, and stops them again.
package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Tree has the folders of the sandbox: the files of one work tree are in its .sandbox
// folder, builds that work trees share in the user's cache.
type Tree struct {
	Root  string // the repository's root
	State string // Root/.sandbox, or the folder that DCV_SANDBOX names
	Cache string // e.g. ~/.cache/dcv-sessions
}

// FindTree locates the repository from the working directory upwards.
func FindTree() (Tree, error) {
	dir, err := os.Getwd()
	if err != nil {
		return Tree{}, err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			return Tree{}, fmt.Errorf("no Pulumi.yaml in the working directory or above it: run this inside the repository")
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Tree{}, fmt.Errorf("no cache folder for builds (set HOME or XDG_CACHE_HOME): %w", err)
	}
	t := Tree{Root: dir, State: filepath.Join(dir, stateFolder()), Cache: filepath.Join(cache, "dcv-sessions")}
	// It has the administrator's key, state and logs: only this user may read them.
	if err := errors.Join(os.MkdirAll(t.State, 0o700), os.Chmod(t.State, 0o700)); err != nil {
		return Tree{}, err
	}
	for _, d := range []string{t.Bin(), t.Cache} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return Tree{}, err
		}
	}
	return t, nil
}

// stateFolder returns .sandbox, or the folder that DCV_SANDBOX names: the tests have a
// sandbox of their own.
func stateFolder() string {
	if name := os.Getenv("DCV_SANDBOX"); name != "" {
		return name
	}
	return ".sandbox"
}

// Packages returns the folder of the session image's package lists.
func (t Tree) Packages() string { return filepath.Join(t.Root, "image", "packages") }

// Bin returns the folder with the programs built from this work tree.
func (t Tree) Bin() string { return filepath.Join(t.State, "bin") }

// PulumiHome returns the engine's home. It is the sandbox's own, so that a `pulumi up`
// against AWS never finds a stand-in or narrowed provider.
func (t Tree) PulumiHome() string { return filepath.Join(t.State, "home") }

// Start returns the folder of one start of the local AWS: its data and the stack's
// state, which must not outlive it.
func (t Tree) Start(id string) string { return filepath.Join(t.State, "starts", id) }

func (t Tree) path(names ...string) string {
	return filepath.Join(append([]string{t.State}, names...)...)
}
