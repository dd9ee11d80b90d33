// Command generate writes the files that are made from the typed configuration and
// from the outputs' struct, at the repository's root.
package main

import (
	"log"
	"os"

	"github.com/intraverse/dcv-sessions/infra/config"
	"github.com/intraverse/dcv-sessions/outputs"
)

func main() {
	for file, text := range map[string][]byte{
		"Pulumi.yaml":              config.ProjectFile(),
		"docs/configuration.md":    config.Reference(),
		"docs/outputs.md":          outputs.Reference(),
		"docs/outputs.schema.json": outputs.SchemaFile(),
	} {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
