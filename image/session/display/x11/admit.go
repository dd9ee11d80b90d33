package x11

import (
	"context"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// Admit lets an account of this machine in without a cookie, as the program
// `xhost +SI:localuser:ACCOUNT` does.
func Admit(ctx context.Context, x display.X, account string) error {
	address := "localuser\x00" + account
	return ask(ctx, x, func(c *xgb.Conn) error {
		return xproto.ChangeHostsChecked(c, xproto.HostModeInsert, xproto.FamilyServerInterpreted, uint16(len(address)), []byte(address)).Check()
	})
}
