// Package bench has the benchmarks of the sandbox.
package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/measure"
)

// All measures on the deployed sandbox.
func All(ctx context.Context, _ []string) error {
	return measure.Take(ctx, deployed, sessions, queued, previews, flat, rebuild)
}

// Session measures how soon a session's page answers.
func Session(ctx context.Context, _ []string) error { return measure.Take(ctx, starts) }

// Image measures how much a change of the game pushes.
func Image(ctx context.Context, _ []string) error { return measure.Take(ctx, image) }

// deployed measures an `up` that has nothing to do.
func deployed(ctx context.Context, b *measure.Measurement) error {
	if _, err := b.Up(ctx, "first-up", b.Config); err != nil {
		return err
	}
	second, pushed, err := b.Push(ctx, "second-up", b.Config)
	if err != nil {
		return err
	}
	b.Add("second up", fmt.Sprintf("%d resources, %d changed", len(second.Steps), len(second.Changed())), "%.1f s", second.Took.Seconds())
	b.Add("bytes that it pushed", "by which the registry grew; goal: 0", "%d", pushed)
	return nil
}

// previews measures previews of a stack that does not exist, by users. Each is the faster
// one of two by turns, since other work on the machine only makes them slower.
func previews(ctx context.Context, b *measure.Measurement) error {
	sizes := []int{3, 200, 1000}
	at := map[int]measure.Run{}
	for turn := range 2 {
		for _, users := range sizes {
			file, err := withUsers(b, users)
			if err != nil {
				return err
			}
			m, err := b.Run(ctx, fmt.Sprintf("preview-%d-%d", users, turn+1), "preview", "-config-file", file, "-stack", "bench")
			if err != nil {
				return err
			}
			if before, measured := at[users]; !measured || m.Took < before.Took {
				at[users] = m
			}
		}
	}
	for _, users := range sizes {
		m := at[users]
		b.Add(fmt.Sprintf("preview with %d users", users), fmt.Sprintf("the faster of 2; %d resources, %d AWS calls, peak memory of the program %d MiB", len(m.Steps), m.Calls, m.PeakMemoryMiB),
			"%.1f s, %.1f ms a resource", m.Took.Seconds(), float64(m.PerResource().Microseconds())/1000)
	}
	b.Add("time for a resource, with 1,000 users to with 200", "of these previews; goal: at most 1", "%.2f", float64(at[1000].PerResource())/float64(at[200].PerResource()))
	b.Add("AWS calls for each further user", "of these previews, from 200 users to 1,000; goal: 0", "%.3f", float64(at[1000].Calls-at[200].Calls)/800)
	return nil
}

// withUsers writes the stack's configuration with so many users.
func withUsers(b *measure.Measurement, count int) (file string, err error) {
	file = b.File(fmt.Sprintf("%d-users.yaml", count))
	return file, local.EditConfig(b.Config, file, func(config map[string]any) error {
		users := map[string]any{}
		for i := range count {
			users[fmt.Sprintf("player%d", i+1)] = map[string]any{}
		}
		config["dcv-sessions:users"] = users
		return nil
	})
}

// flat compares the program with a bare one that registers the same resources,
// run by turns so that both meet the same machine.
func flat(ctx context.Context, b *measure.Measurement) error {
	var program, bare []float64
	for turn := range 3 {
		p, err := b.Run(ctx, fmt.Sprintf("program-%d", turn+1), "preview", "-config-file", b.File("200-users.yaml"), "-stack", "bench")
		if err != nil {
			return err
		}
		f, err := b.Run(ctx, fmt.Sprintf("flat-%d", turn+1), "preview", "-config-file", b.File("200-users.yaml"), "-stack", "flat", "-program", "flat", "-flat", b.File("preview-200-1.report.json"))
		if err != nil {
			return err
		}
		program, bare = append(program, p.Took.Seconds()), append(bare, f.Took.Seconds())
	}
	b.Add("time of a preview, the program to a bare one", fmt.Sprintf("the same resources for 200 users, medians of 3 by turns, %.1f s to %.1f s; goal: at most 1.15", median(program), median(bare)),
		"%.2f", median(program)/median(bare))
	for _, stack := range []string{"bench", "flat"} {
		if _, err := b.Run(ctx, "remove-"+stack, "destroy", "-config-file", b.Config, "-stack", stack); err != nil {
			return err
		}
	}
	return nil
}

// rebuild measures the time that a changed line of the program adds to the next `up`.
func rebuild(ctx context.Context, b *measure.Measurement) error {
	source := filepath.Join(b.Tree.Root, "infra", "stack", "stack.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	changed := b.File("stack.go")
	line := fmt.Sprintf("\nvar _ = %q\n", time.Now()) // new in each run, else it is cached
	if err := os.WriteFile(changed, append(text, line...), 0o600); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.File("overlay.json"), overlay, 0o600); err != nil {
		return err
	}
	took := map[string]time.Duration{}
	for _, build := range [][]string{{"warm"}, {"unchanged"}, {"changed", "-overlay", b.File("overlay.json")}} {
		cmd := exec.CommandContext(ctx, "go", append(append([]string{"build", "-o", b.File("infra")}, build[1:]...), "./infra")...)
		cmd.Dir = b.Tree.Root
		started := time.Now()
		if err := b.Progress.Command(ctx, cmd); err != nil {
			return err
		}
		took[build[0]] = time.Since(started)
	}
	b.Add("go build after one changed line", fmt.Sprintf("in infra/stack; %.1f s without a change", took["unchanged"].Seconds()), "%.1f s", took["changed"].Seconds())
	return os.Remove(b.File("infra"))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
