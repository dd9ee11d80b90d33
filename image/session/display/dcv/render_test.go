package dcv

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/image/session/process"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got)
}

func TestTheConfigurationIsWhatWasReviewed(t *testing.T) {
	golden(t, "dcv.conf", dcvConf{port: 9443, verifier: "http://127.0.0.1:9444/verify", idle: 30 * time.Minute, width: 1920, height: 1080}.render())
	golden(t, "default.perm", defaultPerm)
	golden(t, "xorg.conf", xorgScreen{BusID: "PCI:49@0:0:0", Modules: []string{"/usr/lib64/xorg/modules", ownModules}, Mode: reducedMode(1920, 1080)}.render())
}

func TestAnIdleTimeOfLessThanAMinuteIsNotNever(t *testing.T) {
	for d, want := range map[time.Duration]int{0: 0, time.Second: 1, time.Minute: 1, 61 * time.Second: 2, 30 * time.Minute: 30} {
		assert.Equal(t, want, wholeMinutes(d), d)
	}
}

// The values of cvt 1.2: `cvt -r 1920 1080` and so on.
func TestAModeIsWhatCVTComputes(t *testing.T) {
	for _, want := range []struct {
		width, height int
		line          string
	}{
		{1920, 1080, `"1920x1080R" 138.50 1920 1968 2000 2080 1080 1083 1088 1111 +hsync -vsync`},
		{1280, 720, `"1280x720R" 64.00 1280 1328 1360 1440 720 723 728 741 +hsync -vsync`},
		{1920, 1200, `"1920x1200R" 154.00 1920 1968 2000 2080 1200 1203 1209 1235 +hsync -vsync`},
		{1024, 768, `"1024x768R" 56.00 1024 1072 1104 1184 768 771 775 790 +hsync -vsync`},
	} {
		assert.Equal(t, want.line, cvtMode(want.width, want.height, 60).line())
	}
}

func TestAModeFitsEveryHead(t *testing.T) {
	assert.Equal(t, 60, reducedMode(1920, 1080).rate)
	assert.Equal(t, 60, reducedMode(1920, 1200).rate)
	for _, size := range [][2]int{{2560, 1440}, {3840, 2160}} {
		m := reducedMode(size[0], size[1])
		assert.LessOrEqual(t, m.clock, maxPixelClock)
		assert.Greater(t, cvtMode(size[0], size[1], m.rate+1).clock, maxPixelClock, "no frame a second less than it must be")
	}
	assert.Equal(t, 1360, reducedMode(1366, 768).width, "a line is a multiple of 8 pixels")
}

func TestAPCIAddressIsWrittenAsXorgReadsIt(t *testing.T) {
	for address, want := range map[string]string{
		"00000000:00:1E.0": "PCI:0@0:30:0",
		"00000000:31:00.0": "PCI:49@0:0:0",
		"00010000:0a:1f.7": "PCI:10@65536:31:7",
		"0000:00:1e.0":     "PCI:0@0:30:0",
	} {
		got, err := xorgBusID(address)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	for _, address := range []string{"", "No devices were found", "00000000:31:00", "00000000:31:00.8", "[N/A]"} {
		_, err := xorgBusID(address)
		assert.ErrorContains(t, err, "PCI address", address)
	}
}

func TestTheHostsDriverIsFoundWhereItMayBe(t *testing.T) {
	for name, test := range map[string]struct{ files, want []string }{
		"Debian's packages": {
			[]string{"/usr/lib/x86_64-linux-gnu/nvidia/xorg/nvidia_drv.so", "/usr/lib/x86_64-linux-gnu/nvidia/xorg/libglxserver_nvidia.so"},
			[]string{"/usr/lib/x86_64-linux-gnu/nvidia/xorg", ownModules},
		},
		"the AMI's": {
			[]string{"/usr/lib64/xorg/modules/drivers/nvidia_drv.so", "/usr/lib64/xorg/modules/extensions/libglxserver_nvidia.so"},
			[]string{"/usr/lib64/xorg/modules", ownModules},
		},
		"NVIDIA's installer": {
			[]string{"/usr/lib/xorg/modules/drivers/nvidia_drv.so", "/usr/lib/xorg/modules/extensions/libglxserver_nvidia.so.570.172.08"},
			[]string{ownModules},
		},
		"two folders": {
			[]string{"/usr/lib64/nvidia/xorg/nvidia_drv.so", "/usr/lib64/xorg/modules/extensions/libglxserver_nvidia.so"},
			[]string{"/usr/lib64/nvidia/xorg", "/usr/lib64/xorg/modules", ownModules},
		},
	} {
		root := t.TempDir()
		for _, file := range test.files {
			place(t, filepath.Join(root, file), "", 0o644)
		}
		s := New(Config{})
		s.root = root
		found, err := s.modules()
		require.NoError(t, err, name)
		assert.Equal(t, test.want, found, name)
	}
}

// Both are recordings: AWS's guide of 2020, and a console session of 2024.
func TestADescriptionIsReadInEveryForm(t *testing.T) {
	const of2020 = `{"id":"session","owner":"player1","name":"session","num-of-connections":0,"creation-time":"2020-03-02T16:08:50Z","last-disconnection-time":"",
"licenses":[{"product":"dcv","status":"licensed","check-timestamp":"2020-03-02T16:08:50Z","expiration-date":"2020-12-31T00:00:00Z"}],
"storage-root":"","type":"virtual","x11-display":":1","x11-authority":"/run/user/1009/dcv/session.xauth","display-layout":[{"width":800,"height":600,"x":0,"y":0}]}`
	d, err := parseDescription(of2020)
	require.NoError(t, err)
	assert.Equal(t, ":1", d.X11Display)
	assert.Equal(t, "/run/user/1009/dcv/session.xauth", d.X11Authority)
	_, fault := d.licence()
	assert.NoError(t, fault)

	const of2024 = `{"id":"session","owner":"player1","user":"dcv","name":"session","num-of-connections":1,"creation-time":"2024-01-14T12:15:09.707728Z",
"last-disconnection-time":"2024-01-14T12:20:09.000001Z","licensing-mode":"demo","status":"created",
"licenses":[{"product":"dcv","status":"licensed","check-timestamp":"2024-01-14T12:15:09.707728Z","expiration-date":"2024-02-13T00:00:00Z"}],
"storage-root":"","type":"console","x11-display":"","x11-authority":"","display-layout":[]}`
	d, err = parseDescription(of2024)
	require.NoError(t, err)
	assert.Equal(t, 1, d.Connections)
	assert.Empty(t, d.X11Display)
	found, fault := d.licence()
	assert.ErrorContains(t, fault, "demo licence")
	assert.Equal(t, "mode demo, dcv licensed until 2024-02-13T00:00:00Z", found)

	for _, broken := range []string{"", "{", "[]", "{}", "Could not get the system bus"} {
		_, err := parseDescription(broken)
		assert.ErrorContains(t, err, "dcv describe-session", broken)
	}
}

func TestALicenceThatIsNotGoodIsAFaultInWords(t *testing.T) {
	for status, good := range map[string]bool{"licensed": true, "LICENSED": true, "unlicensed": false, "": false} {
		_, fault := Description{Mode: "ec2", Licenses: []License{{Product: "dcv", Status: status}}}.licence()
		assert.Equal(t, good, fault == nil, status)
	}
	_, fault := Description{Licenses: []License{{Product: "dcv", Status: "expired"}}}.licence()
	assert.ErrorContains(t, fault, `dcv is "expired"`)
	assert.ErrorContains(t, fault, "s3:GetObject")
	found, fault := Description{}.licence()
	assert.NoError(t, fault, "what is not known is no fault")
	assert.Contains(t, found, "no licence")
}

// newLogTest returns a server, the folder of its logs, and the lines that it passes on.
func newLogTest(t *testing.T) (s *Server, dir string, told *[]string) {
	t.Helper()
	s = New(Config{})
	s.root, s.config.User, s.config.Account = t.TempDir(), "player1", process.User{UID: 1000}
	s.dcvUser = process.User{UID: uint32(os.Getuid())}
	told = new([]string)
	s.config.Log = func(part, line string) { *told = append(*told, part+": "+line) }
	return s, s.path("/var/log/dcv"), told
}

func TestTroubleInDCVsLogsIsToldOnceAndNoToken(t *testing.T) {
	s, dir, told := newLogTest(t)
	files := s.logFiles()
	place(t, filepath.Join(dir, "server.log"), "12:00 INFO  nothing\n12:01 WARN  licence - Failed checkout of product\n12:02 ERROR url ?authToken=abc\n12:03 ERR", 0o644)
	s.lookAtLogs(files)
	s.lookAtLogs(files)
	place(t, filepath.Join(dir, "server.log"), "12:00 INFO  nothing\n12:01 WARN  licence - Failed checkout of product\n12:02 ERROR url ?authToken=abc\n12:03 ERROR whole now\n", 0o644)
	place(t, filepath.Join(dir, "Xdcv.player1.session.log"), "12:04 ERROR no screen\n", 0o644)
	s.lookAtLogs(files)
	place(t, filepath.Join(dir, "server.log"), "12:05 ERROR begun anew\n", 0o644)
	s.lookAtLogs(files)
	assert.Equal(t, []string{
		"dcv: server.log: 12:01 WARN  licence - Failed checkout of product", "dcv: server.log: 12:03 ERROR whole now",
		"dcv: Xdcv.player1.session.log: 12:04 ERROR no screen", "dcv: server.log: 12:05 ERROR begun anew",
	}, *told)
}

func TestWhatAPlayerPutsBesideDCVsLogsIsNotRead(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to give a file away")
	}
	s, dir, told := newLogTest(t)
	outside := filepath.Join(t.TempDir(), "secret")
	place(t, outside, "ERROR of a file that only root may read\n", 0o600)
	place(t, filepath.Join(dir, "mine.log"), "ERROR in a file of an unknown name\n", 0o644)
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "server.log")))
	require.NoError(t, os.Link(outside, filepath.Join(dir, "agent.dcv.session.log")))
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "Xdcv.player1.session.log"), 0o666))
	place(t, filepath.Join(dir, "sessionlauncher.log"), "ERROR in the player's own file of a name of DCV's\n", 0o644)
	require.NoError(t, os.Chown(filepath.Join(dir, "sessionlauncher.log"), 1000, 1000))

	looked := make(chan struct{})
	go func() {
		defer close(looked)
		s.lookAtLogs(s.logFiles())
	}()
	select {
	case <-looked:
		assert.Empty(t, *told)
	case <-time.After(10 * time.Second):
		t.Fatal("a pipe among the logs stops the reader")
	}
}

func TestAllOfDCVsLogsHaveOneLimit(t *testing.T) {
	s, dir, told := newLogTest(t)
	files := s.logFiles()
	const line = "12:00 ERROR again and again\n"
	for _, file := range files[1:] {
		place(t, filepath.Join(dir, file.name), strings.Repeat(line, 10_000), 0o644)
	}
	s.lookAtLogs(files)
	assert.InDelta(t, lookBytes/len(line), len(*told), 1)
	*told = nil
	place(t, filepath.Join(dir, "server.log"), "12:01 ERROR of the server\n", 0o644)
	s.lookAtLogs(files)
	assert.Equal(t, "dcv: server.log: 12:01 ERROR of the server", (*told)[0], "the server's are not crowded out")
	for _, said := range *told {
		assert.True(t, strings.HasPrefix(said, "dcv: "), "one part, and one limit on its lines")
	}
}
