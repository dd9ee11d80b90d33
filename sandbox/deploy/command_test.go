package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cli records the calls of the pulumi command. It prints says, or shown if the call is for
// secrets too.
type cli struct {
	auto.PulumiCommand
	says, shown string
	calls       []string
}

func (c *cli) Run(_ context.Context, _ string, _ io.Reader, _, _ []io.Writer, _ []string, args ...string) (string, string, int, error) {
	call := strings.Join(args, " ")
	c.calls = append(c.calls, call)
	if strings.Contains(call, "--show-secrets") {
		return c.shown, "", 0, nil
	}
	return c.says, "", 0, nil
}

func TestTheCLIIsStartedForNothingThatIsKnown(t *testing.T) {
	for name, test := range map[string]struct {
		exists bool
		cli    cli
		calls  []string
	}{
		"a stack that exists": {true, cli{says: `{"url":"a"}`, shown: `{"url":"a"}`}, []string{"stack output --json --stack s"}},
		"a new one":           {false, cli{says: `{"url":"a"}`, shown: `{"url":"a"}`}, []string{"stack select --stack s", "stack output --json --stack s"}},
		"one with a secret": {true, cli{says: `{"key":"[secret]"}`, shown: `{"key":"b"}`},
			[]string{"stack output --json --stack s", "stack output --json --show-secrets --stack s"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := command{&test.cli, options{}, test.exists, new(string)}
			said := func(call string) string {
				out, _, code, err := c.Run(t.Context(), "", nil, nil, nil, nil, strings.Fields(call)...)
				require.NoError(t, err)
				assert.Zero(t, code)
				return out
			}
			said("stack select --stack s")
			assert.Equal(t, test.cli.says, said("stack output --json --stack s"))
			assert.Equal(t, test.cli.shown, said("stack output --json --show-secrets --stack s"))
			assert.Equal(t, "[]", said("stack history --json --show-secrets --page-size 1 --page 1 --stack s"))
			assert.Equal(t, test.calls, test.cli.calls)
		})
	}
}
