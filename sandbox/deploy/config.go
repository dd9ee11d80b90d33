package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gopkg.in/yaml.v3"
)

// listKeys gives the program the names of the keys in a stack's file, so that it finds
// misspelt ones. They are in the variable in which `pulumi up` has them for a program
// that it starts; a program of the Automation API knows only the keys that it asks for.
func listKeys(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var stack struct {
		Config map[string]any `yaml:"config"`
	}
	if err := yaml.Unmarshal(text, &stack); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	names := map[string]string{}
	for name := range stack.Config {
		names[name] = ""
	}
	list, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return os.Setenv(pulumi.EnvConfig, string(list))
}
