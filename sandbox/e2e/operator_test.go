package e2e

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/browser"
)

// operate looks at the stack as its operators do, after the sessions of the steps before.
func (s *sandbox) operate(t *testing.T, out outputs.Outputs) {
	jobs := s.aws(t).jobs(t, out)
	step := steps(t)

	step("the status has today's sessions, failures and hosts on one screen", func(t *testing.T) {
		stdout, stderr, code := s.launch(t, "--json", "status")
		require.Zero(t, code, stderr)
		var status launch.Status
		require.NoError(t, json.Unmarshal([]byte(stdout), &status))
		today, ended, failed := status.At.Truncate(24*time.Hour), 0, 0
		for _, j := range jobs {
			if *cmp.Or(j.StoppedAt, j.CreatedAt) >= today.UnixMilli() { // one that never ran may not have stopped
				ended++
				if j.Status == types.JobStatusFailed {
					failed++
				}
			}
		}
		assert.Empty(t, status.Sessions)
		assert.Equal(t, ended, status.Ended)
		assert.Equal(t, failed, status.Failed)
		assert.Positive(t, failed, "the launcher's step had some")
		for _, f := range status.Failures {
			assert.NotEmpty(t, f.Reason, f.User)
		}
		if assert.NotEmpty(t, status.Failures) {
			last := status.Failures[0]
			assert.Equal(t, failedGame, last.User)
			assert.Contains(t, last.Reason, "the game failed with signal: killed")
		}
		assert.InDelta(t, hoursOf(jobs, today), status.Hours, 1e-3)
		require.NotEmpty(t, status.Environments)
		for _, e := range status.Environments {
			assert.Equal(t, "VALID", e.Status)
			assert.LessOrEqual(t, e.VCPUs, e.MaxVCPUs)
		}

		screen, _, _ := s.launch(t, "status")
		assert.LessOrEqual(t, strings.Count(screen, "\n"), 24)
		t.Log("\n" + screen)
	})

	step("each user's use is what AWS Batch ran", func(t *testing.T) {
		stdout, stderr, code := s.launch(t, "--json", "usage")
		require.Zero(t, code, stderr)
		var usage launch.Usage
		require.NoError(t, json.Unmarshal([]byte(stdout), &usage))
		started := map[string]map[string]bool{}
		for _, j := range jobs {
			if user := j.Tags[contract.TagUser]; slices.ContainsFunc(j.Attempts, func(a types.AttemptDetail) bool { return a.StartedAt != nil }) {
				if started[user] == nil {
					started[user] = map[string]bool{}
				}
				started[user][*j.JobId] = true
			}
		}
		var users []string
		for _, u := range usage.Users {
			users = append(users, u.User)
			assert.Equal(t, len(started[u.User]), u.Sessions, u.User)
			assert.Positive(t, u.Hours, u.User)
			if assert.NotNil(t, u.MedianWait, u.User) {
				assert.Positive(t, *u.MedianWait, u.User)
			}
		}
		assert.Equal(t, slices.Sorted(maps.Keys(started)), users)
		assert.Subset(t, users, []string{failedGame, failedContainer})
		// A container starts before its first line, and ends after its last one.
		assert.InDelta(t, hoursOf(jobs, time.Time{}), usage.Total.Hours, float64(len(jobs))*(5*time.Second).Hours())

		table, _, _ := s.launch(t, "usage", "--csv")
		assert.True(t, strings.HasPrefix(table, "stack,month,user,sessions,hours,median_wait_seconds,usd\n"), table)
		t.Log("\n" + table)
	})
}

// drawDashboard draws the stack's dashboard and looks at it in a browser.
func (s *sandbox) drawDashboard(t *testing.T, base config, out outputs.Outputs) {
	file := s.dashboardPage(t, "PT1H")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.NotContains(t, string(text), `class="fault"`)
	assert.Contains(t, string(text), out.DashboardName)
	for _, cell := range []string{failedGame, "game", "the game failed with signal: killed", "software-rendering", "configuration"} {
		assert.Contains(t, string(text), "<td>"+cell, "the latest failures")
	}

	for _, o := range []browser.Options{board, {Width: 1500, Height: 1000, Dark: true}, phone} {
		b := browser.OpenFile(t, file, o)
		b.Is("every picture is one", pictures)
		b.Is("nothing is wider than the screen", `document.documentElement.scrollWidth <= innerWidth`)
		b.Close()
	}
	if browser.KeepsShots() {
		s.playEvening(t, base, out)
		file := s.dashboardPage(t, "PT10M")
		for name, o := range map[string]browser.Options{"dashboard": board, "dashboard-phone": phone} {
			b := browser.OpenFile(t, file, o)
			b.Is("every picture is one", pictures)
			b.Shot(name)
			b.Close()
		}
	}
}

// pictures is JavaScript that is true once the dashboard's pictures are there.
const pictures = `document.images.length > 10 && [...document.images].every(i => i.complete && i.naturalWidth > 100)`

// dashboardPage draws the dashboard of the time since a moment, and returns the page's file.
func (s *sandbox) dashboardPage(t *testing.T, since string) (file string) {
	t.Helper()
	file = filepath.Join(s.dir, "dashboard.html")
	cmd := exec.Command(s.binary(), "exec", s.program(t, "dashboard", "./cmd/dashboard"), "-stack", s.stack, "-page", file, "-since", since)
	cmd.Dir = s.tree.Root
	said, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.Equal(t, file+"\n", string(said), "and nothing on standard error: every part is shown")
	return file
}

// board has room for the whole dashboard.
var board = browser.Options{Width: 1500, Height: 2440}

// jobs are all of the stack's sessions, as AWS Batch describes them.
func (c cloudClients) jobs(t *testing.T, out outputs.Outputs) (all []types.JobDetail) {
	t.Helper()
	pages := batch.NewListJobsPaginator(c.batch, &batch.ListJobsInput{JobQueue: &out.QueueARN,
		Filters: []types.KeyValuesPair{{Name: aws.String("JOB_NAME"), Values: []string{contract.NamePrefix(out.Stack) + "*"}}}})
	var ids []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		for _, j := range page.JobSummaryList {
			ids = append(ids, *j.JobId)
		}
	}
	for chunk := range slices.Chunk(ids, 100) {
		described, err := c.batch.DescribeJobs(t.Context(), &batch.DescribeJobsInput{Jobs: chunk})
		require.NoError(t, err)
		all = append(all, described.Jobs...)
	}
	return all
}

// hoursOf is the time since a moment in which jobs that have ended had containers.
func hoursOf(jobs []types.JobDetail, since time.Time) float64 {
	var sum time.Duration
	for _, j := range jobs {
		for _, a := range j.Attempts {
			if a.StartedAt != nil && a.StoppedAt != nil {
				sum += max(time.UnixMilli(*a.StoppedAt).Sub(later(time.UnixMilli(*a.StartedAt), since)), 0)
			}
		}
	}
	return sum.Hours()
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
