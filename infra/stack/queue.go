package stack

import "github.com/intraverse/dcv-sessions/components/queue"

// declareQueue declares the job queue in which sessions wait for a host.
func (d *deployment) declareQueue() (err error) {
	d.queue, err = queue.NewQueue(d.ctx, queueName, &queue.QueueArgs{
		EnvironmentARNs: inputs(d.hosts.EnvironmentARNs),
		MaxWaitSeconds:  d.cfg.Queue.MaxWaitMinutes * 60,
		Tags:            d.tags,
	})
	return err
}
