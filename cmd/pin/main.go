// Command pin resolves release tags: it writes an action's commit into the workflows and
// a base image's digest into the stacks' files. Tags can be moved; commits and digests
// can't.
//
//	make pin-tags PIN_REGISTRY=https://…
//
// It needs the network: GITHUB_API (GitHub's own, if unset; GITHUB_TOKEN raises
// its limit) and PIN_REGISTRY, the registry that has the base image. If one answer is
// missing, nothing is written.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

func main() {
	p := &pinner{
		github: cmp.Or(os.Getenv("GITHUB_API"), "https://api.github.com"), token: os.Getenv("GITHUB_TOKEN"),
		registry: os.Getenv("PIN_REGISTRY"),
		client:   &http.Client{Timeout: 30 * time.Second},
	}
	if err := p.pin(context.Background(), ".", os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "pin: nothing is changed:\n%v\n", err)
		os.Exit(1)
	}
}

type pinner struct {
	github, token, registry string
	client                  *http.Client
}

// kind is one kind of line. The groups of its expression are the line's beginning, the
// action or image, and its tag.
type kind struct {
	files   []string // patterns
	line    *regexp.Regexp
	resolve func(p *pinner, ctx context.Context, name, tag string) (string, error)
	pinned  func(name, tag, found string) string
}

var kinds = []kind{{
	files:   []string{".github/workflows/*.yml", ".github/actions/*/action.yml"},
	line:    regexp.MustCompile(`(?m)^(\s*(?:- )?uses: )([\w-]+/[\w-]+)@(?:[0-9a-f]{40} # )?(v\d+\.\d+\.\d+)`),
	resolve: (*pinner).commit,
	pinned:  func(name, tag, found string) string { return name + "@" + found + " # " + tag },
}, {
	files:   []string{"Pulumi.*.yaml"},
	line:    regexp.MustCompile(`(?m)^(\s*dcv-sessions:image\.base: )([a-z0-9._/-]+):([\w.-]+)(?:@sha256:[0-9a-f]{64})?`),
	resolve: (*pinner).digest,
	pinned:  func(name, tag, found string) string { return name + ":" + tag + "@" + found },
}}

// pin resolves all tags first, and writes only if it could resolve every one.
func (p *pinner) pin(ctx context.Context, dir string, out io.Writer) error {
	texts, found, faults := map[string]string{}, map[string]string{}, []error(nil)
	for _, k := range kinds {
		for _, pattern := range k.files {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				return err
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				pinned := replace(k.line, string(text), func(m []string) string {
					key := m[2] + " " + m[3]
					if _, asked := found[key]; !asked {
						var err error
						if found[key], err = k.resolve(p, ctx, m[2], m[3]); err != nil {
							faults = append(faults, fmt.Errorf("  %s: %w", key, err))
						}
					}
					return m[1] + k.pinned(m[2], m[3], found[key])
				})
				texts[file] = pinned
			}
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for _, file := range slices.Sorted(maps.Keys(texts)) {
		if err := os.WriteFile(file, []byte(texts[file]), 0o644); err != nil {
			return err
		}
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(out, "%s is %s\n", key, found[key])
	}
	return nil
}

func replace(line *regexp.Regexp, text string, with func(groups []string) string) string {
	return line.ReplaceAllStringFunc(text, func(whole string) string { return with(line.FindStringSubmatch(whole)) })
}
