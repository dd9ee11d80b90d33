package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/launch"
)

var (
	noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	ago  = func(d time.Duration) time.Time { return noon.Add(-d) }

	busy = launch.Status{
		Stack: "prod", Region: "us-east-1", At: noon, Ended: 12, Failed: 2, Hours: 31.4567, UsedVCPUs: 12, UsedHosts: 3,
		Sessions: []launch.Session{
			{User: "alice", State: "RUNNING", URL: "https://192.0.2.1:8443/", Created: ago(2*time.Hour + 5*time.Minute), Started: ago(2*time.Hour + time.Minute)},
			{User: "bob", State: "STARTING", Wait: "the host pulls the image", Created: ago(3 * time.Minute), Started: ago(time.Minute)},
			{User: "carol", State: "RUNNABLE", Wait: "in the queue: 1 before you", Created: ago(20 * time.Second)},
			{User: "dave", State: "RUNNABLE", Wait: "waiting for a host to start", Created: ago(90 * time.Second)},
		},
		Failures: []launch.Session{{User: "erin", Stopped: ago(time.Hour), Reason: "the game failed: see its last lines in the log"}},
		Environments: []launch.Environment{
			{Name: "hosts-1a2b3c4", Status: "VALID", InstanceTypes: []string{"g5.xlarge", "g4dn.xlarge"}, VCPUs: 12, MaxVCPUs: 64},
			{Name: "spot-1a2b3c4", Status: "INVALID", Reason: "CLIENT_ERROR - not authorized", Spot: true, MaxVCPUs: 64},
		},
	}
)

func TestStatusOnOneScreen(t *testing.T) {
	assert.Equal(t, `stack prod in us-east-1                                                      2026-11-28 12:00:00 UTC

SESSIONS  2 waiting, 1 starting, 1 ready; today 12 ended, 2 of them failed
USER   STATE     AGE    WAITED  ADDRESS, OR WHAT IT WAITS FOR
dave   waiting   1m30s  1m30s   waiting for a host to start
carol  waiting   20s    20s     in the queue: 1 before you
bob    starting  3m0s   2m0s    the host pulls the image
alice  ready     2h5m   4m0s    https://192.0.2.1:8443/

FAILED  AT (UTC)  WHY
erin    11:00:00  the game failed: see its last lines in the log

HOSTS     3 with a session; sessions reserve 12 of the hosts' 12 vCPUs (100 %)
ENVIRONMENT    STATUS   VCPUS  AT MOST  TYPES
hosts-1a2b3c4  VALID    12     64       g5.xlarge, g4dn.xlarge
spot-1a2b3c4   INVALID  0      64       CLIENT_ERROR - not authorized

COST      31.46 session-hours since midnight UTC: $15.73
  $0.5000 for an hour: --usd-per-hour
`, renderStatus(busy, price{0.5, "--usd-per-hour"}))
}

func TestTheStatusOfAnIdleStack(t *testing.T) {
	idle := launch.Status{Stack: "dev", Region: "eu-central-1", At: noon, NoEnvironments: "AWS denies batch:DescribeJobQueues: it is an operator's right"}
	assert.Equal(t, `stack dev in eu-central-1                                                    2026-11-28 12:00:00 UTC

SESSIONS  0 waiting, 0 starting, 0 ready; today 0 ended, 0 of them failed

HOSTS     0 with a session, 0 vCPUs reserved; the others are not known:
  AWS denies batch:DescribeJobQueues: it is an operator's right

COST      0.00 session-hours since midnight UTC
  no price
`, renderStatus(idle, price{Basis: "no price"}))
}

func TestAStatusOfAnySizeFitsOneScreen(t *testing.T) {
	crowded := busy
	for i := range 500 {
		crowded.Sessions = append(crowded.Sessions, launch.Session{
			User: fmt.Sprintf("a-user-with-a-long-name-%d", i), State: "RUNNABLE", Created: ago(time.Minute), Wait: strings.Repeat("a long reason ", 20),
		})
		crowded.Failures = append(crowded.Failures, crowded.Failures[0])
	}
	crowded.Environments = append(crowded.Environments, crowded.Environments[0])
	text := renderStatus(crowded, price{Basis: strings.Repeat("no price ", 20)})
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	assert.Len(t, lines, screenLines)
	for _, line := range lines {
		assert.LessOrEqual(t, utf8.RuneCountInString(line), screenColumns, line)
	}
	assert.Contains(t, text, "and 499 more: launch list")
	assert.Contains(t, text, "502 waiting")
}

func TestTheCommandShowsTheStatus(t *testing.T) {
	cloud(t)
	code, out, errs := command(t.Context(), "status", "--usd-per-hour", "2")
	require.Zero(t, code, errs)
	assert.Contains(t, out, "alice  ready")
	assert.Contains(t, out, "hosts        VALID   8      32       g5.xlarge")

	code, out, errs = command(t.Context(), "status", "--json", "--usd-per-hour", "2")
	require.Zero(t, code, errs)
	var document struct {
		Sessions []launch.Session
		Hours    float64 `json:"sessionHours"`
		USD      float64
	}
	require.NoError(t, json.Unmarshal([]byte(out), &document))
	assert.Len(t, document.Sessions, 1)
	assert.InDelta(t, document.Hours*2, document.USD, 1e-9)
}
