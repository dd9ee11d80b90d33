// Command build makes the Pulumi CLI of the release that go.mod names, from a copy
// of its source without the parts that omissions.go lists.
package main

import (
	"fmt"
	"path/filepath"

	"github.com/intraverse/dcv-sessions/sandbox/narrow"
)

func main() { narrow.Main(build) }

const (
	module  = "github.com/pulumi/pulumi/pkg/v3"
	command = module + "/cmd/pulumi"
	// The Automation API refuses a CLI without a version.
	versionVariable = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
)

func build(work, out string) error {
	fmt.Println("downloading the Pulumi CLI's source")
	source, err := narrow.Download(module)
	if err != nil {
		return err
	}
	copied := filepath.Join(work, "pkg")
	if err := omit(source.Dir, copied); err != nil {
		return err
	}
	modfile, err := narrow.Modfile(work, map[string]string{module: copied})
	if err != nil {
		return err
	}
	return narrow.Compile(modfile, out, "-s -w -X "+versionVariable+"="+source.Version, command)
}
