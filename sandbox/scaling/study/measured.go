package study

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/sandbox/measure"
	"github.com/intraverse/dcv-sessions/sandbox/scaling"
)

// The real run: the evening of a day that takes four minutes asks for more hosts than
// there may be, so sessions wait for hosts that start and for sessions that end.
const (
	sessions = 200
	places   = 16
	dayTakes = 4 * time.Minute
	hostIdle = time.Minute // the sandbox's
	alone    = 12          // sessions one after the other, for the time of a start
)

var load = scaling.Load{Sessions: sessions, Curve: scaling.Evening, Length: scaling.Spread{Mean: 11 * time.Second, Variation: 0.6}}

// measureReal runs the sessions in the sandbox and writes the times that DescribeJobs shows.
func measureReal(ctx context.Context, file string) error {
	return measure.Take(ctx, func(ctx context.Context, m *measure.Measurement) error {
		measured := scaling.Measured{Day: time.Now().UTC().Format(time.DateOnly), Cores: runtime.NumCPU(), Places: places, HostIdle: hostIdle.Seconds()}
		if err := m.Progress.Step("a session's start, measured alone", "measured", func() error { return starts(ctx, m, &measured) }); err != nil {
			return err
		}
		if err := m.Progress.Step("200 sessions in four minutes", "measured", func() error { return crowd(ctx, m, &measured) }); err != nil {
			return err
		}
		text, err := json.MarshalIndent(measured, "", "\t")
		if err != nil {
			return err
		}
		return os.WriteFile(file, append(text, '\n'), 0o644)
	})
}

// starts measures the start of a host, and those of containers on a host that is there.
func starts(ctx context.Context, m *measure.Measurement, measured *scaling.Measured) error {
	q, err := m.NewQueue(ctx, 1)
	if err != nil {
		return err
	}
	var ids []string
	for i := range alone + 1 {
		id, err := q.Submit(ctx, time.Second)
		if err == nil {
			err = q.Await(ctx, types.JobStatusSucceeded, i+1)
		}
		if err != nil {
			return errors.Join(err, q.Remove(ctx))
		}
		ids = append(ids, id)
	}
	ended, err := outcomes(ctx, q, ids)
	if err != nil {
		return errors.Join(err, q.Remove(ctx))
	}
	for _, s := range ended[1:] {
		measured.Starts = append(measured.Starts, s.Wait)
	}
	slices.Sort(measured.Starts)
	measured.HostStart = rounded(ended[0].Wait - measured.Starts[alone/2]) // the first one waited for a host
	return q.Remove(ctx)
}

// crowd submits the sessions as planned, and waits until all have ended.
func crowd(ctx context.Context, m *measure.Measurement, measured *scaling.Measured) error {
	q, err := m.NewQueue(ctx, places)
	if err != nil {
		return err
	}
	ids, err := submit(ctx, q, load.Compressed(dayTakes, 1))
	if err == nil {
		err = q.Await(ctx, types.JobStatusSucceeded, sessions)
	}
	if err == nil {
		measured.Sessions, err = outcomes(ctx, q, ids)
	}
	return errors.Join(err, q.Remove(ctx))
}

func submit(ctx context.Context, q *measure.Queue, planned []scaling.Session) ([]string, error) {
	var ids []string
	for began := time.Now(); len(ids) < len(planned); {
		next := planned[len(ids)]
		select {
		case <-time.After(time.Until(began.Add(next.At))):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		id, err := q.Submit(ctx, next.Length.Round(time.Millisecond))
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// outcomes returns the times of jobs that have ended.
func outcomes(ctx context.Context, q *measure.Queue, ids []string) ([]scaling.MeasuredSession, error) {
	jobs, err := q.Jobs(ctx, ids)
	if err != nil {
		return nil, err
	}
	var list []scaling.MeasuredSession
	for _, j := range jobs {
		list = append(list, scaling.MeasuredSession{
			At: millis(*j.CreatedAt - *jobs[0].CreatedAt), Length: millis(*j.StoppedAt - *j.StartedAt), Wait: millis(*j.StartedAt - *j.CreatedAt),
		})
	}
	return list, nil
}

func millis(ms int64) float64 { return float64(ms) / 1000 }

// rounded gives a difference of milliseconds no more digits than it has.
func rounded(seconds float64) float64 {
	return millis(time.Duration(seconds * float64(time.Second)).Round(time.Millisecond).Milliseconds())
}
