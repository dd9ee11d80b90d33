package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/contract"
)

// Configs is the folder with the stack configurations that WriteConfig wrote last.
type Configs string

// Need returns an error unless the configuration of a stack has a key with a
// value. The key has no namespace.
func (c Configs) Need(key, value string) error {
	files, err := filepath.Glob(filepath.Join(string(c), "*.Pulumi.*.yaml"))
	if err != nil {
		return err
	}
	key = contract.Product + ":" + key
	var faults []error
	for _, name := range files {
		set, err := readConfig(name)
		if err == nil && fmt.Sprint(set[key]) == value {
			return nil
		}
		faults = append(faults, err)
	}
	return errors.Join(append(faults, fmt.Errorf("it would run with every right of root on this machine; the stack's configuration allows that by %s: %s", key, value))...)
}

// readConfig returns the values of a stack's configuration by their keys.
func readConfig(name string) (map[string]any, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var file struct{ Config map[string]any }
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return file.Config, nil
}
