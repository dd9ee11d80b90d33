package stack

import "github.com/intraverse/dcv-sessions/components/roles"

// declareLauncherPolicy declares the managed policy of launchers.
func (d *deployment) declareLauncherPolicy() (err error) {
	d.launcher, err = roles.NewLauncherPolicy(d.ctx, launcherName, &roles.LauncherPolicyArgs{
		Stack:       d.stack,
		QueueARN:    d.queue.ARN,
		LogGroupARN: d.logs.LogGroupARN,
		Tags:        d.tags,
	})
	return err
}
