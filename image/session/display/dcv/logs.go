package dcv

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/safefile"
)

// trouble is what a line of DCV's logs is told for; the others stay in the file.
var trouble = regexp.MustCompile(`\b(WARN|WARNING|ERROR|CRITICAL|FATAL)\b`)

// secret is in a line that might carry a token.
var secret = regexp.MustCompile(`(?i)auth(entication)?-?token`)

// lookBytes is the most that is read at once, of all logs together.
const lookBytes = 64 << 10

// logFile is one of DCV's logs.
type logFile struct {
	name   string
	owners []uint32
	read   int64 // bytes from its beginning that were read
}

// logFiles are all that are read, by the names that AWS ParallelCluster's guide has
// for them. A virtual session's parts run as the player, so the player's programs may
// write to the folder: what they put there under another name, or in place of DCV's
// own, is none of these. The server's own logs come first: whoever fills the others
// must not crowd them out.
func (s *Server) logFiles() []*logFile {
	dcvs := []uint32{0, s.dcvUser.UID}
	players := append([]uint32{s.config.Account.UID}, dcvs...)
	return []*logFile{
		{name: "server.log", owners: dcvs},
		{name: "sessionlauncher.log", owners: dcvs},
		{name: "agentlauncher." + s.account + ".log", owners: dcvs},
		{name: "agent." + s.account + "." + sessionID + ".log", owners: dcvs},
		{name: "agentlauncher." + s.config.User + ".log", owners: players},
		{name: "agent." + s.config.User + "." + sessionID + ".log", owners: players},
		{name: "dcv-xsession." + s.config.User + "." + sessionID + ".log", owners: players},
		{name: "Xdcv." + s.config.User + "." + sessionID + ".log", owners: players},
	}
}

// tellLogs passes on DCV's warnings and errors, which it writes to files only.
func (s *Server) tellLogs() {
	const every = 2 * time.Second
	files := s.logFiles()
	for {
		s.lookAtLogs(files)
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

// lookAtLogs passes on what was written since the last look. All files are one part
// of the session, so that one limit on its lines holds for all of them.
func (s *Server) lookAtLogs(files []*logFile) {
	left := int64(lookBytes)
	for _, file := range files {
		for _, line := range file.next(s.path("/var/log/dcv"), &left) {
			if trouble.MatchString(line) && !secret.MatchString(line) {
				s.config.Tell("dcv", file.name+": "+strings.TrimSpace(line))
			}
		}
	}
}

// next reads the whole lines that follow, of at most so many bytes. A file that became
// shorter was begun anew.
func (l *logFile) next(dir string, left *int64) []string {
	f, err := safefile.Open(filepath.Join(dir, l.name), l.owners...)
	if err != nil {
		return nil // it is not there yet, or not DCV's
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() < l.read {
		l.read = 0
	}
	text, err := io.ReadAll(io.NewSectionReader(f, l.read, *left))
	if err != nil {
		return nil
	}
	*left -= int64(len(text))
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	l.read += int64(len(whole))
	if len(whole) == 0 && len(text) == lookBytes {
		l.read += lookBytes // no log line is that long
	}
	return strings.SplitAfter(string(whole), "\n")
}
