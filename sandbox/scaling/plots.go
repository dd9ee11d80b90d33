package scaling

import (
	"bytes"
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// colors can be distinguished with any color vision (Okabe and Ito, "Color Universal Design").
var colors = []color.Color{
	color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255},
	color.RGBA{230, 159, 0, 255},
}

// curve is one line of a plot.
type curve struct {
	name   string
	points plotter.XYs
}

// chart is a plot of lines.
type chart struct {
	title, x, y string
	curves      []curve
	logX        bool
	ticks       plot.Ticker // of x; nil: usual ones
	marks       bool        // at the points
	top         float64     // of y; 0: as the data needs, with room for the legend
}

// png draws a chart. The same data is the same bytes.
func (c chart) png() ([]byte, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.title, c.x, c.y
	p.Title.TextStyle.Font.Size, p.Title.Padding = 13, 8
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, 2
	p.Add(plotter.NewGrid())
	if c.logX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, powers{}
	}
	p.Y.Min = 0
	if c.ticks != nil {
		p.X.Tick.Marker = c.ticks
	}
	for i, curve := range c.curves {
		line, points, err := plotter.NewLinePoints(curve.points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width, points.Color = colors[i%len(colors)], 2, colors[i%len(colors)]
		p.Add(line)
		if c.marks {
			p.Add(points)
		}
		p.Legend.Add(curve.name, line)
	}
	p.Y.Max *= 1.3 // room for the legend
	if c.top > 0 {
		p.Y.Max, p.Legend.Top, p.Legend.Left = c.top, false, false
	}
	if c.logX {
		p.X.Max *= 1.5 // and for the last label
	}
	writer, err := p.WriterTo(7*vg.Inch, 3.6*vg.Inch, "png")
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	_, err = writer.WriteTo(&out)
	return out.Bytes(), err
}

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
func waits(runs []Summary) chart {
	c := chart{title: "How long players wait", x: "sessions a day", y: "minutes from submission to ready", logX: true, marks: true}
	for _, share := range []struct {
		name string
		of   func(Percentiles) float64
	}{
		{"99 of 100 wait no longer", func(p Percentiles) float64 { return p.P99.Minutes() }},
		{"95 of 100", func(p Percentiles) float64 { return p.P95.Minutes() }},
		{"half of them", func(p Percentiles) float64 { return p.P50.Minutes() }},
	} {
		line := curve{name: share.name}
		for _, run := range runs {
			line.points = append(line.points, plotter.XY{X: float64(run.Sessions), Y: share.of(run.Total)})
		}
		c.curves = append(c.curves, line)
	}
	return c
}

// theDay draws hosts and sessions over the day.
func theDay(sessions int, hosts, playing, waiting Level) chart {
	return chart{
		title: fmt.Sprintf("A day with %s sessions", number(float64(sessions))), x: "time of day", y: "at once", ticks: hours{},
		curves: []curve{{"hosts", hosts.points()}, {"sessions that play", playing.points()}, {"sessions that wait", waiting.points()}},
	}
}

// costs draws the cost of hosts in an hour, over the day, for several settings.
func costs(sessions int, names []string, of []Level) chart {
	c := chart{title: fmt.Sprintf("The cost of hosts, with %s sessions a day", number(float64(sessions))), x: "time of day", y: "dollars an hour", ticks: hours{}}
	for i, l := range of {
		c.curves = append(c.curves, curve{names[i], l.points()})
	}
	return c
}

// distribution draws which share of sessions waits no longer than a time, for several
// lists of waits in seconds, which are sorted.
func distribution(title string, names []string, of [][]float64) chart {
	c := chart{title: title, x: "seconds", y: "share of the sessions that wait no longer", top: 1}
	for i, waits := range of {
		line := curve{name: names[i]}
		for n, w := range waits {
			line.points = append(line.points, plotter.XY{X: w, Y: float64(n+1) / float64(len(waits))})
		}
		c.curves = append(c.curves, line)
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
