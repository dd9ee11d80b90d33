package launch_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
)

// The calls of an operator: those that the launcher policy does not grant.

func describeJobQueues(w http.ResponseWriter, _ *http.Request, _ []byte) {
	answer(w, map[string]any{"jobQueues": []any{map[string]any{"jobQueueArn": queueARN, "computeEnvironmentOrder": []any{
		map[string]any{"order": 2, "computeEnvironment": "arn:spot"},
		map[string]any{"order": 1, "computeEnvironment": "arn:hosts"},
	}}}})
}

func describeComputeEnvironments(w http.ResponseWriter, _ *http.Request, _ []byte) {
	answer(w, map[string]any{"computeEnvironments": []any{
		map[string]any{"computeEnvironmentArn": "arn:spot", "computeEnvironmentName": "spot", "status": "INVALID", "statusReason": "CLIENT_ERROR - no such role",
			"computeResources": map[string]any{"type": "SPOT", "desiredvCpus": 0, "maxvCpus": 16, "instanceTypes": []string{"g5.xlarge"}}},
		map[string]any{"computeEnvironmentArn": "arn:hosts", "computeEnvironmentName": "hosts", "status": "VALID",
			"computeResources": map[string]any{"type": "EC2", "desiredvCpus": 8, "maxvCpus": 32, "instanceTypes": []string{"g5.xlarge", "g4dn.xlarge"}}},
	}})
}

// describeJobDefinitions answers with two active revisions of a definition, the older one
// first, and none of bob's.
func describeJobDefinitions(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct{ JobDefinitionName, Status string }
	_ = json.Unmarshal(body, &in)
	revision := func(number int, vcpus, usage string) map[string]any {
		return map[string]any{
			"jobDefinitionArn": fmt.Sprint("arn:", number), "jobDefinitionName": in.JobDefinitionName, "revision": number, "status": in.Status, "type": "container",
			"containerProperties": map[string]any{
				"resourceRequirements": []any{
					map[string]string{"type": "MEMORY", "value": "14000"}, map[string]string{"type": "VCPU", "value": vcpus}, map[string]string{"type": "GPU", "value": "1"},
				},
				"environment": []any{map[string]string{"name": contract.EnvUsage, "value": usage}, map[string]string{"name": contract.EnvMax, "value": "18000"}},
			},
		}
	}
	list := []any{}
	if in.Status == "ACTIVE" && in.JobDefinitionName == "dcv-sessions_dev_alice" {
		list = append(list, revision(9, "2", "0"), revision(10, "4", "30"))
	}
	answer(w, map[string]any{"jobDefinitions": list})
}

// retention is what the fake's log group keeps.
const retention = 30

func describeLogGroups(w http.ResponseWriter, _ *http.Request, _ []byte) {
	answer(w, map[string]any{"logGroups": []any{
		map[string]any{"logGroupName": logGroup, "retentionInDays": retention},
		map[string]any{"logGroupName": logGroup + "-of-another", "retentionInDays": 1},
	}})
}

// startQuery runs the one query that the launcher makes: the lines of four events.
func (c *cloud) startQuery(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct {
		LogGroupName, QueryString string
		StartTime, EndTime        int64
		Limit                     int
	}
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	defer c.mu.Unlock()
	if in.LogGroupName != logGroup || !strings.Contains(in.QueryString, `filter event in ["starting", "ready", "ended", "doctor"]`) {
		fault(w, http.StatusBadRequest, "MalformedQueryException", in.QueryString)
		return
	}
	type line struct {
		event  contract.Event
		stream string
	}
	var lines []line
	for _, stream := range slices.Sorted(maps.Keys(c.streams)) {
		for _, text := range c.streams[stream] {
			var e contract.Event
			_ = json.Unmarshal([]byte(text), &e)
			at, err := time.Parse(contract.TimeFormat, e.Time)
			if err == nil && at.Unix() >= in.StartTime && at.Unix() <= in.EndTime &&
				slices.Contains([]contract.EventName{contract.EventStarting, contract.EventReady, contract.EventEnded, contract.EventDoctor}, e.Event) {
				lines = append(lines, line{e, stream})
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return strings.Compare(a.event.Time, b.event.Time) })
	results := [][]map[string]string{}
	for _, l := range lines[:min(len(lines), in.Limit)] {
		fields := map[string]string{"time": l.event.Time, "event": string(l.event.Event), "user": l.event.User, "session": l.event.Session, "@logStream": l.stream}
		if l.event.SinceSubmit != nil {
			fields["sinceSubmitSeconds"] = fmt.Sprint(*l.event.SinceSubmit)
		}
		var result []map[string]string
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			result = append(result, map[string]string{"field": name, "value": fields[name]})
		}
		results = append(results, result)
	}
	c.results = append(c.results, results)
	answer(w, map[string]string{"queryId": fmt.Sprint(len(c.results) - 1)})
}

// getQueryResults answers once that the query runs.
func (c *cloud) getQueryResults(w http.ResponseWriter, _ *http.Request, body []byte) {
	var in struct{ QueryID string }
	_ = json.Unmarshal(body, &in)
	c.mu.Lock()
	defer c.mu.Unlock()
	id := 0
	_, _ = fmt.Sscan(in.QueryID, &id)
	if c.queryStatus == nil {
		c.queryStatus = map[string]string{}
	}
	status := c.queryStatus[in.QueryID]
	c.queryStatus[in.QueryID] = cmp.Or(c.queryEnds, "Complete")
	if status == "" {
		answer(w, map[string]any{"status": "Running", "results": [][]any{}})
		return
	}
	answer(w, map[string]any{"status": status, "results": c.results[id]})
}

// write adds a session's lines to a stream, with the times of their events.
func (c *cloud) write(stream string, events ...contract.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range events {
		text, _ := json.Marshal(e)
		c.streams[stream] = append(c.streams[stream], string(text))
	}
}

func seconds(value float64) *float64 { return &value }
