package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/launch"
	batchhost "github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/measure"
)

// sessions measures a session from its submission until it is ready: on a host that
// has to start first, and on one that is there.
func sessions(ctx context.Context, b *measure.Measurement) error {
	out, err := b.StackOutputs(ctx)
	if err != nil {
		return err
	}
	launcher, err := launch.New(b.AWS(), out, launch.WithPoll(100*time.Millisecond))
	if err != nil {
		return err
	}
	if err := takeHosts(ctx, b); err != nil {
		return err
	}
	const user = "player1"
	for _, host := range []string{"on a new host (2 s here, minutes on AWS)", "on a running host"} {
		var s launch.Session
		began := time.Now()
		err := b.Progress.Step("session "+host, "measured", func() (err error) {
			s, err = launcher.Start(ctx, user, launch.StartOptions{Wait: true})
			return err
		})
		if err != nil {
			return err
		}
		b.Add("submission to ready, "+host, s.Took(), "%.1f s", time.Since(began).Seconds())
		if _, err := launcher.End(ctx, user, "measured", launch.EndOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// takeHosts leaves no host that another session has started.
func takeHosts(ctx context.Context, b *measure.Measurement) error {
	list, err := batchhost.ReadHosts(ctx, b.Cloud)
	if err != nil {
		return err
	}
	for _, h := range list {
		if _, err := batchhost.TakeHost(ctx, b.Cloud, h.ID); err != nil {
			return err
		}
	}
	return nil
}

// The crowd: as many jobs, on hosts for so many at a time.
const (
	crowd     = 200
	places    = 20
	longJob   = 20 * time.Second
	shortJob  = time.Second
	observing = 8 * time.Second
)

// queued measures the cost of waiting, and how fast a queue of the smallest possible jobs
// is worked off.
func queued(ctx context.Context, b *measure.Measurement) error {
	q, err := b.NewQueue(ctx, places)
	if err != nil {
		return err
	}
	var waiting time.Duration
	var drained time.Duration
	err = b.Progress.Step(fmt.Sprintf("%d sessions at once on hosts for %d", crowd, places), "measured", func() error {
		if err := submit(ctx, q, places, longJob); err != nil {
			return err
		}
		if err := q.Await(ctx, types.JobStatusRunning, places); err != nil {
			return err
		}
		if err := submit(ctx, q, crowd-places, shortJob); err != nil {
			return err
		}
		if waiting, err = gatewayCPU(b, observing); err != nil {
			return err
		}
		if err := q.Await(ctx, types.JobStatusSucceeded, places); err != nil {
			return err
		}
		began := time.Now()
		err := q.Await(ctx, types.JobStatusSucceeded, crowd)
		drained = time.Since(began)
		return err
	})
	if err != nil {
		return errors.Join(err, q.Remove(ctx))
	}
	short := crowd - places
	ideal := shortJob * time.Duration(short/places)
	b.Add("time of a queue to the least possible", fmt.Sprintf("%d sessions of %s each, %d at a time, %.1f s to %.1f s if containers started and ended in no time", short, shortJob, places, drained.Seconds(), ideal.Seconds()),
		"%.2f", drained.Seconds()/ideal.Seconds())
	b.Add("processor time of waiting", fmt.Sprintf("the gateway's, of one core, with %d sessions waiting and %d running, over %s; goal: 0", short, places, observing), "%.1f %%",
		100*waiting.Seconds()/observing.Seconds())
	return q.Remove(ctx)
}

func submit(ctx context.Context, q *measure.Queue, count int, length time.Duration) error {
	for range count {
		if _, err := q.Submit(ctx, length); err != nil {
			return err
		}
	}
	return nil
}

// gatewayCPU returns how much processor time the gateway takes within a while.
func gatewayCPU(b *measure.Measurement, while time.Duration) (time.Duration, error) {
	i := slices.IndexFunc(b.Cloud.Processes, func(p local.Process) bool { return p.Name == "gateway" })
	if i < 0 {
		return 0, errors.New("there is no gateway")
	}
	before, err := processorTime(b.Cloud.Processes[i].PID)
	if err != nil {
		return 0, err
	}
	time.Sleep(while)
	after, err := processorTime(b.Cloud.Processes[i].PID)
	return after - before, err
}

// processorTime reads utime and stime of /proc/PID/stat (proc(5)), in ticks of
// 10 ms.
func processorTime(pid int) (time.Duration, error) {
	stat, err := local.Stat(pid)
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, field := range stat[11:13] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(ticks) * 10 * time.Millisecond
	}
	return sum, nil
}
