package launch

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// DoctorOptions are the options of Doctor.
type DoctorOptions struct {
	User string // the user of the job definition; their session, if any, goes on
	// Limit is the longest that Doctor takes; 0 is DefaultStartLimit. The job is ended
	// when it passes, and after an interrupt.
	Limit    time.Duration
	Progress func(words string)   // called when the words for the job's step change
	OnCheck  func(contract.Check) // called with every check as it is known
}

// doctorMinutes is the job's timeout: the limits of its checks are shorter together.
const doctorMinutes = 15

// Doctor runs `session doctor` in a job of its own, on a host of the stack, and returns
// its checks. No launcher takes that job for a session.
//
// It fails, beside the checks known by then, if the job ended early; and with
// *UnknownUser, *LimitPassed, *Denied and context.Canceled.
func (l *Launcher) Doctor(ctx context.Context, o DoctorOptions) ([]contract.Check, error) {
	if err := l.checkUser(o.User); err != nil {
		return nil, err
	}
	ctx, cancel := withLimit(ctx, o.Limit, DefaultStartLimit)
	defer cancel()
	d := &doctor{Launcher: l, DoctorOptions: o}
	err := d.run(ctx)
	if err != nil {
		d.tidy()
	}
	return d.checks, explainStop(ctx, err, o.User, "", d.waits)
}

// doctor is one run.
type doctor struct {
	*Launcher
	DoctorOptions
	id     string // the job's
	log    logCursor
	ended  *contract.Event
	checks []contract.Check
	waits  string // its step, in words
}

func (d *doctor) run(ctx context.Context) error {
	if err := d.submit(ctx); err != nil {
		return err
	}
	for quiet := 0; ; {
		j, err := d.describeOne(ctx, d.id)
		if err != nil {
			return err
		}
		if stream := j.latestStream(); stream != "" {
			d.log.stream = stream // the job has one attempt
		}
		if err := d.readChecks(ctx); err != nil {
			return err
		}
		if j.ended() {
			// A job without a stream has no lines.
			if quiet++; d.ended != nil || d.log.stream == "" || quiet > looksForLastLines {
				return d.judge(j)
			}
		} else if err := d.wait(ctx, j); err != nil {
			return err
		}
		if err := sleep(ctx, d.poll); err != nil {
			return err
		}
	}
}

// submit submits the job, for one attempt. If AWS's answer is lost, there may be a job
// that nobody waits for; it ends by itself.
func (d *doctor) submit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, submitLimit)
	defer cancel()
	out, err := d.batch.SubmitJob(ctx, &batch.SubmitJobInput{
		JobName:            aws.String(contract.DoctorName(d.stack.Stack, d.User)),
		JobQueue:           &d.stack.QueueARN,
		JobDefinition:      aws.String(d.stack.JobDefinitions[d.User]),
		Tags:               contract.JobTags(d.stack.Stack, d.User),
		PropagateTags:      aws.Bool(true),
		ContainerOverrides: &types.ContainerOverrides{Command: []string{contract.CommandDoctor}},
		RetryStrategy:      &types.RetryStrategy{Attempts: aws.Int32(1)},
		Timeout:            &types.JobTimeout{AttemptDurationSeconds: aws.Int32(doctorMinutes * 60)},
	}, func(o *batch.Options) { o.Retryer = aws.NopRetryer{} })
	if err == nil {
		d.id = aws.ToString(out.JobId)
	}
	return err
}

// wait reports the job's step if it is another.
func (d *doctor) wait(ctx context.Context, j job) error {
	now, err := d.queueStateFor(ctx, j)
	if err != nil {
		return err
	}
	_, text := currentStep(j, now, sessionLog{})
	if j.Status == types.JobStatusRunning {
		text = "the checks run"
	}
	if text != d.waits && d.Progress != nil {
		d.Progress(text)
	}
	d.waits = text
	return nil
}

// readChecks reads the lines that the job has written since.
func (d *doctor) readChecks(ctx context.Context) error {
	lines, err := d.readNewLines(ctx, &d.log)
	for _, line := range lines {
		switch event := line.event(); {
		case event.Event == contract.EventEnded:
			d.ended = &event
		case event.Event == contract.EventDoctor && event.Check != nil:
			d.checks = append(d.checks, *event.Check)
			if d.OnCheck != nil {
				d.OnCheck(*event.Check)
			}
		}
	}
	return err
}

// judge returns an error if the job ended early. A job that found a fault has it in its
// checks, and is FAILED too.
func (d *doctor) judge(j job) error {
	if d.ended != nil && len(d.checks) > 0 {
		return nil
	}
	return fmt.Errorf("the doctor's job %s ended early: %s", d.id, endReason(j, d.ended))
}

// tidy ends the job if it still runs: nobody else waits for it.
func (d *doctor) tidy() {
	if d.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = d.terminate(ctx, d.id, "nobody waits for the doctor any more")
}
