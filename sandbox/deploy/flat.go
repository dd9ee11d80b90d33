package main

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/intraverse/dcv-sessions/sandbox/local"
	"github.com/intraverse/dcv-sessions/sandbox/report"
)

// flat is the barest program that registers the resources of a report: no
// configuration, no component, no look-up, every input a constant. What it takes
// is what the engine and the providers take by themselves.
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

// withoutDefaults leaves out the bridge's notes on which inputs are defaults.
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
		if _, special := v[resource.SigKey]; special { // a secret, which events don't show
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
