package dcv

import "fmt"

// mode is a screen mode, as a Modeline of xorg.conf tells it.
type mode struct {
	clock                              int // kHz
	rate                               int // frames a second, as asked for
	width, syncStart, syncEnd, total   int // of a line, pixels
	height, vsyncStart, vsyncEnd, rows int // of a frame, lines
}

// most is the pixel clock, in kHz, that every head of every card takes: some are
// single-link TMDS, even where no monitor is connected.
const most = 165_000

// reduced is the mode with reduced blanking for a size, at 60 frames a second or
// the next lower number whose pixel clock fits.
func reduced(width, height int) mode {
	m := cvt(width, height, 60)
	for rate := 59; m.clock > most && rate > 0; rate-- {
		m = cvt(width, height, rate)
	}
	return m
}

// cvt computes what `cvt -r` prints: VESA's Coordinated Video Timings 1.1 with
// reduced blanking. The width is rounded down to a multiple of 8.
func cvt(width, height, rate int) mode {
	const (
		blank       = 160   // pixels of a line that are not shown
		sync        = 32    // of these, the horizontal sync
		frontPorch  = 3     // lines before the vertical sync
		backPorch   = 6     // lines after it, at least
		minVBlank   = 460.0 // microseconds without a picture, at least
		granularity = 8     // pixels
		step        = 250   // kHz
	)
	m := mode{rate: rate, width: width - width%granularity, height: height}
	vsync := verticalSync(width, height)
	period := (1e6/float64(rate) - minVBlank) / float64(height) // of a line, microseconds
	m.rows = height + max(int(minVBlank/period)+1, frontPorch+vsync+backPorch)
	m.vsyncStart = height + frontPorch
	m.vsyncEnd = m.vsyncStart + vsync
	m.total = m.width + blank
	m.syncEnd = m.width + blank/2
	m.syncStart = m.syncEnd - sync
	m.clock = m.total * m.rows * rate / 1000
	m.clock -= m.clock % step
	return m
}

// verticalSync is the length of the vertical sync in lines: CVT tells a monitor
// the aspect ratio by it.
func verticalSync(width, height int) int {
	for _, ratio := range []struct{ w, h, lines int }{{4, 3, 4}, {16, 9, 5}, {16, 10, 6}, {5, 4, 7}, {15, 9, 7}} {
		if width*ratio.h == height*ratio.w {
			return ratio.lines
		}
	}
	return 10
}

// name is the mode's, "1920x1080R".
func (m mode) name() string { return fmt.Sprintf("%dx%dR", m.width, m.height) }

// line is the Modeline's value.
func (m mode) line() string {
	return fmt.Sprintf("%q %.2f %d %d %d %d %d %d %d %d +hsync -vsync", m.name(), float64(m.clock)/1000,
		m.width, m.syncStart, m.syncEnd, m.total, m.height, m.vsyncStart, m.vsyncEnd, m.rows)
}
