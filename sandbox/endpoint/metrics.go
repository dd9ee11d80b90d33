package endpoint

import (
	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/cloudwatch"
)

// jobMetric returns the metric of AWS Batch to which a measurement belongs.
func jobMetric(m batch.Measurement) cloudwatch.Metric {
	return cloudwatch.Metric{Namespace: batch.Namespace, MetricName: m.Metric, Dimensions: []cloudwatch.Dimension{{Name: batch.QueueDimension, Value: m.Queue}}}
}

// usageMetric returns EC2's metric of the vCPUs that run under a quota (Amazon EC2 user
// guide, "EC2 usage metrics").
func usageMetric(v batch.VCPUs) cloudwatch.Metric {
	return cloudwatch.Metric{Namespace: "AWS/Usage", MetricName: "ResourceCount", Dimensions: []cloudwatch.Dimension{
		{Name: "Class", Value: v.Class}, {Name: "Resource", Value: "vCPU"}, {Name: "Service", Value: "EC2"}, {Name: "Type", Value: "Resource"},
	}}
}
