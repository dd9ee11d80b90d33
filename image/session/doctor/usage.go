package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/intraverse/dcv-sessions/image/session/display"
	"github.com/intraverse/dcv-sessions/image/session/display/x11"
	"github.com/intraverse/dcv-sessions/image/session/door"
	"github.com/intraverse/dcv-sessions/image/session/usage"
)

// The rows of this file check the sources of usage events.

func (v *examination) cgroup(context.Context) finding {
	found, err := usage.CheckCgroup(v.root)
	if err != nil {
		return v.gpuFault(changeCgroup, "%v", err)
	}
	return holds("%s", found)
}

// gpuUse asks nvidia-smi as a session does. The row of the encoder has the same answer.
func (v *examination) gpuUse(ctx context.Context) finding {
	v.gpu.found, v.gpu.unknown, v.gpu.err = usage.CheckGPU(ctx, v.root, v.GPU)
	if v.gpu.err != nil {
		return v.gpuFault(changeUtility, "%v", v.gpu.err)
	}
	for _, query := range v.gpu.unknown {
		if !ofEncoder(query) {
			return fails(changeUtility, "no value of %s; %s", query, v.gpu.found)
		}
	}
	return holds("%s", v.gpu.found)
}

func (v *examination) encoderUse(context.Context) finding {
	if v.gpu.found == "" {
		return v.gpuFault(changeUtility, "nvidia-smi does not answer: see the row above")
	}
	var unknown []string
	for _, query := range v.gpu.unknown {
		if ofEncoder(query) {
			unknown = append(unknown, query)
		}
	}
	if len(unknown) > 0 {
		return fails(changeEncoder, "no value of %s", strings.Join(unknown, ", "))
	}
	return holds("it has them; whether they are above 0 while a game is shown needs a player")
}

// ofEncoder reports whether a query of nvidia-smi is about the video encoder.
func ofEncoder(query string) bool { return strings.Contains(query, "encoder") }

// The frames that the row draws: fewer may be counted on a busy host.
const (
	framesDrawn   = 30
	framesCounted = framesDrawn / 2
)

// frames draws on the screen, and counts as a session does.
func (v *examination) frames(ctx context.Context) finding {
	x := v.x.Load()
	if x == nil {
		return unknown("%v", errNotStarted)
	}
	n, err := v.countFrames(ctx, *x)
	switch {
	case err != nil:
		return fails(changeFrames, "%v", err)
	case n < framesCounted:
		return fails(changeFrames, "%d of %d drawn frames were counted", n, framesDrawn)
	}
	return holds("%d of %d drawn frames were counted; whether a full-screen game's are, which a driver may show without reporting them, is in the usage events of a session that is played", n, framesDrawn)
}

// countFrames draws framesDrawn frames and returns how many were counted.
func countFrames(ctx context.Context, x display.X) (int, error) {
	const window = 500 * time.Millisecond
	counting, enough := context.WithCancel(ctx)
	var n atomic.Int64
	ended := make(chan error, 1)
	go func() { ended <- x11.Frames(counting, x, window, 0, func(frames int) { n.Add(int64(frames)) }) }()
	drawn := make(chan error, 1)
	go func() { drawn <- x11.Draw(ctx, x, framesDrawn, time.Second/30) }()
	select {
	case err := <-ended:
		enough()
		return 0, err
	case err := <-drawn:
		time.Sleep(2 * window) // until the last one has ended
		enough()
		<-ended //nolint:errcheck // that it was called off
		return int(n.Load()), err
	}
}

// roundTrip connects to itself and asks the kernel, as the door does for a player's
// connection.
func (v *examination) roundTrip(ctx context.Context) finding {
	took, err := ownRoundTrip(ctx)
	if err != nil {
		return fails(changeProgram, "%v", err)
	}
	return holds("%s to itself", took)
}

func ownRoundTrip(ctx context.Context) (time.Duration, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	accepted := make(chan net.Conn, 1)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			accepted <- conn
		}
	}()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	peer := <-accepted
	defer peer.Close()
	if _, err := io.WriteString(conn, "a"); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		return 0, err
	}
	took, known := door.RoundTrip(conn)
	if !known {
		return 0, fmt.Errorf("TCP_INFO has no round trip")
	}
	return took, nil
}
