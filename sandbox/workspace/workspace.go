// Package workspace deploys the stack to the local AWS of a work tree. It installs and
// builds the parts that are missing, starts the local AWS and runs the engine.
package workspace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/baseimage"
	"github.com/intraverse/dcv-sessions/sandbox/game"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Workspace is a work tree with its local AWS, for one command.
type Workspace struct {
	Tree     local.Tree
	Cloud    *local.Cloud // the last start, which may have ended; nil if there is none
	Progress local.Progress
}

// Open finds the work tree and its last local AWS.
func Open() (*Workspace, error) {
	tree, err := local.FindTree()
	if err != nil {
		return nil, err
	}
	cloud, err := local.Open(tree)
	return &Workspace{tree, cloud, local.Progress{Out: os.Stdout}}, err
}

// Locked does the work of a command that changes the work tree: one of them runs at a
// time.
func Locked(work func(*Workspace) error) error {
	tree, err := local.FindTree()
	if err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(tree.State, "lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.New("another sandbox command runs in this work tree: wait until it has ended")
	}
	w, err := Open()
	if err != nil {
		return err
	}
	return work(w)
}

var errNothingRuns = errors.New("nothing runs; make up starts it")

// Cloud returns the work tree's local AWS, or an error if none was started.
func Cloud() (*local.Cloud, error) {
	w, err := Open()
	if err == nil && w.Cloud == nil {
		err = errNothingRuns
	}
	if err != nil {
		return nil, err
	}
	return w.Cloud, nil
}

// AWS returns the configuration for calls of the local AWS's administrator.
func (w *Workspace) AWS() aws.Config {
	return aws.Config{
		Region: local.Region, BaseEndpoint: aws.String(w.Cloud.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(w.Cloud.AccessKey, local.SecretKey, ""),
	}
}

// Base returns the base image of a work tree's session image.
func Base(tree local.Tree) baseimage.Base {
	return baseimage.Base{Cache: tree.Cache, Packages: tree.Packages()}
}

// BaseImage makes the base image if it is missing, and returns its name.
func (w *Workspace) BaseImage(ctx context.Context) (string, error) {
	return Base(w.Tree).Ensure(ctx, w.Progress, w.Cloud.Registry(), local.BaseImage)
}

// Start starts the local AWS if it does not run.
func (w *Workspace) Start(ctx context.Context) (err error) {
	w.Cloud, err = local.Ensure(ctx, w.Tree, w.Progress)
	return err
}

// Configure writes the configuration of a program's stack for this start of the local
// AWS: the committed file with the values that only the running cloud knows. It
// returns the file's name.
func (w *Workspace) Configure(ctx context.Context, program, stack, committed string) (string, error) {
	image, err := w.BaseImage(ctx)
	if err != nil {
		return "", err
	}
	folder, err := game.Ensure(ctx, w.Progress, w.Tree.Cache)
	if err != nil {
		return "", err
	}
	vpc, subnets, err := w.defaultNetwork(ctx)
	if err != nil {
		return "", err
	}
	return w.Cloud.WriteConfig(program, stack, committed, local.Found{BaseImage: image, Game: folder, VPC: vpc, Subnets: subnets})
}

// defaultNetwork returns the default VPC of the local AWS and two of its subnets.
func (w *Workspace) defaultNetwork(ctx context.Context) (vpc string, subnets []string, err error) {
	listed, err := ec2.NewFromConfig(w.AWS()).DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{
		Filters: []types.Filter{{Name: aws.String("default-for-az"), Values: []string{"true"}}},
	})
	if err != nil {
		return "", nil, err
	}
	if len(listed.Subnets) < 2 {
		return "", nil, fmt.Errorf("the default VPC of the local AWS has %d subnets; needed: 2", len(listed.Subnets))
	}
	for _, s := range listed.Subnets[:2] {
		subnets = append(subnets, *s.SubnetId)
	}
	return *listed.Subnets[0].VpcId, subnets, nil
}

// Engine returns the command that runs the engine, in the environment of the local AWS.
func (w *Workspace) Engine(ctx context.Context, command string, flags ...string) *exec.Cmd {
	args := append(append([]string{"-root", w.Tree.Root}, flags...), command)
	cmd := exec.CommandContext(ctx, filepath.Join(w.Tree.Bin(), "deploy"), args...)
	cmd.Env = w.Cloud.Env()
	// An interrupt ends the engine's run in order; the command waits for that.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 2 * time.Minute
	return cmd
}

// Outputs returns the outputs of a stack, or outputs.ErrNone if it does not exist.
func (w *Workspace) Outputs(ctx context.Context, stack string) (outputs.Outputs, error) {
	if !w.Cloud.Deployed(stack) {
		return outputs.Outputs{}, outputs.ErrNone
	}
	pulumi := exec.CommandContext(ctx, filepath.Join(w.Tree.Bin(), "pulumi"))
	pulumi.Env, pulumi.Dir = w.Cloud.Env(), w.Tree.Root
	return outputs.Read(pulumi, stack)
}
