package batch

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// hourly are prices in dollars an hour: us-east-1, Linux, on demand (AWS,
// "Amazon EC2 On-Demand Pricing", as copies of it of 2025 agree on them). Only
// their order matters here. Of the types in components/compute's table, the gr6
// ones are missing: no two sources agreed.
var hourly = map[string]float64{
	"g4dn.xlarge": 0.526, "g4dn.2xlarge": 0.752, "g4dn.4xlarge": 1.204, "g4dn.8xlarge": 2.176,
	"g4dn.12xlarge": 3.912, "g4dn.16xlarge": 4.352, "g4dn.metal": 7.824,
	"g5.xlarge": 1.006, "g5.2xlarge": 1.212, "g5.4xlarge": 1.624, "g5.8xlarge": 2.448,
	"g5.12xlarge": 5.672, "g5.16xlarge": 4.096, "g5.24xlarge": 8.144, "g5.48xlarge": 16.288,
	"g6.xlarge": 0.8048, "g6.2xlarge": 0.9776, "g6.4xlarge": 1.3232, "g6.8xlarge": 2.0144,
	"g6.12xlarge": 4.6016, "g6.16xlarge": 3.3968, "g6.24xlarge": 6.6752, "g6.48xlarge": 13.3504,
	"g6e.xlarge": 1.861, "g6e.2xlarge": 2.24208, "g6e.4xlarge": 3.00424, "g6e.8xlarge": 4.52856,
	"g6e.12xlarge": 10.49264, "g6e.16xlarge": 7.57719, "g6e.24xlarge": 15.06559, "g6e.48xlarge": 30.13118,
}

// price returns the price of a host of the type for an hour. A type without a known
// price comes last.
func (t InstanceType) price() float64 {
	if price, known := hourly[t.Name]; known {
		return price
	}
	return math.Inf(1)
}

// preferred sorts types by an allocation strategy (AWS Batch user guide,
// "Instance type allocation strategies for AWS Batch"). BEST_FIT prefers the
// lowest price, BEST_FIT_PROGRESSIVE the lowest price per vCPU. The strategies for
// Spot hosts choose the deepest pools, which only AWS knows: here their order
// is that of the configuration.
func preferred(types []InstanceType, strategy string) {
	if strings.HasPrefix(strategy, "SPOT_") {
		return
	}
	slices.SortStableFunc(types, func(a, b InstanceType) int {
		if strategy == "BEST_FIT" {
			return cmp.Compare(a.price(), b.price())
		}
		return cmp.Compare(a.price()/float64(a.VCPUs), b.price()/float64(b.VCPUs))
	})
}
