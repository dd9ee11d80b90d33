package workspace

import (
	"context"
	"errors"
	"fmt"

	"github.com/intraverse/dcv-sessions/launch"
	"github.com/intraverse/dcv-sessions/outputs"
)

// endPlaying is the value of the flag -playing that allows a command to end sessions.
const endPlaying = "end"

// CheckVacant returns an error if anybody plays or waits on the stack, unless the flag
// -playing allows the command to end their sessions: deleting the queue does that.
func (w *Workspace) CheckVacant(ctx context.Context, stack, playing, command string) error {
	switch playing {
	case endPlaying:
		return nil
	case "":
	default:
		return fmt.Errorf("-playing is %q; allowed: %s", playing, endPlaying)
	}
	out, err := w.Outputs(ctx, stack)
	if errors.Is(err, outputs.ErrNone) { // it does not exist, or has no queue yet
		return nil
	}
	if err == nil {
		var launcher *launch.Launcher
		if launcher, err = launch.New(w.AWS(), out); err == nil {
			err = launcher.Vacant(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("nothing was destroyed: %w\nwait until nobody plays or waits, or end the sessions: make %s PLAYING=%s", err, command, endPlaying)
	}
	return nil
}
