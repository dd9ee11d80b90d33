package main

import (
	"flag"
	"io"
	"strings"
	"time"

	"github.com/intraverse/dcv-sessions/components/compute/capacity"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
	"github.com/intraverse/dcv-sessions/launch"
)

// options are the command's flags.
type options struct {
	stack, file  string
	users        []string
	frames       float64       // a second, the goal
	length       time.Duration // that is measured with each number of sessions
	warmUp       time.Duration // before that
	instanceType string        // of the hosts; "": the one that AWS Batch prefers
	to           string        // the folder of the report; "": by the stack's name
	limit        time.Duration // of a session's start
	poll         time.Duration
}

// parse reads the flags. Its error has all faults.
func parse(args []string) (o options, err error) {
	users := ""
	flags := flag.NewFlagSet("sizing", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // main prints the error
	flags.StringVar(&o.stack, "stack", "", "")
	flags.StringVar(&o.file, "outputs", "", "")
	flags.StringVar(&users, "users", "", "")
	flags.Float64Var(&o.frames, "frames", 30, "")
	flags.DurationVar(&o.length, "for", 10*time.Minute, "")
	flags.DurationVar(&o.warmUp, "warm-up", time.Minute, "")
	flags.StringVar(&o.instanceType, "type", "", "")
	flags.StringVar(&o.to, "to", "", "")
	flags.DurationVar(&o.limit, "limit", launch.DefaultStartLimit, "")
	// A look at a session that is played is two calls of GetLogEvents, of which CloudWatch
	// Logs takes 25 a second (CloudWatch Logs user guide, "CloudWatch Logs quotas").
	flags.DurationVar(&o.poll, "poll", 5*time.Second, "")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if users != "" {
		o.users = strings.Split(users, ",")
	}
	var f faults.Faults
	f.Check((o.stack == "") != (o.file == ""), "-stack", o.stack, "a stack's name, or in its place -outputs with a file of `pulumi stack output --json`")
	f.Required(len(o.users) > 0, "-users", "users of the stack, as many as sessions are to be tried on a host: -users player1,player2")
	f.Each("-users", o.users, contract.UserPattern.MatchString, "users of the stack")
	f.Check(o.frames > 0, "-frames", o.frames, "more than 0 frames a second")
	for _, d := range []struct {
		flag  string
		value time.Duration
		least time.Duration
	}{{"-for", o.length, time.Second}, {"-warm-up", o.warmUp, 0}, {"-limit", o.limit, time.Second}, {"-poll", o.poll, time.Millisecond}} {
		f.Check(d.value >= d.least, d.flag, d.value, "at least "+d.least.String())
	}
	_, known := capacity.InstanceTypes[o.instanceType]
	f.Check(o.instanceType == "" || known, "-type", o.instanceType, strings.Join(capacity.Known(), ", "))
	f.Check(flags.NArg() == 0, "an argument", flags.Args(), "flags only")
	return o, f.Err("the command line")
}
