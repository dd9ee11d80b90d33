package e2e

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// neighbour is a second stack in the account, with a session that is being played.
type neighbour struct {
	*sandbox
	config   config
	out      outputs.Outputs
	has      map[string]int // the number of resources that it added to the account, by kind
	playing  launch.Session
	password string
}

// deployBeside deploys a second stack with the first one's users, names and ports,
// and starts a session in it. The account's provider for GitHub is the first one's.
func (s *sandbox) deployBeside(t *testing.T, base, first config, deployed outputs.Outputs) *neighbour {
	c := s.aws(t)
	alone := c.everything(t)
	of := *s
	of.stack = "second"
	n := &neighbour{sandbox: &of, config: base.with(map[string]any{
		"delivery.createOidcProvider": false, "session.perGpu": 2, "session.vcpus": 2, "session.usageSeconds": 6, // longer than the pause between counts of frames
	})}
	step := steps(t)

	step("it deploys as it stands", func(t *testing.T) {
		r := n.deploy(t, "up", n.config)
		assert.Len(t, r.Changed(), r.Changes["create"])
		n.out = stackOutputs(t, r.Outputs)
		n.has = c.everything(t)
		for kind, count := range alone {
			n.has[kind] -= count
		}
	})
	step("of all names only the Region's is the same", func(t *testing.T) {
		theirs := names(n.out)
		var shared []string
		for _, name := range names(deployed) {
			if slices.Contains(theirs, name) {
				shared = append(shared, name)
			}
		}
		assert.Equal(t, []string{local.Region}, shared)
	})
	step("nothing of the first changes", func(t *testing.T) { assert.Empty(t, changes(s.deploy(t, "preview", first))) })
	step("its roles have no rights in the first", func(t *testing.T) {
		defer c.endJobs(t, deployed, "rights")
		ours, foreign, untagged := c.submitTagged(t, deployed, "sandbox"), c.submitTagged(t, deployed, "other"), c.submitTagged(t, deployed, "")
		s.tryUses(t, uses(deployed, ours, foreign, untagged), n.roleConfigs(t, n.out), func(u use, role string) bool {
			return slices.Contains(u.roles, role) && slices.Contains(accountWide[u.name], role)
		})
	})
	step("sizing measures one session of the game and then two at once, on one host", func(t *testing.T) { n.size(t) })
	step("a user of the same name plays there", func(t *testing.T) {
		n.playing, n.password = n.session(t, "start", "player1"), c.password(t, n.out, "player1")
		assert.True(t, answers(n.playing.URL))
		assert.NotEqual(t, c.password(t, deployed, "player1"), n.password)
		assert.Empty(t, s.sessions(t), "the first stack's launcher knows nothing of it")
	})
	return n
}

// accountWide are the uses that have no resource level in IAM, or that one of AWS's
// own policies allows on everything, and the roles that have them in every stack of
// the account.
var accountWide = map[string][]string{
	"open a session's log stream":        {"host"},
	"open a log stream of another group": {"host"},
	"log in to the registry":             {"execution", "host"},
	"list sessions":                      {"launcher"},
	"read a parameter":                   {"builder"},
}

// names are a stack's outputs that name something of AWS's.
func names(out outputs.Outputs) []string {
	one := []string{out.Region, out.QueueARN, out.QueueName, out.ImageURI, out.RepositoryURL, out.SecurityGroupID, out.TeamTopicARN,
		out.LogGroup, out.DashboardName, out.DashboardURL, out.BuilderInstanceID, out.GameBuildsBucket, out.LauncherPolicyARN}
	for _, byUser := range []map[string]string{out.JobDefinitions, out.CredentialsARNs, out.TopicARNs} {
		one = slices.AppendSeq(one, maps.Values(byUser))
	}
	return one
}

// goesOn looks at the neighbour once the first stack is gone.
func (n *neighbour) goesOn(t *testing.T) {
	c := n.aws(t)
	still := n.sessions(t)["player1"]
	assert.Equal(t, n.playing.JobID, still.JobID)
	assert.Equal(t, n.playing.Attempt, still.Attempt)
	assert.Equal(t, "RUNNING", still.State)
	assert.True(t, answers(n.playing.URL))
	assert.Equal(t, n.password, c.password(t, n.out, "player1"))
	for _, step := range n.deploy(t, "refresh", n.config).Steps {
		assert.Empty(t, step.Diffs, "%s drifted", step.URN)
	}
	next := n.session(t, "start", "player2")
	assert.True(t, answers(next.URL), "and others start")
	ended := n.session(t, "end", "player1")
	require.Equal(t, "SUCCEEDED", ended.State)
}
