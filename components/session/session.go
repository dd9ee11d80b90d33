// Package session is a job definition a user: how AWS Batch runs that user's
// session, and no other's.
package session

import (
	"context"
	"fmt"
	"time"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/batch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/faults"
	"github.com/intraverse/dcv-sessions/contract"
)

// User is somebody who plays, and what is injected into that user's session.
type User struct {
	Name            string
	CredentialsARN  pulumi.StringInput // a secret: contract.Credentials
	NotificationARN pulumi.StringInput // a secret: contract.Notification; nil for none
}

// SessionsArgs: who plays and how large a session is are plain values; what
// comes from other resources is an input.
type SessionsArgs struct {
	Stack string
	Users []User
	// Image is repository@sha256:…
	Image  pulumi.StringInput
	Ports  contract.PortRange
	Region pulumi.StringInput
	// VCPUs, MemoryMiB and GPUs are reserved for a session; exceeding the memory
	// ends it. No GPUs: the sessions of a host share its GPUs.
	VCPUs, MemoryMiB, GPUs int
	// SharedMemoryMiB is the size of /dev/shm.
	SharedMemoryMiB int
	// Privileged gives the container the host's devices; a setting because DCV
	// may want it, off because a session should not have it.
	Privileged bool
	// StopSeconds between SIGTERM and SIGKILL, as set on the hosts.
	StopSeconds int
	// MaxSeconds is the longest session. The job's own timeout comes a little
	// later, so that the session ends itself, in order.
	MaxSeconds int
	// Attempts is 1 to 10 (API reference, RetryStrategy).
	Attempts         int
	ExecutionRoleARN pulumi.StringInput
	SessionRoleARN   pulumi.StringInput
	LogGroupName     pulumi.StringInput
	// EnsureCredentials gives a user's credentials secret its first version. It is
	// called before a job definition is created or updated, never in a preview.
	EnsureCredentials func(ctx context.Context, secretARN, user string) error
	// Tags are put on the job definitions and, through them, on jobs.
	Tags map[string]string
}

// Sessions are the job definitions' names by user. Consumers submit by name:
// AWS Batch takes the latest active revision.
type Sessions struct {
	pulumi.ResourceState

	JobDefinitions map[string]pulumi.StringOutput
}

// timeoutMargin is how much later than the session's own end Batch's timeout
// comes, in seconds.
const timeoutMargin = 300

func (a *SessionsArgs) validate() error {
	var f faults.Faults
	f.Check(contract.StackPattern.MatchString(a.Stack), "stack", a.Stack, contract.StackPattern.String())
	seen := map[string]bool{}
	for _, u := range a.Users {
		f.Check(contract.UserPattern.MatchString(u.Name), "users", u.Name, contract.UserPattern.String())
		f.Check(!contract.Reserved(u.Name), "users", u.Name, "a name that is no account of the session image")
		f.Check(!seen[u.Name], "users", u.Name, "each user once")
		f.Check(u.CredentialsARN != nil, "users."+u.Name+".credentialsArn", "nothing", "the ARN of a secret")
		seen[u.Name] = true
	}
	f.Check(a.Ports.First >= 1025 && a.Ports.Last <= 65535 && a.Ports.Width() >= 1, "ports", a.Ports, "a range within 1025-65535")
	f.Between("vcpus", a.VCPUs, 1, 192)
	f.Between("memoryMib", a.MemoryMiB, 128, 1<<20)
	f.Between("gpus", a.GPUs, 0, 8)
	f.Between("sharedMemoryMib", a.SharedMemoryMiB, 1, max(a.MemoryMiB, 1))
	f.Between("stopSeconds", a.StopSeconds, 2, 110)
	f.Between("maxSeconds", a.MaxSeconds, 60, 7*24*3600)
	f.Between("attempts", a.Attempts, 1, 10)
	f.Check(a.EnsureCredentials != nil, "ensureCredentials", "nothing", "a function")
	return f.Err("sessions")
}

// NewSessions declares the job definitions.
func NewSessions(ctx *pulumi.Context, name string, args *SessionsArgs, opts ...pulumi.ResourceOption) (*Sessions, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	s := &Sessions{JobDefinitions: map[string]pulumi.StringOutput{}}
	if err := ctx.RegisterComponentResource("dcv:session:Sessions", name, s, opts...); err != nil {
		return nil, err
	}
	// One hook for all: what it needs stands in the job definition it is called for.
	hook, err := ctx.RegisterResourceHook(name+"-credentials", func(called *pulumi.ResourceHookArgs) error {
		return ensureCredentials(called, args.EnsureCredentials)
	}, nil)
	if err != nil {
		return nil, err
	}
	before := pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
		BeforeCreate: []*pulumi.ResourceHook{hook}, BeforeUpdate: []*pulumi.ResourceHook{hook},
	})
	for _, user := range args.Users {
		made, err := batch.NewJobDefinition(ctx, name+"-"+user.Name, &batch.JobDefinitionArgs{
			Name:                 pulumi.String(contract.JobDefinition(args.Stack, user.Name)),
			Type:                 pulumi.String("container"),
			PlatformCapabilities: pulumi.StringArray{pulumi.String("EC2")},
			ContainerProperties:  containerProperties(args, user),
			RetryStrategy:        retryStrategy(args.Attempts),
			Timeout: batch.JobDefinitionTimeoutArgs{
				AttemptDurationSeconds: pulumi.Int(args.MaxSeconds + timeoutMargin),
			},
			PropagateTags: pulumi.Bool(true),
			// The old revision stays: a client that looked it up a moment ago can still
			// submit it, and a job that waits is not left without its definition.
			DeregisterOnNewRevision: pulumi.Bool(false),
			Tags:                    tagsOf(args.Tags, user.Name),
		}, pulumi.Parent(s), before)
		if err != nil {
			return nil, err
		}
		s.JobDefinitions[user.Name] = made.Name
	}
	return s, ctx.RegisterResourceOutputs(s, pulumi.Map{"jobDefinitions": pulumi.ToStringMapOutput(s.JobDefinitions)})
}

// hookTimeout bounds a hook's calls: the engine itself bounds none.
const hookTimeout = 2 * time.Minute

// ensureCredentials fills the secret that the job definition at hand refers to.
func ensureCredentials(called *pulumi.ResourceHookArgs, ensure func(context.Context, string, string) error) error {
	definition, ok := called.NewInputs["containerProperties"]
	if !ok || !definition.IsString() {
		return fmt.Errorf("%s: its container properties are not known, so its credentials can't be made", called.Name)
	}
	secretARN, user, err := credentialsOf(definition.StringValue())
	if err != nil {
		return fmt.Errorf("%s: %w", called.Name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), hookTimeout)
	defer cancel()
	return ensure(ctx, secretARN, user)
}

func tagsOf(tags map[string]string, user string) pulumi.StringMap {
	all := pulumi.ToStringMap(tags)
	all[contract.TagUser] = pulumi.String(user)
	return all
}
