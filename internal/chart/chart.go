// Package chart draws plots of lines for the documentation and for reports.
package chart

import (
	"bytes"
	"fmt"
	"image/color"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// colors can be distinguished with any color vision (Okabe and Ito, "Color Universal Design").
var colors = []color.Color{
	color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255}, color.RGBA{204, 121, 167, 255},
	color.RGBA{230, 159, 0, 255},
}

// Curve is one line of a plot.
type Curve struct {
	Name   string
	Points plotter.XYs
	Dashed bool // a limit or a goal, in black
}

// Chart is a plot of lines.
type Chart struct {
	Title, X, Y string
	Curves      []Curve
	LogX        bool
	Ticks       plot.Ticker // of x; nil: usual ones
	Step        float64     // between the ticks of y; 0: usual ones
	Marks       bool        // at the points
	Top         float64     // of y; 0: as the data needs, with room for the legend
}

// The size of a chart.
const (
	width  = 7 * vg.Inch
	height = 3.6 * vg.Inch
	gap    = 0.25 * vg.Inch // above each but the first
)

// PNG draws charts, one below the other. The same data is the same bytes.
func PNG(charts ...Chart) ([]byte, error) {
	canvas, err := draw.NewFormattedCanvas(width, vg.Length(len(charts))*(height+gap)-gap, "png")
	if err != nil {
		return nil, err
	}
	all := draw.New(canvas)
	for i, c := range charts {
		p, err := c.plot()
		if err != nil {
			return nil, err
		}
		above, below := vg.Length(i), vg.Length(len(charts)-1-i)
		p.Draw(draw.Crop(all, 0, 0, below*(height+gap), -above*(height+gap)))
	}
	var out bytes.Buffer
	_, err = canvas.WriteTo(&out)
	return out.Bytes(), err
}

func (c Chart) plot() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = c.Title, c.X, c.Y
	p.Title.TextStyle.Font.Size, p.Title.Padding = 13, 8
	p.Legend.Top, p.Legend.Left, p.Legend.Padding = true, true, 2
	p.Add(plotter.NewGrid())
	if c.LogX {
		p.X.Scale = plot.LogScale{}
	}
	p.Y.Min = 0
	if c.Ticks != nil {
		p.X.Tick.Marker = c.Ticks
	}
	if c.Step > 0 {
		p.Y.Tick.Marker = steps(c.Step)
	}
	for i, curve := range c.Curves {
		line, points, err := plotter.NewLinePoints(curve.Points)
		if err != nil {
			return nil, err
		}
		line.Color, line.Width, points.Color = colors[i%len(colors)], 2, colors[i%len(colors)]
		if curve.Dashed {
			line.Color, line.Width, line.Dashes = color.Black, 1, []vg.Length{4, 4}
		}
		p.Add(line)
		if c.Marks && !curve.Dashed {
			p.Add(points)
		}
		p.Legend.Add(curve.Name, line)
	}
	p.Y.Max *= 1.3 // room for the legend
	if c.Top > 0 {
		p.Y.Max, p.Legend.Top, p.Legend.Left = c.Top, false, false
	}
	if c.LogX {
		p.X.Max *= 1.5 // and for the last label
	}
	return p, nil
}

// steps are the ticks at the multiples of a number.
type steps float64

func (s steps) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for n := math.Ceil(low / float64(s)); n*float64(s) <= high; n++ {
		ticks = append(ticks, plot.Tick{Value: n * float64(s), Label: fmt.Sprint(n * float64(s))})
	}
	return ticks
}
