package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// period is the time that a dashboard shows.
type period struct {
	start, end time.Time
	steps      int // the periods of graphs, in seconds; 0: their own
}

// defaultStart is the time that a dashboard shows without a start of its own.
const defaultStart = "-PT3H"

// periodOf returns the period of a dashboard: from a start until now.
func periodOf(start string, now time.Time) (period, error) {
	if start == "" {
		start = defaultStart
	}
	from, err := moment(start, now)
	if err == nil && !from.Before(now) {
		err = fmt.Errorf("time %q is not before now", start)
	}
	return period{start: from, end: now}, err
}

// mostSteps is the number of periods from which a graph is only harder to read.
const mostSteps = 200

// follow makes the periods of graphs follow the time that is shown, as CloudWatch does on
// a dashboard with the periodOverride auto.
func (p *period) follow() {
	for _, p.steps = range []int{60, 300, 900, 3600, 6 * 3600, 24 * 3600} {
		if p.end.Sub(p.start) <= mostSteps*time.Duration(p.steps)*time.Second {
			return
		}
	}
}

// whole returns the end of the last step that is over. The step that is under way has a
// part of its data, so a line of counts would seem to fall. CloudWatch leaves it out too, of
// dashboards without live data (CloudWatch user guide, "Use live data").
func (p period) whole() time.Time {
	return p.end.Truncate(time.Duration(p.steps) * time.Second)
}

var (
	duration = regexp.MustCompile(`^-?P(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)
	units    = []time.Duration{30 * 24 * time.Hour, 7 * 24 * time.Hour, 24 * time.Hour, time.Hour, time.Minute, time.Second}
)

// moment returns the time that a text stands for: RFC 3339, or an ISO 8601 duration
// before now with or without a minus sign, as CloudWatch has it. A month is 30 days.
func moment(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	found := duration.FindStringSubmatch(text)
	if found == nil || strings.HasSuffix(text, "P") || strings.HasSuffix(text, "T") {
		return time.Time{}, fmt.Errorf("time %q is neither like 2026-11-28T12:00:00Z nor like -PT3H or -P7D", text)
	}
	var ago time.Duration
	for i, unit := range units {
		n, _ := strconv.Atoi(found[i+1]) // "" is 0
		ago += time.Duration(n) * unit
	}
	return now.Add(-ago), nil
}
