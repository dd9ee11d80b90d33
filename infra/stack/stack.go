// Package stack is the whole of one environment, as a table of contents:
// configuration in, components, outputs out. The same function runs under
// `pulumi up`, under the sandbox's engine and under the tests' mock.
package stack

import (
	"cmp"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/compute"
	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/components/githubroles"
	"github.com/intraverse/dcv-sessions/components/network"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/components/queue"
	"github.com/intraverse/dcv-sessions/components/registry"
	"github.com/intraverse/dcv-sessions/components/roles"
	"github.com/intraverse/dcv-sessions/components/session"
	"github.com/intraverse/dcv-sessions/components/userresources"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/infra/config"
	"github.com/intraverse/dcv-sessions/outputs/pulumioutputs"
)

// Deploy declares the stack.
func Deploy(ctx *pulumi.Context) error {
	cfg, err := config.Load(ctx)
	if err != nil {
		return err
	}
	stack, tags := ctx.Stack(), tags(ctx.Stack(), cfg)
	keep := pulumi.Protect(cfg.Protect) // what holds data or users

	client, err := newAccount(ctx)
	if err != nil {
		return err
	}
	if err := client.checkPorts(ctx.Context(), stack, cfg); err != nil {
		return err
	}

	net, err := network.NewNetwork(ctx, networkName, &network.NetworkArgs{
		VPCID:       cfg.Network.VPCID,
		SubnetIDs:   cfg.Network.SubnetIDs,
		CIDRBlock:   cfg.Network.CIDRBlock,
		Zones:       cfg.Network.Zones,
		Ports:       cfg.Ports(),
		FormerPorts: cfg.FormerPorts(),
		PlayerCIDRs: cfg.Network.PlayerCIDRs,
		OpenToWorld: cfg.Network.OpenToWorld,
		Tags:        tags,
	})
	if err != nil {
		return err
	}

	repository, err := registry.NewRegistry(ctx, registryName, &registry.RegistryArgs{
		Keep:         cfg.Registry.Keep,
		KeepReleased: cfg.Registry.KeepReleased,
		PullAccounts: cfg.Registry.PullAccounts,
		ForceDelete:  !cfg.Protect,
		Tags:         tags,
	}, keep)
	if err != nil {
		return err
	}

	builds, err := builder.NewGameBuilds(ctx, gameBuildsName, &builder.GameBuildsArgs{ForceDestroy: !cfg.Protect, Tags: tags}, keep)
	if err != nil {
		return err
	}

	logs, err := observability.NewLogs(ctx, logsName, &observability.LogsArgs{
		NamePrefix:    contract.LogGroupPrefix(stack),
		RetentionDays: cfg.Logs.RetentionDays,
		Tags:          tags,
	}, keep)
	if err != nil {
		return err
	}

	users, err := userresources.NewUserResources(ctx, usersName, &userresources.UserResourcesArgs{
		Stack:        stack,
		Users:        secretUsers(cfg),
		TeamEmails:   cfg.Notifications.TeamEmails,
		RecoveryDays: cfg.Secrets.RecoveryDays,
		Tags:         tags,
	})
	if err != nil {
		return err
	}

	access, err := roles.NewRoles(ctx, rolesName, &roles.RolesArgs{
		Stack:               stack,
		RepositoryARN:       repository.ARN,
		GameBuildsBucketARN: builds.BucketARN,
		LogGroupARN:         logs.LogGroupARN,
		KeyARN:              users.KeyARN,
		CertificateARN:      cfg.Session.CertificateSecretARN,
		UsedRepository:      usedRepository(cfg),
		SupportAccess:       cfg.Compute.SupportAccess,
		RegistryName:        registryName,
		DeliveryName:        deliveryName,
		Tags:                tags,
	})
	if err != nil {
		return err
	}

	if _, err := delivery.NewDelivery(ctx, deliveryName, &delivery.DeliveryArgs{
		Stack:        stack,
		Bucket:       builds.Bucket,
		Prefix:       cfg.Delivery.Prefix,
		Repository:   cfg.Delivery.Repository,
		Workflow:     cfg.Delivery.Workflow,
		Ref:          cfg.Delivery.Ref,
		API:          cfg.Delivery.API,
		TeamTopicARN: users.TeamTopicARN,
		BoundaryARN:  access.BoundaryARN,
		Tags:         tags,
	}); err != nil {
		return err
	}

	machine, err := builder.NewBuilder(ctx, builderName, &builder.BuilderArgs{
		InstanceType:        cfg.Builder.InstanceType,
		VolumeGiB:           cfg.Builder.VolumeGiB,
		VPCID:               net.VPCID,
		SubnetID:            net.SubnetIDs.Index(pulumi.Int(0)),
		InstanceProfileName: access.BuilderInstanceProfileName,
		Tags:                tags,
	})
	if err != nil {
		return err
	}

	login := "../.build/login-" + stack // relative as the image's folders are, and so the same on every machine
	building, err := client.builderHooks(ctx, builderName, builder.HooksArgs{
		InstanceID:  machine.InstanceID,
		InstanceURN: machine.InstanceURN,
		LoginDir:    login,
		IdleMinutes: cfg.Builder.IdleMinutes,
		MaxHours:    cfg.Builder.MaxHours,
	})
	if err != nil {
		return err
	}
	build, err := gameBuild(cfg, client, builds)
	if err != nil {
		return err
	}
	image, err := gameimage.NewGameImage(ctx, imageName, &gameimage.GameImageArgs{
		Use:            cfg.Image.Use,
		BuildOn:        cfg.Image.BuildOn,
		Host:           machine.DockerHost,
		SSHOptions:     builder.SSHOptions(login, cmp.Or(cfg.Builder.ProxyCommand, builder.SessionManager(cfg.Region, client.profile()))),
		Hooks:          building,
		RepositoryURL:  repository.URL,
		RepositoryName: repository.Name,
		RegistryID:     repository.RegistryID,
		BaseImage:      cfg.Image.Base,
		Version:        cfg.Image.Version,
		Revision:       cfg.Image.Revision,
		DisplayServer:  contract.DisplayServer(cfg.Image.DisplayServer),
		MaxGiB:         cfg.Image.GameMaxGiB,
		DCVSource:      cfg.Image.DCVSource,
		StopSeconds:    cfg.Session.StopSeconds,
		Build:          build,
		Game:           config.FromProgram(cfg.Image.Game),
		Branding:       config.FromProgram(cfg.Image.Branding),
		StagingDir:     "../.build/image-" + stack, // a stack may have a game of its own
	})
	if err != nil {
		return err
	}

	updating, err := client.hostHooks(ctx, hostsName, cfg.Compute.UpdateTimeoutMinutes)
	if err != nil {
		return err
	}
	hosts, err := compute.NewCompute(ctx, hostsName, &compute.ComputeArgs{
		InstanceTypes:        cfg.Compute.InstanceTypes,
		MinVCPUs:             cfg.Compute.MinVCPUs,
		MaxVCPUs:             cfg.Compute.MaxVCPUs,
		Spot:                 cfg.Compute.Spot,
		SpotMaxVCPUs:         cfg.Compute.SpotMaxVCPUs,
		Image:                cfg.Compute.Image,
		RootGiB:              cfg.Compute.RootGiB,
		StopSeconds:          cfg.Session.StopSeconds,
		UpdateTimeoutMinutes: cfg.Compute.UpdateTimeoutMinutes,
		Hooks:                updating,
		LastPort:             cfg.LastPort(),
		SharedGPU:            cfg.SharedGPU(),
		SubnetIDs:            net.SubnetIDs,
		SecurityGroupID:      net.SecurityGroupID,
		InstanceProfileARN:   access.HostInstanceProfileARN,
		After:                access.HostReady,
		Tags:                 tags,
	})
	if err != nil {
		return err
	}

	line, err := queue.NewQueue(ctx, queueName, &queue.QueueArgs{
		EnvironmentARNs: inputs(hosts.EnvironmentARNs),
		MaxWaitSeconds:  cfg.Queue.MaxWaitMinutes * 60,
		Tags:            tags,
	})
	if err != nil {
		return err
	}

	passwords, err := client.passwords()
	if err != nil {
		return err
	}
	batchEndpoint, err := client.endpoint("batch")
	if err != nil {
		return err
	}
	topicsEndpoint, err := client.endpoint("sns")
	if err != nil {
		return err
	}
	settings := cfg.Settings(stack)
	settings.BatchEndpoint, settings.TopicsEndpoint = aws.ToString(batchEndpoint), aws.ToString(topicsEndpoint)
	sessions, err := session.NewSessions(ctx, sessionsName, &session.SessionsArgs{
		Settings:          settings,
		Users:             sessionUsers(cfg, users),
		Image:             image.URI,
		VCPUs:             cfg.Session.VCPUs,
		MemoryMiB:         cfg.Session.MemoryMiB,
		GPUs:              cfg.GPUs(),
		SharedMemoryMiB:   cfg.Session.SharedMemoryMiB,
		Privileged:        cfg.Session.Privileged,
		Attempts:          cfg.Session.Attempts,
		CertificateARN:    cfg.Session.CertificateSecretARN,
		ExecutionRoleARN:  access.ExecutionRoleARN,
		SessionRoleARN:    access.SessionRoleARN,
		LogGroupName:      logs.LogGroupName,
		EnsureCredentials: passwords.Ensure,
		Tags:              tags,
	})
	if err != nil {
		return err
	}

	launcher, err := roles.NewLauncherPolicy(ctx, launcherName, &roles.LauncherPolicyArgs{
		Stack:       stack,
		QueueARN:    line.ARN,
		LogGroupARN: logs.LogGroupARN,
		Tags:        tags,
	})
	if err != nil {
		return err
	}

	if cfg.Delivery.Repository != "" {
		if _, err := githubroles.NewGitHubRoles(ctx, githubName, &githubroles.GitHubRolesArgs{
			Stack:             stack,
			Repository:        cfg.Delivery.Repository,
			Subjects:          cfg.Delivery.OIDCSubjects,
			Branch:            cfg.Delivery.Ref,
			CreateProvider:    cfg.Delivery.CreateOIDCProvider,
			StateBucket:       cfg.Delivery.StateBucket,
			SecretsKeyARN:     cfg.Delivery.StateKeyARN,
			VPCID:             cfg.Network.VPCID,
			SubnetIDs:         cfg.Network.SubnetIDs,
			LauncherPolicyARN: launcher.ARN,
			RoleARNs:          inputs([]pulumi.StringOutput{access.HostRoleARN, access.ExecutionRoleARN, access.SessionRoleARN, access.BuilderRoleARN}),
			BoundaryARN:       access.BoundaryARN,
			BucketARN:         builds.BucketARN,
			Names: githubroles.Names{
				Registry: registryName, GameBuilds: gameBuildsName, Delivery: deliveryName, Roles: rolesName,
				Hosts: hostsName, Queue: queueName, Launcher: launcherName, TeamTopic: userresources.TeamTopicName(usersName),
			},
			Tags: tags,
		}); err != nil {
			return err
		}
	}

	pulumioutputs.Export(ctx, pulumioutputs.Values{
		Region:            cfg.Region,
		QueueARN:          line.ARN,
		QueueName:         line.Name,
		JobDefinitions:    sessions.JobDefinitions,
		MaxSessions:       cfg.MaxSessions(),
		ImageURI:          image.URI,
		RepositoryURL:     repository.URL,
		Ports:             cfg.Ports(),
		SecurityGroupID:   net.SecurityGroupID,
		HostImage:         hosts.Image,
		CredentialsARNs:   users.Credentials,
		TeamTopicARN:      users.TeamTopicARN,
		TopicARNs:         users.Topics,
		LogGroup:          logs.LogGroupName,
		BuilderInstanceID: machine.InstanceID,
		GameBuildsBucket:  builds.Bucket,
		LauncherPolicyARN: launcher.ARN,
	})
	return nil
}

// tags are on every resource: cost by stack, and who may do what to whose.
func tags(stack string, cfg *config.Config) map[string]string {
	all := map[string]string{contract.TagProject: contract.Product, contract.TagStack: stack}
	for key, value := range cfg.Tags {
		all[key] = value
	}
	return all
}

// usedRepository is the repository of the image that image.use names by its address.
func usedRepository(cfg *config.Config) roles.Repository {
	account, region, name := gameimage.UsedRepository(cfg.Image.Use)
	return roles.Repository{Account: account, Region: region, Name: name}
}

// gameBuild is the game build in S3, where the configuration names one.
func gameBuild(cfg *config.Config, client *account, builds *builder.GameBuilds) (*gameimage.GameBuild, error) {
	if cfg.Image.GameBuild.Key == "" {
		return nil, nil
	}
	endpoint, err := client.endpoint("s3")
	if err != nil {
		return nil, err
	}
	return &gameimage.GameBuild{
		Bucket:           builds.Bucket,
		Key:              cfg.Image.GameBuild.Key,
		Version:          cfg.Image.GameBuild.Version,
		Region:           cfg.Region,
		Endpoint:         aws.ToString(endpoint),
		MetadataEndpoint: cfg.MetadataEndpoint,
	}, nil
}

func secretUsers(cfg *config.Config) []userresources.User {
	var users []userresources.User
	for _, u := range cfg.Users {
		users = append(users, userresources.User{Name: u.Name, Notify: u.Notify})
	}
	return users
}

func sessionUsers(cfg *config.Config, made *userresources.UserResources) []session.User {
	var users []session.User
	for _, u := range cfg.Users {
		user := session.User{Name: u.Name, CredentialsARN: made.Credentials[u.Name]}
		if arn, ok := made.Notifications[u.Name]; ok {
			user.NotificationARN = arn
		}
		users = append(users, user)
	}
	return users
}

func inputs(outputs []pulumi.StringOutput) []pulumi.StringInput {
	list := make([]pulumi.StringInput, len(outputs))
	for i, o := range outputs {
		list[i] = o
	}
	return list
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
