package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
)

// commands are what this program does, in the order of its help.
var commands = []struct {
	name, args, does string
	run              func(context.Context, *invocation) error
}{
	{"start", "[--no-wait] [--limit 20m] [--password] USER", "give a user a session and wait until it is ready", start},
	{"list", "[--all]", "the stack's sessions; with --all those too that have ended", list},
	{"show", "USER", "a user's session, or the last one", show},
	{"logs", "[--follow] USER", "its log", logs},
	{"end", "[--reason TEXT] [--limit 3m] USER", "end it, and wait until it has ended", end},
	{"vacant", "[--anyway COMMAND]", "fail if anybody plays or waits, and list them", vacant},
	{"acceptance", "[--user USER] [--launcher-role ARN] [--limit 20m]", "try a deployed stack from start to end", acceptance},
	{"doctor", "[--user USER] [--limit 20m]", "try on one of its hosts what only a GPU host can show", doctor},
}

// invocation is a command with its arguments.
type invocation struct {
	streams
	args     []string
	json     bool
	launcher *launch.Launcher
	stack    outputs.Outputs
}

func dispatch(ctx context.Context, args []string, s streams) error {
	flags := flag.NewFlagSet("launch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	stack := flags.String("stack", "", "")
	file := flags.String("outputs", "", "")
	asJSON := flags.Bool("json", false, "")
	poll := flags.Duration("poll", launch.DefaultPoll, "")
	if err := flags.Parse(args); err != nil {
		return misuse("%w", err)
	}
	if flags.NArg() == 0 {
		usage(s.err)
		return misuse("name a command")
	}
	if *poll <= 0 {
		return misuse("--poll is %s; allowed: more than 0", *poll)
	}
	if flags.Arg(0) == "help" {
		usage(s.out)
		return nil
	}
	in := &invocation{streams: s, args: flags.Args()[1:], json: *asJSON}
	for _, c := range commands {
		if c.name != flags.Arg(0) {
			continue
		}
		if err := in.connect(ctx, *stack, *file, *poll); err != nil {
			return err
		}
		return c.run(ctx, in)
	}
	usage(s.err)
	return misuse("there is no command %q", flags.Arg(0))
}

// connect reads the stack's outputs and makes a launcher.
func (in *invocation) connect(ctx context.Context, stack, file string, poll time.Duration) error {
	var err error
	if in.stack, err = in.outputs(ctx, stack, file); err != nil {
		return err
	}
	aws, err := config.LoadDefaultConfig(ctx, config.WithRegion(in.stack.Region))
	if err != nil {
		return err
	}
	in.launcher, err = launch.New(aws, in.stack, launch.WithPoll(poll))
	return err
}

// outputs reads the stack's outputs: from a file, or from Pulumi by the stack's name.
func (in *invocation) outputs(ctx context.Context, stack, file string) (outputs.Outputs, error) {
	var text []byte
	var err error
	switch {
	case (stack == "") == (file == ""):
		err = misuse("name the stack: --stack NAME, or --outputs FILE with the JSON of `pulumi stack output --json` (- for standard input)")
	case stack != "":
		pulumi := exec.CommandContext(ctx, "pulumi")
		pulumi.Stderr = in.err
		return outputs.Read(pulumi, stack)
	case file == "-":
		text, err = io.ReadAll(in.in)
	default:
		text, err = os.ReadFile(file)
	}
	if err != nil {
		return outputs.Outputs{}, err
	}
	return outputs.Parse(text)
}

// parse reads a command's own flags; users is how many must follow.
func (in *invocation) parse(users int, define func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet("launch", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&in.json, "json", in.json, "")
	define(flags)
	var named []string
	for rest := in.args; ; { // flags may stand before and after the user
		if err := flags.Parse(rest); err != nil {
			return nil, misuse("%w", err)
		}
		if flags.NArg() == 0 {
			break
		}
		named, rest = append(named, flags.Arg(0)), flags.Args()[1:]
	}
	if len(named) != users {
		return nil, misuse("%d user(s) must be named, and nothing else: %q", users, named)
	}
	return named, nil
}

func start(ctx context.Context, in *invocation) error {
	var noWait, password bool
	var limit time.Duration
	users, err := in.parse(1, func(f *flag.FlagSet) {
		f.BoolVar(&noWait, "no-wait", false, "")
		f.BoolVar(&password, "password", false, "")
		f.DurationVar(&limit, "limit", launch.DefaultStartLimit, "")
	})
	if err != nil {
		return err
	}
	began := time.Now()
	s, err := in.launcher.Start(ctx, users[0], launch.StartOptions{Wait: !noWait, Limit: limit, Progress: func(step launch.Step) { in.progress(began, step) }})
	if err != nil {
		return err
	}
	if took := s.Took(); took != "" && s.URL != "" {
		fmt.Fprintf(in.err, "        took     %s\n", took)
	}
	result := started{Session: s}
	if password {
		c, err := in.launcher.Password(ctx, users[0])
		if err != nil {
			return fmt.Errorf("the session is at %s, but: %w", s.URL, err)
		}
		result.Credentials = &c
	}
	if in.json {
		return in.document(result)
	}
	result.print(in.out)
	return nil
}

// started is what a start tells.
type started struct {
	launch.Session
	Credentials *contract.Credentials `json:"credentials,omitempty"` // with --password
}

func (s started) print(w io.Writer) {
	if s.URL != "" {
		fmt.Fprintln(w, s.URL)
	} else {
		fmt.Fprintf(w, "job %s, %s\n", s.JobID, s.State)
	}
	if s.Credentials != nil {
		fmt.Fprintf(w, "user %s, password %s\n", s.Credentials.Username, s.Credentials.Password)
	}
}

// progress tells a person what a start waits for, and how long each step took.
func (in *invocation) progress(began time.Time, step launch.Step) {
	since := time.Since(began).Round(time.Second)
	fmt.Fprintf(in.err, "%6s  %-8s %s\n", since, step.Name, step.Words)
}

func list(ctx context.Context, in *invocation) error {
	var all bool
	if _, err := in.parse(0, func(f *flag.FlagSet) { f.BoolVar(&all, "all", false, "") }); err != nil {
		return err
	}
	sessions, err := in.launcher.List(ctx, launch.ListOptions{Ended: all})
	if err != nil {
		return err
	}
	if in.json {
		return in.document(append([]launch.Session{}, sessions...))
	}
	return in.table(sessions)
}

func (in *invocation) table(sessions []launch.Session) error {
	if len(sessions) == 0 {
		fmt.Fprintln(in.out, "no session")
		return nil
	}
	table := tabwriter.NewWriter(in.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "USER\tSTATE\tAGE\tTO START\tADDRESS, OR WHAT IT WAITS FOR\tJOB")
	for _, s := range sessions {
		toStart := ""
		if !s.Started.IsZero() {
			toStart = s.Started.Sub(s.Created).Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", s.User, s.State, time.Since(s.Created).Round(time.Second), toStart, s.URL+s.Wait+s.Reason, s.JobID)
	}
	return table.Flush()
}

func show(ctx context.Context, in *invocation) error {
	users, err := in.parse(1, func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	s, err := in.launcher.Show(ctx, users[0])
	if err != nil {
		return err
	}
	if in.json {
		return in.document(s)
	}
	return in.table([]launch.Session{s})
}

func logs(ctx context.Context, in *invocation) error {
	var follow bool
	users, err := in.parse(1, func(f *flag.FlagSet) { f.BoolVar(&follow, "follow", false, "") })
	if err != nil {
		return err
	}
	if !in.json {
		return in.launcher.Logs(ctx, users[0], follow, func(l launch.LogLine) { fmt.Fprintln(in.out, l.Message) })
	}
	lines := []launch.LogLine{} // one document, so with --follow it comes at the end
	if err := in.launcher.Logs(ctx, users[0], follow, func(l launch.LogLine) { lines = append(lines, l) }); err != nil {
		return err
	}
	return in.document(lines)
}

func end(ctx context.Context, in *invocation) error {
	var reason string
	var limit time.Duration
	users, err := in.parse(1, func(f *flag.FlagSet) {
		f.StringVar(&reason, "reason", "ended by the launcher", "")
		f.DurationVar(&limit, "limit", launch.DefaultEndLimit, "")
	})
	if err != nil {
		return err
	}
	s, err := in.launcher.End(ctx, users[0], reason, launch.EndOptions{Limit: limit, Progress: func(words string) { fmt.Fprintln(in.err, words) }})
	if err != nil {
		return err
	}
	if in.json {
		return in.document(s)
	}
	return in.table([]launch.Session{s})
}

// vacant is for who is about to take the stack away.
func vacant(ctx context.Context, in *invocation) error {
	var anyway string
	if _, err := in.parse(0, func(f *flag.FlagSet) { f.StringVar(&anyway, "anyway", "", "") }); err != nil {
		return err
	}
	err := in.launcher.Vacant(ctx)
	if anyway != "" && errors.As(err, new(*launch.Occupied)) {
		return fmt.Errorf("%w\nwait until they are over, or end them: %s", err, anyway)
	}
	return err
}

func acceptance(ctx context.Context, in *invocation) error {
	o := launch.AcceptanceOptions{}
	if _, err := in.parse(0, func(f *flag.FlagSet) {
		f.StringVar(&o.User, "user", "", "")
		f.StringVar(&o.Role, "launcher-role", "", "")
		f.DurationVar(&o.Limit, "limit", launch.DefaultStartLimit, "")
	}); err != nil {
		return err
	}
	o.Tell = func(c launch.Check) { fmt.Fprintf(in.err, "%-11s %s\n", c.Result, c.Name) }
	checks, err := in.launcher.Accept(ctx, o)
	if errors.As(err, new(*launch.Busy)) { // a release is not held up by players
		fmt.Fprintln(in.err, "launch:", err)
		checks, err = []launch.Check{}, nil
	}
	switch {
	case err != nil:
		return err
	case in.json:
		err = in.document(checks)
	case len(checks) > 0:
		err = in.checks(checks)
	}
	for _, c := range checks {
		if c.Result == launch.NotPassed {
			return errors.Join(err, errors.New("the stack is not accepted"))
		}
	}
	return err
}

// someUser is the first of the stack's, in the order of their names.
func (in *invocation) someUser() string {
	first := ""
	for user := range in.stack.JobDefinitions {
		if first == "" || user < first {
			first = user
		}
	}
	return first
}

func (in *invocation) checks(checks []launch.Check) error {
	table := tabwriter.NewWriter(in.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tRESULT\tTIME\t")
	for _, c := range checks {
		said := c.Detail
		if c.LookAt != "" {
			said += "; look at " + c.LookAt
		}
		fmt.Fprintf(table, "%s\t%s\t%.1f s\t%s\n", c.Name, c.Result, c.Seconds, said)
	}
	return table.Flush()
}

func doctor(ctx context.Context, in *invocation) error {
	o := launch.DoctorOptions{
		Progress: func(words string) { fmt.Fprintln(in.err, words) },
		Tell:     func(c contract.Check) { fmt.Fprintf(in.err, "%-8s %s\n", c.Outcome, c.Name) },
	}
	if _, err := in.parse(0, func(f *flag.FlagSet) {
		f.StringVar(&o.User, "user", "", "")
		f.DurationVar(&o.Limit, "limit", launch.DefaultStartLimit, "")
	}); err != nil {
		return err
	}
	if o.User == "" {
		o.User = in.someUser()
	}
	checks, err := in.launcher.Doctor(ctx, o)
	switch {
	case in.json && err == nil:
		err = in.document(checks)
	case !in.json && len(checks) > 0:
		in.findings(checks)
	}
	for _, c := range checks {
		if c.Outcome == contract.OutcomeFails {
			return errors.Join(err, errors.New("a check fails"))
		}
	}
	return err
}

func (in *invocation) findings(checks []contract.Check) {
	for _, c := range checks {
		fmt.Fprintf(in.out, "%-8s %s\n", c.Outcome, c.Name)
		indented(in.out, "found", c.Found)
		indented(in.out, "change", c.Change)
	}
}

// lineWidth is that of a narrow terminal.
const lineWidth = 100

// indented writes a text under a label, in lines that a terminal does not break.
func indented(w io.Writer, label, text string) {
	label, line := fmt.Sprintf("%-7s", label+":"), ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+len(word) > lineWidth {
			fmt.Fprintf(w, "           %s %s\n", label, line)
			label, line = "       ", ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	if line != "" {
		fmt.Fprintf(w, "           %s %s\n", label, line)
	}
}

func (in *invocation) document(value any) error {
	encoder := json.NewEncoder(in.out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// usageError is a wrong use of the command.
type usageError struct{ error }

func misuse(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func exitCode(err error) int {
	if errors.As(err, new(usageError)) {
		return launch.CodeUsage
	}
	return launch.ExitCode(err)
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "usage: launch --stack NAME | --outputs FILE [--json] [--poll 1s] COMMAND")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-62s %s\n", strings.TrimSpace(c.name+" "+c.args), c.does)
	}
	fmt.Fprintln(w, "exit codes:")
	for _, e := range launch.Codes {
		fmt.Fprintf(w, "  %-4d %s\n", e.Code, e.Meaning)
	}
}
