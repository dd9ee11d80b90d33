package outputs

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
)

// Values are what the stack exports, as far as it is not the same for every
// stack: the fields of Outputs by the same names.
type Values struct {
	Region            string
	QueueARN          pulumi.StringInput
	QueueName         pulumi.StringInput
	JobDefinitions    map[string]pulumi.StringOutput
	ImageURI          pulumi.StringInput
	RepositoryURL     pulumi.StringInput
	Ports             contract.PortRange
	SecurityGroupID   pulumi.StringInput
	CredentialsARNs   map[string]pulumi.StringOutput
	TeamTopicARN      pulumi.StringInput
	TopicARNs         map[string]pulumi.StringOutput
	LogGroup          pulumi.StringInput
	BuilderInstanceID pulumi.StringInput
	GameBuildsBucket  pulumi.StringInput
	LauncherPolicyARN pulumi.StringInput
}

// Export exports the stack's outputs under their stable names.
func Export(ctx *pulumi.Context, v Values) {
	for name, value := range map[string]pulumi.Input{
		"contractVersion":   pulumi.Int(contract.Version),
		"region":            pulumi.String(v.Region),
		"queueArn":          v.QueueARN,
		"queueName":         v.QueueName,
		"jobDefinitions":    pulumi.ToStringMapOutput(v.JobDefinitions),
		"imageUri":          v.ImageURI,
		"repositoryUrl":     v.RepositoryURL,
		"ports":             pulumi.IntMap{"first": pulumi.Int(v.Ports.First), "last": pulumi.Int(v.Ports.Last)},
		"securityGroupId":   v.SecurityGroupID,
		"credentialsArns":   pulumi.ToStringMapOutput(v.CredentialsARNs),
		"teamTopicArn":      v.TeamTopicARN,
		"topicArns":         pulumi.ToStringMapOutput(v.TopicARNs),
		"logGroup":          v.LogGroup,
		"builderInstanceId": v.BuilderInstanceID,
		"gameBuildsBucket":  v.GameBuildsBucket,
		"launcherPolicyArn": v.LauncherPolicyARN,
		"submitCommand": v.QueueName.ToStringOutput().ApplyT(func(queue string) string {
			return SubmitCommand(v.Region, queue, ctx.Stack(), v.somePlayer())
		}),
	} {
		ctx.Export(name, value)
	}
}

// somePlayer is the first user, for an example that works.
func (v Values) somePlayer() string {
	players := []string{}
	for name := range v.JobDefinitions {
		players = append(players, name)
	}
	if len(players) == 0 {
		return "NAME"
	}
	return slices.Min(players)
}

// OutputsOutput is an output of Outputs, for consumers that are Pulumi programs.
type OutputsOutput struct{ *pulumi.OutputState }

// ElementType is Outputs.
func (OutputsOutput) ElementType() reflect.Type { return reflect.TypeFor[Outputs]() }

func init() { pulumi.RegisterOutputType(OutputsOutput{}) }

// FromStack reads the outputs of a stack that another program refers to:
//
//	ref, err := pulumi.NewStackReference(ctx, "organization/dcv-sessions/dev", nil)
//	queue := outputs.FromStack(ref).ApplyT(func(o outputs.Outputs) string { return o.QueueARN }).(pulumi.StringOutput)
//
// It fails where Parse does.
func FromStack(ref *pulumi.StackReference) OutputsOutput {
	return ref.Outputs.ApplyT(func(all map[string]any) (Outputs, error) {
		text, err := json.Marshal(all)
		if err != nil {
			return Outputs{}, err
		}
		return Parse(text)
	}).(OutputsOutput)
}
