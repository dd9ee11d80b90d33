package main

import (
	"strings"

	"github.com/intraverse/dcv-sessions/infra/config"
)

// capacity returns the table of the sessions that hosts will carry and their cost, with
// its notes. It follows from the configuration that was previewed, since a preview has
// the present outputs and not the future ones.
func (p preview) capacity() []string {
	if p.Config == nil {
		return nil
	}
	cfg, err := config.Parse(p.Config)
	if err != nil { // the program took the same configuration
		return []string{"- not known: a value that it follows from is a secret\n"}
	}
	report := cfg.CapacityReport()
	var table strings.Builder
	for i, row := range report.Table() {
		table.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			table.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	list := []string{table.String() + "\n"}
	for _, note := range report.Notes() {
		list = append(list, "- "+note+"\n")
	}
	return list
}
