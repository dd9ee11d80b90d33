package launch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

// thisMonth is the month's first moment: AWS's log group keeps no line of long ago.
func thisMonth() time.Time {
	now := time.Now().UTC()
	return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
}

func lastMonth() time.Time { return thisMonth().AddDate(0, -1, 0) }

// ran writes the log of a session that ran.
func (c *cloud) ran(user, session string, from, to time.Time, wait float64) {
	event := func(name contract.EventName, at time.Time) contract.Event {
		return contract.Event{Event: name, Time: at.Format(contract.TimeFormat), User: user, Session: session}
	}
	ready := event(contract.EventReady, from.Add(2*time.Second))
	if wait > 0 {
		ready.SinceSubmit = seconds(wait)
	}
	starting := event(contract.EventStarting, from)
	starting.SinceSubmit = seconds(wait / 2) // is not the wait for a session that answers
	events := []contract.Event{starting, ready, event(contract.EventGame, from.Add(time.Minute))}
	if !to.IsZero() {
		events = append(events, event(contract.EventEnded, to))
	}
	c.write(user+"/"+session, events...)
}

func TestUsageAddsUpEachUsersSessionsOfTheMonth(t *testing.T) {
	c := newCloud(t)
	month := lastMonth()
	at := func(day int, clock time.Duration) time.Time { return month.AddDate(0, 0, day-1).Add(clock) }
	c.ran("alice", "s1", at(3, 10*time.Hour), at(3, 12*time.Hour), 30)
	c.ran("alice", "s2", at(4, 23*time.Hour), at(5, 1*time.Hour), 10) // over midnight
	c.ran("alice", "s3", at(6, 0), at(6, time.Hour), 50)
	c.ran("bob", "s4", at(7, 0), at(7, 30*time.Minute), 0) // its wait is not known

	u, err := c.launcher(t).Usage(t.Context(), month, 0.5)
	require.NoError(t, err)
	assert.Equal(t, []launch.UserUsage{
		{User: "alice", Sessions: 3, Hours: 5, MedianWait: seconds(30), USD: 2.5},
		{User: "bob", Sessions: 1, Hours: 0.5, USD: 0.25},
	}, u.Users)
	assert.Equal(t, launch.UserUsage{Sessions: 4, Hours: 5.5, MedianWait: seconds(30), USD: 2.75}, u.Total)
	assert.Equal(t, month.Format("2006-01"), u.Month)
	assert.Equal(t, thisMonth(), u.Until)
}

func TestASessionOverAMonthsEndHasItsHoursInBothMonthsAndCountsInTheFirst(t *testing.T) {
	c := newCloud(t)
	c.ran("alice", "before", lastMonth().Add(-2*time.Hour), lastMonth().Add(time.Hour), 99)
	c.ran("alice", "after", thisMonth().Add(-3*time.Hour), thisMonth().Add(2*time.Hour), 7)

	u, err := c.launcher(t).Usage(t.Context(), lastMonth(), 1)
	require.NoError(t, err)
	assert.Equal(t, []launch.UserUsage{{User: "alice", Sessions: 1, Hours: 4, MedianWait: seconds(7), USD: 4}}, u.Users)
}

func TestASessionWithoutALastEventEndedWhenBatchSaysOrWithItsLastLine(t *testing.T) {
	c := newCloud(t)
	month := lastMonth()
	began := month.AddDate(0, 0, 9)
	c.ran("alice", "forgotten", began, time.Time{}, 5) // AWS Batch has forgotten its job
	c.write("alice/forgotten", contract.Event{Event: contract.EventUsage, Time: began.Add(90 * time.Minute).Format(contract.TimeFormat)})

	killed := c.add("bob")
	c.with(func() {
		killed.status, killed.stream, killed.stopped, killed.started = "FAILED", "bob/"+killed.id, began.Add(3*time.Hour).UnixMilli(), began.UnixMilli()
		killed.attempts = []map[string]any{
			{"startedAt": began.UnixMilli(), "stoppedAt": began.Add(3 * time.Hour).UnixMilli(), "container": map[string]any{"logStreamName": killed.stream}},
		}
	})
	c.ran("bob", killed.id, began, time.Time{}, 5)

	runs := c.add("carol")
	c.with(func() { runs.status, runs.stream = "RUNNING", "carol/"+runs.id })
	c.ran("carol", runs.id, thisMonth().Add(-time.Hour), time.Time{}, 5)

	u, err := c.launcher(t).Usage(t.Context(), month, 1)
	require.NoError(t, err)
	hours := map[string]float64{}
	for _, user := range u.Users {
		hours[user.User] = user.Hours
	}
	assert.Equal(t, map[string]float64{"alice": 1.5, "bob": 3, "carol": 1}, hours, "carol's goes on, and the month has ended")
}

func TestTwoAttemptsAreOneSessionWithOneWait(t *testing.T) {
	c := newCloud(t)
	began := lastMonth().AddDate(0, 0, 9)
	c.ran("alice", "s1", began, began.Add(time.Hour), 20)
	again := contract.Event{Event: contract.EventStarting, User: "alice", Session: "s1", Time: began.Add(2 * time.Hour).Format(contract.TimeFormat)}
	ready, ended := again, again
	ready.Event, ready.SinceSubmit = contract.EventReady, seconds(7300)
	ended.Event, ended.Time = contract.EventEnded, began.Add(4*time.Hour).Format(contract.TimeFormat)
	c.write("alice/s1-again", again, ready, ended)

	u, err := c.launcher(t).Usage(t.Context(), lastMonth(), 1)
	require.NoError(t, err)
	assert.Equal(t, []launch.UserUsage{{User: "alice", Sessions: 1, Hours: 3, MedianWait: seconds(20), USD: 3}}, u.Users)
}

func TestARunOfTheDoctorIsNoSession(t *testing.T) {
	c := newCloud(t)
	began := lastMonth().AddDate(0, 0, 9)
	c.ran("alice", "s1", began, began.Add(time.Hour), 20)
	event := contract.Event{Event: contract.EventStarting, User: "alice", Session: "s2", Time: began.Format(contract.TimeFormat)}
	check, ended := event, event
	check.Event, ended.Event = contract.EventDoctor, contract.EventEnded
	c.write("alice/doctor", event, check, check, ended)

	u, err := c.launcher(t).Usage(t.Context(), lastMonth(), 1)
	require.NoError(t, err)
	assert.Equal(t, 1, u.Total.Sessions)
	assert.InDelta(t, 1, u.Total.Hours, 1e-9)
}

// A query has 10,000 results at most.
func TestARunWithoutAUserIsNoSession(t *testing.T) {
	c := newCloud(t)
	c.ran("", "s1", lastMonth(), lastMonth().Add(time.Hour), 1)
	c.ran("alice", "s2", lastMonth(), lastMonth().Add(time.Hour), 1)

	u, err := c.launcher(t).Usage(t.Context(), lastMonth(), 1)
	require.NoError(t, err)
	assert.Equal(t, []launch.UserUsage{{User: "alice", Sessions: 1, Hours: 1, MedianWait: seconds(1), USD: 1}}, u.Users)
}

func TestAMonthWithMoreSessionsThanAQueryReturnsIsReadInParts(t *testing.T) {
	c := newCloud(t)
	const sessions = 8000 // three results each
	month := lastMonth()
	for i := range sessions {
		began := month.Add(time.Duration(i) * 5 * time.Minute)
		c.ran("alice", fmt.Sprint(i), began, began.Add(time.Minute), 1)
	}
	u, err := c.launcher(t).Usage(t.Context(), month, 1)
	require.NoError(t, err)
	assert.Equal(t, sessions, u.Total.Sessions)
	assert.InDelta(t, sessions/60.0, u.Total.Hours, 1e-6)
	assert.Greater(t, c.count("StartQuery"), 2)
}

func TestUsageSaysWhatTheLogGroupNoLongerHas(t *testing.T) {
	c := newCloud(t)
	u, err := c.launcher(t).Usage(t.Context(), thisMonth().AddDate(0, -3, 0), 1)
	require.NoError(t, err)
	assert.Contains(t, u.Missing, "the log group keeps 30 days")
	_, err = c.launcher(t).Usage(t.Context(), thisMonth().AddDate(0, 1, 0), 1)
	assert.ErrorContains(t, err, "has not begun")
}

func TestUsageFailsWithAQueryAndNamesAMissingRight(t *testing.T) {
	c := newCloud(t)
	c.queryEnds = "Timeout"
	_, err := c.launcher(t).Usage(t.Context(), lastMonth(), 1)
	assert.ErrorContains(t, err, "is Timeout")

	c.denied["StartQuery"] = true
	_, err = c.launcher(t).Usage(t.Context(), lastMonth(), 1)
	var denied *launch.Denied
	require.ErrorAs(t, err, &denied)
	assert.Equal(t, "logs:StartQuery", denied.Action)
	assert.Contains(t, denied.Grant, "an operator's right")
}
