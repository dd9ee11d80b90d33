package capacity_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
)

func TestSizesAreInTheOrderOfFirstMentionAndTypesInTheirOwn(t *testing.T) {
	assert.Equal(t, [][]string{{"g5.2xlarge", "g6.2xlarge"}, {"g5.xlarge"}, {"g4dn.metal"}},
		capacity.Sizes([]string{"g5.2xlarge", "m5.large", "g5.xlarge", "g6.2xlarge", "g4dn.metal"}))
	assert.Empty(t, capacity.Sizes(nil))
}

// The environments rest on this: within a size, the price per vCPU orders hosts
// by their price.
func TestTypesOfASizeHaveTheSameNumberOfVCPUs(t *testing.T) {
	for _, group := range capacity.Sizes(capacity.Known()) {
		for _, name := range group {
			assert.Equal(t, capacity.InstanceTypes[group[0]].VCPUs, capacity.InstanceTypes[name].VCPUs, name)
		}
	}
}

// The three hosts whose memory for containers is on record.
func TestTheMemoryEstimateIsNeverAboveWhatHostsWereSeenToOffer(t *testing.T) {
	for sold, offered := range map[int]int{8192: 7953, 32768: 31431} {
		estimate := capacity.InstanceType{SoldMB: sold}.MemoryForContainers()
		assert.LessOrEqual(t, estimate, offered)
		assert.Greater(t, estimate, offered*95/100, "nor so low that memory is wasted")
	}
}

// Slips of the pen in the table: within a family, vCPUs and memory grow in step.
func TestTheTableKeepsEachFamilysRatioOfMemoryToVCPUs(t *testing.T) {
	ratio := map[string]int{"g4dn": 4096, "g5": 4096, "g6": 4096, "gr6": 8192, "g6e": 8192}
	for _, name := range capacity.Known() {
		host := capacity.InstanceTypes[name]
		family, _, _ := strings.Cut(name, ".")
		assert.Equal(t, ratio[family], host.SoldMB/host.VCPUs, name)
		assert.Contains(t, []int{1, 4, 8}, host.GPUs, name)
	}
	assert.NotContains(t, capacity.Known(), "g5g.xlarge", "ARM")
	assert.NotContains(t, capacity.Known(), "g6f.xlarge", "a fraction of a GPU")
}

// A price that is missing, or a slip of the pen in one: within a family, a larger host
// with as many GPUs costs more, and a vCPU of it less.
func TestEveryTypeHasItsPriceAndItsGPU(t *testing.T) {
	smaller := map[string]string{}
	for _, name := range capacity.Known() {
		host := capacity.InstanceTypes[name]
		assert.Positive(t, host.USD, name)
		assert.NotEmpty(t, host.GPU.Model, name)
		assert.GreaterOrEqual(t, host.GPU.MiB, 16<<10, name)
		family, _, _ := strings.Cut(name, ".")
		for _, other := range capacity.Known() {
			with := capacity.InstanceTypes[other]
			if strings.HasPrefix(other, family+".") && with.GPUs == host.GPUs && with.VCPUs < host.VCPUs {
				smaller[name] = other
				assert.Less(t, with.USD, host.USD, "%s, %s", other, name)
				assert.GreaterOrEqual(t, with.USD/float64(with.VCPUs), host.USD/float64(host.VCPUs), "%s, %s", other, name)
			}
		}
	}
	assert.Equal(t, "g5.12xlarge", smaller["g5.24xlarge"], "types were compared")
}
