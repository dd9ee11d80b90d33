package builder

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"

	"github.com/intraverse/dcv-sessions/internal/faults"
)

// HooksArgs are the arguments of Hooks. The instance is an input, since an `up` may
// create it.
type HooksArgs struct {
	// EC2 and SSM are the account's; nothing is called before a hook runs.
	EC2 EC2
	SSM SSM
	// InstanceID and InstanceURN identify the builder, for EC2 and for Pulumi.
	InstanceID, InstanceURN pulumi.StringInput
	// LoginDir is the folder of the run's key; SSHOptions has the same.
	LoginDir string
	// IdleMinutes and MaxHours are the watchdog's limits from this run on.
	IdleMinutes, MaxHours int
}

// Check adds the faults of the limits. at returns the path of a property.
func (a *HooksArgs) Check(f *faults.Faults, at func(property string) string) {
	f.Between(at("idleMinutes"), a.IdleMinutes, 1, 24*60)
	f.Between(at("maxHours"), a.MaxHours, 1, 48)
}

func (a *HooksArgs) validate() error {
	var f faults.Faults
	a.Check(&f, faults.Property)
	f.Required(a.EC2 != nil && a.SSM != nil, "ec2", "clients of EC2 and of Systems Manager")
	f.Required(a.InstanceID != nil, "instanceId", "the builder's instance id")
	f.Required(a.InstanceURN != nil, "instanceUrn", "the URN of the builder's instance")
	f.Required(a.LoginDir != "", "loginDir", "a folder")
	return f.Err("builder hooks")
}

const (
	startTimeout = 20 * time.Minute // the first start installs Docker, too
	stopTimeout  = 2 * time.Minute  // a few calls with their repetitions
)

// Hooks registers the hooks of images that are built on the builder. They start it before
// an image is created or updated, and stop it after the last build, successful or not. A
// preview, a refresh and a destroy call none of them.
//
// Deletion has no hooks: it does nothing on the builder, and `pulumi destroy` would need
// the program.
func Hooks(ctx *pulumi.Context, name string, args *HooksArgs) (*pulumi.ResourceHookBinding, error) {
	if err := args.validate(); err != nil {
		return nil, err
	}
	w := &work{ctx: ctx, HooksArgs: *args}
	t := &turns{start: w.start, stop: w.stop}
	start, err := ctx.RegisterResourceHook(name+"-start", func(a *pulumi.ResourceHookArgs) error { return t.enter(a.URN) }, nil)
	if err != nil {
		return nil, err
	}
	stop, err := ctx.RegisterResourceHook(name+"-stop", func(a *pulumi.ResourceHookArgs) error { return t.leave(a.URN) }, nil)
	if err != nil {
		return nil, err
	}
	// The engine calls this hook after a failed build, instead of the After hooks. An error
	// of the hook would replace the build's error, and true would build again on a stopped
	// builder.
	failed, err := ctx.RegisterErrorHook(name+"-failed", func(a *pulumi.ErrorHookArgs) (bool, error) {
		if ctx.DryRun() {
			return false, nil
		}
		if err := t.leave(a.URN); err != nil {
			_ = ctx.Log.Error(err.Error(), nil)
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	before, after := []*pulumi.ResourceHook{start}, []*pulumi.ResourceHook{stop}
	return &pulumi.ResourceHookBinding{
		BeforeCreate: before, BeforeUpdate: before, AfterCreate: after, AfterUpdate: after, OnError: []*pulumi.ErrorHook{failed},
	}, nil
}

// turns lets several images share the builder: the first one starts it, the last one
// stops it. A call of leave without enter does nothing.
type turns struct {
	start, stop func() error

	mu    sync.Mutex // held while it starts: the others wait for it
	users map[pulumi.URN]bool
}

// enter also stops the builder if it can't start it completely: no other hook is called
// then.
func (t *turns) enter(user pulumi.URN) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.users) == 0 {
		if err := t.start(); err != nil {
			return errors.Join(err, t.stop())
		}
		t.users = map[pulumi.URN]bool{}
	}
	t.users[user] = true
	return nil
}

func (t *turns) leave(user pulumi.URN) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.users[user] {
		return nil
	}
	delete(t.users, user)
	if len(t.users) > 0 {
		return nil
	}
	return t.stop()
}

// work has the actions of the hooks, which run in the program's process.
type work struct {
	HooksArgs
	ctx *pulumi.Context
}

func (w *work) start() error {
	ctx, cancel := context.WithTimeout(w.ctx.Context(), startTimeout)
	defer cancel()
	m, err := w.machine(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	key, err := newLogin(w.LoginDir)
	if err != nil {
		return fmt.Errorf("builder %s: %w", m.id, err)
	}
	hostKey, err := m.ready(ctx, admission{key: key, idleMinutes: w.IdleMinutes, maxHours: w.MaxHours})
	if err == nil {
		err = trust(w.LoginDir, m.id, hostKey)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(err, w.remedy())
	}
	if err != nil {
		return fmt.Errorf("builder %s: %w", m.id, err)
	}
	m.say("is ready after %s", time.Since(began).Round(time.Second))
	return nil
}

// remedy returns the advice for a machine that does not get ready.
func (w *work) remedy() error {
	urn, err := internals.UnsafeAwaitOutput(w.ctx.Context(), w.InstanceURN.ToStringOutput())
	if err != nil {
		return err
	}
	return fmt.Errorf("if the next run fails too, replace it, and its build cache with it: pulumi up --stack %s --replace '%v'", w.ctx.Stack(), urn.Value)
}

// stop returns when EC2 has accepted the call: the rest of the run need not wait for the
// machine. The call is made even if the run was interrupted.
func (w *work) stop() error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx.Context()), stopTimeout)
	defer cancel()
	m, err := w.machine(ctx)
	if err != nil {
		return err
	}
	if err := errors.Join(m.stop(ctx), removeLogin(w.LoginDir)); err != nil {
		return fmt.Errorf("builder %s may still run, until its watchdog ends it: %w", m.id, err)
	}
	m.say("stops")
	return nil
}

// machine waits for the instance's id. It is known before an image is built, since the
// host of the image's provider depends on it.
func (w *work) machine(ctx context.Context) (*machine, error) {
	id, err := internals.UnsafeAwaitOutput(ctx, w.InstanceID.ToStringOutput())
	if err != nil {
		return nil, fmt.Errorf("the builder's instance id: %w", err)
	}
	if !id.Known {
		return nil, errors.New("the builder's instance id is not known yet")
	}
	m := &machine{ec2: w.EC2, ssm: w.SSM, id: id.Value.(string)}
	m.say = func(format string, args ...any) {
		_ = w.ctx.Log.Info("builder "+m.id+" "+fmt.Sprintf(format, args...), nil) // a line that is lost fails nothing
	}
	return m, nil
}
