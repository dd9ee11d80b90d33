package e2e

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/outputs"
)

// TestOneStackThroughItsLife runs in order, on one stack: a local AWS, an `up` from nothing
// and a `destroy` take half a minute. Steps that change the configuration leave the stack
// changed if the next one begins with that.
func TestOneStackThroughItsLife(t *testing.T) {
	t.Setenv("DCV_BUILDER_MINUTE", builderMinute)
	t.Setenv("DCV_EVENT_RETRY", eventRetry)
	t.Setenv("DCV_ALARM_MINUTE", alarmMinute)
	s := newSandbox(t)
	s.downAtEnd(t)
	base := s.committed(t).with(map[string]any{"session.graceSeconds": 10}) // the shortest: a step waits for it

	step := steps(t)

	var before map[string]int
	step("three faults in one configuration are refused in one run, before anything exists", func(t *testing.T) {
		s.deploy(t, "preview", base)
		before = s.aws(t).everything(t)
		bad := base.with(map[string]any{"session.firstPort": 80, "session.attempts": 99, "registry.keep": 0})
		out, err := s.run(t, "up", "-config", bad.write(t, s.dir))
		require.Error(t, err)
		for _, key := range []string{"session.firstPort", "session.attempts", "registry.keep"} {
			assert.Contains(t, out, contract.Product+":"+key)
		}
		out, err = s.run(t, "preview", "-config", base.with(map[string]any{
			"session.memoryMib": "lots", "session.privileged": "perhaps", "sesion.idleMinutes": 5, "registry.keep": 0,
		}).write(t, s.dir))
		require.Error(t, err)
		for _, fault := range []string{ // the engine's own check would name one of these types and nothing else
			`session.memoryMib is "lots"; allowed: a whole number from 128 to 1572864`,
			`session.privileged is "perhaps"; allowed: true or false`,
			"sesion.idleMinutes is no known key; nearest: " + contract.Product + ":session.idleMinutes",
			"registry.keep is 0; allowed: a whole number from 2 to 1000",
		} {
			assert.Contains(t, out, contract.Product+":"+fault)
		}
		assert.Equal(t, before, s.aws(t).everything(t))
	})

	step("a stack that an earlier release deployed is updated without a replacement", func(t *testing.T) { s.updateEarlierRelease(t, base) })

	step("a run that is killed in the middle is completed by the next", func(t *testing.T) { s.completeKilledRuns(t, base) })

	var deployed outputs.Outputs
	step("up from nothing deploys the stack, after everything was killed", func(t *testing.T) {
		r := s.killCloud(t, base)
		deployed = stackOutputs(t, r.Outputs)
		assert.NotEmpty(t, r.Changed())
		assert.Len(t, r.Changed(), r.Changes["create"], "a first up creates and does nothing else: no state of the cloud that is gone was used")
	})

	step("AWS shows what was promised", func(t *testing.T) { s.inspect(t, deployed) })

	step("web pages, other users and privileged containers find no way in", func(t *testing.T) { s.refuseVisitors(t, deployed) })

	step("a preview's summary tells a reviewer what changes", func(t *testing.T) { s.previewSummary(t, base) })

	// Both mostly wait. No session that is started by hand can raise an alarm: its log is in
	// no log group. Later steps have sessions that are started again, which is a cause.
	step("side by side", func(t *testing.T) {
		t.Run("alarms", func(t *testing.T) {
			t.Parallel()
			step := steps(t)
			step("every alarm is raised by its cause, and by nothing else", func(t *testing.T) { s.raiseAlarms(t, deployed) })
		})
		t.Run("sessions by hand", func(t *testing.T) {
			t.Parallel()
			step := steps(t)
			step("the session image keeps its promises", func(t *testing.T) { s.inspectImage(t, deployed) })
			step("the image for DCV is built from its packages and plays", func(t *testing.T) { s.inspectDCVImage(t, deployed) })
			step("a player sees it in a browser", func(t *testing.T) { s.browse(t, deployed) })
		})
	})

	step("two sessions of the queue are played in browsers at once", func(t *testing.T) { s.browseQueued(t, deployed) })

	step("the launcher starts, finds and ends sessions", func(t *testing.T) { s.launchSessions(t, deployed) })

	step("operators see the launcher's sessions in the status and in the month's use", func(t *testing.T) { s.operate(t, deployed) })

	step("a job that overrides its variables gains nothing", func(t *testing.T) { s.overrideVariables(t, deployed) })

	step("the dashboard is drawn with its graphs and tables, by day, by night and on a phone", func(t *testing.T) { s.drawDashboard(t, base, deployed) })

	step("a player does not reach the host's credentials, and the supervisor does", func(t *testing.T) { s.attackHost(t) })

	step("a second up changes nothing and no password", func(t *testing.T) {
		password := s.aws(t).password(t, deployed, "player1")
		assert.Empty(t, changes(s.deploy(t, "up", base)))
		assert.Equal(t, password, s.aws(t).password(t, deployed, "player1"))
	})

	step("an upload starts the workflow", func(t *testing.T) { s.startWorkflows(t, deployed) })

	step("a new game build goes all the way to the queue, and running sessions are left in peace", func(t *testing.T) { s.deliver(t, base, deployed) })

	step("images are built on the builder", func(t *testing.T) {
		s.buildOnBuilder(t, base, deployed)
		s.deploy(t, "up", base)
	})

	step("another team's program reads the stack by StackReference", func(t *testing.T) {
		consumer := config{"config": map[string]any{"dcv-consumer:stack": "organization/dcv-sessions/sandbox", "dcv-consumer:user": "player1"}}
		r := s.deploy(t, "up", consumer, "-program", "consumer")
		assert.Equal(t, deployed.QueueARN, r.Outputs["queueArn"])
		assert.Equal(t, deployed.JobDefinitions["player1"], r.Outputs["jobDefinition"])
	})

	step("one more user adds that user's resources and touches nobody else's", func(t *testing.T) {
		users := maps.Clone(base["config"].(map[string]any)["dcv-sessions:users"].(map[string]any))
		users["player4"] = map[string]any{}
		got := changes(s.deploy(t, "up", base.with(map[string]any{"users": users})))
		assert.Equal(t, []string{
			"create aws:batch/jobDefinition:JobDefinition sessions-player4",
			"create aws:secretsmanager/secret:Secret secrets-player4-credentials",
		}, got)
		assert.Len(t, changes(s.deploy(t, "up", base)), 2, "and without the user both go")
	})

	step("a port range elsewhere changes the rules and the job definitions only, and disconnects nobody", func(t *testing.T) { s.changePorts(t, base) })

	otherType := base.with(map[string]any{"compute.instanceTypes": []string{"g5.xlarge"}})
	step("another instance type updates the environment in place", func(t *testing.T) {
		got := changes(s.deploy(t, "up", otherType))
		assert.Equal(t, []string{"update aws:batch/computeEnvironment:ComputeEnvironment hosts"}, got)
	})

	step("a change of the hosts waits for who plays on the old ones", func(t *testing.T) { s.changeHosts(t, otherType, base) })

	var second string
	step("a new image is a new revision a user and nothing else", func(t *testing.T) {
		r := s.deploy(t, "up", base.with(map[string]any{"image.version": "two"}))
		second = stackOutputs(t, r.Outputs).ImageURI
		assert.NotEqual(t, deployed.ImageURI, second)
		assert.Equal(t, append(updatedDefinitions(), "update docker:index/image:Image image"), changes(r))
	})

	step("an earlier image comes back by image.use, and nothing is built", func(t *testing.T) {
		r := s.deploy(t, "up", base.with(map[string]any{"image.use": deployed.ImageURI}))
		assert.Equal(t, deployed.ImageURI, stackOutputs(t, r.Outputs).ImageURI)
		for _, c := range changes(r) {
			assert.True(t, strings.HasPrefix(c, "update aws:batch/jobDefinition:JobDefinition ") || strings.HasPrefix(c, "delete "), c)
		}
		r = s.deploy(t, "up", base.with(map[string]any{"image.use": second}))
		assert.Equal(t, second, stackOutputs(t, r.Outputs).ImageURI)
		assert.Equal(t, updatedDefinitions(), changes(r), "and forth again")
	})

	step("an image that does not exist is refused at preview", func(t *testing.T) {
		repository, _, _ := strings.Cut(deployed.ImageURI, "@")
		for _, missing := range []string{repository + "@sha256:" + strings.Repeat("0", 64), "no-such-tag"} {
			out, err := s.run(t, "preview", "-config", base.with(map[string]any{"image.use": missing}).write(t, s.dir))
			require.Error(t, err, missing)
			assert.Contains(t, out, "image", missing)
		}
	})

	step("a released image starts sessions after more pushes than the repository keeps", func(t *testing.T) {
		s.keepReleased(t, base.with(map[string]any{"image.use": second}))
	})

	var beside *neighbour
	step("a second stack in the account shares nothing with the first", func(t *testing.T) {
		beside = s.deployBeside(t, base, base.with(map[string]any{"image.use": second, "registry.keep": 2}), deployed)
	})

	granted := s.aws(t).grantedActions(t)

	step("destroy is refused while somebody plays, ends the session when told to, and leaves the local AWS and the registry as they were", func(t *testing.T) {
		s.destroyWhilePlaying(t, base)
		before["<RoleName>"]++ // AWS Batch's own, which belongs to the account
		for kind, count := range beside.has {
			before[kind] += count
		}
		assert.Equal(t, before, s.aws(t).everything(t))
	})

	step("and the second stack's session goes on", func(t *testing.T) { beside.goesOn(t) })

	step("AWS's API models allow every call that was made", func(t *testing.T) { s.allAllowed(t) })

	step("every grant of the stack's roles was used by a step, or a table says why not", func(t *testing.T) { s.allExercised(t, granted) })

	step("down leaves no container, process or file", func(t *testing.T) {
		cloud := s.cloud(t)
		out, err := s.run(t, "down")
		require.NoError(t, err, out)
		for _, p := range cloud.Processes {
			assert.False(t, p.Alive(), "%s (pid %d) still runs", p.Name, p.PID)
		}
		left, err := filepath.Glob(filepath.Join(s.tree.State, "starts", "*"))
		require.NoError(t, err)
		assert.Empty(t, left)
	})
}

func updatedDefinitions() []string {
	var list []string
	for _, user := range []string{"player1", "player2", "player3"} {
		list = append(list, "update aws:batch/jobDefinition:JobDefinition sessions-"+user)
	}
	return list
}

// stackOutputs reads a run's outputs as a consumer does.
func stackOutputs(t *testing.T, all map[string]any) outputs.Outputs {
	t.Helper()
	text, err := json.Marshal(all)
	require.NoError(t, err)
	out, err := outputs.Parse(text)
	require.NoError(t, err)
	return out
}
