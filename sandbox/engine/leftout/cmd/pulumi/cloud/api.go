package cloud

import (
	"github.com/spf13/cobra"

	"github.com/intraverse/dcv-sessions/sandbox/engine/leftout"
)

func NewAPICmd() *cobra.Command { return leftout.Command("api") }

// ParamSpec is in the answer of `pulumi api describe`, a type of a file that is kept.
type ParamSpec struct{}
