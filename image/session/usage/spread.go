package usage

import (
	"math"

	"github.com/intraverse/dcv-sessions/contract"
)

// spread describes any number of values in bounded memory: by a histogram with buckets of
// which each is spreadRatio times as wide as the one before. So a percentile is at most
// 1 % away from a value that was added; mean, minimum and maximum are exact.
type spread struct {
	counts [spreadBuckets]uint32
	count  int
	sum    float64
	min    float64
	max    float64
}

const (
	spreadRatio = 1.02
	spreadLeast = 0.00005 // a smaller value counts as 0: round leaves none but that
	// spreadBuckets reach to 0.00005*1.02^1650, which is above 5,000,000,000.
	spreadBuckets = 1650
)

// add adds a value, which is at least 0.
func (s *spread) add(v float64) {
	if s.count == 0 {
		s.min = v
	}
	s.counts[bucketOf(v)]++
	s.count++
	s.sum += v
	s.min, s.max = min(s.min, v), max(s.max, v)
}

// bucketOf returns 0 for 0, and the last bucket for all that is above the others.
func bucketOf(v float64) int {
	if v < spreadLeast {
		return 0
	}
	return min(1+int(math.Log(v/spreadLeast)/math.Log(spreadRatio)), spreadBuckets-1)
}

// middleOf returns the value for all of a bucket.
func middleOf(bucket int) float64 {
	if bucket == 0 {
		return 0
	}
	return spreadLeast * math.Pow(spreadRatio, float64(bucket)-0.5)
}

// quantile returns the least value that a share of the values does not exceed.
func (s *spread) quantile(share float64) float64 {
	rank := int(math.Ceil(share * float64(s.count)))
	seen := 0
	for bucket, count := range s.counts {
		if seen += int(count); seen >= rank && seen > 0 {
			return max(s.min, min(middleOf(bucket), s.max))
		}
	}
	return s.max
}

// described returns the spread for an event.
func (s *spread) described() contract.Spread {
	return contract.Spread{
		Mean: round(s.sum / float64(s.count)), Median: round(s.quantile(0.5)),
		P5: round(s.quantile(0.05)), P95: round(s.quantile(0.95)), Max: round(s.max),
	}
}
