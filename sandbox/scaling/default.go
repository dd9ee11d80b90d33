package scaling

import (
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
)

// Study is the simulations that docs/scaling.md shows.
type Study struct {
	Seed  uint64
	Setup Setup
	Load  Load // of which each run has its own number of sessions
}

// Unbounded is a maximum of vCPUs that no load here reaches: the study shows first how
// many would be needed, and then which quotas are in the way.
const Unbounded = 1 << 40

// Default is a stack as Pulumi.yaml's defaults make it, with times that are assumptions
// until a stack on AWS has measured its own: docs/scaling.md gives their reasons.
func Default() Study {
	const hostType = "g5.xlarge"
	return Study{
		Seed: 1,
		Setup: Setup{
			Type: hostType, Need: capacity.Need{VCPUs: 3, MemoryMiB: 14000, GPUs: 1}, HourlyUSD: capacity.InstanceTypes[hostType].USD,
			MaxVCPUs: Unbounded, HostStart: 3 * time.Minute, HostIdle: 5 * time.Minute,
		},
		Load: Load{
			Curve: Evening, Length: Spread{45 * time.Minute, 0.9}, Pull: Spread{4 * time.Minute, 0.2}, Start: Spread{25 * time.Second, 0.3},
		},
	}
}

// Sizes are the loads of the study, in sessions a day.
var Sizes = []int{10, 100, 1_000, 10_000, 100_000, 1_000_000}

// Run simulates so many sessions a day, on as many days as the percentiles need, with
// changes to the setup.
func (s Study) Run(sessions int, change ...func(*Setup)) (*Run, Summary, error) {
	setup, load := s.Setup, s.Load
	for _, f := range change {
		f(&setup)
	}
	load.Sessions = sessions
	days := enough(sessions)
	run, err := Simulate(setup, load.Days(days, s.Seed), warmUp+time.Duration(days)*day)
	if err != nil {
		return nil, Summary{}, err
	}
	return run, run.Summarize(days), nil
}
