// Command guardrails checks the resources that the program declares for each
// environment against a table of rules (rules.go) and the reviewed exceptions from them
// (exceptions.go): `make guardrails`. It needs no AWS account: the resources are
// those that componenttest's mock records. The same check is a test of this folder.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/intraverse/dcv-sessions/internal/recorded"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "guardrails:", err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	end, err := recorded.Begin()
	if err != nil {
		return err
	}
	defer end()
	graphs, err := recordAll()
	if err != nil {
		return err
	}
	result := check(rules, exceptions, graphs)
	return errors.Join(result.print(out), result.err())
}

// recordAll returns the resources of every environment.
func recordAll() ([]*recorded.Graph, error) {
	names, err := recorded.Environments()
	if err != nil {
		return nil, err
	}
	var graphs []*recorded.Graph
	for _, name := range names {
		configuration, err := recorded.Configuration(name)
		if err != nil {
			return nil, err
		}
		graph, err := recorded.Record(name, configuration)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		graphs = append(graphs, graph)
	}
	return graphs, nil
}

// print writes how many resources each rule was held against, and each exception
// with its reason.
func (r result) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "RULE\tCONTROL\tRESOURCES CHECKED IN")
	for _, name := range r.environments {
		fmt.Fprintf(table, "\t%s", name)
	}
	fmt.Fprintln(table)
	for _, rule := range r.rules {
		fmt.Fprintf(table, "%s\t%s\t", rule.name, rule.control)
		for _, name := range r.environments {
			fmt.Fprintf(table, "\t%d", r.checked[name][rule.name])
		}
		fmt.Fprintln(table)
	}
	err := table.Flush()
	fmt.Fprintf(out, "\n%d rules, %d exceptions:\n", len(r.rules), len(r.exceptions))
	for i, e := range r.exceptions {
		var used []string
		for _, name := range r.environments {
			if r.used[i][inEnvironment+name] {
				used = append(used, name)
			}
		}
		if len(used) == 0 {
			used = []string{"no environment: none sets " + e.when}
		}
		fmt.Fprintf(out, "\n%s\n  in %s\n  %s\n", e, strings.Join(used, ", "), e.reason)
	}
	fmt.Fprintf(out, "\n%d violations\n", len(r.violations))
	return err
}
