// Package compute declares the GPU hosts of sessions: AWS Batch's compute environments
// and the launch templates of their instances.
package compute

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/batch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ssm"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// ComputeArgs are plain values, which decide the resources that there are, and the
// outputs of other components.
type ComputeArgs struct {
	// InstanceTypes are names of the table capacity.InstanceTypes, each once, of up to
	// capacity.MaxSizes sizes. Each size has an on-demand environment of its own, and they
	// are tried in the order in which the sizes are first mentioned. Among the types
	// of one size AWS Batch takes the one with the lowest price, and goes on to
	// other types if AWS has none of it.
	InstanceTypes []string
	// MinVCPUs are kept running (and paid) at all times, on hosts of the first size;
	// with 0 there are none without sessions. MaxVCPUs bounds the hosts of each on-demand
	// environment, in vCPUs; AWS Batch may pass it by one instance. It is at
	// least that of the largest type.
	MinVCPUs, MaxVCPUs int
	// Image is the id of the hosts' machine image (AMI), or Latest.
	Image string
	// Spot adds an environment of Spot hosts of all types, tried when the others
	// are full, of up to SpotMaxVCPUs (1 and up). A reclaimed host ends its sessions.
	Spot         bool
	SpotMaxVCPUs int
	// RootGiB is a host's encrypted root volume, 30 to 16384 GiB: two to three
	// times the image.
	RootGiB int
	// StopSeconds is the time between SIGTERM and SIGKILL on a host: contract.Settings'
	// Stop.
	StopSeconds int
	// UpdateTimeoutMinutes is how long an update of the environment leaves sessions
	// on the hosts that it replaces, 1 to 360. Those that still run then are
	// terminated (AWS Batch user guide, "Updating compute environments"). The API
	// takes up to 7200, the provider 360 (terraform-provider-aws#48709).
	UpdateTimeoutMinutes int
	// Hooks are those that the function Hooks returns. Without them an update fails if it
	// lasts longer than the provider waits.
	Hooks *pulumi.ResourceHookBinding
	// LastPort is the last port that a session may have, 1025 to
	// contract.LastSessionPort. On the hosts only root may bind ports below
	// hostguard.FirstFreePort, which follows from it.
	LastPort int
	// SharedGPU prepares hosts for sessions that reserve no GPU but share one.
	SharedGPU          bool
	SubnetIDs          pulumi.StringArrayInput
	SecurityGroupID    pulumi.StringInput
	InstanceProfileARN pulumi.StringInput
	// After are the resources that are deleted after the environments: the policies of
	// their role, without which an environment would stay DELETING.
	After []pulumi.Resource
	// Tags are put on templates, environments, instances and volumes.
	Tags map[string]string
}

// Compute is up to capacity.MaxEnvironments compute environments, in the order of preference.
type Compute struct {
	pulumi.ResourceState

	EnvironmentARNs []pulumi.StringOutput
	// Image is the id of the hosts' machine image.
	Image string
}

// Latest stands for the newest machine image that AWS recommends for GPU hosts. A
// newer one replaces the hosts at the next update: AWS Batch itself never gives an
// environment a newer image (user guide, "Compute resource AMIs").
const Latest = "latest"

// imageParameter is AWS's public parameter with the id of that image (Amazon ECS
// developer guide, "Retrieving Amazon ECS-optimized Linux AMI metadata").
const imageParameter = "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id"

var imagePattern = regexp.MustCompile(`^ami-[0-9a-f]{8,17}$`)

// Check adds the faults of the plain fields. at returns the path of a property.
func (a *ComputeArgs) Check(f *faults.Faults, at func(property string) string) {
	a.checkTypes(f, at("instanceTypes"), at("spot"))
	f.Between(at("minVcpus"), a.MinVCPUs, 0, mostVCPUs)
	f.Between(at("maxVcpus"), a.MaxVCPUs, 1, mostVCPUs)
	f.Between(at("spotMaxVcpus"), a.SpotMaxVCPUs, 1, mostVCPUs)
	a.checkCapacity(f, at)
	f.Check(a.Image == Latest || imagePattern.MatchString(a.Image), at("image"), a.Image, "an AMI's id, ami-…, or "+Latest)
	f.Between(at("rootGib"), a.RootGiB, 30, 16384)
	stop := contract.SettingOf("Stop")
	f.Between(at("stopSeconds"), a.StopSeconds, stop.Min, stop.Max)
	checkUpdateTimeout(f, at("updateTimeoutMinutes"), a.UpdateTimeoutMinutes)
	f.Between(at("lastPort"), a.LastPort, 1025, contract.LastSessionPort)
}

// mostVCPUs is more than any account's quota.
const mostVCPUs = 100000

func checkUpdateTimeout(f *faults.Faults, path string, minutes int) { f.Between(path, minutes, 1, 360) }

// checkTypes adds the faults of the instance types. list and spot are the paths of
// InstanceTypes and Spot.
func (a *ComputeArgs) checkTypes(f *faults.Faults, list, spot string) {
	const allowed = "types of docs/configuration.md's table, each once"
	f.Check(len(a.InstanceTypes) > 0, list, a.InstanceTypes, allowed)
	for i, name := range a.InstanceTypes {
		_, known := capacity.InstanceTypes[name]
		f.Check(known, faults.Item(list, i), name, allowed+"; nearest: "+faults.Nearest(name, capacity.Known()))
		f.Check(!slices.Contains(a.InstanceTypes[:i], name), faults.Item(list, i), name, "each type once")
	}
	most := capacity.MaxSizes(a.Spot)
	f.Compare(len(capacity.Sizes(a.InstanceTypes)) <= most, list, a.InstanceTypes, fmt.Sprintf(
		"types of at most %d sizes when %s is %t: a job queue takes %d compute environments, one for each size and one for Spot hosts",
		most, spot, a.Spot, capacity.MaxEnvironments), spot)
}

// checkCapacity adds the faults of environments that could never start one of their
// hosts, and of hosts held ready beyond the most.
func (a *ComputeArgs) checkCapacity(f *faults.Faults, at func(property string) string) {
	types, most := at("instanceTypes"), at("maxVcpus")
	f.Compare(a.MinVCPUs <= a.MaxVCPUs, at("minVcpus"), a.MinVCPUs, fmt.Sprintf("at most %s, %d", most, a.MaxVCPUs), most)
	for i, name := range a.InstanceTypes {
		if slices.Contains(a.InstanceTypes[:i], name) {
			continue
		}
		vcpus := capacity.InstanceTypes[name].VCPUs
		allowed := fmt.Sprintf("at least the %d vCPUs of one %s", vcpus, name)
		f.Compare(vcpus <= a.MaxVCPUs, most, a.MaxVCPUs, allowed, types)
		f.Compare(!a.Spot || vcpus <= a.SpotMaxVCPUs, at("spotMaxVcpus"), a.SpotMaxVCPUs, allowed, types, at("spot"))
	}
}

func (a *ComputeArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Required(a.SubnetIDs != nil, "subnetIds", "subnets that give hosts a public address")
	f.Required(a.SecurityGroupID != nil, "securityGroupId", "a security group's id")
	f.Required(a.InstanceProfileARN != nil, "instanceProfileArn", "an ARN")
	return f.Err("compute")
}

// environment is a row with the differences between the environments. The strategies
// are those that AWS Batch and the provider update in place. Spot has the one
// with the fewest interruptions; with SPOT_PRICE_CAPACITY_OPTIMIZED provider 5.82
// replaces the environment (terraform-provider-aws#38695).
type environment struct {
	suffix, market, strategy string
	types                    []string
	min, max                 int
}

// environments returns the rows in the queue's order: one for each size, and one
// for Spot, with all types, since its strategy goes by capacity. The first has no
// suffix, so that a stack keeps it if the first size changes.
func (a *ComputeArgs) environments() []environment {
	var rows []environment
	for i, types := range capacity.Sizes(a.InstanceTypes) {
		row := environment{"-" + capacity.SizeOf(types[0]), "EC2", "BEST_FIT_PROGRESSIVE", types, 0, a.MaxVCPUs}
		if i == 0 {
			row.suffix, row.min = "", a.MinVCPUs
		}
		rows = append(rows, row)
	}
	if a.Spot {
		rows = append(rows, environment{"-spot", "SPOT", "SPOT_CAPACITY_OPTIMIZED", a.InstanceTypes, 0, a.SpotMaxVCPUs})
	}
	return rows
}

// NewCompute declares the environments.
func NewCompute(ctx *pulumi.Context, name string, args *ComputeArgs, opts ...pulumi.ResourceOption) (*Compute, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	c := &Compute{}
	if err := ctx.RegisterComponentResource("dcv:compute:Compute", name, c, opts...); err != nil {
		return nil, err
	}
	image, err := c.machineImage(ctx, args)
	if err != nil {
		return nil, err
	}
	c.Image = image
	for _, row := range args.environments() {
		arn, err := c.declare(ctx, name+row.suffix, args, row)
		if err != nil {
			return nil, err
		}
		c.EnvironmentARNs = append(c.EnvironmentARNs, arn)
	}
	arns := pulumi.StringArray{}
	for _, arn := range c.EnvironmentARNs {
		arns = append(arns, arn)
	}
	return c, ctx.RegisterResourceOutputs(c, pulumi.Map{"environmentArns": arns})
}

// machineImage returns the id of the hosts' machine image. It is known at preview, so
// that a preview shows a newer one.
func (c *Compute) machineImage(ctx *pulumi.Context, args *ComputeArgs) (string, error) {
	if args.Image != Latest {
		return args.Image, nil
	}
	found, err := ssm.LookupParameter(ctx, &ssm.LookupParameterArgs{Name: imageParameter}, pulumi.Parent(c))
	if err != nil {
		return "", fmt.Errorf("the newest machine image of GPU hosts can't be looked up; compute.image can name one: %w", err)
	}
	return found.Value, nil
}

func (c *Compute) declare(ctx *pulumi.Context, name string, args *ComputeArgs, row environment) (pulumi.StringOutput, error) {
	template, err := c.template(ctx, name, args, row)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	options := []pulumi.ResourceOption{
		pulumi.Parent(c), pulumi.DependsOn(args.After), pulumi.IgnoreChanges([]string{"computeResources.desiredVcpus"}),
	}
	if args.Hooks != nil {
		options = append(options, pulumi.ResourceHooks(args.Hooks))
	}
	made, err := batch.NewComputeEnvironment(ctx, name, &batch.ComputeEnvironmentArgs{
		// A prefix, so that a replacement can be created before the old one is detached
		// and deleted.
		ComputeEnvironmentNamePrefix: pulumi.String(name + "-"),
		Type:                         pulumi.String("MANAGED"),
		State:                        pulumi.String("ENABLED"),
		// No service role: AWS Batch uses the account's service-linked role, and creates
		// it if the account has none (API reference, CreateComputeEnvironment). With that
		// role it updates in place; with any other the provider replaces the environment.
		// The role is no resource of the stack, since other environments of the account
		// use it too.
		ComputeResources: batch.ComputeEnvironmentComputeResourcesArgs{
			Type:               pulumi.String(row.market),
			AllocationStrategy: pulumi.String(row.strategy),
			InstanceTypes:      pulumi.ToStringArray(row.types),
			MinVcpus:           pulumi.Int(row.min),
			MaxVcpus:           pulumi.Int(row.max),
			InstanceRole:       args.InstanceProfileARN,
			Subnets:            args.SubnetIDs,
			SecurityGroupIds:   pulumi.StringArray{args.SecurityGroupID},
			Ec2Configurations: batch.ComputeEnvironmentComputeResourcesEc2ConfigurationArray{
				// The type is named: the default has no NVIDIA driver.
				batch.ComputeEnvironmentComputeResourcesEc2ConfigurationArgs{
					ImageType: pulumi.String("ECS_AL2023_NVIDIA"), ImageIdOverride: pulumi.String(c.Image),
				},
			},
			LaunchTemplate: batch.ComputeEnvironmentComputeResourcesLaunchTemplateArgs{
				LaunchTemplateId: template.ID(),
				// A number: $Latest is read again only when something else changes.
				Version: pulumi.Sprintf("%d", template.LatestVersion),
			},
			// No desiredVcpus: Batch moves it (see ignoreChanges).
			// No tags: a change of these replaces the hosts. The template tags them.
		},
		UpdatePolicy: batch.ComputeEnvironmentUpdatePolicyArgs{
			JobExecutionTimeoutMinutes: pulumi.Int(args.UpdateTimeoutMinutes),
			TerminateJobsOnUpdate:      pulumi.Bool(false),
		},
		Tags: pulumi.ToStringMap(args.Tags),
	}, options...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return made.Arn, nil
}

// template declares the launch template of a host. AWS Batch ignores its instance type,
// role, subnet and market options.
func (c *Compute) template(ctx *pulumi.Context, name string, args *ComputeArgs, row environment) (*ec2.LaunchTemplate, error) {
	tagged := ec2.LaunchTemplateTagSpecificationArray{}
	for _, kind := range []string{"instance", "volume"} {
		tagged = append(tagged, ec2.LaunchTemplateTagSpecificationArgs{ResourceType: pulumi.String(kind), Tags: hostTags(args.Tags)})
	}
	return ec2.NewLaunchTemplate(ctx, name, &ec2.LaunchTemplateArgs{
		Description:          pulumi.String("DCV session hosts"),
		UpdateDefaultVersion: pulumi.Bool(true),
		UserData:             pulumi.String(Host{args.StopSeconds, row.market == "SPOT", args.SharedGPU, args.LastPort}.encoded()),
		MetadataOptions: ec2.LaunchTemplateMetadataOptionsArgs{
			// One hop is enough, and host networking adds none: a session's supervisor
			// reads the host's addresses there. Players are kept out by hostguard.
			HttpEndpoint: pulumi.String("enabled"), HttpTokens: pulumi.String("required"), HttpPutResponseHopLimit: pulumi.Int(1),
		},
		BlockDeviceMappings: ec2.LaunchTemplateBlockDeviceMappingArray{ec2.LaunchTemplateBlockDeviceMappingArgs{
			DeviceName: pulumi.String("/dev/xvda"), // AL2023's root
			Ebs: ec2.LaunchTemplateBlockDeviceMappingEbsArgs{
				VolumeType: pulumi.String("gp3"), VolumeSize: pulumi.Int(args.RootGiB),
				Encrypted: pulumi.String("true"), DeleteOnTermination: pulumi.String("true"),
			},
		}},
		TagSpecifications: tagged,
		Tags:              pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(c))
}

func hostTags(tags map[string]string) pulumi.StringMap {
	named := pulumi.ToStringMap(tags)
	named["Name"] = pulumi.String("dcv-sessions host")
	return named
}
