package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/components/compute/sizing"
	"github.com/intraverse/dcv-sessions/internal/chart"
)

// write writes the report to a folder: as JSON, as Markdown and as a plot. It prints the
// report, and the folder.
func (r Report) write(folder string, out io.Writer) error {
	text, err := r.json()
	if err != nil {
		return err
	}
	picture, err := chart.PNG(r.charts()...)
	if err != nil {
		return err
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, content := range map[string][]byte{"sizing.json": text, "sizing.md": []byte(r.markdown()), "sizing.png": picture} {
		err = errors.Join(err, os.WriteFile(filepath.Join(folder, name), content, 0o644))
	}
	fmt.Fprintf(out, "%s\n%s\n", r.text(), folder)
	return err
}

func (r Report) json() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(r)
	return out.Bytes(), err
}

// text returns the report for a terminal.
func (r Report) text() string {
	var out strings.Builder
	table := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for i, row := range r.table() {
		line := strings.Join(row, "\t")
		if i == 0 {
			line = strings.ToUpper(line)
		}
		fmt.Fprintln(table, line)
	}
	_ = table.Flush() // a Builder takes everything
	return out.String() + "\n" + r.conclusion()
}

// markdown returns the report for a page, with its plot beside it.
func (r Report) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# Sizing of the stack %s\n\n", r.Stack)
	fmt.Fprintf(&out, "On a %s in %s, on %s, with the image `%s`: with each number of sessions %s after %s of warm-up. The goal: %s frames a second.\n\n",
		r.InstanceType, r.Region, r.Began.Format("2006-01-02 15:04 MST"), r.Image, span(r.MeasuredSeconds), span(r.WarmUpSeconds), number(r.FramesGoal))
	for i, row := range r.table() {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintln(&out, "|"+strings.Repeat("---|", len(row)))
		}
	}
	return out.String() + "\n![Frames and resources by the number of sessions](sizing.png)\n\n" + r.conclusion()
}

// table returns a row of texts for each level, after one with the columns' names.
func (r Report) table() [][]string {
	rows := [][]string{{"sessions", "frames/s p5", "median", "cores p95", "memory", "GPU p95", "GPU memory", "encoder p95", "round trip", "result"}}
	for _, l := range r.Levels {
		result := "reaches the goal"
		if l.Limit != "" {
			result = "limit: " + l.Limit
		}
		rows = append(rows, []string{
			fmt.Sprint(l.Sessions), cell("%.0f", l.FramesP5), cell("%.0f", l.FramesMedian), cell("%.2f", l.CoresP95), cell("%.0f MiB", l.MemoryPeakMiB),
			cell("%.0f %%", l.GPUPercentP95), cell("%.0f MiB", l.GPUMemoryPeakMiB), cell("%.0f %%", l.EncoderPercentP95), cell("%.1f ms", l.RoundTripMedian), result,
		})
	}
	return rows
}

// unmeasured stands for a value that was not measured.
const unmeasured = "–"

func cell(form string, v *float64) string {
	if v == nil {
		return unmeasured
	}
	return fmt.Sprintf(form, *v)
}

// conclusion returns the recommendation in words.
func (r Report) conclusion() string {
	var out strings.Builder
	say := func(form string, args ...any) { fmt.Fprintf(&out, form+"\n", args...) }
	for _, l := range r.Levels {
		if l.Ended != nil {
			say("With %s at once that of %s ended (job %s): %s.", capacity.Counted(l.Sessions, "session"), l.Ended.User, l.Ended.JobID, l.Ended.Reason)
		}
	}
	if r.Stopped != "" {
		say("The measurement ended early, %s.", r.Stopped)
	}
	if out.Len() > 0 {
		say("")
	}
	if r.Recommendation == nil {
		say("There is no recommendation: %s.", r.NoRecommendation)
		return out.String()
	}
	best := *r.Recommendation
	say("Recommended: %s on each %s, with %s and %d MiB for each.", capacity.Counted(best.SessionsPerHost, "session"), best.InstanceType, capacity.Counted(best.VCPUs, "vCPU"), best.MemoryMiB)
	say("An hour of a session costs $%.4f on a full host, and $%.4f alone.", best.USDPerSessionHour, best.USDPerSessionHour*float64(best.SessionsPerHost))
	say("%s", limit(best))
	say("\nIn Pulumi.%s.yaml:\n", r.Stack)
	for _, s := range r.Settings {
		say("    %s: %s", s.Key, s.Value)
	}
	if len(best.Thin) > 0 {
		say("\nThese measurements are thin:\n")
		for _, reason := range best.Thin {
			say("- %s", reason)
		}
	}
	return out.String()
}

// limit returns the limiting resource and its margin in words.
func limit(best sizing.Recommendation) string {
	percent := fmt.Sprintf("%.0f %%", 100*best.Margin)
	if best.Limit == sizing.LimitFrames {
		return fmt.Sprintf("The limit is the frame rate: the one that 19 of 20 measurements reach is %s above the goal.", percent)
	}
	return fmt.Sprintf("The limit is %s: %s of the part that may be used is left.", best.Limit, percent)
}

// value is a measured value with its unit.
type value struct {
	unit string
	v    *float64
	form string
}

// values returns those that were measured.
func values(list ...value) []string {
	var said []string
	for _, v := range list {
		if v.v != nil {
			said = append(said, fmt.Sprintf(v.form, *v.v)+" "+v.unit)
		}
	}
	return said
}

// span is a time in seconds without zeros at its end: "10m".
func span(n float64) string {
	text := strings.TrimSuffix(seconds(n).Round(time.Second).String(), "m0s")
	if text != seconds(n).Round(time.Second).String() {
		return text + "m"
	}
	return text
}

func number(v float64) string { return fmt.Sprintf("%g", v) }
