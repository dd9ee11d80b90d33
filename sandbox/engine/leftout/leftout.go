// Package leftout holds the replacements for the parts of the Pulumi CLI that the
// sandbox's build of it leaves out. ./build puts the folders below this one into
// the CLI's source, each in the place of the files that it names.
package leftout

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Error returns the error of a part that is missing.
func Error(part string) error {
	return fmt.Errorf("%s is not in the sandbox's build of the Pulumi CLI: use Pulumi's release, see docs/fidelity.md", part)
}

// Command returns a command that fails with Error, whatever its arguments are.
func Command(name string, aliases ...string) *cobra.Command {
	return &cobra.Command{
		Use:                name,
		Aliases:            aliases,
		Short:              "Not in the sandbox's build of the Pulumi CLI",
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return Error("pulumi " + name) },
	}
}
