package x11

import (
	"context"

	"github.com/jezek/xgb"
	"github.com/jezek/xgb/xproto"

	"github.com/intraverse/dcv-sessions/image/session/display"
)

// Admit allows an account of this machine to connect without a cookie, as
// `xhost +SI:localuser:ACCOUNT` does.
func Admit(ctx context.Context, x display.X, account string) error {
	address := "localuser\x00" + account
	return withConn(ctx, x, func(c *xgb.Conn) error {
		return xproto.ChangeHostsChecked(c, xproto.HostModeInsert, xproto.FamilyServerInterpreted, uint16(len(address)), []byte(address)).Check()
	})
}
