package pulumioutputs

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
)

// export runs Export as a program and returns the exported outputs as JSON.
func export(t *testing.T, values Values) []byte {
	t.Helper()
	exported, err := exports(func(ctx *pulumi.Context) error {
		Export(ctx, values)
		return nil
	}, nil)
	require.NoError(t, err)
	text, err := json.Marshal(exported)
	require.NoError(t, err)
	return text
}

// exports runs a program against a stack with these outputs and returns its own.
func exports(program pulumi.RunFunc, referred map[string]any) (exported map[string]any, err error) {
	err = pulumi.RunErr(func(ctx *pulumi.Context) error {
		if err := program(ctx); err != nil {
			return err
		}
		ctx.Export("all", pulumi.Map(ctx.GetCurrentExportMap()).ToMapOutput().ApplyT(func(all map[string]any) int {
			exported = all
			return len(all)
		}))
		return nil
	}, pulumi.WithMocks("dcv-sessions", "dev", stackMock{referred}))
	return exported, err
}

// stackMock answers a StackReference.
type stackMock struct{ outputs map[string]any }

func (stackMock) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }

func (m stackMock) NewResource(args pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	return args.Name, resource.NewPropertyMapFromMap(map[string]any{"name": args.Name, "outputs": m.outputs}), nil
}

func values() Values {
	s := func(text string) pulumi.StringOutput { return pulumi.String(text).ToStringOutput() }
	return Values{
		Region: "us-east-1", QueueARN: s("arn:queue"), QueueName: s("queue-1"),
		JobDefinitions: map[string]pulumi.StringOutput{"bob": s("dcv-sessions_dev_bob"), "alice": s("dcv-sessions_dev_alice")},
		MaxSessions:    72, Capacity: capacity(),
		ImageURI: s("repo@sha256:1"), RepositoryURL: s("repo"), Ports: contract.PortRange{First: 8443, Last: 8446},
		SecurityGroupID: s("sg-1"), CredentialsARNs: map[string]pulumi.StringOutput{"alice": s("arn:a"), "bob": s("arn:b")},
		TeamTopicARN: s("arn:team"), TopicARNs: map[string]pulumi.StringOutput{"alice": s("arn:t")}, LogGroup: s("/log"),
		DashboardName: s("sessions"), DashboardURL: s("https://console"),
		BuilderInstanceID: s("i-1"), GameBuildsBucket: s("builds"), LauncherPolicyARN: s("arn:launcher"),
	}
}

func capacity() []contract.HostCapacity {
	return []contract.HostCapacity{
		{InstanceType: "g5.xlarge", GPUModel: "A10G", GPUs: 1, GPUMemoryMiB: 22888, SessionsPerHost: 4, Limits: []string{contract.LimitVCPUs, contract.LimitMemory},
			MaxSessions: 64, USDPerHour: 1.006, USDPerSessionHour: 0.2515, IdleUSDPerHour: 2.012, Price: "compute.prices"},
		{InstanceType: "g6.2xlarge", GPUModel: "L4", GPUs: 1, GPUMemoryMiB: 22888, SessionsPerHost: 1, Limits: []string{contract.LimitGPUs}, MaxSessions: 8, USDPerHour: 0.9776, USDPerSessionHour: 0.9776},
	}
}

func TestWhatAStackExportsIsWhatAConsumerReads(t *testing.T) {
	text := export(t, values())
	read, err := outputs.Parse(text)
	require.NoError(t, err)
	assert.Equal(t, outputs.Outputs{
		ContractVersion: contract.Version, Stack: "dev", Region: "us-east-1", QueueARN: "arn:queue", QueueName: "queue-1",
		JobDefinitions: map[string]string{"alice": "dcv-sessions_dev_alice", "bob": "dcv-sessions_dev_bob"},
		MaxSessions:    72, Capacity: capacity(),
		ImageURI: "repo@sha256:1", RepositoryURL: "repo", Ports: contract.PortRange{First: 8443, Last: 8446},
		SecurityGroupID: "sg-1", CredentialsARNs: map[string]string{"alice": "arn:a", "bob": "arn:b"},
		TeamTopicARN: "arn:team", TopicARNs: map[string]string{"alice": "arn:t"}, LogGroup: "/log",
		DashboardName: "sessions", DashboardURL: "https://console",
		BuilderInstanceID: "i-1", GameBuildsBucket: "builds", LauncherPolicyARN: "arn:launcher",
		SubmitCommand: `PLAYER=alice; aws batch submit-job --region us-east-1 --job-queue queue-1 --job-name "dcv-sessions_dev_$PLAYER"` +
			` --job-definition "dcv-sessions_dev_$PLAYER"` +
			` --tags "dcv-sessions:project=dcv-sessions,dcv-sessions:stack=dev,dcv-sessions:user=$PLAYER" --propagate-tags`,
	}, read)

	var exported map[string]any
	require.NoError(t, json.Unmarshal(text, &exported))
	var names []string
	for name := range exported {
		names = append(names, name)
	}
	slices.Sort(names)
	declared := slices.Sorted(slices.Values(outputs.NewSchema().Required))
	assert.Equal(t, declared, names, "nothing is exported that is not documented, and all that is")
}

func TestAPulumiProgramReadsAStackByReference(t *testing.T) {
	var referred map[string]any
	require.NoError(t, json.Unmarshal(export(t, values()), &referred))
	exported, err := exports(func(ctx *pulumi.Context) error {
		ref, err := pulumi.NewStackReference(ctx, "organization/dcv-sessions/dev", nil)
		if err != nil {
			return err
		}
		ctx.Export("queue", FromStack(ref).ApplyT(func(o outputs.Outputs) string { return o.QueueARN }))
		return nil
	}, referred)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"queue": "arn:queue"}, exported)
}

func TestAStackWithoutUsersStillShowsHowToSubmit(t *testing.T) {
	v := values()
	v.JobDefinitions = nil
	read, err := outputs.Parse(export(t, v))
	require.NoError(t, err)
	assert.Contains(t, read.SubmitCommand, "PLAYER=NAME;")
}
