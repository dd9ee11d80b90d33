package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/intraverse/dcv-sessions/sandbox/local"
)

// settings are keys and values of the stack's configuration for this start of the local
// AWS. `pulumi config set` would write them into the stack's file, which is committed.
type settings map[string]string

func settingsFile(cloud *local.Cloud) string { return filepath.Join(cloud.Dir(), "settings.json") }

func readSettings(cloud *local.Cloud) (settings, error) {
	chosen := settings{}
	text, err := os.ReadFile(settingsFile(cloud))
	if errors.Is(err, fs.ErrNotExist) {
		return chosen, nil
	}
	if err != nil {
		return nil, err
	}
	return chosen, json.Unmarshal(text, &chosen)
}

// change adds the settings to those of the cloud.
func (chosen settings) change(cloud *local.Cloud) error {
	all, err := readSettings(cloud)
	if err != nil {
		return err
	}
	maps.Copy(all, chosen)
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(settingsFile(cloud), append(text, '\n'), 0o644)
}

// set is the command of the same name.
func set(_ context.Context, args []string) error {
	_, p, unlock, err := enter()
	if err != nil {
		return err
	}
	defer unlock()
	cloud, err := runningCloud()
	if err != nil {
		return err
	}
	chosen := settings{}
	for _, arg := range args {
		key, value, is := strings.Cut(arg, "=")
		if !is || !strings.Contains(key, ":") {
			return fmt.Errorf("%q is not NAMESPACE:KEY=VALUE", arg)
		}
		chosen[key] = value
		p.Say("%s: %q until `make down`", key, value)
	}
	return chosen.change(cloud)
}

// settled returns the file with the committed configuration of the stack and the
// settings.
func settled(tree local.Tree, cloud *local.Cloud) (string, error) {
	committed := filepath.Join(tree.Root, "Pulumi.sandbox.yaml")
	chosen, err := readSettings(cloud)
	if err != nil || len(chosen) == 0 {
		return committed, err
	}
	text, err := os.ReadFile(committed)
	if err != nil {
		return "", err
	}
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return "", fmt.Errorf("%s: %w", committed, err)
	}
	config, ok := file["config"].(map[string]any)
	if !ok {
		return "", fmt.Errorf("%s has no config", committed)
	}
	for key, value := range chosen {
		config[key] = value
	}
	if text, err = yaml.Marshal(file); err != nil {
		return "", err
	}
	to := filepath.Join(cloud.Dir(), "settled.Pulumi.sandbox.yaml")
	return to, os.WriteFile(to, text, 0o644)
}
