package main

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/stretchr/testify/assert"
)

func diagnostic(text string) events.EngineEvent {
	return events.EngineEvent{EngineEvent: apitype.EngineEvent{DiagnosticEvent: &apitype.DiagnosticEvent{Severity: "error", Message: text}}}
}

func TestARunThatEndsBeforeItBeginsHasAReport(t *testing.T) {
	assert.Empty(t, newRecorder().end().Diagnostics)
}

func TestAReportHasEveryEventWhetherOrNotTheEngineClosedTheChannel(t *testing.T) {
	for range 100 {
		closed, open := newRecorder(), newRecorder()
		for _, r := range []*recorder{closed, open} {
			r.events <- diagnostic("first")
			r.events <- diagnostic("second")
		}
		close(closed.events)
		for _, r := range []*recorder{closed, open} {
			assert.Equal(t, []string{"first", "second"}, r.end().Diagnostics)
		}
	}
}
