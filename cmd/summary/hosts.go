package main

import (
	"fmt"
	"slices"
)

const environmentType = "aws:batch/computeEnvironment:ComputeEnvironment"

// scaling lists the properties of a compute environment that change without replacing a
// host (AWS Batch user guide, "Updating compute environments").
var scaling = []string{
	"computeResources.desiredVcpus", "computeResources.maxVcpus", "computeResources.minVcpus",
	"serviceRole", "state", "tags", "tagsAll", "updatePolicy",
}

// hostChange returns the effect of a changed compute environment on sessions.
func (c change) hostChange() effect {
	scales := func(d difference) bool {
		return slices.ContainsFunc(scaling, func(property string) bool { return within(d.path, property) })
	}
	if !slices.ContainsFunc(c.differences, func(d difference) bool { return !scales(d) }) {
		return effect{later, "how many hosts there may be, at once; no host is replaced"}
	}
	return effect{later, fmt.Sprintf("its hosts are replaced: new sessions start on new ones, and the deployment waits for the sessions on the old ones, up to %v minutes; "+
		"then AWS Batch terminates those that still run", c.updateTimeout())}
}

// updateTimeout returns an environment's timeout in minutes, or AWS's default.
func (c change) updateTimeout() any {
	if policy, ok := c.state().Inputs["updatePolicy"].(map[string]any); ok && policy["jobExecutionTimeoutMinutes"] != nil {
		return policy["jobExecutionTimeoutMinutes"]
	}
	return 30
}
