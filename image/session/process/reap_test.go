package process

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// zombies returns the dead children of this process that were not waited for.
func zombies(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	var dead []string
	for _, file := range files {
		if isDeadChild(file) {
			dead = append(dead, file)
		}
	}
	return dead
}

func TestOrphansAreReapedAndNoChildsExitCodeIsStolen(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	reaping := make(chan struct{})
	go func() { Reap(ctx); close(reaping) }()
	defer func() { stop(); <-reaping }()

	// Each child leaves two orphans: one in its group, one outside.
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := range 25 {
				code := worker*25 + i
				p, err := Start(shell(fmt.Sprintf("sh -c 'exit 1' & setsid sh -c 'exit 2' & exit %d", code)))
				if assert.NoError(t, err) {
					assert.Equal(t, Exit{Code: code}, p.Exit())
				}
			}
		})
	}
	all.Wait()
	assert.Eventually(t, func() bool { return len(zombies(t)) == 0 }, patience, 20*time.Millisecond)
}

func TestOrphansOfBeforeAreReapedToo(t *testing.T) {
	started(t, shell("setsid true & exit 0")).Exit()
	require.Eventually(t, func() bool { return len(zombies(t)) > 0 }, patience, time.Millisecond)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	Reap(ctx)
	assert.Empty(t, zombies(t))
}
