package outputs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/intraverse/dcv-sessions/contract"
)

// ErrNone says that a stack has no outputs: its first update did not come to its end.
var ErrNone = errors.New("stack outputs: there are none: run pulumi up")

// ReadStack returns the outputs of a deployed stack, by the pulumi of PATH, with its
// messages on stderr. It fails as Parse does.
func ReadStack(ctx context.Context, stack string, stderr io.Writer) (Outputs, error) {
	pulumi := exec.CommandContext(ctx, "pulumi")
	pulumi.Stderr = stderr
	return Read(pulumi, stack)
}

// ReadStackOrFile returns the outputs of a deployed stack as ReadStack does, or those of
// a file with the JSON of `pulumi stack output --json` if a file is named.
func ReadStackOrFile(ctx context.Context, stack, file string, stderr io.Writer) (Outputs, error) {
	if file == "" {
		return ReadStack(ctx, stack, stderr)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return Outputs{}, err
	}
	return Parse(text)
}

// Read returns the outputs of a deployed stack, by `pulumi stack output --json`.
// The caller makes the command pulumi, without arguments, with the folder and the
// environment that it needs. Read fails as Parse does.
func Read(pulumi *exec.Cmd, stack string) (Outputs, error) {
	pulumi.Args = append(pulumi.Args, "stack", "output", "--json", "--stack", stack)
	text, err := pulumi.Output()
	if err != nil {
		return Outputs{}, fmt.Errorf("%s: %w", strings.Join(pulumi.Args, " "), err)
	}
	return Parse(text)
}

// Parse reads the JSON of `pulumi stack output --json` and ignores the names that it
// does not know. It fails with ErrNone if there are no outputs at all, and refuses
// those of another contract.Version or of another project.
func Parse(text []byte) (Outputs, error) {
	var o Outputs
	if err := json.Unmarshal(text, &o); err != nil {
		return Outputs{}, fmt.Errorf("stack outputs: %w", err)
	}
	if string(bytes.TrimSpace(text)) == "{}" {
		return Outputs{}, ErrNone
	}
	if o.ContractVersion != contract.Version {
		return Outputs{}, fmt.Errorf("stack outputs: contractVersion is %d; allowed: %d, which stacks of %s have: is the stack of another release?",
			o.ContractVersion, contract.Version, contract.Product)
	}
	return o, nil
}
