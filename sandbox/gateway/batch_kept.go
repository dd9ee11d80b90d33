package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// kept describes the properties that moto forgets of one kind of Batch resource.
// Pulumi would set a property that is not read back at every later `pulumi up`.
type kept struct {
	create, update, remove, describe string // operations; "" if AWS has none

	arn, name string // keys in the answers to create, update and describe
	ref       string // the key in the requests to update and remove: a name or an ARN
	list      string // the key of describe's list

	fields    []string // described as in the last request
	merged    []string // objects of which an update has the changed fields only
	unread    []string // fields of merged that AWS accepts and does not describe
	inherited []string // fields that moto copies from another revision if a request has none
}

// batchKinds follow moto 5.2.1, moto/batch/models.py. An update there changes the
// state, the service role, and a queue's priority and order, and nothing else; a job
// definition's second revision gets the first one's capabilities and tag propagation.
var batchKinds = []kept{{
	create: "CreateComputeEnvironment", update: "UpdateComputeEnvironment", remove: "DeleteComputeEnvironment",
	describe: "DescribeComputeEnvironments", list: "computeEnvironments",
	arn: "computeEnvironmentArn", name: "computeEnvironmentName", ref: "computeEnvironment",
	fields: []string{"updatePolicy", "unmanagedvCpus", "context", "eksConfiguration"},
	merged: []string{"computeResources"},
	unread: []string{"updateToLatestImageVersion"},
}, {
	create: "CreateJobQueue", update: "UpdateJobQueue", remove: "DeleteJobQueue",
	describe: "DescribeJobQueues", list: "jobQueues",
	arn: "jobQueueArn", name: "jobQueueName", ref: "jobQueue",
	fields: []string{"jobStateTimeLimitActions", "jobQueueType", "serviceEnvironmentOrder"},
}, {
	create:   "RegisterJobDefinition", // a revision never changes and stays described once deregistered
	describe: "DescribeJobDefinitions", list: "jobDefinitions",
	arn: "jobDefinitionArn", name: "jobDefinitionName",
	fields:    []string{"platformCapabilities", "propagateTags", "schedulingPriority", "nodeProperties", "ecsProperties", "consumableResourceProperties"},
	inherited: []string{"parameters", "retryStrategy", "platformCapabilities", "propagateTags"},
}}

// batchKept remembers the properties that moto's Batch forgets and adds them to its
// answers.
func batchKept() Behaviour {
	b := Behaviour{Name: "batch kept properties", Service: "batch", Answers: map[string]Handler{}}
	for _, kind := range batchKinds {
		m := &memory{kept: kind, resources: map[string]resource{}}
		for operation, handle := range map[string]Handler{
			kind.create: m.created, kind.update: m.updated, kind.remove: m.removed, kind.describe: m.described,
		} {
			if operation != "" {
				b.Answers[operation] = handle
			}
		}
	}
	return b
}

// memory holds the requests for the resources of one kind.
type memory struct {
	kept
	mu        sync.Mutex
	resources map[string]resource // by ARN
}

type resource struct {
	name string
	sent map[string]any
}

func (m *memory) created(c *Call) (*http.Response, error) {
	return m.keep(c, func(_, sent map[string]any) map[string]any { return sent })
}

func (m *memory) updated(c *Call) (*http.Response, error) { return m.keep(c, m.merge) }

// keep forwards a call and, if it succeeds, remembers its request.
func (m *memory) keep(c *Call, join func(before, sent map[string]any) map[string]any) (*http.Response, error) {
	sent := map[string]any{}
	if err := c.JSON(&sent); err != nil {
		return nil, err
	}
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return EditJSON(res, func(answer map[string]any) {
		m.mu.Lock()
		defer m.mu.Unlock()
		arn, _ := answer[m.arn].(string)
		r := m.resources[arn]
		if r.name == "" { // an update's answer may have the ARN in its place
			r.name, _ = answer[m.name].(string)
		}
		r.sent = join(r.sent, sent)
		m.resources[arn] = r
	})
}

func (m *memory) merge(before, sent map[string]any) map[string]any {
	after := maps.Clone(before)
	if after == nil {
		after = map[string]any{}
	}
	for key, value := range sent {
		part, isObject := value.(map[string]any)
		if !isObject || !slices.Contains(m.merged, key) {
			after[key] = value
			continue
		}
		whole := map[string]any{}
		if old, ok := after[key].(map[string]any); ok {
			maps.Copy(whole, old)
		}
		maps.Copy(whole, part)
		after[key] = whole
	}
	return after
}

func (m *memory) removed(c *Call) (*http.Response, error) {
	sent := map[string]any{}
	if err := c.JSON(&sent); err != nil {
		return nil, err
	}
	res, err := c.Forward()
	if err != nil || !succeeded(res) {
		return res, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.resources, func(arn string, r resource) bool {
		return sent[m.ref] == arn || sent[m.ref] == r.name && strings.Contains(arn, ":"+c.Region+":")
	})
	return res, nil
}

func (m *memory) described(c *Call) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return EditJSON(res, func(answer map[string]any) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for _, shown := range Objects(answer[m.list]) {
			arn, _ := shown[m.arn].(string)
			if r, known := m.resources[arn]; known {
				m.show(r.sent, shown)
			}
		}
	})
}

// show adds the requested properties to moto's description.
func (m *memory) show(sent, shown map[string]any) {
	for _, key := range m.inherited {
		if _, asked := sent[key]; !asked {
			delete(shown, key)
		}
	}
	for _, key := range m.fields {
		if value, asked := sent[key]; asked {
			shown[key] = value
		}
	}
	for _, key := range m.merged {
		part, _ := sent[key].(map[string]any)
		whole, _ := shown[key].(map[string]any)
		if whole == nil {
			continue
		}
		maps.Copy(whole, part)
		for _, hidden := range m.unread {
			delete(whole, hidden)
		}
	}
}
