package config

import (
	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/compute"
	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/components/githubroles"
	"github.com/intraverse/dcv-sessions/components/network"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/components/queue"
	"github.com/intraverse/dcv-sessions/components/registry"
	"github.com/intraverse/dcv-sessions/components/session"
	"github.com/intraverse/dcv-sessions/components/userresources"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// component is a component's plain arguments, with the keys that set them: a property
// is set by the key of its name in the group, unless renamed. One that is renamed to ""
// is checked elsewhere.
type component struct {
	args interface {
		Check(*faults.Faults, func(string) string)
	}
	group   string
	renamed map[string]string
}

// key returns the key that sets a property, or "".
func (c component) key(property string) string {
	if name, ok := c.renamed[property]; ok {
		return name
	}
	return c.group + "." + property
}

// components returns the components with rules for keys.
func (c *Config) components() []component {
	elsewhere := func(properties ...string) map[string]string {
		renamed := map[string]string{}
		for _, p := range properties {
			renamed[p] = ""
		}
		return renamed
	}
	n, r, h, s, i, d := c.Network, c.Registry, c.Compute, c.Session, c.Image, c.Delivery
	return []component{
		{&network.NetworkArgs{
			VPCID: n.VPCID, SubnetIDs: n.SubnetIDs, CIDRBlock: n.CIDRBlock, Zones: n.Zones, PlayerCIDRs: n.PlayerCIDRs, OpenToWorld: n.OpenToWorld,
			Ports: c.Ports(), FormerPorts: s.FormerPorts,
		}, "network", map[string]string{"ports": "", "formerPorts": "session.formerPorts"}},
		{registry.RegistryArgs{Keep: r.Keep, KeepReleased: r.KeepReleased, PullAccounts: r.PullAccounts}, "registry", nil},
		{&userresources.UserResourcesArgs{Users: c.UserResources(), TeamEmails: c.Notifications.TeamEmails, RecoveryDays: c.Secrets.RecoveryDays}, "", map[string]string{
			"users": "users", "teamEmails": "notifications.teamEmails", "recoveryDays": "secrets.recoveryDays",
		}},
		{&compute.ComputeArgs{
			InstanceTypes: h.InstanceTypes, MinVCPUs: h.MinVCPUs, MaxVCPUs: h.MaxVCPUs, Spot: h.Spot, SpotMaxVCPUs: h.SpotMaxVCPUs,
			Image: h.Image, RootGiB: h.RootGiB, UpdateTimeoutMinutes: h.UpdateTimeoutMinutes,
		}, "compute", elsewhere("stopSeconds", "lastPort")},
		{queue.QueueArgs{MaxWaitMinutes: c.Queue.MaxWaitMinutes}, "queue", nil},
		{session.SessionsArgs{
			VCPUs: s.VCPUs, MemoryMiB: s.MemoryMiB, GPUs: s.GPUs, PerGPU: s.PerGPU, SharedMemoryMiB: s.SharedMemoryMiB, Attempts: s.Attempts,
		}, "session", nil},
		{&gameimage.GameImageArgs{
			Use: i.Use, BuildOn: i.BuildOn, BaseImage: i.Base, Version: i.Version, Revision: i.Revision,
			DisplayServer: contract.DisplayServer(i.DisplayServer), DCVSource: i.DCVSource, MaxGiB: i.GameMaxGiB,
			Build: &gameimage.GameBuild{Key: i.GameBuild.Key, Version: i.GameBuild.Version, MetadataEndpoint: c.MetadataEndpoint},
		}, "image", map[string]string{
			"baseImage": "image.base", "maxGib": "image.gameMaxGib", "stopSeconds": "",
			"build.key": "image.gameBuild.key", "build.version": "image.gameBuild.version", "build.metadataEndpoint": metadataEndpoint,
		}},
		{&delivery.DeliveryArgs{Prefix: d.Prefix, Repository: d.Repository, Workflow: d.Workflow, Ref: d.Ref, API: d.API}, "delivery", nil},
		{&githubroles.GitHubRolesArgs{Subjects: d.OIDCSubjects, StateBucket: d.StateBucket, SecretsKeyARN: d.StateKeyARN}, "delivery", map[string]string{
			"repository": "", "branch": "", "subjects": "delivery.oidcSubjects", "secretsKeyArn": "delivery.stateKeyArn",
		}},
		{&builder.BuilderArgs{InstanceType: c.Builder.InstanceType, VolumeGiB: c.Builder.VolumeGiB}, "builder", nil},
		{&builder.HooksArgs{IdleMinutes: c.Builder.IdleMinutes, MaxHours: c.Builder.MaxHours}, "builder", nil},
		{observability.LogsArgs{RetentionDays: c.Logs.RetentionDays}, "logs", nil},
		{&observability.AlarmsArgs{WaitMinutes: c.Alarms.WaitMinutes, FramesPerSecond: c.Alarms.FramesPerSecond}, "alarms", nil},
		{&observability.BudgetArgs{MonthlyUSD: c.Budget.MonthlyUSD}, "budget", nil},
	}
}

// UserResources returns the users with the addresses that are notified.
func (c *Config) UserResources() []userresources.User {
	var users []userresources.User
	for _, u := range c.Users {
		users = append(users, userresources.User(u))
	}
	return users
}

// withRules returns the keys with the components' rules in words, which are recorded as
// the components check the defaults.
func withRules(keys []Key) []Key {
	v := &validator{Config: &Config{}}
	for _, k := range keys {
		k.assign(k.Default, v)
	}
	var f faults.Faults
	for _, c := range v.components() {
		c.args.Check(&f, c.key)
	}
	rules := f.Rules()
	for i, k := range keys {
		if k.Allowed == "" {
			k.Allowed = rules[k.Name]
		}
		if k.Allowed == "" {
			panic("config: " + k.Name + " has no rule")
		}
		keys[i] = k
	}
	return keys
}
