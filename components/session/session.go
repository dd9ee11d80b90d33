// Package session is what AWS Batch runs for a user: a job definition each.
package session

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/batch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// User is one user's part.
type User struct {
	// Name matches contract.UserPattern and is none of contract.ReservedUsers.
	Name string
	// CredentialsARN is the user's own secret; it reaches only their session.
	CredentialsARN pulumi.StringInput
	// NotificationARN is the user's secret with topic and address; nil: none.
	NotificationARN pulumi.StringInput
}

// SessionsArgs are plain where they shape the graph, and inputs where they come from
// other resources.
type SessionsArgs struct {
	// Settings are every session's; user and image are left open.
	Settings contract.Settings
	// Users have a job definition each.
	Users []User
	// Image is repository@sha256:…: by digest, so that a new image is a new
	// revision and a running name never changes what it means.
	Image pulumi.StringInput

	// VCPUs, 1 and up, are a share and no cap: idle ones may be used.
	VCPUs int
	// MemoryMiB is reserved on the host and a hard limit, at least 6 (Docker).
	MemoryMiB int
	// GPUs are whole ones, up to 8; 0 shares the host's.
	GPUs int
	// SharedMemoryMiB is the size of /dev/shm, 1 to MemoryMiB, of which it is a part.
	SharedMemoryMiB int
	// Privileged gives the container the host's devices. Leave it false.
	Privileged bool
	// Attempts is how often a session is started in all when hosts fail it, 1 to
	// 10 (AWS Batch user guide, "Automated job retries").
	Attempts int
	// CertificateARN is the secret of the sessions' certificate; "": each session
	// makes its own.
	CertificateARN string

	// ExecutionRoleARN is the ECS agent's: it pulls, reads the secrets, logs.
	ExecutionRoleARN pulumi.StringInput
	// SessionRoleARN is the container's own.
	SessionRoleARN pulumi.StringInput
	// LogGroupName must exist: a session whose log can't be opened doesn't start.
	LogGroupName pulumi.StringInput

	// EnsureCredentials is called before a user's job definition is created or
	// updated, in updates only.
	EnsureCredentials EnsureCredentials
	// Tags are put on every job definition, beside the user's; at most 49.
	Tags map[string]string
}

// Sessions are the job definitions.
type Sessions struct {
	pulumi.ResourceState

	// JobDefinitions are their names by user. Submit by name: that is the latest.
	JobDefinitions map[string]pulumi.StringOutput
}

// timeoutMargin is how much later than the session itself AWS Batch ends a job:
// the session must come first, since it tells its user and says why.
const timeoutMargin = 5 * time.Minute

func (a SessionsArgs) validate() error {
	var f faults.Faults
	at := func(property string) string { return "settings." + property }
	a.Settings.Check(&f, at)
	f.Check(a.Settings.Region != "", at("region"), a.Settings.Region, "an AWS Region")
	a.validateUsers(&f)
	f.Check(a.VCPUs >= 1, "vcpus", a.VCPUs, "a whole number from 1 up")
	f.Check(a.MemoryMiB >= 6, "memoryMib", a.MemoryMiB, "a whole number from 6 up")
	f.Between("gpus", a.GPUs, 0, 8)
	f.Between("sharedMemoryMib", a.SharedMemoryMiB, 1, max(a.MemoryMiB, 1))
	f.Between("attempts", a.Attempts, 1, 10)
	f.Check(len(a.Tags) <= 49, "tags", len(a.Tags), "at most 49 tags: the user's is one more, and a job with over 50 fails")
	required := map[string]pulumi.StringInput{
		"image": a.Image, "logGroupName": a.LogGroupName,
		"executionRoleArn": a.ExecutionRoleARN, "sessionRoleArn": a.SessionRoleARN,
	}
	for _, path := range slices.Sorted(maps.Keys(required)) {
		f.Check(required[path] != nil, path, "nothing", "a value")
	}
	f.Check(a.EnsureCredentials != nil, "ensureCredentials", "nothing", "a function: without one, secrets stay empty and no session starts")
	return f.Err("session")
}

func (a SessionsArgs) validateUsers(f *faults.Faults) {
	seen := map[string]bool{}
	for i, u := range a.Users {
		path := fmt.Sprintf("users[%d]", i)
		f.Check(contract.UserPattern.MatchString(u.Name), path+".name", u.Name, "text that matches "+contract.UserPattern.String())
		f.Check(!contract.Reserved(u.Name), path+".name", u.Name, "no account of the session image")
		f.Check(!seen[u.Name], path+".name", u.Name, "a user who isn't named before")
		f.Check(u.CredentialsARN != nil, path+".credentialsArn", "nothing", "the ARN of the user's secret")
		seen[u.Name] = true
	}
}

// NewSessions declares a job definition for each user, and one hook that sees to
// it that their secrets hold a password.
func NewSessions(ctx *pulumi.Context, name string, args *SessionsArgs, opts ...pulumi.ResourceOption) (*Sessions, error) {
	a := *args
	if err := a.validate(); err != nil {
		return nil, err
	}
	s := &Sessions{JobDefinitions: map[string]pulumi.StringOutput{}}
	if err := ctx.RegisterComponentResource("dcv:session:Sessions", name, s, opts...); err != nil {
		return nil, err
	}
	// One hook for all: it reads from the definition whose it is.
	hook, err := ctx.RegisterResourceHook(name+"-credentials", credentialsHook(ctx.Context(), a.EnsureCredentials), nil)
	if err != nil {
		return nil, err
	}
	common := pulumi.All(a.Image, a.ExecutionRoleARN, a.SessionRoleARN, a.LogGroupName)
	names := pulumi.StringMap{}
	for _, u := range a.Users {
		made, err := a.jobDefinition(ctx, name+"-"+u.Name, u, common, hook, s)
		if err != nil {
			return nil, err
		}
		s.JobDefinitions[u.Name], names[u.Name] = made.Name, made.Name
	}
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{"jobDefinitions": names})
}

func (a SessionsArgs) jobDefinition(ctx *pulumi.Context, name string, u User, common pulumi.ArrayOutput, hook *pulumi.ResourceHook, parent pulumi.Resource) (*batch.JobDefinition, error) {
	tags := map[string]string{}
	maps.Copy(tags, a.Tags)
	tags[contract.TagUser] = u.Name

	notification := u.NotificationARN
	if notification == nil {
		notification = pulumi.String("")
	}
	properties := pulumi.All(common, u.CredentialsARN, notification).ApplyT(func(known []any) (string, error) {
		c := known[0].([]any)
		return a.properties(u.Name, shared{
			Image: c[0].(string), ExecutionRoleARN: c[1].(string), SessionRoleARN: c[2].(string), LogGroupName: c[3].(string),
		}, known[1].(string), known[2].(string)).render(tags)
	}).(pulumi.StringOutput)

	return batch.NewJobDefinition(ctx, name, &batch.JobDefinitionArgs{
		Name:                 pulumi.String(contract.JobDefinition(a.Settings.Stack, u.Name)),
		Type:                 pulumi.String("container"),
		PlatformCapabilities: pulumi.StringArray{pulumi.String("EC2")},
		ContainerProperties:  properties,
		RetryStrategy:        retryStrategy(a.Attempts),
		Timeout:              batch.JobDefinitionTimeoutArgs{AttemptDurationSeconds: pulumi.Int(int((a.Settings.Max + timeoutMargin).Seconds()))},
		PropagateTags:        pulumi.Bool(true), // so that a host's tasks can be told apart by user
		// The provider registers the new revision first, so a name always has one,
		// and consumers submit by name only. Older revisions would stay active with
		// images that are gone from the registry, or whose faults were mended.
		DeregisterOnNewRevision: pulumi.Bool(true),
		Tags:                    pulumi.ToStringMap(tags),
	},
		pulumi.Parent(parent),
		pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
			BeforeCreate: []*pulumi.ResourceHook{hook},
			BeforeUpdate: []*pulumi.ResourceHook{hook},
		}),
		// The provider replaces a definition when it gets more or fewer retry rules,
		// and deletes by name, every active revision: one made before would go too.
		pulumi.DeleteBeforeReplace(true),
	)
}
