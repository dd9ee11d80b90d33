package builder

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// EC2 is the part of EC2's client that the hooks use.
type EC2 interface {
	DescribeInstances(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error)
	StartInstances(context.Context, *ec2.StartInstancesInput, ...func(*ec2.Options)) (*ec2.StartInstancesOutput, error)
	StopInstances(context.Context, *ec2.StopInstancesInput, ...func(*ec2.Options)) (*ec2.StopInstancesOutput, error)
}

// SSM is the part of Systems Manager's client that the hooks need.
type SSM interface {
	DescribeInstanceInformation(context.Context, *ssm.DescribeInstanceInformationInput, ...func(*ssm.Options)) (*ssm.DescribeInstanceInformationOutput, error)
	SendCommand(context.Context, *ssm.SendCommandInput, ...func(*ssm.Options)) (*ssm.SendCommandOutput, error)
	GetCommandInvocation(context.Context, *ssm.GetCommandInvocationInput, ...func(*ssm.Options)) (*ssm.GetCommandInvocationOutput, error)
}

// machine is the builder's instance.
type machine struct {
	ec2 EC2
	ssm SSM
	id  string
	say func(format string, args ...any)
}

const (
	firstLook  = time.Second / 4  // from the first look to the second; each further wait is twice the last
	look       = 3 * time.Second  // from one look to the next, at most
	sayAgain   = 20 * time.Second // from one line of progress to the next
	runSeconds = 60               // of a command, at most
)

// ready starts the machine if it is stopped, and returns its host key when a build can
// begin.
func (m *machine) ready(ctx context.Context, a admission) (hostKey string, err error) {
	if err := m.await(ctx, "it runs", m.running); err != nil {
		return "", err
	}
	if err := m.await(ctx, "Systems Manager reaches it", m.online); err != nil {
		return "", err
	}
	err = m.await(ctx, "Docker answers", func(ctx context.Context) (bool, string, error) {
		told, why, err := m.run(ctx, a.script())
		hostKey = told
		return told != "", why, err
	})
	return hostKey, err
}

// await calls holds until it reports true; until then holds returns the present state.
func (m *machine) await(ctx context.Context, what string, holds func(context.Context) (yes bool, instead string, err error)) error {
	began, told, wait := time.Now(), time.Now(), firstLook
	for instead := "nothing is known yet"; ; wait = longer(wait) {
		yes, seen, err := holds(ctx)
		if yes {
			return nil
		}
		if ctx.Err() == nil && err != nil {
			return err
		}
		if err == nil {
			instead = seen
		}
		if time.Since(told) >= sayAgain {
			told = time.Now()
			m.say("waits until %s, for %s so far (%s)", what, time.Since(began).Round(time.Second), instead)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return fmt.Errorf("waited until %s, for %s (%s): %w", what, time.Since(began).Round(time.Second), instead, ctx.Err())
		}
	}
}

// longer returns the wait after another one.
func longer(wait time.Duration) time.Duration { return min(2*wait, look) }

// running reports whether the machine runs, and starts it if it is stopped.
func (m *machine) running(ctx context.Context) (bool, string, error) {
	found, err := m.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{m.id}})
	if err != nil {
		return false, "", err
	}
	if len(found.Reservations) == 0 || len(found.Reservations[0].Instances) == 0 {
		return false, "", errors.New("EC2 knows no such instance")
	}
	state := found.Reservations[0].Instances[0].State.Name
	switch state {
	case ec2types.InstanceStateNameRunning:
		return true, "", nil
	case ec2types.InstanceStateNamePending, ec2types.InstanceStateNameStopping: // a stopping one can't be started yet
		return false, string(state), nil
	case ec2types.InstanceStateNameStopped:
		m.say("starts")
		_, err := m.ec2.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{m.id}})
		return false, string(state), err
	}
	return false, "", fmt.Errorf("it is %s and can't be started", state)
}

func (m *machine) stop(ctx context.Context) error {
	_, err := m.ec2.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{m.id}})
	return err
}

// online reports whether Systems Manager's agent is connected.
func (m *machine) online(ctx context.Context) (bool, string, error) {
	found, err := m.ssm.DescribeInstanceInformation(ctx, &ssm.DescribeInstanceInformationInput{
		Filters: []ssmtypes.InstanceInformationStringFilter{{Key: aws.String("InstanceIds"), Values: []string{m.id}}},
	})
	if err != nil {
		return false, "", err
	}
	if len(found.InstanceInformationList) == 0 {
		return false, "its agent has not reported", nil
	}
	ping := found.InstanceInformationList[0].PingStatus
	return ping == ssmtypes.PingStatusOnline, "its agent is " + string(ping), nil
}

// run runs a script as root and returns its output. A failed script is not an error, but
// is reported: the machine may not be ready yet.
func (m *machine) run(ctx context.Context, script string) (output, failed string, err error) {
	sent, err := m.ssm.SendCommand(ctx, &ssm.SendCommandInput{
		DocumentName:   aws.String("AWS-RunShellScript"),
		InstanceIds:    []string{m.id},
		Comment:        aws.String("dcv-sessions: is the builder ready?"),
		Parameters:     map[string][]string{"commands": {script}, "executionTimeout": {fmt.Sprint(runSeconds)}},
		TimeoutSeconds: aws.Int32(runSeconds),
	})
	if gone := new(ssmtypes.InvalidInstanceId); errors.As(err, &gone) {
		return "", "its agent has gone again", nil
	}
	if err != nil {
		return "", "", err
	}
	for wait := firstLook; ; wait = longer(wait) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return "", "", ctx.Err()
		}
		got, err := m.ssm.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: sent.Command.CommandId, InstanceId: &m.id})
		if early := new(ssmtypes.InvocationDoesNotExist); errors.As(err, &early) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		switch got.Status {
		case ssmtypes.CommandInvocationStatusPending, ssmtypes.CommandInvocationStatusInProgress, ssmtypes.CommandInvocationStatusDelayed, ssmtypes.CommandInvocationStatusCancelling:
		case ssmtypes.CommandInvocationStatusSuccess:
			return strings.TrimSpace(aws.ToString(got.StandardOutputContent)), "", nil
		default:
			return "", lastLine(aws.ToString(got.StandardErrorContent), string(got.Status)), nil
		}
	}
}

// lastLine returns the last line of a script's output, which names the missing part.
func lastLine(text, otherwise string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return otherwise
}
