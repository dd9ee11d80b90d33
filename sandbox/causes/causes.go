// Package causes has, for tests, an event that raises each alarm of a stack.
package causes

import "github.com/intraverse/dcv-sessions/contract"

// Cause is an event that raises alarms.
type Cause struct {
	Name   string
	Alarms []string // without the stack's prefix
	// Lines are of a session's log, without the fields that all events have. They are
	// written again and again until the alarms are raised.
	Lines []string
	// Retries is how many jobs AWS Batch starts again; Lines is empty.
	Retries int
}

// All returns a cause for each alarm.
func All() []Cause {
	var all []Cause
	for _, code := range contract.ExitCodes {
		if code.Code != contract.ExitOK && !code.Retry {
			all = append(all, Cause{Name: "a session ends with " + code.Name, Alarms: []string{"failed-" + code.Name}, Lines: []string{`"event":"ended","exit":"` + code.Name + `"`}})
		}
	}
	return append(all,
		Cause{Name: "a player waits for a day", Alarms: []string{"waited"}, Lines: []string{`"event":"ready","sinceSubmitSeconds":86400`}},
		Cause{Name: "sessions lack memory, GPU memory, encoder and frames for long", Alarms: []string{"memory-full", "gpu-memory-full", "encoder-full", "few-frames"}, Lines: []string{
			`"event":"usage","usage":{"seconds":30,"memoryPercent":99}`, `"event":"usage","usage":{"seconds":30,"gpuMemoryPercent":99}`,
			`"event":"usage","usage":{"seconds":30,"encoderPercent":99}`, `"event":"usage","usage":{"seconds":30,"framesPerSecond":1}`,
		}},
		Cause{Name: "AWS Batch starts sessions again and again", Alarms: []string{"retried"}, Retries: 3},
	)
}

// Harmless are lines that raise no alarm.
var Harmless = []string{
	`"event":"usage","usage":{"seconds":30,"cpuCores":1,"memoryPercent":40,"gpuMemoryPercent":40,"encoderPercent":10,"framesPerSecond":60}`,
	`"event":"ready","sinceSubmitSeconds":20`, `"event":"ended","exit":"ok","exitCode":0`,
}

// Line returns a line as a session of a stack writes it.
func Line(stack, fields string) string {
	return `{"stack":"` + stack + `","user":"player1","session":"causes",` + fields + `}`
}
