package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"
)

// temporary is a file outside of the folder that is filled, removed at the end. Its
// folder (TMPDIR, else /tmp) gets its time back, so that a layer is the same the
// next time.
type temporary struct {
	file   *os.File
	hash   hash.Hash
	folder time.Time // when it was changed last, before
}

func newTemporary() (*temporary, error) {
	info, err := os.Stat(os.TempDir())
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp("", "fetch-*")
	if err != nil {
		return nil, err
	}
	return &temporary{f, sha256.New(), info.ModTime()}, nil
}

func (t *temporary) Write(b []byte) (int, error) {
	n, err := t.file.Write(b)
	t.hash.Write(b[:n])
	return n, err
}

// sum returns the SHA-256 of the written bytes, in hexadecimal digits.
func (t *temporary) sum() string { return hex.EncodeToString(t.hash.Sum(nil)) }

// verify compares the checksum and goes back to the file's beginning.
func (t *temporary) verify(what, want string) error {
	if has := t.sum(); has != want {
		return fmt.Errorf("%s has the SHA-256 %s, not the expected %s: it is another file, or a broken one; nothing of it was used", what, has, want)
	}
	_, err := t.file.Seek(0, io.SeekStart)
	return err
}

func (t *temporary) remove() {
	t.file.Close()
	os.Remove(t.file.Name())
	_ = os.Chtimes(filepath.Dir(t.file.Name()), time.Time{}, t.folder)
}
