package chart_test

import (
	"bytes"
	"image/png"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/plotter"

	"github.com/intraverse/dcv-sessions/internal/chart"
)

func TestChartsAreDrawnOneBelowTheOther(t *testing.T) {
	one := chart.Chart{Title: "Frames", X: "sessions", Y: "a second", Marks: true, Curves: []chart.Curve{
		{Name: "median", Points: plotter.XYs{{X: 1, Y: 60}, {X: 2, Y: 40}}}, {Name: "goal", Points: plotter.XYs{{X: 1, Y: 30}, {X: 2, Y: 30}}, Dashed: true},
	}}
	alone, twice := draw(t, one), draw(t, one, one)
	assert.Equal(t, alone.x, twice.x)
	assert.InDelta(t, 2*alone.y+24, twice.y, 1, "with a quarter of an inch between them")
}

type size struct{ x, y int }

func draw(t *testing.T, charts ...chart.Chart) size {
	t.Helper()
	first, err := chart.PNG(charts...)
	require.NoError(t, err)
	again, err := chart.PNG(charts...)
	require.NoError(t, err)
	assert.Equal(t, first, again, "the same data is the same bytes")
	picture, err := png.Decode(bytes.NewReader(first))
	require.NoError(t, err)
	return size{picture.Bounds().Dx(), picture.Bounds().Dy()}
}
