package unpack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Forms are the names' ends of the archives that Archive takes.
var Forms = []string{".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip"}

// errNoArchive is the error for anything else.
var errNoArchive = errors.New("it is neither a zip archive nor a tar archive, plain or compressed by gzip or zstd")

// Archive fills the folder from an archive of size bytes. The first bytes decide its
// format, not its name. Memory does not grow with the files, but with the list of
// names at the end of a zip archive.
func (t *Tree) Archive(from io.ReaderAt, size int64) error {
	start := make([]byte, len(zipStart))
	if n, err := from.ReadAt(start, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	} else if string(start[:n]) == zipStart {
		return t.zip(from, size)
	}
	return t.tar(io.NewSectionReader(from, 0, size))
}

// tar fills the folder from a tar archive.
func (t *Tree) tar(from io.Reader) error {
	plain, done, err := decompress(bufio.NewReaderSize(from, 1<<20))
	if err != nil {
		return inArchive(err, "")
	}
	defer done()
	end := &tail{from: t.limits.bounded(plain)}
	last := ""
	for archive := tar.NewReader(end); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			last = h.Name
			err = t.entry(h, archive)
		}
		if err != nil {
			return inArchive(err, last)
		}
	}
	// The rest holds the compression's checksum, and nothing else.
	if _, err := io.Copy(io.Discard, end); err != nil {
		return inArchive(err, last)
	}
	if end.zeros < endOfTar {
		return inArchive(io.ErrUnexpectedEOF, last)
	}
	return nil
}

func inArchive(err error, last string) error {
	if last != "" {
		last = fmt.Sprintf(" (at its entry %q)", last)
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the archive is cut off%s", last)
	case errors.Is(err, tar.ErrHeader) && last == "":
		return fmt.Errorf("the archive: %w", errNoArchive)
	}
	return fmt.Errorf("the archive%s: %w", last, err)
}

// decompress returns the decompressed stream of a tar archive; the first bytes decide
// the compression.
func decompress(from *bufio.Reader) (plain io.Reader, done func(), err error) {
	start, err := from.Peek(4)
	switch {
	case len(start) == 0 && errors.Is(err, io.EOF):
		return nil, nil, errors.New("it is empty")
	case len(start) < 4 && err != nil && !errors.Is(err, io.EOF):
		return nil, nil, err
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		r, err := gzip.NewReader(from)
		return r, func() {}, err
	case bytes.Equal(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// The largest window that zstd itself takes unasked: `--long=27`.
		r, err := zstd.NewReader(from, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, nil, err
		}
		return r, r.Close, nil
	case bytes.HasPrefix(start, []byte("PK")), bytes.HasPrefix(start, []byte("7z")), bytes.HasPrefix(start, []byte("Rar!")):
		return nil, nil, errNoArchive
	}
	return from, func() {}, nil
}

func (t *Tree) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil // a comment, such as git's
	}
	name, err := local(h.Name)
	if err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return t.file(name, h.Mode&0o111 != 0, h.ModTime, h.Size, content)
	case tar.TypeDir:
		if err := t.folder(name); err != nil {
			return err
		}
		t.folders[name] = h.ModTime
		return nil
	case tar.TypeSymlink:
		return t.link(name, h.Linkname, h.ModTime)
	case tar.TypeLink:
		return t.hardLink(name, h.Linkname)
	}
	return fmt.Errorf("%q is a device, a pipe or another thing (tar's type %q) that is neither file, folder nor link", name, h.Typeflag)
}

// endOfTar are the zeros that end every tar archive. Go's reader does without
// them, and would take an archive that is cut off between two entries.
const endOfTar = 1024

// tail counts the zeros at the end of the bytes read so far.
type tail struct {
	from  io.Reader
	zeros int64
}

func (t *tail) Read(b []byte) (int, error) {
	n, err := t.from.Read(b)
	kept := bytes.TrimRight(b[:n], "\x00")
	if len(kept) > 0 {
		t.zeros = 0
	}
	t.zeros += int64(n - len(kept))
	return n, err
}
