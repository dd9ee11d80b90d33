package launch

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"github.com/intraverse/dcv-sessions/contract"
)

// Resources are the part of a host that a session reserves.
type Resources struct{ VCPUs, MemoryMiB, GPUs int }

// requirements returns the overrides of a submission.
func (r Resources) requirements() []types.ResourceRequirement {
	var list []types.ResourceRequirement
	add := func(of types.ResourceType, amount int) {
		if amount > 0 {
			list = append(list, types.ResourceRequirement{Type: of, Value: aws.String(strconv.Itoa(amount))})
		}
	}
	add(types.ResourceTypeVcpu, r.VCPUs)
	add(types.ResourceTypeMemory, r.MemoryMiB)
	add(types.ResourceTypeGpu, r.GPUs)
	return list
}

// resourcesOf reads the requirements of a container. AWS Batch refuses values that are
// no whole numbers.
func resourcesOf(list []types.ResourceRequirement) (r Resources) {
	targets := map[types.ResourceType]*int{types.ResourceTypeVcpu: &r.VCPUs, types.ResourceTypeMemory: &r.MemoryMiB, types.ResourceTypeGpu: &r.GPUs}
	for _, requirement := range list {
		if target, known := targets[requirement.Type]; known {
			*target, _ = strconv.Atoi(aws.ToString(requirement.Value))
		}
	}
	return r
}

// Definition is the definition of a user's sessions, as AWS Batch has it.
type Definition struct {
	Resources
	Usage time.Duration // between two measurements (session.usageSeconds); 0: none
	Max   time.Duration // that a session lasts (session.maxMinutes)
}

// Definition returns the definition by which a new session of a user would start. Its
// right is an operator's: no policy of the stack grants it.
func (l *Launcher) Definition(ctx context.Context, user string) (Definition, error) {
	if err := l.checkUser(user); err != nil {
		return Definition{}, err
	}
	name := l.stack.JobDefinitions[user]
	var newest types.JobDefinition
	for pages := batch.NewDescribeJobDefinitionsPaginator(l.batch, &batch.DescribeJobDefinitionsInput{
		JobDefinitionName: &name, Status: aws.String("ACTIVE"),
	}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return Definition{}, asDenied(err)
		}
		for _, d := range page.JobDefinitions {
			if d.ContainerProperties != nil && aws.ToInt32(d.Revision) > aws.ToInt32(newest.Revision) {
				newest = d
			}
		}
	}
	if newest.Revision == nil {
		return Definition{}, fmt.Errorf("AWS Batch has no job definition %s: run pulumi up", name)
	}
	d := Definition{Resources: resourcesOf(newest.ContainerProperties.ResourceRequirements)}
	for _, v := range newest.ContainerProperties.Environment {
		switch aws.ToString(v.Name) {
		case contract.EnvUsage:
			d.Usage = inSeconds(v.Value)
		case contract.EnvMax:
			d.Max = inSeconds(v.Value)
		}
	}
	return d, nil
}

// inSeconds reads a duration as a job definition has it.
func inSeconds(text *string) time.Duration {
	seconds, _ := strconv.Atoi(aws.ToString(text))
	return time.Duration(seconds) * time.Second
}
