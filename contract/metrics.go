package contract

// MetricNamespace is the CloudWatch namespace of the metrics that sessions' events
// become.
const MetricNamespace = "dcv-sessions"

// Dimensions of metrics. Each value of a dimension makes a metric of its own, which is
// paid for, so they have few values: a user, a session or an address is none.
const (
	DimensionStack = "Stack" // of every metric
	DimensionState = "State" // one of States
	DimensionExit  = "Exit"  // an ExitCode's Name
)

// Unit is a unit of CloudWatch (API reference, MetricDatum).
type Unit string

// The units.
const (
	UnitCount             Unit = "Count"
	UnitSeconds           Unit = "Seconds"
	UnitMilliseconds      Unit = "Milliseconds"
	UnitPercent           Unit = "Percent"
	UnitNone              Unit = "None"
	UnitCountPerSecond    Unit = "Count/Second"
	UnitMegabitsPerSecond Unit = "Megabits/Second"
)

// Metric is a CloudWatch metric that a metric filter makes of an event.
type Metric struct {
	Name  string
	Event EventName
	// Field is the path of the value in the event's JSON, "usage.cpuCores". Events
	// without it make no value. Empty: each event counts 1.
	Field string
	Unit  Unit
	// Dimension is the dimension beside DimensionStack, or "". Its value is the
	// event's DimensionField, one of Values; other events make no value.
	Dimension      string
	DimensionField string
	Values         []string
	Meaning        string // for players and operators, in a sentence without its dot
}

// Metrics are all metrics of sessions. How long a job waits in its queue, and how long
// its container takes to start, are AWS Batch's own metrics (namespace AWS/Batch).
var Metrics = []Metric{
	{Name: "SessionsEnded", Event: EventEnded, Unit: UnitCount, Dimension: DimensionExit, DimensionField: "exit", Values: exitNames(), Meaning: "sessions that ended, by the name of their exit code"},
	{Name: "StartSeconds", Event: EventLeft, Field: "seconds", Unit: UnitSeconds, Dimension: DimensionState, DimensionField: "state", Values: stateNames(Steps), Meaning: "how long each step of a session's start took"},
	{Name: "WaitSeconds", Event: EventReady, Field: "sinceSubmitSeconds", Unit: UnitSeconds, Meaning: "how long a player waited, from the submission to a session that answers"},
	{Name: "ContainerSeconds", Event: EventStarting, Field: "sinceCreatedSeconds", Unit: UnitSeconds, Meaning: "how long the container took from its creation, with the image there, to its first line"},
	{Name: "PlayedSeconds", Event: EventSummary, Field: "summary.playedSeconds", Unit: UnitSeconds, Meaning: "how long a session was played"},
	{Name: "CPUCores", Event: EventUsage, Field: "usage.cpuCores", Unit: UnitNone, Meaning: "processor cores that a session uses"},
	{Name: "MemoryPercent", Event: EventUsage, Field: "usage.memoryPercent", Unit: UnitPercent, Meaning: "memory of a session, of its limit, above which it ends"},
	{Name: "GPUPercent", Event: EventUsage, Field: "usage.gpuPercent", Unit: UnitPercent, Meaning: "how busy a session's GPU is"},
	{Name: "GPUMemoryPercent", Event: EventUsage, Field: "usage.gpuMemoryPercent", Unit: UnitPercent, Meaning: "how full a GPU's memory is"},
	{Name: "EncoderPercent", Event: EventUsage, Field: "usage.encoderPercent", Unit: UnitPercent, Meaning: "how busy a GPU's video encoder is"},
	{Name: "FramesPerSecond", Event: EventUsage, Field: "usage.framesPerSecond", Unit: UnitCountPerSecond, Meaning: "updates of the screen that a player sees"},
	{Name: "RoundTripMilliseconds", Event: EventUsage, Field: "usage.roundTripMilliseconds", Unit: UnitMilliseconds, Meaning: "the time to a player and back"},
	{Name: "MegabitsToPlayer", Event: EventUsage, Field: "usage.megabitsToPlayer", Unit: UnitMegabitsPerSecond, Meaning: "what a player receives"},
}

func exitNames() []string {
	var names []string
	for _, code := range ExitCodes {
		names = append(names, code.Name)
	}
	return names
}

func stateNames(states []State) []string {
	var names []string
	for _, state := range states {
		names = append(names, string(state))
	}
	return names
}
