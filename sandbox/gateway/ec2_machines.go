package gateway

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Machines run EC2's instances on this machine; moto has their records.
type Machines interface {
	// State returns "pending", "running", "stopping" or "stopped", as EC2 does, or
	// "" for an instance that has no machine yet: moto has its state.
	State(ctx context.Context, id string) (string, error)
	// Start begins to start a machine, which runs its user data at its first start.
	// The error says why it may not be started.
	Start(id string, userData []byte) error
	// Stop begins to stop a machine; Remove begins to remove it with its disk.
	Stop(id string)
	Remove(id string)
	// Online reports whether commands can be run on the machine.
	Online(id string) bool
	// Run runs a script as root. An error is the machine's, not the script's.
	Run(ctx context.Context, id, script string) (Ran, error)
}

// Ran is the result of a script.
type Ran struct {
	Code           int
	Stdout, Stderr string
}

// machines connects EC2 and Systems Manager to Machines.
type machines struct {
	Machines
	moto  *url.URL
	newID func() string // returns a UUID, the id of a command

	mu          sync.Mutex
	invocations map[string]*invocation // by command and instance
}

// MachineBehaviours start and stop machines by EC2's calls and run commands on them
// by Systems Manager's. A machine is made when its instance is started, or when
// Systems Manager is asked about it: an unused instance is only a record.
func MachineBehaviours(moto *url.URL, of Machines, newID func() string) []Behaviour {
	m := &machines{Machines: of, moto: moto, newID: newID, invocations: map[string]*invocation{}}
	return []Behaviour{
		{Name: "ec2 machines", Service: "ec2", Answers: map[string]Handler{
			"DescribeInstances":  m.describe,
			"StartInstances":     m.startInstances,
			"StopInstances":      m.each(func(_ context.Context, id string) error { m.Stop(id); return nil }),
			"TerminateInstances": m.each(func(_ context.Context, id string) error { m.Remove(id); return nil }),
		}},
		{Name: "ssm commands", Service: "ssm", Answers: map[string]Handler{
			"DescribeInstanceInformation": m.information,
			"SendCommand":                 m.sendCommand,
			"GetCommandInvocation":        m.getInvocation,
		}},
	}
}

// stateCodes are EC2's codes (API reference, InstanceState).
var stateCodes = map[string]string{"pending": "0", "running": "16", "stopping": "64", "stopped": "80"}

// describe replaces the instances' states in moto's answer by those of their
// machines.
func (m *machines) describe(c *Call) (*http.Response, error) {
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return editXML(res, func(answer *element) error {
		for _, set := range answer.all("instancesSet") {
			for _, instance := range set.Children {
				state, err := m.State(c.Request.Context(), instance.text("instanceId"))
				if err != nil {
					return err
				}
				if shown := instance.child("instanceState"); state != "" && shown != nil {
					shown.Children = []*element{
						{XMLName: xml.Name{Local: "code"}, Text: stateCodes[state]}, {XMLName: xml.Name{Local: "name"}, Text: state},
					}
				}
			}
		}
		return nil
	})
}

// each returns a handler that forwards a call and, if it succeeds, calls do for each
// of its instances.
func (m *machines) each(do func(ctx context.Context, id string) error) Handler {
	return func(c *Call) (*http.Response, error) {
		in, err := form(c)
		if err != nil {
			return nil, err
		}
		res, err := c.Forward()
		if err != nil || !succeeded(res) {
			return res, err
		}
		for _, id := range instanceIDs(in) {
			if err := do(c.Request.Context(), id); err != nil {
				return nil, err
			}
		}
		return res, nil
	}
}

// startInstances refuses a machine that is still stopping, as EC2 does.
func (m *machines) startInstances(c *Call) (*http.Response, error) {
	in, err := form(c)
	if err != nil {
		return nil, err
	}
	for _, id := range instanceIDs(in) {
		state, err := m.State(c.Request.Context(), id)
		if err != nil {
			return nil, err
		}
		if state == "stopping" {
			return nil, badRequest("IncorrectInstanceState", "The instance '%s' is not in a state from which it can be started.", id)
		}
	}
	return m.each(m.start)(c)
}

func instanceIDs(in url.Values) []string {
	var ids []string
	for key, values := range in {
		if strings.HasPrefix(key, "InstanceId.") {
			ids = append(ids, values...)
		}
	}
	slices.Sort(ids)
	return ids
}

func (m *machines) start(ctx context.Context, id string) error {
	found, err := ask(ctx, m.moto, "ec2", "DescribeInstanceAttribute", "InstanceId", id, "Attribute", "userData")
	if err != nil {
		return err
	}
	var encoded string
	for _, data := range found.all("userData") {
		encoded = data.text("value")
	}
	userData, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("the user data of %s: %w", id, err)
	}
	if err := m.Start(id, userData); err != nil {
		return badRequest("UnsupportedOperation", "%v", err)
	}
	return nil
}
