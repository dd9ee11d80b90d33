package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/components/compute/sizing"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

// level measures sessions of some users at once, and ends them.
func (s *study) level(ctx context.Context, users []string) (l Level, err error) {
	share := s.share(len(users))
	l = Level{Sessions: len(users), VCPUs: share.VCPUs, MemoryMiB: share.MemoryMiB}
	s.say("%s: starting, each with %s and %d MiB", capacity.Counted(l.Sessions, "session"), capacity.Counted(share.VCPUs, "vCPU"), share.MemoryMiB)
	sessions, ended, err := s.start(ctx, users, share)
	defer func() { err = errors.Join(err, s.end(ctx, sessions)) }()
	m := newMeter(s, users)
	if ended == nil && err == nil {
		if l.Host, err = s.host(sessions); err == nil {
			ended, err = s.measure(ctx, sessions, m)
		}
	}
	if err != nil {
		return l, err
	}
	l.Played, l.Ended = m.played(sessions), ended
	if ended == nil && len(l.measured().Usage) == 0 {
		return l, fmt.Errorf("no measurement came from %s", strings.Join(m.silent(), ", "))
	}
	l.Result, err = sizing.Judge(s.hostType, l.measured(), s.goal())
	return l, err
}

// start starts sessions and waits until all are ready. It returns those that it started,
// beside an error too. A session that ran out of memory is no error.
func (s *study) start(ctx context.Context, users []string, share launch.Resources) (begun []launch.Session, ended *Ended, err error) {
	sessions := make([]launch.Session, len(users))
	all, ctx := errgroup.WithContext(ctx)
	for i, user := range users {
		all.Go(func() (err error) {
			sessions[i], err = s.launcher.Start(ctx, user, launch.StartOptions{
				Wait: true, Limit: s.limit, Reserve: share,
				Progress: func(step launch.Step) { s.say("  %-10s %s", user, step.Words) },
			})
			if err == nil && !sessions[i].New {
				err = fmt.Errorf("%s began to play meanwhile", user)
			}
			return err
		})
	}
	err = all.Wait()
	for _, session := range sessions {
		if session.New {
			begun = append(begun, session)
		}
		if session.OutOfMemory {
			ended = endedBy(session)
		}
	}
	if ended != nil && errors.As(err, new(*launch.Failed)) {
		err = nil
	}
	return begun, ended, err
}

// host returns the host of the sessions, by its ARN. It is an error if they have several,
// or one of another size than theirs was divided by.
func (s *study) host(sessions []launch.Session) (string, error) {
	var hosts []string
	for _, session := range sessions {
		hosts = append(hosts, session.Host)
	}
	slices.Sort(hosts)
	switch hosts = slices.Compact(hosts); {
	case hosts[0] == "":
		return "", errors.New("AWS Batch names no host of a session that runs")
	case len(hosts) > 1:
		return "", fmt.Errorf("they are on %d hosts (%s), and a host is measured. Does somebody else play on the stack, or does compute.minVcpus hold several hosts ready? "+
			"Try it again with one host, or none", len(hosts), strings.Join(hosts, ", "))
	}
	for _, session := range sessions {
		if err := s.checkType(session.InstanceType); err != nil {
			return "", err
		}
	}
	return hosts[0], nil
}

// checkType checks the host's instance type. Another one than was expected is as good if
// its size is the same.
func (s *study) checkType(actual string) error {
	if actual == "" {
		actual = s.instanceType // the image is of an earlier release
	}
	expected, found := capacity.InstanceTypes[s.hostType], capacity.InstanceTypes[actual]
	switch {
	case actual == "":
		return errors.New("the session does not name its host's instance type, since its image is of an earlier release: name the type by -type")
	case expected.VCPUs != found.VCPUs || expected.MemoryForContainers() != found.MemoryForContainers() || expected.GPUs != found.GPUs:
		return fmt.Errorf("the host is a %s, and the sessions have parts of a %s: name the type that AWS has, by -type %s", actual, s.hostType, actual)
	case s.measuring && actual != s.hostType:
		return fmt.Errorf("the host is a %s, and that of the sessions before was a %s: set compute.instanceTypes to one of them", actual, s.hostType)
	}
	s.hostType, s.measuring = actual, true
	return nil
}

// endLooks is how long AWS Batch may take to know that a session ended whose player has
// lost it.
const endLooks = 30 * time.Second

// measure plays the sessions until each is measured for long enough. It returns the
// session that ended by itself, if one did.
func (s *study) measure(ctx context.Context, sessions []launch.Session, m *meter) (*Ended, error) {
	ctx, stop := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	type news struct {
		user string
		err  error
	}
	over, lost := make(chan news, len(sessions)), make(chan news, len(sessions))
	for _, session := range sessions {
		all.Go(func() {
			lost <- news{session.User, cmp.Or(s.play(ctx, session, s.passwords[session.User]), errStopped)}
		})
		all.Go(func() {
			over <- news{session.User, s.launcher.Logs(ctx, session.User, true, func(line launch.LogLine) { m.add(session.User, line) })}
		})
	}
	late, fault := time.After(s.warmUp+2*s.length+s.patience), error(nil)
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("interrupted: %w", ctx.Err())
		case <-m.full:
			return nil, nil
		case user := <-m.again:
			return nil, fmt.Errorf("the session of %s lost its host and was started again", user)
		case n := <-lost: // perhaps since its session ended
			if fault == nil {
				fault, late = fmt.Errorf("%s is not played any more: %w", n.user, n.err), time.After(min(endLooks, s.patience))
			}
		case n := <-over:
			if n.err != nil {
				return nil, n.err
			}
			session, err := s.launcher.Show(ctx, n.user)
			return endedBy(session), err
		case <-late:
			return nil, fault // without one there are measurements, if too few
		}
	}
}

var errStopped = errors.New("its browser has stopped")

// endedBy describes a session that ended by itself.
func endedBy(session launch.Session) *Ended {
	return &Ended{User: session.User, JobID: session.JobID, Reason: session.Reason, OutOfMemory: session.OutOfMemory}
}

// end ends the sessions, after an interrupt too.
func (s *study) end(ctx context.Context, sessions []launch.Session) error {
	ctx = context.WithoutCancel(ctx)
	errs := make([]error, len(sessions))
	var all sync.WaitGroup
	for i, session := range sessions {
		all.Go(func() {
			_, err := s.launcher.End(ctx, session.User, "the measurement is over", launch.EndOptions{})
			if err != nil && !errors.Is(err, launch.ErrNoSession) {
				errs[i] = fmt.Errorf("the session of %s (job %s) goes on: %w", session.User, session.JobID, err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// limit returns the resource because of which the session ended.
func (e *Ended) limit() string {
	switch {
	case e == nil:
		return ""
	case e.OutOfMemory:
		return contract.LimitMemory
	}
	return sizing.LimitFaults
}
