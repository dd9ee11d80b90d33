package x11

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/intraverse/dcv-sessions/image/session/safefile"
)

// method is how a client shows that it may use a display (X.Org's Xsecurity(7)).
const method = "MIT-MAGIC-COOKIE-1"

// Families of addresses (Xauth.h): this host's sockets, and any.
const (
	familyLocal = 256
	familyWild  = 65535
)

// WriteAuthority writes a file by which its owner alone may use a display: the X
// server takes its cookie, of 16 bytes, from such a file, and clients show it.
// What was at path is replaced.
func WriteAuthority(path string, number int, cookie []byte, uid, gid int) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	display := strconv.Itoa(number)
	content := &bytes.Buffer{}
	for _, e := range []entry{{familyLocal, host, display, method, cookie}, {familyWild, "", display, method, cookie}} {
		e.write(content)
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if err != nil {
		return err
	}
	_, err = file.Write(content.Bytes())
	return errors.Join(err, file.Chown(uid, gid), file.Close())
}

// mostAuthority is more than any Xauthority file of one session needs.
const mostAuthority = 64 << 10

// readCookie finds a display's cookie in a file. That of a virtual session's display
// stands in a folder of the player's.
func readCookie(path string, number int) ([]byte, error) {
	f, err := safefile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, mostAuthority))
	if err != nil {
		return nil, err
	}
	for r := bytes.NewReader(content); r.Len() > 0; {
		e, err := readEntry(r)
		if err != nil {
			return nil, fmt.Errorf("%s is no Xauthority file: %w", path, err)
		}
		if e.method == method && (e.display == "" || e.display == strconv.Itoa(number)) {
			return e.cookie, nil
		}
	}
	return nil, fmt.Errorf("%s holds no cookie of display :%d", path, number)
}

// entry is one of an Xauthority file: numbers of two bytes, texts after theirs,
// the highest byte first.
type entry struct {
	family                   uint16
	address, display, method string
	cookie                   []byte
}

func (e entry) write(w *bytes.Buffer) {
	w.Write(binary.BigEndian.AppendUint16(nil, e.family))
	for _, text := range []string{e.address, e.display, e.method, string(e.cookie)} {
		w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(text))))
		w.WriteString(text)
	}
}

func readEntry(r io.Reader) (entry, error) {
	var e entry
	var cookie string
	if err := binary.Read(r, binary.BigEndian, &e.family); err != nil {
		return e, err
	}
	for _, into := range []*string{&e.address, &e.display, &e.method, &cookie} {
		var size uint16
		if err := binary.Read(r, binary.BigEndian, &size); err != nil {
			return e, err
		}
		text := make([]byte, size)
		if _, err := io.ReadFull(r, text); err != nil {
			return e, err
		}
		*into = string(text)
	}
	e.cookie = []byte(cookie)
	return e, nil
}
