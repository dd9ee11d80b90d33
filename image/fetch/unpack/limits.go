package unpack

import (
	"fmt"
	"io"
	"strings"
)

// DefaultGiB is the most GiB that a game may take, unless image.gameMaxGib says
// otherwise: a host of the default compute.rootGib holds its layer packed and
// unpacked, and Docker and the system beside it.
const DefaultGiB = 40

// Limits bound the size of an unpacked game. An archive of a few megabytes
// may hold files of many terabytes: zeros, or a sparse file, which tar writes as the
// list of its parts.
type Limits struct {
	// Bytes is the total size of all files, both as written and as declared by their
	// entries: a sparse file counts with its whole length.
	Bytes int64
	// Entries is how many files, folders and links there may be.
	Entries int
}

// MostGiB is the largest volume that a host or the builder may have (Amazon EBS user
// guide, "General Purpose SSD volumes").
const MostGiB = 16384

// UpTo returns the limits of a game of that many GiB, from 1 to MostGiB.
func UpTo(gib int) Limits { return Limits{int64(min(max(gib, 1), MostGiB)) << 30, 1_000_000} }

// Limits of one entry's name. Each folder on the way to it costs time.
const (
	longestName = 1024 // bytes
	deepest     = 100  // folders
)

// CheckSize returns an error if files, or an archive, of so many bytes are more than a
// game may take.
func (l Limits) CheckSize(bytes int64) error {
	if bytes > l.Bytes {
		return l.tooLarge()
	}
	return nil
}

func (l Limits) tooLarge() error {
	return fmt.Errorf("the game takes more than %g GiB unpacked, the limit of image.gameMaxGib: make it smaller, or set image.gameMaxGib higher, "+
		"and compute.rootGib to two to three times as much", float64(l.Bytes)/(1<<30))
}

// add counts a file, folder or link.
func (t *Tree) add(name string) error {
	switch {
	case len(name) > longestName:
		return fmt.Errorf("the name %.40q… has %d bytes; allowed are %d", name, len(name), longestName)
	case strings.Count(name, "/") > deepest:
		return fmt.Errorf("%q is in %d folders, one in the other; allowed are %d", name, strings.Count(name, "/"), deepest)
	case t.entries == t.limits.Entries:
		return fmt.Errorf("the game has more than %d files, folders and links, which is the most allowed", t.limits.Entries)
	}
	t.entries++
	return nil
}

// write writes a file's content, of a size that is said beforehand and need not be
// true.
func (t *Tree) write(to io.Writer, size int64, from io.Reader) error {
	left := t.limits.Bytes - t.Bytes
	if size > left {
		return t.limits.tooLarge()
	}
	n, err := io.Copy(to, io.LimitReader(from, left+1))
	t.Bytes += n
	if n > left {
		return t.limits.tooLarge()
	}
	return err
}

// bounded ends a decompressed stream with an error if it is longer than any archive
// within the limits: bytes between the files are not written, and could be endless.
func (l Limits) bounded(stream io.Reader) io.Reader {
	const beside = 4 << 10 // a tar archive's bytes beside one entry's content, at most
	return &bounded{stream, l.Bytes + int64(l.Entries)*beside, l}
}

type bounded struct {
	stream io.Reader
	left   int64
	limits Limits
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.limits.tooLarge()
	}
	n, err := b.stream.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
