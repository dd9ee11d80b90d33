package compute_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/batch"
	batchtypes "github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/compute"
)

// service is AWS Batch with one environment, which is UPDATING for some time.
type service struct {
	updatedAt time.Time
	then      batchtypes.CEStatus
	asked     []string
	err       error
}

func (s *service) DescribeComputeEnvironments(_ context.Context, in *batch.DescribeComputeEnvironmentsInput, _ ...func(*batch.Options)) (*batch.DescribeComputeEnvironmentsOutput, error) {
	s.asked = in.ComputeEnvironments
	status := s.then
	if time.Now().Before(s.updatedAt) {
		status = batchtypes.CEStatusUpdating
	}
	return &batch.DescribeComputeEnvironmentsOutput{ComputeEnvironments: []batchtypes.ComputeEnvironmentDetail{{Status: status}}}, s.err
}

// failed has an operation fail, and calls the error hook as the engine does then,
// on a clock that moves when everything waits.
func failed(t *testing.T, mode componenttest.Mode, s *service, updating time.Duration, operation string) (again bool, waited time.Duration) {
	t.Helper()
	var bound *pulumi.ResourceHookBinding
	componenttest.Execute(t, mode, func(ctx *pulumi.Context) (err error) {
		bound, err = compute.Hooks(ctx, "hosts", &compute.HooksArgs{Batch: s, UpdateTimeoutMinutes: 300})
		return err
	}).Must(t)
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		s.updatedAt = began.Add(updating)
		var err error
		again, err = bound.OnError[0].Callback(&pulumi.ErrorHookArgs{ID: "hosts-0a1b2c", Name: "hosts", FailedOperation: operation,
			Errors: []string{"timeout while waiting for state to become 'VALID' (last state: 'UPDATING', timeout: 20m0s)"}})
		require.NoError(t, err, "it would stand in the place of the update's")
		waited = time.Since(began)
	})
	return again, waited
}

// The provider gives up after 20 minutes, whatever custom timeout it is given.
func TestAnUpdateThatTheProviderGivesUpOnIsWaitedForAndRepeated(t *testing.T) {
	s := &service{then: batchtypes.CEStatusValid}
	again, waited := failed(t, componenttest.Update, s, 280*time.Minute, "update")
	assert.True(t, again)
	assert.InDelta(t, 280, waited.Minutes(), 1)
	assert.Equal(t, []string{"hosts-0a1b2c"}, s.asked)
}

func TestAnUpdateIsNotRepeatedForAnyOtherReason(t *testing.T) {
	for name, test := range map[string]struct {
		mode      componenttest.Mode
		operation string
		service   service
		updating  time.Duration
		waits     time.Duration
	}{
		"AWS refused it":            {componenttest.Update, "update", service{then: batchtypes.CEStatusValid}, 0, 0},
		"it led nowhere":            {componenttest.Update, "update", service{then: batchtypes.CEStatusInvalid}, time.Hour, time.Hour},
		"AWS does not answer":       {componenttest.Update, "update", service{err: errors.New("no rights")}, time.Hour, 0},
		"it never ends":             {componenttest.Update, "update", service{}, 1000 * time.Hour, compute.LongestUpdate(300)},
		"it was no update":          {componenttest.Update, "delete", service{then: batchtypes.CEStatusValid}, time.Hour, 0},
		"a preview changed nothing": {componenttest.Preview, "update", service{then: batchtypes.CEStatusValid}, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			again, waited := failed(t, test.mode, &test.service, test.updating, test.operation)
			assert.False(t, again)
			assert.InDelta(t, test.waits.Minutes(), waited.Minutes(), 1)
		})
	}
}

func TestEveryEnvironmentHasTheHook(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
			args := goodArgs()
			args.Spot = true
			args.InstanceTypes = append(args.InstanceTypes, "g5.2xlarge")
			var err error
			if args.Hooks, err = compute.Hooks(ctx, "hosts", &compute.HooksArgs{Batch: &service{}, UpdateTimeoutMinutes: 300}); err != nil {
				return err
			}
			_, err = compute.NewCompute(ctx, "hosts", &args)
			return err
		}).Must(t)
		for _, made := range r.OfType(environment) {
			assert.Equal(t, []string{"hosts-updating"}, made.Hooks, made.Name)
		}
	})
}

func TestTheHooksArgumentsAreChecked(t *testing.T) {
	r := componenttest.Execute(t, componenttest.Preview, func(ctx *pulumi.Context) error {
		_, err := compute.Hooks(ctx, "hosts", &compute.HooksArgs{UpdateTimeoutMinutes: 361})
		return err
	})
	require.Error(t, r.Err)
	assert.ErrorContains(t, r.Err, `batch is not set; allowed: a client of AWS Batch`)
	assert.ErrorContains(t, r.Err, "updateTimeoutMinutes is 361; allowed: a whole number from 1 to 360")
}
