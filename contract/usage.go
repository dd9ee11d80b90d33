package contract

// EnvSubmitted is a variable that a launcher sets to the time at which it submits a
// session, as Event.Time is written. The session measures how long its player waited
// from it; a session that is tried again on another host still measures from the first
// submission. A launcher may leave it out.
//
// It does not begin with DCV_: an image of an earlier release, which image.use may name,
// refuses each DCV_ variable that its job definition does not set.
const EnvSubmitted = "SESSION_SUBMITTED"

// TimeFormat is the layout of Event.Time and EnvSubmitted, in UTC.
const TimeFormat = "2006-01-02T15:04:05.000Z07:00"

// Usage has a session's figures since its last EventUsage. A value that the host can't
// measure is nil and has no field.
type Usage struct {
	Seconds float64 `json:"seconds"` // that were measured

	CPUCores           *float64 `json:"cpuCores,omitempty"`           // used on average; 1.5: one and a half cores
	CPUPressurePercent *float64 `json:"cpuPressurePercent,omitempty"` // of the time some process waited for a core (cgroup v2, cpu.pressure, some)
	MemoryMiB          *float64 `json:"memoryMib,omitempty"`          // now, without files that the kernel can drop at once
	MemoryPeakMiB      *float64 `json:"memoryPeakMib,omitempty"`      // since the container's start, with such files
	MemoryLimitMiB     *float64 `json:"memoryLimitMib,omitempty"`     // above which the session ends
	MemoryPercent      *float64 `json:"memoryPercent,omitempty"`      // MemoryMiB of MemoryLimitMiB

	// Of the session's whole GPU, which other sessions may share: means of nvidia-smi's
	// samples.
	GPUPercent          *float64 `json:"gpuPercent,omitempty"`
	GPUMemoryMiB        *float64 `json:"gpuMemoryMib,omitempty"`
	GPUMemoryLimitMiB   *float64 `json:"gpuMemoryLimitMib,omitempty"`
	GPUMemoryPercent    *float64 `json:"gpuMemoryPercent,omitempty"` // GPUMemoryMiB of GPUMemoryLimitMiB
	EncoderPercent      *float64 `json:"encoderPercent,omitempty"`
	EncoderSessions     *float64 `json:"encoderSessions,omitempty"`
	EncoderFrames       *float64 `json:"encoderFrames,omitempty"`       // per second
	EncoderMilliseconds *float64 `json:"encoderMilliseconds,omitempty"` // latency

	// While a player is connected; of less than a second of it there are none.
	FramesPerSecond *float64 `json:"framesPerSecond,omitempty"` // updates of the screen (X's DAMAGE), at most 100
	// Between the session and its players, all connections in all, but for QUIC.
	MegabitsToPlayer      *float64 `json:"megabitsToPlayer,omitempty"`      // per second
	MegabitsFromPlayer    *float64 `json:"megabitsFromPlayer,omitempty"`    // per second
	RoundTripMilliseconds *float64 `json:"roundTripMilliseconds,omitempty"` // the kernel's smoothed estimate (TCP_INFO)
}

// Spread describes the values of a Usage field in a whole session. The percentiles are
// within 1 % of a measured value.
type Spread struct {
	Mean   float64 `json:"mean"`
	Median float64 `json:"median"`
	P5     float64 `json:"p5"`
	P95    float64 `json:"p95"`
	Max    float64 `json:"max"`
}

// Summary is the whole of a session, in its EventSummary.
type Summary struct {
	Seconds       float64           `json:"seconds"`               // from EventStarting
	PlayedSeconds float64           `json:"playedSeconds"`         // with a player
	WaitSeconds   float64           `json:"waitSeconds,omitempty"` // of EventReady; 0: it never was ready, or nobody knows
	Exit          string            `json:"exit"`                  // an ExitCode's name
	Usage         map[string]Spread `json:"usage,omitempty"`       // by the JSON name of a Usage field that was measured at least once
}
