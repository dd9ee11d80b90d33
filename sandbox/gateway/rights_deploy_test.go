package gateway

import (
	"fmt"
	"os"
	"path"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deployment is the stack dev in its network, with a deploy role that has the
// policies tested in components/githubroles.
type deployment struct {
	guarded
	role, profile string
	network       map[string]place // by the stack of its tag; "" without one
}

type place struct{ subnet, group string }

func newDeployment(t *testing.T) deployment {
	t.Helper()
	d := deployment{guarded: newGuarded(t), network: map[string]place{}}
	d.role = d.guarded.role(t, trustAdmins)
	for _, name := range []string{"read", "network", "services"} {
		text, err := os.ReadFile("../../components/githubroles/testdata/" + name + ".json")
		require.NoError(t, err)
		d.query(t, "iam", "2010-05-08", "PutRolePolicy", "RoleName", path.Base(d.role), "PolicyName", name, "PolicyDocument", string(text))
	}
	d.stackRole(t)
	d.profile = d.profileOf(t, builderRole)
	admin := ec2.NewFromConfig(d.Config)
	vpc, err := admin.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.1.0.0/16")})
	require.NoError(t, err)
	for i, stack := range []string{"dev", "prod", ""} {
		subnet, err := admin.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc.Vpc.VpcId, CidrBlock: aws.String(fmt.Sprintf("10.1.%d.0/24", i)),
			TagSpecifications: tagging(types.ResourceTypeSubnet, stack)})
		require.NoError(t, err)
		group, err := admin.CreateSecurityGroup(ctx, &ec2.CreateSecurityGroupInput{GroupName: aws.String("builder-" + stack), Description: aws.String("builder"),
			VpcId: vpc.Vpc.VpcId, TagSpecifications: tagging(types.ResourceTypeSecurityGroup, stack)})
		require.NoError(t, err)
		d.network[stack] = place{*subnet.Subnet.SubnetId, *group.GroupId}
	}
	return d
}

// The policies name the builder's role and the boundary.
const (
	builderRole = "roles-builder-0a1b2c3"
	boundaryARN = "arn:aws:iam::123456789012:policy/roles-boundary-0a1b2c3"
	ownRole     = "arn:aws:iam::123456789012:role/" + builderRole
)

// stackRole makes the builder's role within the boundary, as components/roles does.
func (d deployment) stackRole(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../../components/roles/testdata/boundary.json")
	require.NoError(t, err)
	admin := iam.NewFromConfig(d.Config)
	_, err = admin.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String(path.Base(boundaryARN)), PolicyDocument: aws.String(string(text)), Tags: devTag})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: aws.String(boundaryARN)})
		assert.NoError(t, err)
	})
	d.makeRole(t, builderRole, aws.String(boundaryARN))
}

var devTag = []iamtypes.Tag{{Key: aws.String(stackTag), Value: aws.String("dev")}}

// makeRole makes a role of the stack dev that anybody in the account with the right
// to may assume.
func (d deployment) makeRole(t *testing.T, name string, boundary *string) {
	t.Helper()
	admin := iam.NewFromConfig(d.Config)
	_, err := admin.CreateRole(ctx, &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: aws.String(trustAdmins), PermissionsBoundary: boundary, Tags: devTag})
	require.NoError(t, err)
	t.Cleanup(func() {
		listed, err := admin.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &name})
		require.NoError(t, err)
		for _, policy := range listed.PolicyNames {
			_, err := admin.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: &name, PolicyName: &policy})
			assert.NoError(t, err)
		}
		_, err = admin.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: &name})
		assert.NoError(t, err)
	})
}

// profileOf makes an instance profile of a role.
func (d deployment) profileOf(t *testing.T, role string) (name string) {
	t.Helper()
	name = fmt.Sprintf("%s-%d", role, time.Now().UnixNano())
	admin := iam.NewFromConfig(d.Config)
	_, err := admin.CreateInstanceProfile(ctx, &iam.CreateInstanceProfileInput{InstanceProfileName: &name})
	require.NoError(t, err)
	_, err = admin.AddRoleToInstanceProfile(ctx, &iam.AddRoleToInstanceProfileInput{InstanceProfileName: &name, RoleName: &role})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.RemoveRoleFromInstanceProfile(ctx, &iam.RemoveRoleFromInstanceProfileInput{InstanceProfileName: &name, RoleName: &role})
		assert.NoError(t, err)
	})
	return name
}

// session is the deploy role under a session's name.
func (d deployment) session(t *testing.T, name string) aws.Config {
	t.Helper()
	return d.assume(t, d.role, name)
}

func (d deployment) assume(t *testing.T, role, name string) aws.Config {
	t.Helper()
	got, err := sts.NewFromConfig(d.Config).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &role, RoleSessionName: &name})
	require.NoError(t, err)
	return d.with(*got.Credentials.AccessKeyId, *got.Credentials.SecretAccessKey, *got.Credentials.SessionToken)
}

const stackTag = "dcv-sessions:stack"

func stackTags(stack string) []types.Tag {
	return []types.Tag{{Key: aws.String(stackTag), Value: &stack}}
}

// tagging is the tag of a stack on one kind of resource; nil for no stack.
func tagging(kind types.ResourceType, stack string) []types.TagSpecification {
	if stack == "" {
		return nil
	}
	return []types.TagSpecification{{ResourceType: kind, Tags: stackTags(stack)}}
}

// builder is the call by which the AWS provider makes the builder.
func (d deployment) builder(instance, volume, in string) *ec2.RunInstancesInput {
	at := d.network[in]
	return &ec2.RunInstancesInput{
		ImageId: aws.String("ami-12c6146b"), InstanceType: types.InstanceTypeC6iXlarge, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		SubnetId: &at.subnet, SecurityGroupIds: []string{at.group}, EbsOptimized: aws.Bool(true),
		IamInstanceProfile: &types.IamInstanceProfileSpecification{Name: &d.profile},
		BlockDeviceMappings: []types.BlockDeviceMapping{{DeviceName: aws.String("/dev/xvda"),
			Ebs: &types.EbsBlockDevice{VolumeType: types.VolumeTypeGp3, VolumeSize: aws.Int32(200), Encrypted: aws.Bool(true)}}},
		TagSpecifications: append(tagging(types.ResourceTypeInstance, instance), tagging(types.ResourceTypeVolume, volume)...),
	}
}

func (d deployment) run(t *testing.T, by aws.Config, in *ec2.RunInstancesInput) (id string) {
	t.Helper()
	made, err := ec2.NewFromConfig(by).RunInstances(ctx, in)
	require.NoError(t, err)
	id = *made.Instances[0].InstanceId
	t.Cleanup(func() {
		_, err := ec2.NewFromConfig(d.Config).TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
		assert.NoError(t, err)
	})
	return id
}

func TestTheDeployRoleReplacesTheBuilderAndNothingElse(t *testing.T) {
	d := newDeployment(t)
	me := d.session(t, "run-7")
	client := ec2.NewFromConfig(me)
	old := d.run(t, d.Config, d.builder("dev", "dev", "dev"))
	made := d.run(t, me, d.builder("dev", "dev", "dev"))
	for _, step := range []func(id string) error{
		func(id string) error {
			_, err := client.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &id, Attribute: types.InstanceAttributeNameUserData})
			return err
		},
		func(id string) error {
			_, err := client.StopInstances(ctx, &ec2.StopInstancesInput{InstanceIds: []string{id}})
			return err
		},
		func(id string) error {
			_, err := client.StartInstances(ctx, &ec2.StartInstancesInput{InstanceIds: []string{id}})
			return err
		},
		func(id string) error {
			_, err := client.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("games")}}})
			return err
		},
		func(id string) error {
			_, err := client.TerminateInstances(ctx, &ec2.TerminateInstancesInput{InstanceIds: []string{id}})
			return err
		},
	} {
		require.NoError(t, step(made))
		require.NoError(t, step(old))
		for _, stack := range []string{"prod", ""} {
			refused(t, step(d.run(t, d.Config, d.builder(stack, stack, "dev"))), "UnauthorizedOperation", "because no identity-based policy allows")
		}
	}

	foreign := d.builder("dev", "dev", "dev")
	d.makeRole(t, "roles-builder-9z8y7x6", nil)
	foreign.IamInstanceProfile.Name = aws.String(d.profileOf(t, "roles-builder-9z8y7x6"))
	byARN := d.builder("dev", "dev", "dev")
	byARN.IamInstanceProfile = &types.IamInstanceProfileSpecification{Arn: aws.String("arn:aws:iam::123456789012:instance-profile/" + *foreign.IamInstanceProfile.Name)}
	for name, c := range map[string]struct {
		call *ec2.RunInstancesInput
		part string
	}{
		"a volume that is tagged later":   {d.builder("dev", "", "dev"), "ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:volume/*"},
		"a volume of another stack's":     {d.builder("dev", "prod", "dev"), "volume/*"},
		"an instance without a tag":       {d.builder("", "dev", "dev"), "ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:instance/*"},
		"another stack's instance":        {d.builder("prod", "dev", "dev"), "instance/*"},
		"another stack's network":         {d.builder("dev", "dev", "prod"), "ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:s"},
		"an untagged network":             {d.builder("dev", "dev", ""), "ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:s"},
		"another stack's role":            {foreign, "iam:PassRole on resource: arn:aws:iam::123456789012:role/roles-builder-9z8y7x6"},
		"another stack's role, by an ARN": {byARN, "iam:PassRole on resource: arn:aws:iam::123456789012:role/roles-builder-9z8y7x6"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.RunInstances(ctx, c.call)
			refused(t, err, "UnauthorizedOperation", c.part)
		})
	}
	template := d.builder("dev", "dev", "dev")
	template.LaunchTemplate = &types.LaunchTemplateSpecification{LaunchTemplateName: aws.String("hosts")}
	_, err := client.RunInstances(ctx, template)
	refused(t, err, "NotImplemented", "LaunchTemplate")

	untagged := d.network[""].subnet
	_, err = client.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{untagged}, Tags: stackTags("dev")})
	refused(t, err, "UnauthorizedOperation", "ec2:CreateTags on resource: arn:aws:ec2:us-east-1:123456789012:subnet/"+untagged)
}

func TestTheDeployRoleOpensAndEndsItsOwnSessionsOnly(t *testing.T) {
	d := newDeployment(t)
	mine, others := ssm.NewFromConfig(d.session(t, "run-7")), ssm.NewFromConfig(d.session(t, "run-70"))
	open := func(by *ssm.Client, id, document string) (string, error) {
		opened, err := by.StartSession(ctx, &ssm.StartSessionInput{Target: &id, DocumentName: &document})
		if err != nil {
			return "", err
		}
		return *opened.SessionId, nil
	}
	end := func(by *ssm.Client, session string) error {
		_, err := by.TerminateSession(ctx, &ssm.TerminateSessionInput{SessionId: &session})
		return err
	}
	resume := func(by *ssm.Client, session string) error {
		_, err := by.ResumeSession(ctx, &ssm.ResumeSessionInput{SessionId: &session})
		return err
	}
	const ssh = "AWS-StartSSHSession"
	builder := d.run(t, d.Config, d.builder("dev", "dev", "dev"))
	session, err := open(mine, builder, ssh)
	require.NoError(t, err)
	assert.Regexp(t, `^run-7-[0-9a-f]{17}$`, session)
	require.NoError(t, resume(mine, session))
	refused(t, resume(others, session), "AccessDeniedException", "ssm:ResumeSession on resource: arn:aws:ssm:us-east-1:123456789012:session/"+session)
	refused(t, end(others, session), "AccessDeniedException", "ssm:TerminateSession on resource: arn:aws:ssm:us-east-1:123456789012:session/"+session)
	require.NoError(t, end(mine, session))
	refused(t, resume(mine, session), "AccessDeniedException", "ssm:ResumeSession")

	for _, stack := range []string{"prod", ""} {
		_, err := open(mine, d.run(t, d.Config, d.builder(stack, stack, "dev")), ssh)
		refused(t, err, "AccessDeniedException", "ssm:StartSession on resource: arn:aws:ec2:us-east-1:123456789012:instance/")
	}
	_, err = open(mine, builder, "AWS-StartPortForwardingSession")
	refused(t, err, "AccessDeniedException", "ssm:StartSession on resource: arn:aws:ssm:us-east-1::document/AWS-StartPortForwardingSession")
}

// A person with the right to merge could try this with the deploy role's credentials:
// every way that IAM has of gaining rights.
func TestTheDeployRoleMakesItselfNoAdministrator(t *testing.T) {
	d := newDeployment(t)
	admin, me := iam.NewFromConfig(d.Config), iam.NewFromConfig(d.session(t, "run-7"))
	const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	const administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
	const ssmCore = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
	launcher, err := admin.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("launcher-0a1b2c3"), PolicyDocument: aws.String(statements(allow("batch:ListJobs", "*"))), Tags: devTag})
	require.NoError(t, err)
	attached := &iam.AttachRolePolicyInput{RoleName: aws.String(path.Base(d.role)), PolicyArn: launcher.Policy.Arn}
	_, err = admin.AttachRolePolicy(ctx, attached)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := admin.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: attached.RoleName, PolicyArn: attached.PolicyArn})
		assert.NoError(t, err)
		_, err = admin.DeletePolicy(ctx, &iam.DeletePolicyInput{PolicyArn: attached.PolicyArn})
		assert.NoError(t, err)
	})
	const unbounded = "roles-session-0a1b2c3" // one that an administrator has not updated yet
	d.makeRole(t, unbounded, nil)

	put := func(role string) error {
		_, err := me.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: aws.String("more"), PolicyDocument: aws.String(everything)})
		return err
	}
	attach := func(role, policy string) error {
		_, err := me.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: &role, PolicyArn: &policy})
		return err
	}
	version := func(policy string) error {
		_, err := me.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: &policy, PolicyDocument: aws.String(everything), SetAsDefault: true})
		return err
	}
	create := func(boundary *string) error {
		_, err := me.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("roles-more"), AssumeRolePolicyDocument: aws.String(trustAdmins), PermissionsBoundary: boundary, Tags: devTag})
		return err
	}
	bound := func(policy string) error {
		_, err := me.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String(builderRole), PermissionsBoundary: &policy})
		return err
	}
	for name, attack := range map[string]func() error{
		"a version of the launcher policy, which it has": func() error { return version(*launcher.Policy.Arn) },
		"a version of the boundary":                      func() error { return version(boundaryARN) },
		"a policy of its own role":                       func() error { return put(path.Base(d.role)) },
		"AWS's policy on its own role":                   func() error { return attach(path.Base(d.role), administrator) },
		"a role without the boundary":                    func() error { return create(nil) },
		"a role with another boundary":                   func() error { return create(aws.String(administrator)) },
		"a policy of a role without the boundary":        func() error { return put(unbounded) },
		"AWS's policy on a role without the boundary":    func() error { return attach(unbounded, ssmCore) },
		"AWS's other policy on a role":                   func() error { return attach(builderRole, administrator) },
		"another boundary of a role":                     func() error { return bound(administrator) },
		"the same boundary of a role":                    func() error { return bound(boundaryARN) },
		"a role's boundary taken away": func() error {
			_, err := me.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: aws.String(builderRole)})
			return err
		},
		"a role's trust in everybody": func() error {
			_, err := me.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String(builderRole), PolicyDocument: aws.String(trustAdmins)})
			return err
		},
		"another's role made the stack's": func() error {
			_, err := me.TagRole(ctx, &iam.TagRoleInput{RoleName: aws.String(path.Base(d.role)), Tags: devTag})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, attack(), "AccessDenied", "because no identity-based policy allows the iam:")
		})
	}

	// The builder's role may get policies, and the boundary limits them.
	require.NoError(t, put(builderRole))
	require.NoError(t, attach(builderRole, ssmCore))
	t.Cleanup(func() {
		_, err := admin.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: aws.String(builderRole), PolicyArn: aws.String(ssmCore)})
		assert.NoError(t, err)
	})
	builder := d.assume(t, ownRole, "builder")
	_, err = s3.NewFromConfig(builder, func(o *s3.Options) { o.UsePathStyle = true }).GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("game-builds-0a1b2c3"), Key: aws.String("game.zip")})
	refused(t, err, "NoSuchBucket", "")
	for name, beyond := range map[string]func() error{
		"iam:PutRolePolicy": func() error {
			_, err := iam.NewFromConfig(builder).PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: aws.String(path.Base(d.role)), PolicyName: aws.String("more"), PolicyDocument: aws.String(everything)})
			return err
		},
		"secretsmanager:GetSecretValue": func() error {
			_, err := secretsmanager.NewFromConfig(builder).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(d.secret(t, "dcv-sessions/dev/users/ada"))})
			return err
		},
		"ssm:GetParameter": func() error {
			_, err := ssm.NewFromConfig(builder).GetParameter(ctx, &ssm.GetParameterInput{Name: aws.String("/studio/database")})
			return err
		},
		"ecr:PutImage": func() error {
			_, err := ecr.NewFromConfig(builder).PutImage(ctx, &ecr.PutImageInput{RepositoryName: aws.String("registry-9z8y7x6"), ImageManifest: aws.String("{}")})
			return err
		},
	} {
		var told smithy.APIError
		require.ErrorAs(t, beyond(), &told)
		assert.Contains(t, told.ErrorCode(), "AccessDenied", name)
		assert.Contains(t, told.ErrorMessage(), "because no permissions boundary allows the "+name+" action")
	}
}
