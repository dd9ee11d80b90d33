package userresources

import (
	"encoding/json"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/kms"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/secretsmanager"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
)

// The AWS services that publish to the team's topic: CloudWatch its alarms and AWS
// Budgets that of a budget (components/observability), EventBridge new game builds
// (components/delivery) and blocked queues (components/observability).
var (
	awsBudgets  = &iampolicy.Principal{Service: iampolicy.List{"budgets.amazonaws.com"}}
	cloudWatch  = &iampolicy.Principal{Service: iampolicy.List{"cloudwatch.amazonaws.com"}}
	eventBridge = &iampolicy.Principal{Service: iampolicy.List{"events.amazonaws.com"}}
)

// publishers returns the statements that let the services take actions on a
// resource. EventBridge's has no condition: "You can't use Condition blocks in
// Amazon SNS topic policies for EventBridge" (EventBridge user guide, "Using
// resource-based policies", "Amazon SNS permissions"), nor aws:SourceAccount,
// aws:SourceArn or aws:SourceOrgID in the policy of the topic's key (SNS developer
// guide, "Key management"). With one it would never allow anything. So a rule of
// another account could publish to the topic too, if that account knew its ARN.
func (a *UserResourcesArgs) publishers(actions, resources iampolicy.List, account string) []iampolicy.Statement {
	all := []iampolicy.Statement{
		iampolicy.Statement{Sid: "CloudWatch", Effect: "Allow", Principal: cloudWatch, Action: actions, Resource: resources}.
			When("StringEquals", "aws:SourceAccount", account),
		{Sid: "EventBridge", Effect: "Allow", Principal: eventBridge, Action: actions, Resource: resources},
	}
	if a.Budget {
		all = append(all, iampolicy.Statement{Sid: "Budgets", Effect: "Allow", Principal: awsBudgets, Action: actions, Resource: resources}.
			When("StringEquals", "aws:SourceAccount", account))
	}
	return all
}

// TeamTopicName returns the logical name of the team's topic of a component with
// this name; the topic's physical name begins with it.
func TeamTopicName(name string) string { return name + "-team" }

// declareTeamTopic declares the team's topic and the key of all topics. It is a
// key of our own because AWS's key for SNS lets no other service publish.
func (s *UserResources) declareTeamTopic(ctx *pulumi.Context, name string, args *UserResourcesArgs) error {
	child := pulumi.Parent(s)
	caller, err := aws.GetCallerIdentity(ctx, &aws.GetCallerIdentityArgs{}, child)
	if err != nil {
		return err
	}
	partition, err := aws.GetPartition(ctx, &aws.GetPartitionArgs{}, child)
	if err != nil {
		return err
	}
	root := "arn:" + partition.Partition + ":iam::" + caller.AccountId + ":root"
	key, err := kms.NewKey(ctx, name+"-topics", &kms.KeyArgs{
		Description:          pulumi.String("topics of the DCV sessions of stack " + args.Stack),
		EnableKeyRotation:    pulumi.Bool(true),
		DeletionWindowInDays: pulumi.Int(7),
		Policy:               pulumi.String(args.keyPolicy(root, caller.AccountId)),
		Tags:                 pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return err
	}
	topic, err := sns.NewTopic(ctx, TeamTopicName(name), &sns.TopicArgs{
		KmsMasterKeyId: key.Arn,
		Tags:           pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return err
	}
	err = declarePolicy(ctx, TeamTopicName(name), topic, func(arn string) string {
		return topicPolicy(arn, root, args.publishers(iampolicy.List{"sns:Publish"}, iampolicy.List{arn}, caller.AccountId)...)
	}, child)
	if err != nil {
		return err
	}
	for _, address := range args.TeamEmails {
		if err := subscribe(ctx, TeamTopicName(name)+"-"+address, topic, address, child); err != nil {
			return err
		}
	}
	s.TeamTopicARN, s.KeyARN, s.root = topic.Arn, key.Arn, root
	return nil
}

// keyPolicy returns the policy of the topics' key: the account's own policies decide, and
// the publishing services may encrypt their messages. "*" in a key's policy is the key itself (KMS
// developer guide, "Key policies").
func (a *UserResourcesArgs) keyPolicy(root, account string) string {
	key := iampolicy.List{"*"}
	return iampolicy.JSON(append([]iampolicy.Statement{
		{Sid: "Account", Effect: "Allow", Principal: &iampolicy.Principal{AWS: iampolicy.List{root}}, Action: iampolicy.List{"kms:*"}, Resource: key},
	}, a.publishers(iampolicy.List{"kms:Decrypt", "kms:GenerateDataKey*"}, key, account)...)...)
}

// topicPolicy returns a topic's policy: the account's own policies decide on publishing,
// the other statements allow it too, and nobody publishes without TLS.
func topicPolicy(topic, root string, others ...iampolicy.Statement) string {
	publish, on := iampolicy.List{"sns:Publish"}, iampolicy.List{topic}
	return iampolicy.JSON(slices.Concat(
		[]iampolicy.Statement{{Sid: "Account", Effect: "Allow", Principal: &iampolicy.Principal{AWS: iampolicy.List{root}}, Action: publish, Resource: on}},
		others,
		[]iampolicy.Statement{iampolicy.TLSOnly(publish, on)},
	)...)
}

func declarePolicy(ctx *pulumi.Context, name string, topic *sns.Topic, policy func(arn string) string, opts ...pulumi.ResourceOption) error {
	_, err := sns.NewTopicPolicy(ctx, name, &sns.TopicPolicyArgs{
		Arn: topic.Arn, Policy: topic.Arn.ApplyT(policy).(pulumi.StringOutput),
	}, opts...)
	return err
}

// declareNotification declares a user's topic, its subscription, and the secret with the
// topic's ARN for the session.
func (s *UserResources) declareNotification(ctx *pulumi.Context, name string, args *UserResourcesArgs, user User) error {
	child := pulumi.Parent(s)
	own := name + "-" + user.Name + "-notification" // so that a user may be named "team"
	topic, err := sns.NewTopic(ctx, own, &sns.TopicArgs{
		Name:           pulumi.String(contract.NamePrefix(args.Stack) + user.Name),
		KmsMasterKeyId: s.KeyARN,
		Tags:           userTags(args.Tags, user.Name),
	}, child)
	if err != nil {
		return err
	}
	if err := declarePolicy(ctx, own, topic, func(arn string) string { return topicPolicy(arn, s.root) }, child); err != nil {
		return err
	}
	if err := subscribe(ctx, own, topic, user.Notify, child); err != nil {
		return err
	}
	secret, err := s.declareSecret(ctx, name, args, user.Name, "notification", "where "+user.Name+" is told that a session is ready")
	if err != nil {
		return err
	}
	_, err = secretsmanager.NewSecretVersion(ctx, own, &secretsmanager.SecretVersionArgs{
		SecretId: secret.ID(),
		SecretString: pulumi.ToSecret(topic.Arn.ApplyT(func(arn string) (string, error) {
			b, err := json.Marshal(contract.Notification{TopicARN: arn, Address: user.Notify})
			return string(b), err
		})).(pulumi.StringOutput),
	}, child)
	s.Topics[user.Name], s.Notifications[user.Name] = topic.Arn, secret.Arn
	return err
}

func subscribe(ctx *pulumi.Context, name string, topic *sns.Topic, address string, opts ...pulumi.ResourceOption) error {
	_, err := sns.NewTopicSubscription(ctx, name, &sns.TopicSubscriptionArgs{
		Topic: topic.Arn, Protocol: pulumi.String("email"), Endpoint: pulumi.String(address),
	}, opts...)
	return err
}
