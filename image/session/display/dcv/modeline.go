package dcv

import "fmt"

// screenMode has the values of a Modeline of xorg.conf.
type screenMode struct {
	clock                              int // kHz
	rate                               int // frames per second
	width, syncStart, syncEnd, total   int // of a line, pixels
	height, vsyncStart, vsyncEnd, rows int // of a frame, lines
}

// maxPixelClock is the pixel clock, in kHz, that every head of every card supports: some
// are single-link TMDS, even without a monitor.
const maxPixelClock = 165_000

// reducedMode returns the mode with reduced blanking for a size, at the highest rate up
// to 60 frames per second within maxPixelClock.
func reducedMode(width, height int) screenMode {
	m := cvtMode(width, height, 60)
	for rate := 59; m.clock > maxPixelClock && rate > 0; rate-- {
		m = cvtMode(width, height, rate)
	}
	return m
}

// cvtMode returns the mode that `cvt -r` prints: VESA's Coordinated Video Timings 1.1
// with reduced blanking. The width is rounded down to a multiple of 8.
func cvtMode(width, height, rate int) screenMode {
	const (
		blank       = 160   // pixels of a line, not shown
		sync        = 32    // of these, the horizontal sync
		frontPorch  = 3     // lines before the vertical sync
		backPorch   = 6     // lines after it, at least
		minVBlank   = 460.0 // at least, microseconds per frame
		granularity = 8     // pixels
		step        = 250   // kHz
	)
	m := screenMode{rate: rate, width: width - width%granularity, height: height}
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

// verticalSync returns the length of the vertical sync in lines, by which CVT encodes the
// aspect ratio.
func verticalSync(width, height int) int {
	for _, ratio := range []struct{ w, h, lines int }{{4, 3, 4}, {16, 9, 5}, {16, 10, 6}, {5, 4, 7}, {15, 9, 7}} {
		if width*ratio.h == height*ratio.w {
			return ratio.lines
		}
	}
	return 10
}

// name returns the mode's name, "1920x1080R".
func (m screenMode) name() string { return fmt.Sprintf("%dx%dR", m.width, m.height) }

// line returns the value of the Modeline.
func (m screenMode) line() string {
	return fmt.Sprintf("%q %.2f %d %d %d %d %d %d %d %d +hsync -vsync", m.name(), float64(m.clock)/1000,
		m.width, m.syncStart, m.syncEnd, m.total, m.height, m.vsyncStart, m.vsyncEnd, m.rows)
}
