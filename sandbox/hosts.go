package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/workspace"
)

// hosts prints the simulated hosts and their jobs.
func hosts(ctx context.Context, _ []string) error {
	cloud, err := workspace.Cloud()
	if err != nil {
		return err
	}
	list, err := batch.ReadHosts(ctx, cloud)
	if err != nil {
		return err
	}
	return printHosts(list)
}

// takeHost ends a host with everything that runs on it.
func takeHost(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return errors.New("usage: sandbox take-host [HOST]; without one, a host on which a session runs")
	}
	cloud, err := workspace.Cloud()
	if err != nil {
		return err
	}
	left, err := batch.TakeHost(ctx, cloud, strings.Join(args, ""))
	if err != nil {
		return err
	}
	fmt.Println("taken away; the remaining ones:")
	return printHosts(left)
}

func printHosts(list []batch.HostState) error {
	if len(list) == 0 {
		fmt.Println("no host: one starts when a session waits")
		return nil
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "HOST\tTYPE\tENVIRONMENT\tSTATE\tJOBS")
	for _, h := range list {
		state := "starts"
		if h.Running {
			state = "runs"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", h.ID, h.Type, h.Environment, state, strings.Join(h.Jobs, " "))
	}
	return table.Flush()
}
