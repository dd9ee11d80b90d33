// Command session is the supervisor of one player's session: PID 1 of its
// container. It serves the session's port from the first second to the last,
// starts display, sound and game behind it, writes its states as JSON events to stdout,
// and ends with an exit code of the contract, which the job definition's retry rules
// use. `session doctor` checks the properties that only a GPU host has.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/boot"
	"github.com/intraverse/dcv-sessions/image/session/doctor"
	"github.com/intraverse/dcv-sessions/image/session/events"
	"github.com/intraverse/dcv-sessions/image/session/process"
	"github.com/intraverse/dcv-sessions/image/session/status"
)

func main() {
	if os.Getpid() != 1 && len(os.Args) == 3 && os.Args[1] == doctor.CommandTry {
		if err := doctor.Try(os.Args[2], os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	given, err := boot.Clean()
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt) // never stopped
	go process.Reap(context.Background())
	mode := runSession
	if len(os.Args) > 1 && os.Args[1] == contract.CommandDoctor {
		mode = runDoctor
	}
	if err != nil {
		mode = func(context.Context, settings, *events.Writer) status.Ending {
			return status.Ending{Code: contract.ExitInternal, Reason: err.Error()}
		}
	}
	os.Exit(run(ctx, given, os.Stdout, mode))
}
