// Fetch downloads the parts of a session image that are not in its build context,
// the game and the DCV server's packages, and checks them. It is mounted into the
// build and is no part of the image.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/intraverse/dcv-sessions/image/game"
)

const usage = `usage:
  fetch game [DIR]       the game into DIR (/opt/game): which one, by the environment
      GAME_SOURCE=folder of GAME_FOLDER (/run/game), a folder with game.yaml or with one archive
      GAME_SOURCE=s3     GAME_BUCKET, GAME_KEY, GAME_VERSION (the version's id), GAME_SHA256
      STOP_SECONDS       session.stopSeconds, which the manifest's stop time has to fit into
      GAME_MAX_GIB       image.gameMaxGib, the most that the game may take unpacked
  fetch rights [DIR]     fail if a file below DIR (/) gives more rights to the user that runs it
  fetch dcv TABLE DIR    the DCV server's packages into DIR, from DCV_SOURCE, a URL
  fetch pin TABLE        write the checksum of the file at DCV_SOURCE into the table
`

// errUsage is answered with the usage.
var errUsage = errors.New("wrong usage")

func main() {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM) // for life
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "fetch:", err)
		os.Exit(1)
	}
}

// run is main without the process. Results go to out, progress to log.
func run(ctx context.Context, args []string, env func(string) string, out, log io.Writer) error {
	switch command := strings.Join(args[:min(1, len(args))], ""); {
	case command == "game" && len(args) <= 2:
		dir := game.Dir
		if len(args) == 2 {
			dir = args[1]
		}
		return fetchGame(ctx, env, dir, out, log)
	case command == "rights" && len(args) <= 2:
		dir := "/"
		if len(args) == 2 {
			dir = args[1]
		}
		return checkRights(dir, out)
	case command == "dcv" && len(args) == 3:
		return fetchDCV(ctx, args[1], args[2], env("DCV_SOURCE"), out, log)
	case command == "pin" && len(args) == 2:
		return pin(ctx, args[1], env("DCV_SOURCE"), out, log)
	}
	return errUsage
}
