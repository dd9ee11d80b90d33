package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
)

// stack is a stack with a launcher that plays sessions in no time: each writes its log at
// once, with an hour of measurements.
type stack struct {
	definition launch.Definition
	usage      func(sessions int) contract.Usage // of each session, if so many play
	host       func(user string) string
	hostType   string
	startFault func(user string, sessions int) (launch.Session, error) // nil: none
	ending     func(user string, sessions int) *launch.Session         // of a session that ends by itself; nil: none

	mu       sync.Mutex
	live     map[string]bool
	reserved []launch.Resources
	ended    []string
	other    []launch.Session // that somebody else started
	lines    []contract.Event // that each session writes in place of its usual ones
	measures int              // the number of measurements
}

func newStack() *stack {
	return &stack{
		definition: launch.Definition{Resources: launch.Resources{VCPUs: 1, MemoryMiB: 3800}, Usage: 30 * time.Second, Max: 5 * time.Hour},
		usage:      func(int) contract.Usage { return figures(60, 0.7, 1000) },
		host:       func(string) string { return "arn:aws:ecs:us-east-1:123456789012:container-instance/AWSBatch-hosts/1" },
		hostType:   "g6.xlarge", live: map[string]bool{}, measures: 120,
	}
}

// figures are a measurement of 30 seconds.
func figures(frames, cores, memory float64) contract.Usage {
	return contract.Usage{Seconds: 30, FramesPerSecond: &frames, CPUCores: &cores, MemoryMiB: &memory}
}

func (*stack) outputs() outputs.Outputs {
	return outputs.Outputs{
		Stack: "dev", Region: "us-east-1", ImageURI: "repository@sha256:00", Ports: contract.PortRange{First: 8443, Last: 8446},
		JobDefinitions: map[string]string{"ann": "a", "bob": "b", "cat": "c", "dan": "d"},
		Capacity:       []contract.HostCapacity{{InstanceType: "g6.xlarge", USDPerHour: 0.8048}, {InstanceType: "g5.xlarge", USDPerHour: 1.006}},
	}
}

// study is a study of the stack with some users.
func (c *stack) study(t *testing.T, users ...string) *study {
	t.Helper()
	return &study{
		options: options{users: users, frames: 30, length: 10 * time.Minute, warmUp: time.Minute, limit: time.Minute},
		stack:   c.outputs(), launcher: c, progress: io.Discard, patience: time.Minute,
		began: time.Date(2026, 11, 28, 21, 0, 0, 0, time.UTC),
		play: func(ctx context.Context, s launch.Session, with contract.Credentials) error {
			if with.Password != "of "+s.User {
				return errors.New("wrong password")
			}
			<-ctx.Done()
			return ctx.Err()
		},
	}
}

func (c *stack) Definition(_ context.Context, user string) (launch.Definition, error) {
	if _, known := c.outputs().JobDefinitions[user]; !known {
		return launch.Definition{}, &launch.UnknownUser{User: user, Known: []string{"ann", "bob", "cat", "dan"}}
	}
	return c.definition, nil
}

func (c *stack) Password(_ context.Context, user string) (contract.Credentials, error) {
	return contract.Credentials{Username: user, Password: "of " + user}, nil
}

func (c *stack) List(context.Context, launch.ListOptions) ([]launch.Session, error) {
	return c.other, nil
}

func (c *stack) Start(ctx context.Context, user string, o launch.StartOptions) (launch.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := launch.Session{
		User: user, JobID: "job-" + user, State: "RUNNING", New: true, Host: c.host(user), InstanceType: c.hostType, URL: "https://192.0.2.1/",
	}
	c.live[user] = true
	c.reserved = append(c.reserved, o.Reserve)
	if c.startFault != nil {
		if failed, err := c.startFault(user, len(c.live)); err != nil || failed.User != "" {
			return failed, err
		}
	}
	return s, ctx.Err()
}

func (c *stack) sessions() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.live)
}

// began is the time of the sessions' start, by the clock of their host.
var began = time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)

func (c *stack) Logs(ctx context.Context, user string, _ bool, out func(launch.LogLine)) error {
	n := c.sessions()
	for _, e := range c.log(n) {
		out(logged(e))
		if e.Usage != nil && c.ending != nil && c.ending(user, n) != nil {
			return nil
		}
	}
	<-ctx.Done()
	return fmt.Errorf("interrupted: %w", ctx.Err())
}

// logged is an event as a session's log has it. One without a time is of the beginning.
func logged(e contract.Event) launch.LogLine {
	e.Time = cmp.Or(e.Time, began.Format(contract.TimeFormat))
	text, _ := json.Marshal(e)
	return launch.LogLine{Message: string(text)}
}

// log is that of a session with a player.
func (c *stack) log(sessions int) []contract.Event {
	if c.lines != nil {
		return c.lines
	}
	one := 1
	list := []contract.Event{{Event: contract.EventStarting}, {Event: contract.EventPlayers, Count: &one}}
	for i := range c.measures {
		list = append(list, measured(time.Duration(i+1)*30*time.Second, c.usage(sessions)))
	}
	return list
}

func measured(at time.Duration, u contract.Usage) contract.Event {
	return contract.Event{Event: contract.EventUsage, Time: began.Add(at).Format(contract.TimeFormat), Usage: &u}
}

func (c *stack) Show(_ context.Context, user string) (launch.Session, error) {
	return *c.ending(user, c.sessions()), nil
}

func (c *stack) End(_ context.Context, user, _ string, _ launch.EndOptions) (launch.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.live[user] {
		return launch.Session{}, fmt.Errorf("%s has %w", user, launch.ErrNoSession)
	}
	delete(c.live, user)
	c.ended = append(c.ended, user)
	slices.Sort(c.ended)
	return launch.Session{}, nil
}
