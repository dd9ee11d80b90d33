package scaling

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/internal/chart"
)

// Measured is a real run of sessions in the sandbox. Times are in seconds.
type Measured struct {
	Day       string            `json:"day"`
	Cores     int               `json:"cores"`     // of the machine
	Places    int               `json:"places"`    // hosts at most, with a session each
	HostStart float64           `json:"hostStart"` // of the first host, which no session of the run used
	HostIdle  float64           `json:"hostIdle"`
	Starts    []float64         `json:"starts"` // of containers, measured one at a time before the run
	Sessions  []MeasuredSession `json:"sessions"`
}

// MeasuredSession is one of them, by DescribeJobs' times.
type MeasuredSession struct {
	At     float64 `json:"at"`     // createdAt, since the first one's
	Length float64 `json:"length"` // from startedAt to stoppedAt
	Wait   float64 `json:"wait"`   // from createdAt to startedAt
}

// ReadMeasured reads a real run.
func ReadMeasured(file string) (m Measured, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return m, err
	}
	return m, json.Unmarshal(text, &m)
}

// Waits returns the waits that were measured, and those of the simulation with the same
// arrivals, lengths and hosts, both sorted. The simulation doesn't know the waits: a
// session's start is one of those that were measured before.
func (m Measured) Waits() (real, simulated []float64, err error) {
	random := rand.New(rand.NewPCG(1, uint64(len(m.Sessions))))
	var sessions []Session
	for _, s := range m.Sessions {
		sessions = append(sessions, Session{At: seconds(s.At), Length: seconds(s.Length), Start: seconds(m.Starts[random.IntN(len(m.Starts))])})
		real = append(real, s.Wait)
	}
	run, err := Simulate(Setup{
		Type: "g4dn.xlarge", Need: capacity.Need{VCPUs: 3, MemoryMiB: 64, GPUs: 1}, MaxVCPUs: 4 * m.Places,
		HostStart: seconds(m.HostStart), HostIdle: seconds(m.HostIdle),
	}, sessions, 0)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range run.Waits {
		simulated = append(simulated, w.Total().Seconds())
	}
	slices.Sort(real)
	slices.Sort(simulated)
	return real, simulated, nil
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// Compare shows both side by side: a table, and an image.
func (m Measured) Compare() (side string, image chart.Chart, err error) {
	real, simulated, err := m.Waits()
	if err != nil {
		return "", image, err
	}
	rows := [][]string{{"wait", "real, s", "simulated, s", "difference, s"}}
	for _, row := range []struct {
		name string
		of   func([]float64) float64
	}{
		{"on average", mean},
		{"half of the sessions, at most", func(w []float64) float64 { return quantile(w, 0.50) }},
		{"95 of 100", func(w []float64) float64 { return quantile(w, 0.95) }},
		{"99 of 100", func(w []float64) float64 { return quantile(w, 0.99) }},
		{"the longest", func(w []float64) float64 { return quantile(w, 1) }},
	} {
		a, b := row.of(real), row.of(simulated)
		rows = append(rows, []string{row.name, fmt.Sprintf("%.2f", a), fmt.Sprintf("%.2f", b), fmt.Sprintf("%+.2f", b-a)})
	}
	title := fmt.Sprintf("%d sessions on %d hosts: real and simulated", len(m.Sessions), m.Places)
	return table(rows), distribution(title, []string{"real", "simulated"}, [][]float64{real, simulated}), nil
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// Compressed plans the sessions of a day that is as short as given, from its quietest time
// on; only the arrivals are nearer to each other.
func (l Load) Compressed(into time.Duration, seed uint64) []Session {
	var sessions []Session
	for _, s := range l.Days(1, seed) {
		if s.At >= warmUp {
			s.At = time.Duration(float64(s.At-warmUp) * float64(into) / float64(day))
			sessions = append(sessions, s)
		}
	}
	return sessions
}
