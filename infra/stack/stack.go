// Package stack is the whole of one environment, as a table of contents:
// configuration in, components, outputs out. The same function runs under
// `pulumi up`, under the sandbox's engine and under the tests' mock.
package stack

import (
	"maps"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/components/builder"
	"github.com/intraverse/dcv-sessions/components/compute"
	"github.com/intraverse/dcv-sessions/components/gameimage"
	"github.com/intraverse/dcv-sessions/components/network"
	"github.com/intraverse/dcv-sessions/components/observability"
	"github.com/intraverse/dcv-sessions/components/queue"
	"github.com/intraverse/dcv-sessions/components/registry"
	"github.com/intraverse/dcv-sessions/components/roles"
	"github.com/intraverse/dcv-sessions/components/session"
	"github.com/intraverse/dcv-sessions/components/userresources"
	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/infra/config"
)

// Deploy declares the stack. Each step is in a file of its own, which holds the
// component's arguments, and uses the components of the steps before it.
func Deploy(ctx *pulumi.Context) error {
	d, err := newDeployment(ctx)
	if err != nil {
		return err
	}
	for _, step := range []func() error{
		d.checkPorts,
		d.declareNetwork,
		d.declareRegistry,
		d.declareGameBuilds,
		d.declareLogs,
		d.declareMetrics,
		d.declareUsers,
		d.declareRoles,
		d.declareDelivery,
		d.declareBuilder,
		d.declareImage,
		d.declareHosts,
		d.declareQueue,
		d.declareSessions,
		d.declareAlarms,
		d.declareDashboard,
		d.declareBudget,
		d.declareLauncherPolicy,
		d.declareGitHubRoles,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	d.exportOutputs()
	return nil
}

// deployment is one run of the program: its configuration and the components that
// it has declared so far.
type deployment struct {
	ctx     *pulumi.Context
	cfg     *config.Config
	stack   string
	tags    map[string]string     // of every resource
	keep    pulumi.ResourceOption // protects a component that holds data, if `protect` is set
	account *account

	network    *network.Network
	registry   *registry.Registry
	gameBuilds *builder.GameBuilds
	logs       *observability.Logs
	users      *userresources.UserResources
	roles      *roles.Roles
	builder    *builder.Builder
	building   *pulumi.ResourceHookBinding // starts and stops the builder around a build
	image      *gameimage.GameImage
	hosts      *compute.Compute
	queue      *queue.Queue
	sessions   *session.Sessions
	dashboard  *observability.Dashboard
	launcher   *roles.LauncherPolicy
}

func newDeployment(ctx *pulumi.Context) (*deployment, error) {
	cfg, err := config.Load(ctx)
	if err != nil {
		return nil, err
	}
	account, err := newAccount(ctx)
	if err != nil {
		return nil, err
	}
	return &deployment{
		ctx: ctx, cfg: cfg, stack: ctx.Stack(), tags: tags(ctx.Stack(), cfg), keep: pulumi.Protect(cfg.Protect), account: account,
	}, nil
}

// tags returns the tags of every resource: costs are allocated and rights are
// granted by the stack's.
func tags(stack string, cfg *config.Config) map[string]string {
	all := map[string]string{contract.TagProject: contract.Product, contract.TagStack: stack}
	maps.Copy(all, cfg.Tags)
	return all
}

// inputs returns outputs as inputs.
func inputs(outputs []pulumi.StringOutput) []pulumi.StringInput {
	list := make([]pulumi.StringInput, len(outputs))
	for i, o := range outputs {
		list[i] = o
	}
	return list
}
