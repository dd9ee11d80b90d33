package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/batch"
	"github.com/aws/aws-sdk-go-v2/service/batch/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
)

// failedGame is the user whose game fails, and failedContainer the one whose container is
// killed.
const failedGame, failedContainer = "player2", "player3"

// failGame kills a session's game. The session writes its last event, and the alarm's
// message reads well.
func (s *sandbox) failGame(t *testing.T, team *mailbox) {
	s.containerOf(t, failedGame).kill("gpu-run")
	subject, body, _ := strings.Cut(team.await(t, "failed-game"), "\n")
	assert.Equal(t, `ALARM: "dcv-sessions_sandbox_failed-game" in US East (N. Virginia)`, subject)
	var m struct{ AlarmDescription, NewStateReason, StateChangeTime string }
	require.NoError(t, json.Unmarshal([]byte(body), &m))
	assert.True(t, strings.HasPrefix(m.AlarmDescription, "A session ended with exit code 66, game: the game failed: see its last lines in the log."+
		" The player saw an error page, and has to start again. Stack: sandbox. Runbook: https://github.com/"), m.AlarmDescription)
	assert.True(t, strings.HasSuffix(m.AlarmDescription, "/docs/operations.md#alarm-failed-game"), m.AlarmDescription)
	assert.Contains(t, m.NewStateReason, "Threshold Crossed: 1 ")
	assert.NotEmpty(t, m.StateChangeTime)
}

// killContainer kills a session's container as the kernel does if the host lacks memory.
// The session has no last event, so AWS Batch's is the message.
func (s *sandbox) killContainer(t *testing.T, team *mailbox) {
	s.docker(t, "kill", s.containerOf(t, failedContainer).id)
	assert.Regexp(t, `^"The session dcv-sessions_sandbox_player3 failed at \S+Z with exit code 137 \(AWS Batch's reason: Essential container in task exited\)\.`+
		` The player has to start again\. Stack: sandbox\. Runbook: https://\S+/docs/operations\.md#alarm-failed-otherwise"$`, team.await(t, "failed-otherwise"))
	assert.NotContains(t, s.sessions(t), failedContainer)
}

// refuseSoftware starts a session that gets no GPU and may not be rendered without one.
func (s *sandbox) refuseSoftware(t *testing.T, out outputs.Outputs, team *mailbox) {
	c := s.aws(t)
	revision := c.registerChanged(t, out, "player1", func(p *types.ContainerProperties) {
		setSealed(p, contract.EnvSoftwareRendering, "false")
		p.ResourceRequirements = slices.DeleteFunc(p.ResourceRequirements, func(r types.ResourceRequirement) bool { return r.Type == types.ResourceTypeGpu })
	})
	_, stderr, code := s.launch(t, "start", "--limit", "1m", "player1")
	_, err := c.batch.DeregisterJobDefinition(t.Context(), &batch.DeregisterJobDefinitionInput{JobDefinition: &revision})
	require.NoError(t, err)
	assert.Equal(t, launch.CodeFailed, code)
	assert.Contains(t, stderr, "rendered without the GPU")
	assert.Contains(t, team.await(t, "failed-software-rendering"), "A session ended with exit code 67, software-rendering: ")
}

// setSealed sets a variable of a job definition, and its seal.
func setSealed(p *types.ContainerProperties, name, value string) {
	all := map[string]string{}
	for i, v := range p.Environment {
		if *v.Name == name {
			p.Environment[i].Value = &value
		}
		all[*v.Name] = *p.Environment[i].Value
	}
	for _, secret := range p.Secrets {
		all[*secret.Name] = ""
	}
	for i, secret := range p.Secrets {
		if strings.HasPrefix(*secret.Name, contract.EnvSeal) {
			p.Secrets[i].Name = aws.String(contract.Seal(all))
		}
	}
}
