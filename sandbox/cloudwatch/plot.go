package cloudwatch

import (
	"bytes"
	"cmp"
	"fmt"
	"image/color"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	stdfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// Lengths are in pixels, since an inch has as many pixels as points.
const pixelsOfInch = 72

var (
	ink     = color.RGBA{0x16, 0x19, 0x1f, 0xff} // titles and numbers
	pale    = color.RGBA{0x54, 0x5b, 0x64, 0xff} // labels
	rule    = color.RGBA{0xe3, 0xe6, 0xea, 0xff} // the grid
	axisInk = color.RGBA{0xaa, 0xb2, 0xba, 0xff}
	veil    = color.NRGBA{0xff, 0xff, 0xff, 0xd0} // behind the names of annotations
	alarmed = "#d13212"                           // annotations
)

// fonts are two faces of Liberation Sans. gonum's package plot would compile all twelve,
// and with them writers of EPS, PDF, SVG and TeX.
var fonts = sync.OnceValue(func() text.Handler {
	var faces font.Collection
	for weight, file := range map[stdfont.Weight][]byte{stdfont.WeightNormal: liberationsansregular.TTF, stdfont.WeightBold: liberationsansbold.TTF} {
		face, err := opentype.Parse(file)
		if err != nil { // the file is compiled in
			panic(err)
		}
		faces = append(faces, font.Face{Font: font.Font{Typeface: "Sans", Weight: weight}, Face: face})
	}
	return text.Plain{Fonts: font.NewCache(faces)}
})

// style returns a style of text. x and y are its place beside the point at which it is
// drawn: 0 is right of it and above, -1 left and below.
func style(size vg.Length, of color.Color, weight stdfont.Weight, x, y float64) text.Style {
	return text.Style{Color: of, Font: font.Font{Typeface: "Sans", Weight: weight, Size: size},
		XAlign: text.XAlignment(x), YAlign: text.YAlignment(y), Handler: fonts()}
}

func label(x, y float64) text.Style { return style(12, pale, stdfont.WeightNormal, x, y) }

// area is a part of the image; y grows upwards.
type area struct {
	draw.Canvas
	left, bottom, right, top vg.Length
}

func (a area) text(s text.Style, x, y vg.Length, said string) {
	a.FillText(s, vg.Point{X: x, Y: y}, said)
}

func (a area) stroke(of color.Color, width vg.Length, dashes []vg.Length, points ...vg.Point) {
	a.StrokeLines(draw.LineStyle{Color: of, Width: width, Dashes: dashes}, points)
}

func (a area) box(of color.Color, left, bottom, right, top vg.Length) {
	a.FillPolygon(of, []vg.Point{{X: left, Y: bottom}, {X: right, Y: bottom}, {X: right, Y: top}, {X: left, Y: top}})
}

const margin vg.Length = 12

// png draws the graph.
func (g graph) png() ([]byte, error) {
	image := vgimg.NewWith(vgimg.UseWH(vg.Length(g.Width), vg.Length(g.Height)), vgimg.UseDPI(pixelsOfInch), vgimg.UseBackgroundColor(color.White))
	all := area{draw.New(image), margin, margin, vg.Length(g.Width) - margin, vg.Length(g.Height) - margin}
	if g.Title != "" {
		title := style(15, ink, stdfont.WeightBold, 0, -1)
		all.text(title, all.left, all.top, fitted(title, g.Title, all.right-all.left))
		all.top -= 28
	}
	switch g.View {
	case "singleValue":
		g.numbers(all)
	case "bar":
		g.bars(all)
	default:
		g.series(all)
	}
	var out bytes.Buffer
	_, err := vgimg.PngCanvas{Canvas: image}.WriteTo(&out)
	return out.Bytes(), err
}

// fitted shortens a text to a width.
func fitted(s text.Style, said string, width vg.Length) string {
	if s.Width(said) <= width {
		return said
	}
	letters := []rune(said)
	for len(letters) > 1 && s.Width(string(letters)+"…") > width {
		letters = letters[:len(letters)-1]
	}
	return string(letters) + "…"
}

// numbers draws the latest value of each line.
func (g graph) numbers(all area) {
	if len(g.lines) == 0 {
		g.empty(all)
		return
	}
	width := (all.right - all.left) / vg.Length(len(g.lines))
	middle := (all.top + all.bottom) / 2
	size := min(44, (all.top-all.bottom)*0.45)
	for i, l := range g.lines {
		at := all.left + vg.Length(i)*width + width/2
		value, suffix := "–", ""
		if v := l.values.latest(); !math.IsNaN(v) {
			value, suffix = short(v), units[l.unit]
		}
		big := style(size, ink, stdfont.WeightBold, -0.5, 0)
		for big.Width(value+suffix) > width-24 && big.Font.Size > 12 {
			big.Font.Size--
		}
		all.text(big, at, middle-size*0.15, value+suffix)
		small := label(0, -1)
		said := fitted(small, l.label, width-24)
		left := at - (small.Width(said)+16)/2
		all.box(l.color, left, middle-size*0.15-22, left+10, middle-size*0.15-12)
		all.text(small, left+16, middle-size*0.15-10, said)
	}
}

// units are shown behind a number.
var units = map[string]string{"Percent": " %", "Seconds": " s", "Milliseconds": " ms", "Megabits/Second": " Mbit/s"}

// bars draws a bar for each line, with its latest value.
func (g graph) bars(all area) {
	if len(g.lines) == 0 {
		g.empty(all)
		return
	}
	names, most := vg.Length(0), 0.
	for _, l := range g.lines {
		names = max(names, label(0, 0).Width(l.label))
		if v := l.values.latest(); v > most {
			most = v
		}
	}
	names = min(names, (all.right-all.left)*0.4)
	left, right := all.left+names+10, all.right-60
	height := (all.top - all.bottom) / vg.Length(len(g.lines))
	for i, l := range g.lines {
		middle := all.top - (vg.Length(i)+0.5)*height
		name := label(-1, -0.5)
		all.text(name, left-8, middle, fitted(name, l.label, names))
		value := l.values.latest()
		if math.IsNaN(value) {
			value = 0
		}
		end := left
		if most > 0 {
			end += (right - left) * vg.Length(max(0, value)/most)
		}
		thick := min(height*0.35, 12)
		all.box(l.color, left, middle-thick, max(end, left+1), middle+thick)
		all.text(style(12, ink, stdfont.WeightNormal, 0, -0.5), end+8, middle, short(value)+units[l.unit])
	}
	all.stroke(axisInk, 1, nil, vg.Point{X: left, Y: all.bottom}, vg.Point{X: left, Y: all.top})
}

func (g graph) empty(all area) {
	const said = "No data available"
	x, y, half := (all.left+all.right)/2, (all.bottom+all.top)/2, label(0, 0).Width(said)/2+8
	all.box(color.White, x-half, y-10, x+half, y+10)
	all.text(label(-0.5, -0.5), x, y, said)
}

// series draws the lines over time.
func (g graph) series(all area) {
	all.bottom = g.legend(all)
	if unit := g.axisLabel(); unit != "" {
		all.text(style(11, pale, stdfont.WeightNormal, 0, -1), all.left, all.top, unit)
		all.top -= 20
	}
	low, high := g.extent()
	ticks, step := niceTicks(low, high)
	if g.YAxis.Left.Max == nil {
		high = ticks[len(ticks)-1]
	}
	if g.YAxis.Left.Min == nil {
		low = ticks[0]
	}
	width := vg.Length(0)
	for _, v := range ticks {
		width = max(width, label(0, 0).Width(tickText(v, step)))
	}
	inner := all
	inner.left += width + 8
	inner.bottom += 24
	inner.top -= 6
	if len(g.Annotations.Horizontal) > 0 {
		inner.top -= annotationHeight // the highest one's name
	}
	inner.right -= 6
	y := func(v float64) vg.Length {
		return inner.bottom + (inner.top-inner.bottom)*vg.Length((v-low)/(high-low))
	}
	for _, v := range ticks {
		if v < low-step/1e3 || v > high+step/1e3 {
			continue
		}
		inner.stroke(rule, 1, nil, vg.Point{X: inner.left, Y: y(v)}, vg.Point{X: inner.right, Y: y(v)})
		inner.text(label(-1, -0.5), inner.left-8, y(v), tickText(v, step))
	}
	g.times(inner)
	if g.Stacked {
		g.areas(inner, y)
	} else {
		g.paths(inner, y)
	}
	g.annotate(inner, y)
	if !g.any() {
		g.empty(inner)
	}
}

func (g graph) any() bool {
	for _, l := range g.lines {
		if !math.IsNaN(l.values.latest()) {
			return true
		}
	}
	return false
}

// axisLabel is the left axis' own, or else the unit that all lines share.
func (g graph) axisLabel() string {
	left := g.YAxis.Left
	if left.Label != "" || left.ShowUnits != nil && !*left.ShowUnits || len(g.lines) == 0 {
		return left.Label
	}
	for _, l := range g.lines {
		if l.unit != g.lines[0].unit {
			return "Various units"
		}
	}
	return g.lines[0].unit
}

// legend draws a square and a label for each line at the bottom, and returns the height
// above it.
func (g graph) legend(all area) vg.Length {
	if g.Legend.Position == "hidden" || len(g.lines) == 0 {
		return all.bottom
	}
	name := label(0, -0.5)
	type entry struct {
		at   vg.Length
		said string
		of   color.RGBA
	}
	rows := [][]entry{nil}
	x := all.left
	for _, l := range g.lines {
		said := fitted(name, l.label, all.right-all.left-18)
		width := 16 + name.Width(said) + 18
		if x+width-18 > all.right && len(rows[len(rows)-1]) > 0 {
			rows, x = append(rows, nil), all.left
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], entry{x, said, l.color})
		x += width
	}
	top := all.bottom + vg.Length(len(rows))*18
	for i, row := range rows {
		middle := top - vg.Length(i)*18 - 9
		for _, e := range row {
			all.box(e.of, e.at, middle-5, e.at+10, middle+5)
			all.text(name, e.at+16, middle, e.said)
		}
	}
	return top + 8
}

// extent returns the lowest and the highest value that the axis has to show.
func (g graph) extent() (low, high float64) {
	low, high = 0, math.Inf(-1)
	total := line{}
	for _, l := range g.lines {
		for i, v := range l.values {
			if math.IsNaN(v) {
				continue
			}
			for len(total) <= i {
				total = append(total, 0)
			}
			if g.Stacked {
				total[i] += v
				v = total[i]
			}
			low, high = min(low, v), max(high, v)
		}
	}
	for _, a := range g.Annotations.Horizontal {
		low, high = min(low, a.Value), max(high, a.Value)
	}
	if g.YAxis.Left.Min != nil {
		low = *g.YAxis.Left.Min
	}
	if g.YAxis.Left.Max != nil {
		high = *g.YAxis.Left.Max
	}
	if high <= low {
		high = low + 1
	}
	return low, high
}

// niceTicks returns about five round values that span a range.
func niceTicks(low, high float64) (ticks []float64, step float64) {
	rough := (high - low) / 4
	step = math.Pow(10, math.Floor(math.Log10(rough)))
	for _, factor := range []float64{1, 2, 2.5, 5, 10} {
		if step*factor >= rough {
			step *= factor
			break
		}
	}
	first := math.Floor(low/step + 1e-9)
	for i := first; ; i++ {
		ticks = append(ticks, i*step)
		if i*step >= high-step/1e6 {
			return ticks, step
		}
	}
}

func tickText(v, step float64) string {
	if math.Abs(v) < step/1e6 {
		return "0"
	}
	return short(v)
}

// short writes a number with three digits or so, and k, M or G.
func short(v float64) string {
	for _, s := range []struct {
		from   float64
		suffix string
	}{{1e9, "G"}, {1e6, "M"}, {1e4, "k"}} {
		if math.Abs(v) >= s.from {
			by := s.from
			if s.suffix == "k" {
				by = 1e3
			}
			return digits(v/by) + s.suffix
		}
	}
	return digits(v)
}

func digits(v float64) string {
	places := 2
	switch size := math.Abs(v); {
	case size >= 100:
		places = 0
	case size >= 10:
		places = 1
	case size < 0.1:
		places = 4
	}
	said := strconv.FormatFloat(v, 'f', places, 64)
	if strings.Contains(said, ".") {
		said = strings.TrimSuffix(strings.TrimRight(said, "0"), ".")
	}
	return said
}

// timeSteps are the distances of the time axis' labels, and their forms.
var timeSteps = []struct {
	step time.Duration
	form string
}{
	{time.Minute, "15:04"}, {2 * time.Minute, "15:04"}, {5 * time.Minute, "15:04"}, {10 * time.Minute, "15:04"}, {15 * time.Minute, "15:04"}, {30 * time.Minute, "15:04"},
	{time.Hour, "15:04"}, {2 * time.Hour, "15:04"}, {3 * time.Hour, "15:04"}, {6 * time.Hour, "15:04"}, {12 * time.Hour, "02 Jan 15:04"},
	{24 * time.Hour, "02 Jan"}, {2 * 24 * time.Hour, "02 Jan"}, {7 * 24 * time.Hour, "02 Jan"}, {30 * 24 * time.Hour, "02 Jan"},
}

func (g graph) length() time.Duration { return time.Duration(g.periods()) * g.step }

func (g graph) periods() int {
	if len(g.lines) == 0 {
		return 1
	}
	return len(g.lines[0].values)
}

// x returns the place of the beginning of a period.
func (g graph) x(in area, period float64) vg.Length {
	return in.left + (in.right-in.left)*vg.Length(period/math.Max(1, float64(g.periods())))
}

// times draws the time axis, in UTC.
func (g graph) times(in area) {
	in.stroke(axisInk, 1, nil, vg.Point{X: in.left, Y: in.bottom}, vg.Point{X: in.right, Y: in.bottom})
	scale := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if vg.Length(g.length()/s.step)*90 <= in.right-in.left {
			scale = s
			break
		}
	}
	for at := g.start.UTC().Truncate(scale.step); at.Sub(g.start) <= g.length(); at = at.Add(scale.step) {
		if at.Before(g.start) {
			continue
		}
		x := g.x(in, float64(at.Sub(g.start))/float64(g.step))
		in.stroke(axisInk, 1, nil, vg.Point{X: x, Y: in.bottom - 4}, vg.Point{X: x, Y: in.bottom})
		said, place := at.Format(scale.form), -0.5
		if half := label(0, 0).Width(said) / 2; x+half > in.right+6 {
			place = -1
		}
		in.text(label(place, -1), x, in.bottom-7, said)
	}
}

// paths draws lines. A missing period interrupts one; a value alone is a dot.
func (g graph) paths(in area, y func(float64) vg.Length) {
	for _, l := range g.lines {
		var path []vg.Point
		flush := func() {
			switch {
			case len(path) > 1:
				in.stroke(l.color, 2, nil, path...)
			case len(path) == 1:
				in.DrawGlyph(draw.GlyphStyle{Color: l.color, Radius: 3, Shape: draw.CircleGlyph{}}, path[0])
			}
			path = nil
		}
		for i, v := range l.values {
			if math.IsNaN(v) {
				flush()
				continue
			}
			path = append(path, vg.Point{X: g.x(in, float64(i)+0.5), Y: y(v)})
		}
		flush()
	}
}

// areas draws the lines upon one another. A missing value is 0.
func (g graph) areas(in area, y func(float64) vg.Length) {
	below := make(line, g.periods())
	for _, l := range g.lines {
		above := make(line, len(below))
		var outline, base []vg.Point
		for i := range below {
			above[i] = below[i]
			if v := l.values[i]; !math.IsNaN(v) {
				above[i] += v
			}
			for _, at := range []float64{0.02, 0.98} { // a step as wide as its period: values are often alone
				outline = append(outline, vg.Point{X: g.x(in, float64(i)+at), Y: y(above[i])})
				base = append(base, vg.Point{X: g.x(in, float64(i)+at), Y: y(below[i])})
			}
		}
		for i := len(base) - 1; i >= 0; i-- {
			outline = append(outline, base[i])
		}
		in.FillPolygon(l.color, outline)
		below = above
	}
}

// annotate draws a line across the graph for each annotation, with its name.
func (g graph) annotate(in area, y func(float64) vg.Length) {
	list := slices.SortedFunc(slices.Values(g.Annotations.Horizontal), func(a, b annotation) int { return cmp.Compare(b.Value, a.Value) })
	list = slices.DeleteFunc(list, func(a annotation) bool { return y(a.Value) < in.bottom || y(a.Value) > in.top+1 })
	var lines []vg.Length
	for _, a := range list {
		at := y(a.Value)
		in.stroke(a.ink(), 1.5, []vg.Length{6, 4}, vg.Point{X: in.left, Y: at}, vg.Point{X: in.right, Y: at})
		lines = append(lines, at)
	}
	for i, bottom := range nameBottoms(lines) {
		name := style(11, list[i].ink(), stdfont.WeightNormal, -1, 0)
		said := fmt.Sprintf("%s (%s)", list[i].Label, short(list[i].Value))
		in.box(veil, in.right-name.Width(said)-6, bottom, in.right, bottom+annotationHeight)
		in.text(name, in.right-2, bottom+3, said)
	}
}

func (a annotation) ink() color.Color {
	of, err := hex(a.Color)
	if err != nil {
		of, _ = hex(alarmed)
	}
	return of
}

// annotationHeight is that of an annotation's name.
const annotationHeight vg.Length = 14

// nameBottoms returns the places of the names of lines, which come from the top down: above
// the line, or below it if the name would cover the line or the name before.
func nameBottoms(lines []vg.Length) (bottoms []vg.Length) {
	free := vg.Length(math.Inf(1))
	for _, at := range lines {
		bottom := at + 2
		if bottom+annotationHeight > free {
			bottom = min(at-2, free) - annotationHeight
		}
		bottoms, free = append(bottoms, bottom), min(bottom, at)-1
	}
	return bottoms
}
