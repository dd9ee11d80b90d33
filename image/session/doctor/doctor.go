// Package doctor tries what only a GPU host with DCV can show, one row after the
// other: what holds there, what does not, and what to change in the stack's
// configuration. Elsewhere it says of each row that it can't be known there.
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

// Parts are a session's, none of them started yet but the account.
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
	// Services are the addresses of what gives away the host's credentials, and
	// Ports the first and the last at which sessions listen: what a host keeps for
	// root it keeps from one end to the other. What is tried at all of them has to fit
	// into a line of process.LongestLine bytes.
	Services, Ports []string
	// Close is how long a session has for closing what is not the game.
	Close time.Duration

	// What tests change.
	root  string                                                         // "": /
	kept  func(string) error                                             // nil: x11.Kept
	tryAs func(context.Context, process.User, Attempts) (results, error) // nil: tryAs
}

// Run tries every row and tells of each as it is done. A row that panics or hangs
// has failed, and the next one follows. It returns the exit code of the process
// (contract.ExitCodes) and why, in words.
func Run(ctx context.Context, p Parts, tell func(contract.Check)) (code int, reason string) {
	v := &visit{Parts: p}
	if v.kept == nil {
		v.kept = x11.Kept
	}
	if v.tryAs == nil {
		v.tryAs = tryAs
	}
	v.sound = sync.OnceValues(func() ([]string, error) { return p.Sound(ctx) })
	var failed []string
	for _, r := range rows {
		c := v.try(ctx, r)
		if c.Outcome == contract.OutcomeFails {
			failed = append(failed, c.Name)
		}
		tell(c)
	}
	if len(failed) > 0 {
		return contract.ExitDisplay, "does not hold: " + strings.Join(failed, "; ")
	}
	return contract.ExitOK, "no check failed"
}

// visit is one run.
type visit struct {
	Parts
	sound  func() ([]string, error) // starts it the first time
	x      atomic.Pointer[display.X]
	serves atomic.Bool // the display server does
}

// row is something that must hold for players to play.
type row struct {
	name  string
	limit time.Duration
	check func(*visit, context.Context) finding
}

// finding is what a check found.
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

// mend is what is to be done about a fault of ours.
const mend = "nothing: it is a fault of this program; report it with this job's log"

// giveUp is how long a check may take to notice that its time is over.
const giveUp = 5 * time.Second

func (v *visit) try(ctx context.Context, r row) contract.Check {
	limited, cancel := context.WithTimeoutCause(ctx, r.limit, fmt.Errorf("it took longer than %s", r.limit))
	defer cancel()
	done := make(chan finding, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fails(mend, "the check itself failed: %v", p)
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
		case <-time.After(giveUp):
			f = fails(mend, "it hangs: it did not end %s after its %s", giveUp, r.limit)
		}
	}
	if ctx.Err() != nil {
		f = unknown("the doctor's job was ended before this was known")
	}
	return contract.Check{Name: r.name, Outcome: f.outcome, Found: f.found, Change: f.change}
}

func (v *visit) isDCV() bool { return v.DisplayServer == contract.DCV }

// needsNoGPU reports whether the host has no NVIDIA GPU and the session needs none:
// its display server renders with the processor, or the job was given no GPU. Much
// can't be known then.
func (v *visit) needsNoGPU() bool {
	return len(v.glob("/dev/nvidiactl")) == 0 && (!v.isDCV() || v.GPU == "" || v.GPU == "none" || v.GPU == "void")
}

const (
	withoutGPU = "can't be known here: this host has no NVIDIA GPU"
	withoutDCV = "can't be known here: this image has no DCV"
)

// gpuFault is a fault where there should be a GPU, and nothing known elsewhere.
func (v *visit) gpuFault(change, format string, values ...any) finding {
	if v.needsNoGPU() {
		return unknown(withoutGPU+"; "+format, values...)
	}
	return fails(change, format, values...)
}

// glob are the files of a pattern, without the root.
func (v *visit) glob(pattern string) []string {
	found, _ := filepath.Glob(v.root + pattern)
	for i := range found {
		found[i] = strings.TrimPrefix(found[i], v.root)
	}
	return found
}

// renders has gpu-run tell who draws by an API on the display.
func (v *visit) renders(ctx context.Context, x display.X, api string) (string, error) {
	out, err := process.Run(ctx, process.Command{
		Name: "gpu-run", Path: v.GPURun, Args: []string{"--check", "--api", api}, User: &v.Player,
		Env: append(append([]string{}, v.Env...), append(x.Env(), "NVIDIA_VISIBLE_DEVICES="+v.GPU)...),
	})
	return strings.Join(strings.Fields(out), " "), err
}

// errNotStarted says that a row needs what another one did not start.
var errNotStarted = errors.New("the display did not start: see its row")

// hasFile looks for a file by a pattern of its name, in folders and all below them.
func (v *visit) hasFile(pattern string, folders ...string) string {
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
