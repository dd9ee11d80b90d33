package game

import (
	"archive/tar"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"io"
	"os"
)

// ArchiveForm is the file extension of Archive's archives.
const ArchiveForm = ".tar.gz"

// Archive packs a game's folder, as a studio packs a new build of its game: a
// file more in it differs from every other build's.
func Archive(folder string, to io.Writer) error {
	packed, err := gzip.NewWriterLevel(to, gzip.BestSpeed) // most of it is compressed already: pictures, music
	if err != nil {
		return err
	}
	archive := tar.NewWriter(packed)
	if err := archive.AddFS(os.DirFS(folder)); err != nil {
		return err
	}
	number := rand.Text()
	if err := archive.WriteHeader(&tar.Header{Name: "build", Mode: 0o644, Size: int64(len(number))}); err != nil {
		return err
	}
	_, err = io.WriteString(archive, number)
	return errors.Join(err, archive.Close(), packed.Close())
}
