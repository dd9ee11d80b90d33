package stack

import "github.com/intraverse/dcv-sessions/components/queue"

// declareQueue declares the job queue in which sessions wait for a host.
func (d *deployment) declareQueue() (err error) {
	d.queue, err = queue.NewQueue(d.ctx, queueName, &queue.QueueArgs{
		EnvironmentARNs: inputs(d.hosts.EnvironmentARNs),
		MaxWaitMinutes:  d.cfg.Queue.MaxWaitMinutes,
		Tags:            d.tags,
	})
	return err
}
