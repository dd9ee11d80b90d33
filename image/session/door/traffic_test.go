package door

import (
	"bytes"
	"crypto/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sends sends 1 MiB on a WebSocket, and reads its echo.
func sends(t *testing.T, conn *websocket.Conn) {
	t.Helper()
	message := make([]byte, 16<<10)
	_, _ = rand.Read(message)
	for range 64 {
		require.NoError(t, conn.Write(t.Context(), websocket.MessageBinary, message))
		_, echo, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.True(t, bytes.Equal(message, echo))
	}
}

func TestTheBytesOfAPlayerAreCountedEachWay(t *testing.T) {
	const size = 1 << 20
	for name, handler := range map[string]func(h *harness) Display{
		"a display of the session's own": func(h *harness) Display { return h.display },
		"a display behind a reverse proxy": func(h *harness) Display {
			behind := httptest.NewServer(h.display.Handler())
			h.t.Cleanup(behind.Close)
			to, err := url.Parse(behind.URL)
			require.NoError(h.t, err)
			return proxied{h.display, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(to)
				r.Out.Header.Del("Origin")
			}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			h.Open(handler(h))
			c := h.signedIn()
			before := h.Traffic()
			assert.Zero(t, before, "the door's own pages are no traffic of the display")
			h.do(c, http.MethodPost, "/display/app.js", "some text")
			files := h.Traffic()
			assert.EqualValues(t, len("the picture"), files.ToPlayer)
			conn := h.socket(c)
			h.players(1)
			sends(t, conn)
			// A byte is counted once its write has returned, which may be after its arrival.
			require.Eventually(t, func() bool { return h.Traffic().ToPlayer-files.ToPlayer >= size }, 10*time.Second, 10*time.Millisecond)
			after := h.Traffic()
			for way, bytes := range map[string]uint64{"to": after.ToPlayer - files.ToPlayer, "from": after.FromPlayer - files.FromPlayer} {
				assert.GreaterOrEqual(t, bytes, uint64(size), way)
				assert.Less(t, bytes, uint64(size+size/50), "%s: framing is a few bytes a message", way)
			}
		})
	}
}

func TestTheRoundTripIsThatOfTheConnectionThatCarriesThePicture(t *testing.T) {
	h := start(t)
	h.ready()
	assert.False(t, h.Traffic().Known, "nobody is there")
	c := h.signedIn()
	h.socket(c)
	busy := h.socket(c)
	h.players(1)
	sends(t, busy)
	now := h.Traffic()
	require.True(t, now.Known)
	assert.Positive(t, now.RoundTrip)
	assert.Less(t, now.RoundTrip, time.Second, "on loopback")
	require.Len(t, h.traffic.sockets, 2)
	h.Disconnect()
	h.players(0)
	require.Eventually(t, func() bool { return !h.Traffic().Known }, patience, 10*time.Millisecond, "a closed connection has none")
}

func TestAConnectionWithoutTCPHasNoRoundTrip(t *testing.T) {
	one, two := net.Pipe()
	defer one.Close()
	defer two.Close()
	_, known := RoundTrip(one)
	assert.False(t, known)
}

func TestPlayedTimeIsThatWithAPlayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Door{}
		d.traffic.count(0)
		time.Sleep(time.Minute)
		assert.Zero(t, d.Traffic().Played)
		assert.False(t, d.Playing())
		for range 2 {
			d.traffic.count(1)
			time.Sleep(10 * time.Second)
			d.traffic.count(2)
			time.Sleep(10 * time.Second)
			assert.True(t, d.Playing())
			d.traffic.count(0)
			time.Sleep(time.Minute)
		}
		assert.Equal(t, 40*time.Second, d.Traffic().Played)
		d.traffic.count(1)
		time.Sleep(time.Second)
		assert.Equal(t, 41*time.Second, d.Traffic().Played, "the one who plays now counts too")
	})
}
