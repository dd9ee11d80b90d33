package unpack

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strings"
)

// zipStart begins every zip archive that holds a file.
const zipStart = "PK\x03\x04"

// zip fills the folder from a zip archive. It refuses everything that tar refuses.
func (t *Tree) zip(from io.ReaderAt, size int64) error {
	archive, err := zip.NewReader(from, size)
	if errors.Is(err, zip.ErrFormat) {
		err = io.ErrUnexpectedEOF // it begins as a zip archive does, and lacks the list of its files, which stands last
	}
	if err != nil {
		return inArchive(err, "")
	}
	for _, f := range archive.File {
		if err := t.zipEntry(f); err != nil {
			return inArchive(err, f.Name)
		}
	}
	return nil
}

// The systems that an entry may have been made on, which decide how its name and
// its attributes are to be read (PKWARE's APPNOTE.TXT, 4.4.2).
const (
	madeOnDOS  = 0
	madeOnNTFS = 10
	madeOnVFAT = 14
)

// encrypted is the flag of an entry that needs a password (APPNOTE.TXT, 4.4.4).
const encrypted = 1

func (t *Tree) zipEntry(f *zip.File) error {
	name, err := local(zipName(f))
	if err != nil {
		return err
	}
	if f.Flags&encrypted != 0 {
		return fmt.Errorf("%q is encrypted: make the archive without a password", name)
	}
	mode := f.Mode()
	if strings.HasSuffix(zipName(f), "/") {
		mode = fs.ModeDir
	}
	switch mode.Type() {
	case fs.ModeDir:
		if err := t.folder(name); err != nil {
			return err
		}
		t.folders[name] = f.Modified
		return nil
	case 0:
		if f.UncompressedSize64 > math.MaxInt64 {
			return t.limits.tooLarge()
		}
		return unzip(f, func(content io.Reader) error {
			return t.file(name, mode&0o111 != 0, f.Modified, int64(f.UncompressedSize64), content)
		})
	case fs.ModeSymlink:
		return unzip(f, func(content io.Reader) error {
			target, err := io.ReadAll(io.LimitReader(content, longestPath))
			if err != nil {
				return err
			}
			return t.link(name, string(target), f.Modified)
		})
	}
	return fmt.Errorf("%q (%s) is neither file, folder nor link", name, mode)
}

// longestPath is Linux's PATH_MAX, which no link's target exceeds.
const longestPath = 4096

// zipName returns an entry's name with slashes. APPNOTE.TXT (4.4.17) allows no
// others, yet Windows PowerShell's Compress-Archive and older .NET write
// backslashes. No name on Windows holds one, so they are read as slashes, as
// Info-ZIP's unzip does. On other systems a backslash is a character as any.
func zipName(f *zip.File) string {
	switch f.CreatorVersion >> 8 {
	case madeOnDOS, madeOnNTFS, madeOnVFAT:
		return strings.ReplaceAll(f.Name, `\`, "/")
	}
	return f.Name
}

// unzip hands an entry's content to use, which reads it to its end: there its
// checksum is compared.
func unzip(f *zip.File, use func(io.Reader) error) error {
	content, err := f.Open()
	if errors.Is(err, zip.ErrAlgorithm) {
		return fmt.Errorf("%q is compressed by method %d; allowed are 8 (Deflate) and 0 (none), and Windows Explorer takes 9 (Deflate64) for files over 2 GB: "+
			"make the archive by `tar -a -c -f game.zip *`, which Windows has too", f.Name, f.Method)
	}
	if err != nil {
		return err
	}
	return errors.Join(use(content), content.Close())
}
