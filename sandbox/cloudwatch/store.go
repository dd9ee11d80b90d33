package cloudwatch

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Dimension is a dimension of a metric, as in the API.
type Dimension struct{ Name, Value string }

// Metric names a metric, as in the API.
type Metric struct {
	Namespace  string
	MetricName string
	Dimensions []Dimension
}

// MetricStat is a statistic of a metric, as in the API.
type MetricStat struct {
	Metric Metric
	Period int // seconds
	Stat   string
	Unit   string
}

// key is the same for a metric whatever the order of its dimensions.
func (m Metric) key() string {
	sorted := slices.SortedFunc(slices.Values(m.Dimensions), func(a, b Dimension) int { return cmp.Compare(a.Name, b.Name) })
	return fmt.Sprintf("%q %q %q", m.Namespace, m.MetricName, sorted)
}

// Sample is a value of a metric, or several as one.
type Sample struct {
	At                   time.Time
	Unit                 string
	Count, Sum, Min, Max float64
}

// Single returns the sample of one value.
func Single(at time.Time, unit string, value float64) Sample {
	return Sample{at, unit, 1, value, value, value}
}

// store has the samples of all metrics. moto keeps samples too, but of its answers the
// percentiles are empty, the namespace of metrics with dimensions is ignored, and so is
// most of metric math.
type store struct {
	mu      sync.Mutex
	samples map[string][]Sample // by the metric's key, in the order of time
}

func (s *store) put(m Metric, samples ...Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.samples[m.key()]
	for _, sample := range samples {
		after, _ := slices.BinarySearchFunc(all, sample.At, func(have Sample, at time.Time) int {
			if have.At.After(at) {
				return 1
			}
			return -1
		})
		all = slices.Insert(all, after, sample)
	}
	s.samples[m.key()] = all
}

// between returns a metric's samples from a time and before another.
func (s *store) between(m Metric, unit string, from, to time.Time) []Sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.samples[m.key()]
	at := func(t time.Time) int {
		i, _ := slices.BinarySearchFunc(all, t, func(have Sample, at time.Time) int {
			if have.At.Before(at) {
				return -1
			}
			return 1
		})
		return i
	}
	found := slices.Clone(all[at(from):max(at(from), at(to))])
	if unit != "" {
		found = slices.DeleteFunc(found, func(s Sample) bool { return cmp.Or(s.Unit, "None") != unit })
	}
	return found
}

// values returns a statistic of a number of periods one after the other; NaN for a
// period without samples.
func (s *store) values(m MetricStat, from time.Time, period time.Duration, count int) []float64 {
	samples := s.between(m.Metric, m.Unit, from, from.Add(time.Duration(count)*period))
	values := make([]float64, count)
	for i := range values {
		to := from.Add(time.Duration(i+1) * period)
		n := 0
		for n < len(samples) && samples[n].At.Before(to) {
			n++
		}
		values[i] = statistic(m.Stat, samples[:n])
		samples = samples[n:]
	}
	return values
}

var percentile = regexp.MustCompile(`^p(100|\d{1,2}(\.\d+)?)$`)

var statistics = []string{"SampleCount", "Average", "Sum", "Minimum", "Maximum"}

// knownStatistic reports whether the sandbox computes a statistic.
func knownStatistic(name string) bool {
	return slices.Contains(statistics, name) || percentile.MatchString(name)
}

// statistic computes one over samples; NaN without samples.
func statistic(name string, samples []Sample) float64 {
	if len(samples) == 0 {
		return math.NaN()
	}
	var count, sum float64
	least, most := math.Inf(1), math.Inf(-1)
	for _, s := range samples {
		count, sum = count+s.Count, sum+s.Sum
		least, most = min(least, s.Min), max(most, s.Max)
	}
	switch name {
	case "SampleCount":
		return count
	case "Average":
		return sum / count
	case "Sum":
		return sum
	case "Minimum":
		return least
	case "Maximum":
		return most
	}
	percent, err := strconv.ParseFloat(strings.TrimPrefix(name, "p"), 64)
	if err != nil { // knownStatistic has refused it
		return math.NaN()
	}
	var values []float64
	for _, s := range samples {
		for range int(s.Count) {
			values = append(values, s.Sum/s.Count)
		}
	}
	return quantile(values, percent/100)
}

// quantile interpolates between the two nearest values. AWS does not say how it does.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	at := q * float64(len(values)-1)
	low := int(at)
	if low == len(values)-1 {
		return values[low]
	}
	return values[low] + (at-float64(low))*(values[low+1]-values[low])
}
