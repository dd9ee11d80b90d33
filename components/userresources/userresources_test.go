package userresources_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/components/componenttest"
	"github.com/intraverse/dcv-sessions/components/userresources"
	"github.com/intraverse/dcv-sessions/contract"
)

const (
	component    = "dcv:secrets:Secrets"
	secret       = "aws:secretsmanager/secret:Secret"
	version      = "aws:secretsmanager/secretVersion:SecretVersion"
	topic        = "aws:sns/topic:Topic"
	topicPolicy  = "aws:sns/topicPolicy:TopicPolicy"
	subscription = "aws:sns/topicSubscription:TopicSubscription"
	key          = "aws:kms/key:Key"

	keyARN   = "arn:aws:kms:us-east-1:123456789012:key/secrets-topics"
	teamARN  = "arn:aws:sns:us-east-1:123456789012:secrets-team-0a1b2c3"
	topicARN = "arn:aws:sns:us-east-1:123456789012:dcv-sessions_dev_player1"
)

// goodArgs are of two users: the first is notified by e-mail, the second is not.
func goodArgs() userresources.UserResourcesArgs {
	return userresources.UserResourcesArgs{
		Stack:        "dev",
		Users:        []userresources.User{{Name: "player1", Notify: "one@example.com"}, {Name: "player2"}},
		TeamEmails:   []string{"team@example.com"},
		RecoveryDays: 7,
		Tags:         map[string]string{"team": "games"},
	}
}

func run(t *testing.T, mode componenttest.Mode, args userresources.UserResourcesArgs) *componenttest.Run {
	t.Helper()
	return componenttest.Execute(t, mode, func(ctx *pulumi.Context) error {
		_, err := userresources.NewUserResources(ctx, "secrets", &args)
		return err
	})
}

// known are the inputs that a preview knows; the mock leaves out the others.
func known(mode componenttest.Mode, always, once map[string]any) map[string]any {
	if mode == componenttest.Update {
		for input, value := range once {
			always[input] = value
		}
	}
	return always
}

func TestOnlyAUserWhoIsNotifiedHasATopicAndASecondSecret(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		assert.Equal(t, []string{
			key + " secrets-topics",
			secret + " secrets-player1-credentials", secret + " secrets-player1-notification", secret + " secrets-player2-credentials",
			version + " secrets-player1-notification",
			topic + " secrets-player1-notification", topic + " secrets-team",
			topicPolicy + " secrets-player1-notification", topicPolicy + " secrets-team",
			subscription + " secrets-player1-notification", subscription + " secrets-team-team@example.com",
			component + " secrets",
		}, r.Names(), "no version of a credentials secret: its password is in no plan or state")
		for _, made := range r.Resources {
			if made.Type != component {
				assert.Equal(t, "secrets", made.Parent, made.Name)
			}
		}
	})
}

func TestEachSecretIsOneUsersAndCanBeRestored(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		for _, want := range []struct{ user, kind, description string }{
			{"player1", "credentials", "user and password of player1's sessions"},
			{"player2", "credentials", "user and password of player2's sessions"},
			{"player1", "notification", "where player1 is told that a session is ready"},
		} {
			assert.Equal(t, map[string]any{
				"namePrefix":           "dcv-sessions/dev/users/" + want.user + "/" + want.kind + "-",
				"description":          want.description,
				"recoveryWindowInDays": 7.,
				"tags":                 map[string]any{"team": "games", contract.TagUser: want.user},
			}, r.Named(t, secret, "secrets-"+want.user+"-"+want.kind).Inputs, "nothing more: no policy, no copy in another Region")
		}
	})
}

func TestAUserIsToldByAnEncryptedTopicThatTheirSessionLearnsFromASecret(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		assert.Equal(t, known(mode, map[string]any{
			"name": contract.NamePrefix("dev") + "player1",
			"tags": map[string]any{"team": "games", contract.TagUser: "player1"},
		}, map[string]any{"kmsMasterKeyId": keyARN}), r.Named(t, topic, "secrets-player1-notification").Inputs)
		assert.Equal(t, known(mode, map[string]any{"protocol": "email", "endpoint": "one@example.com"}, map[string]any{"topic": topicARN}),
			r.Named(t, subscription, "secrets-player1-notification").Inputs)
		assert.Equal(t, known(mode, map[string]any{}, map[string]any{
			"secretId":     "secrets-player1-notification-id",
			"secretString": componenttest.Secret{Value: `{"topicArn":"` + topicARN + `","address":"one@example.com"}`},
		}), r.One(t, version).Inputs, "marked secret")
	})
}

// The session role publishes by the account's own policies, and TLS alone.
func TestAUsersTopicTakesNothingFromOtherAccountsOrWithoutTLS(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		policy := run(t, mode, goodArgs()).Must(t).Named(t, topicPolicy, "secrets-player1-notification")
		if mode == componenttest.Preview {
			assert.Empty(t, policy.Inputs)
			return
		}
		assert.Equal(t, topicARN, policy.Inputs["arn"])
		assertDocument(t, "user-topic", policy.Inputs["policy"].(string))
	})
}

func TestTheTeamIsToldByAnEncryptedTopicThatOnlyTheAccountAndAWSsMonitoringWriteTo(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		r := run(t, mode, goodArgs()).Must(t)
		tags := map[string]any{"team": "games"}
		assert.Equal(t, known(mode, map[string]any{"tags": tags}, map[string]any{"kmsMasterKeyId": keyARN}), r.Named(t, topic, "secrets-team").Inputs)
		assert.Equal(t, known(mode, map[string]any{"protocol": "email", "endpoint": "team@example.com"}, map[string]any{"topic": teamARN}),
			r.Named(t, subscription, "secrets-team-team@example.com").Inputs)

		policy := r.Named(t, topicPolicy, "secrets-team")
		if mode == componenttest.Preview {
			assert.Empty(t, policy.Inputs)
			return
		}
		assert.Equal(t, teamARN, policy.Inputs["arn"])
		assertDocument(t, "team-topic", policy.Inputs["policy"].(string))
	})
}

func TestTheTopicsKeyIsUsedByTheAccountAndAWSsMonitoring(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		made := run(t, mode, goodArgs()).Must(t).One(t, key)
		assertDocument(t, "topics-key", made.Inputs["policy"].(string))
		delete(made.Inputs, "policy")
		assert.Equal(t, map[string]any{
			"description":          "topics of the DCV sessions of stack dev",
			"enableKeyRotation":    true,
			"deletionWindowInDays": 7.,
			"tags":                 map[string]any{"team": "games"},
		}, made.Inputs)
	})
}

// AWS Budgets is admitted if there is a budget, and for this account's only.
func TestABudgetIsToldByTheSameTopic(t *testing.T) {
	args := goodArgs()
	args.Budget = true
	r := run(t, componenttest.Update, args).Must(t)
	for of, actions := range map[resource]string{
		{topicPolicy, "secrets-team"}: `"sns:Publish","Resource":"` + teamARN + `"`,
		{key, "secrets-topics"}:       `["kms:Decrypt","kms:GenerateDataKey*"],"Resource":"*"`,
	} {
		assert.Contains(t, r.Named(t, of.token, of.name).Inputs["policy"],
			`{"Sid":"Budgets","Effect":"Allow","Principal":{"Service":"budgets.amazonaws.com"},"Action":`+actions+
				`,"Condition":{"StringEquals":{"aws:SourceAccount":"123456789012"}}}`)
	}
	assert.NotContains(t, r.Named(t, topicPolicy, "secrets-player1-notification").Inputs["policy"], "budgets")
}

type resource struct{ token, name string }

// assertDocument compares a policy with the one in testdata, by which the sandbox's
// EventBridge delivers in a test of its own.
func assertDocument(t *testing.T, name, policy string) {
	t.Helper()
	want, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(t, err)
	assert.JSONEq(t, string(want), policy)
}

func TestARNsAreByUser(t *testing.T) {
	var given []any
	componenttest.Execute(t, componenttest.Update, func(ctx *pulumi.Context) error {
		args := goodArgs()
		made, err := userresources.NewUserResources(ctx, "secrets", &args)
		if err != nil {
			return err
		}
		ctx.Export("given", pulumi.All(pulumi.ToStringMapOutput(made.Credentials), pulumi.ToStringMapOutput(made.Notifications),
			pulumi.ToStringMapOutput(made.Topics), made.TeamTopicARN, made.KeyARN).ApplyT(func(all []any) []any { given = all; return all }))
		return nil
	}).Must(t)
	users := "arn:aws:secretsmanager:us-east-1:123456789012:secret:dcv-sessions/dev/users/"
	assert.Equal(t, []any{
		map[string]string{"player1": users + "player1/credentials-0a1b2c", "player2": users + "player2/credentials-0a1b2c"},
		map[string]string{"player1": users + "player1/notification-0a1b2c"},
		map[string]string{"player1": topicARN}, teamARN, keyARN,
	}, given)
}

// A preview of a thousand users must not take a thousand calls.
func TestNothingIsCalledForAUser(t *testing.T) {
	componenttest.Modes(t, func(t *testing.T, mode componenttest.Mode) {
		for _, users := range []int{0, 1, 100} {
			args := goodArgs()
			args.Users = nil
			for i := range users {
				args.Users = append(args.Users, userresources.User{Name: fmt.Sprintf("player%d", i), Notify: "one@example.com"})
			}
			r := run(t, mode, args).Must(t)
			assert.Len(t, r.OfType(version), users)
			assert.Equal(t, []string{"aws:index/getCallerIdentity:getCallerIdentity", "aws:index/getPartition:getPartition"}, r.Calls)
		}
	})
}

// The engine, and the mock, refuse two resources of one type and name.
func TestNoUsersNameMeetsOneOfTheComponentsOwn(t *testing.T) {
	args := goodArgs()
	args.Users = nil
	for _, name := range []string{"team", "topics", "a", "a-credentials", "a-notification", "a-team"} {
		args.Users = append(args.Users, userresources.User{Name: name, Notify: "one@example.com"})
	}
	assert.Len(t, run(t, componenttest.Update, args).Must(t).OfType(topic), 7)
}

func TestEveryFaultIsToldAtOnceAndNothingRegistered(t *testing.T) {
	r := run(t, componenttest.Preview, userresources.UserResourcesArgs{
		Stack: "Dev_1",
		Users: []userresources.User{
			{Name: "Player"}, {Name: "twice"}, {Name: "twice"}, {Name: "player1", Notify: "One <one@example.com>"},
		},
		TeamEmails:   []string{"nobody", "team@example.com", "team@example.com"},
		RecoveryDays: 6,
	})
	require.Error(t, r.Err)
	for _, fault := range []string{
		`stack is "Dev_1"; allowed: ^[a-z]`,
		"recoveryDays is 6; allowed: 0, or a whole number from 7 to 30",
		`users.Player is "Player"; allowed: a name that matches ^[a-z]`,
		`users.twice is "twice"; allowed: each user once`,
		`users.player1.notify is "One <one@example.com>"; allowed: an e-mail address`,
		`teamEmails[0] is "nobody"; allowed: e-mail addresses, each once`,
		`teamEmails[2] is "team@example.com"; allowed`,
		"secrets has 7 faults",
	} {
		assert.ErrorContains(t, r.Err, fault)
	}
	assert.Empty(t, r.Resources)
	assert.Empty(t, r.Calls)
}

func TestRecoveryIsAsLongAsSecretsManagerAllows(t *testing.T) {
	for days, allowed := range map[int]bool{-1: false, 0: true, 1: false, 6: false, 7: true, 30: true, 31: false} {
		args := goodArgs()
		args.RecoveryDays = days
		r := run(t, componenttest.Preview, args)
		if !allowed {
			assert.Error(t, r.Err, "%d", days)
			continue
		}
		for _, made := range r.Must(t).OfType(secret) {
			assert.EqualValues(t, days, made.Inputs["recoveryWindowInDays"], made.Name)
		}
	}
}
