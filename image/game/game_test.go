package game_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/image/game"
)

// folder is a game's folder with a program, a data file and a manifest.
func folder(t *testing.T, manifest string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "bin"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bin/play"), []byte("#!/bin/sh\n"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "data"), nil, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, game.File), []byte(manifest), 0o644))
	return dir
}

const least = "name: Chess\nversion: 1.10\nexecutable: bin/play\ngraphics: egl\n"

// faultsOf is every line of a manifest's error, without the list's marks.
func faultsOf(t *testing.T, dir string) []string {
	t.Helper()
	_, err := game.Load(dir)
	require.Error(t, err)
	head, list, several := strings.Cut(err.Error(), "faults:\n  - ")
	if !several {
		return []string{strings.TrimPrefix(head, game.File+": ")}
	}
	return strings.Split(list, "\n  - ")
}

func TestEveryKeyIsRead(t *testing.T) {
	m, err := game.Load(folder(t, `
name: Intraverse
version: 0.1.0
executable: bin/play
arguments: [-level, 3]
directory: bin
environment: {SDL_VIDEODRIVER: x11, LEVEL: 3}
graphics: vulkan
window: {width: 1280, height: 720}
stop: {signal: SIGUSR1, seconds: 20}
keep: [.config/intraverse, saves]
successCodes: [7, 3, 7]
play:
  start:
    - key: Enter
    - wait: 2
  repeat:
    - hold: &forward {key: KeyW, seconds: 1.5}
    - move: [0.25, 1]
    - click: [0, 0.5]
    - hold: *forward
`))
	require.NoError(t, err)
	assert.Equal(t, &game.Manifest{
		Name: "Intraverse", Version: "0.1.0", Executable: "bin/play", Arguments: []string{"-level", "3"}, Directory: "bin",
		Environment: map[string]string{"SDL_VIDEODRIVER": "x11", "LEVEL": "3"}, Graphics: game.Vulkan,
		Window: game.Window{Width: 1280, Height: 720}, Stop: game.Stop{Signal: "SIGUSR1", Seconds: 20},
		Keep: []string{".config/intraverse", "saves"}, SuccessCodes: []int{0, 3, 7},
		Play: contract.Script{
			Start: []contract.Step{{Key: "Enter"}, {Wait: 2}},
			Repeat: []contract.Step{
				{Hold: &contract.Hold{Key: "KeyW", Seconds: 1.5}}, {Move: &contract.Point{0.25, 1}}, {Click: &contract.Point{0, 0.5}},
				{Hold: &contract.Hold{Key: "KeyW", Seconds: 1.5}},
			},
		},
	}, m)
	assert.Equal(t, syscall.SIGUSR1, m.Signal())
}

func TestWhatAManifestLeavesOutHasADefault(t *testing.T) {
	m, err := game.Load(folder(t, least+"window: {width: 1280}\nkeep:\n"))
	require.NoError(t, err)
	assert.Equal(t, &game.Manifest{
		Name: "Chess", Version: "1.10", Executable: "bin/play", Directory: ".", Graphics: game.EGL,
		Window: game.Window{Width: 1280, Height: 1080}, Stop: game.Stop{Signal: "SIGTERM", Seconds: 15}, SuccessCodes: []int{0},
		Play: contract.DefaultScript,
	}, m)
	assert.Equal(t, syscall.SIGTERM, m.Signal())

	m, err = game.Load(folder(t, least+"play: {start: [key: Enter]}\n"))
	require.NoError(t, err)
	assert.Equal(t, contract.Script{Start: []contract.Step{{Key: "Enter"}}, Repeat: contract.DefaultScript.Repeat}, m.Play)
}

func TestAManifestWithFiveFaultsTellsFive(t *testing.T) {
	assert.ElementsMatch(t, []string{
		`exectable is no known key; nearest: executable`,
		`executable is ""; allowed: a file with the right to be executed in the game's folder, by its path from there`,
		`graphics is "directx"; allowed: opengl, egl or vulkan`,
		`window.width is "wide"; allowed: a whole number`,
		`stop.seconds is 101; allowed: a whole number from 1 to 100`,
	}, faultsOf(t, folder(t, "name: Chess\nversion: 1\nexectable: bin/play\ngraphics: directx\nwindow: {width: wide}\nstop: {seconds: 101}\n")))
}

func TestEachKeyHasItsLimits(t *testing.T) {
	for change, fault := range map[string]string{
		`name: " "`:                                   `name is " "; allowed`,
		`name: "a\nb"`:                                "name is ",
		`version: 1/2`:                                `version is "1/2"`,
		`executable: data`:                            `executable is "data"; allowed: a file with the right to be executed`,
		`executable: bin`:                             "; it is drwx",
		`executable: nothing`:                         "; it is not there",
		`directory: data`:                             `directory is "data"; allowed: a folder`,
		`arguments: "-level"`:                         `arguments is "-level"; allowed: a list of texts`,
		`arguments: [a, "b\0"]`:                       "arguments[1] is ",
		`environment: {display: a}`:                   "environment.display is ",
		`environment: {DISPLAY: a}`:                   `environment.DISPLAY is "a"; allowed: a variable that the session does not set itself`,
		`environment: {DCV_STACK: a}`:                 "environment.DCV_STACK is ",
		`environment: {AWS_PROFILE: a}`:               "environment.AWS_PROFILE is ",
		`window: {height: 721}`:                       "window.height is 721; allowed: an even number from 200 to 2160",
		`window: {width: 318}`:                        "window.width is 318",
		`window: 1920x1080`:                           `window is "1920x1080"; allowed: the keys width, height`,
		`window: {depth: 24}`:                         `window.depth is no known key; nearest: window.width`,
		`stop: {signal: SIGKILL}`:                     `stop.signal is "SIGKILL"; allowed: SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2`,
		`stop: {seconds: 0}`:                          "stop.seconds is 0",
		`keep: [saves, .]`:                            `keep[1] is "."`,
		`successCodes: [126]`:                         "successCodes[0] is 126",
		`play: fast`:                                  `play is "fast"; allowed: the keys start, repeat`,
		`play: {loop: []}`:                            `play.loop is no known key; nearest: play.`,
		`play: {repeat: []}`:                          `play.repeat is "[]"; allowed: a list of 1 to 100 steps`,
		`play: {start: Enter}`:                        `play.start is "Enter"; allowed: a list of 0 to 100 steps`,
		`play: {repeat: [Enter]}`:                     `play.repeat[0] is "Enter"; allowed: one of key, hold, move, click, wait, with its value`,
		`play: {repeat: [{}]}`:                        `play.repeat[0] is "{}"; allowed: one of key`,
		`play: {repeat: [{key: a, wait: 1}]}`:         `play.repeat[0] is "{key: a, wait: 1}"; allowed: one of key`,
		`play: {start: [press: Enter]}`:               `play.start[0].press is no known key; nearest: play.start[0].`,
		`play: {start: [key: enter]}`:                 `play.start[0].key is "enter"; allowed: the code of a key, such as Enter, KeyW or ArrowUp; nearest: Enter`,
		`play: {start: [key: [Enter]]}`:               `play.start[0].key is "[Enter]"; allowed: the code of a key`,
		`play: {start: [hold: KeyW]}`:                 `play.start[0].hold is "KeyW"; allowed: the keys key, seconds`,
		`play: {start: [hold: {key: KeyW}]}`:          `play.start[0].hold.seconds is 0; allowed: seconds, a number from 0.1 to 60`,
		`play: {start: [hold: {key: W, seconds: 1}]}`: `play.start[0].hold.key is "W"`,
		`play: {start: [wait: 61]}`:                   `play.start[0].wait is 61; allowed: seconds, a number from 0.1 to 60`,
		`play: {start: [wait: .nan]}`:                 `play.start[0].wait is NaN`,
		`play: {start: [wait: long]}`:                 `play.start[0].wait is "long"; allowed: seconds, a number from 0.1 to 60`,
		`play: {start: [wait: ]}`:                     `play.start[0].wait is 0; allowed: seconds`,
		`play: {start: [move: [0.5]]}`:                `play.start[0].move is "[0.5]"; allowed: two numbers from 0 to 1: parts of the picture's width and height`,
		`play: {start: [move: ]}`:                     `play.start[0].move is null; allowed: two numbers from 0 to 1`,
		`play: {start: [click: [0.5, 1.01]]}`:         `play.start[0].click is [0.5,1.01]; allowed: two numbers from 0 to 1`,
		`play: {start: [click: [-1, 0]]}`:             `play.start[0].click is [-1,0]`,
		"keep: [a]\nkeep: [b]":                        `keep is "[b]"; allowed: each key once`,
		"version: [":                                  "yaml: line 4",
		"keep: []\n---\nname: another game":           "more than one YAML document",
	} {
		key, _, _ := strings.Cut(change, ":")
		var kept []string
		for line := range strings.Lines(least) {
			if !strings.HasPrefix(line, key+":") {
				kept = append(kept, line)
			}
		}
		faults := faultsOf(t, folder(t, strings.Join(kept, "")+change+"\n"))
		if assert.Len(t, faults, 1, change) {
			assert.Contains(t, faults[0], fault, change)
		}
	}
}

func TestAScriptHasAtMostAHundredSteps(t *testing.T) {
	steps := func(n int) string { return least + "play: {repeat: [" + strings.Repeat("wait: 1,", n) + "]}\n" }
	m, err := game.Load(folder(t, steps(100)))
	require.NoError(t, err)
	assert.Len(t, m.Play.Repeat, 100)
	faults := faultsOf(t, folder(t, steps(101)))
	require.Len(t, faults, 1)
	assert.Contains(t, faults[0], "allowed: a list of 1 to 100 steps")
}

func TestEveryFaultOfAScriptIsToldAtOnce(t *testing.T) {
	assert.Len(t, faultsOf(t, folder(t, least+"play: {start: [key: enter, wait: 0], repeat: [move: [2, 2], hold: {key: up, seconds: 100}, jump]}\n")), 6)
}

func TestNoPathClimbsOutOfItsFolder(t *testing.T) {
	paths := []string{"../play", "/bin/sh", "bin/../../play"}
	for _, path := range paths {
		faults := faultsOf(t, folder(t, "name: Chess\nversion: 1\ngraphics: egl\nexecutable: "+path+"\ndirectory: "+path+"\nkeep: ["+path+"]\n"))
		assert.Len(t, faults, 3, path)
	}
}

func TestALinkOutOfTheFolderIsNoGame(t *testing.T) {
	dir := folder(t, strings.Replace(least, "bin/play", "linked", 1)+"directory: outside\n")
	require.NoError(t, os.Symlink("/bin/sh", filepath.Join(dir, "linked")))
	require.NoError(t, os.Symlink("..", filepath.Join(dir, "outside")))
	faults := faultsOf(t, dir)
	require.Len(t, faults, 2)
	assert.Contains(t, faults[0], `executable is "linked"; allowed`)
	assert.Contains(t, faults[0], "path escapes")
	assert.Contains(t, faults[1], `directory is "outside"; allowed`)

	require.NoError(t, os.Remove(filepath.Join(dir, "linked")))
	require.NoError(t, os.Remove(filepath.Join(dir, "outside")))
	require.NoError(t, os.Symlink("bin/play", filepath.Join(dir, "linked")))
	require.NoError(t, os.Symlink("bin", filepath.Join(dir, "outside")))
	_, err := game.Load(dir)
	assert.NoError(t, err, "links within the folder are fine")
}

func TestAFolderWithoutAManifestSaysSo(t *testing.T) {
	_, err := game.Load(t.TempDir())
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, "there is no game.yaml in ")

	assert.Len(t, faultsOf(t, folder(t, "")), 4, "an empty one misses what has no default")

	dir := folder(t, "")
	require.NoError(t, os.Truncate(filepath.Join(dir, game.File), 1<<20))
	_, err = game.Load(dir)
	assert.ErrorContains(t, err, "not a file of at most 65536 bytes")
}

func TestAnExecutableMadeOnWindowsGetsItsPermissionFromTheBuild(t *testing.T) {
	dir := folder(t, least)
	play := filepath.Join(dir, "bin/play")
	require.NoError(t, os.Chmod(play, 0o644))
	assert.Len(t, faultsOf(t, dir), 1, "a session's game has it")

	m, err := game.LoadSource(dir)
	require.NoError(t, err)
	has, err := m.Permitted(dir)
	require.NoError(t, err)
	assert.False(t, has)
	for _, want := range []bool{true, false} {
		lacked, err := m.Permit(dir)
		require.NoError(t, err)
		assert.Equal(t, want, lacked)
	}
	info, err := os.Stat(play)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o755), info.Mode())
	_, err = game.Load(dir)
	assert.NoError(t, err)

	for _, what := range []string{"bin", "nothing", "../play"} {
		dir := folder(t, strings.Replace(least, "bin/play", what, 1))
		_, err := game.LoadSource(dir)
		assert.ErrorContains(t, err, `executable is "`+what+`"; allowed: a file in the game's folder`)
	}
}

func TestAStopTimeFitsIntoTheSessions(t *testing.T) {
	m := &game.Manifest{Stop: game.Stop{Signal: "SIGTERM", Seconds: 20}}
	assert.NoError(t, m.CheckStop(30))
	err := m.CheckStop(29)
	require.Error(t, err)
	for _, part := range []string{"stop.seconds is 20", "at most 19", "session.stopSeconds (29)"} {
		assert.Contains(t, err.Error(), part)
	}
}
