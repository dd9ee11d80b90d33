// Command generate writes what is made from the outputs' struct, at the
// repository's root: docs/outputs.schema.json and docs/outputs.md.
package main

import (
	"log"
	"os"

	"github.com/intraverse/dcv-sessions/outputs"
)

func main() {
	for file, text := range map[string][]byte{
		"docs/outputs.schema.json": outputs.SchemaFile(),
		"docs/outputs.md":          outputs.Reference(),
	} {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
