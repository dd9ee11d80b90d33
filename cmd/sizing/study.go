package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/components/compute/sizing"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
)

// launcher is the part of launch.Launcher that a study needs.
type launcher interface {
	Definition(ctx context.Context, user string) (launch.Definition, error)
	Password(ctx context.Context, user string) (contract.Credentials, error)
	List(context.Context, launch.ListOptions) ([]launch.Session, error)
	Start(ctx context.Context, user string, o launch.StartOptions) (launch.Session, error)
	Logs(ctx context.Context, user string, follow bool, out func(launch.LogLine)) error
	Show(ctx context.Context, user string) (launch.Session, error)
	End(ctx context.Context, user, reason string, o launch.EndOptions) (launch.Session, error)
}

// study is one run of the command.
type study struct {
	options
	stack    outputs.Outputs
	launcher launcher
	// play plays a session until ctx ends; an error says why it could not.
	play     func(context.Context, launch.Session, contract.Credentials) error
	progress io.Writer
	began    time.Time
	patience time.Duration // for a browser and for the last lines of a log

	mu         sync.Mutex // of progress
	definition launch.Definition
	passwords  map[string]contract.Credentials // by user
	hostType   string                          // of all hosts of the study
	measuring  bool                            // the first session has named hostType
}

// say prints a line of progress.
func (s *study) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.progress, format+"\n", args...)
}

// runAndWrite runs the study, and writes and prints its report if anything was measured.
func (s *study) runAndWrite(ctx context.Context, out io.Writer) error {
	r, err := s.run(ctx)
	if len(r.Levels) == 0 {
		return err
	}
	return errors.Join(err, r.write(cmp.Or(s.to, filepath.Join(".sandbox", "sizing-"+r.Stack)), out))
}

// run measures one session, then two at once, and so on, until the goal is missed or all
// users play. Beside an error it returns the report of the measurements before.
func (s *study) run(ctx context.Context) (Report, error) {
	if err := s.check(ctx); err != nil {
		return Report{}, err
	}
	r := Report{
		Stack: s.stack.Stack, Region: s.stack.Region, Image: s.stack.ImageURI, Began: s.began.UTC().Truncate(time.Second),
		FramesGoal: s.frames, WarmUpSeconds: s.warmUp.Seconds(), MeasuredSeconds: s.length.Seconds(), Levels: []Level{},
	}
	for n := 1; n <= len(s.users); n++ {
		l, err := s.level(ctx, s.users[:n])
		r.InstanceType = s.hostType // the first level finds it
		if err != nil {
			r.Stopped = fmt.Sprintf("with %s: %v", capacity.Counted(n, "session"), err)
			r.conclude(s.goal())
			return r, err
		}
		r.Levels = append(r.Levels, l)
		if l.Limit != "" {
			break
		}
	}
	r.conclude(s.goal())
	return r, nil
}

// goal has the stack's own prices, if it has any.
func (s *study) goal() sizing.Goal {
	g := sizing.Goal{Frames: s.frames, Prices: map[string]float64{}}
	for _, c := range s.stack.Capacity {
		g.Prices[c.InstanceType] = c.USDPerHour
	}
	return g
}
