package scaling

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"

	"github.com/intraverse/dcv-sessions/internal/chart"
)

// hours are the ticks of a day that begins at dayStart.
type hours struct{}

func (hours) Ticks(_, _ float64) []plot.Tick {
	var ticks []plot.Tick
	for hour := range 25 {
		label := ""
		if (hour+int(dayStart.Hours()))%3 == 0 {
			label = fmt.Sprintf("%02d:00", (hour+int(dayStart.Hours()))%24)
		}
		ticks = append(ticks, plot.Tick{Value: float64(hour), Label: label})
	}
	return ticks
}

// powers are the ticks at the powers of ten.
type powers struct{}

func (powers) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for v := 1.0; v <= high; v *= 10 {
		if v >= low {
			ticks = append(ticks, plot.Tick{Value: v, Label: number(v)})
		}
	}
	return ticks
}

// points are a level's over the hours of the day.
func (l Level) points() plotter.XYs {
	var points plotter.XYs
	for i, v := range l {
		points = append(points, plotter.XY{X: float64(i) * step.Hours(), Y: v})
	}
	return points
}

// waits draws the wait by the sessions of a day.
func waits(runs []Summary) chart.Chart {
	c := chart.Chart{Title: "How long players wait", X: "sessions a day", Y: "minutes from submission to ready", LogX: true, Ticks: powers{}, Marks: true}
	for _, share := range []struct {
		name string
		of   func(Percentiles) float64
	}{
		{"99 of 100 wait no longer", func(p Percentiles) float64 { return p.P99.Minutes() }},
		{"95 of 100", func(p Percentiles) float64 { return p.P95.Minutes() }},
		{"half of them", func(p Percentiles) float64 { return p.P50.Minutes() }},
	} {
		line := chart.Curve{Name: share.name}
		for _, run := range runs {
			line.Points = append(line.Points, plotter.XY{X: float64(run.Sessions), Y: share.of(run.Total)})
		}
		c.Curves = append(c.Curves, line)
	}
	return c
}

// theDay draws hosts and sessions over the day.
func theDay(sessions int, hosts, playing, waiting Level) chart.Chart {
	return chart.Chart{
		Title: fmt.Sprintf("A day with %s sessions", number(float64(sessions))), X: "time of day", Y: "at once", Ticks: hours{},
		Curves: []chart.Curve{
			{Name: "hosts", Points: hosts.points()}, {Name: "sessions that play", Points: playing.points()}, {Name: "sessions that wait", Points: waiting.points()},
		},
	}
}

// costs draws the cost of hosts in an hour, over the day, for several settings.
func costs(sessions int, names []string, of []Level) chart.Chart {
	c := chart.Chart{Title: fmt.Sprintf("The cost of hosts, with %s sessions a day", number(float64(sessions))), X: "time of day", Y: "dollars an hour", Ticks: hours{}}
	for i, l := range of {
		c.Curves = append(c.Curves, chart.Curve{Name: names[i], Points: l.points()})
	}
	return c
}

// distribution draws which share of sessions waits no longer than a time, for several
// lists of waits in seconds, which are sorted.
func distribution(title string, names []string, of [][]float64) chart.Chart {
	c := chart.Chart{Title: title, X: "seconds", Y: "share of the sessions that wait no longer", Top: 1}
	for i, waits := range of {
		line := chart.Curve{Name: names[i]}
		for n, w := range waits {
			line.Points = append(line.Points, plotter.XY{X: w, Y: float64(n+1) / float64(len(waits))})
		}
		c.Curves = append(c.Curves, line)
	}
	return c
}

// number writes a number with a comma for each thousand.
func number(v float64) string {
	digits := fmt.Sprintf("%.0f", math.Abs(v))
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}
