package main

import (
	"os"
	"strings"
	"testing"
)

func TestContextDigest(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "image/Dockerfile", "FROM scratch\n", 0o644)
	write(t, "image/bin/game", "game", 0o644)
	if err := os.Symlink("bin/game", "image/link"); err != nil {
		t.Fatal(err)
	}
	digestNow := func() string {
		t.Helper()
		d, err := contextDigest("image", "image/Dockerfile")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	seen := map[string]string{digestNow(): "the start"}
	changes := []struct {
		name string
		do   func() error
	}{
		{"another content", func() error { return os.WriteFile("image/bin/game", []byte("newer"), 0o644) }},
		{"another mode", func() error { return os.Chmod("image/bin/game", 0o755) }},
		{"another name", func() error { return os.Rename("image/bin/game", "image/bin/play") }},
		{"another link", func() error { return os.Remove("image/link") }},
		{"another target", func() error { return os.Symlink("bin/play", "image/link") }},
		{"another Dockerfile", func() error { return os.WriteFile("image/Dockerfile", []byte("FROM base\n"), 0o644) }},
	}
	for _, c := range changes {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		d := digestNow()
		if before, same := seen[d]; same {
			t.Errorf("%s gives the digest of %s", c.name, before)
		}
		seen[d] = c.name
		if digestNow() != d {
			t.Errorf("%s: a second look gives another digest", c.name)
		}
	}
}

func TestIgnoreFilesAreRefused(t *testing.T) {
	for _, ignore := range []string{"image/.dockerignore", "image/Dockerfile.dockerignore"} {
		t.Chdir(t.TempDir())
		write(t, "image/Dockerfile", "FROM scratch\n", 0o644)
		write(t, ignore, "secret\n", 0o644)
		if _, err := contextDigest("image", "image/Dockerfile"); err == nil || !strings.Contains(err.Error(), ignore) {
			t.Errorf("%s: %v", ignore, err)
		}
	}
}
