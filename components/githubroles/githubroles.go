// Package githubroles declares the roles of GitHub's workflows in the stack's
// account: one role that previews and changes nothing, and one that deploys. A
// workflow proves itself with GitHub's own token (OpenID Connect); there is no key
// to keep.
package githubroles

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/arns"
	"github.com/intraverse/dcv-sessions/components/delivery"
	"github.com/intraverse/dcv-sessions/components/iampolicy"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// GitHubRolesArgs are plain where they decide whom AWS trusts; ARNs are inputs.
type GitHubRolesArgs struct {
	// Stack is a part of the roles' fixed names.
	Stack string
	// Repository is OWNER/NAME on GitHub.
	Repository string
	// Subjects are how GitHub's tokens begin to name the repository. Without any it
	// is repo:OWNER/NAME; a repository that was made, renamed or moved after 15 July
	// 2026 is repo:OWNER@ID/NAME@ID (GitHub docs, "OpenID Connect reference").
	Subjects []string
	// Branch is the one whose workflows preview without a pull request.
	Branch string
	// CreateProvider makes the account's entry for GitHub, of which it has one.
	CreateProvider bool
	// StateBucket is the bucket of Pulumi's state and SecretsKeyARN the key that
	// encrypts its secrets; "": the state is elsewhere, its secrets have a passphrase.
	StateBucket, SecretsKeyARN string
	// VPCID and SubnetIDs are an existing network's, without the stack's tags.
	VPCID     string
	SubnetIDs []string
	// LauncherPolicyARN lets a deployment be tried by a session.
	LauncherPolicyARN pulumi.StringInput
	// RoleARNs are the roles that a deployment may edit and pass to services, and
	// BoundaryARN is the permissions boundary without which it may not.
	RoleARNs    []pulumi.StringInput
	BoundaryARN pulumi.StringInput
	// BucketARN is the bucket of game builds, whose settings a deployment changes.
	BucketARN pulumi.StringInput
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

// issuer is GitHub's, and audience what its tokens for AWS are made out to.
const (
	issuer   = "token.actions.githubusercontent.com"
	audience = "sts.amazonaws.com"
)

// SessionSeconds is how long each role's credentials last at the longest (IAM:
// 3600 to 43200): a deployment may wait for the sessions on hosts that it replaces
// (compute.updateTimeoutMinutes), and build, push and try a large game. GitHub ends
// a job after six hours.
var SessionSeconds = map[string]int{"preview": 3600, "deploy": 6 * 3600}

var (
	subjectPattern = regexp.MustCompile(`^repo:[A-Za-z0-9-]+(@\d+)?/[A-Za-z0-9._-]+(@\d+)?$`)
	// bucketPattern and keyPattern leave out what IAM would read as a wildcard.
	bucketPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	keyPattern    = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$`)
)

// ValidSubject tells whether a text names one repository as GitHub's tokens
// begin to, without a wildcard.
func ValidSubject(text string) bool { return subjectPattern.MatchString(text) }

// ValidBucket tells whether a text is a bucket's name.
func ValidBucket(text string) bool { return bucketPattern.MatchString(text) }

// ValidKeyARN tells whether a text is a KMS key's ARN. IAM decides by the key,
// never by an alias.
func ValidKeyARN(text string) bool { return keyPattern.MatchString(text) }

func (a *GitHubRolesArgs) validate() error {
	var f faults.Faults
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	f.Check(delivery.ValidRepository(a.Repository), "repository", a.Repository, "OWNER/NAME")
	f.Check(delivery.ValidRef(a.Branch), "branch", a.Branch, "a branch")
	for i, subject := range a.Subjects {
		f.Check(ValidSubject(subject), "subjects", subject, "repo:OWNER/NAME or repo:OWNER@ID/NAME@ID")
		f.Check(!slices.Contains(a.Subjects[:i], subject), "subjects", subject, "each subject once")
	}
	f.Check(a.StateBucket == "" || ValidBucket(a.StateBucket), "stateBucket", a.StateBucket, "a bucket's name")
	f.Check(a.SecretsKeyARN == "" || ValidKeyARN(a.SecretsKeyARN), "secretsKeyArn", a.SecretsKeyARN, "a KMS key's ARN")
	f.Required(a.LauncherPolicyARN != nil, "launcherPolicyArn", "an ARN")
	f.Required(len(a.RoleARNs) > 0, "roleArns", "one ARN or more")
	f.Required(a.BoundaryARN != nil, "boundaryArn", "an ARN")
	f.Required(a.BucketARN != nil, "bucketArn", "an ARN")
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

// provider is the ARN of the account's entry for GitHub.
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

// policies are managed ones, since IAM takes 6,144 characters in one of them and
// 10,240 in all that a role has of its own; both roles read alike.
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

// role is one row: what GitHub says of who may have it, and what it may do.
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
		policies: []string{"read", "network", "services", "launcher"},
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

// RoleName is the name of a stack's role "preview" or "deploy": workflows know
// it without asking the stack.
func RoleName(stack, role string) string { return contract.NamePrefix(stack) + role }

// subjects are whole ones, of every form that the repository has.
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

// trust takes GitHub's tokens for these subjects, letter by letter.
func trust(provider string, subjects iampolicy.List) iampolicy.Statement {
	return iampolicy.Statement{
		Effect: "Allow", Principal: &iampolicy.Principal{Federated: iampolicy.List{provider}},
		Action: iampolicy.List{"sts:AssumeRoleWithWebIdentity"},
	}.When("StringEquals", issuer+":aud", audience).When("StringEquals", issuer+":sub", subjects...)
}
