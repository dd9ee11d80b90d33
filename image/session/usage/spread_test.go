package usage

import (
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/intraverse/dcv-sessions/contract"
)

func TestAPercentileIsWithinOnePercentOfTheExactOne(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, value := range map[string]func() float64{
		"frames":   func() float64 { return round(60 - 30*random.Float64()) },
		"memory":   func() float64 { return round(4000 + 2000*random.ExpFloat64()) },
		"small":    func() float64 { return round(random.ExpFloat64()) },
		"constant": func() float64 { return 16 },
	} {
		var s spread
		var all []float64
		for range 20_000 {
			v := value()
			s.add(v)
			all = append(all, v)
		}
		slices.Sort(all)
		for _, share := range []float64{0.05, 0.5, 0.95, 1} {
			exact := all[int(share*float64(len(all)))-1]
			assert.InDelta(t, exact, s.quantile(share), exact/100+1e-9, "%s, %v", name, share)
		}
		if name == "constant" {
			assert.Equal(t, contract.Spread{Mean: 16, Median: 16, P5: 16, P95: 16, Max: 16}, s.described())
		}
	}
}

func TestASpreadOfFewValues(t *testing.T) {
	var s spread
	s.add(0)
	assert.Equal(t, contract.Spread{}, s.described())
	s.add(30)
	s.add(60)
	d := s.described()
	assert.Equal(t, 30.0, d.Mean)
	assert.InDelta(t, 30, d.Median, 0.3)
	assert.Zero(t, d.P5)
	assert.InDelta(t, 60, d.P95, 0.6)
	assert.Equal(t, 60.0, d.Max)
	s.add(1e15)
	assert.Equal(t, 1e15, s.described().Max, "beyond the last bucket, the maximum is exact still")
}

func TestTheSpreadsOfASessionTakeLittleMemory(t *testing.T) {
	fields := len(values(&contract.Usage{}))
	assert.Equal(t, 18, fields)
	assert.LessOrEqual(t, fields*int(unsafe.Sizeof(spread{})), 128<<10)
}
