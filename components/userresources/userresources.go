// Package userresources declares the resources of each user: the secrets that only
// the user's own session may read, and the topic that notifies the user. It also
// declares the team's topic and the topics' key.
package userresources

import (
	"net/mail"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// User is a player.
type User struct {
	Name   string // contract.UserPattern
	Notify string // the e-mail address for the message that a session is ready; "": no message
}

// UserResourcesArgs are plain values, which decide the resources that there are.
type UserResourcesArgs struct {
	// Stack begins every physical name here.
	Stack string
	// Users have a credentials secret each and, if they are notified, a topic and a
	// second secret.
	Users []User
	// TeamEmails are subscribed to the stack's one team topic.
	TeamEmails []string
	// Budget lets AWS Budgets publish to the team's topic.
	Budget bool
	// RecoveryDays is the time in which a deleted secret can be restored: 7 to 30, or 0
	// for no such time (Secrets Manager API, DeleteSecret).
	RecoveryDays int
	// Tags are put on everything.
	Tags map[string]string
}

// UserResources are the ARNs of the resources, by user.
type UserResources struct {
	pulumi.ResourceState

	Credentials   map[string]pulumi.StringOutput // every user's
	Notifications map[string]pulumi.StringOutput // of the users with an address
	Topics        map[string]pulumi.StringOutput // of the users with an address
	TeamTopicARN  pulumi.StringOutput
	KeyARN        pulumi.StringOutput // encrypts the topics

	root string // the account, as policies name it
}

// Check adds the faults of the arguments other than Stack. at returns the path of a
// property; a user's is that of the users with the name.
func (a *UserResourcesArgs) Check(f *faults.Faults, at func(property string) string) {
	seen := map[string]bool{}
	for _, u := range a.Users {
		path := at("users") + "." + u.Name
		f.Check(contract.UserPattern.MatchString(u.Name), path, u.Name, "a name that matches "+contract.UserPattern.String())
		f.Check(!contract.Reserved(u.Name), path, u.Name, "a name that is no account of the session image")
		f.Check(!seen[u.Name], path, u.Name, "each user once")
		f.Check(u.Notify == "" || validEmail(u.Notify), path+".notify", u.Notify, "an e-mail address")
		seen[u.Name] = true
	}
	f.Each(at("teamEmails"), a.TeamEmails, validEmail, "e-mail addresses")
	days := a.RecoveryDays
	f.Check(days == 0 || days >= 7 && days <= 30, at("recoveryDays"), days, "0, or a whole number from 7 to 30")
}

func (a *UserResourcesArgs) validate() error {
	var f faults.Faults
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	a.Check(&f, faults.Property)
	return f.Err("secrets")
}

// validEmail reports whether a text is an e-mail address without a name beside it.
func validEmail(address string) bool {
	parsed, err := mail.ParseAddress(address)
	return err == nil && parsed.Address == address
}

// NewUserResources declares them.
//
// A credentials secret has no version here: its password is made by Secrets
// Manager when the user's job definition is (Passwords.Ensure), so that it is in
// no configuration, plan or state, and no later `up` changes it. The secrets are
// encrypted with the account's own Secrets Manager key: IAM alone decides on access to
// them, and a key of our own would be one more grant to get wrong.
func NewUserResources(ctx *pulumi.Context, name string, args *UserResourcesArgs, opts ...pulumi.ResourceOption) (*UserResources, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	s := &UserResources{
		Credentials:   map[string]pulumi.StringOutput{},
		Notifications: map[string]pulumi.StringOutput{},
		Topics:        map[string]pulumi.StringOutput{},
	}
	if err := ctx.RegisterComponentResource("dcv:secrets:Secrets", name, s, opts...); err != nil {
		return nil, err
	}
	if err := s.declareTeamTopic(ctx, name, args); err != nil {
		return nil, err
	}
	for _, user := range args.Users {
		secret, err := s.declareSecret(ctx, name, args, user.Name, "credentials", "user and password of "+user.Name+"'s sessions")
		if err != nil {
			return nil, err
		}
		s.Credentials[user.Name] = secret.Arn
		if user.Notify == "" {
			continue
		}
		if err := s.declareNotification(ctx, name, args, user); err != nil {
			return nil, err
		}
	}
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{"teamTopicArn": s.TeamTopicARN, "keyArn": s.KeyARN})
}

// declareSecret declares one secret of a user. Its name ends at random: that of a deleted
// secret is taken until the recovery time is over, and a removed user may be added again.
func (s *UserResources) declareSecret(ctx *pulumi.Context, name string, args *UserResourcesArgs, user, kind, description string) (*secretsmanager.Secret, error) {
	return secretsmanager.NewSecret(ctx, name+"-"+user+"-"+kind, &secretsmanager.SecretArgs{
		NamePrefix:           pulumi.String(contract.PathPrefix(args.Stack) + "users/" + user + "/" + kind + "-"),
		Description:          pulumi.String(description),
		RecoveryWindowInDays: pulumi.Int(args.RecoveryDays),
		Tags:                 userTags(args.Tags, user),
	}, pulumi.Parent(s))
}

func userTags(tags map[string]string, user string) pulumi.StringMap {
	all := pulumi.ToStringMap(tags)
	all[contract.TagUser] = pulumi.String(user)
	return all
}
