package builder

import (
	_ "embed"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ssm"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/vpc"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// BuilderArgs are the arguments of NewBuilder.
type BuilderArgs struct {
	// InstanceType is an x86_64 type, as the session hosts are; it needs no GPU.
	InstanceType string
	// VolumeGiB is the root volume's size, 30 to 16384 GiB (EBS user guide, gp3);
	// about three times the game. It may grow later, not shrink, and is billed
	// while the instance is stopped.
	VolumeGiB int
	// VPCID and SubnetID are those of a subnet that assigns public addresses, by which
	// the builder reaches AWS's endpoints. The address is not a property of the instance:
	// it reads as false while the instance is stopped, which would replace the instance.
	VPCID, SubnetID pulumi.StringInput
	// InstanceProfileName is the instance profile of the builder's role.
	InstanceProfileName pulumi.StringInput
	// Tags are put on the instance, its volume and its security group.
	Tags map[string]string
}

// Builder is the dedicated instance. Nothing reaches it from outside: its
// security group has no inbound rule, and builds reach it through Session Manager.
type Builder struct {
	pulumi.ResourceState

	InstanceID      pulumi.StringOutput
	InstanceURN     pulumi.StringOutput // Pulumi's name of it, by which it is replaced
	SecurityGroupID pulumi.StringOutput
	DockerHost      pulumi.StringOutput // ssh://builder@INSTANCE: reached with SSHOptions
}

// imageParameter is AWS's public parameter with the newest AL2023 image.
const imageParameter = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"

var (
	//go:embed userdata.sh
	userDataText string
	//go:embed watchdog.sh
	watchdog string
	//go:embed setup.sh
	setup string

	userData = strings.NewReplacer("@WATCHDOG@\n", watchdog, "@SETUP@\n", setup).Replace(userDataText)
)

var (
	instanceType = regexp.MustCompile(`^[a-z][a-z0-9-]*\.[a-z0-9-]+$`)
	// arm matches the families that can't run the x86_64 image: "g" after the
	// generation is Graviton (EC2 instance types guide, "Naming conventions").
	arm = regexp.MustCompile(`^(a1|mac2[a-z0-9-]*|[a-z]+[0-9]+g[a-z]*)\.`)
)

// validType reports whether a text is an instance type that the builder can have.
func validType(name string) bool { return instanceType.MatchString(name) && !arm.MatchString(name) }

// Check adds the faults of the plain fields. at returns the path of a property.
func (a *BuilderArgs) Check(f *faults.Faults, at func(property string) string) {
	f.Check(validType(a.InstanceType), at("instanceType"), a.InstanceType, "an x86_64 EC2 instance type, such as c6i.xlarge")
	f.Between(at("volumeGib"), a.VolumeGiB, 30, 16384)
}

func (a *BuilderArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Required(a.VPCID != nil, "vpcId", "a VPC's id")
	f.Required(a.SubnetID != nil, "subnetId", "a subnet's id")
	f.Required(a.InstanceProfileName != nil, "instanceProfileName", "the builder role's instance profile")
	return f.Err("builder")
}

// NewBuilder declares the instance.
func NewBuilder(ctx *pulumi.Context, name string, args *BuilderArgs, opts ...pulumi.ResourceOption) (*Builder, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	b := &Builder{}
	if err := ctx.RegisterComponentResource("dcv:builder:Builder", name, b, opts...); err != nil {
		return nil, err
	}
	child := pulumi.Parent(b)
	group, err := outboundOnly(ctx, name, args, child)
	if err != nil {
		return nil, err
	}
	image, err := ssm.LookupParameter(ctx, &ssm.LookupParameterArgs{Name: imageParameter}, child)
	if err != nil {
		return nil, err
	}
	instance, err := ec2.NewInstance(ctx, name, &ec2.InstanceArgs{
		Ami:                     pulumi.String(image.Value),
		InstanceType:            pulumi.String(args.InstanceType),
		SubnetId:                args.SubnetID,
		VpcSecurityGroupIds:     pulumi.StringArray{group.ID()},
		IamInstanceProfile:      args.InstanceProfileName,
		EbsOptimized:            pulumi.Bool(true),
		Monitoring:              pulumi.Bool(false), // it runs for minutes a build
		UserData:                pulumi.String(userData),
		UserDataReplaceOnChange: pulumi.Bool(true), // otherwise a change stops and starts it, and leaves it running
		// The watchdog powers the instance off from inside, which must not terminate it.
		InstanceInitiatedShutdownBehavior: pulumi.String("stop"),
		MetadataOptions: ec2.InstanceMetadataOptionsArgs{
			HttpEndpoint: pulumi.String("enabled"), HttpTokens: pulumi.String("required"), HttpPutResponseHopLimit: pulumi.Int(1),
		},
		RootBlockDevice: ec2.InstanceRootBlockDeviceArgs{
			VolumeType: pulumi.String("gp3"), VolumeSize: pulumi.Int(args.VolumeGiB), Encrypted: pulumi.Bool(true),
		},
		// RunInstances makes the volume with these tags. The provider adds the tags of
		// rootBlockDevice by a later call (its ec2_instance.go), so a role that may make
		// tagged volumes only (components/githubroles) would be refused.
		VolumeTags: pulumi.ToStringMap(args.Tags),
		Tags:       withName(args.Tags, "dcv-sessions builder"),
	}, child, pulumi.IgnoreChanges([]string{"ami"})) // a newer image would replace it, and its build cache, at any up
	if err != nil {
		return nil, err
	}
	b.InstanceID, b.SecurityGroupID = instance.ID().ToStringOutput(), group.ID().ToStringOutput()
	b.InstanceURN = instance.URN().ToStringOutput()
	b.DockerHost = pulumi.Sprintf("ssh://builder@%s", b.InstanceID)
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{"instanceId": b.InstanceID, "securityGroupId": b.SecurityGroupID})
}

// outboundOnly declares the security group, which has no inbound rule.
func outboundOnly(ctx *pulumi.Context, name string, args *BuilderArgs, child pulumi.ResourceOption) (*ec2.SecurityGroup, error) {
	group, err := ec2.NewSecurityGroup(ctx, name, &ec2.SecurityGroupArgs{
		VpcId:       args.VPCID,
		Description: pulumi.String("image builder: nothing inbound"),
		Tags:        pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return nil, err
	}
	_, err = vpc.NewSecurityGroupEgressRule(ctx, name+"-egress", &vpc.SecurityGroupEgressRuleArgs{
		SecurityGroupId: group.ID(),
		Description:     pulumi.String("SSM, S3, ECR and the operating system's packages"),
		IpProtocol:      pulumi.String("-1"),
		CidrIpv4:        pulumi.String("0.0.0.0/0"),
		Tags:            pulumi.ToStringMap(args.Tags),
	}, child)
	return group, err
}

func withName(tags map[string]string, name string) pulumi.StringMap {
	named := pulumi.ToStringMap(tags)
	named["Name"] = pulumi.String(name)
	return named
}
