package stack

import (
	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/components/observability"
)

// declareAlarms declares the alarms of sessions and queue, which notify the team.
func (d *deployment) declareAlarms() error {
	_, err := observability.NewAlarms(d.ctx, alarmsName, &observability.AlarmsArgs{
		Stack:           d.stack,
		QueueName:       d.queue.Name,
		QueueARN:        d.queue.ARN,
		TeamTopicARN:    d.users.TeamTopicARN,
		WaitMinutes:     d.cfg.Alarms.WaitMinutes,
		FramesPerSecond: d.cfg.Alarms.FramesPerSecond,
		Runbooks:        d.runbooks(),
		Tags:            d.tags,
	})
	return err
}

// runbooks returns the address of the page with the runbooks.
func (d *deployment) runbooks() string {
	return delivery.PageURL(d.cfg.Delivery.API, d.cfg.Delivery.Repository, d.cfg.Delivery.Ref, "docs/operations.md")
}
