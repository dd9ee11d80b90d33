// Package doctor checks the properties that only a GPU host with DCV has, one row after
// the other: whether each holds, and if not, which key of the stack's configuration to
// change. On other hosts it reports that a row can't be known there.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/process"
)

// Parts are the parts of a session. Only the account exists yet.
type Parts struct {
	DisplayServer contract.DisplayServer // the image's
	DisplayMode   contract.DisplayMode
	Display       display.Display
	// Sound starts the player's sound and returns the variables by which its
	// clients reach it.
	Sound func(context.Context) ([]string, error)

	Player process.User
	Env    []string // of the player's programs, without display and sound
	GPURun string   // the path of gpu-run
	GPU    string   // NVIDIA_VISIBLE_DEVICES
	// Services are the addresses that give access to the host's credentials. Ports are
	// the first and the last that sessions listen on: a host keeps the whole range for
	// root. The results for all of them must fit into a line of process.LongestLine
	// bytes.
	Services, Ports []string
	// Close is how long a session has for closing all but the game.
	Close time.Duration

	// Tests change these.
	root  string                                                                // "": /
	kept  func(string) error                                                    // nil: x11.Kept
	tryAs func(context.Context, process.User, Attempts) (attemptResults, error) // nil: tryAs
	// countFrames is nil for the function of this name.
	countFrames func(context.Context, display.X) (int, error)
}

// Run checks every row and calls report with each result. A row that panics or hangs has
// failed, and the next one follows. Run returns the exit code of the process
// (contract.ExitCodes) and its reason.
func Run(ctx context.Context, p Parts, report func(contract.Check)) (code int, reason string) {
	v := &examination{Parts: p}
	if v.kept == nil {
		v.kept = x11.Kept
	}
	if v.tryAs == nil {
		v.tryAs = tryAs
	}
	if v.countFrames == nil {
		v.countFrames = countFrames
	}
	v.sound = sync.OnceValues(func() ([]string, error) { return p.Sound(ctx) })
	var failed []string
	for _, r := range checkRows {
		c := v.try(ctx, r)
		if c.Outcome == contract.OutcomeFails {
			failed = append(failed, c.Name)
		}
		report(c)
	}
	if len(failed) > 0 {
		return contract.ExitDisplay, "does not hold: " + strings.Join(failed, "; ")
	}
	return contract.ExitOK, "no check failed"
}

// examination is one call of Run.
type examination struct {
	Parts
	sound  func() ([]string, error) // starts it at the first call
	x      atomic.Pointer[display.X]
	serves atomic.Bool // the display server does

	gpu struct { // what nvidia-smi answered
		found   string
		unknown []string // queries without a value
		err     error
	}
}

// row is a property that must hold for players to play.
type row struct {
	name  string
	limit time.Duration
	check func(*examination, context.Context) finding
}

// finding is the result of a check.
type finding struct {
	outcome       contract.Outcome
	found, change string
}

func holds(format string, values ...any) finding {
	return finding{contract.OutcomeHolds, fmt.Sprintf(format, values...), ""}
}

func unknown(format string, values ...any) finding {
	return finding{contract.OutcomeUnknown, fmt.Sprintf(format, values...), ""}
}

func fails(change, format string, values ...any) finding {
	return finding{contract.OutcomeFails, fmt.Sprintf(format, values...), change}
}

// changeProgram is the advice for a fault of this program.
const changeProgram = "nothing: it is a fault of this program; report it with this job's log"

// hangLimit is how long a check may take to return after its limit.
const hangLimit = 5 * time.Second

func (v *examination) try(ctx context.Context, r row) contract.Check {
	limited, cancel := context.WithTimeoutCause(ctx, r.limit, fmt.Errorf("it took longer than %s", r.limit))
	defer cancel()
	done := make(chan finding, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fails(changeProgram, "the check itself failed: %v", p)
			}
		}()
		done <- r.check(v, limited)
	}()
	var f finding
	select {
	case f = <-done:
	case <-limited.Done():
		select {
		case f = <-done:
		case <-time.After(hangLimit):
			f = fails(changeProgram, "it hangs: it did not end %s after its %s", hangLimit, r.limit)
		}
	}
	if ctx.Err() != nil {
		f = unknown("the doctor's job was ended before this was known")
	}
	return contract.Check{Name: r.name, Outcome: f.outcome, Found: f.found, Change: f.change}
}

func (v *examination) isDCV() bool { return v.DisplayServer == contract.DCV }

// needsNoGPU reports whether the host has no NVIDIA GPU and the session needs none:
// its display server renders with the processor, or the job was given no GPU. Much
// can't be known then.
func (v *examination) needsNoGPU() bool {
	return len(v.glob("/dev/nvidiactl")) == 0 && (!v.isDCV() || v.GPU == "" || v.GPU == "none" || v.GPU == "void")
}

const (
	withoutGPU = "can't be known here: this host has no NVIDIA GPU"
	withoutDCV = "can't be known here: this image has no DCV"
)

// gpuFault returns a failure if the session needs a GPU, and unknown otherwise.
func (v *examination) gpuFault(change, format string, values ...any) finding {
	if v.needsNoGPU() {
		return unknown(withoutGPU+"; "+format, values...)
	}
	return fails(change, format, values...)
}

// glob returns the files that match a pattern, without the root.
func (v *examination) glob(pattern string) []string {
	found, _ := filepath.Glob(v.root + pattern)
	for i := range found {
		found[i] = strings.TrimPrefix(found[i], v.root)
	}
	return found
}

// renders returns gpu-run's report of the renderer of an API on the display.
func (v *examination) renders(ctx context.Context, x display.X, api string) (string, error) {
	out, err := process.Run(ctx, process.Command{
		Name: "gpu-run", Path: v.GPURun, Args: []string{"--check", "--api", api}, User: &v.Player,
		Env: append(append([]string{}, v.Env...), append(x.Env(), "NVIDIA_VISIBLE_DEVICES="+v.GPU)...),
	})
	return strings.Join(strings.Fields(out), " "), err
}

// errNotStarted is the finding of a row without the display that it needs.
var errNotStarted = errors.New("the display did not start: see its row")

// hasFile returns the first file below the folders with a name that matches a pattern.
func (v *examination) hasFile(pattern string, folders ...string) string {
	found := ""
	for _, folder := range folders {
		_ = filepath.WalkDir(v.root+folder, func(path string, entry os.DirEntry, err error) error {
			if err != nil {
				return nil // a folder that can't be read holds no driver
			}
			if matches, _ := filepath.Match(pattern, entry.Name()); matches {
				found = strings.TrimPrefix(path, v.root)
				return filepath.SkipAll
			}
			return nil
		})
	}
	return found
}
