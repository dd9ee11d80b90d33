package compute_test

import (
	"encoding/base64"
	"errors"
	"flag"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/compute"
	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/contract"
)

var update = flag.Bool("update", false, "write the snapshots of testdata")

const (
	environment  = "aws:batch/computeEnvironment:ComputeEnvironment"
	template     = "aws:ec2/launchTemplate:LaunchTemplate"
	component    = "dcv:compute:Compute"
	environARN   = "arn:aws:batch:" + componenttest.Region + ":" + componenttest.Account + ":compute-environment/"
	imageLookUp  = "aws:ssm/getParameter:getParameter"
	machineImage = "ami-0a1b2c3d4e5f60718"
	profileARN   = "arn:aws:iam::123456789012:instance-profile/host"
	securityID   = "sg-1"
	projectTag   = "dcv-sessions:project"
)

func goodArgs() compute.ComputeArgs {
	return compute.ComputeArgs{
		InstanceTypes:        []string{"g5.xlarge", "g6.xlarge"},
		MinVCPUs:             4,
		MaxVCPUs:             64,
		Image:                machineImage,
		SpotMaxVCPUs:         32,
		RootGiB:              120,
		StopSeconds:          45,
		UpdateTimeoutMinutes: 300,
		LastPort:             8446,
		SubnetIDs:            pulumi.ToStringArray([]string{"subnet-a", "subnet-b"}),
		SecurityGroupID:      pulumi.String(securityID),
		InstanceProfileARN:   pulumi.String(profileARN),
		Tags:                 map[string]string{projectTag: "dcv-sessions"},
	}
}

func run(t *testing.T, mode componenttest.Mode, args compute.ComputeArgs, options ...componenttest.Option) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		made, err := compute.NewCompute(ctx, "hosts", &args)
		if err != nil {
			return err
		}
		ctx.Export("environments", pulumi.ToStringArrayOutput(made.EnvironmentARNs))
		return nil
	}, options...)
}

func TestTheGraphIsTheSameInPreviewAndUpdate(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := goodArgs()
		assert.Equal(t, []string{environment + " hosts", template + " hosts", component + " hosts"}, run(t, mode, args).Must(t).Names())

		args.Spot = true
		r := run(t, mode, args).Must(t)
		assert.Equal(t, []string{
			environment + " hosts", environment + " hosts-spot", template + " hosts", template + " hosts-spot", component + " hosts",
		}, r.Names())
		for _, made := range r.Resources {
			if made.Type != component {
				assert.Equal(t, "hosts", made.Parent, made.Name)
				assert.Equal(t, "dcv-sessions", made.Inputs["tags"].(map[string]any)[projectTag], made.Name)
			}
		}
	})
}

// AWS Batch updates in place only with its own service-linked role, which it takes
// where none is named, and with such a strategy. Everything else replaces what a
// live queue uses.
func TestEnvironmentsAreOfAKindThatIsUpdatedInPlace(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := goodArgs()
		args.Spot = true
		r := run(t, mode, args).Must(t)
		for name, want := range map[string]struct {
			market, strategy string
			least, most      float64
		}{
			"hosts":      {"EC2", "BEST_FIT_PROGRESSIVE", 4, 64},
			"hosts-spot": {"SPOT", "SPOT_CAPACITY_OPTIMIZED", 0, 32},
		} {
			made := r.Named(t, environment, name)
			pinned := map[string]any{"launchTemplateId": name + "-id", "version": "1"}
			if mode == componenttest.Preview {
				pinned = map[string]any{} // the mock leaves out what isn't known yet
			}
			assert.Equal(t, map[string]any{
				"computeEnvironmentNamePrefix": name + "-",
				"type":                         "MANAGED",
				"state":                        "ENABLED",
				"updatePolicy":                 map[string]any{"jobExecutionTimeoutMinutes": 300., "terminateJobsOnUpdate": false},
				"tags":                         map[string]any{projectTag: "dcv-sessions"},
				"computeResources": map[string]any{
					"type":               want.market,
					"allocationStrategy": want.strategy,
					"minVcpus":           want.least,
					"maxVcpus":           want.most,
					"instanceTypes":      []any{"g5.xlarge", "g6.xlarge"},
					"instanceRole":       profileARN,
					"subnets":            []any{"subnet-a", "subnet-b"},
					"securityGroupIds":   []any{securityID},
					"ec2Configurations":  []any{map[string]any{"imageType": "ECS_AL2023_NVIDIA", "imageIdOverride": machineImage}},
					"launchTemplate":     pinned,
				},
			}, made.Inputs, "nothing more: no service role, no desiredVcpus, no tags inside")
			assert.Equal(t, []string{"computeResources.desiredVcpus"}, made.Ignore)
		}
	})
}

// AWS Batch prefers the lowest price per vCPU, which among sizes is the largest
// one: with all sizes in one environment, one host held ready was a 12xlarge.
func TestMinVCPUsNeverStartAHostLargerThanTheFirstSize(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := goodArgs()
		args.InstanceTypes = []string{"g5.xlarge", "g5.2xlarge", "g6.xlarge", "g5.12xlarge"}
		r := run(t, mode, args).Must(t)
		for _, made := range r.OfType(environment) {
			resources := made.Inputs["computeResources"].(map[string]any)
			for _, name := range resources["instanceTypes"].([]any) {
				vcpus := capacity.InstanceTypes[name.(string)].VCPUs
				assert.False(t, resources["minVcpus"].(float64) > 0 && vcpus > 4, "%s holds %v vCPUs ready on a %s", made.Name, resources["minVcpus"], name)
			}
		}
	})
}

func TestEachSizeHasAnEnvironmentInTheOrderOfFirstMention(t *testing.T) {
	args := goodArgs()
	args.InstanceTypes = []string{"g6.2xlarge", "g5.xlarge", "g5.2xlarge", "g6.xlarge"}
	args.Spot = true
	r := run(t, componenttest.Update, args).Must(t)
	for name, want := range map[string]struct {
		types       []any
		least, most float64
	}{
		"hosts":        {[]any{"g6.2xlarge", "g5.2xlarge"}, 4, 64},
		"hosts-xlarge": {[]any{"g5.xlarge", "g6.xlarge"}, 0, 64},
		"hosts-spot":   {[]any{"g6.2xlarge", "g5.xlarge", "g5.2xlarge", "g6.xlarge"}, 0, 32},
	} {
		resources := r.Named(t, environment, name).Inputs["computeResources"].(map[string]any)
		assert.Equal(t, []any{want.types, want.least, want.most},
			[]any{resources["instanceTypes"], resources["minVcpus"], resources["maxVcpus"]}, name)
		r.Named(t, template, name)
	}
	assert.Len(t, r.OfType(environment), 3)
}

// AWS Batch never gives an environment a newer image by itself: hosts would get no
// security update.
func TestTheLatestImageIsLookedUpAndShownAtPreview(t *testing.T) {
	const newest = "ami-0123456789abcdef0"
	for name, want := range map[string]struct {
		image string
		calls []string
	}{
		compute.Latest: {newest, []string{imageLookUp}},
		machineImage:   {machineImage, nil},
	} {
		args := goodArgs()
		args.Image, args.Spot = name, true
		var asked any
		r := run(t, componenttest.Preview, args, componenttest.WithCall(imageLookUp, func(in map[string]any) (map[string]any, error) {
			asked = in["name"]
			return map[string]any{"value": newest}, nil
		})).Must(t)
		assert.Equal(t, want.calls, r.Calls, name)
		if name == compute.Latest {
			assert.Equal(t, "/aws/service/ecs/optimized-ami/amazon-linux-2023/gpu/recommended/image_id", asked)
		}
		for _, made := range r.OfType(environment) {
			resources := made.Inputs["computeResources"].(map[string]any)
			assert.Equal(t, []any{map[string]any{"imageType": "ECS_AL2023_NVIDIA", "imageIdOverride": want.image}}, resources["ec2Configurations"], made.Name)
		}
	}
}

func TestAnImageThatCannotBeLookedUpEndsTheRunWithTheRemedy(t *testing.T) {
	args := goodArgs()
	args.Image = compute.Latest
	r := run(t, componenttest.Preview, args, componenttest.WithCall(imageLookUp, func(map[string]any) (map[string]any, error) {
		return nil, errors.New("AccessDenied")
	}))
	require.ErrorContains(t, r.Err, "compute.image can name one")
	assert.ErrorContains(t, r.Err, "AccessDenied")
}

// A stack that made the role would use it too early, delete it under another
// stack, or fail where the account has it.
func TestTheServiceLinkedRoleIsLeftToAWSBatch(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		args := goodArgs()
		args.Spot = true
		r := run(t, mode, args).Must(t)
		for _, made := range r.Resources {
			assert.NotContains(t, made.Type, "aws:iam/", made.Name)
			assert.NotContains(t, made.Inputs, "serviceRole", made.Name)
		}
		assert.Empty(t, r.Calls, "nothing has to be there before the first preview")
	})
}

func TestTheQueueGetsOnDemandFirst(t *testing.T) {
	args := goodArgs()
	args.InstanceTypes = append(args.InstanceTypes, "g5.4xlarge")
	args.Spot = true
	var arns []string
	componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		made, err := compute.NewCompute(ctx, "hosts", &args)
		if err != nil {
			return err
		}
		pulumi.ToStringArrayOutput(made.EnvironmentARNs).ApplyT(func(known []string) []string { arns = known; return known })
		return nil
	}).Must(t)
	assert.Equal(t, []string{environARN + "hosts-0a1b2c", environARN + "hosts-4xlarge-0a1b2c", environARN + "hosts-spot-0a1b2c"}, arns)
}

func TestAnEnvironmentWaitsForWhatItMustOutlive(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
			attachment, err := iam.NewRolePolicyAttachment(ctx, "host-policy", &iam.RolePolicyAttachmentArgs{
				Role: pulumi.String("host"), PolicyArn: pulumi.String("arn:aws:iam::aws:policy/x"),
			})
			if err != nil {
				return err
			}
			args := goodArgs()
			args.Spot, args.After = true, []pulumi.Resource{attachment}
			_, err = compute.NewCompute(ctx, "hosts", &args)
			return err
		}).Must(t)
		for _, made := range r.OfType(environment) {
			assert.Contains(t, made.DependsOn, "host-policy", made.Name)
		}
	})
}

func TestHostsAreHardenedAndSizedAndTagged(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		made := run(t, mode, goodArgs()).Must(t).One(t, template)
		assert.Equal(t, map[string]any{"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 1.}, made.Inputs["metadataOptions"])
		assert.Equal(t, []any{map[string]any{"deviceName": "/dev/xvda", "ebs": map[string]any{
			"volumeSize": 120., "volumeType": "gp3", "encrypted": "true", "deleteOnTermination": "true",
		}}}, made.Inputs["blockDeviceMappings"])
		tags := map[string]any{projectTag: "dcv-sessions", "Name": "dcv-sessions host"}
		assert.Equal(t, []any{
			map[string]any{"resourceType": "instance", "tags": tags},
			map[string]any{"resourceType": "volume", "tags": tags},
		}, made.Inputs["tagSpecifications"])
		for _, ignored := range []string{"instanceType", "iamInstanceProfile", "networkInterfaces", "instanceMarketOptions", "vpcSecurityGroupIds", "imageId"} {
			assert.NotContains(t, made.Inputs, ignored, "AWS Batch ignores or refuses it")
		}
	})
}

func TestEachTemplateCarriesItsOwnKindsUserData(t *testing.T) {
	args := goodArgs()
	args.Spot, args.SharedGPU = true, true
	r := run(t, componenttest.Update, args).Must(t)
	for name, host := range map[string]compute.Host{
		"hosts":      {StopSeconds: 45, SharedGPU: true, LastPort: 8446},
		"hosts-spot": {StopSeconds: 45, SharedGPU: true, Spot: true, LastPort: 8446},
	} {
		text, err := base64.StdEncoding.DecodeString(r.Named(t, template, name).Inputs["userData"].(string))
		require.NoError(t, err)
		assert.Equal(t, host.UserData(), string(text), name)
	}
}

func TestUserDataIsAsReviewed(t *testing.T) {
	for name, host := range map[string]compute.Host{
		"on-demand":  {StopSeconds: 30, LastPort: 8446},
		"spot":       {StopSeconds: 110, Spot: true, LastPort: 8446},
		"shared-gpu": {StopSeconds: 30, SharedGPU: true, LastPort: 8446},
	} {
		got := strings.ReplaceAll(host.UserData(), "\r\n", "\n") // as git keeps it
		path := filepath.Join("testdata", "userdata-"+name+".txt")
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), got, "%s; after a review: go test -update", path)
	}
}

// AWS Batch takes user data only as MIME multi-part, and merges its own part in.
func TestUserDataIsMIMEMultipartWithOneScript(t *testing.T) {
	message, err := mail.ReadMessage(strings.NewReader(compute.Host{StopSeconds: 30, LastPort: 8446}.UserData()))
	require.NoError(t, err)
	kind, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	require.NoError(t, err)
	assert.Equal(t, "multipart/mixed", kind)
	assert.Equal(t, "1.0", message.Header.Get("MIME-Version"))

	parts := multipart.NewReader(message.Body, parameters["boundary"])
	part, err := parts.NextPart()
	require.NoError(t, err)
	assert.Equal(t, `text/x-shellscript; charset="us-ascii"`, part.Header.Get("Content-Type"))
	script, err := io.ReadAll(part)
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(script), "#!/bin/bash\n"), "cloud-init runs it by its first line")
	assert.NotContains(t, string(script), "\r", "bash would take it as a part of each word")
	_, err = parts.NextPart()
	assert.Equal(t, io.EOF, err)
}

func TestEveryFaultIsToldAtOnceAndNothingRegistered(t *testing.T) {
	r := run(t, componenttest.Preview, compute.ComputeArgs{
		InstanceTypes:        []string{"g5g.xlarge", "g5.2xlarge", "g5.2xlarge"},
		MinVCPUs:             -1,
		MaxVCPUs:             7,
		Spot:                 true,
		RootGiB:              29,
		StopSeconds:          111,
		UpdateTimeoutMinutes: 361,
	})
	require.Error(t, r.Err)
	for _, fault := range []string{
		`instanceTypes[0] is "g5g.xlarge"; allowed: types of docs/configuration.md's table, each once; nearest: g5.xlarge`,
		`instanceTypes[2] is "g5.2xlarge"; allowed: each type once`,
		"minVcpus is -1; allowed: a whole number from 0 to 100000",
		"maxVcpus is 7; allowed: at least the 8 vCPUs of one g5.2xlarge",
		"spotMaxVcpus is 0; allowed: a whole number from 1 to 100000",
		"rootGib is 29; allowed: a whole number from 30 to 16384",
		"stopSeconds is 111; allowed: a whole number from 12 to 110",
		"lastPort is 0; allowed: a whole number from 1025 to 32767",
		"updateTimeoutMinutes is 361; allowed: a whole number from 1 to 360",
		`subnetIds is not set`, `securityGroupId is not set`, `instanceProfileArn is not set`,
		`image is ""; allowed: an AMI's id, ami-…, or latest`,
		"compute has 13 faults",
	} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
}

func TestEachLimitIsWhereItIsSaidToBe(t *testing.T) {
	for name, change := range map[string]func(*compute.ComputeArgs){
		"no types":                 func(a *compute.ComputeArgs) { a.InstanceTypes = nil },
		"more held than allowed":   func(a *compute.ComputeArgs) { a.MinVCPUs = 65 },
		"a host that never fits":   func(a *compute.ComputeArgs) { a.InstanceTypes = []string{"g5.24xlarge"} },
		"a Spot host that neither": func(a *compute.ComputeArgs) { a.Spot, a.SpotMaxVCPUs = true, 3 },
		"more sizes than a queue takes": func(a *compute.ComputeArgs) {
			a.InstanceTypes = []string{"g5.xlarge", "g5.2xlarge", "g5.4xlarge", "g5.8xlarge"}
		},
		"more sizes than fit beside Spot": func(a *compute.ComputeArgs) {
			a.InstanceTypes, a.Spot = []string{"g5.xlarge", "g5.2xlarge", "g5.4xlarge"}, true
		},
		"root below the AMI's": func(a *compute.ComputeArgs) { a.RootGiB = 29 },
		"root over gp3's":      func(a *compute.ComputeArgs) { a.RootGiB = 16385 },
		"no time to stop":      func(a *compute.ComputeArgs) { a.StopSeconds = 11 },
		"longer than Spot's":   func(a *compute.ComputeArgs) { a.StopSeconds = 111 },
		"ports that Linux gives to outgoing connections": func(a *compute.ComputeArgs) { a.LastPort = contract.LastSessionPort + 1 },
		"no time to update": func(a *compute.ComputeArgs) { a.UpdateTimeoutMinutes = 0 },
	} {
		args := goodArgs()
		change(&args)
		assert.Error(t, run(t, componenttest.Preview, args).Err, name)
	}
	for name, change := range map[string]func(*compute.ComputeArgs){
		"all held ready":     func(a *compute.ComputeArgs) { a.MinVCPUs = 64 },
		"one host":           func(a *compute.ComputeArgs) { a.MinVCPUs, a.MaxVCPUs = 0, 4 },
		"ends of the ranges": func(a *compute.ComputeArgs) { a.RootGiB, a.StopSeconds, a.UpdateTimeoutMinutes = 30, 12, 1 },
		"other ends":         func(a *compute.ComputeArgs) { a.RootGiB, a.StopSeconds, a.UpdateTimeoutMinutes = 16384, 110, 360 },
		"the last port":      func(a *compute.ComputeArgs) { a.LastPort = contract.LastSessionPort },
		"Spot's most unused": func(a *compute.ComputeArgs) { a.SpotMaxVCPUs = 1 },
		"without tags":       func(a *compute.ComputeArgs) { a.Tags = nil },
		"as many sizes as a queue takes": func(a *compute.ComputeArgs) {
			a.InstanceTypes = []string{"g5.xlarge", "g5.2xlarge", "g5.4xlarge", "g6.2xlarge"}
		},
	} {
		args := goodArgs()
		change(&args)
		assert.NoError(t, run(t, componenttest.Preview, args).Err, name)
	}
}
