// Package pulumioutputs is the side of the outputs that needs Pulumi's SDK: how
// the stack exports them, and how another Pulumi program reads them. It is apart
// from package outputs so that a launcher or a website, which reads the outputs'
// JSON, does not compile Pulumi.
package pulumioutputs

import (
	"encoding/json"
	"reflect"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
)

// Values are what the stack exports, as far as it is not the same for every
// stack: the fields of outputs.Outputs by the same names.
type Values struct {
	Region            string
	QueueARN          pulumi.StringInput
	QueueName         pulumi.StringInput
	JobDefinitions    map[string]pulumi.StringOutput
	MaxSessions       int
	ImageURI          pulumi.StringInput
	RepositoryURL     pulumi.StringInput
	Ports             contract.PortRange
	SecurityGroupID   pulumi.StringInput
	HostImage         string
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
		"stack":             pulumi.String(ctx.Stack()),
		"region":            pulumi.String(v.Region),
		"queueArn":          v.QueueARN,
		"queueName":         v.QueueName,
		"jobDefinitions":    pulumi.ToStringMapOutput(v.JobDefinitions),
		"maxSessions":       pulumi.Int(v.MaxSessions),
		"imageUri":          v.ImageURI,
		"repositoryUrl":     v.RepositoryURL,
		"ports":             pulumi.IntMap{"first": pulumi.Int(v.Ports.First), "last": pulumi.Int(v.Ports.Last)},
		"securityGroupId":   v.SecurityGroupID,
		"hostImage":         pulumi.String(v.HostImage),
		"credentialsArns":   pulumi.ToStringMapOutput(v.CredentialsARNs),
		"teamTopicArn":      v.TeamTopicARN,
		"topicArns":         pulumi.ToStringMapOutput(v.TopicARNs),
		"logGroup":          v.LogGroup,
		"builderInstanceId": v.BuilderInstanceID,
		"gameBuildsBucket":  v.GameBuildsBucket,
		"launcherPolicyArn": v.LauncherPolicyARN,
		"submitCommand": v.QueueName.ToStringOutput().ApplyT(func(queue string) string {
			return outputs.SubmitCommand(v.Region, queue, ctx.Stack(), v.somePlayer())
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

// OutputsOutput is an output of outputs.Outputs, for consumers that are Pulumi programs.
type OutputsOutput struct{ *pulumi.OutputState }

// ElementType is outputs.Outputs.
func (OutputsOutput) ElementType() reflect.Type { return reflect.TypeFor[outputs.Outputs]() }

func init() { pulumi.RegisterOutputType(OutputsOutput{}) }

// FromStack reads the outputs of a stack that another program refers to:
//
//	ref, err := pulumi.NewStackReference(ctx, "organization/dcv-sessions/dev", nil)
//	queue := pulumioutputs.FromStack(ref).ApplyT(func(o outputs.Outputs) string { return o.QueueARN }).(pulumi.StringOutput)
//
// It fails where outputs.Parse does.
func FromStack(ref *pulumi.StackReference) OutputsOutput {
	return ref.Outputs.ApplyT(func(all map[string]any) (outputs.Outputs, error) {
		text, err := json.Marshal(all)
		if err != nil {
			return outputs.Outputs{}, err
		}
		return outputs.Parse(text)
	}).(OutputsOutput)
}
