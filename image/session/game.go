package main

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/game"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/fault"
	"github.com/intraverse/dcv-sessions/image/session/process"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

// gpuRun starts the game on the GPU and proves that it runs there.
const gpuRun = "/usr/local/bin/gpu-run"

// running is the game's process, started by gpu-run.
type running struct {
	*process.Process
	manifest *game.Manifest
	refused  atomic.Bool // by gpu-run: then the exit code is gpu-run's
}

// refusal begins the line that gpu-run writes when it refuses a game.
const refusal = "gpu-run: refused:"

// startGame starts the game, and returns once it shows a window.
func (p *parts) startGame(ctx context.Context) error {
	r := &running{manifest: p.manifest}
	command := p.gameCommand()
	command.Lines = func(line string) {
		if strings.HasPrefix(line, refusal) {
			r.refused.Store(true)
		}
		p.log.Game(line)
	}
	var err error
	if r.Process, err = process.Start(command); err != nil {
		return fault.New(contract.ExitImage, err)
	}
	p.game = r
	look := time.NewTicker(200 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the game runs, but shows no window: %w", context.Cause(ctx))
		case <-p.game.Done():
			end := p.game.ending()
			if end.Code == contract.ExitOK {
				end.Code = contract.ExitGame
			}
			return fault.New(end.Code, fmt.Errorf("%s before it showed a window", end.Reason))
		case <-look.C:
			if shown, _ := x11.Window(ctx, p.x); shown {
				go func() { p.over <- p.game.ending() }()
				return nil
			}
		}
	}
}

// gameCommand returns the command that runs the game as the player, without the
// session's own environment.
func (p *parts) gameCommand() process.Command {
	m := p.manifest
	args := []string{"--api", string(m.Graphics)}
	if p.SoftwareRendering {
		args = append(args, "--software")
	}
	args = append(args, "--", filepath.Join(game.Dir, m.Executable))
	env := slices.Concat(p.account.Env(), p.x.Env(), p.sound.Env(), []string{envGPU + "=" + p.gpu})
	for _, name := range slices.Sorted(maps.Keys(m.Environment)) {
		env = append(env, name+"="+m.Environment[name])
	}
	return process.Command{
		Name: "game", Path: gpuRun, Args: append(args, m.Arguments...), Env: env,
		Dir: filepath.Join(game.Dir, m.Directory), User: &p.account.User,
	}
}

// ending waits for the game's end and returns the session's.
func (r *running) ending() status.Ending {
	exit := r.Exit()
	switch {
	case exit.Signal == 0 && (exit.Code == 0 || slices.Contains(r.manifest.SuccessCodes, exit.Code)):
		return status.Ending{Code: contract.ExitOK, Reason: "the game ended with " + exit.String(), Cause: status.CauseGame}
	case r.refused.Load() && (exit.Code == contract.ExitSoftware || exit.Code == contract.ExitGPU):
		return status.Ending{Code: exit.Code, Reason: "gpu-run refused the game; its last line in the log says why"}
	}
	return status.Ending{Code: contract.ExitGame, Reason: "the game failed with " + exit.String()}
}

// end asks the game to save and waits as long as its manifest says.
func (r *running) end() {
	r.Stop(r.manifest.Signal(), time.Duration(r.manifest.Stop.Seconds)*time.Second)
}
