package stack

import "github.com/intraverse/dcv-sessions/outputs/pulumioutputs"

// exportOutputs exports the stack's outputs.
func (d *deployment) exportOutputs() {
	pulumioutputs.Export(d.ctx, pulumioutputs.Values{
		Region:            d.cfg.Region,
		QueueARN:          d.queue.ARN,
		QueueName:         d.queue.Name,
		JobDefinitions:    d.sessions.JobDefinitions,
		MaxSessions:       d.cfg.MaxSessions(),
		Capacity:          d.cfg.Capacity(),
		ImageURI:          d.image.URI,
		RepositoryURL:     d.registry.URL,
		Ports:             d.cfg.Ports(),
		SecurityGroupID:   d.network.SecurityGroupID,
		HostImage:         d.hosts.Image,
		CredentialsARNs:   d.users.Credentials,
		TeamTopicARN:      d.users.TeamTopicARN,
		TopicARNs:         d.users.Topics,
		LogGroup:          d.logs.LogGroupName,
		DashboardName:     d.dashboard.Name,
		DashboardURL:      d.dashboard.URL,
		BuilderInstanceID: d.builder.InstanceID,
		GameBuildsBucket:  d.gameBuilds.Bucket,
		LauncherPolicyARN: d.launcher.ARN,
	})
}
