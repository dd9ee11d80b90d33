package stack_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/iampolicy/iampolicytest"
)

// reasons gives the reason for each statement of a policy, by the policy's logical
// name and the statement's Sid. A statement without a reason is not granted.
var reasons = map[string]map[string]string{
	"roles-host": {
		"JoinCluster":   "the ECS agent registers its instance with AWS Batch's cluster and reports the state of tasks",
		"TakeTasks":     "the ECS agent receives the tasks to run; a Spot host drains itself before it is reclaimed",
		"FindCluster":   "the ECS agent asks for the address from which it receives them; the action has no resource level",
		"DCVLicence":    "the DCV server proves that it runs on EC2 by reading AWS's licence bucket",
		"SupportAccess": "Session Manager reaches the hosts; granted only with `compute.supportAccess`",
	},
	"roles-execution": {
		"UserSecrets": "the ECS agent puts a user's password into that user's container",
		"Certificate": "the ECS agent puts the studio's certificate into every container; granted only with `session.certificateSecretArn`",
		"SessionLog":  "the ECS agent opens a session's log stream and writes it",
		"Login":       "the ECS agent logs in to the registry; the action has no resource level",
		"Pull":        "the ECS agent pulls the session image",
	},
	"roles-session": {
		"TellUsers":          "a session that is ready says so on its user's topic",
		"TellUsersEncrypted": "the topic is encrypted, and its key answers for SNS only",
	},
	"roles-builder": {
		"ReadBuilds": "the last instruction of the Dockerfile fetches the game build",
	},
	"launcher": {
		"Submit":             "a launcher submits a session",
		"TagWhatIsSubmitted": "a session is found and ended by the tags that it is submitted with",
		"AskToEnd":           "a launcher proves to a session that it may end it: by the right to tag that session's job",
		"End":                "a launcher ends a session that waits, or that does not answer",
		"Find":               "a launcher finds a user's session; neither action has a resource level",
		"ReadLog":            "a session's address is in its log",
	},
	"pipeline-read": {
		"Look":               "the AWS provider reads the present resources; none of these actions has a resource level",
		"LookAtTagged":       "an instance's user data and a key's policy are read only if the stack's tag is on it",
		"LookAtRoles":        "the AWS provider reads the stack's roles and policies",
		"LookAtBuilds":       "the AWS provider reads the settings of the bucket of game builds",
		"LookAtBuild":        "the version and the checksum of a game build are in its object's metadata",
		"LookAtImages":       "`image.use` is looked up, in another account's registry too",
		"LookAtRest":         "the AWS provider reads queues, secrets' descriptions, topics and logs' settings",
		"LookUpMachineImage": "AWS's public parameters name the machine images of hosts and builder",
	},
	"pipeline-network": {
		"MakeInNetwork":        "a deployment makes the network, the builder and the hosts' launch templates, with the stack's tag",
		"TagWhatIsMade":        "EC2 tags a new resource in the call that makes it",
		"ChangeNetwork":        "a deployment changes resources that carry the stack's tag, and starts and stops the builder",
		"StartFromImage":       "RunInstances takes an image and makes an interface, neither of which has a tag of ours",
		"MakeInAdoptedNetwork": "a security group and the builder are made in the VPC that `network.vpcId` names",
		"Push":                 "a build on this machine pushes its image",
		"ReachBuilder":         "a build connects to the builder through Session Manager",
		"ReachBuilderBy":       "by these two documents of AWS's only",
		"OwnSessions":          "a connection to the builder is resumed and ended by whoever opened it",
		"OpenSessions":         "a connection's data channel is opened with the token of its session",
		"AskForBuilder":        "a run waits until the builder answers; neither action has a resource level",
	},
	"pipeline-services": {
		"DescribeRoles":     "a deployment changes a role's description",
		"Retag":             "a deployment changes the tags of the resources that hold data and carry the stack's tag",
		"ChangeRoles":       "a deployment changes the rights of the stack's roles",
		"AttachPolicies":    "the builder has this one policy of AWS's",
		"PassRoles":         "AWS Batch, EC2 and ECS are given the stack's roles",
		"Make":              "a deployment makes environments, queues, job definitions, secrets and topics, with the stack's tag",
		"Change":            "a deployment changes resources that carry the stack's tag",
		"ReadNotifications": "the AWS provider reads a notification's secret back: a topic and an address, no password",
		"ChangeBuilds":      "a deployment changes the settings of the bucket of game builds",
		"Anywhere":          "a password is made out of nothing, and a subscription has no resource level",
	},
	"pipeline-watching": {
		"Measure": "a deployment makes and changes the metric filters of the sessions' log group, which carries the stack's tag",
		"Watch":   "a deployment makes and changes alarms, the dashboard, the rule of a blocked queue and the budget: all have the stack's prefix",
		"Notify":  "that rule's target is the team's topic, and nothing else may be one",
	},
	"pipeline-preview-state": {
		"StateFiles":   "Pulumi finds its files",
		"StateVersion": "Pulumi reads which version its files have",
		"State":        "a preview reads the stack's state",
		"StateSecrets": "Pulumi decrypts the state's secrets",
	},
	"pipeline-deploy-state": {
		"StateFiles":   "Pulumi finds its files",
		"StateVersion": "Pulumi reads which version its files have",
		"State":        "a deployment writes the stack's state, its history and its locks",
		"StateSecrets": "Pulumi decrypts and encrypts the state's secrets",
	},
	"delivery": {
		"StartWorkflow": "EventBridge starts the workflow for an uploaded game build",
	},
}

// everyGrant is a configuration with every setting that adds a grant.
var everyGrant = values{
	"delivery.repository": "studio/game", "delivery.createOidcProvider": "true", "delivery.stateBucket": "studio-state",
	"network.vpcId": "vpc-1", "network.subnetIds": `["subnet-1", "subnet-2"]`,
	"delivery.stateKeyArn":  "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d",
	"compute.supportAccess": "true", "session.certificateSecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:wildcard-AbCdEf",
}

// grant is a statement of a policy, as the graph has it.
type grant struct {
	policy, sid       string
	actions, on, when []string
}

// grants returns the statements of the stack's identity policies, in the graph's order.
func grants(t *testing.T, r stackRun) (all []grant) {
	t.Helper()
	for _, kind := range []string{"aws:iam/rolePolicy:RolePolicy", "aws:iam/policy:Policy"} {
		for _, policy := range r.OfType(kind) {
			if bounds(r, policy.Name) {
				continue
			}
			for _, s := range iampolicytest.Statements(t, policy) {
				g := grant{policy: policy.Name, sid: s.Sid, actions: s.Action, on: s.Resource}
				for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
					for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
						g.when = append(g.when, fmt.Sprintf("%s %s %s", operator, key, strings.Join(s.Condition[operator][key], " ")))
					}
				}
				all = append(all, g)
			}
		}
	}
	return all
}

// bounds reports whether a policy is a permissions boundary, which grants nothing.
func bounds(r stackRun, policy string) bool {
	return slices.ContainsFunc(r.OfType("aws:iam/role:Role"), func(role componenttest.Resource) bool {
		return strings.HasSuffix(fmt.Sprint(role.Inputs["permissionsBoundary"]), ":policy/"+policy+"-0a1b2c3")
	})
}

// brief returns a list in Markdown, without the beginning that all ARNs of the stack
// share, and with a service's name once for its actions.
func brief(list []string) string {
	var words []string
	service := ""
	for _, text := range list {
		before, after, _ := strings.Cut(text, ":")
		switch {
		case before == "arn":
			parts := strings.SplitN(text, ":", 6)
			text = parts[2] + " " + parts[len(parts)-1]
		case after != "" && before == service:
			text = after
		case after != "":
			service = before
		}
		words = append(words, "`"+text+"`")
	}
	return strings.Join(words, ", ")
}

func (g grant) row(reason string) string {
	when := ""
	if len(g.when) > 0 {
		when = "; if " + "`" + strings.Join(g.when, "`, `") + "`"
	}
	return fmt.Sprintf("| %s: %s | %s | %s%s | %s |\n", g.policy, g.sid, brief(g.actions), brief(g.on), when, reason)
}

const (
	grantsBegin = "<!-- What follows is made by `make generate` from the stack's graph. -->\n"
	grantsEnd   = "<!-- What is made by `make generate` ends here. -->\n"
)

// The page shows every right that the stack gives to a role, and why.
func TestTheSecurityPageShowsEveryGrantWithItsReason(t *testing.T) {
	r := deploy(t, componenttest.Update, "dev", least(everyGrant)).mustRun(t)
	var table strings.Builder
	table.WriteString("| Policy: statement | Actions | On | Why |\n|---|---|---|---|\n")
	unused := map[string]bool{}
	for policy, of := range reasons {
		for sid := range of {
			unused[policy+": "+sid] = true
		}
	}
	for _, g := range grants(t, r) {
		reason := reasons[g.policy][g.sid]
		assert.NotEmpty(t, reason, "%s: %s allows %s: why? Say so in reasons", g.policy, g.sid, g.actions)
		delete(unused, g.policy+": "+g.sid)
		table.WriteString(g.row(reason))
	}
	assert.Empty(t, unused, "reasons of statements that are gone")

	file := filepath.Join("..", "docs", "security.md")
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	before, rest, found := strings.Cut(string(page), grantsBegin)
	_, after, ends := strings.Cut(rest, grantsEnd)
	require.True(t, found && ends, "%s has no place for the table: %s%s", file, grantsBegin, grantsEnd)
	want := before + grantsBegin + table.String() + grantsEnd + after
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644))
		return
	}
	assert.Equal(t, want, string(page), "make generate writes it")
}
