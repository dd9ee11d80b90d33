package workspace

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// Settings are keys and values of the stack's configuration for this start of the local
// AWS. `pulumi config set` would write them into the stack's file, which is committed.
type Settings map[string]string

func (w *Workspace) settingsFile() string { return filepath.Join(w.Cloud.Dir(), "settings.json") }

func (w *Workspace) settings() (Settings, error) {
	chosen := Settings{}
	text, err := os.ReadFile(w.settingsFile())
	if errors.Is(err, fs.ErrNotExist) {
		return chosen, nil
	}
	if err != nil {
		return nil, err
	}
	return chosen, json.Unmarshal(text, &chosen)
}

// Set adds settings to those of this start.
func (w *Workspace) Set(chosen Settings) error {
	if w.Cloud == nil {
		return errNothingRuns
	}
	all, err := w.settings()
	if err != nil {
		return err
	}
	maps.Copy(all, chosen)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(chosen)) {
		w.Progress.Say("%s: %q until `make down`", key, chosen[key])
	}
	return os.WriteFile(w.settingsFile(), append(text, '\n'), 0o644)
}

// Settled returns the file with the committed configuration of the stack and the
// settings.
func (w *Workspace) Settled() (string, error) {
	committed := filepath.Join(w.Tree.Root, "Pulumi.sandbox.yaml")
	chosen, err := w.settings()
	if err != nil || len(chosen) == 0 {
		return committed, err
	}
	to := filepath.Join(w.Cloud.Dir(), "settled.Pulumi.sandbox.yaml")
	return to, local.EditConfig(committed, to, func(config map[string]any) error {
		for key, value := range chosen {
			config[key] = value
		}
		return nil
	})
}
