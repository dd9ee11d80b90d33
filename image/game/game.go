// Package game reads a game's manifest: the facts that a session needs about a game,
// in one file at the root of the game's folder. docs/your-game.md describes it.
package game

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/intraverse/dcv-sessions/contract"
	"github.com/intraverse/dcv-sessions/internal/faults"
)

// Paths of a game.
const (
	File = "game.yaml" // the manifest, at the root of the game's folder
	Dir  = "/opt/game" // the game's folder in the session image
)

// Manifest is the content of game.yaml, with every default filled in.
type Manifest struct {
	Name       string
	Version    string
	Executable string // relative to the game's folder, as all of its paths
	Arguments  []string
	// Directory is the game's working directory; default ".", its own folder.
	Directory   string
	Environment map[string]string
	Graphics    Graphics
	Window      Window
	Stop        Stop
	Keep        []string // files and folders to keep, relative to the player's home
	// SuccessCodes are the exit codes that are no faults, ascending; 0 is always
	// one.
	SuccessCodes []int
	Play         contract.Script // default contract.DefaultScript
}

// Graphics is the API that a game draws with: it decides how its rendering on the
// GPU is proved.
type Graphics string

// The APIs that a session can prove.
const (
	OpenGL Graphics = "opengl"
	EGL    Graphics = "egl"
	Vulkan Graphics = "vulkan"
)

// Window is the size of the game's picture in pixels, default 1920 by 1080.
type Window struct{ Width, Height int }

// Stop is how a game is asked to end: by a signal, default SIGTERM, and how long
// it may take to save, default 15 seconds.
type Stop struct {
	Signal  string
	Seconds int
}

// signals are those that a game can catch and that mean an end.
var signals = map[string]syscall.Signal{
	"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGHUP": syscall.SIGHUP, "SIGUSR1": syscall.SIGUSR1, "SIGUSR2": syscall.SIGUSR2,
}

// Signal is the stop signal.
func (m *Manifest) Signal() syscall.Signal { return signals[m.Stop.Signal] }

// rest is the part of session.stopSeconds, in seconds, in which a session closes its
// display and its log after the game has ended.
const rest = 10

// CheckStop refuses a manifest with a stop time that does not fit into the stack's
// session.stopSeconds: the game would be killed while it saves.
func (m *Manifest) CheckStop(stopSeconds int) error {
	if m.Stop.Seconds <= stopSeconds-rest {
		return nil
	}
	return fmt.Errorf("%s: stop.seconds is %d; allowed: at most %d, which is session.stopSeconds (%d) less the %d seconds that a session needs to close; shorten the one or raise the other",
		File, m.Stop.Seconds, stopSeconds-rest, stopSeconds, rest)
}

// Load reads the manifest of the game in a folder and checks it, and the files
// that it names. Its error names every fault at once.
func Load(dir string) (*Manifest, error) {
	return load(dir, "a file with the right to be executed", func(info fs.FileInfo) bool {
		return info.Mode().IsRegular() && permitted(info)
	})
}

// LoadSource is Load for a game that no image holds yet: its executable may lack
// the permission to be executed, as every file does that was made on Windows.
// Permit adds it when the image is built.
func LoadSource(dir string) (*Manifest, error) {
	return load(dir, "a file", func(info fs.FileInfo) bool { return info.Mode().IsRegular() })
}

func load(dir, program string, isProgram func(fs.FileInfo) bool) (*Manifest, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	text, err := read(root)
	if err != nil {
		return nil, err
	}
	m := &Manifest{Directory: ".", Window: Window{1920, 1080}, Stop: Stop{"SIGTERM", 15}, Play: contract.DefaultScript}
	var f faults.Faults
	if err := decode(&f, text, m.keys()); err != nil {
		return nil, fmt.Errorf("%s: %w", File, err)
	}
	m.check(&f)
	checkFile(&f, root, "executable", m.Executable, program, isProgram)
	checkFile(&f, root, "directory", m.Directory, "a folder", fs.FileInfo.IsDir)
	if err := f.Err(File); err != nil {
		return nil, err
	}
	m.SuccessCodes = append(m.SuccessCodes, 0)
	slices.Sort(m.SuccessCodes)
	m.SuccessCodes = slices.Compact(m.SuccessCodes)
	return m, nil
}

func permitted(info fs.FileInfo) bool { return info.Mode()&0o111 != 0 }

// Permitted reports whether the executable of the game in a folder has the
// permission to be executed.
func (m *Manifest) Permitted(dir string) (bool, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	info, err := root.Stat(m.Executable)
	return err == nil && permitted(info), err
}

// Permit makes sure that the executable of the game in a folder has the
// permission to be executed, and reports whether it lacked it.
func (m *Manifest) Permit(dir string) (lacked bool, err error) {
	has, err := m.Permitted(dir)
	if has || err != nil {
		return false, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, err
	}
	defer root.Close()
	return true, root.Chmod(m.Executable, 0o755)
}

// mostText is more than any manifest needs.
const mostText = 64 << 10

func read(root *os.Root) ([]byte, error) {
	info, err := root.Stat(File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no %s in %s: %w", File, root.Name(), fs.ErrNotExist)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() || info.Size() > mostText:
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", File, mostText)
	}
	return root.ReadFile(File)
}

// keys returns the keys of a manifest.
func (m *Manifest) keys() []key {
	const whole = "a whole number"
	return []key{
		{"name", &m.Name, "a text", nil},
		{"version", &m.Version, "a text", nil},
		{"executable", &m.Executable, "a path", nil},
		{"arguments", &m.Arguments, "a list of texts", nil},
		{"directory", &m.Directory, "a path", nil},
		{"environment", &m.Environment, "names with their values", nil},
		{"graphics", &m.Graphics, "a text", nil},
		{"window", nil, "width and height", []key{{"width", &m.Window.Width, whole, nil}, {"height", &m.Window.Height, whole, nil}}},
		{"stop", nil, "signal and seconds", []key{{"signal", &m.Stop.Signal, "a text", nil}, {"seconds", &m.Stop.Seconds, whole, nil}}},
		{"keep", &m.Keep, "a list of paths", nil},
		{"successCodes", &m.SuccessCodes, "a list of whole numbers", nil},
		{"play", nil, "start and repeat", []key{{"start", steps(&m.Play.Start, 0), "", nil}, {"repeat", steps(&m.Play.Repeat, 1), "", nil}}},
	}
}

var (
	versionPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$`)
	variablePattern = regexp.MustCompile(`^[A-Z_][A-Z0-9_]*$`)
)

// ours are variables that the session sets itself: a player's account, screen and
// sound, and those that make the game run on the GPU.
var ours = strings.Fields(`DISPLAY XAUTHORITY WAYLAND_DISPLAY HOME USER LOGNAME SHELL PATH PULSE_SERVER PULSE_COOKIE XDG_RUNTIME_DIR
 NVIDIA_VISIBLE_DEVICES LIBGL_ALWAYS_SOFTWARE GALLIUM_DRIVER MESA_LOADER_DRIVER_OVERRIDE VK_DRIVER_FILES VK_ICD_FILENAMES
 __NV_PRIME_RENDER_OFFLOAD __GLX_VENDOR_LIBRARY_NAME __EGL_VENDOR_LIBRARY_FILENAMES __VK_LAYER_NV_optimus`)

// check is everything but the files.
func (m *Manifest) check(f *faults.Faults) {
	f.Check(m.Name == strings.TrimSpace(m.Name) && m.Name != "" && len(m.Name) <= 64 && printable(m.Name),
		"name", m.Name, "1 to 64 bytes of text on one line")
	f.Check(versionPattern.MatchString(m.Version), "version", m.Version, `1 to 64 letters, digits, ".", "_", "+" and "-", such as 1.4.2`)
	for i, argument := range m.Arguments {
		f.Check(printable(argument), at("arguments", i), argument, "text without control characters")
	}
	for _, name := range slices.Sorted(maps.Keys(m.Environment)) {
		path, value := "environment."+name, m.Environment[name]
		switch {
		case !variablePattern.MatchString(name):
			f.Add(path, value, `a name of capital letters, digits and "_", no digit first`)
		case strings.HasPrefix(name, "DCV_"), strings.HasPrefix(name, "AWS_"), slices.Contains(ours, name):
			f.Add(path, value, "a variable that the session does not set itself, and that begins with neither DCV_ nor AWS_")
		default:
			f.Check(printable(value), path, value, "text without control characters")
		}
	}
	f.Check(slices.Contains([]Graphics{OpenGL, EGL, Vulkan}, m.Graphics), "graphics", string(m.Graphics), "opengl, egl or vulkan")
	even(f, "window.width", m.Window.Width, 320, 4096)
	even(f, "window.height", m.Window.Height, 200, 2160)
	_, known := signals[m.Stop.Signal]
	f.Check(known, "stop.signal", m.Stop.Signal, strings.Join(slices.Sorted(maps.Keys(signals)), ", "))
	f.Between("stop.seconds", m.Stop.Seconds, 1, 100)
	for i, path := range m.Keep {
		f.Check(filepath.IsLocal(path) && filepath.Clean(path) != "." && printable(path), at("keep", i), path, "a path in the player's home, not the home itself")
	}
	for i, code := range m.SuccessCodes {
		// A shell's and Docker's own codes begin at 125.
		f.Between(at("successCodes", i), code, 0, 125)
	}
}

// checkFile checks a path of the manifest in the game's folder. root follows no link
// out of the folder.
func checkFile(f *faults.Faults, root *os.Root, key, path, what string, good func(fs.FileInfo) bool) {
	allowed := what + " in the game's folder, by its path from there"
	info, err := root.Stat(path)
	switch {
	case !filepath.IsLocal(path):
		f.Add(key, path, allowed)
	case errors.Is(err, fs.ErrNotExist):
		f.Add(key, path, allowed+"; it is not there")
	case err != nil:
		f.Add(key, path, allowed+"; "+errors.Unwrap(err).Error())
	case !good(info):
		f.Add(key, path, fmt.Sprintf("%s; it is %s", allowed, info.Mode()))
	}
}

func even(f *faults.Faults, key string, value, low, high int) {
	f.Check(value >= low && value <= high && value%2 == 0, key, value, fmt.Sprintf("an even number from %d to %d", low, high))
}

func at(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func printable(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' })
}
