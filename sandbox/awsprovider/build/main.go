// Command build makes the AWS provider of the parent folder, from a copy of the
// Terraform provider that is narrowed to the types in use and the code that they reach.
//
//	build -key       print the hash of all that a provider is built from
//	build -o FILE    build it
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
)

func main() {
	key := flag.Bool("key", false, "print the hash of everything that the provider is built from")
	out := flag.String("o", "", "build the provider to this file")
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

// inputs hashes every file of this module.
func inputs() (string, error) {
	var files []string
	for _, pattern := range []string{"*", "types/*.go", "build/*.go"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		files = append(files, more...)
	}
	sort.Strings(files)
	sum := sha256.New()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || !strings.Contains(name, ".") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n", name, len(b))
		sum.Write(b)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8]), nil
}

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
	fmt.Println("downloading the Terraform AWS provider's source")
	source, err := goTool("", "mod", "download", "-json", upstream)
	if err != nil {
		return err
	}
	dir, err := field(source, "Dir")
	if err != nil {
		return err
	}
	copied := filepath.Join(work, "terraform-provider-aws")
	kept, err := narrow(dir, copied, services)
	if err != nil {
		return err
	}
	fmt.Printf("narrowed to %d services: %s\n", len(kept), strings.Join(kept, " "))
	modfile, err := writeModfile(work, copied)
	if err != nil {
		return err
	}
	if err := shake(work, modfile); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-v", "-trimpath", "-modfile", modfile, "-ldflags", "-s -w", "-o", out, ".")
	cmd.Env = buildEnv()
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}

func buildEnv() []string {
	return append(os.Environ(), "GOFLAGS=-mod=mod", "GONOSUMDB=")
}

// shake makes modfile use copies of the shaken modules, without the code that the
// program can't reach.
func shake(work, modfile string) error {
	packages, err := listPackages(modfile)
	if err != nil {
		return err
	}
	s, err := newShaker(packages)
	if err != nil {
		return err
	}
	copies := map[string]string{} // by module
	for path := range s.files {
		m := packages[path].Module
		copies[m.Path] = filepath.Join(work, "shaken", m.Path)
		if err := s.write(path, filepath.Join(work, "shaken", path)); err != nil {
			return err
		}
	}
	edits := []string{"mod", "edit"}
	for path, dir := range copies {
		edits = append(edits, "-replace", path+"="+dir)
	}
	for _, p := range packages {
		if p.shaken() {
			if err := copyFile(p.Module.GoMod, filepath.Join(copies[p.Module.Path], "go.mod")); err != nil {
				return err
			}
		}
	}
	_, err = goTool("", append(edits, modfile)...)
	return err
}

// program is the package that is built.
const program = "github.com/intraverse/dcv-sessions/sandbox/awsprovider"

// upstream is the module that go.mod puts in the Terraform provider's place:
// the release with a package, xpprovider, that exports the provider.
const upstream = "github.com/upbound/terraform-provider-aws@v0.0.0-20250210124112-ca3a4c5ba291"

// writeModfile writes a go.mod beside go.mod that takes the narrowed copy.
// `go build -overlay` can't do it: files of the module cache are not replaced.
func writeModfile(work, copied string) (string, error) {
	modfile := filepath.Join(work, "narrowed.mod")
	b, err := os.ReadFile("go.mod")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(modfile, b, 0o644); err != nil {
		return "", err
	}
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(strings.TrimSuffix(modfile, ".mod")+".sum", sums, 0o644); err != nil {
		return "", err
	}
	_, err = goTool("", "mod", "edit", "-replace", "github.com/hashicorp/terraform-provider-aws="+copied, modfile)
	return modfile, err
}

func goTool(dir string, args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func copyFile(from, to string) error {
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
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}
