package launch_test

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/branding"
	"github.com/intraverse/dcv-sessions/image/session/door"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/life"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// stream appends the lines that a session writes to its job's log.
type stream struct {
	c *cloud
	j *fakeJob
}

func (s stream) Write(line []byte) (int, error) {
	s.c.with(func() { s.c.streams[s.j.stream] = append(s.c.streams[s.j.stream], string(line)) })
	return len(line), nil
}

// run plays a job's container: a session's real door, life and events, without a display
// or a game. It is called under the cloud's lock.
func (c *cloud) run(t *testing.T, j *fakeJob) {
	j.status, j.stream, j.started = "RUNNING", "alice/default/"+j.id, j.created+1
	c.streams[j.stream] = nil
	loopback := netip.MustParseAddr("127.0.0.1")
	look, err := branding.Load("../image/branding")
	assert.NoError(t, err)
	certificate, err := door.SelfSigned(loopback)
	assert.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if !assert.NoError(t, err) {
		return
	}
	board, asked := &status.Board{}, make(chan string, 1)
	front, err := door.New(door.Config{
		Certificate: certificate, Session: j.id, Credentials: contract.Credentials{Username: "alice", Password: "p"}, Branding: look, Board: board, Address: listener.Addr().String(),
		End: door.NewEnder(door.EnderConfig{Session: j.id, Stack: "dev", Endpoint: c.URL, TaskMetadata: c.URL + "/v4/1"}, asked),
	})
	if !assert.NoError(t, err) {
		return
	}
	log := events.New(stream{c, j}, contract.Event{Session: j.id, Stack: "dev", User: "alice"})
	session := &life.Session{
		Limits: contract.Limits{FirstConnect: time.Hour, Grace: time.Hour, Max: time.Hour, Stop: 10 * time.Second},
		Ready: func() {
			log.Write(contract.Event{
				Event: contract.EventReady, Certificate: door.Fingerprint(certificate),
				URL: door.URL(loopback, listener.Addr().(*net.TCPAddr).Port, ""),
			})
		},
		Players: front.Players(), Asked: asked, Board: board, Write: log.Write,
		Save: func(context.Context) {}, Close: func(ctx context.Context) { _ = front.Close(ctx) },
	}
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	t.Cleanup(func() { stop(); <-over })
	go func() { _ = front.Serve(listener) }() // until its end
	go func() {
		defer close(over)
		log.Write(contract.Event{Event: contract.EventStarting})
		end := session.Live(ctx)
		log.Write(contract.Event{Event: contract.EventEnded, Reason: end.Reason, ExitCode: &end.Code})
		c.with(func() {
			j.status, j.exit = "FAILED", &end.Code
			if end.Code == contract.ExitOK {
				j.status = "SUCCEEDED"
			}
			j.endAttempt("Essential container in task exited")
		})
	}()
}
