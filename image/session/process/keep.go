package process

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// Restart is when a child that ended is started again: after First, doubled each
// time up to a minute, until it ended Limit times within Within.
type Restart struct {
	First  time.Duration
	Limit  int
	Within time.Duration
}

// after returns the wait before the next start, after a number of ends.
func (r Restart) after(ends int) time.Duration {
	wait := r.First
	for range ends - 1 {
		if wait *= 2; wait > time.Minute {
			return time.Minute
		}
	}
	return wait
}

// Patient is for parts that a session can miss for a moment.
var Patient = Restart{First: 200 * time.Millisecond, Limit: 5, Within: 2 * time.Minute}

// Kept is a child that is started again when it ends.
type Kept struct {
	command Command
	restart Restart
	onExit  func(Exit)

	failed chan error
	stop   context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex
	process *Process
}

// Keep starts a child and restarts it when it ends. onExit is called at each end; it may be
// nil.
func Keep(c Command, restart Restart, onExit func(Exit)) (*Kept, error) {
	p, err := Start(c)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	k := &Kept{command: c, restart: restart, onExit: onExit, failed: make(chan error, 1), stop: stop, ended: make(chan struct{}), process: p}
	go k.watch(ctx)
	return k, nil
}

// Failed receives one error, when the child is not restarted any more.
func (k *Kept) Failed() <-chan error { return k.failed }

// Process returns the present child.
func (k *Kept) Process() *Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.process
}

// Stop ends the child for good.
func (k *Kept) Stop(signal syscall.Signal, patience time.Duration) {
	k.stop()
	<-k.ended
	k.Process().Stop(signal, patience)
}

// watch is the child's life: it ends when Stop is called or the child is given up.
func (k *Kept) watch(ctx context.Context) {
	defer close(k.ended)
	var ends []time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.Process().Done():
		}
		exit := k.Process().Exit()
		if k.onExit != nil {
			k.onExit(exit)
		}
		ends = append(timesWithin(ends, k.restart.Within), time.Now())
		if len(ends) >= k.restart.Limit {
			k.failed <- fmt.Errorf("%s ended %d times within %s, at last with %s", k.command.Name, len(ends), k.restart.Within, exit)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(k.restart.after(len(ends))):
		}
		p, err := Start(k.command)
		if err != nil {
			k.failed <- err
			return
		}
		k.mu.Lock()
		k.process = p
		k.mu.Unlock()
	}
}

func timesWithin(times []time.Time, within time.Duration) []time.Time {
	for len(times) > 0 && time.Since(times[0]) > within {
		times = times[1:]
	}
	return times
}
