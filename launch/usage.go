package launch

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"golang.org/x/sync/errgroup"

	"github.com/intraverse/dcv-sessions/contract"
)

// Usage is the use of a stack in a month, which begins and ends at midnight UTC. The
// JSON names are those of `launch usage --json` and stay as they are.
type Usage struct {
	Stack string      `json:"stack"`
	Month string      `json:"month"` // 2026-11
	Until time.Time   `json:"until"` // the month's end or, of the present month, now
	Users []UserUsage `json:"users"` // by name
	Total UserUsage   `json:"total"` // of all users; User is empty
	// Missing says which part of the month the log group does not have, or is empty.
	Missing string `json:"missing,omitempty"`
}

// UserUsage is the use of one user.
type UserUsage struct {
	User string `json:"user,omitempty"`
	// Sessions counts those that began in the month: a session that goes on over
	// midnight at a month's end counts in the first month only.
	Sessions int `json:"sessions"`
	// Hours is the time within the month in which the user's sessions ran, from their
	// first line to their last one, whether anybody played or not.
	Hours float64 `json:"hours"`
	// MedianWait is the median of the seconds from the submission of a session to one
	// that answered; nil if none is known.
	MedianWait *float64 `json:"medianWaitSeconds,omitempty"`
	// USD is the list price of Hours.
	USD float64 `json:"usd"`
}

// MonthFormat is the layout of a month.
const MonthFormat = "2006-01"

// usageQuery finds the beginning and the end of each run of a session. The checks of
// `session doctor` are those of a run that is no session.
const usageQuery = `fields time, event, user, session, sinceSubmitSeconds, @logStream` +
	` | filter event in ["` + string(contract.EventStarting) + `", "` + string(contract.EventReady) + `", "` + string(contract.EventEnded) + `", "` + string(contract.EventDoctor) + `"]` +
	` | sort @timestamp asc`

// longestSession is the longest that a session may run, so a session that ran in a month
// began no earlier before it.
var longestSession = time.Duration(contract.SettingOf("Max").Max) * time.Second

// Usage returns the use in the month that begins at a time, at a price for an hour of a
// session. It is computed from the events in the sessions' log group. Its rights are an
// operator's: no policy of the stack grants them.
//
// A session that ends by itself logs its end. One that was killed, or lost its host, did
// not: it ended when AWS Batch says so, which knows a job for 7 days, and after that with
// its last line.
func (l *Launcher) Usage(ctx context.Context, month time.Time, usdPerHour float64) (Usage, error) {
	now := time.Now().UTC()
	u := Usage{Stack: l.stack.Stack, Month: month.Format(MonthFormat), Until: month.AddDate(0, 1, 0)}
	if now.Before(u.Until) {
		u.Until = now
	}
	if !month.Before(now) {
		return u, fmt.Errorf("month %s has not begun", u.Month)
	}
	var err error
	if u.Missing, err = l.missingLog(ctx, month, now); err != nil {
		return u, asDenied(err)
	}
	rows, err := l.query(ctx, usageQuery, month.Add(-longestSession), u.Until)
	if err != nil {
		return u, asDenied(err)
	}
	runs := runsOf(rows)
	if err := l.findEnds(ctx, runs, now); err != nil {
		return u, asDenied(err)
	}
	u.add(runs, month, usdPerHour)
	return u, nil
}

// missingLog says which part of a month the log group no longer has.
func (l *Launcher) missingLog(ctx context.Context, month, now time.Time) (string, error) {
	groups, err := l.logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &l.stack.LogGroup})
	if err != nil {
		return "", err
	}
	for _, g := range groups.LogGroups {
		days := int(aws.ToInt32(g.RetentionInDays))
		if aws.ToString(g.LogGroupName) != l.stack.LogGroup || days == 0 {
			continue
		}
		if kept := now.AddDate(0, 0, -days); kept.After(month) {
			return fmt.Sprintf("the log group keeps %d days (logs.retentionDays), so what was before %s is missing", days, kept.Format(time.DateOnly)), nil
		}
	}
	return "", nil
}

// run is one run of a session's container: an attempt of its job.
type run struct {
	user, session, stream string
	span
	wait   *float64 // of `ready`
	doctor bool     // it is a run of `session doctor`
}

// runsOf returns the runs of sessions that begin among the rows, in their order. A run
// without a user is no session of the stack's: somebody's own job with the session image.
func runsOf(rows []result) []*run {
	byStream := map[string]*run{}
	var runs []*run
	for _, r := range rows {
		at, err := time.Parse(contract.TimeFormat, r["time"])
		if err != nil {
			continue // no event of a session
		}
		stream := r["@logStream"]
		found, begun := byStream[stream]
		switch event := contract.EventName(r["event"]); {
		case event == contract.EventStarting && !begun && r["user"] != "":
			found = &run{user: r["user"], session: r["session"], stream: stream, span: span{start: at}}
			byStream[stream], runs = found, append(runs, found)
		case event == contract.EventReady && begun:
			if wait, err := strconv.ParseFloat(r["sinceSubmitSeconds"], 64); err == nil {
				found.wait = &wait
			}
		case event == contract.EventEnded && begun:
			found.end = at
		case event == contract.EventDoctor && begun:
			found.doctor = true
		}
	}
	return slices.DeleteFunc(runs, func(r *run) bool { return r.doctor })
}

// findEnds finds the ends of runs that did not log theirs.
func (l *Launcher) findEnds(ctx context.Context, runs []*run, now time.Time) error {
	var open []*run
	var ids []string
	for _, r := range runs {
		if r.end.IsZero() {
			open, ids = append(open, r), append(ids, r.session)
		}
	}
	slices.Sort(ids)
	known, err := l.describeJobs(ctx, slices.Compact(ids))
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelReads)
	for _, r := range open {
		if r.end = known[r.session].endOf(r.stream, now); !r.end.IsZero() {
			continue
		}
		group.Go(func() (err error) {
			r.end, err = l.lastLine(ctx, r.stream)
			return err
		})
	}
	return group.Wait()
}

// endOf returns when the run with a log stream ended, as AWS Batch has it: now if it goes
// on, and no time if AWS Batch does not know.
func (j job) endOf(stream string, now time.Time) time.Time {
	for _, a := range j.Attempts {
		if a.Container != nil && aws.ToString(a.Container.LogStreamName) == stream {
			return timeOf(a.StoppedAt)
		}
	}
	if stream == j.attemptStream() && !j.ended() {
		return now
	}
	return time.Time{}
}

// lastLine returns the time of a stream's last line.
func (l *Launcher) lastLine(ctx context.Context, stream string) (time.Time, error) {
	for lines, err := range l.pages(ctx, &logCursor{stream: stream, backward: true}) {
		if err != nil {
			return time.Time{}, err
		}
		if len(lines) > 0 {
			return lines[len(lines)-1].Time, nil
		}
	}
	return time.Time{}, nil
}

// add adds up the runs in the month.
func (u *Usage) add(runs []*run, month time.Time, usdPerHour float64) {
	users, waits := map[string]*UserUsage{}, map[string][]float64{}
	begun, waited := map[string]bool{}, map[string]bool{} // by session, of which the first one counts
	for _, r := range runs {
		hours := r.within(month, u.Until).Hours()
		inMonth := !r.start.Before(month) && r.start.Before(u.Until)
		if hours > 0 || inMonth {
			user := users[r.user]
			if user == nil {
				user = &UserUsage{User: r.user}
				users[r.user] = user
			}
			user.Hours += hours
			if inMonth && !begun[r.session] {
				user.Sessions++
			}
			if inMonth && r.wait != nil && !waited[r.session] {
				waits[r.user] = append(waits[r.user], *r.wait)
			}
		}
		begun[r.session] = true
		waited[r.session] = waited[r.session] || r.wait != nil
	}
	var all []float64
	for name, user := range users {
		user.MedianWait, user.USD = median(waits[name]), user.Hours*usdPerHour
		u.Users = append(u.Users, *user)
		u.Total.Sessions += user.Sessions
		u.Total.Hours += user.Hours
		all = append(all, waits[name]...)
	}
	slices.SortFunc(u.Users, func(a, b UserUsage) int { return strings.Compare(a.User, b.User) })
	u.Total.MedianWait, u.Total.USD = median(all), u.Total.Hours*usdPerHour
}

// median returns the median of values, or nil if there is none.
func median(values []float64) *float64 {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	n := len(values)
	m := (values[(n-1)/2] + values[n/2]) / 2
	return &m
}
