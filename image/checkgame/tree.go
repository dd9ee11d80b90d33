package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/intraverse/dcv-sessions/image/game"
)

// tree is a game's folder.
type tree struct {
	dir   string
	files []file
	bytes int64
	links int
	bad   []row // faults for which the build would refuse the game
}

// file is one of a game's files.
type file struct {
	name   string
	size   int64
	binary *binary // nil if it is no ELF file
}

// binary is a program or library.
type binary struct {
	machine elf.Machine
	linked  []string // libraries that it can't start without
	named   []string // of wellKnown, in any text of it: it may open them when it runs
}

// read looks at every file, and at the content of programs and libraries.
func read(dir string) (*tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	t := &tree{dir: dir}
	return t, fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return nil
		case d.Type() == fs.ModeSymlink:
			t.links++
			if _, err := root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.bad = append(t.bad, row{"files", fault, fmt.Sprintf("%s is a link that can't be followed within the game's folder", name), "put the file itself there"})
			}
			return nil
		case !d.Type().IsRegular():
			t.bad = append(t.bad, row{"files", fault, fmt.Sprintf("%s is neither file, folder nor link", name), "leave it out"})
			return nil
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			return err
		}
		t.bytes += info.Size()
		b, err := readBinary(f)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		t.files = append(t.files, file{name, info.Size(), b})
		return nil
	})
}

// wellKnown are the libraries for graphics and sound.
var wellKnown = []string{"libGL.so.1", "libGLX.so.0", "libOpenGL.so.0", "libEGL.so.1", "libvulkan.so.1", "libpulse.so.0", "libasound.so.2"}

func readBinary(f *os.File) (*binary, error) {
	magic := make([]byte, len(elf.ELFMAG))
	if n, _ := f.ReadAt(magic, 0); string(magic[:n]) != elf.ELFMAG {
		return nil, nil
	}
	header, err := elf.NewFile(f)
	if err != nil {
		return nil, nil // it only begins like one
	}
	b := &binary{machine: header.Machine}
	b.linked, _ = header.ImportedLibraries() // none if it is static
	found := map[string]bool{}
	const overlap = 32 // more than the longest name
	buffer := make([]byte, 1<<20)
	for kept := 0; ; {
		n, err := f.Read(buffer[kept:])
		for _, name := range wellKnown {
			found[name] = found[name] || bytes.Contains(buffer[:kept+n], []byte(name))
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		all := buffer[:kept+n]
		kept = copy(buffer, all[max(0, len(all)-overlap):])
	}
	for _, name := range wellKnown {
		if found[name] {
			b.named = append(b.named, name)
		}
	}
	return b, nil
}

// uses reports whether any program or library of the game links or names one of
// some libraries.
func (t *tree) uses(libraries ...string) bool {
	return slices.ContainsFunc(t.files, func(f file) bool {
		return f.binary != nil && slices.ContainsFunc(libraries, func(l string) bool {
			return slices.Contains(f.binary.linked, l) || slices.Contains(f.binary.named, l)
		})
	})
}

// has reports whether the game brings every library that lines of ldd name.
func (t *tree) has(lines []string) bool {
	return !slices.ContainsFunc(lines, func(line string) bool {
		name, _, _ := strings.Cut(line, " ")
		return !slices.ContainsFunc(t.files, func(f file) bool { return path.Base(f.name) == name })
	})
}

// Limits of a layer.
const (
	largestLayer = 52_000 << 20 // Amazon ECR service quotas, "Layer size"; not adjustable
	gigabit      = 1e9 / 8      // bytes a second
	sampled      = 1 << 30      // bytes that are compressed for the estimate
)

// layer returns the row with the size of the game's layer and the time to pull it.
func layer(t *tree) []row {
	size := fmt.Sprintf("%s in %d files", megabytes(t.bytes), len(t.files)+t.links)
	packed, how, err := t.compressed()
	if err != nil {
		return []row{{"layer", fault, err.Error(), "make every file readable"}}
	}
	found := fmt.Sprintf("%s; as a registry's layer, by gzip, %s (%s): a host that has it not yet pulls it in %.0f s at 1 Gbit/s, and unpacks it",
		size, megabytes(packed), how, max(1, float64(packed)/gigabit))
	if packed > largestLayer {
		return []row{{"layer", fault, found, fmt.Sprintf("Amazon ECR takes layers of at most %s: make the build smaller", megabytes(largestLayer))}}
	}
	return []row{{"layer", good, found, ""}}
}

// compressed estimates the size of the files after gzip, which Docker pushes as a
// layer. Of a large game only some blocks of each file are compressed.
func (t *tree) compressed() (packed int64, how string, err error) {
	const block = 1 << 20
	every := max(1, (t.bytes+sampled-1)/sampled)
	counted := &counter{}
	w := gzip.NewWriter(counted)
	var read int64
	for _, f := range t.files {
		if err := func() error {
			in, err := os.Open(path.Join(t.dir, f.name))
			if err != nil {
				return err
			}
			defer in.Close()
			for at := int64(0); at < f.size; at += every * block {
				n, err := io.Copy(w, io.NewSectionReader(in, at, block))
				if read += n; err != nil {
					return err
				}
			}
			return nil
		}(); err != nil {
			return 0, "", err
		}
	}
	if err := w.Close(); err != nil {
		return 0, "", err
	}
	if every == 1 || read == 0 {
		return counted.bytes, "measured", nil
	}
	return int64(float64(counted.bytes) * float64(t.bytes) / float64(read)), fmt.Sprintf("estimated from %s of it", megabytes(read)), nil
}

type counter struct{ bytes int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.bytes += int64(len(b))
	return len(b), nil
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.1f MB", float64(bytes)/1e6) }

// program checks the executable.
func program(t *tree, m *game.Manifest) row {
	name := path.Clean(m.Executable)
	if real, err := os.Readlink(path.Join(t.dir, name)); err == nil {
		name = path.Join(path.Dir(name), real)
	}
	i := slices.IndexFunc(t.files, func(f file) bool { return f.name == name })
	switch {
	case i < 0:
		return row{"program", unseen, m.Executable + " leads over several links", ""}
	case t.files[i].binary == nil:
		return row{"program", look, m.Executable + " is no ELF program: a script?", "let a script `exec` the game, so that the stop signal reaches it"}
	case t.files[i].binary.machine != elf.EM_X86_64:
		return row{"program", fault, fmt.Sprintf("%s is for %s", m.Executable, t.files[i].binary.machine), "build it for x86-64: the GPU hosts are"}
	}
	return row{"program", good, m.Executable + " is a program for x86-64", ""}
}

// drawnBy are the libraries of each API.
var drawnBy = []struct {
	api       game.Graphics
	libraries []string
}{
	{game.OpenGL, []string{"libGL.so.1", "libGLX.so.0", "libOpenGL.so.0"}},
	{game.EGL, []string{"libEGL.so.1"}},
	{game.Vulkan, []string{"libvulkan.so.1"}},
}

func graphics(t *tree, m *game.Manifest) row {
	var found []string
	for _, d := range drawnBy {
		if t.uses(d.libraries...) {
			found = append(found, string(d.api))
		}
	}
	text := fmt.Sprintf("its programs and libraries name %s; the manifest says %s", strings.Join(found, ", "), m.Graphics)
	switch {
	case len(found) == 0:
		return row{"graphics", unseen, fmt.Sprintf("no program or library of the game names OpenGL, EGL or Vulkan; the manifest says %s", m.Graphics), "see that the manifest is right: the session proves the rendering by this API"}
	case !slices.Contains(found, string(m.Graphics)):
		return row{"graphics", fault, text, "set graphics to the game's API"}
	}
	return row{"graphics", good, text, ""}
}

func sound(t *tree) row {
	switch {
	case t.uses("libpulse.so.0"):
		return row{"sound", good, "it names PulseAudio's library", ""}
	case t.uses("libasound.so.2"):
		return row{"sound", look, "it names ALSA's library and not PulseAudio's", "listen in a session: ALSA reaches the player by its PulseAudio plugin, libasound2-plugins, in the image"}
	}
	return row{"sound", look, "no program or library of the game names PulseAudio or ALSA", "listen in a session"}
}

// suspicious are files that hardly belong into a game, by their names in lower case.
var suspicious = []struct{ pattern, what, do string }{
	{"libsteam_api.so", "Steam's library", "a session has no Steam client: the game has to start without"},
	{"*easyanticheat*", "an anti-cheat", "ask its maker whether it runs in a container without rights; most builds for streaming leave it out"},
	{"*battleye*", "an anti-cheat", "ask its maker whether it runs in a container without rights; most builds for streaming leave it out"},
	{"*.exe", "a program for Windows", "leave it out: nothing here runs it"},
	{"*.debug", "debug symbols", "leave them out: each host pulls them"},
	{"*.pdb", "debug symbols", "leave them out: each host pulls them"},
	{"*.sym", "debug symbols", "leave them out: each host pulls them"},
	{"*.dmp", "a crash dump", "leave it out"},
	{"core.[0-9]*", "a crash dump", "leave it out"},
}

func hints(t *tree) []row {
	var rows []row
	for _, h := range suspicious {
		var names []string
		var size int64
		for _, f := range t.files {
			if matches, _ := path.Match(h.pattern, strings.ToLower(path.Base(f.name))); matches {
				names = append(names, f.name)
				size += f.size
			}
		}
		if len(names) > 0 {
			rows = append(rows, row{"contents", look, fmt.Sprintf("%s: %s (%d such, %s)", h.what, names[0], len(names), megabytes(size)), h.do})
		}
	}
	return rows
}
