// Command infra is the Pulumi program: `pulumi up --stack dev`.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/infra/stack"
)

func main() { pulumi.Run(stack.Deploy) }
