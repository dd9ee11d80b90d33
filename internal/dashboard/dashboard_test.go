package dashboard

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func sample() Body {
	hidden := false
	b := Body{Start: "-PT24H", PeriodOverride: "auto"}
	b.Row(2, Text{Markdown: "# Sessions"})
	b.Row(6,
		Graph{Title: "Running", Region: "us-east-1", View: ViewTimeSeries, Stat: "SampleCount", Period: 300, Metrics: []Metric{
			{Namespace: "dcv-sessions", Name: "CPUCores", Dimensions: []Dimension{{"Stack", "dev"}}, Options: Options{ID: "usage", Visible: &hidden}},
			{Options: Options{Expression: "usage * 30 / PERIOD(usage)", Label: "running"}},
		}},
		Query{Title: "Ends", Region: "us-east-1", View: "table", Query: "SOURCE '/sessions' | fields user"},
	)
	return b
}

// The form is that of CloudWatch's API reference, "Dashboard Body Structure and Syntax".
func TestABodyIsWrittenAsCloudWatchTakesIt(t *testing.T) {
	assert.JSONEq(t, `{"start":"-PT24H","periodOverride":"auto","widgets":[
		{"type":"text","x":0,"y":0,"width":24,"height":2,"properties":{"markdown":"# Sessions"}},
		{"type":"metric","x":0,"y":2,"width":12,"height":6,"properties":{"title":"Running","region":"us-east-1","view":"timeSeries","stat":"SampleCount","period":300,
			"metrics":[["dcv-sessions","CPUCores","Stack","dev",{"id":"usage","visible":false}],[{"expression":"usage * 30 / PERIOD(usage)","label":"running"}]]}},
		{"type":"log","x":12,"y":2,"width":12,"height":6,"properties":{"title":"Ends","region":"us-east-1","view":"table","query":"SOURCE '/sessions' | fields user"}}]}`,
		sample().String())
}

func TestABodyIsReadAsItWasWritten(t *testing.T) {
	read, err := Parse(sample().String())
	require.NoError(t, err)
	assert.Equal(t, sample(), read)
	_, err = Parse("[]")
	assert.ErrorContains(t, err, "dashboard: ")
}
