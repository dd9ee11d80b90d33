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

// warningPattern matches the lines of DCV's logs that the session passes on.
var warningPattern = regexp.MustCompile(`\b(WARN|WARNING|ERROR|CRITICAL|FATAL)\b`)

// tokenPattern matches lines that may contain a token.
var tokenPattern = regexp.MustCompile(`(?i)auth(entication)?-?token`)

// lookBytes is the most that one look reads of all logs together.
const lookBytes = 64 << 10

// logFile is one of DCV's logs.
type logFile struct {
	name   string
	owners []uint32
	read   int64 // offset of the next byte to read
}

// logFiles returns the logs to read, with the names of AWS ParallelCluster's guide. The
// processes of a virtual session run as the player, so the player's programs can write to
// the folder: files with other names or other owners are not read. The server's own logs
// come first, so that the player's can't crowd them out.
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

// watchLogs passes on DCV's warnings and errors, which DCV writes to files only.
func (s *Server) watchLogs() {
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

// lookAtLogs passes on the lines since the last look. All files count as one part of the
// session, so they share its limit on lines.
func (s *Server) lookAtLogs(files []*logFile) {
	left := int64(lookBytes)
	for _, file := range files {
		for _, line := range file.next(s.path("/var/log/dcv"), &left) {
			if warningPattern.MatchString(line) && !tokenPattern.MatchString(line) {
				s.config.Log("dcv", file.name+": "+strings.TrimSpace(line))
			}
		}
	}
}

// next returns the next complete lines, of at most *left bytes. A file that became
// shorter is read from its beginning.
func (l *logFile) next(dir string, left *int64) []string {
	f, err := safefile.Open(filepath.Join(dir, l.name), l.owners...)
	if err != nil {
		return nil // it does not exist yet, or is not DCV's
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
