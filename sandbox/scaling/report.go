package scaling

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/internal/chart"
)

// Report has the results of the study: tables for docs/scaling.md, by the name of their
// place, and images by their file.
type Report struct {
	Tables map[string]string
	Images map[string][]byte
}

// held are the vCPUs that the comparison holds ready, by sessions a day.
var held = []struct {
	sessions int
	vcpus    []int
}{{10, []int{0, 4, 8}}, {100, []int{0, 8, 16, 32}}, {1_000, []int{0, 64, 128, 256}}}

// dayOf is the load of the drawn day, and heldCost that of the drawn costs.
const (
	dayOf    = 1_000
	heldCost = 100
)

// Report runs the study and compares the simulation with a real run; it writes a line for
// each simulation.
func (s Study) Report(measured Measured, progress io.Writer) (*Report, error) {
	r := &Report{map[string]string{}, map[string][]byte{}}
	var runs []Summary
	for _, sessions := range Sizes {
		began := time.Now()
		run, summary, err := s.Run(sessions)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(progress, "%9s sessions a day: half wait %s, 95 of 100 at most %s; %s hosts at most (simulated in %.1f s)\n",
			number(float64(sessions)), short(summary.Total.P50), short(summary.Total.P95), number(summary.Peaks.Hosts), time.Since(began).Seconds())
		runs = append(runs, summary)
		if sessions == dayOf {
			hosts, playing, waiting := run.Levels(summary.Days)
			if err := r.draw("scaling-day.png", theDay(sessions, hosts, playing, waiting)); err != nil {
				return nil, err
			}
		}
	}
	r.Tables["loads"], r.Tables["quotas"], r.Tables["peaks"] = Loads(runs), QuotaTable(runs), PeakTable(runs)
	if err := r.draw("scaling-waits.png", waits(runs)); err != nil {
		return nil, err
	}
	if err := s.held(r); err != nil {
		return nil, err
	}
	r.Tables["assumptions"] = s.Assumptions()
	side, image, err := measured.Compare()
	if err != nil {
		return nil, err
	}
	r.Tables["measured"] = side
	return r, r.draw("scaling-measured.png", image)
}

func (r *Report) draw(file string, c chart.Chart) (err error) {
	r.Images[file], err = chart.PNG(c)
	return err
}

// held compares numbers of vCPUs that are held ready.
func (s Study) held(r *Report) error {
	rows := [][]string{{"sessions a day", "compute.minVcpus", "half wait", "95 of 100", "99 of 100", "at once on a warm host", "hosts, $ a day", "$ an hour played"}}
	var names []string
	var costOf []Level
	for _, load := range held {
		for _, vcpus := range load.vcpus {
			run, summary, err := s.Run(load.sessions, func(setup *Setup) { setup.MinVCPUs = vcpus })
			if err != nil {
				return err
			}
			rows = append(rows, append([]string{number(float64(load.sessions)), fmt.Sprint(vcpus)}, append(summary.waitCells(), fmt.Sprintf("%.0f %%", 100*summary.WarmShare),
				number(summary.USD), fmt.Sprintf("%.2f", summary.USDPerHour()))...))
			if load.sessions == heldCost {
				hosts, _, _ := run.Levels(summary.Days)
				names, costOf = append(names, fmt.Sprintf("compute.minVcpus %d", vcpus)), append(costOf, run.Cost(hosts))
			}
		}
	}
	r.Tables["held"] = table(rows)
	return r.draw("scaling-cost.png", costs(heldCost, names, costOf))
}

func (s Summary) waitCells() []string {
	return []string{short(s.Total.P50), short(s.Total.P95), short(s.Total.P99)}
}

// Loads is the table of waits, hosts and costs by sessions a day.
func Loads(runs []Summary) string {
	rows := [][]string{{"sessions a day", "half wait", "95 of 100", "99 of 100", "for a host: 95 of 100", "hosts at most", "vCPUs at most", "hosts, $ a day", "$ an hour played"}}
	for _, s := range runs {
		rows = append(rows, append(append([]string{number(float64(s.Sessions))}, s.waitCells()...), short(s.Queue.P95),
			number(s.Peaks.Hosts), number(s.Peaks.VCPUs), number(s.USD), fmt.Sprintf("%.2f", s.USDPerHour())))
	}
	return table(rows)
}

// PeakTable is the table of the busiest moments by sessions a day.
func PeakTable(runs []Summary) string {
	rows := [][]string{{"sessions a day", "play at once", "wait at once", "submitted a second", "ready a second", "host starts in ten minutes"}}
	for _, s := range runs {
		p := s.Peaks
		rows = append(rows, []string{number(float64(s.Sessions)), number(p.Sessions), number(p.Waiting), number(p.Submits), number(p.Readies), number(p.HostStarts)})
	}
	return table(rows)
}

// QuotaTable is the table of quotas in the order in which a growing load reaches them.
func QuotaTable(runs []Summary) string {
	quotas := slices.Clone(Quotas)
	slices.SortStableFunc(quotas, func(a, b Quota) int {
		if ra, rb := a.Reached(runs), b.Reached(runs); ra < rb {
			return -1
		} else if ra > rb {
			return 1
		}
		return 0
	})
	rows := [][]string{{"reached at about, sessions a day", "quota", "default", "beyond it", "source"}}
	for _, q := range quotas {
		limit := number(q.Limit) + " " + q.Unit
		if q.Fixed {
			limit += ", fixed"
		}
		rows = append(rows, []string{rounded(q.Reached(runs)), q.Service + ": " + q.Name, limit, q.Beyond, "[" + q.Source + "](" + q.URL + ")"})
	}
	return table(rows)
}

// Assumptions is the table of the study's assumptions.
func (s Study) Assumptions() string {
	spread := func(d Spread) string {
		return fmt.Sprintf("%s on average, log-normal, coefficient of variation %g", short(d.Mean), d.Variation)
	}
	return table([][]string{
		{"of", "assumed"},
		{"hosts", fmt.Sprintf("%s at $%g an hour, one session each: %d vCPUs, %s MiB, %d GPU", s.Setup.Type, s.Setup.HourlyUSD, s.Setup.Need.VCPUs, number(float64(s.Setup.Need.MemoryMiB)), s.Setup.Need.GPUs)},
		{"a host's start", short(s.Setup.HostStart) + " from AWS Batch's decision until it takes sessions"},
		{"a host's end", short(s.Setup.HostIdle) + " after its last session"},
		{"the image on a new host", spread(s.Load.Pull)},
		{"a session's start", spread(s.Load.Start)},
		{"a session's length", spread(s.Load.Length)},
		{"arrivals", fmt.Sprintf("independent of each other, by the curve of one time zone: %.1f times the average at 21:00, %.1f times at 05:00", Evening.relative(21), Evening.relative(5))},
	})
}

// relative returns the curve's value at an hour by its average.
func (c Curve) relative(hour int) float64 {
	sum := 0.0
	for _, v := range c {
		sum += v
	}
	return c[hour] * 24 / sum
}

// table writes rows, the first of which is the head, as Markdown.
func table(rows [][]string) string {
	var text strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&text, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			text.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return text.String()
}

// short writes a duration as people say it: 8.2 s, 45 s, 7 min 10 s.
func short(d time.Duration) string {
	switch seconds := d.Seconds(); {
	case seconds < 10:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 60:
		return fmt.Sprintf("%.0f s", seconds)
	default:
		d = d.Round(time.Second)
		if d%time.Minute == 0 {
			return fmt.Sprintf("%d min", int(d.Minutes()))
		}
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
}

// rounded writes a number with two digits that count.
func rounded(v float64) string {
	if v < 10 {
		return number(v)
	}
	scale := 1.0
	for v/scale >= 100 {
		scale *= 10
	}
	return number(float64(int(v/scale+0.5)) * scale)
}

// Insert puts the tables into a page, each between its marks:
//
//	<!-- scaling: NAME -->
//	<!-- end -->
//
// A table without a place is an error, and so is a place without a table.
func (r *Report) Insert(page string) (string, error) {
	var out strings.Builder
	used := map[string]bool{}
	for rest := page; ; {
		before, after, found := strings.Cut(rest, "<!-- scaling: ")
		out.WriteString(before)
		if !found {
			break
		}
		name, after, closed := strings.Cut(after, " -->")
		_, after, ended := strings.Cut(after, "<!-- end -->")
		text, known := r.Tables[name]
		if !closed || !ended || !known {
			return "", fmt.Errorf("the page has a place for %q, which is no table or has no end", name)
		}
		used[name] = true
		fmt.Fprintf(&out, "<!-- scaling: %s -->\n%s<!-- end -->", name, text)
		rest = after
	}
	for name := range r.Tables {
		if !used[name] {
			return "", fmt.Errorf("the page has no place for the table %s", name)
		}
	}
	return out.String(), nil
}
