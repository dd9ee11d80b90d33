package compute

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// Batch is the part of AWS Batch's client that the hook needs.
type Batch interface {
	DescribeComputeEnvironments(context.Context, *batch.DescribeComputeEnvironmentsInput, ...func(*batch.Options)) (*batch.DescribeComputeEnvironmentsOutput, error)
}

// HooksArgs are plain: nothing is called before a hook runs.
type HooksArgs struct {
	// Batch is the account's.
	Batch Batch
	// UpdateTimeoutMinutes is that of the environments.
	UpdateTimeoutMinutes int
}

const (
	// updateMargin is for ending the last jobs and their hosts after the timeout.
	updateMargin = 20 * time.Minute
	updateLook   = 5 * time.Second // from one look to the next
	updateSay    = 120             // looks from one line of progress to the next: ten minutes
)

// LongestUpdate returns how long an update that replaces hosts may take.
func LongestUpdate(updateTimeoutMinutes int) time.Duration {
	return time.Duration(updateTimeoutMinutes)*time.Minute + updateMargin
}

// Hooks returns the hooks of the compute environments. An update that replaces hosts lasts
// until the sessions on the old ones have ended or the update timeout has passed,
// and the provider gives up on it after 20 minutes. The hook then waits until
// it is over and has the engine repeat the update, which finds nothing left to do. It
// also waits for an update that an earlier, interrupted run began.
//
// Custom timeouts do not help: provider 5.82 declares no timeouts for this
// resource (internal/service/batch/compute_environment.go), and so Pulumi's bridge
// ignores them, with the warning "Resource does not support customTimeouts".
func Hooks(ctx *pulumi.Context, name string, args *HooksArgs) (*pulumi.ResourceHookBinding, error) {
	var f faults.Faults
	f.Required(args.Batch != nil, "batch", "a client of AWS Batch")
	checkUpdateTimeout(&f, "updateTimeoutMinutes", args.UpdateTimeoutMinutes)
	if err := f.Err("compute hooks"); err != nil {
		return nil, err
	}
	failed, err := ctx.RegisterErrorHook(name+"-updating", func(a *pulumi.ErrorHookArgs) (bool, error) {
		if ctx.DryRun() || a.FailedOperation != "update" {
			return false, nil
		}
		w := wait{HooksArgs: *args, environment: string(a.ID)}
		w.say = func(format string, args ...any) {
			_ = ctx.Log.Info(a.Name+": "+fmt.Sprintf(format, args...), nil) // a line that is lost fails nothing
		}
		updated, err := w.untilUpdated(ctx.Context())
		if err != nil { // an error of the hook's own would stand in the place of the update's
			_ = ctx.Log.Error(fmt.Sprintf("compute environment %s: %v", a.ID, err), nil)
		}
		return updated, nil
	})
	if err != nil {
		return nil, err
	}
	return &pulumi.ResourceHookBinding{OnError: []*pulumi.ErrorHook{failed}}, nil
}

// wait is for one environment.
type wait struct {
	HooksArgs
	environment string
	say         func(format string, args ...any)
}

// untilUpdated waits while the environment is UPDATING. It reports whether it is
// VALID after that; one that is not UPDATING at first failed for another reason.
func (w wait) untilUpdated(ctx context.Context) (bool, error) {
	longest := LongestUpdate(w.UpdateTimeoutMinutes)
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for looks := 0; ; looks++ {
		status, err := w.status(ctx)
		if err != nil {
			return false, err
		}
		if status != batchtypes.CEStatusUpdating {
			return looks > 0 && status == batchtypes.CEStatusValid, nil
		}
		if looks%updateSay == 0 {
			w.say("sessions still run on the hosts from before this update, which waits until they have ended: at most %s in all. New sessions start on new hosts",
				longest)
		}
		select {
		case <-time.After(updateLook):
		case <-ctx.Done():
			return false, fmt.Errorf("it is still UPDATING: %w", ctx.Err())
		}
	}
}

func (w wait) status(ctx context.Context) (batchtypes.CEStatus, error) {
	found, err := w.Batch.DescribeComputeEnvironments(ctx, &batch.DescribeComputeEnvironmentsInput{ComputeEnvironments: []string{w.environment}})
	if err != nil {
		return "", err
	}
	if len(found.ComputeEnvironments) == 0 {
		return "", errors.New("AWS Batch knows no such environment")
	}
	return found.ComputeEnvironments[0].Status, nil
}
