package batch

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
)

// price returns the price of a host of the type for an hour. A type without a known
// price comes last.
func (t InstanceType) price() float64 {
	if known, ok := capacity.InstanceTypes[t.Name]; ok {
		return known.USD
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
