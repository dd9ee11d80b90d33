package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/image/fetch/unpack"
)

// eventPattern matches the event that S3 sends to EventBridge for a new object (S3 user
// guide, "EventBridge event message structure"), by bucket and keys.
type eventPattern struct {
	Source     []string `json:"source"`
	DetailType []string `json:"detail-type"`
	Detail     struct {
		Bucket struct {
			Name []string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key []wildcard `json:"key"`
		} `json:"object"`
	} `json:"detail"`
}

type wildcard struct {
	Wildcard string `json:"wildcard"`
}

// pattern returns the pattern of a bucket's archives: other files are no game builds.
func pattern(bucket, prefix string) string {
	var p eventPattern
	p.Source, p.DetailType, p.Detail.Bucket.Name = []string{"aws.s3"}, []string{"Object Created"}, []string{bucket}
	for _, form := range unpack.Forms {
		p.Detail.Object.Key = append(p.Detail.Object.Key, wildcard{prefix + "*" + form})
	}
	return asJSON(p)
}

// paths are the parts of an event that a template takes, by the names that it
// has for them: those of the workflow's inputs.
var paths = map[string]string{"bucket": "$.detail.bucket.name", "key": "$.detail.object.key", "versionId": "$.detail.object.version-id"}

// WorkflowInputs are the inputs that the workflow is started with: GitHub refuses
// a call with one that the workflow has not, or without one that it requires.
func WorkflowInputs() []string { return slices.Sorted(maps.Keys(paths)) }

// workflowInputs is the body of GitHub's "Create a workflow dispatch event". It is
// no JSON yet: EventBridge puts a value in with its quotes (EventBridge user
// guide, "Input transformation").
func workflowInputs(ref string) cloudwatch.EventTargetInputTransformerArgs {
	var inputs []string
	for _, name := range WorkflowInputs() {
		inputs = append(inputs, asJSON(name)+":<"+name+">")
	}
	return transformed(`{"ref":` + asJSON(ref) + `,"inputs":{` + strings.Join(inputs, ",") + `}}`)
}

// message is a line for people.
func message(stack string) cloudwatch.EventTargetInputTransformerArgs {
	return transformed(asJSON(fmt.Sprintf("A new game build for the stack %s: s3://<bucket>/<key>, version <versionId>. Nothing deploys it by itself: docs/delivery.md says how.", stack)))
}

func transformed(template string) cloudwatch.EventTargetInputTransformerArgs {
	return cloudwatch.EventTargetInputTransformerArgs{InputPaths: pulumi.ToStringMap(paths), InputTemplate: pulumi.String(template)}
}

// asJSON keeps "<" and ">", which are placeholders.
func asJSON(value any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil { // strings only: it can't happen
		panic(fmt.Sprintf("delivery: %v", err))
	}
	return string(bytes.TrimSpace(out.Bytes()))
}
