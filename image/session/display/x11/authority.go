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

// authMethod is the method of a client's authorization (X.Org's Xsecurity(7)).
const authMethod = "MIT-MAGIC-COOKIE-1"

// Families of addresses (Xauth.h): this host's sockets, and any.
const (
	familyLocal = 256
	familyWild  = 65535
)

// WriteAuthority writes a file that gives its owner access to a display: the X server
// reads its cookie, of 16 bytes, from such a file, and clients send it. An existing file
// at path is replaced.
func WriteAuthority(path string, number int, cookie []byte, uid, gid int) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	display := strconv.Itoa(number)
	content := &bytes.Buffer{}
	for _, e := range []authEntry{{familyLocal, host, display, authMethod, cookie}, {familyWild, "", display, authMethod, cookie}} {
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

// maxAuthoritySize is more than the Xauthority file of a session needs.
const maxAuthoritySize = 64 << 10

// readCookie returns a display's cookie from a file. The file of a virtual session is in
// a folder of the player.
func readCookie(path string, number int) ([]byte, error) {
	f, err := safefile.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxAuthoritySize))
	if err != nil {
		return nil, err
	}
	for r := bytes.NewReader(content); r.Len() > 0; {
		e, err := readAuthEntry(r)
		if err != nil {
			return nil, fmt.Errorf("%s is no Xauthority file: %w", path, err)
		}
		if e.method == authMethod && (e.display == "" || e.display == strconv.Itoa(number)) {
			return e.cookie, nil
		}
	}
	return nil, fmt.Errorf("%s holds no cookie of display :%d", path, number)
}

// authEntry is an entry of an Xauthority file: two-byte numbers, and texts preceded by
// their length, in big-endian order.
type authEntry struct {
	family                   uint16
	address, display, method string
	cookie                   []byte
}

func (e authEntry) write(w *bytes.Buffer) {
	w.Write(binary.BigEndian.AppendUint16(nil, e.family))
	for _, text := range []string{e.address, e.display, e.method, string(e.cookie)} {
		w.Write(binary.BigEndian.AppendUint16(nil, uint16(len(text))))
		w.WriteString(text)
	}
}

func readAuthEntry(r io.Reader) (authEntry, error) {
	var e authEntry
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
