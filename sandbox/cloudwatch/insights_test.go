package cloudwatch

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// events are sessions' events, the newest first.
func events() []row {
	var rows []row
	for i, line := range []string{
		`{"event":"summary","user":"ann","session":"3","summary":{"playedSeconds":3600,"list":["a","b"]}}`,
		`{"event":"ended","user":"bob","session":"2","exit":"game-crashed","reason":"it said: \"no\""}`,
		`{"event":"ended","user":"ann","session":"1","exit":"ok"}`,
		`{"event":"summary","user":"bob","session":"2","summary":{"playedSeconds":1800.5}}`,
		`{"event":"summary","user":"ann","session":"1","summary":{"playedSeconds":900}}`,
		`no JSON`,
		`{"event":"usage","user":"ann","usage":{"cpuCores":1.50}}`,
	} {
		r := row{}
		r.flat(decoded(line), "")
		r["@timestamp"], r["@message"] = moment(time.Date(2026, 11, 28, 12, 10-i, 0, 0, time.UTC).UnixMilli()), line
		rows = append(rows, r)
	}
	return rows
}

// answer returns a query's rows, their fields joined.
func answer(t *testing.T, query string) []string {
	t.Helper()
	q, err := ParseInsights(query)
	require.NoError(t, err, query)
	columns, rows, err := q.Run(events())
	require.NoError(t, err, query)
	var lines []string
	for _, fields := range shownRows(columns, rows) {
		var parts []string
		for _, f := range fields {
			parts = append(parts, f.Field+"="+f.Value)
		}
		lines = append(lines, strings.Join(parts, " "))
	}
	return lines
}

func TestInsightsQueries(t *testing.T) {
	for query, want := range map[string][]string{
		// those of the dashboard and of launch usage
		"fields @timestamp, user, exit, reason\n| filter event = \"ended\" and exit != \"ok\"\n| sort @timestamp desc\n| limit 20": {
			`@timestamp=2026-11-28 12:09:00.000 user=bob exit=game-crashed reason=it said: "no"`},
		"filter event = \"summary\"\n| stats sum(summary.playedSeconds) / 3600 as hours, count(*) as sessions by user\n| sort hours desc\n| limit 100": {
			"user=ann hours=1.25 sessions=2", "user=bob hours=0.5001388888888889 sessions=1"},
		`fields user, event, session | filter event in ["ended", "usage"] | sort @timestamp asc`: {
			"user=ann event=usage", "user=ann event=ended session=1", "user=bob event=ended session=2"},

		`filter user like "nn" and not ispresent(exit) | display session, summary.list.1 | limit 1`: {"session=3 summary.list.1=b"},
		`filter @message like /^no j|x$/ | display @message`:                                        nil,
		`filter @message like /(?i)^no j|x$/ | display @message`:                                    {"@message=no JSON"},
		`filter exit =~ /crash/ or exit = 'ok' | fields exit | sort exit`:                           {"exit=game-crashed", "exit=ok"},
		`filter exit not like /crash/ and ispresent(exit) | display exit`:                           {"exit=ok"},
		`filter user not in ["ann"] and (session = 2 or session > 2) | stats count(*)`:              {"count(*)=2"},
		`filter usage.cpuCores >= 1.5 | display usage.cpuCores`:                                     {"usage.cpuCores=1.50"},
		`filter summary.playedSeconds < 1000 | display summary.playedSeconds * 2 + 1 as more`:       {"more=1801"},
		`stats avg(summary.playedSeconds) as a, min(summary.playedSeconds) as b, max(summary.playedSeconds) as c, pct(summary.playedSeconds, 50) as d, count_distinct(user) as e`: {
			"a=2100.1666666666665 b=900 c=3600 d=1800.5 e=2"},
		`stats count(exit) as ends by bin(5m) | sort ends desc`:                                  {"bin(5m)=2026-11-28 12:05:00.000 ends=2", "bin(5m)=2026-11-28 12:10:00.000 ends=0", "bin(5m)=2026-11-28 12:00:00.000 ends=0"},
		`filter event = "nothing" | stats count(*) as n`:                                         {"n=0"},
		`filter event = "nothing" | stats count(*) as n by user`:                                 nil,
		`stats latest(event) as now by user | sort user`:                                         {"now=summary user=ann", "now=ended user=bob"},
		`dedup user | filter ispresent(user) | display user`:                                     {"user=ann", "user=bob"},
		"# the users\nfields coalesce(exit, event) as what | filter user = 'bob' | display what": {"what=game-crashed", "what=summary"},
	} {
		if strings.Contains(query, "latest(") {
			want = []string{"user=ann now=summary", "user=bob now=ended"}
			query = `filter ispresent(user) | ` + query
		}
		assert.Equal(t, want, answer(t, query), query)
	}
	assert.Len(t, answer(t, ""), 7)
}

func TestOtherInsightsQueriesAreRefusedByName(t *testing.T) {
	for query, named := range map[string]string{
		`parse @message "a * b" as x`: `the command "parse"`,
		`pattern @message`:            `the command "pattern"`,
		`fields strlen(user)`:         "the function strlen",
		`stats stddev(x)`:             "the function stddev",
		`stats count(*) by bin(5x)`:   "bin:",
		`filter user = `:              "the end is not known",
		`filter user like user`:       "like \"user\"",
		`limit many`:                  `limit "many"`,
		`fields user fields x`:        `"fields" is not known`,
		`stats pct(x)`:                "pct has 1 parameters",
		`filter a = "b`:               `closing "`,
		`SOURCE logGroups()`:          `the command "SOURCE"`,
	} {
		_, err := ParseInsights(query)
		assert.ErrorContains(t, err, named, query)
	}
}

func TestAQueryReadsTheEventsOfItsTime(t *testing.T) {
	w := newWorld(t)
	group := w.group()
	now := w.config.Now()
	w.set(now.Add(-2 * time.Hour))
	w.log(group, usageLine(8, 1))
	w.set(now)
	for i := range 3 {
		w.log(group, usageLine(i, 50))
	}
	run := func(query string) (*cloudwatchlogs.GetQueryResultsOutput, error) {
		started, err := w.logs.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{LogGroupName: &group, QueryString: &query,
			StartTime: aws.Int64(now.Add(-time.Hour).Unix()), EndTime: aws.Int64(now.Unix())})
		if err != nil {
			return nil, err
		}
		return w.logs.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: started.QueryId})
	}
	got, err := run(`filter event = "usage" | stats sum(usage.cpuCores) as cores, count(*) as n by user`)
	require.NoError(t, err)
	require.Equal(t, types.QueryStatusComplete, got.Status)
	require.Equal(t, [][]types.ResultField{{
		{Field: aws.String("user"), Value: aws.String("player1")}, {Field: aws.String("cores"), Value: aws.String("3")}, {Field: aws.String("n"), Value: aws.String("3")},
	}}, got.Results)
	require.Equal(t, 3., got.Statistics.RecordsScanned)

	got, err = run(`fields @logStream, @log | limit 1`)
	require.NoError(t, err)
	require.Len(t, got.Results, 1)
	require.Equal(t, []string{"session", "123456789012:" + group}, []string{*got.Results[0][0].Value, *got.Results[0][1].Value})
	require.Equal(t, "@ptr", *got.Results[0][2].Field)

	_, err = run(`parse @message "*" as x`)
	requireUnsupported(t, err, `the command "parse"`)
	_, err = w.logs.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{LogGroupName: aws.String("/none"), QueryString: aws.String("limit 1"), StartTime: aws.Int64(1), EndTime: aws.Int64(2)})
	var missing *types.ResourceNotFoundException
	require.ErrorAs(t, err, &missing)
	_, err = w.logs.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: aws.String("none")})
	require.ErrorAs(t, err, &missing)
}

// moto answers a page of at most 10,000 events.
func TestAQueryReadsAllEvents(t *testing.T) {
	w := newWorld(t)
	group := w.group()
	var lines []string
	for i := range 4000 {
		lines = append(lines, fmt.Sprintf(`{"n":%d}`, i))
	}
	for range 3 {
		w.log(group, lines...)
	}
	started, err := w.logs.StartQuery(ctx, &cloudwatchlogs.StartQueryInput{LogGroupName: &group, QueryString: aws.String("stats count(*) as n"),
		StartTime: aws.Int64(w.config.Now().Unix()), EndTime: aws.Int64(w.config.Now().Unix())})
	require.NoError(t, err)
	got, err := w.logs.GetQueryResults(ctx, &cloudwatchlogs.GetQueryResultsInput{QueryId: started.QueryId})
	require.NoError(t, err)
	require.Equal(t, "12000", *got.Results[0][0].Value)
}
