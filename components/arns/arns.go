// Package arns builds ARNs of a stack's account and Region, for policies that name
// resources of another component or resources that do not exist yet.
package arns

import (
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/iampolicy"
)

// Scope is a stack with its account and Region.
type Scope struct{ Partition, Region, Account, Stack string }

// Lookup returns the scope of a stack with the provider's account and Region.
func Lookup(ctx *pulumi.Context, stack string, parent pulumi.InvokeOption) (Scope, error) {
	caller, err := aws.GetCallerIdentity(ctx, &aws.GetCallerIdentityArgs{}, parent)
	if err != nil {
		return Scope{}, err
	}
	partition, err := aws.GetPartition(ctx, &aws.GetPartitionArgs{}, parent)
	if err != nil {
		return Scope{}, err
	}
	region, err := aws.GetRegion(ctx, &aws.GetRegionArgs{}, parent)
	if err != nil {
		return Scope{}, err
	}
	return Scope{partition.Partition, region.Name, caller.AccountId, stack}, nil
}

// ARN returns the ARN of a service's resource. IAM's and those of budgets and dashboards
// have no Region, S3's no account either (Service Authorization Reference).
func (p Scope) ARN(service, resource string) string {
	switch {
	case service == "iam", service == "budgets", service == "cloudwatch" && strings.HasPrefix(resource, "dashboard/"):
		p.Region = ""
	case service == "s3":
		p.Region, p.Account = "", ""
	}
	return strings.Join([]string{"arn", p.Partition, service, p.Region, p.Account, resource}, ":")
}

// ARNs writes out several.
func (p Scope) ARNs(service string, resources ...string) iampolicy.List {
	var all iampolicy.List
	for _, resource := range resources {
		all = append(all, p.ARN(service, resource))
	}
	return all
}

// AWSPolicy is the ARN of one of AWS's own policies.
func (p Scope) AWSPolicy(name string) string {
	return "arn:" + p.Partition + ":iam::aws:policy/" + name
}
