package observability_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/internal/dashboard"
)

// light is a colour in linear RGB (IEC 61966-2-1).
type light [3]float64

func lightOf(t *testing.T, colour string) (c light) {
	t.Helper()
	var parts [3]uint8
	_, err := fmt.Sscanf(colour, "#%02x%02x%02x", &parts[0], &parts[1], &parts[2])
	require.NoError(t, err, colour)
	for i, part := range parts {
		if v := float64(part) / 255; v <= 0.04045 {
			c[i] = v / 12.92
		} else {
			c[i] = math.Pow((v+0.055)/1.055, 2.4)
		}
	}
	return c
}

// luminance is WCAG 2's relative luminance.
func (c light) luminance() float64 { return 0.2126*c[0] + 0.7152*c[1] + 0.0722*c[2] }

// seen is a colour as a reader sees it.
func (c light) seen(by [3]light) (seen light) {
	for i, row := range by {
		seen[i] = row[0]*c[0] + row[1]*c[1] + row[2]*c[2]
	}
	return seen
}

// lab is the colour in CIELAB (D65), in which distances are as far as they look.
func (c light) lab() [3]float64 {
	f := func(v float64) float64 {
		if v = max(v, 0); v > 0.008856 {
			return math.Cbrt(v)
		}
		return 7.787*v + 16./116
	}
	x := f((0.4124*c[0] + 0.3576*c[1] + 0.1805*c[2]) / 0.9505)
	y := f(c.luminance())
	z := f((0.0193*c[0] + 0.1192*c[1] + 0.9505*c[2]) / 1.089)
	return [3]float64{116*y - 16, 500 * (x - y), 200 * (y - z)}
}

// readers are the kinds of colour vision: the usual one, and the three in which one kind of
// cone is missing (Machado, Oliveira, Fernandes: "A Physiologically-based Model for
// Simulation of Color Vision Deficiency", 2009).
var readers = map[string][3]light{
	"usual":        {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

// A difference of 10 is seen at a glance. The contrast is that of WCAG 2.2, criterion
// 1.4.11, "Non-text contrast".
func TestTheColoursOfAGraphDifferForEveryReader(t *testing.T) {
	_, body := boardOf(t, dashboardArgs())
	for _, w := range body.Widgets {
		if w.Type != dashboard.TypeMetric {
			continue
		}
		var graph struct {
			Title   string
			Metrics [][]any
		}
		require.NoError(t, json.Unmarshal(w.Properties, &graph))
		colours := map[string]bool{}
		for _, m := range graph.Metrics {
			options := m[len(m)-1].(map[string]any)
			if options["visible"] == false {
				continue
			}
			colour, _ := options["color"].(string)
			colours[colour] = true
			bright := lightOf(t, colour).luminance()
			assert.GreaterOrEqual(t, 1.05/(bright+0.05), 3., "%s: %s on white", graph.Title, colour)
			assert.GreaterOrEqual(t, (bright+0.05)/0.05, 3., "%s: %s on black", graph.Title, colour)
		}
		for one := range colours {
			for other := range colours {
				if one >= other {
					continue
				}
				for kind, eyes := range readers {
					a, b := lightOf(t, one).seen(eyes).lab(), lightOf(t, other).seen(eyes).lab()
					assert.Greater(t, math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2]), 20., "%s: %s and %s, %s", graph.Title, one, other, kind)
				}
			}
		}
	}
}
