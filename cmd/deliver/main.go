// Command deliver has the parts of delivery that a person starts: it gives the
// connection to GitHub its token, checks which workflows may use the runner that
// deploys, goes back to an earlier image, and makes the repository keep the deployed
// one. `make delivery-token`, `make check-runners`, `make rollback` and `make
// keep-image` call it, the last also .ci/deploy.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"golang.org/x/term"

	"github.com/intraverse/dcv-sessions/outputs"
)

// commands are all commands, in the order of the help. Each has at most one argument.
var commands = []struct {
	name, argument, does string
	least, most          int // arguments
	run                  func(o options, ctx context.Context, argument string) error
}{
	{"token", "", "give the connection to GitHub the token on standard input", 0, 0, options.token},
	{"runners", "GROUP", "check that only the rollout on its branch may use GitHub's runner group; the token is on standard input", 1, 1, options.runners},
	{"keep", "", "tag the deployed image, so that the stack's repository keeps it as a released one", 0, 0, options.keep},
	{"rollback", "[IMAGE]", "let new sessions run IMAGE, a tag or repository@sha256:…, or the one before the present one", 0, 1, options.rollback},
}

// options are the command line.
type options struct {
	stack string
	by    string // sets keys and deploys in pulumi's place
	yes   bool
	args  []string
}

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // until the process ends
	var o options
	flag.StringVar(&o.stack, "stack", "", "")
	flag.StringVar(&o.by, "by", "", "")
	flag.BoolVar(&o.yes, "yes", false, "")
	flag.Usage = usage
	flag.Parse()
	o.args = flag.Args()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "deliver:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	for _, c := range commands {
		if count := len(o.args) - 1; o.stack != "" && count >= c.least && count <= c.most && o.args[0] == c.name {
			return c.run(o, ctx, strings.Join(o.args[1:], ""))
		}
	}
	usage()
	return errors.New("wrong usage")
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: deliver -stack NAME COMMAND")
	for _, c := range commands {
		fmt.Fprintf(os.Stderr, "  %-17s %s\n", c.name+" "+c.argument, c.does)
	}
	fmt.Fprintln(os.Stderr, "  -by PROGRAM       deploy by PROGRAM set KEY=VALUE and PROGRAM up, not by pulumi")
	fmt.Fprintln(os.Stderr, "  -yes              deploy without asking")
}

func (o options) token(ctx context.Context, _ string) error {
	of, err := outputs.ReadStack(ctx, o.stack, os.Stderr)
	if err != nil {
		return err
	}
	token, err := readToken(os.Stdin)
	if err != nil {
		return err
	}
	aws, err := config.LoadDefaultConfig(ctx, config.WithRegion(of.Region))
	if err != nil {
		return err
	}
	if err := setToken(ctx, eventbridge.NewFromConfig(aws), o.stack, token); err != nil {
		return err
	}
	fmt.Printf("stack %s: the connection to GitHub has its token\n", o.stack)
	return nil
}

// readToken reads a line. A terminal does not show it.
func readToken(in *os.File) (string, error) {
	if term.IsTerminal(int(in.Fd())) {
		fmt.Fprint(os.Stderr, "The token, and Enter (it is not shown): ")
		defer fmt.Fprintln(os.Stderr)
		text, err := term.ReadPassword(int(in.Fd()))
		return strings.TrimSpace(string(text)), err
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimSpace(line), err
}

// rollback lets new sessions run another image. Nothing is built, and present sessions
// keep theirs.
func (o options) rollback(ctx context.Context, to string) error {
	of, err := outputs.ReadStack(ctx, o.stack, os.Stderr)
	if err != nil {
		return err
	}
	if to == "" {
		aws, err := config.LoadDefaultConfig(ctx, config.WithRegion(of.Region))
		if err != nil {
			return err
		}
		if to, err = imageBefore(ctx, batch.NewFromConfig(aws), of); err != nil {
			return err
		}
	}
	fmt.Printf("stack %s: new sessions run\n  %s\nand are to run\n  %s\n", o.stack, of.ImageURI, to)
	for _, c := range o.deployCommands(to) {
		cmd := exec.CommandContext(ctx, c[0], c[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		// An interrupted pulumi ends in order.
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(c, " "), err)
		}
	}
	fmt.Printf("\nTo come back: make rollback STACK=%s TO=%s\n", o.stack, of.ImageURI)
	return o.keep(ctx, "")
}

// imageUseKey is the key of an image to use instead of building one.
const imageUseKey = "dcv-sessions:image.use"

// deployCommands returns the commands that set the image and deploy.
func (o options) deployCommands(image string) [][]string {
	if o.by != "" {
		return [][]string{{o.by, "set", imageUseKey + "=" + image}, {o.by, "up"}}
	}
	up := []string{"pulumi", "up", "--stack", o.stack}
	if o.yes {
		up = append(up, "--yes")
	}
	return [][]string{{"pulumi", "config", "set", "--stack", o.stack, imageUseKey, image}, up}
}
