package gateway

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/mototest"
)

// fakeMachines record their calls; a test sets their states.
type fakeMachines struct {
	mu    sync.Mutex
	state map[string]string
	asked []string
}

func (f *fakeMachines) note(what, id, state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, what)
	f.state[id] = state
}

func (f *fakeMachines) State(_ context.Context, id string) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state[id], nil
}

func (f *fakeMachines) Start(id string, userData []byte) error {
	f.note("start "+string(userData), id, "running")
	return nil
}
func (f *fakeMachines) Stop(id string)   { f.note("stop", id, "stopping") }
func (f *fakeMachines) Remove(id string) { f.note("remove", id, "") }
func (f *fakeMachines) Online(id string) bool {
	state, _ := f.State(context.Background(), id)
	return state == "running"
}

func (f *fakeMachines) Run(ctx context.Context, _, script string) (Ran, error) {
	switch script {
	case "good":
		return Ran{Stdout: "yes"}, nil
	case "bad":
		return Ran{Code: 3, Stderr: "no"}, nil
	}
	<-ctx.Done()
	return Ran{}, ctx.Err()
}

// machinesOn is a gateway with machines, and an instance that moto runs.
func machinesOn(t *testing.T) (*fakeMachines, *ec2.Client, *ssm.Client, string) {
	t.Helper()
	f := &fakeMachines{state: map[string]string{}}
	moto := mototest.Moto(t)
	config := clientConfig(serve(t, Config{
		Upstream: moto, Registry: "127.0.0.1:1", StartID: "start-1",
		Behaviours: MachineBehaviours(moto, f, func() string { return "command-1" }),
	}))
	instances := ec2.NewFromConfig(config)
	images, err := instances.DescribeImages(t.Context(), &ec2.DescribeImagesInput{Owners: []string{"amazon"}})
	require.NoError(t, err)
	made, err := instances.RunInstances(t.Context(), &ec2.RunInstancesInput{
		ImageId: images.Images[0].ImageId, MinCount: aws.Int32(1), MaxCount: aws.Int32(1), UserData: aws.String("IyEvYmluL3No"),
	})
	require.NoError(t, err)
	return f, instances, ssm.NewFromConfig(config), *made.Instances[0].InstanceId
}

func TestAnInstanceIsAMachineOnceSomebodyNeedsIt(t *testing.T) {
	f, instances, manager, id := machinesOn(t)
	state := func() string {
		found, err := instances.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		require.NoError(t, err)
		return string(found.Reservations[0].Instances[0].State.Name)
	}
	online := func() int {
		found, err := manager.DescribeInstanceInformation(t.Context(), &ssm.DescribeInstanceInformationInput{
			Filters: []ssmtypes.InstanceInformationStringFilter{{Key: aws.String("InstanceIds"), Values: []string{id}}}})
		require.NoError(t, err)
		return len(found.InstanceInformationList)
	}
	one := []string{id}
	assert.Equal(t, "running", state(), "as moto has it")
	assert.Empty(t, f.asked, "nobody needs it")
	assert.Equal(t, 1, online())
	assert.Equal(t, []string{"start #!/bin/sh"}, f.asked, "by its own user data")

	_, err := instances.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: one})
	require.NoError(t, err)
	assert.Equal(t, "stopping", state(), "it takes its time")
	assert.Zero(t, online())
	_, err = instances.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: one})
	require.ErrorContains(t, err, "IncorrectInstanceState")
	f.note("is off", id, "stopped")
	assert.Equal(t, "stopped", state())
	assert.Zero(t, online())
	_, err = instances.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: one})
	require.NoError(t, err)
	f.note("powers itself off", id, "stopped")
	assert.Equal(t, "stopped", state(), "though moto does not know")
	assert.Zero(t, online(), "and is not started by who looks")
	_, err = instances.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: one})
	require.NoError(t, err)
	assert.Equal(t, string(ec2types.InstanceStateNameTerminated), state())
	assert.Equal(t, []string{"start #!/bin/sh", "stop", "is off", "start #!/bin/sh", "powers itself off", "remove"}, f.asked)
}

func TestCommandsEndInAWSsStates(t *testing.T) {
	f, _, manager, id := machinesOn(t)
	send := func(document, script string) error {
		_, err := manager.SendCommand(t.Context(), &ssm.SendCommandInput{
			DocumentName: &document, InstanceIds: []string{id}, Parameters: map[string][]string{"commands": {script}, "executionTimeout": {"1"}}})
		return err
	}
	require.ErrorContains(t, send("AWS-RunShellScript", "good"), "InvalidInstanceId", "it is not online")
	f.note("", id, "running")
	require.ErrorContains(t, send("AWS-RunPowerShellScript", "good"), "InvalidDocument")
	for script, want := range map[string]ssm.GetCommandInvocationOutput{
		"good":  {Status: "Success", ResponseCode: 0, StandardOutputContent: aws.String("yes"), StandardErrorContent: aws.String("")},
		"bad":   {Status: "Failed", ResponseCode: 3, StandardOutputContent: aws.String(""), StandardErrorContent: aws.String("no")},
		"hangs": {Status: "TimedOut", ResponseCode: -1, StandardOutputContent: aws.String(""), StandardErrorContent: aws.String("")},
	} {
		require.NoError(t, send("AWS-RunShellScript", script))
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			got, err := manager.GetCommandInvocation(context.Background(), &ssm.GetCommandInvocationInput{CommandId: aws.String("command-1"), InstanceId: &id})
			require.NoError(t, err)
			assert.Equal(t, want.Status, got.Status)
			assert.Equal(t, want.ResponseCode, got.ResponseCode)
			assert.Equal(t, want.StandardOutputContent, got.StandardOutputContent)
			assert.Equal(t, want.StandardErrorContent, got.StandardErrorContent)
		}, 20*time.Second, 100*time.Millisecond, script)
	}
	_, err := manager.GetCommandInvocation(t.Context(), &ssm.GetCommandInvocationInput{CommandId: aws.String("another"), InstanceId: &id})
	assert.ErrorContains(t, err, "InvocationDoesNotExist")
}
