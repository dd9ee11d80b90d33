package stack

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/builder"
)

// declareBuilder declares the instance that builds images, and the hooks that start
// it before a build and stop it afterwards.
func (d *deployment) declareBuilder() (err error) {
	d.builder, err = builder.NewBuilder(d.ctx, builderName, &builder.BuilderArgs{
		InstanceType:        d.cfg.Builder.InstanceType,
		VolumeGiB:           d.cfg.Builder.VolumeGiB,
		VPCID:               d.network.VPCID,
		SubnetID:            d.network.SubnetIDs.Index(pulumi.Int(0)),
		InstanceProfileName: d.roles.BuilderInstanceProfileName,
		Tags:                d.tags,
	})
	if err != nil {
		return err
	}
	d.building, err = d.account.builderHooks(d.ctx, builderName, builder.HooksArgs{
		InstanceID:  d.builder.InstanceID,
		InstanceURN: d.builder.InstanceURN,
		LoginDir:    d.loginDir(),
		IdleMinutes: d.cfg.Builder.IdleMinutes,
		MaxHours:    d.cfg.Builder.MaxHours,
	})
	return err
}

// loginDir returns the folder of the key by which a run reaches the builder. It is
// relative as the image's folders are, and so the same on every machine.
func (d *deployment) loginDir() string { return "../.build/login-" + d.stack }
