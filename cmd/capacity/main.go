// Command capacity prints the sessions that a stack's hosts carry, the resources that
// limit them, and their cost. It reads the stack's file, Pulumi.NAME.yaml, and needs
// neither AWS nor a deployed stack:
//
//	go run ./cmd/capacity --stack dev
//
// It fails if the configuration has faults, after the table.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/infra/config"
	"github.com/intraverse/dcv-sessions/infra/config/stackfile"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "capacity:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("capacity", flag.ContinueOnError)
	stack := flags.String("stack", "dev", "the stack's name")
	if err := flags.Parse(args); err != nil {
		return err
	}
	values, err := stackfile.Complete(*stack)
	if err != nil {
		return err
	}
	cfg, faults := config.Parse(config.Values(values))
	if err := render(out, cfg.CapacityReport()); err != nil {
		return err
	}
	return faults
}

// render writes a report as a table for a terminal, with its notes below.
func render(out io.Writer, r capacity.Report) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, row := range r.Table() {
		line := strings.Join(row, "\t")
		if i == 0 {
			line = strings.ToUpper(line)
		}
		fmt.Fprintln(table, line)
	}
	fmt.Fprintln(table)
	for _, note := range r.Notes() {
		fmt.Fprintln(table, note)
	}
	return table.Flush()
}
