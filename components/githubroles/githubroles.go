// Package githubroles declares the roles of GitHub's workflows in the stack's account:
// a role that previews and changes nothing, and a role that deploys. A workflow gets
// credentials for its own GitHub token (OpenID Connect), so no key has to be kept.
package githubroles

import (
	"fmt"
	"regexp"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// GitHubRolesArgs are the arguments of NewGitHubRoles. Values that decide which tokens
// AWS trusts are plain.
type GitHubRolesArgs struct {
	// Stack is a part of the roles' fixed names.
	Stack string
	// Repository is OWNER/NAME on GitHub.
	Repository string
	// Subjects are the beginnings of the subjects in the repository's tokens; default:
	// repo:OWNER/NAME. For a repository that was made, renamed or moved after 15 July
	// 2026 it is repo:OWNER@ID/NAME@ID (GitHub docs, "OpenID Connect reference").
	Subjects []string
	// Branch is the branch on which workflows preview without a pull request.
	Branch string
	// CreateProvider declares the account's OpenID Connect provider for GitHub. An account
	// has at most one.
	CreateProvider bool
	// StateBucket is the bucket of Pulumi's state, and SecretsKeyARN the key that encrypts
	// its secrets. "" means that the state is elsewhere, or that a passphrase encrypts
	// the secrets.
	StateBucket, SecretsKeyARN string
	// VPCID and SubnetIDs are those of an existing network, which has no tag of the stack.
	VPCID     string
	SubnetIDs []string
	// LauncherPolicyARN is the launcher's policy: a deployment is tried with a session.
	LauncherPolicyARN pulumi.StringInput
	// RoleARNs are the roles that a deployment may edit, if they have the permissions
	// boundary BoundaryARN, and pass to services.
	RoleARNs    []pulumi.StringInput
	BoundaryARN pulumi.StringInput
	// BucketARN is the bucket of game builds: a deployment changes its settings.
	BucketARN pulumi.StringInput
	// TeamTopicARN is the topic that a deployment may send messages of EventBridge to.
	TeamTopicARN pulumi.StringInput
	// Names are those of the resources that the roles reach.
	Names Names
	// Tags are put on both roles.
	Tags map[string]string
}

// Names are the logical names of the stack's other components and of one topic.
// The physical names of their resources begin with them, by Pulumi's auto-naming,
// and the grants are bounded by these beginnings.
type Names struct {
	Registry, GameBuilds, Delivery, Roles, Hosts, Queue, Launcher string
	// TeamTopic is the logical name of the team's topic (userresources.TeamTopicName).
	TeamTopic string
}

// GitHubRoles are the roles.
type GitHubRoles struct {
	pulumi.ResourceState

	PreviewRoleARN pulumi.StringOutput
	DeployRoleARN  pulumi.StringOutput
}

// The issuer and the audience of GitHub's tokens for AWS.
const (
	issuer   = "token.actions.githubusercontent.com"
	audience = "sts.amazonaws.com"
)

// SessionSeconds is the longest life of each role's credentials (IAM: 3600 to 43200). A
// deployment may wait for the sessions on hosts that it replaces
// (compute.updateTimeoutMinutes), and build, push and try a large game. GitHub ends a
// job after six hours.
var SessionSeconds = map[string]int{"preview": 3600, "deploy": 6 * 3600}

var (
	subjectPattern = regexp.MustCompile(`^repo:[A-Za-z0-9-]+(@\d+)?/[A-Za-z0-9._-]+(@\d+)?$`)
	// bucketPattern and keyPattern exclude the characters of IAM's wildcards.
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	keyPattern    = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$`)
)

// validSubject reports whether a text names one repository in the form of GitHub's
// subjects, without a wildcard.
func validSubject(text string) bool { return subjectPattern.MatchString(text) }

// ValidBucket reports whether a text is a bucket's name.
func ValidBucket(text string) bool { return bucketPattern.MatchString(text) }

// ValidKeyARN reports whether a text is a KMS key's ARN. An alias is not enough: IAM
// decides by the key.
func ValidKeyARN(text string) bool { return keyPattern.MatchString(text) }

// Check adds the faults of the plain fields. at returns the path of a property.
func (a *GitHubRolesArgs) Check(f *faults.Faults, at func(property string) string) {
	f.Check(delivery.ValidRepository(a.Repository), at("repository"), a.Repository, "OWNER/NAME")
	f.Check(delivery.ValidRef(a.Branch), at("branch"), a.Branch, "a branch")
	f.Each(at("subjects"), a.Subjects, validSubject, "repo:OWNER/NAME or repo:OWNER@ID/NAME@ID")
	f.Check(a.StateBucket == "" || ValidBucket(a.StateBucket), at("stateBucket"), a.StateBucket, "an S3 bucket's name")
	f.Check(a.SecretsKeyARN == "" || ValidKeyARN(a.SecretsKeyARN), at("secretsKeyArn"), a.SecretsKeyARN, "a KMS key's ARN, no alias's")
}

func (a *GitHubRolesArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	f.Required(a.LauncherPolicyARN != nil, "launcherPolicyArn", "an ARN")
	f.Required(len(a.RoleARNs) > 0, "roleArns", "one ARN or more")
	f.Required(a.BoundaryARN != nil, "boundaryArn", "an ARN")
	f.Required(a.BucketARN != nil, "bucketArn", "an ARN")
	f.Required(a.TeamTopicARN != nil, "teamTopicArn", "an ARN")
	for _, name := range []struct{ property, value string }{
		{"registry", a.Names.Registry}, {"gameBuilds", a.Names.GameBuilds}, {"delivery", a.Names.Delivery}, {"roles", a.Names.Roles},
		{"hosts", a.Names.Hosts}, {"queue", a.Names.Queue}, {"launcher", a.Names.Launcher}, {"teamTopic", a.Names.TeamTopic},
	} {
		f.Required(name.value != "", "names."+name.property, "a logical name")
	}
	return f.Err("pipeline")
}

// NewGitHubRoles declares the roles.
func NewGitHubRoles(ctx *pulumi.Context, name string, args *GitHubRolesArgs, opts ...pulumi.ResourceOption) (*GitHubRoles, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	p := &GitHubRoles{}
	if err := ctx.RegisterComponentResource("dcv:pipeline:Pipeline", name, p, opts...); err != nil {
		return nil, err
	}
	at, err := arns.Lookup(ctx, args.Stack, pulumi.Parent(p))
	if err != nil {
		return nil, err
	}
	provider, err := p.provider(ctx, name, args)
	if err != nil {
		return nil, err
	}
	managed, err := p.policies(ctx, name, args, at)
	if err != nil {
		return nil, err
	}
	made := map[string]*iam.Role{}
	for _, row := range args.roles(at) {
		if made[row.name], err = p.role(ctx, name, args, provider, managed, row); err != nil {
			return nil, err
		}
	}
	p.PreviewRoleARN, p.DeployRoleARN = made["preview"].Arn, made["deploy"].Arn
	return p, ctx.RegisterResourceOutputs(p, pulumi.Map{"previewRoleArn": p.PreviewRoleARN, "deployRoleArn": p.DeployRoleARN})
}

// provider returns the ARN of the account's OpenID Connect provider for GitHub.
func (p *GitHubRoles) provider(ctx *pulumi.Context, name string, args *GitHubRolesArgs) (pulumi.StringInput, error) {
	if !args.CreateProvider {
		found, err := iam.LookupOpenIdConnectProvider(ctx, &iam.LookupOpenIdConnectProviderArgs{Url: pulumi.StringRef("https://" + issuer)}, pulumi.Parent(p))
		if err != nil {
			return nil, fmt.Errorf("this account's OpenID Connect provider for GitHub can't be read; "+
				"if it is missing, set delivery.createOidcProvider to true in one stack of the account: %w", err)
		}
		return pulumi.String(found.Arn), nil
	}
	made, err := iam.NewOpenIdConnectProvider(ctx, name, &iam.OpenIdConnectProviderArgs{
		Url:           pulumi.String("https://" + issuer),
		ClientIdLists: pulumi.StringArray{pulumi.String(audience)},
		// No thumbprint: AWS checks GitHub's certificate by its own authorities (IAM
		// user guide, "Obtain the thumbprint for an OpenID Connect identity provider").
		Tags: pulumi.ToStringMap(args.Tags),
	}, pulumi.Parent(p))
	if err != nil {
		return nil, err
	}
	return made.Arn, nil
}

// policies declares the managed policies and returns their ARNs. They are managed since
// a role's inline policies may have 10,240 characters in all, and a managed policy 6,144;
// both roles share the one that reads.
func (p *GitHubRoles) policies(ctx *pulumi.Context, name string, args *GitHubRolesArgs, at arns.Scope) (map[string]pulumi.StringInput, error) {
	arns := map[string]pulumi.StringInput{"launcher": args.LauncherPolicyARN}
	for _, row := range args.documents(at) {
		made, err := iam.NewPolicy(ctx, name+"-"+row.name, &iam.PolicyArgs{
			Description: pulumi.String(row.description + ", stack " + args.Stack),
			Policy: pulumi.StringArray(row.needs).ToStringArrayOutput().ApplyT(func(arns []string) string {
				return iampolicy.JSON(row.grants(arns)...)
			}).(pulumi.StringOutput),
			Tags: pulumi.ToStringMap(args.Tags),
		}, pulumi.Parent(p))
		if err != nil {
			return nil, err
		}
		arns[row.name] = made.Arn
	}
	return arns, nil
}

// role is one row: the tokens that may assume the role, and its rights.
type role struct {
	name, description string
	subjects          []string // the ends of the tokens' subjects
	policies          []string
	state             []iampolicy.Statement
}

func (a *GitHubRolesArgs) roles(at arns.Scope) []role {
	return []role{{
		name: "preview", description: "GitHub: previews; changes nothing and reads no secret",
		subjects: []string{"pull_request", "ref:refs/heads/" + a.Branch},
		policies: []string{"read"},
		state:    a.state(at, "s3:GetObject"),
	}, {
		name: "deploy", description: "GitHub: deploys this stack",
		subjects: []string{"environment:" + a.Stack},
		policies: []string{"read", "network", "services", "watching", "launcher"},
		state:    a.state(at, "s3:DeleteObject", "s3:GetObject", "s3:PutObject"),
	}}
}

func (p *GitHubRoles) role(ctx *pulumi.Context, name string, args *GitHubRolesArgs, provider pulumi.StringInput, managed map[string]pulumi.StringInput, row role) (*iam.Role, error) {
	own, child := name+"-"+row.name, pulumi.Parent(p)
	made, err := iam.NewRole(ctx, own, &iam.RoleArgs{
		Name:               pulumi.String(RoleName(args.Stack, row.name)),
		Description:        pulumi.String(row.description),
		MaxSessionDuration: pulumi.Int(SessionSeconds[row.name]),
		AssumeRolePolicy: provider.ToStringOutput().ApplyT(func(arn string) string {
			return iampolicy.JSON(trust(arn, args.subjects(row.subjects)))
		}).(pulumi.StringOutput),
		Tags: pulumi.ToStringMap(args.Tags),
	}, child)
	if err != nil {
		return nil, err
	}
	for _, policy := range row.policies {
		_, err := iam.NewRolePolicyAttachment(ctx, own+"-"+policy, &iam.RolePolicyAttachmentArgs{Role: made.Name, PolicyArn: managed[policy]}, child)
		if err != nil {
			return nil, err
		}
	}
	if len(row.state) > 0 {
		_, err = iam.NewRolePolicy(ctx, own+"-state", &iam.RolePolicyArgs{Role: made.Name, Policy: pulumi.String(iampolicy.JSON(row.state...))}, child)
	}
	return made, err
}

// RoleName returns the name of a stack's role "preview" or "deploy". Workflows know it
// without the stack's outputs.
func RoleName(stack, role string) string { return contract.NamePrefix(stack) + role }

// subjects returns whole subjects, for every form of the repository's name.
func (a *GitHubRolesArgs) subjects(ends []string) iampolicy.List {
	repositories := a.Subjects
	if len(repositories) == 0 {
		repositories = []string{"repo:" + a.Repository}
	}
	var whole iampolicy.List
	for _, repository := range repositories {
		for _, end := range ends {
			whole = append(whole, repository+":"+end)
		}
	}
	return whole
}

// trust lets GitHub's tokens with exactly these subjects assume a role.
func trust(provider string, subjects iampolicy.List) iampolicy.Statement {
	return iampolicy.Statement{
		Effect: "Allow", Principal: &iampolicy.Principal{Federated: iampolicy.List{provider}},
		Action: iampolicy.List{"sts:AssumeRoleWithWebIdentity"},
	}.When("StringEquals", issuer+":aud", audience).When("StringEquals", issuer+":sub", subjects...)
}
