package usage

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// smiPath is the program that NVIDIA's container toolkit brings with the host's driver.
// The NVML library, which it asks, is for C programs; the session is a static one.
const smiPath = "/usr/bin/nvidia-smi"

// smiUser runs it: the device nodes are open to everybody, and no other program of the
// session has this user.
var smiUser = process.User{UID: 65532, GID: 65532}

const (
	// smiInterval is the longest time between two samples. Each is a call of the program,
	// which takes some hundredths of a second of a core: a program that runs on would take
	// less, but can hang or hold back its output.
	smiInterval = 15 * time.Second
	// smiLimit is how long a call may take. The driver's first use takes seconds.
	smiLimit = 10 * time.Second
	// smiPause is the longest wait after calls that failed.
	smiPause = 10 * time.Minute
)

// query is a property of --query-gpu (`nvidia-smi --help-query-gpu`), with its field.
type query struct {
	name    string
	divisor float64 // of the number, for the field's unit
	most    float64 // above which it is no value; 0: unbounded
	field   func(*contract.Usage) **float64
}

var queries = []query{
	{"utilization.gpu", 1, 100, func(u *contract.Usage) **float64 { return &u.GPUPercent }},
	{"memory.used", 1, 0, func(u *contract.Usage) **float64 { return &u.GPUMemoryMiB }},
	{"memory.total", 1, 0, func(u *contract.Usage) **float64 { return &u.GPUMemoryLimitMiB }},
	{"utilization.encoder", 1, 100, func(u *contract.Usage) **float64 { return &u.EncoderPercent }},
	{"encoder.stats.sessionCount", 1, 0, func(u *contract.Usage) **float64 { return &u.EncoderSessions }},
	{"encoder.stats.averageFps", 1, 0, func(u *contract.Usage) **float64 { return &u.EncoderFrames }},
	{"encoder.stats.averageLatency", 1000, 0, func(u *contract.Usage) **float64 { return &u.EncoderMilliseconds }}, // microseconds
}

// gpu measures the session's GPU by samples.
type gpu struct {
	path    string
	id      string // of --id
	user    *process.User
	limit   time.Duration
	queries []query // those that this driver knows

	mu      sync.Mutex
	sums    map[string]float64 // since the last measure, by query
	counts  map[string]int
	unknown []string // queries without a value
	err     error    // of the last sample
}

// newGPU returns the first of the GPUs that NVIDIA_VISIBLE_DEVICES gives to the session:
// its display is on that one.
func newGPU(path, visible string) *gpu {
	id, _, _ := strings.Cut(strings.TrimSpace(visible), ",")
	if id == "" || id == "all" {
		id = "0"
	}
	return &gpu{path: path, id: id, user: &smiUser, limit: smiLimit, queries: slices.Clone(queries), sums: map[string]float64{}, counts: map[string]int{}}
}

func (g *gpu) name() string { return "nvidia-smi" }

// errNoGPU is the error of a job without a GPU.
var errNoGPU = errors.New("the job was given no GPU")

// watch takes samples until ctx ends, or it can't ever.
func (g *gpu) watch(ctx context.Context, every time.Duration) error {
	if g.id == "none" || g.id == "void" {
		return errNoGPU
	}
	failures := 0
	for {
		err := g.sample(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return errors.New("there is no " + g.path + ": the host has no NVIDIA driver, or gave the job no GPU")
		case err != nil:
			failures = min(failures+1, 10)
		default:
			failures = 0
		}
		g.mu.Lock()
		g.err = err
		g.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(min(every<<failures, max(smiPause, every))):
		}
	}
}

// invalidQuery matches the message about a property that this driver does not know.
var invalidQuery = regexp.MustCompile(`Field "([a-z.A-Z_]+)" is not a valid field`)

// sample takes one sample.
func (g *gpu) sample(ctx context.Context) error {
	for {
		out, err := g.call(ctx)
		if found := invalidQuery.FindStringSubmatch(fmt.Sprint(out, err)); found != nil && g.drop(found[1]) {
			continue
		}
		if err != nil {
			return err
		}
		return g.take(out)
	}
}

func (g *gpu) call(ctx context.Context) (string, error) {
	var names []string
	for _, q := range g.queries {
		names = append(names, q.name)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, g.limit, fmt.Errorf("it did not end within %s", g.limit))
	defer cancel()
	return process.Run(ctx, process.Command{
		Name: "nvidia-smi", Path: g.path, User: g.user,
		Args: []string{"--query-gpu=" + strings.Join(names, ","), "--id=" + g.id, "--format=csv,noheader,nounits"},
	})
}

// drop removes a query, and reports whether there was one and others are left.
func (g *gpu) drop(name string) bool {
	i := slices.IndexFunc(g.queries, func(q query) bool { return q.name == name })
	if i < 0 || len(g.queries) == 1 {
		return false
	}
	g.queries = slices.Delete(g.queries, i, i+1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unknown = append(g.unknown, name)
	return true
}

// take adds the values of an output: one line, with "[N/A]" and the like for properties
// that the GPU does not have.
func (g *gpu) take(out string) error {
	line := strings.TrimSpace(out)
	words := strings.Split(line, ",")
	if len(words) != len(g.queries) {
		return fmt.Errorf("it printed %q instead of %d values", process.Shorten(line[:min(len(line), 200)]), len(g.queries))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, q := range g.queries {
		value, err := strconv.ParseFloat(strings.TrimSpace(words[i]), 64)
		if err != nil || !sane(&value) || q.most > 0 && value > q.most {
			if !slices.Contains(g.unknown, q.name) {
				g.unknown = append(g.unknown, q.name)
			}
			continue
		}
		g.sums[q.name] += value / q.divisor
		g.counts[q.name]++
	}
	return nil
}

// measure returns the means of the samples since its last call.
func (g *gpu) measure(u *contract.Usage, _ period) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, q := range queries {
		if n := g.counts[q.name]; n > 0 {
			*q.field(u) = float(g.sums[q.name] / float64(n))
		}
	}
	u.GPUMemoryPercent = percent(u.GPUMemoryMiB, u.GPUMemoryLimitMiB)
	sampled := len(g.counts) > 0
	clear(g.sums)
	clear(g.counts)
	switch {
	case g.err != nil:
		return g.err
	case len(g.unknown) > 0:
		return errors.New("no value of " + strings.Join(g.unknown, ", "))
	case !sampled:
		return errors.New("it has not answered yet")
	}
	return nil
}

// CheckGPU returns the figures of the session's GPU in words, and those of its queries
// that have no value. The program is looked for below root.
func CheckGPU(ctx context.Context, root, visible string) (found string, unknown []string, err error) {
	g := newGPU(root+smiPath, visible)
	if root != "" {
		g.user = nil // of a test
	}
	if err := g.sample(ctx); err != nil {
		return "", nil, err
	}
	for _, q := range queries {
		if g.counts[q.name] > 0 {
			found += fmt.Sprintf("%s %g, ", q.name, g.sums[q.name])
		}
	}
	return strings.TrimSuffix(found, ", "), g.unknown, nil
}
