// Command generate writes what is made from the typed configuration, at the
// repository's root: Pulumi.yaml and docs/configuration.md.
package main

import (
	"log"
	"os"

	"github.com/intraverse/dcv-sessions/infra/config"
)

func main() {
	for file, text := range map[string][]byte{
		"Pulumi.yaml":           config.ProjectFile(),
		"docs/configuration.md": config.Reference(),
	} {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
