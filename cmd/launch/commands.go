package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
)

// subcommand is one command of this program.
type subcommand struct {
	name, args, does string
	users            int // how many users must be named: 0 or 1
	flags            func(*flag.FlagSet, *options)
	run              func(context.Context, *invocation) error
}

// commands are all commands, in the order of the help.
var commands = []subcommand{
	{"start", "[--no-wait] [--limit 20m] [--password] USER", "give a user a session and wait until it is ready", 1, startFlags, start},
	{"list", "[--all]", "the stack's sessions; with --all those too that have ended", 0, listFlags, list},
	{"status", "[--usd-per-hour 0.5]", "the stack on one screen: sessions, waits, hosts, today's cost", 0, statusFlags, status},
	{"show", "USER", "a user's session, or the last one", 1, noFlags, show},
	{"logs", "[--follow] USER", "its log", 1, logsFlags, logs},
	{"end", "[--reason TEXT] [--limit 3m] USER", "end it, and wait until it has ended", 1, endFlags, end},
	{"usage", "[--month 2026-11] [--csv] [--usd-per-hour 0.5]", "each user's sessions, hours, wait and cost in a month", 0, usageFlags, usageOfMonth},
	{"vacant", "[--anyway COMMAND]", "fail if anybody plays or waits, and list them", 0, vacantFlags, vacant},
	{"acceptance", "[--user USER] [--launcher-role ARN] [--limit 20m]", "try a deployed stack from start to end", 0, acceptanceFlags, acceptance},
	{"doctor", "[--user USER] [--limit 20m]", "try on one of its hosts what only a GPU host can show", 0, doctorFlags, doctor},
}

// options are the flags of all commands; each command sets its own.
type options struct {
	user         string // the one that is named, by a flag or without
	limit        time.Duration
	noWait       bool
	password     bool
	all          bool
	follow       bool
	reason       string
	anyway       string
	launcherRole string
	month        string
	csv          bool
	usdPerHour   float64
}

func noFlags(*flag.FlagSet, *options) {}

func startFlags(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.noWait, "no-wait", false, "")
	f.BoolVar(&o.password, "password", false, "")
	f.DurationVar(&o.limit, "limit", launch.DefaultStartLimit, "")
}

func start(ctx context.Context, in *invocation) error {
	began := time.Now()
	s, err := in.launcher.Start(ctx, in.user, launch.StartOptions{
		Wait: !in.noWait, Limit: in.limit, Progress: func(step launch.Step) { in.progress(began, step) },
	})
	if err != nil {
		return err
	}
	if took := s.Took(); took != "" && s.URL != "" {
		fmt.Fprintf(in.err, "        took     %s\n", took)
	}
	result := started{Session: s}
	if in.password {
		c, err := in.launcher.Password(ctx, in.user)
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

func listFlags(f *flag.FlagSet, o *options) { f.BoolVar(&o.all, "all", false, "") }

func list(ctx context.Context, in *invocation) error {
	sessions, err := in.launcher.List(ctx, launch.ListOptions{Ended: in.all})
	if err != nil {
		return err
	}
	if in.json {
		return in.document(append([]launch.Session{}, sessions...))
	}
	return in.table(sessions)
}

func show(ctx context.Context, in *invocation) error {
	s, err := in.launcher.Show(ctx, in.user)
	if err != nil {
		return err
	}
	return in.one(s)
}

func logsFlags(f *flag.FlagSet, o *options) { f.BoolVar(&o.follow, "follow", false, "") }

func logs(ctx context.Context, in *invocation) error {
	if !in.json {
		return in.launcher.Logs(ctx, in.user, in.follow, func(l launch.LogLine) { fmt.Fprintln(in.out, l.Message) })
	}
	lines := []launch.LogLine{} // one document, so with --follow it comes at the end
	if err := in.launcher.Logs(ctx, in.user, in.follow, func(l launch.LogLine) { lines = append(lines, l) }); err != nil {
		return err
	}
	return in.document(lines)
}

func endFlags(f *flag.FlagSet, o *options) {
	f.StringVar(&o.reason, "reason", "ended by the launcher", "")
	f.DurationVar(&o.limit, "limit", launch.DefaultEndLimit, "")
}

func end(ctx context.Context, in *invocation) error {
	s, err := in.launcher.End(ctx, in.user, in.reason, launch.EndOptions{
		Limit: in.limit, Progress: func(words string) { fmt.Fprintln(in.err, words) },
	})
	if err != nil {
		return err
	}
	return in.one(s)
}

func vacantFlags(f *flag.FlagSet, o *options) { f.StringVar(&o.anyway, "anyway", "", "") }

// vacant is run before a stack is destroyed.
func vacant(ctx context.Context, in *invocation) error {
	err := in.launcher.Vacant(ctx)
	if in.anyway != "" && errors.As(err, new(*launch.Occupied)) {
		return fmt.Errorf("%w\nwait until they are over, or end them: %s", err, in.anyway)
	}
	return err
}

func acceptanceFlags(f *flag.FlagSet, o *options) {
	f.StringVar(&o.user, "user", "", "")
	f.StringVar(&o.launcherRole, "launcher-role", "", "")
	f.DurationVar(&o.limit, "limit", launch.DefaultStartLimit, "")
}

func acceptance(ctx context.Context, in *invocation) error {
	checks, err := in.launcher.Accept(ctx, launch.AcceptanceOptions{
		User: in.user, Role: in.launcherRole, Limit: in.limit,
		OnCheck: func(c launch.Check) { fmt.Fprintf(in.err, "%-11s %s\n", c.Result, c.Name) },
	})
	if errors.As(err, new(*launch.Busy)) { // players do not hold up a release
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
	if slices.ContainsFunc(checks, func(c launch.Check) bool { return c.Result == launch.NotPassed }) {
		return errors.Join(err, errors.New("the stack is not accepted"))
	}
	return err
}

func doctorFlags(f *flag.FlagSet, o *options) {
	f.StringVar(&o.user, "user", "", "")
	f.DurationVar(&o.limit, "limit", launch.DefaultStartLimit, "")
}

func doctor(ctx context.Context, in *invocation) error {
	users := slices.Sorted(maps.Keys(in.stack.JobDefinitions))
	if in.user == "" && len(users) > 0 {
		in.user = users[0]
	}
	checks, err := in.launcher.Doctor(ctx, launch.DoctorOptions{
		User: in.user, Limit: in.limit, Progress: func(words string) { fmt.Fprintln(in.err, words) },
		OnCheck: func(c contract.Check) { fmt.Fprintf(in.err, "%-8s %s\n", c.Outcome, c.Name) },
	})
	switch {
	case in.json && err == nil:
		err = in.document(checks)
	case !in.json && len(checks) > 0:
		in.findings(checks)
	}
	if slices.ContainsFunc(checks, func(c contract.Check) bool { return c.Outcome == contract.OutcomeFails }) {
		return errors.Join(err, errors.New("a check fails"))
	}
	return err
}
