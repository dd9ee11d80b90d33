package stack

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/githubroles"
	"github.com/intraverse/dcv-sessions/components/userresources"
)

// declareGitHubRoles declares the roles of GitHub's workflows, if a repository is
// configured.
func (d *deployment) declareGitHubRoles() error {
	if d.cfg.Delivery.Repository == "" {
		return nil
	}
	_, err := githubroles.NewGitHubRoles(d.ctx, githubName, &githubroles.GitHubRolesArgs{
		Stack:             d.stack,
		Repository:        d.cfg.Delivery.Repository,
		Subjects:          d.cfg.Delivery.OIDCSubjects,
		Branch:            d.cfg.Delivery.Ref,
		CreateProvider:    d.cfg.Delivery.CreateOIDCProvider,
		StateBucket:       d.cfg.Delivery.StateBucket,
		SecretsKeyARN:     d.cfg.Delivery.StateKeyARN,
		VPCID:             d.cfg.Network.VPCID,
		SubnetIDs:         d.cfg.Network.SubnetIDs,
		LauncherPolicyARN: d.launcher.ARN,
		RoleARNs:          inputs([]pulumi.StringOutput{d.roles.HostRoleARN, d.roles.ExecutionRoleARN, d.roles.SessionRoleARN, d.roles.BuilderRoleARN}),
		BoundaryARN:       d.roles.BoundaryARN,
		BucketARN:         d.gameBuilds.BucketARN,
		TeamTopicARN:      d.users.TeamTopicARN,
		Names: githubroles.Names{
			Registry: registryName, GameBuilds: gameBuildsName, Delivery: deliveryName, Roles: rolesName,
			Hosts: hostsName, Queue: queueName, Launcher: launcherName, TeamTopic: userresources.TeamTopicName(usersName),
		},
		Tags: d.tags,
	})
	return err
}
