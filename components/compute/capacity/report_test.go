package capacity_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
)

func report(p capacity.Plan) capacity.Report {
	return capacity.Report{Hosts: capacity.Of(p), MaxSessions: 20, Region: "us-east-1"}
}

func TestTheReportHasARowForEachType(t *testing.T) {
	r := report(capacity.Plan{
		Types: []string{"g5.12xlarge", "g5.xlarge"}, Session: capacity.Need{VCPUs: 3, MemoryMiB: 15000, GPUs: 2},
		MinVCPUs: 48, MaxVCPUs: 100, Prices: map[string]float64{"g5.xlarge": 1},
	})
	assert.Equal(t, [][]string{
		{"instance type", "GPUs", "sessions per host", "limited by", "session-hour alone", "on a full host", "held ready, an hour", "most sessions"},
		{"g5.12xlarge", "4 A10G, 22888 MiB", "2", "GPUs", "$5.6720", "$2.8360", "$5.6720", "4"},
		{"g5.xlarge", "1 A10G, 22888 MiB", "0", "GPUs", "$1.0000", "none fits", "none", "0"},
	}, r.Table())
	assert.Equal(t, []string{
		"AWS Batch starts g5.12xlarge first, and the others in this order when it gets none of it.",
		"At most 20 sessions at once, on hosts of all sizes.",
		"Prices of g5.xlarge: compute.prices.",
		"Prices of g5.12xlarge: AWS's list prices of us-east-1 on 2026-02-09, for Linux on demand, of instances alone; check them before you rely on them.",
	}, r.Notes())
}

func TestTheReportNamesSpotHostsAndAnotherRegion(t *testing.T) {
	r := report(capacity.Plan{Types: []string{"g5.xlarge"}, Session: capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, MaxVCPUs: 64})
	r.Spot, r.Region = true, "eu-west-1"
	assert.Equal(t, []string{
		"AWS Batch starts g5.xlarge first; Spot hosts come last, of the type with the most spare capacity.",
		"At most 20 sessions at once, on hosts of all sizes and Spot hosts.",
		"Prices of g5.xlarge: AWS's list prices of us-east-1 on 2026-02-09, for Linux on demand, of instances alone; check them before you rely on them.",
		"The stack is in eu-west-1, where prices differ: set them in compute.prices.",
	}, r.Notes())
	r.Region = "" // as in the sandbox's file
	assert.Len(t, r.Notes(), 3)
	assert.Empty(t, capacity.Report{}.Notes())
	assert.Len(t, capacity.Report{}.Table(), 1)
}
