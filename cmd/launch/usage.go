package main

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/intraverse/dcv-sessions/launch"
)

func usageFlags(f *flag.FlagSet, o *options) {
	f.StringVar(&o.month, "month", "", "")
	f.BoolVar(&o.csv, "csv", false, "")
	f.Float64Var(&o.usdPerHour, "usd-per-hour", 0, "")
}

func usageOfMonth(ctx context.Context, in *invocation) error {
	if in.month == "" {
		in.month = time.Now().UTC().Format(launch.MonthFormat)
	}
	month, err := time.Parse(launch.MonthFormat, in.month)
	if err != nil {
		return misuse("--month is %q; allowed: a month such as 2026-11", in.month)
	}
	p := in.price()
	u, err := in.launcher.Usage(ctx, month, p.USDPerHour)
	if err != nil {
		return err
	}
	if u.Missing != "" {
		fmt.Fprintf(in.err, "incomplete: %s\n", u.Missing)
	}
	switch {
	case in.json:
		return in.document(u)
	case in.csv:
		return printUsageCSV(in.out, u)
	}
	return printUsage(in.out, u, p)
}

// printUsage prints the use as a table.
func printUsage(w io.Writer, u launch.Usage, p price) error {
	fmt.Fprintf(w, "stack %s, %s until %s\n\n", u.Stack, u.Month, u.Until.Format(time.DateTime+" MST"))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "USER\tSESSIONS\tHOURS\tMEDIAN WAIT\tUSD\t")
	for _, user := range append(u.Users, u.Total) {
		name, wait := user.User, "-"
		if name == "" {
			name = totalName
		}
		if user.MedianWait != nil {
			wait = fmt.Sprintf("%.1f s", *user.MedianWait)
		}
		fmt.Fprintf(table, "%s\t%d\t%.2f\t%s\t%.2f\t\n", name, user.Sessions, user.Hours, wait, user.USD)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if p.USDPerHour == 0 {
		_, err := fmt.Fprintf(w, "\n%s\n", p.Basis)
		return err
	}
	_, err := fmt.Fprintf(w, "\n$%.4f for an hour of a session: %s\n", p.USDPerHour, p.Basis)
	return err
}

// totalName is the name in the last row. No user has it: their names are in lower case.
const totalName = "TOTAL"

// usageColumns are the columns of the CSV. They keep their names, order and meaning;
// further ones come at the end.
var usageColumns = []string{"stack", "month", "user", "sessions", "hours", "median_wait_seconds", "usd"}

// printUsageCSV prints the use as RFC 4180 has it, with a header and the total last. An
// unknown wait is empty.
func printUsageCSV(w io.Writer, u launch.Usage) error {
	file := csv.NewWriter(w)
	_ = file.Write(usageColumns) // Error reports it
	for _, user := range append(u.Users, u.Total) {
		name, wait := user.User, ""
		if name == "" {
			name = totalName
		}
		if user.MedianWait != nil {
			wait = decimal(*user.MedianWait, 1)
		}
		_ = file.Write([]string{u.Stack, u.Month, name, strconv.Itoa(user.Sessions), decimal(user.Hours, 4), wait, decimal(user.USD, 4)})
	}
	file.Flush()
	return file.Error()
}

func decimal(value float64, places int) string { return strconv.FormatFloat(value, 'f', places, 64) }
