// Command build makes the AWS provider of the parent folder, from a copy of the
// Terraform provider that is narrowed to the types in use and the code that they reach.
package main

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/intraverse/dcv-sessions/sandbox/narrow"
)

func main() { narrow.Main(build) }

// program is the package that is built.
const program = "github.com/intraverse/dcv-sessions/sandbox/awsprovider"

// upstream is the module that go.mod puts in the Terraform provider's place:
// the release with a package, xpprovider, that exports the provider.
const upstream = "github.com/upbound/terraform-provider-aws@v0.0.0-20250210124112-ca3a4c5ba291"

func build(work, out string) error {
	fmt.Println("downloading the Terraform AWS provider's source")
	source, err := narrow.Download(upstream)
	if err != nil {
		return err
	}
	copied := filepath.Join(work, "terraform-provider-aws")
	kept, err := keep(source.Dir, copied, services)
	if err != nil {
		return err
	}
	fmt.Printf("narrowed to %d services: %s\n", len(kept), strings.Join(kept, " "))
	modfile, err := narrow.Modfile(work, map[string]string{module: copied})
	if err != nil {
		return err
	}
	if err := shake(work, modfile); err != nil {
		return err
	}
	return narrow.Compile(modfile, out, "-s -w", ".")
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
	for _, p := range packages {
		if p.shaken() {
			if err := narrow.Copy(p.Module.GoMod, filepath.Join(copies[p.Module.Path], "go.mod")); err != nil {
				return err
			}
		}
	}
	return narrow.Replace(modfile, copies)
}
