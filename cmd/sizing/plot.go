package main

import (
	"fmt"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/intraverse/dcv-sessions/components/compute/sizing"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/chart"
)

// charts are the frames that players see, and the resources, by the number of sessions.
func (r Report) charts() []chart.Chart {
	frames := chart.Chart{Title: "Frames that players see", X: "sessions on a " + r.InstanceType, Y: "frames a second", Marks: true, Step: 10}
	frames.Curves = r.curves(frames.Curves, "median", func(l Level) *float64 { return l.FramesMedian })
	frames.Curves = r.curves(frames.Curves, "19 of 20 measurements reach", func(l Level) *float64 { return l.FramesP5 })
	used := chart.Chart{Title: "The part of the usable amount that sessions use", X: frames.X, Y: "percent", Marks: true, Step: 20}
	for _, resource := range []string{contract.LimitVCPUs, contract.LimitMemory, sizing.LimitGPU, sizing.LimitGPUMemory, sizing.LimitEncoder} {
		used.Curves = r.curves(used.Curves, resource, func(l Level) *float64 {
			part, measured := l.Used[resource]
			if part *= 100; !measured {
				return nil
			}
			return &part
		})
	}
	frames.Curves = append(frames.Curves, r.line(fmt.Sprintf("the goal: %s", number(r.FramesGoal)), r.FramesGoal))
	used.Curves = append(used.Curves, r.line("all that may be used", 100))
	frames.Ticks, used.Ticks = sessions(len(r.Levels)), sessions(len(r.Levels))
	return []chart.Chart{frames, used}
}

// curves adds the curve of a figure, if it was measured at all.
func (r Report) curves(to []chart.Curve, name string, of func(Level) *float64) []chart.Curve {
	c := chart.Curve{Name: name}
	for _, l := range r.Levels {
		if v := of(l); v != nil {
			c.Points = append(c.Points, plotter.XY{X: float64(l.Sessions), Y: *v})
		}
	}
	if len(c.Points) == 0 {
		return to
	}
	return append(to, c)
}

// line is a level line over all numbers of sessions.
func (r Report) line(name string, y float64) chart.Curve {
	return chart.Curve{Name: name, Dashed: true, Points: plotter.XYs{{X: 0.5, Y: y}, {X: float64(len(r.Levels)) + 0.5, Y: y}}}
}

// sessions are the ticks of numbers of sessions.
type sessions int

func (most sessions) Ticks(_, _ float64) []plot.Tick {
	var ticks []plot.Tick
	for n := 1; n <= int(most); n++ {
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: fmt.Sprint(n)})
	}
	return ticks
}
