// Command target prints the target of a stack's deployment (Region, role, state), as the
// outputs of a workflow's step:
//
//	go run ./cmd/target --stack dev --role preview
//
// It reads all of them from the stack's file, so that a studio writes them once and needs
// no variables in the repository.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/intraverse/dcv-sessions/components/githubroles"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "target:", err)
		os.Exit(1)
	}
}

// file is the part of a stack's file with the stack's target.
type file struct {
	Config struct {
		Region      string   `yaml:"aws:region"`
		Accounts    []string `yaml:"aws:allowedAccountIds"`
		StateBucket string   `yaml:"dcv-sessions:delivery.stateBucket"`
		Use         string   `yaml:"dcv-sessions:image.use"`
	} `yaml:"config"`
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("target", flag.ContinueOnError)
	stack := flags.String("stack", "", "the stack's name")
	role := flags.String("role", "", "preview or deploy")
	dir := flags.String("dir", ".", "the project's folder")
	if err := flags.Parse(args); err != nil {
		return err
	}
	seconds, known := githubroles.SessionSeconds[*role]
	var f faults.Faults
	f.Check(contract.StackPattern.MatchString(*stack), "--stack", *stack, contract.StackPattern.String())
	f.Check(known, "--role", *role, "preview or deploy")
	if err := f.Err("target"); err != nil {
		return err
	}
	name := *dir + "/Pulumi." + *stack + ".yaml"
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	var at file
	if err := yaml.Unmarshal(text, &at); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c := at.Config
	f.Check(c.Region != "" && oneLine(c.Region), "aws:region", c.Region, "an AWS Region")
	f.Check(len(c.Accounts) == 1 && oneLine(c.Accounts[0]), "aws:allowedAccountIds", strings.Join(c.Accounts, ", "), "one account: the one that workflows deploy to")
	f.Check(githubroles.ValidBucket(c.StateBucket), "dcv-sessions:delivery.stateBucket", c.StateBucket, "the bucket with Pulumi's state, which workflows log in to")
	f.Check(oneLine(c.Use), "dcv-sessions:image.use", c.Use, "an image")
	if err := f.Err(name); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "region=%s\nrole=arn:%s:iam::%s:role/%s\nseconds=%d\nbackend=s3://%s\nuse=%s\n",
		c.Region, partition(c.Region), c.Accounts[0], githubroles.RoleName(*stack, *role), seconds, c.StateBucket, c.Use)
	return err
}

// oneLine reports whether a value has one line. A second line would be another output.
func oneLine(value string) bool { return !strings.ContainsAny(value, "\r\n") }

// partition returns the AWS partition of a Region.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}
