// Package study has the command that fills docs/scaling.md.
package study

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/scaling"
)

// Run is the command scaling. It simulates, prints the main tables, and writes all of
// them and the images into docs. It needs no AWS, not even the sandbox's.
func Run(_ context.Context, _ []string) error {
	tree, err := local.FindTree()
	if err != nil {
		return err
	}
	report, err := scaling.Default().Report(os.Stderr)
	if err != nil {
		return err
	}
	fmt.Printf("%s\n%s\n", report.Tables["loads"], report.Tables["quotas"])
	return write(report, filepath.Join(tree.Root, "docs"))
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
