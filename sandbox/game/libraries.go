package game

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// provided are the libraries that every session image has (image/packages/
// system.txt): C and C++, OpenGL's dispatch, and X. A game brings all others.
var provided = []string{
	"ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1",
	"libgcc_s.so.1", "libstdc++.so.6", "libz.so.1",
	"libGL.so.1", "libOpenGL.so.0",
	"libX11.so.6", "libXext.so.6",
}

// checkLibraries names all libraries that a folder's programs need and neither it
// nor the image has.
func checkLibraries(dir string) error {
	var faults []error
	for _, sub := range []string{"bin", "lib"} {
		entries, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil {
			return err
		}
		for _, entry := range entries {
			if !entry.Type().IsRegular() { // another name of the same
				continue
			}
			needed, err := neededBy(filepath.Join(dir, sub, entry.Name()))
			if err != nil {
				return err
			}
			for _, library := range needed {
				_, err := os.Stat(filepath.Join(dir, "lib", library))
				if errors.Is(err, fs.ErrNotExist) && !slices.Contains(provided, library) {
					faults = append(faults, fmt.Errorf("%s needs %s, which neither the game's packages nor the image have", entry.Name(), library))
				}
			}
		}
	}
	return errors.Join(faults...)
}

func neededBy(file string) ([]string, error) {
	program, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer program.Close()
	return program.ImportedLibraries()
}
