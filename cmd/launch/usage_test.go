package main

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/launch"
)

func usageOfNovember() launch.Usage {
	wait, all := 41.25, 38.0
	return launch.Usage{
		Stack: "prod", Month: "2026-11", Until: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC),
		Users: []launch.UserUsage{
			{User: "alice", Sessions: 21, Hours: 40.5, MedianWait: &wait, USD: 40.743},
			{User: "bob", Sessions: 1, Hours: 0.25, USD: 0.2515},
		},
		Total: launch.UserUsage{Sessions: 22, Hours: 40.75, MedianWait: &all, USD: 40.9945},
	}
}

func TestUsageAsATable(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, printUsage(&out, usageOfNovember(), price{1.006, "g5.xlarge"}))
	assert.Equal(t, `stack prod, 2026-11 until 2026-12-01 00:00:00 UTC

   USER  SESSIONS  HOURS  MEDIAN WAIT    USD
  alice        21  40.50       41.2 s  40.74
    bob         1   0.25            -   0.25
  TOTAL        22  40.75       38.0 s  40.99

$1.0060 for an hour of a session: g5.xlarge
`, out.String())
}

func TestUsageAsCSV(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, printUsageCSV(&out, usageOfNovember()))
	assert.Equal(t, `stack,month,user,sessions,hours,median_wait_seconds,usd
prod,2026-11,alice,21,40.5000,41.2,40.7430
prod,2026-11,bob,1,0.2500,,0.2515
prod,2026-11,TOTAL,22,40.7500,38.0,40.9945
`, out.String())
}

func TestTheCommandPrintsTheUseOfAMonth(t *testing.T) {
	cloud(t)
	code, out, errs := command(t.Context(), "usage", "--month", "2023-11", "--csv", "--usd-per-hour", "2")
	require.Zero(t, code, errs)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	assert.Equal(t, [][]string{usageColumns,
		{"dev", "2023-11", "alice", "1", "1.5000", "12.5", "3.0000"},
		{"dev", "2023-11", "TOTAL", "1", "1.5000", "12.5", "3.0000"},
	}, rows)
	assert.Contains(t, errs, "incomplete: the log group keeps 30 days")

	code, out, _ = command(t.Context(), "usage", "--month", "2023-11", "--json")
	require.Zero(t, code)
	assert.Contains(t, out, `"medianWaitSeconds": 12.5`)

	code, out, _ = command(t.Context(), "usage", "--month", "2023-11")
	require.Zero(t, code)
	assert.Contains(t, out, "alice         1   1.50       12.5 s  0.75\n", "half the price of a host that carries two")
	assert.Contains(t, out, "$0.5000 for an hour of a session: a full g5.xlarge (2 at once), list price, us-east-1, 2026-02-09")

	code, _, errs = command(t.Context(), "usage", "--month", "11/2026")
	assert.Equal(t, launch.CodeUsage, code)
	assert.Contains(t, errs, `--month is "11/2026"; allowed: a month such as 2026-11`)
}
