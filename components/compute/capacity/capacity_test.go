package capacity_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/contract"
)

func TestASessionCountIsBoundByTheScarcestOfVCPUsMemoryAndGPUs(t *testing.T) {
	for _, c := range []struct {
		bound, name string
		need        capacity.Need
		want        int
	}{
		{"the GPU", "g5.2xlarge", capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, 1},
		{"the GPUs", "g5.12xlarge", capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, 4},
		{"two GPUs each", "g5.12xlarge", capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 2}, 2},
		{"the vCPUs, GPU shared", "g5.xlarge", capacity.Need{VCPUs: 1, MemoryMiB: 1000}, 4},
		{"the memory, GPU shared", "g5.xlarge", capacity.Need{VCPUs: 1, MemoryMiB: 7000}, 2},
		{"the memory, which is less than was sold", "g5.xlarge", capacity.Need{VCPUs: 1, MemoryMiB: 16384, GPUs: 1}, 0},
		{"too few vCPUs", "g5.xlarge", capacity.Need{VCPUs: 5, MemoryMiB: 1000, GPUs: 1}, 0},
		{"too few GPUs", "g5.xlarge", capacity.Need{VCPUs: 1, MemoryMiB: 1000, GPUs: 2}, 0},
	} {
		assert.Equal(t, c.want, capacity.InstanceTypes[c.name].Sessions(c.need), c.bound)
	}
}

func TestThePortRangeIsAsWideAsTheHostThatCarriesMost(t *testing.T) {
	need := capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}
	assert.Equal(t, 4, capacity.MaxSessionsPerHost([]string{"g5.xlarge", "g6.12xlarge", "g4dn.2xlarge"}, need))
	assert.Equal(t, 8, capacity.MaxSessionsPerHost([]string{"g5.48xlarge", "g5.xlarge"}, need))
	assert.Zero(t, capacity.MaxSessionsPerHost(nil, need))
	assert.Zero(t, capacity.MaxSessionsPerHost([]string{"m5.large"}, need), "a type without GPUs is not in the table")
}

func TestMostSessionsAreThoseOfTheTypeThatCarriesMostWithinTheVCPUs(t *testing.T) {
	need := capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}
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
		assert.Equal(t, c.want, capacity.MaxSessions(c.types, need, c.vcpus), "%v within %d", c.types, c.vcpus)
	}
}

// The defaults, four environments of types as stacks have them, and one case for each
// resource that may limit a host.
func TestCapacityOfKnownPlans(t *testing.T) {
	standard := capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}
	small := capacity.Need{VCPUs: 1, MemoryMiB: 3500}
	type row struct {
		name              string
		sessions          int
		limits            []string
		most              int
		host, share, idle float64
	}
	for name, test := range map[string]struct {
		plan capacity.Plan
		want []row
	}{
		"the defaults": {capacity.Plan{Types: []string{"g5.xlarge"}, Session: standard, MaxVCPUs: 64}, []row{
			{"g5.xlarge", 1, []string{"vCPUs", "memory", "GPUs"}, 16, 1.006, 1.006, 0}}},
		"a GPU shared by vCPUs": {capacity.Plan{Types: []string{"g5.xlarge"}, Session: small, MaxVCPUs: 64}, []row{
			{"g5.xlarge", 4, []string{"vCPUs", "memory"}, 64, 1.006, 0.2515, 0}}},
		"memory": {capacity.Plan{Types: []string{"g5.2xlarge"}, Session: capacity.Need{VCPUs: 1, MemoryMiB: 10000}, MaxVCPUs: 64}, []row{
			{"g5.2xlarge", 3, []string{"memory"}, 24, 1.212, 0.404, 0}}},
		"vCPUs": {capacity.Plan{Types: []string{"g6e.4xlarge"}, Session: capacity.Need{VCPUs: 5, MemoryMiB: 1000}, MaxVCPUs: 64}, []row{
			{"g6e.4xlarge", 3, []string{"vCPUs"}, 12, 3.00424, 1.001413, 0}}},
		"GPUs": {capacity.Plan{Types: []string{"g5.12xlarge"}, Session: standard, MaxVCPUs: 100}, []row{
			{"g5.12xlarge", 4, []string{"GPUs"}, 8, 5.672, 1.418, 0}}},
		"ports": {capacity.Plan{Types: []string{"g5.12xlarge"}, Session: standard, MaxVCPUs: 100, Ports: 3}, []row{
			{"g5.12xlarge", 3, []string{"ports"}, 6, 5.672, 1.890667, 0}}},
		"ports that are just enough": {capacity.Plan{Types: []string{"g5.12xlarge"}, Session: standard, MaxVCPUs: 100, Ports: 4}, []row{
			{"g5.12xlarge", 4, []string{"GPUs", "ports"}, 8, 5.672, 1.418, 0}}},
		"hosts held ready: whole ones, of the first size": {
			capacity.Plan{Types: []string{"g5.2xlarge", "g6.xlarge"}, Session: standard, MinVCPUs: 9, MaxVCPUs: 16}, []row{
				{"g5.2xlarge", 1, []string{"GPUs"}, 2, 1.212, 1.212, 2.424},
				{"g6.xlarge", 1, []string{"vCPUs", "memory", "GPUs"}, 4, 0.8048, 0.8048, 0}}},
		"within a size the cheapest first, between sizes the configured order": {
			capacity.Plan{Types: []string{"g5.xlarge", "g5.12xlarge", "g4dn.xlarge", "m5.large", "g6.xlarge"}, Session: standard, MaxVCPUs: 48}, []row{
				{"g4dn.xlarge", 1, []string{"vCPUs", "memory", "GPUs"}, 12, 0.526, 0.526, 0},
				{"g6.xlarge", 1, []string{"vCPUs", "memory", "GPUs"}, 12, 0.8048, 0.8048, 0},
				{"g5.xlarge", 1, []string{"vCPUs", "memory", "GPUs"}, 12, 1.006, 1.006, 0},
				{"g5.12xlarge", 4, []string{"GPUs"}, 4, 5.672, 1.418, 0}}},
		"a price of one's own changes the order": {
			capacity.Plan{Types: []string{"g6.xlarge", "g5.xlarge"}, Session: standard, MaxVCPUs: 8, Prices: map[string]float64{"g5.xlarge": 0.5}}, []row{
				{"g5.xlarge", 1, []string{"vCPUs", "memory", "GPUs"}, 2, 0.5, 0.5, 0},
				{"g6.xlarge", 1, []string{"vCPUs", "memory", "GPUs"}, 2, 0.8048, 0.8048, 0}}},
		"a session that fits no host": {capacity.Plan{Types: []string{"g5.xlarge"}, Session: capacity.Need{VCPUs: 5, MemoryMiB: 1000, GPUs: 2}, MaxVCPUs: 64}, []row{
			{"g5.xlarge", 0, []string{"vCPUs", "GPUs"}, 0, 1.006, 0, 0}}},
		"a limit below one host": {capacity.Plan{Types: []string{"g5.12xlarge"}, Session: standard, MaxVCPUs: 47}, []row{
			{"g5.12xlarge", 4, []string{"GPUs"}, 0, 5.672, 1.418, 0}}},
		"no types": {capacity.Plan{Session: standard, MaxVCPUs: 64}, nil},
	} {
		var got []row
		for _, c := range capacity.Of(test.plan) {
			got = append(got, row{c.InstanceType, c.SessionsPerHost, c.Limits, c.MaxSessions, c.USDPerHour, c.USDPerSessionHour, c.IdleUSDPerHour})
		}
		assert.Equal(t, test.want, got, name)
	}
}

func TestCapacityNamesGPUAndTheSourceOfThePrice(t *testing.T) {
	list := capacity.Of(capacity.Plan{
		Types: []string{"g6.12xlarge", "g5.12xlarge"}, Session: capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, MaxVCPUs: 48,
		Prices: map[string]float64{"g5.12xlarge": 6},
	})
	assert.Equal(t, contract.HostCapacity{
		InstanceType: "g6.12xlarge", GPUModel: "L4", GPUs: 4, GPUMemoryMiB: 22888,
		SessionsPerHost: 4, Limits: []string{"GPUs"}, MaxSessions: 4, USDPerHour: 4.6016, USDPerSessionHour: 1.1504, Price: "list price, us-east-1, 2026-02-09",
	}, list[0])
	assert.Equal(t, "compute.prices", list[1].Price)
}

func TestASessionThatFitsNoHostIsToldWhatIsMissingAndWhatFits(t *testing.T) {
	host := capacity.InstanceTypes["g5.xlarge"]
	for _, test := range []struct {
		need     capacity.Need
		missing  []string
		cheapest string
	}{
		{capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, nil, "g4dn.xlarge"},
		{capacity.Need{VCPUs: 5, MemoryMiB: 14000, GPUs: 1}, []string{"1 vCPU"}, "g4dn.2xlarge"},
		{capacity.Need{VCPUs: 4, MemoryMiB: 16000}, []string{"468 MiB"}, "g4dn.2xlarge"},
		{capacity.Need{VCPUs: 7, MemoryMiB: 15533, GPUs: 3}, []string{"3 vCPUs", "1 MiB", "2 GPUs"}, "g4dn.12xlarge"},
		{capacity.Need{VCPUs: 1, MemoryMiB: 2 << 20, GPUs: 1}, []string{"2081620 MiB"}, ""},
	} {
		assert.Equal(t, test.missing, host.Missing(test.need), test.need)
		assert.Equal(t, test.cheapest, capacity.Cheapest(test.need), test.need)
	}
	assert.Equal(t, "4 vCPUs, 15532 MiB for containers, 1 GPU", host.String())
	assert.Equal(t, "1 vCPU, 100 MiB, 2 GPUs", capacity.Need{VCPUs: 1, MemoryMiB: 100, GPUs: 2}.String())
	assert.Equal(t, "2 vCPUs, 100 MiB, a share of a GPU", capacity.Need{VCPUs: 2, MemoryMiB: 100}.String())
}
