package main

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/intraverse/dcv-sessions/launch"
)

func statusFlags(f *flag.FlagSet, o *options) { f.Float64Var(&o.usdPerHour, "usd-per-hour", 0, "") }

func status(ctx context.Context, in *invocation) error {
	s, err := in.launcher.Status(ctx)
	if err != nil {
		return err
	}
	p := in.price()
	if in.json {
		return in.document(struct {
			launch.Status
			USD float64 `json:"usd"`
		}{s, s.Hours * p.USDPerHour})
	}
	fmt.Fprint(in.out, renderStatus(s, p))
	return nil
}

// A status fits a terminal of the usual size.
const (
	screenLines   = 24
	screenColumns = 100
)

// renderStatus returns a status as text that fits one screen. Of the sessions it has
// those first that wait longest, and if not all fit, the number of the others.
func renderStatus(s launch.Status, p price) string {
	head := []string{
		fmt.Sprintf("%-*s%s", screenColumns-len("2006-01-02 15:04:05 UTC"), "stack "+s.Stack+" in "+s.Region, s.At.Format(time.DateTime+" MST")),
		"",
		"SESSIONS  " + sessionCounts(s),
	}
	tail := slices.Concat(failureLines(s), hostLines(s), costLines(s, p))
	lines := slices.Concat(head, sessionLines(s, screenLines-len(head)-len(tail)), tail)
	for i, line := range lines {
		lines[i] = strings.TrimRight(cut(line, screenColumns), " ")
	}
	return strings.Join(lines, "\n") + "\n"
}

// phases are the states of a session that a status counts, in the order of its list.
var phases = []string{"waiting", "starting", "ready"}

func phase(s launch.Session) string {
	switch {
	case s.URL != "":
		return "ready"
	case s.State == "STARTING" || s.State == "RUNNING":
		return "starting"
	}
	return "waiting"
}

func sessionCounts(s launch.Status) string {
	counts := map[string]int{}
	for _, session := range s.Sessions {
		counts[phase(session)]++
	}
	var parts []string
	for _, name := range phases {
		parts = append(parts, fmt.Sprintf("%d %s", counts[name], name))
	}
	return fmt.Sprintf("%s; today %d ended, %d of them failed", strings.Join(parts, ", "), s.Ended, s.Failed)
}

// sessionLines returns a table of the sessions in a number of lines at most.
func sessionLines(s launch.Status, room int) []string {
	if len(s.Sessions) == 0 {
		return nil
	}
	sessions := slices.Clone(s.Sessions)
	slices.SortStableFunc(sessions, func(a, b launch.Session) int {
		return cmp.Or(cmp.Compare(slices.Index(phases, phase(a)), slices.Index(phases, phase(b))), a.Created.Compare(b.Created))
	})
	shown := sessions
	if room--; len(sessions) > room { // the heading
		shown = sessions[:room-1]
	}
	lines := table("USER\tSTATE\tAGE\tWAITED\tADDRESS, OR WHAT IT WAITS FOR", shown, func(session launch.Session) []string {
		began := session.Started
		if began.IsZero() {
			began = s.At
		}
		return []string{session.User, phase(session), since(session.Created, s.At), since(session.Created, began), session.URL + session.Wait}
	})
	if more := len(sessions) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: launch list", more))
	}
	return lines
}

// shownFailures leaves room for sessions.
const shownFailures = 3

func failureLines(s launch.Status) []string {
	if len(s.Failures) == 0 {
		return nil
	}
	shown := s.Failures[:min(len(s.Failures), shownFailures)]
	return append([]string{""}, table("FAILED\tAT (UTC)\tWHY", shown, func(session launch.Session) []string {
		return []string{session.User, session.Stopped.Format(time.TimeOnly), session.Reason}
	})...)
}

func hostLines(s launch.Status) []string {
	if s.NoEnvironments != "" {
		return []string{"", fmt.Sprintf("HOSTS     %d with a session, %d vCPUs reserved; the others are not known:", s.UsedHosts, s.UsedVCPUs), "  " + s.NoEnvironments}
	}
	started := 0
	for _, e := range s.Environments {
		started += e.VCPUs
	}
	used := ""
	if started > 0 {
		used = fmt.Sprintf(" (%d %%)", s.UsedVCPUs*100/started)
	}
	lines := []string{"", fmt.Sprintf("HOSTS     %d with a session; sessions reserve %d of the hosts' %d vCPUs%s", s.UsedHosts, s.UsedVCPUs, started, used)}
	return append(lines, table("ENVIRONMENT\tSTATUS\tVCPUS\tAT MOST\tTYPES", s.Environments, func(e launch.Environment) []string {
		types := strings.Join(e.InstanceTypes, ", ")
		if e.Spot {
			types = "Spot: " + types
		}
		if e.Status != "VALID" && e.Reason != "" {
			types = e.Reason
		}
		return []string{e.Name, e.Status, fmt.Sprint(e.VCPUs), fmt.Sprint(e.MaxVCPUs), types}
	})...)
}

func costLines(s launch.Status, p price) []string {
	hours := fmt.Sprintf("COST      %.2f session-hours since midnight UTC", s.Hours)
	if p.USDPerHour == 0 {
		return []string{"", hours, "  " + p.Basis}
	}
	return []string{"", fmt.Sprintf("%s: $%.2f", hours, s.Hours*p.USDPerHour), fmt.Sprintf("  $%.4f for an hour: %s", p.USDPerHour, p.Basis)}
}

// table returns rows in columns under a heading, in which tabs separate the columns.
func table[T any](heading string, rows []T, columns func(T) []string) []string {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, heading)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(columns(row), "\t"))
	}
	_ = w.Flush() // a buffer takes everything
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}

// since returns a time in the two units that matter: "2h5m", "1m30s".
func since(from, to time.Time) string {
	d := max(to.Sub(from), 0).Round(time.Second)
	if d >= time.Hour {
		return strings.TrimSuffix(d.Truncate(time.Minute).String(), "0s")
	}
	return d.String()
}

// cut shortens a line to a number of characters.
func cut(line string, columns int) string {
	if utf8.RuneCountInString(line) <= columns {
		return line
	}
	return string([]rune(line)[:columns-1]) + "…"
}
