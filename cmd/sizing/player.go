package main

import (
	"context"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/player"
	"github.com/intraverse/dcv-sessions/launch"
)

// inBrowser plays a session in a browser, with the script of its game's manifest.
func inBrowser(ctx context.Context, s launch.Session, c contract.Credentials) error {
	return player.Play(ctx, player.Session{Address: s.URL, Fingerprint: s.Certificate, User: c.Username, Password: c.Password})
}
