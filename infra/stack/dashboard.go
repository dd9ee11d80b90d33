package stack

import "github.com/intraverse/dcv-sessions/components/observability"

// declareDashboard declares the dashboard.
func (d *deployment) declareDashboard() (err error) {
	d.dashboard, err = observability.NewDashboard(d.ctx, dashboardName, &observability.DashboardArgs{
		Stack:           d.stack,
		Region:          d.cfg.Region,
		QueueName:       d.queue.Name,
		LogGroupName:    d.logs.LogGroupName,
		UsageSeconds:    d.cfg.Session.UsageSeconds,
		SessionVCPUs:    d.cfg.Session.VCPUs,
		WaitMinutes:     d.cfg.Alarms.WaitMinutes,
		FramesPerSecond: d.cfg.Alarms.FramesPerSecond,
		Runbooks:        d.runbooks(),
	})
	return err
}
