package sizing

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/contract"
)

// figures are those of each session, or of its GPU, with some sessions at once; -1: not
// measured.
type figures struct{ frames, cores, memory, gpu, buffer, encoder float64 }

// host is measured with 1, 2, … sessions at once, 20 times for each session.
func host(levels ...figures) []Measured {
	var list []Measured
	for i, f := range levels {
		value := func(v float64) *float64 {
			if v < 0 {
				return nil
			}
			return &v
		}
		m := Measured{Sessions: i + 1}
		for range 20 * (i + 1) {
			m.Usage = append(m.Usage, contract.Usage{
				FramesPerSecond: value(f.frames), CPUCores: value(f.cores), MemoryMiB: value(f.memory),
				GPUPercent: value(f.gpu), GPUMemoryMiB: value(f.buffer), EncoderPercent: value(f.encoder),
			})
		}
		list = append(list, m)
	}
	return list
}

// A light game, of which four share the L4 of a g6.2xlarge (8 vCPUs, 31,097 MiB for
// sessions, GPU of 22,888 MiB): a fifth has too few frames.
func light(change func(sessions int, f *figures)) []Measured {
	var levels []figures
	for n := 1; n <= 5; n++ {
		f := figures{frames: 60, cores: 1.2, memory: 4000, gpu: min(float64(20*n), 100), buffer: float64(3000 * n), encoder: float64(10 * n)}
		if n == 5 {
			f.frames = 24
		}
		if change != nil {
			change(n, &f)
		}
		levels = append(levels, f)
	}
	return host(levels...)
}

func TestKnownCasesHaveTheirKnownAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		on       string
		measured []Measured
		goal     Goal
		want     Recommendation // Thin apart
		thin     []string
	}{
		"frames limit a light game": {"g6.2xlarge", light(nil), Goal{Frames: 30, Types: []string{"g6.2xlarge"}},
			Recommendation{"g6.2xlarge", 4, 4, 2, 7774, LimitFrames, 1.0, 0.2444, nil}, nil},
		"the same, but a fourth session overloads the encoder": {"g6.2xlarge", light(func(n int, f *figures) { f.encoder = float64(24 * n) }), Goal{Frames: 30, Types: []string{"g6.2xlarge"}},
			Recommendation{"g6.2xlarge", 3, 3, 2, 10365, LimitEncoder, 0.2, 0.325867, nil}, nil},
		"the same, but the frame buffer has room for three": {"g6.2xlarge", light(func(n int, f *figures) { f.buffer = float64(6000 * n) }), Goal{Frames: 30, Types: []string{"g6.2xlarge"}},
			Recommendation{"g6.2xlarge", 3, 3, 2, 10365, LimitGPUMemory, 0.126180, 0.325867, nil}, nil},
		"the same, but the frame buffer has room for one": {"g6.2xlarge", light(func(n int, f *figures) { f.buffer = float64(12000 * n) }), Goal{Frames: 30, Types: []string{"g6.2xlarge"}},
			Recommendation{"g6.2xlarge", 1, 1, 8, 31097, LimitGPUMemory, 0.417453, 0.9776, nil}, nil},
		"a smaller host is cheaper if cores and memory allow it": {"g6.2xlarge", light(func(_ int, f *figures) { f.cores, f.memory = 0.7, 3000 }), Goal{Frames: 30},
			Recommendation{"g6.xlarge", 4, 4, 1, 3883, LimitFrames, 1.0, 0.2012, nil}, nil},
		"cores limit": {"g6.xlarge", host(figures{60, 1.5, 4000, 30, 3000, 10}, figures{45, 1.5, 4000, 60, 6000, 20}, figures{30, 1.4, 4000, 90, 9000, 30}), Goal{Frames: 30, Types: []string{"g6.xlarge"}},
			Recommendation{"g6.xlarge", 2, 2, 2, 7766, contract.LimitVCPUs, 0.117647, 0.4024, nil}, nil},
		"memory limits": {"g6.2xlarge", host(figures{60, 1, 12000, 30, 3000, 10}, figures{60, 1, 12000, 60, 6000, 20}, figures{60, 1, 12000, 90, 9000, 30}), Goal{Frames: 30, Types: []string{"g6.2xlarge"}},
			Recommendation{"g6.2xlarge", 2, 2, 4, 15548, contract.LimitMemory, 0.092, 0.4888, nil}, nil},
		"a heavy game has the GPU alone, on the cheapest host that has its memory": {"g5.2xlarge", host(figures{40, 2.5, 11000, 95, 9000, 15}, figures{19, 2.4, 11000, 100, 18000, 20}), Goal{Frames: 30},
			Recommendation{"g5.xlarge", 1, 1, 4, 15532, LimitFrames, 1.0 / 3, 1.006, nil}, nil},
		"a host with several GPUs": {"g4dn.12xlarge", []Measured{
			{4, host(figures{60, 3, 9000, 50, 5000, 20})[0].Usage, ""}, {8, host(figures{45, 3, 9000, 90, 10000, 40})[0].Usage, ""}, {12, host(figures{25, 3, 9000, 100, 14000, 60})[0].Usage, ""},
		}, Goal{Frames: 30, Types: []string{"g4dn.12xlarge"}},
			Recommendation{"g4dn.12xlarge", 8, 2, 6, 23343, LimitFrames, 0.5, 0.489, nil},
			[]string{"4 sessions at once: 20 measurements; needed: 80", "8 sessions at once: 20 measurements; needed: 160", "12 sessions at once: 20 measurements; needed: 240"}},
		"own prices": {"g6.2xlarge", light(nil), Goal{Frames: 30, Types: []string{"g6.2xlarge", "g6.4xlarge"}, Prices: map[string]float64{"g6.4xlarge": 0.4}},
			Recommendation{"g6.4xlarge", 4, 4, 4, 15556, LimitFrames, 1.0, 0.1, nil}, nil},
		"the goal decides": {"g6.2xlarge", light(func(n int, f *figures) { f.frames = 130 - 25*float64(n) }), Goal{Frames: 60, Types: []string{"g6.2xlarge"}},
			Recommendation{"g6.2xlarge", 2, 2, 4, 15548, LimitFrames, 80.0/60 - 1, 0.4888, nil}, nil},
		"never more than were measured": {"g6.2xlarge", light(nil)[:2], Goal{Frames: 30, Types: []string{"g6.2xlarge"}},
			Recommendation{"g6.2xlarge", 2, 2, 4, 15548, LimitGPU, 0.6, 0.4888, nil},
			[]string{"more than 2 sessions at once were not measured: it may be possible to have more"}},
		"without a GPU, as in the sandbox": {"g5.xlarge", host(figures{50, 0.9, 1500, -1, -1, -1}, figures{31, 0.9, 1500, -1, -1, -1}), Goal{Frames: 30, Types: []string{"g5.xlarge"}},
			Recommendation{"g5.xlarge", 2, 2, 2, 7766, contract.LimitVCPUs, 0.470588, 0.503, nil},
			[]string{"GPU: not measured", "GPU memory: not measured", "encoder: not measured", "more than 2 sessions at once were not measured: it may be possible to have more"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Recommend(c.on, c.measured, c.goal)
			require.NoError(t, err)
			assert.ElementsMatch(t, c.thin, got.Thin)
			got.Thin = nil
			assert.InDelta(t, c.want.Margin, got.Margin, 1e-3)
			assert.InDelta(t, c.want.USDPerSessionHour, got.USDPerSessionHour, 1e-6)
			got.Margin, got.USDPerSessionHour = c.want.Margin, c.want.USDPerSessionHour
			assert.Equal(t, c.want, got)
		})
	}
}

func TestWhatCannotBeRecommendedSaysWhy(t *testing.T) {
	for want, c := range map[string]struct {
		on       string
		measured []Measured
		goal     Goal
	}{
		"m5.large is not in the table":                                     {"m5.large", light(nil), Goal{}},
		"nothing was measured":                                             {"g6.xlarge", nil, Goal{}},
		"not even 1 session reached the goal: the limit is frames":         {"g6.2xlarge", light(nil), Goal{Frames: 90}},
		"not even 1 session reached the goal: the limit is encoder":        {"g6.xlarge", host(figures{60, 1, 1000, 50, 1000, 99}), Goal{Frames: 30}},
		"a session needs 2 vCPUs and 4706 MiB, and fits none of the types": {"g6.2xlarge", light(nil), Goal{Frames: 30, Types: []string{"g5.xlarge"}}},
	} {
		_, err := Recommend(c.on, c.measured, c.goal)
		assert.ErrorContains(t, err, want)
	}
}

// The stack's own capacity computes as many sessions for the recommended settings.
func TestAsManySessionsFitTheHostAsAreRecommended(t *testing.T) {
	for n := 1; n <= 4; n++ {
		r, err := Recommend("g6.2xlarge", light(nil)[:n], Goal{Frames: 30})
		require.NoError(t, err)
		assert.Equal(t, r.SessionsPerHost, sessionsOf(r), "%+v", r)
	}
}

func sessionsOf(r Recommendation) int {
	return capacity.InstanceTypes[r.InstanceType].Sessions(capacity.Need{VCPUs: r.VCPUs, MemoryMiB: r.MemoryMiB})
}

// broken is the light game on a host on which one of three sessions ends.
func broken(because string) []Measured {
	measured := light(nil)[:3]
	measured[2].Usage, measured[2].Broke = nil, because
	return measured
}

func TestASessionThatEndsIsTheLimit(t *testing.T) {
	goal := Goal{Frames: 30, Types: []string{"g6.2xlarge"}}
	r, err := Recommend("g6.2xlarge", broken(contract.LimitMemory), goal)
	require.NoError(t, err)
	assert.Equal(t, 2, r.SessionsPerHost)
	assert.Equal(t, contract.LimitMemory, r.Limit)
	assert.Empty(t, r.Thin)

	r, err = Recommend("g6.2xlarge", broken(LimitFaults), goal)
	require.NoError(t, err)
	assert.Equal(t, 2, r.SessionsPerHost)
	assert.Equal(t, LimitGPU, r.Limit, "the resource of which most is used")
	assert.Equal(t, []string{"of 3 sessions at once one ended, and not for want of a resource"}, r.Thin)

	_, err = Recommend("g6.2xlarge", broken(contract.LimitMemory)[2:], goal)
	assert.ErrorContains(t, err, "not even 3 sessions reached the goal: the limit is memory")
}

func TestAJudgementHasTheFiguresAndTheLimit(t *testing.T) {
	r, err := Judge("g6.2xlarge", light(nil)[4], Goal{Frames: 30})
	require.NoError(t, err)
	assert.Equal(t, LimitFrames, r.Limit)
	assert.InDelta(t, 24, *r.FramesP5, 0)
	assert.InDelta(t, 1.2, *r.CoresP95, 0)
	assert.InDelta(t, 4000, *r.MemoryPeakMiB, 0)
	assert.InDelta(t, 15000, *r.GPUMemoryPeakMiB, 0)
	assert.Nil(t, r.RoundTripMedian, "not measured")
	assert.InDelta(t, 5*1.2/(0.85*8), r.Used[contract.LimitVCPUs], 1e-9)

	_, err = Judge("m5.large", light(nil)[0], Goal{})
	assert.ErrorContains(t, err, "m5.large is not in the table")
}
