// Package stackfile returns a stack's configuration as the engine gives it to the
// program: the stack's file, read by the engine's own code, with the types and
// defaults of Pulumi.yaml.
package stackfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
)

// Root returns the repository: the folder of Pulumi.yaml, upwards from the working
// directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "Pulumi.yaml")); missing == nil {
			return dir, nil
		}
		if filepath.Dir(dir) == dir {
			err = errors.New("there is no Pulumi.yaml above the working directory")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}

// Project returns Pulumi.yaml.
func Project() (*workspace.Project, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	return workspace.LoadProject(filepath.Join(root, "Pulumi.yaml"))
}

// Complete returns the values of a stack's file, completed by Pulumi.yaml's defaults, by
// "namespace:key"; lists and objects are JSON texts. As in `pulumi up`, a value that is not
// of its declared type fails.
func Complete(stack string) (map[string]string, error) {
	project, values, err := read(stack)
	if err != nil {
		return nil, err
	}
	for name, declared := range project.Config {
		key := config.MustMakeKey(project.Name.String(), name)
		value, set, err := values.Get(key, true)
		if err == nil && !set {
			value, err = standard(declared.Default)
			err = errors.Join(err, values.Set(key, value, true))
		}
		given, contentErr := content(value)
		if err := errors.Join(err, contentErr); err != nil {
			return nil, fmt.Errorf("%s of %s: %w", name, stack, err)
		}
		if !workspace.ValidateConfigValue(*declared.Type, declared.Items, given) {
			return nil, fmt.Errorf("%s of %s is no %s", name, stack, *declared.Type)
		}
	}
	return texts(values)
}

func read(stack string) (*workspace.Project, config.Map, error) {
	root, err := Root()
	if err != nil {
		return nil, nil, err
	}
	project, err := Project()
	if err != nil {
		return nil, nil, err
	}
	path := filepath.Join(root, "Pulumi."+stack+".yaml")
	if _, err := os.Stat(path); err != nil { // the engine takes a missing one for empty
		return nil, nil, err
	}
	file, err := workspace.LoadProjectStack(nil, project, path)
	if err != nil {
		return nil, nil, err
	}
	return project, file.Config, nil
}

// standard returns a default of Pulumi.yaml as the value of a stack.
func standard(value any) (config.Value, error) {
	if text, ok := value.(string); ok {
		return config.NewValue(text), nil
	}
	text, err := json.Marshal(value)
	switch value.(type) {
	case int, bool:
		return config.NewValue(string(text)), err
	}
	return config.NewObjectValue(string(text)), err
}

// content returns a value as the engine compares it with its type.
func content(value config.Value) (any, error) {
	text, err := value.Value(config.NopDecrypter)
	if err != nil || !value.Object() {
		return text, err
	}
	var object any
	err = json.Unmarshal([]byte(text), &object)
	return object, err
}

func texts(values config.Map) (map[string]string, error) {
	decrypted, err := values.Decrypt(config.NopDecrypter)
	all := map[string]string{}
	for key, text := range decrypted {
		all[key.String()] = text
	}
	return all, err
}
