// Package narrow is the common part of the nested modules' ./build. They build large
// programs from copies of their source without the parts that the sandbox does not
// use. It is a module of its own, because the nested modules have dependencies that do
// not agree, and imports the standard library only.
package narrow

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Main is the main function of a ./build, which runs in its module's folder:
//
//	build -key       print the hash of everything that the program is built from
//	build -o FILE    build it
//
// build gets a folder for its copies, which Main removes.
func Main(build func(work, out string) error) {
	key := flag.Bool("key", false, "print the hash of everything that the program is built from")
	out := flag.String("o", "", "build the program to this file")
	flag.Parse()
	if err := run(*key, *out, build); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(key bool, out string, build func(work, out string) error) error {
	switch {
	case key:
		sum, err := hash(".", "../narrow")
		fmt.Println(sum)
		return err
	case out == "":
		return errors.New("give -key or -o FILE")
	}
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "narrowed-")
	if err != nil {
		return err
	}
	return errors.Join(build(work, out), os.RemoveAll(work))
}

// hash returns a hash of the files of folders, except for tests.
func hash(folders ...string) (string, error) {
	sum := sha256.New()
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || isTest(path) {
				return err
			}
			b, err := os.ReadFile(path)
			fmt.Fprintf(sum, "%s %d\n", path, len(b))
			sum.Write(b)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

func isTest(path string) bool { return strings.HasSuffix(path, "_test.go") }

// Source is a module in the module cache.
type Source struct{ Version, Dir string }

// Download downloads a module, of go.mod's version unless it names another.
func Download(module string) (source Source, err error) {
	out, err := Go("mod", "download", "-json", module)
	if err != nil {
		return source, err
	}
	return source, json.Unmarshal(out, &source)
}

// Modfile writes a go.mod that takes folders in the place of modules, and returns its
// path. `go build -overlay` can't do that: it does not replace files of the module
// cache.
func Modfile(work string, folders map[string]string) (string, error) {
	modfile := filepath.Join(work, "narrowed.mod")
	err := errors.Join(Copy("go.mod", modfile), Copy("go.sum", filepath.Join(work, "narrowed.sum")))
	if err != nil {
		return "", err
	}
	return modfile, Replace(modfile, folders)
}

// Replace takes folders in the place of modules in a go.mod.
func Replace(modfile string, folders map[string]string) error {
	args := []string{"mod", "edit"}
	for module, folder := range folders {
		args = append(args, "-replace", module+"="+folder)
	}
	_, err := Go(append(args, modfile)...)
	return err
}

// Compile builds a package by a go.mod. It prints the packages as they are compiled.
func Compile(modfile, out, ldflags, pkg string) error {
	cmd := command("build", "-v", "-trimpath", "-modfile", modfile, "-ldflags", ldflags, "-o", out, pkg)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}

// Go runs the go command and returns its output.
func Go(args ...string) ([]byte, error) {
	cmd := command(args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return out, nil
}

func command(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GONOSUMDB=")
	return cmd
}

// CopySource copies the files that a build needs: those that are wanted, and no tests.
// A folder that is not wanted is left out whole.
func CopySource(from, to string, wanted func(path string, entry fs.DirEntry) bool) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		switch {
		case err != nil || relative == ".":
			return err
		case entry.IsDir() && (entry.Name() == "testdata" || !wanted(relative, entry)):
			return filepath.SkipDir
		case entry.IsDir() || isTest(path) || !wanted(relative, entry):
			return nil
		}
		return Copy(path, filepath.Join(to, relative))
	})
}

// Copy copies a file.
func Copy(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
