package ecs_test

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/batch"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

func (s *onDocker) TestAContainerThatExitsTellsItsCodeAndNothingElse() {
	w := s.world()
	for _, code := range []string{"0", "7"} {
		t := task("exit", code)
		w.start(t)
		ending := w.ended()
		exited(w.T, int(code[0]-'0'), ending)
		assert.Empty(w, ending.Reason)
	}
}

func (s *onDocker) TestAStopIsSIGTERMAndTheContainerMayEndInOrder() {
	w := s.world()
	t := task("serve", "5")
	stream := w.start(t)
	w.ready(stream)
	w.agent.Stop(t.ID)
	w.agent.Stop(t.ID) // once is enough, twice does no harm
	exited(w.T, 5, w.ended())
	assert.Contains(w, w.lines(stream), "ending")
}

func (s *onDocker) TestAContainerThatDefiesSIGTERMIsKilledAfterTheHostsTimeout() {
	w := s.world()
	w.host("i-2", 2*time.Second)
	t := task("defy")
	t.HostID = "i-2"
	stream := w.start(t)
	w.ready(stream)
	began := time.Now()
	w.agent.Stop(t.ID)
	exited(w.T, 137, w.ended())
	assert.Equal(w, []string{"ready", "defied"}, w.lines(stream))
	assert.GreaterOrEqual(w, time.Since(began), 1900*time.Millisecond)
	assert.Less(w, time.Since(began), 20*time.Second)
}

func (s *onDocker) TestATaskThatIsStoppedBeforeItStartedNeverStarts() {
	w := s.world()
	hold := make(chan struct{})
	defer close(hold)
	w.answers["GetSecretValue"] = answer{hold: hold}
	t := task("exit", "0")
	t.Container.Secrets = []batch.Secret{{Name: "S", ValueFrom: secretARN("s")}}
	w.agent.Run(t, w)
	w.until(w.T, "the secret is asked for", func() bool { return len(w.calls) > 0 })
	w.agent.Stop(t.ID)
	ending := w.ended()
	assert.Nil(w, ending.ExitCode)
	assert.NotContains(w, ending.Reason, "CannotPullContainerError", "nothing failed")
}

func (s *onDocker) TestAHostThatIsTakenAwayTakesItsContainersAndTellsNothing() {
	w := s.world()
	w.host("i-2", time.Minute)
	lost, kept := task("serve", "0"), task("serve", "3")
	kept.HostID = "i-2"
	gone := w.serving(lost)["AWS_EC2_METADATA_SERVICE_ENDPOINT"]
	w.serving(kept)
	w.agent.StopHost("i-1")
	assert.Eventually(w, func() bool { return s.containers(lost) == "-" && closed(gone) }, 10*time.Second, 50*time.Millisecond)
	w.agent.Stop(kept.ID)
	exited(w.T, 3, w.ended()) // of the other host's task, and nothing before it
	select {
	case e := <-w.told:
		w.Fatalf("told of a lost task: %+v", e)
	default:
	}
}

func closed(url string) bool {
	connection, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err == nil {
		connection.Close()
	}
	return err != nil
}

// containers returns a task's containers, by id; "-" if there is none.
func (s *onDocker) containers(t batch.Task) string {
	if id := s.cli("ps", "-aq", "--filter", "label=com.amazonaws.ecs.task-arn="+t.ARN); id != "" {
		return id
	}
	return "-"
}

func (s *onDocker) TestAHostThatLeavesDoesNotWaitForASlowCloudWatch() {
	w := s.world()
	hold := make(chan struct{})
	defer close(hold)
	t := task("serve", "0")
	stream := w.start(t)
	w.ready(stream)
	w.mu.Lock()
	w.answers["PutLogEvents"] = answer{hold: hold}
	w.mu.Unlock()
	w.agent.Stop(t.ID) // its last line is not read any more
	w.until(w.T, "the last words are under way", func() bool {
		return len(w.streams[stream]) > 0 && w.calls[len(w.calls)-1].operation == "PutLogEvents" && strings.Contains(w.calls[len(w.calls)-1].body, "ending")
	})
	began := time.Now()
	w.agent.Close()
	assert.Less(w, time.Since(began), 10*time.Second)
}

func (s *onDocker) TestAnEndedContainerIsRemovedBeforeItsEndIsTold() {
	w := s.world()
	t := task("exit", "0")
	w.start(t)
	w.ended()
	assert.Equal(w, "-", s.containers(t))
}

func (s *onDocker) TestATaskOfAHostThatIsGoneDoesNotStart() {
	w := s.world()
	w.agent.StopHost("i-1")
	w.agent.Run(task("exit", "0"), w)
	w.agent.Close()
	assert.Empty(w, w.told)
}

func (s *onDocker) TestCloseLeavesOtherContainersAlone() {
	w := s.world()
	other := s.cli("run", "-d", "--network", "host", "--label", local.Label+"=of-another", testImage, "serve", "0")
	defer s.cli("rm", "-f", other)
	w.serving(task("serve", "0"))
	w.agent.Close()
	assert.Equal(w, "true", s.cli("inspect", "-f", "{{.State.Running}}", other))
	out, err := local.Docker(context.Background(), s.docker, "ps", "-q", "--filter", "label="+local.Label+"=of-the-test").Output()
	require.NoError(w, err)
	assert.Empty(w, string(out))
}
