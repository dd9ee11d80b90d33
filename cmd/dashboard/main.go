// Command dashboard writes a stack's CloudWatch dashboard as one HTML page with its
// pictures and tables, and prints the page's path. It works alike on AWS and in the
// sandbox: docs/operations.md, "The dashboard".
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/intraverse/dcv-sessions/outputs"
)

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // for life
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	var stack, file, page, since string
	flags := flag.NewFlagSet("dashboard", flag.ContinueOnError)
	flags.StringVar(&stack, "stack", "", "the stack's `name`")
	flags.StringVar(&file, "outputs", "", "in place of -stack: a `file` with the JSON of `pulumi stack output --json`")
	flags.StringVar(&page, "page", "dashboard.html", "the `file` that is written")
	flags.StringVar(&since, "since", "", "the time that is shown, such as PT3H or P7D; without it, the dashboard's own")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if (stack == "") == (file == "") || flags.NArg() > 0 {
		return errors.New("name the stack: -stack NAME, or -outputs FILE, and nothing else")
	}
	o, err := outputs.ReadStackOrFile(ctx, stack, file, progress)
	if err != nil {
		return err
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(o.Region))
	if err != nil {
		return err
	}
	return write(ctx, cfg, o, page, since, out, progress)
}

// write draws the stack's dashboard and writes the page.
func write(ctx context.Context, cfg aws.Config, o outputs.Outputs, page, since string, out, progress io.Writer) error {
	if o.DashboardName == "" {
		return errors.New(`the stack's outputs have no "dashboardName": run pulumi up once with this release`)
	}
	c := newClients(cfg)
	b, err := c.body(ctx, o.DashboardName)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	p, err := periodOf(cmp.Or(since, b.Start), now)
	if err != nil {
		return err
	}
	if b.PeriodOverride == "auto" {
		p.follow()
	}
	tiles := c.draw(ctx, b.Widgets, p)
	for _, t := range tiles {
		if t.Fault != "" {
			fmt.Fprintf(progress, "dashboard: %s: %s\n", cmp.Or(t.Title, string(t.Type)), t.Fault)
		}
	}
	text, err := render(view{Name: o.DashboardName, Stack: o.Stack, Region: o.Region, Link: o.DashboardURL, From: p.start, To: p.end, Tiles: tiles})
	if err != nil {
		return err
	}
	if page, err = filepath.Abs(page); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(page), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(page, text, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, page)
	return err
}
