package cloudwatch

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// field is a field of a result, as in GetQueryResults.
type field struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// result is a query that has been run.
type result struct {
	id               string
	rows             [][]field
	scanned, matched int
	bytes            int
}

// keptResults is how many results are kept. AWS keeps them for 7 days.
const keptResults = 100

// startQuery runs the query at once: GetQueryResults finds it complete.
func (s *Service) startQuery(c *gateway.Call) (*http.Response, error) {
	var in struct {
		LogGroupName        string   `json:"logGroupName"`
		LogGroupNames       []string `json:"logGroupNames"`
		LogGroupIdentifiers []string `json:"logGroupIdentifiers"`
		StartTime           int64    `json:"startTime"`
		EndTime             int64    `json:"endTime"`
		QueryString         string   `json:"queryString"`
		QueryLanguage       string   `json:"queryLanguage"`
		Limit               int      `json:"limit"`
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	if cmp.Or(in.QueryLanguage, "CWLI") != "CWLI" {
		return nil, gateway.Unsupported("the sandbox does not know the queryLanguage %s", in.QueryLanguage)
	}
	if in.EndTime < in.StartTime {
		return nil, parameter("End time should not be less than start time")
	}
	query, err := ParseInsights(in.QueryString)
	if err != nil {
		return nil, gateway.Unsupported("%v", err)
	}
	groups := slices.Concat(in.LogGroupNames, in.LogGroupIdentifiers)
	if in.LogGroupName != "" {
		groups = append(groups, in.LogGroupName)
	}
	if len(groups) == 0 {
		return nil, parameter("logGroupName, logGroupNames or logGroupIdentifiers is needed")
	}
	var events []row
	done := result{id: s.config.NewID()}
	for _, name := range groups {
		if _, after, is := strings.Cut(name, ":log-group:"); is {
			name = strings.TrimSuffix(after, ":*")
		}
		if err := s.groupExists(c, name); err != nil {
			return nil, err
		}
		found, bytes, err := s.events(c.Request.Context(), name, in.StartTime, in.EndTime)
		if err != nil {
			return nil, err
		}
		events, done.bytes = append(events, found...), done.bytes+bytes
	}
	slices.SortStableFunc(events, func(a, b row) int { return cmp.Compare(b["@timestamp"].(moment), a["@timestamp"].(moment)) })
	done.scanned = len(events)
	columns, rows, err := query.Run(events)
	if err != nil {
		return nil, gateway.Unsupported("%v", err)
	}
	if in.Limit > 0 {
		rows = rows[:min(len(rows), in.Limit)]
	}
	done.matched, done.rows = len(rows), shownRows(columns, rows)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results = append(s.results, done)
	s.results = s.results[max(0, len(s.results)-keptResults):]
	return c.Answer(map[string]string{"queryId": done.id}), nil
}

// events returns a group's events between two times in seconds, the last one included.
func (s *Service) events(ctx context.Context, group string, from, to int64) (events []row, bytes int, err error) {
	in := &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group, StartTime: aws.Int64(from * 1000), EndTime: aws.Int64(to*1000 + 999)}
	for {
		page, err := s.logs.FilterLogEvents(ctx, in)
		if err != nil {
			return nil, 0, err
		}
		for _, e := range page.Events {
			r := row{}
			if event := decoded(*e.Message); event != nil {
				r.flat(event, "")
			}
			r["@timestamp"], r["@message"], r["@logStream"] = moment(*e.Timestamp), *e.Message, *e.LogStreamName
			r["@log"] = local.Account + ":" + group
			r["@ptr"] = base64.StdEncoding.EncodeToString([]byte(group + " " + aws.ToString(e.EventId)))
			events, bytes = append(events, r), bytes+len(*e.Message)
		}
		if in.NextToken = page.NextToken; in.NextToken == nil {
			return events, bytes, nil
		}
	}
}

// shownRows leaves out fields that a row lacks.
func shownRows(columns []string, rows []row) [][]field {
	shown := [][]field{}
	for _, r := range rows {
		fields := []field{}
		for _, name := range columns {
			if r[name] != nil {
				fields = append(fields, field{name, shownValue(r[name])})
			}
		}
		shown = append(shown, fields)
	}
	return shown
}

func (s *Service) getQueryResults(c *gateway.Call) (*http.Response, error) {
	var in struct {
		QueryID string `json:"queryId"`
	}
	if err := c.Known(&in); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.results, func(r result) bool { return r.id == in.QueryID })
	if i < 0 {
		return nil, &gateway.Fault{Status: http.StatusBadRequest, Code: "ResourceNotFoundException", Message: "Unable to find the query " + in.QueryID}
	}
	r := s.results[i]
	return c.Answer(map[string]any{
		"results": r.rows, "status": "Complete", "queryLanguage": "CWLI",
		"statistics": map[string]float64{"recordsMatched": float64(r.matched), "recordsScanned": float64(r.scanned), "bytesScanned": float64(r.bytes)},
	}), nil
}
