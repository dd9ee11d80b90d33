package awsmodel

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Find returns botocore's data folder in the Python installation that has a moto
// server, which needs botocore itself. server is the moto_server program, a name
// or a path.
func Find(ctx context.Context, server string) (string, error) {
	program, err := exec.LookPath(server)
	if err != nil {
		return "", fmt.Errorf("AWS's API models come with the moto server: %w", err)
	}
	var tried []string
	for _, python := range pythons(program) {
		out, err := exec.CommandContext(ctx, python, "-c", "from importlib.util import find_spec; find_spec('moto').name; print(find_spec('botocore').submodule_search_locations[0])").Output()
		if err == nil {
			return filepath.Join(strings.TrimSpace(string(out)), "data"), nil
		}
		tried = append(tried, python)
	}
	return "", fmt.Errorf("AWS's API models: no Python with moto and botocore found for %s (tried %s)", program, strings.Join(tried, ", "))
}

// pythons returns the Python programs that may run a script: the one in its first
// line, as pip writes it, and the one beside it, for scripts of a version manager.
func pythons(script string) []string {
	beside := filepath.Join(filepath.Dir(script), "python3")
	text, err := os.ReadFile(script)
	if err != nil {
		return []string{beside}
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if named, is := strings.CutPrefix(first, "#!"); is && strings.Contains(filepath.Base(named), "python") && filepath.IsAbs(named) {
		return []string{named, beside}
	}
	return []string{beside}
}
