package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

// started is the result of a start.
type started struct {
	launch.Session
	Credentials *contract.Credentials `json:"credentials,omitempty"` // with --password
}

func (s started) print(w io.Writer) {
	if s.URL != "" {
		fmt.Fprintln(w, s.URL)
	} else {
		fmt.Fprintf(w, "job %s, %s\n", s.JobID, s.State)
	}
	if s.Credentials != nil {
		fmt.Fprintf(w, "user %s, password %s\n", s.Credentials.Username, s.Credentials.Password)
	}
}

// progress prints a step of a start with the time since it began.
func (in *invocation) progress(began time.Time, step launch.Step) {
	since := time.Since(began).Round(time.Second)
	fmt.Fprintf(in.err, "%6s  %-8s %s\n", since, step.Name, step.Words)
}

// one prints one session.
func (in *invocation) one(s launch.Session) error {
	if in.json {
		return in.document(s)
	}
	return in.table([]launch.Session{s})
}

func (in *invocation) table(sessions []launch.Session) error {
	if len(sessions) == 0 {
		fmt.Fprintln(in.out, "no session")
		return nil
	}
	table := tabwriter.NewWriter(in.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tSTATE\tAGE\tTO START\tADDRESS, OR WHAT IT WAITS FOR\tJOB")
	for _, s := range sessions {
		toStart := ""
		if !s.Started.IsZero() {
			toStart = s.Started.Sub(s.Created).Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", s.User, s.State, time.Since(s.Created).Round(time.Second), toStart, s.URL+s.Wait+s.Reason, s.JobID)
	}
	return table.Flush()
}

func (in *invocation) checks(checks []launch.Check) error {
	table := tabwriter.NewWriter(in.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tRESULT\tTIME\t")
	for _, c := range checks {
		said := c.Detail
		if c.LookAt != "" {
			said += "; look at " + c.LookAt
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f s\t%s\n", c.Name, c.Result, c.Seconds, said)
	}
	return table.Flush()
}

func (in *invocation) findings(checks []contract.Check) {
	for _, c := range checks {
		fmt.Fprintf(in.out, "%-8s %s\n", c.Outcome, c.Name)
		indented(in.out, "found", c.Found)
		indented(in.out, "change", c.Change)
	}
}

// lineWidth fits a narrow terminal.
const lineWidth = 100

// indented prints a text under a label, in lines that fit a terminal.
func indented(w io.Writer, label, text string) {
	label, line := fmt.Sprintf("%-7s", label+":"), ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+len(word) > lineWidth {
			fmt.Fprintf(w, "           %s %s\n", label, line)
			label, line = "       ", ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	if line != "" {
		fmt.Fprintf(w, "           %s %s\n", label, line)
	}
}

func (in *invocation) document(value any) error {
	encoder := json.NewEncoder(in.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
