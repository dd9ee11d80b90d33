// Package roles declares the IAM roles of the hosts, the ECS agent that starts
// sessions, the sessions and the image builder, and the policy of launchers.
//
// Resources that each user has one of are granted by the stack's name prefix, so that
// no policy grows with the users; all others by exact ARN.
package roles

import (
	"path"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// RolesArgs are the arguments of NewRoles.
type RolesArgs struct {
	Stack               string
	RepositoryARN       pulumi.StringInput // of the session images
	GameBuildsBucketARN pulumi.StringInput
	LogGroupARN         pulumi.StringInput // of the sessions, without ":*"
	KeyARN              pulumi.StringInput // encrypts the topics
	CertificateARN      string             // the secret of the sessions' certificate; "": they make their own
	UsedRepository      Repository         // of the image that image.use names by its address; zero: none
	SupportAccess       bool               // Session Manager reaches the hosts
	RegistryName        string             // logical name of the registry: every stack's repository has a name that begins with it
	DeliveryName        string             // logical name of the delivery: its role and destination have names that begin with it
	Tags                map[string]string
}

// Repository is an ECR repository of any account and Region.
type Repository struct{ Account, Region, Name string }

func (r Repository) arn(partition string) string {
	return arns.Scope{Partition: partition, Region: r.Region, Account: r.Account}.ARN("ecr", "repository/"+r.Name)
}

// Roles are the roles, the permissions boundary and the instance profiles.
type Roles struct {
	pulumi.ResourceState

	// BoundaryARN is the permissions boundary of every role of the stack except
	// GitHub's two.
	BoundaryARN pulumi.StringOutput

	HostInstanceProfileARN     pulumi.StringOutput
	BuilderInstanceProfileName pulumi.StringOutput
	HostRoleARN                pulumi.StringOutput
	BuilderRoleARN             pulumi.StringOutput
	ExecutionRoleARN           pulumi.StringOutput
	SessionRoleARN             pulumi.StringOutput

	// HostReady are the resources that must be deleted after the compute environments:
	// an environment stays DELETING for ever if its role loses a policy first.
	HostReady []pulumi.Resource
}

// role is one row of the stack's roles.
type role struct {
	name, description string
	service           string               // the service that assumes it
	managed           []string             // AWS's own policies
	needs             []pulumi.StringInput // the ARNs that grants takes, in its order
	grants            func(arns []string) []iampolicy.Statement
	spare             []iampolicy.Statement // allowed by the boundary in addition to grants
}

// table returns all roles.
func (a *RolesArgs) table(at arns.Scope) []role {
	return []role{{
		name: "host", service: "ec2.amazonaws.com", description: "EC2 instances that carry sessions",
		grants: func([]string) []iampolicy.Statement {
			granted := append(containerInstance(at), licence(at))
			if a.SupportAccess {
				granted = append(granted, supportAccess())
			}
			return granted
		},
	}, {
		name: "execution", service: "ecs-tasks.amazonaws.com", description: "the ECS agent: pulls the image, injects a user's secret, writes the log",
		needs: []pulumi.StringInput{a.LogGroupARN, a.RepositoryARN},
		grants: func(arns []string) []iampolicy.Statement {
			granted := []iampolicy.Statement{userSecrets(at), writeLog(arns[0]), registryLogin(), pull(a.repositories(at, arns[1]))}
			if a.CertificateARN != "" {
				granted = append(granted, certificate(a.CertificateARN))
			}
			return granted
		},
	}, {
		name: "session", service: "ecs-tasks.amazonaws.com", description: "a session's own calls: tells its user; reads no secret",
		needs: []pulumi.StringInput{a.KeyARN},
		grants: func(arns []string) []iampolicy.Statement {
			return []iampolicy.Statement{userTopics(at), useTopicKey(at, arns[0])}
		},
	}, {
		name: "builder", service: "ec2.amazonaws.com", description: "the image builder: reads game builds",
		managed: []string{"AmazonSSMManagedInstanceCore"},
		needs:   []pulumi.StringInput{a.GameBuildsBucketARN},
		// It needs no right to push: docker.Image pushes with the registry password of the
		// principal that deploys.
		grants: func(arns []string) []iampolicy.Statement { return []iampolicy.Statement{readBuilds(arns[0])} },
		spare:  []iampolicy.Statement{managedInstance()},
	}}
}

// repositories returns the repositories that sessions' images come from: the
// stack's own, and the used one if that is another.
func (a *RolesArgs) repositories(at arns.Scope, own string) list {
	used := a.UsedRepository.arn(at.Partition)
	if a.UsedRepository == (Repository{}) || used == own {
		return list{own}
	}
	return list{own, used}
}

func (a *RolesArgs) validate() error {
	var f faults.Faults
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	for _, arn := range []struct {
		property string
		input    pulumi.StringInput
	}{
		{"gameBuildsBucketArn", a.GameBuildsBucketARN}, {"keyArn", a.KeyARN},
		{"logGroupArn", a.LogGroupARN}, {"repositoryArn", a.RepositoryARN},
	} {
		f.Required(arn.input != nil, arn.property, "an ARN")
	}
	f.Required(a.RegistryName != "", "registryName", "a logical name")
	f.Required(a.DeliveryName != "", "deliveryName", "a logical name")
	return f.Err("roles")
}

// NewRoles declares the roles.
func NewRoles(ctx *pulumi.Context, name string, args *RolesArgs, opts ...pulumi.ResourceOption) (*Roles, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	r := &Roles{}
	if err := ctx.RegisterComponentResource("dcv:roles:Roles", name, r, opts...); err != nil {
		return nil, err
	}
	at, err := arns.Lookup(ctx, args.Stack, pulumi.Parent(r))
	if err != nil {
		return nil, err
	}
	boundary, err := r.boundary(ctx, name, args, at)
	if err != nil {
		return nil, err
	}
	r.BoundaryARN = boundary.Arn
	made := map[string]*iam.Role{}
	for _, row := range args.table(at) {
		own, ready, err := r.declare(ctx, name, args, at, row)
		if err != nil {
			return nil, err
		}
		made[row.name] = own
		if row.name == "host" {
			r.HostReady = ready
		}
	}
	hostProfile, err := r.profile(ctx, name+"-host", made["host"], args.Tags)
	if err != nil {
		return nil, err
	}
	builderProfile, err := r.profile(ctx, name+"-builder", made["builder"], args.Tags)
	if err != nil {
		return nil, err
	}
	r.HostReady = append(r.HostReady, hostProfile)
	r.HostInstanceProfileARN, r.BuilderInstanceProfileName = hostProfile.Arn, builderProfile.Name
	r.HostRoleARN, r.BuilderRoleARN = made["host"].Arn, made["builder"].Arn
	r.ExecutionRoleARN, r.SessionRoleARN = made["execution"].Arn, made["session"].Arn
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{
		"boundaryArn": r.BoundaryARN,
		"hostRoleArn": r.HostRoleARN, "executionRoleArn": r.ExecutionRoleARN,
		"sessionRoleArn": r.SessionRoleARN, "builderRoleArn": r.BuilderRoleARN,
	})
}

// declare declares a role with its managed policies and its inline policy. It also
// returns the resources that must exist before the role can be used.
func (r *Roles) declare(ctx *pulumi.Context, name string, args *RolesArgs, at arns.Scope, row role) (*iam.Role, []pulumi.Resource, error) {
	child := pulumi.Parent(r)
	made, err := iam.NewRole(ctx, name+"-"+row.name, &iam.RoleArgs{
		Description:         pulumi.String(row.description),
		AssumeRolePolicy:    pulumi.String(iampolicy.JSON(iampolicy.Trust(row.service))),
		PermissionsBoundary: r.BoundaryARN,
		Tags:                pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return nil, nil, err
	}
	var ready []pulumi.Resource
	for _, policy := range row.managed {
		attached, err := iam.NewRolePolicyAttachment(ctx, name+"-"+row.name+"-"+path.Base(policy), &iam.RolePolicyAttachmentArgs{
			Role: made.Name, PolicyArn: pulumi.String(at.AWSPolicy(policy)),
		}, child)
		if err != nil {
			return nil, nil, err
		}
		ready = append(ready, attached)
	}
	own, err := iam.NewRolePolicy(ctx, name+"-"+row.name, &iam.RolePolicyArgs{Role: made.Name, Policy: document(row.needs, row.grants)}, child)
	return made, append(ready, own), err
}

func (r *Roles) profile(ctx *pulumi.Context, name string, of *iam.Role, tags map[string]string) (*iam.InstanceProfile, error) {
	return iam.NewInstanceProfile(ctx, name, &iam.InstanceProfileArgs{Role: of.Name, Tags: pulumi.ToStringMap(tags)}, pulumi.Parent(r))
}

// document returns a policy, once the ARNs that it names are known.
func document(needs []pulumi.StringInput, grants func(arns []string) []iampolicy.Statement) pulumi.StringOutput {
	return pulumi.StringArray(needs).ToStringArrayOutput().ApplyT(func(arns []string) string {
		return iampolicy.JSON(grants(arns)...)
	}).(pulumi.StringOutput)
}
