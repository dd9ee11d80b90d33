package main

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/report"
)

// flat is the smallest program that registers the resources of a report: without
// configuration, components or lookups, and every input is a constant. Its time is that
// of the engine and the providers alone.
func flat(file string) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		of, err := report.Read(file)
		if err != nil {
			return err
		}
		for _, step := range of.Steps {
			version := providerVersion(step.Type)
			if version == "" {
				continue // a component, a provider or the stack itself
			}
			var made struct{ pulumi.CustomResourceState }
			inputs := pulumi.ToMap(withoutDefaults(step.Inputs))
			if err := ctx.RegisterResource(step.Type, step.Name(), inputs, &made, pulumi.Version(version)); err != nil {
				return err
			}
		}
		return nil
	}
}

func providerVersion(resourceType string) string {
	name, _, _ := strings.Cut(resourceType, ":")
	for _, plugin := range local.Plugins {
		if plugin.Name == name {
			return strings.TrimPrefix(plugin.Version, "v")
		}
	}
	return ""
}

// withoutDefaults removes the bridge's lists of inputs that are defaults.
func withoutDefaults(inputs map[string]any) map[string]any {
	kept := map[string]any{}
	for name, value := range inputs {
		if name != "__defaults" {
			kept[name] = cleaned(value)
		}
	}
	return kept
}

func cleaned(value any) any {
	switch v := value.(type) {
	case map[string]any:
		if _, special := v[resource.SigKey]; special { // a secret: events don't have its value
			return "secret"
		}
		return withoutDefaults(v)
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = cleaned(item)
		}
		return list
	}
	return value
}
