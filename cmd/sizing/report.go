package main

import (
	"fmt"
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/sizing"
	"github.com/intraverse/dcv-sessions/contract"
)

// Report is the result of a study: its JSON.
type Report struct {
	Stack        string    `json:"stack"`
	Region       string    `json:"region"`
	Image        string    `json:"image"`
	InstanceType string    `json:"instanceType"` // of the host that was measured
	Began        time.Time `json:"began"`

	FramesGoal      float64 `json:"framesGoal"`      // a second
	WarmUpSeconds   float64 `json:"warmUpSeconds"`   // with each number of sessions, not measured
	MeasuredSeconds float64 `json:"measuredSeconds"` // with each number of sessions

	Levels  []Level `json:"levels"`
	Stopped string  `json:"stopped,omitempty"` // why no more levels follow, if it is neither the goal nor the users

	Recommendation   *sizing.Recommendation `json:"recommendation,omitempty"`
	Settings         []Setting              `json:"settings,omitempty"`         // that carry the recommendation out
	NoRecommendation string                 `json:"noRecommendation,omitempty"` // why there is none
}

// Level is a number of sessions at once on one host.
type Level struct {
	Sessions  int    `json:"sessions"`
	VCPUs     int    `json:"vcpus"`          // that each reserved
	MemoryMiB int    `json:"memoryMib"`      // that each reserved
	Host      string `json:"host,omitempty"` // its ARN
	sizing.Result
	Ended  *Ended   `json:"ended,omitempty"` // the session that ended by itself
	Played []Played `json:"played"`          // by user, in the order of the command line
}

// Played has the measurements of a session.
type Played struct {
	User  string           `json:"user"`
	JobID string           `json:"jobId"`
	Usage []contract.Usage `json:"usage"`
}

// Ended is a session that ended by itself.
type Ended struct {
	User        string `json:"user"`
	JobID       string `json:"jobId"`
	Reason      string `json:"reason"`
	OutOfMemory bool   `json:"outOfMemory"`
}

// Setting is a configuration key with its value, as in a stack's file.
type Setting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// measured returns a level for the estimator.
func (l Level) measured() sizing.Measured {
	m := sizing.Measured{Sessions: l.Sessions, Broke: l.Ended.limit()}
	for _, p := range l.Played {
		m.Usage = append(m.Usage, p.Usage...)
	}
	return m
}

// conclude adds the recommendation, or why there is none.
func (r *Report) conclude(goal sizing.Goal) {
	var measured []sizing.Measured
	for _, l := range r.Levels {
		measured = append(measured, l.measured())
	}
	best, err := sizing.Recommend(r.InstanceType, measured, goal)
	if err != nil {
		r.NoRecommendation = err.Error()
		return
	}
	r.Recommendation, r.Settings = &best, []Setting{
		{key("compute.instanceTypes"), "[" + best.InstanceType + "]"},
		{key("session.perGpu"), fmt.Sprint(best.PerGPU)},
		{key("session.vcpus"), fmt.Sprint(best.VCPUs)},
		{key("session.memoryMib"), fmt.Sprint(best.MemoryMiB)},
	}
}
