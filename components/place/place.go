// Package place is where a stack is: for the ARNs that policies need of what
// another component makes, or of what exists only once a user does.
package place

import (
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/iampolicy"
)

// Place is a stack in an account's Region.
type Place struct{ Partition, Region, Account, Stack string }

// Find asks the provider where it is.
func Find(ctx *pulumi.Context, stack string, parent pulumi.InvokeOption) (Place, error) {
	caller, err := aws.GetCallerIdentity(ctx, &aws.GetCallerIdentityArgs{}, parent)
	if err != nil {
		return Place{}, err
	}
	partition, err := aws.GetPartition(ctx, &aws.GetPartitionArgs{}, parent)
	if err != nil {
		return Place{}, err
	}
	region, err := aws.GetRegion(ctx, &aws.GetRegionArgs{}, parent)
	if err != nil {
		return Place{}, err
	}
	return Place{partition.Partition, region.Name, caller.AccountId, stack}, nil
}

// ARN writes out a resource of a service. IAM's has no Region, S3's no account
// either (IAM user guide, "Amazon Resource Names").
func (p Place) ARN(service, resource string) string {
	switch service {
	case "iam":
		p.Region = ""
	case "s3":
		p.Region, p.Account = "", ""
	}
	return strings.Join([]string{"arn", p.Partition, service, p.Region, p.Account, resource}, ":")
}

// ARNs writes out several.
func (p Place) ARNs(service string, resources ...string) iampolicy.List {
	var all iampolicy.List
	for _, resource := range resources {
		all = append(all, p.ARN(service, resource))
	}
	return all
}

// AWSPolicy is the ARN of one of AWS's own policies.
func (p Place) AWSPolicy(name string) string {
	return "arn:" + p.Partition + ":iam::aws:policy/" + name
}
