package launch

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Occupied says that people play or wait on a stack.
type Occupied struct {
	Sessions []Session // by user, without their logs
}

// Error lists the sessions, one a line.
func (e *Occupied) Error() string {
	lines := []string{fmt.Sprintf("sessions that would end: %d", len(e.Sessions))}
	for _, s := range e.Sessions {
		since := s.Created
		if !s.Started.IsZero() {
			since = s.Started
		}
		lines = append(lines, fmt.Sprintf("  %s  %s since %s, job %s", s.User, s.State, since.Format(time.DateTime+" MST"), s.JobID))
	}
	return strings.Join(lines, "\n")
}

// Vacant returns nil if nobody plays or waits, and *Occupied otherwise. Call
// it before a stack is destroyed: AWS Batch ends the jobs of a queue that is deleted
// (AWS Batch API reference, DeleteJobQueue).
func (l *Launcher) Vacant(ctx context.Context) error {
	jobs, err := l.liveJobs(ctx)
	if err != nil {
		return asDenied(err)
	}
	if len(jobs) == 0 {
		return nil
	}
	occupied := &Occupied{}
	for _, j := range jobs {
		occupied.Sessions = append(occupied.Sessions, sessionOf(j))
	}
	slices.SortStableFunc(occupied.Sessions, byUser)
	return occupied
}
