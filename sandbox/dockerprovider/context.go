package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// contextDigest returns a digest of an image's build context: the Dockerfile and, for
// each file of the context, the path, the mode and the content, or the target of a
// link. Relative paths start at the working directory, which is the program's: the
// engine starts a provider there.
func contextDigest(context, dockerfile string) (string, error) {
	if err := checkContext(context, dockerfile); err != nil {
		return "", err
	}
	sum := sha256.New()
	if err := hashFile(sum, "Dockerfile", dockerfile); err != nil {
		return "", err
	}
	err := filepath.WalkDir(context, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(context, path)
		if err != nil {
			return err
		}
		return hashFile(sum, filepath.ToSlash(rel), path)
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}

// checkContext refuses ignore files: a digest and a build that read them
// differently would miss changes.
func checkContext(context, dockerfile string) error {
	if info, err := os.Stat(context); err != nil || !info.IsDir() {
		return fmt.Errorf("the context %q is no folder, seen from the program's", context)
	}
	if _, err := os.Stat(dockerfile); err != nil {
		if inside := filepath.Join(context, dockerfile); exists(inside) {
			return fmt.Errorf("there is no Dockerfile %q, seen from the program's folder: is it %q?", dockerfile, inside)
		}
		return fmt.Errorf("there is no Dockerfile %q, seen from the program's folder", dockerfile)
	}
	for _, ignore := range []string{dockerfile + ".dockerignore", filepath.Join(context, ".dockerignore")} {
		if exists(ignore) {
			return fmt.Errorf("%s: the sandbox's stand-in for the Docker provider knows no ignore files; leave out of the context what the image does not need", ignore)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// hashFile adds one line for a file. Names are quoted, so that no name can pass
// for another line.
func hashFile(sum io.Writer, name, path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	content := sha256.New()
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		_, _ = io.WriteString(content, target)
	case info.Mode().IsRegular():
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		if _, err := io.Copy(content, file); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(sum, "%q %s %x\n", name, info.Mode(), content.Sum(nil))
	return err
}
