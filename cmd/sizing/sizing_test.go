package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/compute/sizing"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/chart"
	"github.com/intraverse/dcv-sessions/launch"
)

func TestOneSessionIsMeasuredThenTwoUntilTheUsersRunOut(t *testing.T) {
	c := newStack()
	s := c.study(t, "ann", "bob", "cat")
	var said bytes.Buffer
	s.progress = &said
	r, err := s.run(t.Context())
	require.NoError(t, err)
	require.Len(t, r.Levels, 3)
	assert.Equal(t, []launch.Resources{
		{VCPUs: 4, MemoryMiB: 15532}, {VCPUs: 2, MemoryMiB: 7766}, {VCPUs: 2, MemoryMiB: 7766}, {VCPUs: 1, MemoryMiB: 5177}, {VCPUs: 1, MemoryMiB: 5177}, {VCPUs: 1, MemoryMiB: 5177},
	}, c.reserved, "parts of the host")
	assert.Equal(t, []string{"ann", "ann", "ann", "bob", "bob", "cat"}, c.ended)
	for i, l := range r.Levels {
		assert.Equal(t, i+1, l.Sessions)
		assert.Empty(t, l.Limit)
		require.Len(t, l.Played, i+1)
		for _, p := range l.Played {
			assert.GreaterOrEqual(t, len(p.Usage), 20, "ten minutes")
		}
	}
	require.NotNil(t, r.Recommendation)
	assert.Equal(t, 3, r.Recommendation.SessionsPerHost)
	assert.Contains(t, r.Recommendation.Thin, "more than 3 sessions at once were not measured: it may be possible to have more")
	assert.Equal(t, []Setting{
		{"dcv-sessions:compute.instanceTypes", "[g6.xlarge]"}, {"dcv-sessions:session.perGpu", "3"}, {"dcv-sessions:session.vcpus", "1"}, {"dcv-sessions:session.memoryMib", "5177"},
	}, r.Settings)
	for _, line := range []string{"2 sessions: starting, each with 2 vCPUs and 7766 MiB\n", "ann        warm-up          60 frames/s, 0.70 cores, 1000 MiB\n", "ann        5m0s of 10m0s"} {
		assert.Contains(t, said.String(), line)
	}
}

func TestItStopsAtTheFirstNumberThatMissesTheGoal(t *testing.T) {
	for limit, usage := range map[string]func(n int) contract.Usage{
		sizing.LimitFrames:   func(n int) contract.Usage { return figures(70-20*float64(n), 0.5, 1000) },
		contract.LimitMemory: func(n int) contract.Usage { return figures(60, 0.5, 1000+1850*float64(n)) },
		contract.LimitVCPUs:  func(n int) contract.Usage { return figures(60, 0.3*float64(n)+0.3, 1000) },
	} {
		c := newStack()
		c.usage = usage
		r, err := c.study(t, "ann", "bob", "cat", "dan").run(t.Context())
		require.NoError(t, err, limit)
		require.Len(t, r.Levels, 3, limit)
		assert.Equal(t, limit, r.Levels[2].Limit)
		assert.Equal(t, 2, r.Recommendation.SessionsPerHost, limit)
		assert.Empty(t, c.live)
	}
}

func TestMeasurementsCountAfterTheWarmUpWithAllPlayers(t *testing.T) {
	c := newStack()
	s := c.study(t, "ann", "bob")
	m := newMeter(s, s.users)
	add := func(user string, e contract.Event) { m.add(user, logged(e)) }
	at := func(d time.Duration, e contract.Event) contract.Event {
		e.Time = began.Add(d).Format(contract.TimeFormat)
		return e
	}
	one, none := 1, 0
	add("ann", at(0, contract.Event{Event: contract.EventPlayers, Count: &one}))
	add("ann", measured(2*time.Minute, figures(1, 1, 1)))
	add("bob", at(2*time.Minute, contract.Event{Event: contract.EventPlayers, Count: &none}))
	assert.True(t, m.begin().IsZero(), "bob does not play")
	add("bob", at(3*time.Minute, contract.Event{Event: contract.EventPlayers, Count: &one}))
	add("bob", at(4*time.Minute, contract.Event{Event: contract.EventPlayers, Count: &one}))
	assert.Equal(t, began.Add(4*time.Minute), m.begin())
	for _, user := range s.users {
		add(user, measured(4*time.Minute+29*time.Second, figures(2, 2, 2))) // a second before it
		add(user, measured(4*time.Minute+30*time.Second, figures(3, 3, 3)))
		list, sum := m.counted(user)
		assert.Equal(t, []contract.Usage{figures(3, 3, 3)}, list)
		assert.Equal(t, 30*time.Second, sum)
	}
	m.add("ann", launch.LogLine{Message: "a line of a game"})
	select {
	case <-m.full:
		t.Error("half a minute is not enough")
	default:
	}
}

func TestWhatCannotBeMeasuredIsRefusedBeforeAnythingStarts(t *testing.T) {
	for name, of := range map[string]struct {
		change func(*stack, *study)
		want   []string
	}{
		"a GPU for each session": {func(c *stack, _ *study) { c.definition.GPUs = 1 }, []string{
			"dcv-sessions:session.perGpu is 1; allowed: at least 2, with dcv-sessions:session.vcpus at most 2 and dcv-sessions:session.memoryMib at most 7766: " +
				"now each session reserves 1 GPU, a g6.xlarge has 1"}},
		"more users than vCPUs": {func(_ *stack, s *study) { s.users = []string{"ann", "bob", "cat", "dan", "ann"} }, []string{"-users has 5; allowed: at most 4, the vCPUs of a g6.xlarge"}},
		"more users than ports": {func(_ *stack, s *study) { s.stack.Ports.Last = s.stack.Ports.First }, []string{
			"-users has 2; allowed: at most 1, the ports of the stack. It has a port for each session of a host: with dcv-sessions:session.vcpus at most 2"}},
		"no measurements":             {func(c *stack, _ *study) { c.definition.Usage = 0 }, []string{"dcv-sessions:session.usageSeconds is 0; allowed: at least 5"}},
		"less than a measurement":     {func(_ *stack, s *study) { s.length = 10 * time.Second }, []string{"-for is 10s; allowed: at least 30s"}},
		"longer than a session lasts": {func(c *stack, _ *study) { c.definition.Max = 11 * time.Minute }, []string{"-warm-up and -for are 11m0s; allowed: at most 10m0s"}},
		"an unknown user":             {func(_ *stack, s *study) { s.users[1] = "eve" }, []string{`no user "eve": the stack has ann, bob, cat, dan`}},
		"an unknown type":             {func(_ *stack, s *study) { s.instanceType = "m5.large" }, []string{"m5.large is not in the table"}},
		"a stack of long ago":         {func(_ *stack, s *study) { s.stack.Capacity = nil }, []string{`no "capacity"`}},
		"users who play, and more": {func(c *stack, _ *study) {
			c.definition.GPUs, c.definition.Usage = 1, 0
			c.other = []launch.Session{{User: "bob", State: "RUNNING", JobID: "job-1"}, {User: "cat", State: "RUNNING"}}
		}, []string{"3 faults", "session.perGpu is 1", "session.usageSeconds is 0",
			"bob has a session (RUNNING, job job-1); allowed: users without one. To end it: make session-end STACK=dev PLAYER=bob"}},
	} {
		c := newStack()
		s := c.study(t, "ann", "bob")
		of.change(c, s)
		r, err := s.run(t.Context())
		for _, want := range of.want {
			assert.ErrorContains(t, err, want, name)
		}
		assert.Empty(t, r.Levels)
		assert.Empty(t, c.reserved, "%s: nothing was started", name)
	}
}

func TestAHostWithSeveralGPUsCarriesASessionForEach(t *testing.T) {
	c := newStack()
	c.definition.GPUs, c.hostType = 1, "g6.12xlarge"
	s := c.study(t, "ann", "bob", "cat", "dan")
	s.instanceType = "g6.12xlarge"
	r, err := s.run(t.Context())
	require.NoError(t, err)
	assert.Len(t, r.Levels, 4)
}

func TestFlagsAreCheckedAtOnce(t *testing.T) {
	_, err := parse([]string{"-users", "ann,Bob,ann", "-frames", "0", "-for", "0s", "-warm-up", "-1s", "-type", "m5.large", "-poll", "0", "more"})
	for _, want := range []string{
		`-stack is ""; allowed: a stack's name`, `-users[1] is "Bob"; allowed: users of the stack, each once`, `-users[2] is "ann"`, "-frames is 0; allowed: more than 0",
		"-for is 0s; allowed: at least 1s", "-warm-up is -1s; allowed: at least 0s", `-type is "m5.large"; allowed: g4dn.12xlarge, `, "-poll is 0s", `an argument is ["more"]`,
	} {
		assert.ErrorContains(t, err, want)
	}
	_, err = parse([]string{"-stack", "dev"})
	assert.ErrorContains(t, err, "-users is not set")
	o, err := parse([]string{"-stack", "dev", "-users", "ann,bob"})
	require.NoError(t, err)
	assert.Equal(t, options{
		stack: "dev", users: []string{"ann", "bob"}, frames: 30, length: 10 * time.Minute, warmUp: time.Minute, limit: launch.DefaultStartLimit, poll: 5 * time.Second,
	}, o)
}

func TestASessionThatEndsByItselfIsAResult(t *testing.T) {
	for limit, ending := range map[string]launch.Session{
		contract.LimitMemory: {User: "bob", JobID: "job-bob", Reason: "the session used more than session.memoryMib", OutOfMemory: true},
		sizing.LimitFaults:   {User: "bob", JobID: "job-bob", Reason: "the game failed"},
	} {
		c := newStack()
		c.ending = func(user string, n int) *launch.Session {
			if user == "bob" && n == 2 {
				return &ending
			}
			return nil
		}
		r, err := c.study(t, "ann", "bob", "cat").run(t.Context())
		require.NoError(t, err, limit)
		require.Len(t, r.Levels, 2, limit)
		assert.Equal(t, limit, r.Levels[1].Limit)
		assert.Equal(t, &Ended{User: "bob", JobID: "job-bob", Reason: ending.Reason, OutOfMemory: ending.OutOfMemory}, r.Levels[1].Ended)
		assert.Equal(t, 1, r.Recommendation.SessionsPerHost)
		assert.Empty(t, c.live, "the other one was ended")
		assert.Contains(t, r.text(), "With 2 sessions at once that of bob ended (job job-bob): "+ending.Reason)
	}
}

func TestASessionWithoutMemoryForItsStartIsAResult(t *testing.T) {
	c := newStack()
	c.startFault = func(user string, n int) (launch.Session, error) {
		if n < 2 {
			return launch.Session{}, nil
		}
		return launch.Session{User: user, JobID: "job", New: true, OutOfMemory: true, Reason: "memory"}, &launch.Failed{User: user}
	}
	r, err := c.study(t, "ann", "bob").run(t.Context())
	require.NoError(t, err)
	require.Len(t, r.Levels, 2)
	assert.Equal(t, contract.LimitMemory, r.Levels[1].Limit)
	assert.Empty(t, c.live)

	c.startFault = func(user string, n int) (launch.Session, error) {
		if n < 2 {
			return launch.Session{}, nil
		}
		return launch.Session{User: user, JobID: "job", New: true, Reason: "no image"}, &launch.Failed{User: user, Words: "the host can't pull the image"}
	}
	r, err = c.study(t, "ann", "bob").run(t.Context())
	assert.ErrorContains(t, err, "can't pull the image", "any other failure is a fault")
	assert.Equal(t, launch.CodeFailed, launch.ExitCode(err))
	assert.Len(t, r.Levels, 1, "the first is reported")
	assert.Contains(t, r.Stopped, "with 2 sessions: ")
	assert.Empty(t, c.live)
}

func TestAnInterruptEndsTheSessionsAndReportsTheLevelsBefore(t *testing.T) {
	c := newStack()
	ctx, interrupt := context.WithCancel(t.Context())
	s := c.study(t, "ann", "bob", "cat")
	c.usage = func(n int) contract.Usage {
		u := figures(60, 0.5, 1000)
		if n == 2 {
			u.Seconds = 0.01 // it would take long
			interrupt()
		}
		return u
	}
	r, err := s.run(ctx)
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, launch.CodeInterrupted, launch.ExitCode(err))
	assert.Len(t, r.Levels, 1)
	assert.NotNil(t, r.Recommendation)
	assert.Empty(t, c.live)
	assert.Equal(t, []string{"ann", "ann", "bob"}, c.ended)
}

func TestSessionsOfALevelAreOnOneHostOfTheExpectedSize(t *testing.T) {
	for name, of := range map[string]struct {
		change func(*stack, *study)
		want   string
	}{
		"two hosts":    {func(c *stack, _ *study) { c.host = func(user string) string { return "arn:host-of-" + user } }, "they are on 2 hosts (arn:host-of-ann, arn:host-of-bob)"},
		"another size": {func(c *stack, _ *study) { c.hostType = "g6.2xlarge" }, "the host is a g6.2xlarge, and the sessions have parts of a g6.xlarge: name the type that AWS has, by -type g6.2xlarge"},
		"no name":      {func(c *stack, _ *study) { c.hostType = "" }, "name the type by -type"},
	} {
		c := newStack()
		s := c.study(t, "ann", "bob")
		of.change(c, s)
		_, err := s.run(t.Context())
		assert.ErrorContains(t, err, of.want, name)
		assert.Empty(t, c.live, name)
	}
	c := newStack()
	c.hostType = "g5.xlarge" // as large as the g6.xlarge that AWS Batch prefers
	r, err := c.study(t, "ann", "bob").run(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "g5.xlarge", r.InstanceType)
	assert.Equal(t, "g5.xlarge", r.Recommendation.InstanceType)
}

func TestSomebodyElsesSessionIsLeftAlone(t *testing.T) {
	c := newStack()
	c.startFault = func(user string, _ int) (launch.Session, error) {
		return launch.Session{User: user, JobID: "theirs"}, nil
	}
	_, err := c.study(t, "ann").run(t.Context())
	assert.ErrorContains(t, err, "ann began to play meanwhile")
	assert.Empty(t, c.ended)
}

func TestAStudyThatCannotGoOnSaysWhy(t *testing.T) {
	broken := errors.New("the sign-in was refused")
	for want, change := range map[string]func(*stack, *study){
		"ann is not played any more: the sign-in was refused": func(c *stack, s *study) {
			c.lines = []contract.Event{{Event: contract.EventStarting}}
			s.play, s.patience = func(context.Context, launch.Session, contract.Credentials) error { return broken }, 10*time.Millisecond
		},
		"ann is not played any more: its browser has stopped": func(c *stack, s *study) {
			c.lines = []contract.Event{{Event: contract.EventStarting}}
			s.play, s.patience = func(context.Context, launch.Session, contract.Credentials) error { return nil }, 10*time.Millisecond
		},
		"no measurement came from ann": func(c *stack, s *study) {
			c.lines = []contract.Event{{Event: contract.EventStarting}}
			c.definition.Usage, s.length, s.warmUp, s.patience = time.Millisecond, 5*time.Millisecond, 0, 10*time.Millisecond
		},
		"the session of ann lost its host and was started again": func(c *stack, _ *study) {
			c.lines = []contract.Event{{Event: contract.EventStarting}, {Event: contract.EventStarting}}
		},
	} {
		c := newStack()
		s := c.study(t, "ann")
		change(c, s)
		_, err := s.run(t.Context())
		assert.ErrorContains(t, err, want)
		assert.Empty(t, c.live, want)
	}
}

var update = flag.Bool("update", false, "write the expected reports anew")

// reports are two: one with figures of a GPU, and a broken one.
func reports(t *testing.T) map[string]Report {
	t.Helper()
	gpu := newStack()
	gpu.usage = func(n int) contract.Usage {
		u, at := figures(75-15*float64(n), 0.6, 1500), float64(n)
		value := func(v float64) *float64 { return &v }
		u.GPUPercent, u.GPUMemoryMiB, u.EncoderPercent, u.RoundTripMilliseconds = value(24*at), value(3000*at), value(12*at), value(23.4)
		return u
	}
	broken := newStack()
	broken.ending = func(user string, _ int) *launch.Session {
		return &launch.Session{User: user, JobID: "job-1", Reason: "the game failed"}
	}
	all := map[string]Report{}
	for name, c := range map[string]*stack{"shared": gpu, "broken": broken} {
		c.measures = 4
		s := c.study(t, "ann", "bob", "cat", "dan")
		s.length = time.Minute
		r, err := s.run(t.Context())
		require.NoError(t, err)
		all[name] = r
	}
	return all
}

func TestReportsReadWell(t *testing.T) {
	for name, r := range reports(t) {
		text, err := r.json()
		require.NoError(t, err)
		for file, got := range map[string]string{name + ".txt": r.text(), name + ".md": r.markdown(), name + ".json": string(text)} {
			file = filepath.Join("testdata", file)
			if *update {
				require.NoError(t, os.MkdirAll("testdata", 0o755))
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		}
	}
}

func TestTheSameMeasurementsAreTheSameFiles(t *testing.T) {
	write := func() map[string]string {
		files := map[string]string{}
		for name, r := range reports(t) {
			folder := filepath.Join(t.TempDir(), "a", "b")
			var out bytes.Buffer
			require.NoError(t, r.write(folder, &out))
			assert.Equal(t, r.text()+"\n"+folder+"\n", out.String())
			for _, file := range []string{"sizing.json", "sizing.md", "sizing.png"} {
				text, err := os.ReadFile(filepath.Join(folder, file))
				require.NoError(t, err)
				files[name+file] = string(text)
			}
		}
		return files
	}
	first := write()
	assert.Equal(t, first, write())
	assert.Equal(t, "\x89PNG", first["sharedsizing.png"][:4])
	_, err := chart.PNG(Report{Levels: []Level{{Sessions: 1}}}.charts()...)
	assert.NoError(t, err, "without a measurement")
}
