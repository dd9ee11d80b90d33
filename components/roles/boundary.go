package roles

import (
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
)

// boundary declares the permissions boundary: the most that a role can do, even if its
// own policies allow more (IAM user guide, "Permissions boundaries for IAM entities").
// A deployment may change those policies and not the boundary, so the boundary depends
// on no setting that a deployment changes by itself.
func (r *Roles) boundary(ctx *pulumi.Context, name string, args *RolesArgs, at arns.Scope) (*iam.Policy, error) {
	rows := args.widest().table(at)
	var needs []pulumi.StringInput
	for _, row := range rows {
		needs = append(needs, row.needs...)
	}
	return iam.NewPolicy(ctx, name+"-boundary", &iam.PolicyArgs{
		Description: pulumi.String("the most that the roles of stack " + args.Stack + " can do"),
		Policy: document(needs, func(arns []string) []iampolicy.Statement {
			return joined(append(bounds(at, name, rows, arns), boundTo(at, args.DeliveryName+"-*", args.startWorkflow(at))))
		}),
		Tags: pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(r))
}

// widest returns the arguments with which every role may do the most. An environment
// may run another one's image by image.use, so the repository may be any stack's.
func (a *RolesArgs) widest() *RolesArgs {
	widest := *a
	widest.SupportAccess = true
	registries := a.RegistryName + "-" // the names of every stack's own repository begin with it
	if a.UsedRepository.Name == "" || strings.HasPrefix(a.UsedRepository.Name, registries) {
		widest.UsedRepository = Repository{Account: "*", Region: "*", Name: registries + "*"}
	}
	return &widest
}

// bounds returns the statements of the rows, each limited to its own role.
func bounds(at arns.Scope, name string, rows []role, arns []string) []iampolicy.Statement {
	var all []iampolicy.Statement
	for _, row := range rows {
		own := arns[:len(row.needs)]
		arns = arns[len(row.needs):]
		for _, s := range append(row.grants(own), row.spare...) {
			all = append(all, boundTo(at, name+"-"+row.name+"-*", s))
		}
	}
	return all
}

// boundTo returns a statement that is limited to the roles of a name. It has no Sid,
// since two roles may have statements with the same one, which IAM refuses in a policy.
func boundTo(at arns.Scope, role string, s iampolicy.Statement) iampolicy.Statement {
	s.Sid = ""
	return s.When("ArnLike", "aws:PrincipalArn", at.ARN("iam", "role/"+role))
}

// joined merges statements that differ in their actions only, since IAM limits a
// managed policy to 6,144 characters.
func joined(all []iampolicy.Statement) []iampolicy.Statement {
	var short []iampolicy.Statement
	for _, s := range all {
		same := func(other iampolicy.Statement) bool {
			return slices.Equal(other.Resource, s.Resource) && reflect.DeepEqual(other.Condition, s.Condition)
		}
		if i := slices.IndexFunc(short, same); i >= 0 {
			short[i].Action = slices.Concat(short[i].Action, s.Action)
		} else {
			short = append(short, s)
		}
	}
	return short
}

// managedInstance allows the same as AmazonSSMManagedInstanceCore, except to read the
// parameters of the whole account, which no builder needs.
func managedInstance() iampolicy.Statement {
	return iampolicy.Allow("ManagedInstance", list{
		"ec2messages:AcknowledgeMessage", "ec2messages:DeleteMessage", "ec2messages:FailMessage", "ec2messages:GetEndpoint",
		"ec2messages:GetMessages", "ec2messages:SendReply",
		"ssm:DescribeAssociation", "ssm:DescribeDocument", "ssm:GetDeployablePatchSnapshotForInstance", "ssm:GetDocument", "ssm:GetManifest",
		"ssm:ListAssociations", "ssm:ListInstanceAssociations", "ssm:PutComplianceItems", "ssm:PutConfigurePackageResult", "ssm:PutInventory",
		"ssm:UpdateAssociationStatus", "ssm:UpdateInstanceAssociationStatus", "ssm:UpdateInstanceInformation",
		"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
	}, list{"*"})
}

// startWorkflow allows EventBridge to call GitHub (components/delivery).
func (a *RolesArgs) startWorkflow(at arns.Scope) iampolicy.Statement {
	return iampolicy.Allow("StartWorkflow", list{"events:InvokeApiDestination"}, at.ARNs("events", "api-destination/"+a.DeliveryName+"-*"))
}
