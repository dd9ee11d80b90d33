// Command build makes the Pulumi CLI of the release that go.mod names, from a copy
// of its source without the parts that omissions.go lists.
//
//	build -key       print what a built CLI is keyed by
//	build -o FILE    build it
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	key := flag.Bool("key", false, "print the hash of everything that the CLI is built from")
	out := flag.String("o", "", "build the CLI to this file")
	flag.Parse()
	if err := run(*key, *out); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func run(key bool, out string) error {
	switch {
	case key:
		sum, err := inputs()
		fmt.Println(sum)
		return err
	case out != "":
		return build(out)
	}
	return fmt.Errorf("give -key or -o FILE")
}

// inputs hashes every file of this module but its tests.
func inputs() (string, error) {
	sum := sha256.New()
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", path, len(b))
		sum.Write(b)
		return err
	})
	return hex.EncodeToString(sum.Sum(nil)[:8]), err
}

const (
	module  = "github.com/pulumi/pulumi/pkg/v3"
	command = module + "/cmd/pulumi"
	// The Automation API refuses a CLI without a version.
	versionVariable = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
)

func build(out string) error {
	out, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(out), "narrowed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fmt.Println("downloading the Pulumi CLI's source")
	source, err := download()
	if err != nil {
		return err
	}
	copied := filepath.Join(work, "pkg")
	if err := narrow(source.Dir, copied); err != nil {
		return err
	}
	modfile, err := writeModfile(work, copied)
	if err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-v", "-trimpath", "-modfile", modfile, "-o", out,
		"-ldflags", "-s -w -X "+versionVariable+"="+source.Version, command)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}

// download returns the module's version and its folder in the module cache.
func download() (source struct{ Version, Dir string }, err error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return source, fmt.Errorf("go mod download: %w\n%s", err, out)
	}
	return source, json.Unmarshal(out, &source)
}

// writeModfile writes a go.mod that takes the copy for the module. `go build
// -overlay` can't do it: it does not replace files of the module cache.
func writeModfile(work, copied string) (string, error) {
	modfile := filepath.Join(work, "narrowed.mod")
	for from, to := range map[string]string{"go.mod": modfile, "go.sum": filepath.Join(work, "narrowed.sum")} {
		if err := copyFile(from, to); err != nil {
			return "", err
		}
	}
	if out, err := exec.Command("go", "mod", "edit", "-replace", module+"="+copied, modfile).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go mod edit: %w\n%s", err, out)
	}
	return modfile, nil
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o644)
}
