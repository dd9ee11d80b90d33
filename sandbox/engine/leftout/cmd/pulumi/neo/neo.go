package neo

import (
	"github.com/spf13/cobra"

	"github.com/intraverse/dcv-sessions/sandbox/engine/leftout"
)

func NewNeoCmd() *cobra.Command { return leftout.Command("neo") }
