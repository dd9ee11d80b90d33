package compute_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/compute"
)

func TestASessionCountIsBoundByTheScarcestOfVCPUsMemoryAndGPUs(t *testing.T) {
	for _, c := range []struct {
		bound, name string
		need        compute.Need
		want        int
	}{
		{"the GPU", "g5.2xlarge", compute.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, 1},
		{"the GPUs", "g5.12xlarge", compute.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, 4},
		{"two GPUs each", "g5.12xlarge", compute.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 2}, 2},
		{"the vCPUs, GPU shared", "g5.xlarge", compute.Need{VCPUs: 1, MemoryMiB: 1000}, 4},
		{"the memory, GPU shared", "g5.xlarge", compute.Need{VCPUs: 1, MemoryMiB: 7000}, 2},
		{"the memory, which is less than was sold", "g5.xlarge", compute.Need{VCPUs: 1, MemoryMiB: 16384, GPUs: 1}, 0},
		{"too few vCPUs", "g5.xlarge", compute.Need{VCPUs: 5, MemoryMiB: 1000, GPUs: 1}, 0},
		{"too few GPUs", "g5.xlarge", compute.Need{VCPUs: 1, MemoryMiB: 1000, GPUs: 2}, 0},
	} {
		assert.Equal(t, map[string]int{c.name: c.want}, compute.SessionsPerHost([]string{c.name}, c.need), c.bound)
	}
}

func TestThePortRangeIsAsWideAsTheHostThatCarriesMost(t *testing.T) {
	need := compute.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}
	assert.Equal(t, 4, compute.MaxSessionsPerHost([]string{"g5.xlarge", "g6.12xlarge", "g4dn.2xlarge"}, need))
	assert.Equal(t, 8, compute.MaxSessionsPerHost([]string{"g5.48xlarge", "g5.xlarge"}, need))
	assert.Zero(t, compute.MaxSessionsPerHost(nil, need))
	assert.Zero(t, compute.MaxSessionsPerHost([]string{"m5.large"}, need), "a type without GPUs is not in the table")
}

func TestMostSessionsAreThoseOfTheTypeThatCarriesMostWithinTheVCPUs(t *testing.T) {
	need := compute.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}
	for _, c := range []struct {
		types []string
		vcpus int
		want  int
	}{
		{[]string{"g5.xlarge"}, 11, 2},
		{[]string{"g5.2xlarge"}, 16, 2},
		{[]string{"g5.2xlarge", "g5.xlarge"}, 16, 4},
		{[]string{"g5.12xlarge"}, 47, 0},
		{nil, 100, 0},
	} {
		assert.Equal(t, c.want, compute.MostSessions(c.types, need, c.vcpus), "%v within %d", c.types, c.vcpus)
	}
}

func TestSizesAreInTheOrderOfFirstMentionAndTypesInTheirOwn(t *testing.T) {
	assert.Equal(t, [][]string{{"g5.2xlarge", "g6.2xlarge"}, {"g5.xlarge"}, {"g4dn.metal"}},
		compute.Sizes([]string{"g5.2xlarge", "m5.large", "g5.xlarge", "g6.2xlarge", "g4dn.metal"}))
	assert.Empty(t, compute.Sizes(nil))
}

// What the environments rest on: within a size, the price per vCPU orders hosts
// by their price.
func TestTypesOfASizeHaveTheSameNumberOfVCPUs(t *testing.T) {
	for _, group := range compute.Sizes(compute.Known()) {
		for _, name := range group {
			assert.Equal(t, compute.InstanceTypes[group[0]].VCPUs, compute.InstanceTypes[name].VCPUs, name)
		}
	}
}

// The three hosts whose memory for containers is on record.
func TestTheMemoryEstimateIsNeverAboveWhatHostsWereSeenToOffer(t *testing.T) {
	for sold, offered := range map[int]int{8192: 7953, 32768: 31431} {
		estimate := compute.InstanceType{SoldMB: sold}.MemoryForContainers()
		assert.LessOrEqual(t, estimate, offered)
		assert.Greater(t, estimate, offered*95/100, "nor so low that memory is wasted")
	}
}

// Slips of the pen in the table: within a family, vCPUs and memory grow in step.
func TestTheTableKeepsEachFamilysRatioOfMemoryToVCPUs(t *testing.T) {
	ratio := map[string]int{"g4dn": 4096, "g5": 4096, "g6": 4096, "gr6": 8192, "g6e": 8192}
	for _, name := range compute.Known() {
		host := compute.InstanceTypes[name]
		family, _, _ := strings.Cut(name, ".")
		assert.Equal(t, ratio[family], host.SoldMB/host.VCPUs, name)
		assert.Contains(t, []int{1, 4, 8}, host.GPUs, name)
	}
	assert.NotContains(t, compute.Known(), "g5g.xlarge", "ARM")
	assert.NotContains(t, compute.Known(), "g6f.xlarge", "a fraction of a GPU")
}
