package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// consumed is a changing stack output that other teams read, by its path ("queueArn",
// "jobDefinitions.player1"), and its change. The preview has the present outputs and not
// the future ones, so the change is found by the resources that an output comes from.
type consumed struct{ path, becomes string }

const (
	isNew    = "new"
	isGone   = "gone"
	isOther  = "another value"
	mayBe    = "may get another value"
	sessions = "dcv:session:Sessions"
)

func (p preview) outputs(all []change) []consumed {
	root := p.root()
	if root == nil || len(root.Outputs) == 0 {
		return nil // a first deployment: everything is new
	}
	found := map[string]string{}
	for _, c := range all {
		for path, becomes := range c.outputs(leaves("", root.Outputs)) {
			if was := found[path]; was == "" || was == mayBe {
				found[path] = becomes
			}
		}
	}
	var list []consumed
	for _, path := range slices.Sorted(maps.Keys(found)) {
		list = append(list, consumed{path, found[path]})
	}
	return list
}

// outputs returns the stack's outputs that a change affects.
func (c change) outputs(current map[string]string) map[string]string {
	found := map[string]string{}
	if output := c.newOutput(); output != "" {
		found[output] = isNew
	}
	for _, value := range c.givenUp() {
		for path, text := range current {
			switch {
			case text == value && c.operation == deletes:
				found[path] = isGone
			case names(text, value):
				found[path] = isOther
			}
		}
	}
	for _, row := range configured {
		of := func(d difference) bool { return within(d.path, row.property) }
		if row.typ == typeOf(c.URN) && (row.property == "" || slices.ContainsFunc(c.differences, of)) {
			found[row.output] = row.becomes
		}
	}
	if typeOf(c.URN) == "aws:batch/computeEnvironment:ComputeEnvironment" && c.operation != changes {
		found["maxSessions"], found["capacity"] = mayBe, mayBe
	}
	return found
}

// newOutput returns the output of a new user's resource.
func (c change) newOutput() string {
	user := c.user()
	_, of := c.component()
	switch typ := typeOf(c.URN); {
	case user == "" || c.operation != creates:
		return ""
	case typ == "aws:batch/jobDefinition:JobDefinition" && of == sessions:
		return "jobDefinitions." + user
	case typ == "aws:secretsmanager/secret:Secret" && strings.HasSuffix(c.name, "-credentials"):
		return "credentialsArns." + user
	case typ == "aws:sns/topic:Topic":
		return "topicArns." + user
	}
	return ""
}

// givenUp returns the names that a resource loses.
func (c change) givenUp() []string {
	if !named[typeOf(c.URN)] || c.OldState == nil || (c.operation != replaces && c.operation != deletes) {
		return nil
	}
	var values []string
	for _, key := range []string{"id", "arn", "name", "repositoryUrl"} {
		value, ok := c.OldState.Outputs[key].(string)
		if ok && (c.operation == deletes || c.NewState == nil || !same(value, c.NewState.Outputs[key])) {
			values = append(values, value)
		}
	}
	return values
}

// named lists the types with ids, ARNs or names that are stack outputs.
var named = map[string]bool{
	"aws:batch/jobDefinition:JobDefinition": true,
	"aws:batch/jobQueue:JobQueue":           true,
	"aws:cloudwatch/logGroup:LogGroup":      true,
	"aws:ec2/instance:Instance":             true,
	"aws:ec2/securityGroup:SecurityGroup":   true,
	"aws:ecr/repository:Repository":         true,
	"aws:iam/policy:Policy":                 true,
	"aws:s3/bucketV2:BucketV2":              true,
	"aws:secretsmanager/secret:Secret":      true,
	"aws:sns/topic:Topic":                   true,
}

// configured lists further outputs, and the properties that they change with; without a
// property, an output changes with any change of such a resource.
var configured = []struct{ typ, property, output, becomes string }{
	{"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "fromPort", "ports", isOther},
	{"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "toPort", "ports", isOther},
	{"aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.maxVcpus", "maxSessions", mayBe},
	{"aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.instanceTypes", "maxSessions", mayBe},
	{"aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.maxVcpus", "capacity", mayBe},
	{"aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.minVcpus", "capacity", mayBe},
	{"aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.instanceTypes", "capacity", mayBe},
	{"aws:batch/jobDefinition:JobDefinition", "containerProperties.resourceRequirements", "capacity", mayBe},
	{"aws:batch/jobDefinition:JobDefinition", "containerProperties.resourceRequirements", "maxSessions", mayBe},
	{"aws:batch/computeEnvironment:ComputeEnvironment", "computeResources.ec2Configurations", "hostImage", isOther},
	{"aws:batch/jobDefinition:JobDefinition", "containerProperties.image", "imageUri", isOther},
	{"docker:index/image:Image", "", "imageUri", mayBe}, // what is built may be what was there
}

// leaves returns the texts of nested outputs by their paths.
func leaves(path string, value any) map[string]string {
	found := map[string]string{}
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			maps.Copy(found, leaves(strings.TrimPrefix(path+"."+key, "."), item))
		}
	case string:
		found[path] = v
	}
	return found
}

// names reports whether a text is a value, or has it as a word of its own.
func names(text, value string) bool {
	return text == value || regexp.MustCompile(`(^|[^\w./:@-])`+regexp.QuoteMeta(value)+`($|[^\w./:@-])`).MatchString(text)
}
