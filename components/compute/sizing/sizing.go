// Package sizing recommends hosts for a game from the measurements of its sessions: with
// one session on a host, with two at once, and so on.
package sizing

import (
	"fmt"
	"math"
	"slices"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/contract"
)

// Measured has the measurements of sessions that ran at once on one host.
type Measured struct {
	Sessions int
	Usage    []contract.Usage // of all of them
	// Broke is the resource because of which one of them ended by itself, or LimitFaults
	// if it ended for another reason; "" if none did.
	Broke string
}

// Goal has the requirements of a recommendation.
type Goal struct {
	Frames float64            // a second, which 19 of 20 measurements reach
	Types  []string           // that may be recommended; none: all of the measured GPU's model
	Prices map[string]float64 // by type, US dollars an hour, in place of the list's
}

// Recommendation is a number of sessions on hosts of a type.
type Recommendation struct {
	InstanceType      string   `json:"instanceType"`
	SessionsPerHost   int      `json:"sessionsPerHost"`
	PerGPU            int      `json:"perGpu"`    // session.perGpu
	VCPUs             int      `json:"vcpus"`     // session.vcpus
	MemoryMiB         int      `json:"memoryMib"` // session.memoryMib
	Limit             string   `json:"limit"`     // the resource that allows no more sessions
	Margin            float64  `json:"margin"`    // the part of its usable amount that is left; 0.1: a tenth
	USDPerSessionHour float64  `json:"usdPerSessionHour"`
	Thin              []string `json:"thin"` // why the measurements do not support it well; none if they do
}

// Names of the resources that limit the number of sessions, besides those of contract.
const (
	LimitGPU       = "GPU"
	LimitGPUMemory = "GPU memory"
	LimitEncoder   = "encoder"
	LimitFrames    = "frames"
	LimitFaults    = "a failed session" // for a reason that is none of the above
)

// Which part of a resource may be used, so that something is left for the moments
// between the measurements.
const (
	memoryPart  = 0.85 // a session that needs more than its limit ends
	corePart    = 0.85
	gpuPart     = 1.00 // a game takes all of the GPU that it gets, so frames decide
	bufferPart  = 0.90 // without memory on the GPU a game ends or crawls
	encoderPart = 0.90 // above it frames wait for the encoder
)

// Figures are those of the sessions of a Measured; nil: not measured.
type Figures struct {
	FramesP5     *float64 `json:"framesP5,omitempty"` // a second: 19 of 20 measurements reach it
	FramesMedian *float64 `json:"framesMedian,omitempty"`

	CoresP95      *float64 `json:"coresP95,omitempty"`      // of one session
	MemoryPeakMiB *float64 `json:"memoryPeakMib,omitempty"` // of one session: the most that was in use at a measurement

	// Of a GPU with all its sessions.
	GPUPercentP95     *float64 `json:"gpuPercentP95,omitempty"`
	GPUMemoryPeakMiB  *float64 `json:"gpuMemoryPeakMib,omitempty"`
	EncoderPercentP95 *float64 `json:"encoderPercentP95,omitempty"`

	RoundTripMedian *float64 `json:"roundTripMedianMilliseconds,omitempty"`
}

// Result is a judgement of a Measured.
type Result struct {
	Figures
	Used  map[string]float64 `json:"used"`            // the part of each resource's usable amount
	Limit string             `json:"limit,omitempty"` // because of which the goal is not reached; "" if it is
}

// Judge returns whether sessions on a host of a type reached a goal, with their figures.
func Judge(measuredOn string, m Measured, goal Goal) (Result, error) {
	host, known := capacity.InstanceTypes[measuredOn]
	if !known {
		return Result{}, unknownType(measuredOn)
	}
	l := m.level(host)
	return Result{Figures: m.Figures(), Used: l.used(host, m.Sessions), Limit: goal.missed(host, m, l)}, nil
}

func unknownType(name string) error {
	return fmt.Errorf("instance type %s is not in the table of instance types", name)
}

// enough is how many measurements a number of sessions needs: ten minutes with
// session.usageSeconds 30.
const enough = 20

// level is a number of sessions with the figures that count.
type level struct {
	perGPU float64 // sessions
	frames float64 // the 5th percentile; NaN: not measured

	cores, memory         float64 // of one session: 95th percentile, peak in MiB
	gpu, buffer, encoding float64 // of a GPU with all its sessions, as parts of it; NaN: not measured
}

// Recommend returns the hosts that cost least for a session-hour, among types with the
// GPU of the host that was measured: another GPU has to be measured itself. It never
// recommends more sessions on a GPU than were measured at once. It is an error if not
// even one session reaches the goal.
func Recommend(measuredOn string, measured []Measured, goal Goal) (Recommendation, error) {
	host, known := capacity.InstanceTypes[measuredOn]
	if !known {
		return Recommendation{}, unknownType(measuredOn)
	}
	measured = slices.Clone(measured)
	slices.SortFunc(measured, func(a, b Measured) int { return a.Sessions - b.Sessions })
	best, limit, err := goal.best(host, measured)
	if err != nil {
		return Recommendation{}, fmt.Errorf("on %s: %w", measuredOn, err)
	}
	r, found := goal.cheapest(host.GPU, best)
	if !found {
		return r, fmt.Errorf("a session needs %d vCPUs and %d MiB, and fits none of the types with the GPU %s", best.vcpus(), best.memoryMiB(), host.GPU.Model)
	}
	r.limits(best, limit, goal)
	r.Thin = thin(measured, best, limit)
	return r, nil
}

// best returns the most sessions that reach the goal, and the resource because of which
// more do not; "" if more were never measured.
func (g Goal) best(host capacity.InstanceType, measured []Measured) (best level, limit string, err error) {
	for _, m := range measured {
		l := m.level(host)
		if limit = g.missed(host, m, l); limit != "" {
			break
		}
		best = l
	}
	switch {
	case best.perGPU > 0:
		return best, limit, nil
	case limit == "":
		return best, "", fmt.Errorf("nothing was measured")
	default:
		return best, "", fmt.Errorf("not even %s reached the goal: the limit is %s", capacity.Counted(measured[0].Sessions, "session"), limit)
	}
}

// missed returns the resource because of which a session ended, or else of which too much
// is used, or LimitFrames if players see too few and none is; "" if the goal is reached.
func (g Goal) missed(host capacity.InstanceType, m Measured, l level) string {
	if m.Broke != "" {
		return m.Broke
	}
	most, limit := 1.0, ""
	for resource, used := range l.used(host, m.Sessions) {
		if used > most || used == most && resource < limit {
			most, limit = used, resource
		}
	}
	if limit == "" && l.frames < g.Frames {
		return LimitFrames
	}
	return limit
}

// used returns the part of each resource's usable amount that a number of sessions
// takes, on a host that may be another than the measured one, with the same GPU.
func (l level) used(host capacity.InstanceType, sessions int) map[string]float64 {
	n := float64(sessions)
	perGPU := math.Ceil(n/float64(host.GPUs)) / l.perGPU
	used := map[string]float64{
		contract.LimitVCPUs:  n * l.cores / (corePart * float64(host.VCPUs)),
		contract.LimitMemory: n * l.memory / (memoryPart * float64(host.MemoryForContainers())),
		LimitGPU:             perGPU * l.gpu / gpuPart,
		LimitGPUMemory:       perGPU * l.buffer / bufferPart,
		LimitEncoder:         perGPU * l.encoding / encoderPart,
	}
	for resource, part := range used {
		if math.IsNaN(part) {
			delete(used, resource)
		}
	}
	return used
}

// vcpus and memoryMiB are the amounts that a session has to reserve.
func (l level) vcpus() int     { return max(int(math.Ceil(l.cores/corePart)), 1) }
func (l level) memoryMiB() int { return max(int(math.Ceil(l.memory/memoryPart)), 128) }

// cheapest returns the type on which a session-hour costs least; of several the one with
// the fewest sessions on a host, since its loss hits the fewest players.
func (g Goal) cheapest(gpu capacity.GPU, best level) (r Recommendation, found bool) {
	types := g.Types
	if len(types) == 0 {
		types = capacity.Known()
	}
	for _, name := range types {
		t, known := capacity.InstanceTypes[name]
		if !known || t.GPU != gpu {
			continue
		}
		memory := t.MemoryForContainers()
		n := min(int(best.perGPU)*t.GPUs, t.VCPUs/best.vcpus(), memory/best.memoryMiB())
		if n == 0 {
			continue
		}
		price, own := g.Prices[name]
		if !own {
			price = t.USD
		}
		cost := price / float64(n)
		if !found || cost < r.USDPerSessionHour || cost == r.USDPerSessionHour && n < r.SessionsPerHost {
			found = true
			r = Recommendation{
				InstanceType: name, SessionsPerHost: n, PerGPU: (n + t.GPUs - 1) / t.GPUs, VCPUs: t.VCPUs / n, MemoryMiB: memory / n, USDPerSessionHour: cost,
			}
		}
	}
	return r, found
}

// limits notes the resource that allows no more sessions on the recommended host, and
// how much of it is left.
func (r *Recommendation) limits(best level, measured string, g Goal) {
	host := capacity.InstanceTypes[r.InstanceType]
	used := best.used(host, r.SessionsPerHost)
	if measured == LimitFrames && r.SessionsPerHost == int(best.perGPU)*host.GPUs {
		r.Limit, r.Margin = LimitFrames, best.frames/g.Frames-1
		return
	}
	r.Limit = measured
	if _, counted := used[measured]; !counted || r.SessionsPerHost < int(best.perGPU)*host.GPUs {
		for resource, part := range used {
			if most, there := used[r.Limit]; !there || part > most || part == most && resource < r.Limit {
				r.Limit = resource
			}
		}
	}
	r.Margin = 1 - used[r.Limit]
}

// thin returns why the measurements do not support a recommendation well.
func thin(measured []Measured, best level, limit string) []string {
	list := []string{}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	for _, m := range measured {
		switch sessions := capacity.Counted(m.Sessions, "session"); {
		case m.Broke == LimitFaults:
			add("of %s at once one ended, and not for want of a resource", sessions)
		case m.Broke == "" && len(m.Usage) < enough*m.Sessions:
			add("%s at once: %s; needed: %d", sessions, capacity.Counted(len(m.Usage), "measurement"), enough*m.Sessions)
		}
	}
	for _, v := range []struct {
		name  string
		value float64
	}{{LimitFrames, best.frames}, {LimitGPU, best.gpu}, {LimitGPUMemory, best.buffer}, {LimitEncoder, best.encoding}} {
		if math.IsNaN(v.value) {
			add("%s: not measured", v.name)
		}
	}
	if limit == "" {
		add("more than %s at once were not measured: it may be possible to have more", capacity.Counted(measured[len(measured)-1].Sessions, "session"))
	}
	return list
}

// Figures returns the figures of the sessions.
func (m Measured) Figures() Figures {
	of := func(part float64, field func(contract.Usage) *float64) *float64 {
		var list []float64
		for _, u := range m.Usage {
			if v := field(u); v != nil {
				list = append(list, *v)
			}
		}
		slices.Sort(list)
		return quantile(list, part)
	}
	return Figures{
		FramesP5:     of(0.05, func(u contract.Usage) *float64 { return u.FramesPerSecond }),
		FramesMedian: of(0.5, func(u contract.Usage) *float64 { return u.FramesPerSecond }),
		CoresP95:     of(0.95, func(u contract.Usage) *float64 { return u.CPUCores }),
		// MemoryPeakMiB of a Usage has files too, which the kernel drops if it needs their
		// memory: a game that reads many files would seem to need all of the host.
		MemoryPeakMiB:     of(1, func(u contract.Usage) *float64 { return u.MemoryMiB }),
		GPUPercentP95:     of(0.95, func(u contract.Usage) *float64 { return u.GPUPercent }),
		GPUMemoryPeakMiB:  of(1, func(u contract.Usage) *float64 { return u.GPUMemoryMiB }),
		EncoderPercentP95: of(0.95, func(u contract.Usage) *float64 { return u.EncoderPercent }),
		RoundTripMedian:   of(0.5, func(u contract.Usage) *float64 { return u.RoundTripMilliseconds }),
	}
}

// level returns the figures that count, on a host.
func (m Measured) level(host capacity.InstanceType) level {
	f := m.Figures()
	return level{
		perGPU:   math.Ceil(float64(m.Sessions) / float64(host.GPUs)),
		frames:   or(f.FramesP5, math.NaN()),
		cores:    or(f.CoresP95, 0),
		memory:   or(f.MemoryPeakMiB, 0),
		gpu:      or(f.GPUPercentP95, math.NaN()) / 100,
		buffer:   or(f.GPUMemoryPeakMiB, math.NaN()) / float64(host.GPU.MiB),
		encoding: or(f.EncoderPercentP95, math.NaN()) / 100,
	}
}

// quantile returns the smallest value that such a part of the sorted values is not above;
// nil if there are none.
func quantile(sorted []float64, part float64) *float64 {
	if len(sorted) == 0 {
		return nil
	}
	return &sorted[max(int(math.Ceil(part*float64(len(sorted))))-1, 0)]
}

func or(v *float64, otherwise float64) float64 {
	if v == nil {
		return otherwise
	}
	return *v
}
