// Package configtest gives tests a stack's configuration as the engine gives it
// to the program: the stack's file, read by the engine's own code, with the types
// and defaults of Pulumi.yaml.
package configtest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/stretchr/testify/require"
)

// Root is the repository: the folder of Pulumi.yaml, upwards from the working
// directory.
func Root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "Pulumi.yaml")); err == nil {
			return dir
		}
		require.NotEqual(t, filepath.Dir(dir), dir, "no Pulumi.yaml above the working directory")
		dir = filepath.Dir(dir)
	}
}

// Project is Pulumi.yaml.
func Project(t *testing.T) *workspace.Project {
	t.Helper()
	project, err := workspace.LoadProject(filepath.Join(Root(t), "Pulumi.yaml"))
	require.NoError(t, err)
	return project
}

// File is what a stack's own file sets, by "namespace:key"; lists and objects are
// JSON texts.
func File(t *testing.T, stack string) map[string]string {
	t.Helper()
	return texts(t, read(t, stack))
}

// Stack is a stack's file completed by Pulumi.yaml's defaults. As in `pulumi up`,
// a value that is not of its declared type fails.
func Stack(t *testing.T, stack string) map[string]string {
	t.Helper()
	values, project := read(t, stack), Project(t)
	for name, declared := range project.Config {
		key := config.MustMakeKey(project.Name.String(), name)
		value, set, err := values.Get(key, true)
		require.NoError(t, err)
		if !set {
			value = standard(t, declared.Default)
			require.NoError(t, values.Set(key, value, true))
		}
		require.True(t, workspace.ValidateConfigValue(*declared.Type, declared.Items, content(t, value)), "%s of %s is no %s", name, stack, *declared.Type)
	}
	return texts(t, values)
}

func read(t *testing.T, stack string) config.Map {
	t.Helper()
	path := filepath.Join(Root(t), "Pulumi."+stack+".yaml")
	require.FileExists(t, path, "the engine takes a missing one for empty")
	file, err := workspace.LoadProjectStack(nil, Project(t), path)
	require.NoError(t, err)
	return file.Config
}

// standard is a default of Pulumi.yaml as the value of a stack.
func standard(t *testing.T, value any) config.Value {
	t.Helper()
	if text, ok := value.(string); ok {
		return config.NewValue(text)
	}
	text, err := json.Marshal(value)
	require.NoError(t, err)
	switch value.(type) {
	case int, bool:
		return config.NewValue(string(text))
	}
	return config.NewObjectValue(string(text))
}

// content is a value as the engine compares it with its type.
func content(t *testing.T, value config.Value) any {
	t.Helper()
	text, err := value.Value(config.NopDecrypter)
	require.NoError(t, err)
	var object any = text
	if value.Object() {
		require.NoError(t, json.Unmarshal([]byte(text), &object))
	}
	return object
}

func texts(t *testing.T, values config.Map) map[string]string {
	t.Helper()
	decrypted, err := values.Decrypt(config.NopDecrypter)
	require.NoError(t, err)
	all := map[string]string{}
	for key, text := range decrypted {
		all[key.String()] = text
	}
	return all
}
