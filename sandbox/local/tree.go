// Package local is the sandbox's local AWS: it installs what is missing, starts
// the moto server behind the gateway, a container registry and, where none
// runs, Docker, and stops what it started.
package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Tree is where the sandbox keeps things: what belongs to one work tree lies in
// its .sandbox folder, what is worth sharing (builds) in the user's cache.
type Tree struct {
	Root  string // the repository's root
	State string // Root/.sandbox, or as DCV_SANDBOX names it
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
	// What lies in it is this machine's user's alone: the administrator's key, state, logs.
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

// stateFolder is .sandbox, or what DCV_SANDBOX names: the tests keep a sandbox
// of their own beside the one at work.
func stateFolder() string {
	if name := os.Getenv("DCV_SANDBOX"); name != "" {
		return name
	}
	return ".sandbox"
}

// Packages is the folder of the session image's package lists.
func (t Tree) Packages() string { return filepath.Join(t.Root, "image", "packages") }

// Bin holds the binaries built from this work tree.
func (t Tree) Bin() string { return filepath.Join(t.State, "bin") }

// PulumiHome is the engine's home. It is the sandbox's own, so that a stand-in
// or narrowed provider is never found by a `pulumi up` against AWS.
func (t Tree) PulumiHome() string { return filepath.Join(t.State, "home") }

// Start is the folder of one start of the local AWS: its data and the stack's
// state, which must not outlive it.
func (t Tree) Start(id string) string { return filepath.Join(t.State, "starts", id) }

func (t Tree) path(names ...string) string {
	return filepath.Join(append([]string{t.State}, names...)...)
}
