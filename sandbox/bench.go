package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/report"
)

// bench measures on the deployed sandbox and prints each figure with its
// conditions. Machines differ, so what counts are the ratios of one run.
func bench(ctx context.Context, _ []string) error {
	return measure(ctx, (*bencher).deployed, (*bencher).start, (*bencher).queued, (*bencher).previews, (*bencher).flat, (*bencher).rebuild)
}

func benchSession(ctx context.Context, _ []string) error { return measure(ctx, (*bencher).starts) }

func benchImage(ctx context.Context, _ []string) error { return measure(ctx, (*bencher).image) }

func measure(ctx context.Context, figures ...func(*bencher) error) error {
	tree, p, unlock, err := enter()
	if err != nil {
		return err
	}
	defer unlock()
	cloud, err := prepare(ctx, tree, p)
	if err != nil {
		return err
	}
	file, err := configure(ctx, tree, cloud, p, "infra", local.Stack, filepath.Join(tree.Root, "Pulumi.sandbox.yaml"))
	if err != nil {
		return err
	}
	b := bencher{ctx: ctx, tree: tree, cloud: cloud, progress: p, config: file}
	for _, figure := range figures {
		if err := figure(&b); err != nil {
			return err
		}
	}
	return b.print(os.Stdout)
}

// figure is one row of the result.
type figure struct{ what, value, conditions string }

type bencher struct {
	ctx      context.Context
	tree     local.Tree
	cloud    *local.Cloud
	progress local.Progress
	config   string // the stack's configuration for this cloud
	figures  []figure
	of200    string // the report of the preview with 200 users
}

func (b *bencher) add(what, conditions, format string, args ...any) {
	b.figures = append(b.figures, figure{what, fmt.Sprintf(format, args...), conditions})
}

func (b *bencher) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nFIGURE\tVALUE\tCONDITIONS")
	for _, f := range b.figures {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.what, f.value, f.conditions)
	}
	return table.Flush()
}

// measured is one run of the deploy command.
type measured struct {
	*report.Report
	took  time.Duration
	calls int // of AWS, at the gateway
}

func (m measured) resources() int { return len(m.Steps) }

func (m measured) perResource() time.Duration { return m.took / time.Duration(m.resources()) }

// run runs the deploy command quietly.
func (b *bencher) run(name, command string, flags ...string) (measured, error) {
	var m measured
	before, err := b.calls()
	if err != nil {
		return m, err
	}
	file := b.file(name + ".report.json")
	started := time.Now()
	err = b.progress.Step(name, "measured", func() error {
		cmd := deployCommand(b.ctx, b.tree, b.cloud, command, append(flags, "-report", file)...)
		return b.progress.Command(b.ctx, cmd)
	})
	if err != nil {
		return m, err
	}
	m.took = time.Since(started)
	if m.Report, err = report.Read(file); err != nil {
		return m, err
	}
	after, err := b.calls()
	m.calls = after - before
	return m, err
}

func (b *bencher) file(name string) string { return filepath.Join(b.cloud.Dir(), "bench-"+name) }

// calls counts the AWS calls since the local AWS started.
func (b *bencher) calls() (int, error) {
	var health gateway.Health
	if err := b.cloud.GetJSON(b.ctx, gateway.HealthPath, &health); err != nil {
		return 0, err
	}
	sum := 0
	for _, count := range health.Calls {
		sum += count
	}
	return sum, nil
}

// deployed measures an `up` that has nothing to do.
func (b *bencher) deployed() error {
	if _, err := b.run("first-up", "up", "-config-file", b.config); err != nil {
		return err
	}
	stored, err := b.stored()
	if err != nil {
		return err
	}
	second, err := b.run("second-up", "up", "-config-file", b.config)
	if err != nil {
		return err
	}
	now, err := b.stored()
	if err != nil {
		return err
	}
	b.add("second up", fmt.Sprintf("%d resources, %d changed", second.resources(), len(second.Changed())), "%.1f s", second.took.Seconds())
	b.add("bytes pushed by it", "what the registry stored more; goal 0", "%d", now-stored)
	return nil
}

// stored is how many bytes the registry holds.
func (b *bencher) stored() (sum int64, err error) {
	err = filepath.WalkDir(filepath.Join(b.cloud.Dir(), "registry"), func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}

// previews measures previews of a stack that does not exist, by users.
func (b *bencher) previews() error {
	sizes := []int{3, 200, 1000}
	at := map[int]measured{}
	for _, users := range sizes {
		file, err := b.withUsers(users)
		if err != nil {
			return err
		}
		m, err := b.run(fmt.Sprintf("preview-%d", users), "preview", "-config-file", file, "-stack", "bench")
		if err != nil {
			return err
		}
		at[users] = m
		b.add(fmt.Sprintf("preview, %d users", users), fmt.Sprintf("%d resources, %d AWS calls, the program's peak memory %d MiB", m.resources(), m.calls, m.PeakMemoryMiB),
			"%.1f s, %.1f ms a resource", m.took.Seconds(), float64(m.perResource().Microseconds())/1000)
	}
	b.of200 = b.file("preview-200.report.json")
	b.add("a resource at 1,000 users to one at 200", "goal: at most 1", "%.2f", float64(at[1000].perResource())/float64(at[200].perResource()))
	b.add("AWS calls a further user", "of a preview; goal 0", "%.3f", float64(at[1000].calls-at[200].calls)/800)
	return nil
}

// withUsers is the stack's configuration with so many users.
func (b *bencher) withUsers(count int) (string, error) {
	text, err := os.ReadFile(b.config)
	if err != nil {
		return "", err
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", err
	}
	users := map[string]any{}
	for i := range count {
		users[fmt.Sprintf("player%d", i+1)] = map[string]any{}
	}
	file["config"].(map[string]any)["dcv-sessions:users"] = users
	out, err := yaml.Marshal(file)
	if err != nil {
		return "", err
	}
	name := b.file(fmt.Sprintf("%d-users.yaml", count))
	return name, os.WriteFile(name, out, 0o600)
}

// flat compares the program with a bare one that registers the same resources,
// run by turns so that both meet the same machine.
func (b *bencher) flat() error {
	var program, bare []float64
	for turn := range 3 {
		p, err := b.run(fmt.Sprintf("program-%d", turn+1), "preview", "-config-file", b.file("200-users.yaml"), "-stack", "bench")
		if err != nil {
			return err
		}
		f, err := b.run(fmt.Sprintf("flat-%d", turn+1), "preview", "-config-file", b.file("200-users.yaml"), "-stack", "flat", "-program", "flat", "-flat", b.of200)
		if err != nil {
			return err
		}
		program, bare = append(program, p.took.Seconds()), append(bare, f.took.Seconds())
	}
	b.add("preview, program to bare program", fmt.Sprintf("200 users, medians of 3 by turns, %.1f s to %.1f s; goal: at most 1.15", median(program), median(bare)),
		"%.2f", median(program)/median(bare))
	for _, stack := range []string{"bench", "flat"} {
		if _, err := b.run("remove-"+stack, "destroy", "-config-file", b.config, "-stack", stack); err != nil {
			return err
		}
	}
	return nil
}

// rebuild measures what a changed line of the program costs the next `up`.
func (b *bencher) rebuild() error {
	source := filepath.Join(b.tree.Root, "infra", "stack", "stack.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	changed := b.file("stack.go")
	line := fmt.Sprintf("\nvar _ = %q\n", time.Now()) // new in each run, else it is cached
	if err := os.WriteFile(changed, append(text, line...), 0o600); err != nil {
		return err
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.file("overlay.json"), overlay, 0o600); err != nil {
		return err
	}
	took := map[string]time.Duration{}
	for _, build := range [][]string{{"warm"}, {"unchanged"}, {"changed", "-overlay", b.file("overlay.json")}} {
		cmd := exec.CommandContext(b.ctx, "go", append(append([]string{"build", "-o", b.file("infra")}, build[1:]...), "./infra")...)
		cmd.Dir = b.tree.Root
		started := time.Now()
		if err := b.progress.Command(b.ctx, cmd); err != nil {
			return err
		}
		took[build[0]] = time.Since(started)
	}
	b.add("rebuild after one changed line", fmt.Sprintf("of infra/; %.1f s where nothing changed", took["unchanged"].Seconds()), "%.1f s", took["changed"].Seconds())
	return os.Remove(b.file("infra"))
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
