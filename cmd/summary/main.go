// Command summary turns the output of `pulumi preview --json` into Markdown that a
// reviewer reads in a minute:
//
//	pulumi preview --json --stack dev > preview.json 2> preview.err; status=$?
//	go run ./cmd/summary --stack dev --status $status --errors preview.err preview.json
//
// A preview that failed, or printed nothing, has a summary too. A summary has no secret
// values.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/intraverse/dcv-sessions/contract"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("summary", flag.ContinueOnError)
	stack := flags.String("stack", "", "the stack's name")
	status := flags.Int("status", 0, "the exit status of pulumi preview")
	errors := flags.String("errors", "", "a file with what pulumi preview wrote to standard error")
	limit := flags.Int("limit", comment, "how long the summary may be, in bytes")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: summary --stack NAME [flags] [FILE]: FILE, or standard input, is what pulumi preview --json printed")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !contract.StackPattern.MatchString(*stack) {
		return fmt.Errorf("--stack is %q; allowed: text that matches %s", *stack, contract.StackPattern)
	}
	text, err := input(flags.Arg(0), in)
	if err != nil {
		return err
	}
	said, err := input(*errors, nil)
	if err != nil {
		return err
	}
	_, err = io.WriteString(out, summarize(*stack, text, outcome{status: *status, said: string(said)}, *limit))
	return err
}

// input returns a file's text, or the text of in if there is no name. A missing file is
// empty: the preview failed before it was written.
func input(file string, in io.Reader) ([]byte, error) {
	switch {
	case file != "":
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			err = nil
		}
		return text, err
	case in != nil:
		return io.ReadAll(in)
	}
	return nil, nil
}
