package ecs_test

import (
	"strings"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (s *onDocker) TestAStreamIsNamedAsAWSNamesIt() {
	w := s.world()
	t := task("say", "hello")
	assert.Equal(w, "definition/default/"+t.ID, w.start(t))
	w.ended()
	t = task("say", "hello")
	t.Container.LogConfiguration.Options = map[string]string{"awslogs-stream-prefix": "ada"}
	assert.Equal(w, "ada/default/"+t.ID, w.start(t))
	w.ended()
}

func (s *onDocker) TestLinesArriveWhileTheJobRuns() {
	w := s.world()
	t := task("serve", "0")
	stream := w.start(t)
	w.ready(stream) // it would wait for ever
	w.agent.Stop(t.ID)
	w.ended()
	assert.Equal(w, "ending", w.lines(stream)[len(w.lines(stream))-1])
}

func (s *onDocker) TestNoLineOfAFloodIsLostWhereTheLogBlocks() {
	w := s.world()
	t := task("flood", "60000")
	t.Container.LogConfiguration.Options = map[string]string{"mode": "blocking"}
	lines, _ := w.output(t)
	require.Len(w, lines, 60_000)
	assert.Equal(w, "line 59999", lines[59_999])
}

// `docker logs --follow` sometimes lacks such a line.
func (s *onDocker) TestALastLineWithoutAnEndIsNeverLost() {
	w := s.world()
	for range 10 {
		lines, _ := w.output(task("both"))
		require.ElementsMatch(w, []string{"out", "err", "end"}, lines)
	}
}

func (s *onDocker) TestLinesBeyondTheBufferAreDroppedWhereTheLogDoesNotBlock() {
	w := s.world()
	hold := make(chan struct{})
	w.answers["PutLogEvents"] = answer{times: 1, hold: hold}
	t := task("flood", "20000")
	t.Container.LogConfiguration.Options = map[string]string{"mode": "non-blocking", "max-buffer-size": "4k"}
	stream := w.start(t)
	w.until(w.T, "the first lines are under way", func() bool { return w.calls[len(w.calls)-1].operation == "PutLogEvents" })
	for s.containers(t) != "-" && s.cli("inspect", "-f", "{{.State.Running}}", s.containers(t)) == "true" {
		s.cli("wait", s.containers(t)) // CloudWatch Logs answers nothing, and it ends all the same
	}
	close(hold)
	exited(w.T, 0, w.ended())
	got := w.lines(stream)
	assert.NotEmpty(w, got)
	assert.Less(w, len(got), 10_000)
}

func (s *onDocker) TestALongLineIsCutBetweenLetters() {
	w := s.world()
	lines, _ := w.output(task("long", "600001"))
	require.Len(w, lines, 3)
	assert.Equal(w, "x"+strings.Repeat("é", 300_000), strings.Join(lines, ""))
}

func (s *onDocker) TestLinesAreSentAgainWhereAWSThrottlesOrFails() {
	for _, fault := range []answer{{times: 2, status: 400, code: "ThrottlingException"}, {times: 2, status: 500, code: "ServiceUnavailableException"}} {
		w := s.world()
		w.answers["PutLogEvents"] = fault
		lines, _ := w.output(task("say", "hello"))
		assert.Equal(w, []string{"hello"}, lines)
		w.agent.Close()
	}
}

func (s *onDocker) TestLogsAreWrittenWithTheExecutionRole() {
	w := s.world()
	w.output(task("say", "hello"))
	for _, operation := range []string{"CreateLogStream", "PutLogEvents"} {
		for _, key := range w.keys(operation) {
			assert.Regexp(w, "^execution-by-ecs-tasks-", key, operation)
		}
	}
}

func (s *onDocker) TestWithoutAnExecutionRoleTheHostsWritesTheLogs() {
	w := s.world()
	t := task("say", "hello")
	t.Container.ExecutionRoleARN = ""
	lines, _ := w.output(t)
	assert.Equal(w, []string{"hello"}, lines)
	assert.Regexp(w, "^host-by-ec2-", w.keys("PutLogEvents")[0])
	assert.Equal(w, []string{"admin"}, w.keys("GetInstanceProfile"))
}

func (s *onDocker) TestAMissingLogGroupStopsTheTaskFromStarting() {
	w := s.world()
	t := task("exit", "0")
	t.Container.LogConfiguration.Options = map[string]string{"awslogs-group": "/absent"}
	ending := w.refusedStart(t)
	assert.Equal(w, "Task failed to start", ending.StatusReason)
	assert.Regexp(w, "^CannotStartContainerError: Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log stream: .*", ending.Reason)
}
