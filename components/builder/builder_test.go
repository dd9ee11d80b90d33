package builder_test

import (
	"flag"
	"maps"
	"os"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/componenttest"
)

var update = flag.Bool("update", false, "write the snapshots of testdata")

const (
	component = "dcv:builder:Builder"
	instance  = "aws:ec2/instance:Instance"
	group     = "aws:ec2/securityGroup:SecurityGroup"
	ingress   = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	egress    = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
	parameter = "aws:ssm/getParameter:getParameter"
)

// tagged is the tags of every test, as the engine sees them.
func tagged() map[string]any { return map[string]any{"team": "games"} }

func goodArgs() builder.BuilderArgs {
	return builder.BuilderArgs{
		InstanceType:        "c6i.xlarge",
		VolumeGiB:           200,
		VPCID:               pulumi.String("vpc-1"),
		SubnetID:            pulumi.String("subnet-a"),
		InstanceProfileName: pulumi.String("builder-profile"),
		Tags:                map[string]string{"team": "games"},
	}
}

func run(t *testing.T, mode componenttest.Mode, args builder.BuilderArgs, options ...componenttest.Option) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := builder.NewBuilder(ctx, "builder", &args)
		return err
	}, options...)
}

// known returns the inputs that are known in a preview.
func known(inputs map[string]any) map[string]any {
	maps.DeleteFunc(inputs, func(_ string, value any) bool { return value == componenttest.Unknown })
	return inputs
}

// computed is a value that only an update knows.
func computed(mode componenttest.Mode, value any) any {
	if mode == componenttest.Preview {
		return componenttest.Unknown
	}
	return value
}

func TestTheBuilderIsEncryptedAndAnswersToItsRoleOnly(t *testing.T) {
	asked := map[string]any{}
	image := componenttest.WithCall(parameter, func(args map[string]any) (map[string]any, error) {
		asked = args
		return map[string]any{"value": "ami-al2023"}, nil
	})
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs(), image).Must(t)
		assert.Equal(t, []string{instance + " builder", group + " builder", egress + " builder-egress", component + " builder"}, r.Names())
		assert.Equal(t, map[string]any{"name": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"}, asked)

		made := r.One(t, instance)
		assert.Equal(t, "builder", made.Parent)
		userData := made.Inputs["userData"]
		delete(made.Inputs, "userData")
		delete(made.Inputs, "vpcSecurityGroupIds")
		assert.Equal(t, map[string]any{
			"ami":                               "ami-al2023",
			"instanceType":                      "c6i.xlarge",
			"subnetId":                          "subnet-a",
			"iamInstanceProfile":                "builder-profile",
			"ebsOptimized":                      true,
			"monitoring":                        false,
			"userDataReplaceOnChange":           true,
			"instanceInitiatedShutdownBehavior": "stop",
			"metadataOptions":                   map[string]any{"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1.},
			"rootBlockDevice":                   map[string]any{"volumeType": "gp3", "volumeSize": 200., "encrypted": true},
			"volumeTags":                        tagged(),
			"tags":                              map[string]any{"team": "games", "Name": "dcv-sessions builder"},
		}, made.Inputs)
		assertGolden(t, userData)
	})
}

// A change of the user data replaces the instance and its build cache, so it is
// seen here first.
func assertGolden(t *testing.T, got any) {
	t.Helper()
	const path = "testdata/userdata.golden"
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got.(string)), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
	assert.Less(t, len(want), 16<<10, "EC2's limit")
}

func TestANewerMachineImageReplacesNoBuilder(t *testing.T) {
	r := run(t, componenttest.Update, goodArgs()).Must(t)
	assert.Equal(t, []string{"ami"}, r.One(t, instance).Ignore)
}

func TestNothingReachesTheBuilderFromOutside(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		assert.Empty(t, r.OfType(ingress))
		own := r.One(t, group)
		assert.Equal(t, "builder", own.Parent)
		assert.Equal(t, map[string]any{"vpcId": "vpc-1", "description": "image builder: nothing inbound", "tags": tagged()}, own.Inputs)
		out := r.One(t, egress)
		assert.Equal(t, "builder", out.Parent)
		assert.Equal(t, known(map[string]any{
			"securityGroupId": computed(mode, "builder-id"),
			"description":     "SSM, S3, ECR and the operating system's packages",
			"ipProtocol":      "-1",
			"cidrIpv4":        "0.0.0.0/0",
			"tags":            tagged(),
		}), known(out.Inputs))
		if mode == componenttest.Update {
			assert.Equal(t, []any{"builder-id"}, r.One(t, instance).Inputs["vpcSecurityGroupIds"], "no further group")
		}
	})
}

func TestTheBuilderIsAnX86Machine(t *testing.T) {
	for name, good := range map[string]bool{
		"c6i.xlarge": true, "g4dn.xlarge": true, "g5.xlarge": true, "gr6.4xlarge": true, "m7i-flex.large": true, "u-6tb1.metal": true, "c7i.metal-24xl": true,
		"c6g.xlarge": false, "c7gn.xlarge": false, "t4g.small": false, "g5g.xlarge": false, "im4gn.large": false, "a1.large": false, "mac2.metal": false,
		"": false, "c6i": false, "c6i xlarge": false, "C6i.xlarge": false,
	} {
		args := goodArgs()
		args.InstanceType = name
		r := run(t, componenttest.Preview, args)
		assert.Equal(t, good, r.Err == nil, "%q: %v", name, r.Err)
	}
}

func TestTheVolumeIsWithinGP3sLimits(t *testing.T) {
	for size, good := range map[int]bool{29: false, 30: true, 16384: true, 16385: false} {
		args := goodArgs()
		args.VolumeGiB = size
		r := run(t, componenttest.Preview, args)
		assert.Equal(t, good, r.Err == nil, "%d: %v", size, r.Err)
	}
}

func TestEveryFaultIsToldAtOnceAndNothingDeclared(t *testing.T) {
	r := run(t, componenttest.Preview, builder.BuilderArgs{InstanceType: "large", VolumeGiB: 8})
	require.Error(t, r.Err)
	assert.ErrorContains(t, r.Err, "builder has 5 faults")
	assert.ErrorContains(t, r.Err, `instanceType is "large"; allowed: an x86_64 EC2 instance type, such as c6i.xlarge`)
	assert.ErrorContains(t, r.Err, "volumeGib is 8; allowed: a whole number from 30 to 16384")
	for _, path := range []string{"vpcId is not set", "subnetId is not set", "instanceProfileName is not set"} {
		assert.ErrorContains(t, r.Err, path)
	}
	assert.Empty(t, r.Resources)
	assert.Empty(t, r.Calls)
}

func TestTheBuildersIdsAreEC2s(t *testing.T) {
	given := make(chan []any, 1)
	componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		args := goodArgs()
		made, err := builder.NewBuilder(ctx, "machine", &args)
		if err != nil {
			return err
		}
		pulumi.All(made.InstanceID, made.SecurityGroupID).ApplyT(func(all []any) error { given <- all; return nil })
		return nil
	}).Must(t)
	assert.Equal(t, []any{"machine-id", "machine-id"}, <-given)
}
