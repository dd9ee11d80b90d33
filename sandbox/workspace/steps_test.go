package workspace

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

func TestTheListsOfStepsNameWhatIsDoneAndHowLongTheRestTakes(t *testing.T) {
	var out bytes.Buffer
	all := steps{
		{name: "Pulumi CLI", usual: 3 * time.Minute, done: true},
		{name: "providers", usual: 6 * time.Minute, took: 2 * time.Millisecond},
		{name: "pulumi up", usual: time.Minute, took: 18200 * time.Millisecond},
	}
	all.announce(local.Progress{Out: &out})
	assert.Equal(t, `==> steps, and how long each takes on a fresh machine with two cores
    providers          6m0s
    pulumi up          1m0s
    nothing to do: Pulumi CLI
`, out.String())
	out.Reset()
	all.report(local.Progress{Out: &out})
	assert.Equal(t, `==> steps, and how long each took
    pulumi up           18s
    nothing to do: Pulumi CLI, providers
`, out.String())
}

func TestTasksRunInSequenceAndTogether(t *testing.T) {
	var order []string
	var mu sync.Mutex
	note := func(name string) task {
		return func(context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			return nil
		}
	}
	met := make(chan struct{})
	err := sequence(note("first"), together(
		func(context.Context) error { close(met); return nil },
		func(context.Context) error { <-met; return nil },
	), note("last"))(context.Background())
	require.NoError(t, err)
	assert.Equal(t, []string{"first", "last"}, order)
}

func TestAFailedTaskEndsTheOthersAndWhatFollows(t *testing.T) {
	fault := errors.New("it does not compile")
	err := sequence(together(
		func(context.Context) error { return fault },
		func(ctx context.Context) error { <-ctx.Done(); return nil },
	), func(context.Context) error { t.Error("it went on"); return nil })(context.Background())
	assert.ErrorIs(t, err, fault)
}
