package env

import (
	"github.com/spf13/cobra"

	"github.com/intraverse/dcv-sessions/sandbox/engine/leftout"
)

func NewEnvCmd() *cobra.Command { return leftout.Command("env", "esc") }
