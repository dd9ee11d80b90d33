package stack

import "github.com/intraverse/dcv-sessions/components/observability"

// declareMetrics declares the metrics of the sessions' events.
func (d *deployment) declareMetrics() error {
	_, err := observability.NewMetrics(d.ctx, metricsName, &observability.MetricsArgs{LogGroupName: d.logs.LogGroupName})
	return err
}
