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
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// deployment is the stack dev in its network, with a deploy role whose policies
// are those that the tests of components/pipeline hold.
type deployment struct {
	guarded
	role, profile string
	network       map[string]place // by the stack whose tag it has; "" for none
}

type place struct{ subnet, group string }

func newDeployment(t *testing.T) deployment {
	t.Helper()
	d := deployment{guarded: newGuarded(t), network: map[string]place{}}
	d.role = d.guarded.role(t, trustAdmins)
	for _, name := range []string{"read", "network", "services"} {
		text, err := os.ReadFile("../../components/pipeline/testdata/" + name + ".json")
		require.NoError(t, err)
		d.query(t, "iam", "2010-05-08", "PutRolePolicy", "RoleName", path.Base(d.role), "PolicyName", name, "PolicyDocument", string(text))
	}
	d.profile = d.builderProfile(t, "roles-builder")
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

// builderProfile makes an instance profile with a role of its own.
func (d deployment) builderProfile(t *testing.T, prefix string) (name string) {
	t.Helper()
	name = fmt.Sprintf("%s-%d", prefix, time.Now().UnixNano())
	d.query(t, "iam", "2010-05-08", "CreateRole", "RoleName", name, "AssumeRolePolicyDocument", trustTasks)
	d.query(t, "iam", "2010-05-08", "CreateInstanceProfile", "InstanceProfileName", name)
	d.query(t, "iam", "2010-05-08", "AddRoleToInstanceProfile", "InstanceProfileName", name, "RoleName", name)
	return name
}

// session is the deploy role under a session's name.
func (d deployment) session(t *testing.T, name string) aws.Config {
	t.Helper()
	got, err := sts.NewFromConfig(d.Config).AssumeRole(ctx, &sts.AssumeRoleInput{RoleArn: &d.role, RoleSessionName: &name})
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
	foreign.IamInstanceProfile.Name = aws.String(d.builderProfile(t, "others"))
	byARN := d.builder("dev", "dev", "dev")
	byARN.IamInstanceProfile = &types.IamInstanceProfileSpecification{Arn: aws.String("arn:aws:iam::123456789012:instance-profile/" + *foreign.IamInstanceProfile.Name)}
	for name, c := range map[string]struct {
		call *ec2.RunInstancesInput
		part string
	}{
		"a volume that is tagged later": {d.builder("dev", "", "dev"), "ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:volume/*"},
		"a volume of another stack's":   {d.builder("dev", "prod", "dev"), "volume/*"},
		"an instance without a tag":     {d.builder("", "dev", "dev"), "ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:instance/*"},
		"another stack's instance":      {d.builder("prod", "dev", "dev"), "instance/*"},
		"another stack's network":       {d.builder("dev", "dev", "prod"), "ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:s"},
		"an untagged network":           {d.builder("dev", "dev", ""), "ec2:RunInstances on resource: arn:aws:ec2:us-east-1:123456789012:s"},
		"another role":                  {foreign, "iam:PassRole on resource: arn:aws:iam::123456789012:role/others-"},
		"another role, by an ARN":       {byARN, "iam:PassRole on resource: arn:aws:iam::123456789012:role/others-"},
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
