package dcv

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// trouble is what a line of DCV's logs is told for; the others stay in the file.
var trouble = regexp.MustCompile(`\b(WARN|WARNING|ERROR|CRITICAL|FATAL)\b`)

// secret is in a line that might carry a token.
var secret = regexp.MustCompile(`(?i)auth(entication)?-?token`)

// tellLogs tells DCV's warnings and errors, which it writes to files only.
func (s *Server) tellLogs() {
	const every = 2 * time.Second
	told := map[string]int64{} // how far each file was read
	for {
		files, _ := filepath.Glob(s.path("/var/log/dcv/*.log"))
		for _, file := range files {
			part := strings.TrimSuffix(filepath.Base(file), ".log")
			told[file] = s.tellFrom(file, told[file], part)
		}
		select {
		case <-s.ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

// tellFrom tells the whole lines from an offset on and returns where they end. A
// file that became shorter was begun anew.
func (s *Server) tellFrom(file string, offset int64, part string) int64 {
	const most = 64 << 10
	f, err := os.Open(file)
	if err != nil {
		return offset
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() < offset {
		offset = 0
	}
	text, err := io.ReadAll(io.NewSectionReader(f, offset, most))
	if err != nil {
		return offset
	}
	end := bytes.LastIndexByte(text, '\n') + 1
	if end == 0 && len(text) == most {
		return offset + most // no log line is that long
	}
	for line := range strings.Lines(string(text[:end])) {
		if trouble.MatchString(line) && !secret.MatchString(line) {
			s.config.Tell("dcv "+part, strings.TrimSpace(line))
		}
	}
	return offset + int64(end)
}
