// Command consumer is another team's program: `pulumi up` in this folder.
package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/examples/consumer/program"
)

func main() { pulumi.Run(program.Program) }
