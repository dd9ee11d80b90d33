package gateway

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// shellScript is the only document of Run Command that the sandbox knows.
const shellScript = "AWS-RunShellScript"

// The longest output that GetCommandInvocation returns (API reference).
const (
	shownStdout = 24000
	shownStderr = 8000
)

type instanceFilter struct {
	Key    string
	Values []string
}

// information returns the instances with machines that are online. An instance that
// should run and has no machine gets one.
func (m *machines) information(c *Call) (*http.Response, error) {
	var in struct{ Filters []instanceFilter }
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	records, err := ask(c.Request.Context(), m.moto, "ec2", "DescribeInstances")
	if err != nil {
		return nil, err
	}
	list := []map[string]any{}
	for _, set := range records.all("instancesSet") {
		for _, record := range set.Children {
			id := record.text("instanceId")
			if slices.ContainsFunc(in.Filters, func(f instanceFilter) bool { return f.Key == "InstanceIds" && !slices.Contains(f.Values, id) }) {
				continue
			}
			state, err := m.State(c.Request.Context(), id)
			if err != nil {
				return nil, err
			}
			if state == "" && record.child("instanceState").text("name") == "running" {
				if err := m.start(c.Request.Context(), id); err != nil {
					return nil, err
				}
			}
			if m.Online(id) {
				list = append(list, map[string]any{
					"InstanceId": id, "PingStatus": "Online", "LastPingDateTime": time.Now().Unix(), "PlatformType": "Linux", "PlatformName": "Debian GNU/Linux",
				})
			}
		}
	}
	return answerJSON(c, http.StatusOK, map[string]any{"InstanceInformationList": list}), nil
}

// invocation is a command on an instance.
type invocation struct {
	mu     sync.Mutex
	status string
	ran    Ran
}

func (i *invocation) set(status string, ran Ran) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.status, i.ran = status, ran
}

func (m *machines) sendCommand(c *Call) (*http.Response, error) {
	var in struct {
		DocumentName string
		InstanceIDs  []string `json:"InstanceIds"`
		Parameters   map[string][]string
		Comment      string
	}
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	if in.DocumentName != shellScript {
		return nil, badRequest("InvalidDocument", "the sandbox knows the document %s only", shellScript)
	}
	for _, id := range in.InstanceIDs {
		if !m.Online(id) {
			return nil, badRequest("InvalidInstanceId", "Instances not in a valid state for account: %s", id)
		}
	}
	limit := time.Hour // the document's default
	if given := in.Parameters["executionTimeout"]; len(given) == 1 {
		seconds, err := strconv.Atoi(given[0])
		if err != nil {
			return nil, badRequest("InvalidParameters", "executionTimeout: %s", given[0])
		}
		limit = time.Duration(seconds) * time.Second
	}
	command := m.newID()
	for _, id := range in.InstanceIDs {
		i := &invocation{status: "Pending"}
		m.mu.Lock()
		m.invocations[command+" "+id] = i
		m.mu.Unlock()
		go m.invoke(i, id, strings.Join(in.Parameters["commands"], "\n"), limit)
	}
	return answerJSON(c, http.StatusOK, map[string]any{"Command": map[string]any{
		"CommandId": command, "DocumentName": in.DocumentName, "InstanceIds": in.InstanceIDs, "Comment": in.Comment,
		"Status": "Pending", "StatusDetails": "Pending", "RequestedDateTime": time.Now().Unix(),
	}}), nil
}

// invoke runs a command; its states are AWS's (Systems Manager user guide,
// "Understanding command statuses").
func (m *machines) invoke(i *invocation, id, script string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	i.set("InProgress", Ran{Code: -1})
	ran, err := m.Run(ctx, id, script)
	switch {
	case ctx.Err() != nil:
		i.set("TimedOut", Ran{Code: -1, Stdout: ran.Stdout, Stderr: ran.Stderr})
	case err != nil:
		i.set("Failed", Ran{Code: 1, Stderr: err.Error()})
	case ran.Code != 0:
		i.set("Failed", ran)
	default:
		i.set("Success", ran)
	}
}

func (m *machines) getInvocation(c *Call) (*http.Response, error) {
	var in struct {
		CommandID  string `json:"CommandId"`
		InstanceID string `json:"InstanceId"`
	}
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	m.mu.Lock()
	i := m.invocations[in.CommandID+" "+in.InstanceID]
	m.mu.Unlock()
	if i == nil {
		return nil, badRequest("InvocationDoesNotExist", "")
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return answerJSON(c, http.StatusOK, map[string]any{
		"CommandId": in.CommandID, "InstanceId": in.InstanceID, "DocumentName": shellScript,
		"Status": i.status, "StatusDetails": i.status, "ResponseCode": i.ran.Code,
		"StandardOutputContent": i.ran.Stdout[:min(len(i.ran.Stdout), shownStdout)],
		"StandardErrorContent":  i.ran.Stderr[:min(len(i.ran.Stderr), shownStderr)],
	}), nil
}
