// Package session declares the sessions of a stack: an AWS Batch job definition for
// each user.
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

// User is a user with a job definition.
type User struct {
	// Name matches contract.UserPattern and is none of contract.ReservedUsers.
	Name string
	// CredentialsARN is the user's own secret; only the user's sessions get it.
	CredentialsARN pulumi.StringInput
	// NotificationARN is the user's secret with topic and address; nil if there is none.
	NotificationARN pulumi.StringInput
}

// SessionsArgs are the arguments of NewSessions: plain values if they shape the graph,
// inputs if they come from other resources.
type SessionsArgs struct {
	// Settings are the settings of every session, without User and Image.
	Settings contract.Settings
	// Users have a job definition each.
	Users []User
	// Image is repository@sha256:…: by digest, so that a new image is a new revision,
	// and a revision's image never changes.
	Image pulumi.StringInput

	// VCPUs are a share, not a limit: a session may use idle ones too.
	VCPUs int
	// MemoryMiB is reserved on the host and a hard limit.
	MemoryMiB int
	// GPUs is the number of whole GPUs that a session reserves if PerGPU is 1.
	GPUs int
	// PerGPU is the most sessions that share a GPU: see ReservedGPUs.
	PerGPU int
	// SharedMemoryMiB is the size of /dev/shm, less than MemoryMiB, of which it is a part.
	SharedMemoryMiB int
	// Privileged gives the container the host's devices. Leave it false.
	Privileged bool
	// Attempts is the number of a session's attempts in all, if its hosts fail.
	Attempts int
	// CertificateARN is the secret with the sessions' certificate; if it is "", each
	// session makes its own.
	CertificateARN string

	// ExecutionRoleARN is the ECS agent's role, by which it pulls the image, reads the
	// secrets and writes the log.
	ExecutionRoleARN pulumi.StringInput
	// SessionRoleARN is the container's own role.
	SessionRoleARN pulumi.StringInput
	// LogGroupName is an existing log group: without it no session starts.
	LogGroupName pulumi.StringInput

	// EnsureCredentials is called before a user's job definition is created or
	// updated, in updates only.
	EnsureCredentials EnsureCredentials
	// Tags are the tags of every job definition, besides the user's; at most 49.
	Tags map[string]string
}

// Sessions is the component with the job definitions.
type Sessions struct {
	pulumi.ResourceState

	// JobDefinitions has the job definitions' names by user. A job that is submitted by
	// the name has the latest revision.
	JobDefinitions map[string]pulumi.StringOutput
}

// timeoutMargin is the time from the end of the longest session to AWS Batch's
// timeout: the session should end itself, since it warns the player and logs the
// reason.
const timeoutMargin = 5 * time.Minute

// ReservedGPUs returns the GPUs that a session reserves: none if sessions share one,
// since AWS Batch reserves no share of a GPU.
func ReservedGPUs(gpus, perGPU int) int {
	if perGPU > 1 {
		return 0
	}
	return gpus
}

// Check adds the faults of the plain fields. at returns the path of a property. The
// settings have a Check of their own. vCPUs, memory and GPUs end at those of the largest
// instance type, attempts at what AWS Batch takes (user guide, "Automated job retries").
func (a SessionsArgs) Check(f *faults.Faults, at func(property string) string) {
	memory, perGPU := at("memoryMib"), at("perGpu")
	f.Between(at("vcpus"), a.VCPUs, 1, 192)
	f.Between(memory, a.MemoryMiB, 128, 1536<<10)
	f.Between(at("gpus"), a.GPUs, 1, 8)
	f.Between(perGPU, a.PerGPU, 1, 16)
	f.Between(at("sharedMemoryMib"), a.SharedMemoryMiB, 64, 64<<10)
	f.Between(at("attempts"), a.Attempts, 1, 10)
	f.Compare(a.SharedMemoryMiB < a.MemoryMiB, at("sharedMemoryMib"), a.SharedMemoryMiB, fmt.Sprintf("less than %s, %d", memory, a.MemoryMiB), memory)
	f.Compare(a.PerGPU == 1 || a.GPUs == 1, at("gpus"), a.GPUs, fmt.Sprintf("1 when %s is %d: a GPU is shared or owned", perGPU, a.PerGPU), perGPU)
}

func (a SessionsArgs) validate() error {
	var f faults.Faults
	at := func(property string) string { return "settings." + property }
	a.Settings.Check(&f, at)
	f.Check(a.Settings.Region != "", at("region"), a.Settings.Region, "an AWS Region")
	a.validateUsers(&f)
	a.Check(&f, faults.Property)
	f.Check(len(a.Tags) <= 49, "tags", len(a.Tags), "at most 49 tags: the user's is one more, and a job with over 50 fails")
	required := map[string]pulumi.StringInput{
		"image": a.Image, "logGroupName": a.LogGroupName,
		"executionRoleArn": a.ExecutionRoleARN, "sessionRoleArn": a.SessionRoleARN,
	}
	for _, path := range slices.Sorted(maps.Keys(required)) {
		f.Required(required[path] != nil, path, "a value")
	}
	f.Required(a.EnsureCredentials != nil, "ensureCredentials", "a function: without one, secrets stay empty and no session starts")
	return f.Err("session")
}

func (a SessionsArgs) validateUsers(f *faults.Faults) {
	seen := map[string]bool{}
	for i, u := range a.Users {
		path := fmt.Sprintf("users[%d]", i)
		f.Check(contract.UserPattern.MatchString(u.Name), path+".name", u.Name, "text that matches "+contract.UserPattern.String())
		f.Check(!contract.Reserved(u.Name), path+".name", u.Name, "no account of the session image")
		f.Check(!seen[u.Name], path+".name", u.Name, "a user who isn't named before")
		f.Required(u.CredentialsARN != nil, path+".credentialsArn", "the ARN of the user's secret")
		seen[u.Name] = true
	}
}

// NewSessions declares a job definition for each user, and one hook that makes the
// passwords that their secrets lack.
func NewSessions(ctx *pulumi.Context, name string, args *SessionsArgs, opts ...pulumi.ResourceOption) (*Sessions, error) {
	a := *args
	if err := a.validate(); err != nil {
		return nil, err
	}
	s := &Sessions{JobDefinitions: map[string]pulumi.StringOutput{}}
	if err := ctx.RegisterComponentResource("dcv:session:Sessions", name, s, opts...); err != nil {
		return nil, err
	}
	// One hook for all job definitions: it reads user and secret from each one's inputs.
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
		PropagateTags:        pulumi.Bool(true), // so that a host's tasks show their users
		// The provider registers the new revision first, so a name always has one,
		// and consumers submit by name only. Older revisions would stay active, with
		// images that have expired from the registry or have faults since fixed.
		DeregisterOnNewRevision: pulumi.Bool(true),
		Tags:                    pulumi.ToStringMap(tags),
	},
		pulumi.Parent(parent),
		pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
			BeforeCreate: []*pulumi.ResourceHook{hook},
			BeforeUpdate: []*pulumi.ResourceHook{hook},
		}),
		// The provider replaces a definition if the number of its retry rules changes,
		// and deletes every active revision of the name: also one that was created
		// before the deletion.
		pulumi.DeleteBeforeReplace(true),
	)
}
