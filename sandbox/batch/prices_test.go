package batch

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
)

// A preview names the type that AWS Batch would start first. Here it is the one that
// the Batch host starts.
func TestTypesOfASizeArePreferredInTheOrderThatACapacityTableShows(t *testing.T) {
	for _, names := range capacity.Sizes(capacity.Known()) {
		var types []InstanceType
		for _, name := range names {
			types = append(types, InstanceType{Name: name, VCPUs: capacity.InstanceTypes[name].VCPUs})
		}
		slices.Reverse(types)
		preferred(types, "BEST_FIT_PROGRESSIVE")
		var got, want []string
		for _, one := range types {
			got = append(got, one.Name)
		}
		for _, row := range capacity.Of(capacity.Plan{Types: names, Session: capacity.Need{VCPUs: 1, MemoryMiB: 128}, MaxVCPUs: 192}) {
			want = append(want, row.InstanceType)
		}
		assert.Equal(t, want, got)
	}
}
