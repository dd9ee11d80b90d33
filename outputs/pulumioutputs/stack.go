// Package pulumioutputs exports a stack's outputs, and reads them in another Pulumi
// program. It is apart from package outputs so that a launcher or a website, which
// reads the outputs' JSON, does not compile Pulumi's SDK.
package pulumioutputs

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
)

// Values are the values that a stack exports. Export itself sets ContractVersion,
// Stack and SubmitCommand.
type Values = outputs.Fields[pulumi.StringOutput]

// Export exports the stack's outputs under their stable names: the json tags of
// outputs.Fields.
func Export(ctx *pulumi.Context, v Values) {
	v.ContractVersion, v.Stack = contract.Version, ctx.Stack()
	v.SubmitCommand = v.QueueName.ApplyT(func(queue string) string {
		return outputs.SubmitCommand(v.Region, queue, v.Stack, somePlayer(v.JobDefinitions))
	}).(pulumi.StringOutput)
	for name, value := range inputs(reflect.ValueOf(v)) {
		ctx.Export(name, value)
	}
}

// inputs returns a struct's fields as Pulumi takes them, by their json tags.
func inputs(fields reflect.Value) pulumi.Map {
	all := pulumi.Map{}
	for i := range fields.NumField() {
		all[fields.Type().Field(i).Tag.Get("json")] = input(fields.Field(i))
	}
	return all
}

func input(field reflect.Value) pulumi.Input {
	switch value := field.Interface().(type) {
	case int:
		return pulumi.Int(value)
	case float64:
		return pulumi.Float64(value)
	case string:
		return pulumi.String(value)
	case map[string]pulumi.StringOutput:
		return pulumi.ToStringMapOutput(value)
	case pulumi.StringOutput:
		return value
	}
	if field.Kind() != reflect.Slice {
		return inputs(field)
	}
	list := make(pulumi.Array, field.Len())
	for i := range list {
		list[i] = input(field.Index(i))
	}
	return list
}

// somePlayer returns a user's name for SubmitCommand's example.
func somePlayer(jobDefinitions map[string]pulumi.StringOutput) string {
	if len(jobDefinitions) == 0 {
		return "NAME"
	}
	return slices.Min(slices.Collect(maps.Keys(jobDefinitions)))
}

// OutputsOutput is a Pulumi output of outputs.Outputs.
type OutputsOutput struct{ *pulumi.OutputState }

// ElementType returns the type of outputs.Outputs.
func (OutputsOutput) ElementType() reflect.Type { return reflect.TypeFor[outputs.Outputs]() }

func init() { pulumi.RegisterOutputType(OutputsOutput{}) }

// FromStack returns the outputs of a stack that another program refers to:
//
//	ref, err := pulumi.NewStackReference(ctx, "organization/dcv-sessions/dev", nil)
//	queue := pulumioutputs.FromStack(ref).ApplyT(func(o outputs.Outputs) string { return o.QueueARN }).(pulumi.StringOutput)
//
// It fails as outputs.Parse does.
func FromStack(ref *pulumi.StackReference) OutputsOutput {
	return ref.Outputs.ApplyT(func(all map[string]any) (outputs.Outputs, error) {
		text, err := json.Marshal(all)
		if err != nil {
			return outputs.Outputs{}, err
		}
		return outputs.Parse(text)
	}).(OutputsOutput)
}
