// Package study has the command that fills docs/scaling.md.
package study

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/scaling"
)

// Run is the command scaling. It simulates, prints the main tables, and writes all of
// them and the images into docs. Only with -real it needs the sandbox's AWS.
func Run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("scaling", flag.ContinueOnError)
	real := flags.Bool("real", false, "run 200 short sessions in the sandbox first, and show them beside the simulation")
	if err := flags.Parse(args); err != nil {
		return err
	}
	tree, err := local.FindTree()
	if err != nil {
		return err
	}
	docs := filepath.Join(tree.Root, "docs")
	measured := filepath.Join(docs, "scaling-measured.json")
	if *real {
		if err := measureReal(ctx, measured); err != nil {
			return err
		}
	}
	m, err := scaling.ReadMeasured(measured)
	if err != nil {
		return err
	}
	report, err := scaling.Default().Report(m, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%s\n%s\n", report.Tables["loads"], report.Tables["quotas"], report.Tables["measured"])
	return write(report, docs)
}

func write(report *scaling.Report, docs string) error {
	page := filepath.Join(docs, "scaling.md")
	text, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	filled, err := report.Insert(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	for name, image := range report.Images {
		if err := os.WriteFile(filepath.Join(docs, "images", name), image, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("The rest, and the images, are in %s.\n", page)
	return os.WriteFile(page, []byte(filled), 0o644)
}
