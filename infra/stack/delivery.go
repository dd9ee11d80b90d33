package stack

import "github.com/intraverse/dcv-sessions/components/delivery"

// declareDelivery declares the event that starts the workflow for a new game build.
func (d *deployment) declareDelivery() error {
	_, err := delivery.NewDelivery(d.ctx, deliveryName, &delivery.DeliveryArgs{
		Stack:        d.stack,
		Bucket:       d.gameBuilds.Bucket,
		Prefix:       d.cfg.Delivery.Prefix,
		Repository:   d.cfg.Delivery.Repository,
		Workflow:     d.cfg.Delivery.Workflow,
		Ref:          d.cfg.Delivery.Ref,
		API:          d.cfg.Delivery.API,
		TeamTopicARN: d.users.TeamTopicARN,
		BoundaryARN:  d.roles.BoundaryARN,
		Tags:         d.tags,
	})
	return err
}
