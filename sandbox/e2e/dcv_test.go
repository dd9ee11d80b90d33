package e2e

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/session/display/dcv/dcvdouble"
	"github.com/intraverse/dcv-sessions/internal/xmodules/xmodulestest"
	"github.com/intraverse/dcv-sessions/outputs"
	"github.com/intraverse/dcv-sessions/sandbox/local"
)

const (
	dcvImage = "dcv-sessions/dcv-double:test"
	// dcvSource is always the same: it is in the build, and a Docker that is kept
	// would keep a layer for each.
	dcvSource = "127.0.0.1:18800"
)

// inspectDCVImage builds the image for DCV from a double of DCV's packages, and
// plays on it, on a stand-in for a GPU's host.
func (s *sandbox) inspectDCVImage(t *testing.T, out outputs.Outputs) {
	packages := t.TempDir()
	file, sum, err := dcvdouble.Build(t.Context(), s.tree.Root, packages)
	require.NoError(t, err)
	serve(t, dcvSource, packages)
	buildContext := filepath.Join(t.TempDir(), "context")
	require.NoError(t, os.CopyFS(buildContext, os.DirFS(filepath.Join(s.tree.Root, ".build", "image-sandbox"))))
	table := filepath.Join(buildContext, "packages", "dcv.yaml")
	committed, err := os.ReadFile(table)
	require.NoError(t, err)
	remove := func() { s.docker(t, "rmi", "--force", dcvImage) }
	remove() // the rest of a test that was killed
	t.Cleanup(remove)

	t.Run("packages with another checksum than the committed one are refused, with both in words", func(t *testing.T) {
		said, err := s.buildDCV(t, buildContext)
		require.Error(t, err)
		expected := regexp.MustCompile(`(?m)^sha256: (\S+)`).FindSubmatch(committed)[1]
		assert.Contains(t, said, filepath.Base(file)+" has the SHA-256 "+sum+", not the expected "+string(expected))
		assert.Empty(t, s.docker(t, "images", "--quiet", dcvImage))
	})

	t.Run("those with the right one are installed, and nothing is left over", func(t *testing.T) {
		text := regexp.MustCompile(`(?m)^sha256: \S+`).ReplaceAll(committed, []byte("sha256: "+sum))
		require.NoError(t, os.WriteFile(table, text, 0o644))
		said, err := s.buildDCV(t, buildContext)
		require.NoError(t, err, said)
		inside := func(script string) string {
			return s.docker(t, "run", "--rm", "--network", "none", "--entrypoint", "sh", dcvImage, "-c", script)
		}
		assert.Equal(t, "nice-dcv-gl\nnice-dcv-server\nnice-dcv-web-viewer\nnice-xdcv", inside(`dpkg-query --show --showformat '${Package}\n' 'nice-*'`))
		assert.Empty(t, inside("dpkg --audit"))
		assert.Empty(t, inside(moreRights), "no file runs with more rights than who starts it")
		assert.Contains(t, strings.Fields(inside("id --name --groups dcv")), "video")
		assert.Empty(t, inside(`for p in dpkg-architecture gcc make curl sudo; do command -v $p; done
			find /tmp /var/lib/apt/lists /var/cache/apt -type f -size +0; find / -xdev -name '*.deb'; true`))
	})
	if t.Failed() {
		return // there is nothing to play on
	}
	host := s.gpuHost(t, out.ImageURI)

	t.Run("a player plays by DCV, also after its server and its bus have died, and leaves", func(t *testing.T) {
		t.Parallel()
		c := s.container(t, dcvImage, map[string]string{contract.EnvGrace: "10", contract.EnvUsage: "5"}, host...)
		v := c.visitor(c.event(contract.EventReady).URL)
		assert.Equal(t, http.StatusSeeOther, v.signIn(byHand))

		entry := v.enter()
		_, page := v.get(entry)
		assert.Contains(t, page, "Double of Amazon DCV")
		_, err := v.joins(strings.Replace(entry, "authToken=", "authToken=no", 1))
		assert.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err), "DCV asks us about every token: %v", err)
		player, err := v.joins(entry)
		require.NoError(t, err)
		c.eventWhere("a player", func(e contract.Event) bool { return e.State == contract.StatePlaying })
		c.eventWhere("the use of the GPU", func(e contract.Event) bool {
			return e.Usage != nil && e.Usage.GPUPercent != nil && *e.Usage.GPUPercent == 40 && e.Usage.EncoderMilliseconds != nil && *e.Usage.EncoderMilliseconds == 4
		})

		for i, part := range []string{"dcv/dcvserver", "dbus-daemon"} {
			c.kill(part)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, _, err = player.Read(ctx)
			require.Error(t, err)
			require.NoError(t, ctx.Err(), "the picture is gone with %s", part)
			cancel()
			require.True(t, local.WaitUntil(time.Minute, func() bool {
				return strings.Count(c.log(), "the session was opened again") > i
			}), "DCV's session comes back after %s", part)
			player, err = v.joins(v.enter())
			require.NoError(t, err)
		}

		require.NoError(t, player.Close(websocket.StatusNormalClosure, ""))
		ended := c.ended()
		assert.Equal(t, contract.ExitOK, *ended.ExitCode)
		assert.Contains(t, ended.Reason, "away for 10s")
		token := regexp.MustCompile("authToken=([^#]+)").FindStringSubmatch(entry)[1]
		assert.NotContains(t, c.log(), token)
		assert.NotContains(t, c.log(), byHand)
	})

	t.Run("a virtual session is played as well", func(t *testing.T) {
		t.Parallel()
		c := s.container(t, dcvImage, map[string]string{contract.EnvDisplayMode: string(contract.DisplayVirtual)}, host...)
		v := c.visitor(c.event(contract.EventReady).URL)
		v.signIn(byHand)
		_, err := v.joins(v.enter())
		require.NoError(t, err)
		s.docker(t, "stop", "--time", "40", c.id)
		assert.Equal(t, contract.ExitOK, *c.ended().ExitCode)
	})

	t.Run("the doctor says of each row what it found, and ends", func(t *testing.T) {
		t.Parallel()
		c := s.containerFor(t, contract.CommandDoctor, dcvImage, nil, host...)
		assert.Equal(t, contract.ExitOK, *c.ended().ExitCode)
		var held []string
		for _, e := range c.events() {
			if e.Event == contract.EventDoctor && e.Check.Outcome == contract.OutcomeHolds {
				held = append(held, e.Check.Name)
			}
		}
		assert.Equal(t, []string{
			"the NVIDIA driver's GLX module", "no other session of the host can have the display's name", "DCV's session attaches to the display", "DCV has its licence",
			"the web client comes through the session's proxy",
			"the use of the processor and of memory is measured", "the use of the GPU is measured", "the use of the GPU's video encoder is measured",
			"the screen's updates are counted", "the time to a player is measured",
			"the display server ends in time",
		}, held, "what a host without a GPU can show")

		c = s.containerFor(t, contract.CommandDoctor, dcvImage, map[string]string{"NVIDIA_VISIBLE_DEVICES": "all"}, host...)
		ended := c.ended()
		assert.Equal(t, contract.ExitDisplay, *ended.ExitCode)
		assert.Contains(t, ended.Reason, "does not hold: device nodes", "where a GPU was promised")
		assert.NotContains(t, c.log(), "close-session", "and what it ended is not ended again")
	})
}

// serve serves a folder's files until the test ends.
func serve(t *testing.T, address, dir string) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	require.NoError(t, err)
	server := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: time.Second}
	t.Cleanup(func() { _ = server.Close() })
	go func() { _ = server.Serve(listener) }()
}

// buildDCV builds the image as the program does for dcv.
func (s *sandbox) buildDCV(t *testing.T, buildContext string) (said string, err error) {
	t.Helper()
	text, err := os.ReadFile(s.cloud(t).ConfigFile("infra", local.Stack))
	require.NoError(t, err)
	var stack struct {
		Config map[string]any `yaml:"config"`
	}
	require.NoError(t, yaml.Unmarshal(text, &stack))
	out, err := local.Docker(t.Context(), s.cloud(t).DockerHost, "build", "--network", "host", "--tag", dcvImage,
		"--build-arg", "DISPLAY_SERVER=dcv", "--build-arg", "DCV_SOURCE=http://"+dcvSource,
		"--build-arg", "BASE_IMAGE="+stack.Config["dcv-sessions:image.base"].(string),
		"--build-arg", "GAME_SOURCE=folder", "--build-arg", "STOP_SECONDS=30", buildContext).CombinedOutput()
	return string(out), err
}

// nvidiaSMI answers the two questions that a session asks.
const nvidiaSMI = `#!/bin/sh
case "$*" in
"--query-gpu=pci.bus_id --id=0 --format=csv,noheader") echo 00000000:31:00.0 ;;
"--query-gpu=utilization.gpu,"*" --id=0 --format=csv,noheader,nounits") echo 40, 4096, 15360, 10, 1, 58, 4000 ;;
*) exit 6 ;;
esac
`

// xorg stands for Xorg on a GPU: it takes the same arguments and configuration,
// loads the driver's modules from Xorg's folders, and draws with the processor.
const xorg = `#!/bin/sh
number=$1
while [ $# -gt 0 ]; do
    case $1 in
    -auth) authority=$2 ;;
    -config) config=$2 ;;
    esac
    shift
done
grep -q 'BusID "PCI:49@0:0:0"' "$config" || { echo "the GPU is not in $config" >&2; exit 1; }
for module in drivers/nvidia_drv.so extensions/libglxserver_nvidia.so; do
    found=
    for path in $(sed -n 's/.*ModulePath "\(.*\)"/\1/p' "$config"); do
        if [ -e "$path/$module" ] || [ -e "$path/${module#*/}" ]; then found=$path; fi
    done
    [ "$found" ] || { echo "(EE) Failed to load module ${module#*/}" >&2; exit 1; }
done
size=$(sed -n 's/.*Virtual \([0-9]*\) \([0-9]*\)/\1x\2/p' "$config")
exec Xtigervnc "$number" -auth "$authority" -geometry "$size" -depth 24 -nolisten tcp -nolisten local -noreset -SecurityTypes None -rfbport -1
`

// gpuHost returns the flags of docker run that add what a GPU's host adds: the
// driver's files, as the AMI has them and the stack's user data completes them, mounted
// as NVIDIA's runtime mounts them. The X server is of the sandbox's own image.
func (s *sandbox) gpuHost(t *testing.T, withXtigervnc string) []string {
	t.Helper()
	dir := t.TempDir()
	other := s.docker(t, "create", "--label", local.Label+"="+s.tree.State, withXtigervnc)
	s.docker(t, "cp", other+":/usr/bin/Xtigervnc", dir)
	s.docker(t, "rm", other)
	for name, text := range map[string]string{"nvidia-smi": nvidiaSMI, "Xorg": xorg} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	ami := xmodulestest.AMI(t)
	xmodulestest.Start(t, ami)
	mounts := xmodulestest.Mounts(t, ami)
	for _, file := range []string{"/usr/bin/nvidia-smi", "/usr/lib/xorg/Xorg", "/usr/bin/Xtigervnc"} {
		mounts[file] = filepath.Join(dir, filepath.Base(file))
	}
	var flags []string
	for inside, file := range mounts {
		flags = append(flags, "--volume", file+":"+inside+":ro")
	}
	return flags
}

// enter asks the door for the way into the display.
func (v *visitor) enter() string {
	v.t.Helper()
	res, err := v.Post(v.url+"/enter", "", http.NoBody)
	require.NoError(v.t, err)
	defer res.Body.Close()
	require.Equal(v.t, http.StatusOK, res.StatusCode)
	var in struct {
		Entry string `json:"entry"`
	}
	require.NoError(v.t, json.NewDecoder(res.Body).Decode(&in))
	return in.Entry
}

// joins connects to DCV as the double's page does: by the session and the token
// of the entry's address.
func (v *visitor) joins(entry string) (*websocket.Conn, error) {
	v.t.Helper()
	at, err := url.Parse(entry)
	require.NoError(v.t, err)
	ctx, cancel := context.WithTimeout(v.t.Context(), 20*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, v.url+at.Path+"ws", &websocket.DialOptions{
		HTTPClient: v.Client, HTTPHeader: http.Header{"Origin": {v.url}},
	})
	require.NoError(v.t, err)
	v.t.Cleanup(func() { _ = conn.CloseNow() })
	if err := wsjson.Write(ctx, conn, map[string]string{"sessionId": at.Fragment, "authToken": at.Query().Get("authToken")}); err != nil {
		return nil, err
	}
	var answer struct {
		Says string `json:"says"`
	}
	if err := wsjson.Read(ctx, conn, &answer); err != nil {
		return nil, err
	}
	assert.Equal(v.t, "connected as player1", answer.Says)
	return conn, nil
}
