package cloudwatch

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gonum.org/v1/plot/vg"
)

// image returns the image of a widget. With DCV_IMAGES=DIR it is also written there.
func (w *world) image(name, widget string) image.Image {
	w.t.Helper()
	got, err := w.metrics.GetMetricWidgetImage(ctx, &sdk.GetMetricWidgetImageInput{MetricWidget: &widget})
	require.NoError(w.t, err)
	if dir := os.Getenv("DCV_IMAGES"); dir != "" {
		require.NoError(w.t, os.WriteFile(filepath.Join(dir, name+".png"), got.MetricWidgetImage, 0o600))
	}
	drawn, err := png.Decode(bytes.NewReader(got.MetricWidgetImage))
	require.NoError(w.t, err)
	return drawn
}

// count returns how many pixels have nearly a colour.
func count(in image.Image, of string) (pixels int) {
	want, _ := hex(of)
	near := func(a, b uint32) bool { return math.Abs(float64(a>>8)-float64(b>>8)) < 12 }
	r, g, b, _ := color.Color(want).RGBA()
	for x := range in.Bounds().Dx() {
		for y := range in.Bounds().Dy() {
			if R, G, B, _ := in.At(x, y).RGBA(); near(r, R) && near(g, G) && near(b, B) {
				pixels++
			}
		}
	}
	return pixels
}

// played fills the metrics of three hours.
func (w *world) played() {
	for i := range 36 {
		at := w.config.Now().Add(-time.Duration(i) * 5 * time.Minute)
		wave := math.Sin(float64(i) / 6)
		put := func(name string, value float64, dimensions ...Dimension) {
			w.store.put(Metric{w.name, name, append([]Dimension{{"Stack", "dev"}}, dimensions...)}, Single(at, "Seconds", value))
		}
		put("WaitSeconds", 60+20*wave)
		put("WaitSeconds", 90+40*wave)
		put("MemoryPercent", 55+10*wave)
		for step, value := range map[string]float64{"configure": 2, "display": 8 + wave, "game": 14 + 4*wave} {
			put("StartSeconds", value, Dimension{"State", step})
		}
		if i%9 == 0 {
			put("SessionsEnded", 1, Dimension{"Exit", "lost"})
		}
		put("SessionsEnded", 1, Dimension{"Exit", "ok"})
	}
}

func (w *world) metric(name string, more string) string {
	return fmt.Sprintf(`[%q,%q,"Stack","dev",%s]`, w.name, name, more)
}

func TestAGraphShowsItsLinesItsLimitAndItsLegend(t *testing.T) {
	w := newWorld(t)
	w.played()
	drawn := w.image("lines", `{"title":"The wait, seconds","region":"us-east-1","view":"timeSeries","stat":"p50","period":300,"width":800,"height":360,"yAxis":{"left":{"showUnits":false}},"metrics":[`+
		w.metric("WaitSeconds", `{"stat":"p50","label":"median"}`)+`,["...",{"stat":"p95","label":"95th percentile"}]],"annotations":{"horizontal":[{"label":"alarm","value":180}]}}`)
	require.Equal(t, image.Pt(800, 360), drawn.Bounds().Size())
	for name, of := range map[string]string{"median": palette[0], "p95": palette[1], "limit": alarmed} {
		assert.Greater(t, count(drawn, of), 200, name)
	}
	assert.Zero(t, count(drawn, palette[2]))
	assert.Greater(t, count(drawn, "#ffffff"), 800*360/2, "dark on white")
}

func TestAStackedGraphAStackOfNumbersAndBars(t *testing.T) {
	w := newWorld(t)
	w.played()
	steps := ""
	for _, step := range []string{"configure", "display", "game"} {
		if steps != "" {
			steps += ","
		}
		steps += fmt.Sprintf(`[%q,"StartSeconds","Stack","dev","State",%q,{"label":%[2]q}]`, w.name, step)
	}
	drawn := w.image("stacked", `{"title":"Its parts, median, seconds","view":"timeSeries","stacked":true,"stat":"p50","width":800,"height":360,"metrics":[`+steps+`]}`)
	assert.Greater(t, count(drawn, palette[1]), 10_000)

	drawn = w.image("numbers", `{"title":"Now","view":"singleValue","stat":"SampleCount","width":500,"height":180,"metrics":[`+
		w.metric("WaitSeconds", `{"id":"waits","visible":false}`)+`,[{"expression":"waits * 30 / PERIOD(waits)","label":"sessions"}],`+w.metric("MemoryPercent", `{"stat":"Maximum","label":"memory"}`)+`]}`)
	assert.Greater(t, count(drawn, "#16191f"), 300, "numbers")

	bars := fmt.Sprintf(`{"title":"Why sessions ended","view":"bar","stat":"Sum","setPeriodToTimeRange":true,"width":600,"height":260,"metrics":[[%q,"SessionsEnded","Stack","dev","Exit","ok",{"label":"ok"}],["...","lost",{"label":"lost"}],["...","crashed",{"label":"game-crashed"}]]}`, w.name)
	drawn = w.image("bars", bars)
	ok, lost := count(drawn, palette[0]), count(drawn, palette[1])
	assert.InDelta(t, 35./3, float64(ok)/float64(lost), 0.5, "as long as its value, of the three hours")
}

func TestAGraphWithoutDataSaysSo(t *testing.T) {
	w := newWorld(t)
	for _, view := range []string{"timeSeries", "singleValue", "bar"} {
		w.image("empty-"+view, `{"title":"Nothing yet","view":"`+view+`","width":400,"height":200,"metrics":[["n","m"]]}`)
		w.image("none-"+view, `{"view":"`+view+`","width":400,"height":200,"metrics":[]}`)
	}
}

func TestTheNamesOfCloseLimitsDoNotTouch(t *testing.T) {
	for _, lines := range [][]vg.Length{{142, 135}, {150, 149}, {150, 150}, {100, 90, 80}, {100, 99, 98, 20}} {
		bottoms := nameBottoms(lines)
		require.Equal(t, lines[0]+2, bottoms[0], "above its line")
		for i := range lines[1:] {
			assert.LessOrEqual(t, bottoms[i+1]+annotationHeight, bottoms[i], "%v: %v", lines, bottoms)
		}
	}
	w := newWorld(t)
	w.played()
	w.image("limits", `{"view":"timeSeries","stat":"Maximum","width":480,"height":276,"yAxis":{"left":{"min":0,"max":100,"showUnits":false}},"metrics":[`+
		w.metric("MemoryPercent", `{"label":"memory"}`)+`],"annotations":{"horizontal":[{"label":"alarm: encoder","value":90},{"label":"alarm: memory","value":95}]}}`)
}

func TestAMetricsPlacesAreRepeated(t *testing.T) {
	list, _, err := widget{Stat: "Sum", Metrics: [][]any{
		{"n", "m", "Stack", "dev", "Exit", "ok"}, {"...", "lost"}, {".", "other", ".", "."}, {"...", "prod"}, {".", "third", "A", "b"},
	}}.queries(300)
	require.NoError(t, err)
	var got []Metric
	for _, q := range list {
		got = append(got, q.MetricStat.Metric)
	}
	assert.Equal(t, []Metric{
		{"n", "m", []Dimension{{"Stack", "dev"}, {"Exit", "ok"}}}, {"n", "m", []Dimension{{"Stack", "dev"}, {"Exit", "lost"}}},
		{"n", "other", []Dimension{{"Stack", "dev"}}}, {"n", "other", []Dimension{{"Stack", "prod"}}}, {"n", "third", []Dimension{{"A", "b"}}},
	}, got)
}

func TestWidgetsThatTheSandboxDoesNotDrawAreRefusedByName(t *testing.T) {
	w := newWorld(t)
	for named, widget := range map[string]string{
		"the view pie":              `{"view":"pie","metrics":[["n","m"]]}`,
		"annotations.vertical":      `{"metrics":[["n","m"]],"annotations":{"vertical":[{"value":"2026-01-01T00:00:00Z"}]}}`,
		"yAxis.right":               `{"metrics":[["n","m"]],"yAxis":{"right":{"min":1}}}`,
		"its yAxis":                 `{"metrics":[["n","m",{"yAxis":"right"}]]}`,
		"function SEARCH":           `{"metrics":[[{"expression":"SEARCH('x', 'Sum', 300)"}]]}`,
		"labels with ${":            `{"metrics":[["n","m",{"label":"${MAX}"}]]}`,
		"is no metric":              `{"metrics":[["n","m","Stack"]]}`,
		"... stands for nothing":    `{"metrics":[["...","b"]]}`,
		"width and height are 3000": `{"width":3000,"metrics":[["n","m"]]}`,
		"start: \"yesterday\"":      `{"start":"yesterday","metrics":[["n","m"]]}`,
		"it is no JSON":             `{`,
	} {
		_, err := w.metrics.GetMetricWidgetImage(ctx, &sdk.GetMetricWidgetImageInput{MetricWidget: aws.String(widget)})
		requireUnsupported(t, err, named)
	}
}

func TestNumbersAndTicksAreShort(t *testing.T) {
	for value, said := range map[float64]string{0: "0", 0.5: "0.5", 1: "1", 12.34: "12.3", 123.4: "123", 9999: "9999", 12345: "12.3k", 2_500_000: "2.5M", 3e9: "3G", 0.012: "0.012", -40: "-40"} {
		assert.Equal(t, said, short(value))
	}
	ticks, step := niceTicks(0, 180)
	assert.Equal(t, []float64{0, 50, 100, 150, 200}, ticks)
	assert.Equal(t, 50., step)
	ticks, _ = niceTicks(0, 1)
	assert.InDeltaSlice(t, []float64{0, 0.25, 0.5, 0.75, 1}, ticks, 1e-12)
}
