package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

// meter collects the measurements of sessions from their logs. All its times are by the
// clock of their host.
type meter struct {
	*study
	full  chan struct{} // closed when each session is measured for long enough
	again chan string   // receives the user of a session that is started again

	mu    sync.Mutex
	users []string
	logs  map[string]*log // by user
}

// log is the part of a session's log that counts.
type log struct {
	started bool
	played  time.Time // since when; zero: not yet
	usage   []measurement
}

// measurement is a Usage and its time.
type measurement struct {
	from time.Time
	contract.Usage
}

func newMeter(s *study, users []string) *meter {
	m := &meter{study: s, full: make(chan struct{}), again: make(chan string, 1), users: users, logs: map[string]*log{}}
	for _, user := range users {
		m.logs[user] = &log{}
	}
	return m
}

// add adds a line of a user's session.
func (m *meter) add(user string, line launch.LogLine) {
	var e contract.Event
	if json.Unmarshal([]byte(line.Message), &e) != nil {
		return
	}
	at, err := time.Parse(contract.TimeFormat, e.Time)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch of := m.logs[user]; {
	case e.Event == contract.EventStarting && of.started:
		select {
		case m.again <- user:
		default:
		}
	case e.Event == contract.EventStarting:
		of.started = true
	case e.Event == contract.EventPlayers && e.Count != nil && *e.Count > 0 && of.played.IsZero():
		of.played = at
		m.say("  %-10s is played", user)
	case e.Event == contract.EventUsage && e.Usage != nil:
		of.usage = append(of.usage, measurement{at.Add(-seconds(e.Usage.Seconds)), *e.Usage})
		m.show(user, *e.Usage)
		m.judge()
	}
}

// begin returns when the measurement began: after the warm-up with all players; zero if
// one has not come yet.
func (m *meter) begin() time.Time {
	var last time.Time
	for _, of := range m.logs {
		if of.played.IsZero() {
			return time.Time{}
		}
		if of.played.After(last) {
			last = of.played
		}
	}
	return last.Add(m.warmUp)
}

// counted returns a user's measurements since the beginning, and their time.
func (m *meter) counted(user string) (list []contract.Usage, sum time.Duration) {
	list = []contract.Usage{}
	begin := m.begin()
	for _, u := range m.logs[user].usage {
		if !begin.IsZero() && !u.from.Before(begin) {
			list, sum = append(list, u.Usage), sum+seconds(u.Seconds)
		}
	}
	return list, sum
}

// enough reports whether a time is as long as wanted. A session measures every so many
// seconds, not to the millisecond.
func (m *meter) enough(sum time.Duration) bool { return sum >= m.length*99/100 }

// judge closes full if each session is measured for long enough.
func (m *meter) judge() {
	for _, user := range m.users {
		if _, sum := m.counted(user); !m.enough(sum) {
			return
		}
	}
	select {
	case <-m.full: // already
	default:
		close(m.full)
	}
}

// show prints a measurement.
func (m *meter) show(user string, u contract.Usage) {
	_, sum := m.counted(user)
	so := fmt.Sprintf("%s of %s", sum.Round(time.Second), m.length)
	if sum == 0 {
		so = "warm-up"
	}
	m.say("  %-10s %-16s %s", user, so, strings.Join(values(
		value{"frames/s", u.FramesPerSecond, "%.0f"}, value{"cores", u.CPUCores, "%.2f"}, value{"MiB", u.MemoryMiB, "%.0f"},
		value{"% of the GPU", u.GPUPercent, "%.0f"}, value{"ms", u.RoundTripMilliseconds, "%.1f"},
	), ", "))
}

// played returns the measurements of each session.
func (m *meter) played(sessions []launch.Session) []Played {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := []Played{}
	for _, session := range sessions {
		usage, _ := m.counted(session.User)
		list = append(list, Played{User: session.User, JobID: session.JobID, Usage: usage})
	}
	return list
}

// silent returns the users without a measurement that counts.
func (m *meter) silent() (users []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, user := range m.users {
		if list, _ := m.counted(user); len(list) == 0 {
			users = append(users, user)
		}
	}
	return users
}

func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
