package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// runIn runs a command in the environment of the local AWS, in place of this process.
func runIn(_ context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("usage: sandbox exec COMMAND…")
	}
	cloud, err := runningCloud()
	if err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(program, args, cloud.Env())
}

// hosts prints the simulated hosts and their jobs.
func hosts(ctx context.Context, _ []string) error {
	cloud, err := runningCloud()
	if err != nil {
		return err
	}
	var list []batch.HostState
	if err := cloud.GetJSON(ctx, batch.HostsPath, &list); err != nil {
		return err
	}
	return printHosts(os.Stdout, list)
}

func printHosts(w io.Writer, list []batch.HostState) error {
	if len(list) == 0 {
		fmt.Fprintln(w, "no host: one starts when a session waits")
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
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

// takeHost ends a host with everything that runs on it, as a Spot reclaim does.
func takeHost(ctx context.Context, args []string) error {
	if len(args) > 1 {
		return errors.New("usage: sandbox take-host [HOST]; without one, a host on which a session runs")
	}
	cloud, err := runningCloud()
	if err != nil {
		return err
	}
	take := url.Values{"take": {strings.Join(args, "")}}
	res, err := cloud.Request(ctx, http.MethodPost, batch.HostsPath+"?"+take.Encode())
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		return errors.New(strings.TrimSpace(string(text)))
	}
	var left []batch.HostState
	if err := json.NewDecoder(res.Body).Decode(&left); err != nil {
		return err
	}
	fmt.Println("taken away; the remaining ones:")
	return printHosts(os.Stdout, left)
}

func runningCloud() (*local.Cloud, error) {
	cloud, err := lastCloud()
	if err == nil && cloud == nil {
		err = errors.New("nothing runs; make up starts it")
	}
	return cloud, err
}
