package main

import (
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
)

// image are the inputs of a docker.Image.
type image struct {
	name     string
	skipPush bool

	context, dockerfile, platform, target, network string
	args                                           map[string]string
	hosts                                          []string

	server, username, password string
}

// inputsKey is the key under which the state keeps the inputs, as the released
// provider does.
const inputsKey = "__inputs"

// decode reads checked inputs. Unknown values are empty.
func decode(inputs resource.PropertyMap) image {
	text := func(path ...resource.PropertyKey) string {
		if v := field(inputs, path...); v.IsString() {
			return v.StringValue()
		}
		return ""
	}
	img := image{
		name:       text("imageName"),
		skipPush:   isTrue(inputs["skipPush"]),
		context:    text("build", "context"),
		dockerfile: text("build", "dockerfile"),
		platform:   text("build", "platform"),
		target:     text("build", "target"),
		network:    text("build", "network"),
		args:       map[string]string{},
		server:     text("registry", "server"),
		username:   text("registry", "username"),
		password:   text("registry", "password"),
	}
	if args := field(inputs, "build", "args"); args.IsObject() {
		for name := range args.ObjectValue() {
			img.args[string(name)] = text("build", "args", name)
		}
	}
	if hosts := field(inputs, "build", "addHosts"); hosts.IsArray() {
		for _, host := range hosts.ArrayValue() {
			if host.IsString() {
				img.hosts = append(img.hosts, host.StringValue())
			}
		}
	}
	return img
}

// repository is the image's name without its tag.
func (img image) repository() string {
	if colon := strings.LastIndexByte(img.name, ':'); colon > strings.LastIndexByte(img.name, '/') {
		return img.name[:colon]
	}
	return img.name
}

// registry returns the key under which the docker command looks credentials up: the
// server without scheme and path, or the first part of the image's name.
func (img image) registry() string {
	if img.server == "" {
		return registryOf(img.name)
	}
	_, address, found := strings.Cut(img.server, "://")
	if !found {
		address = img.server
	}
	host, _, _ := strings.Cut(address, "/")
	return host
}

// registryOf is the registry that an image's name begins with, if it names one.
func registryOf(name string) string {
	first, rest, _ := strings.Cut(name, "/")
	if rest != "" && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return first
	}
	return ""
}

// check adds defaults and the context's digest to plain inputs, and returns their
// faults. Unknown values stay as they are.
func check(inputs resource.PropertyMap) (resource.PropertyMap, []*pulumirpc.CheckFailure) {
	checked, f := inputs.Copy(), failures{}
	if !inputs["build"].IsComputed() {
		checked["build"] = resource.NewProperty(checkBuild(inputs["build"], &f))
	}
	name := inputs["imageName"]
	switch {
	case name.IsComputed():
	case !name.IsString():
		f.add("imageName", "must be given, as text")
	case registryOf(name.StringValue()) == "" && !inputs["skipPush"].IsComputed() && !isTrue(inputs["skipPush"]):
		f.add("imageName", "%q must begin with its registry, as in 127.0.0.1:5000/game:tag", name.StringValue())
	}
	if isTrue(inputs["buildOnPreview"]) {
		f.add("buildOnPreview", "the sandbox's stand-in for the Docker provider builds in no preview")
	}
	return checked, f
}

func checkBuild(given resource.PropertyValue, f *failures) resource.PropertyMap {
	build := resource.PropertyMap{}
	if given.IsObject() {
		build = given.ObjectValue().Copy()
	} else if !given.IsNull() {
		f.add("build", "must be an object")
	}
	setDefault(build, "context", ".")
	if build["context"].IsString() {
		setDefault(build, "dockerfile", path.Join(build["context"].StringValue(), "Dockerfile"))
	}
	setDefault(build, "platform", "linux/"+runtime.GOARCH)
	if build["context"].IsString() && build["dockerfile"].IsString() {
		digest, err := contextDigest(build["context"].StringValue(), build["dockerfile"].StringValue())
		if err != nil {
			f.add("build", "%v", err)
		}
		build["contextDigest"] = resource.NewProperty(digest)
	}
	if network := build["network"]; network.IsString() && !slices.Contains([]string{"host", "none", "default"}, network.StringValue()) {
		f.add("build.network", "%q: must be host, none or default, which are all that BuildKit has", network.StringValue())
	}
	if builder := build["builderVersion"]; builder.IsString() && builder.StringValue() != "BuilderBuildKit" {
		f.add("build.builderVersion", "the sandbox's stand-in for the Docker provider builds with BuilderBuildKit only, not %s", builder.StringValue())
	}
	if build.HasValue("cacheFrom") {
		f.add("build.cacheFrom", "the sandbox's stand-in for the Docker provider takes no cache from registries; the Docker's own is used anyway")
	}
	return build
}

func setDefault(m resource.PropertyMap, key resource.PropertyKey, value string) {
	if !m.HasValue(key) {
		m[key] = resource.NewProperty(value)
	}
}

// diff compares plain inputs. Credentials don't count: a login token is new at
// every run, and must not build the image anew.
func diff(olds, news resource.PropertyMap) *resource.ObjectDiff {
	return olds.DiffWithOptions(news, resource.IgnorePathFunc(func(p resource.PropertyPath) bool {
		return len(p) == 2 && p[0] == "registry" && (p[1] == "username" || p[1] == "password")
	}))
}

// outputs returns the resource's outputs. Values that come from a secret stay secret.
func outputs(inputs resource.PropertyMap, digest resource.PropertyValue) resource.PropertyMap {
	name := field(inputs, "imageName")
	if name.IsSecret() {
		digest = resource.MakeSecret(digest)
	}
	out := resource.PropertyMap{
		"imageName":      name,
		"baseImageName":  name,
		"repoDigest":     digest,
		"registryServer": field(inputs, "registry", "server"),
		"context":        field(inputs, "build", "context"),
		"dockerfile":     field(inputs, "build", "dockerfile"),
		"platform":       field(inputs, "build", "platform"),
		inputsKey:        resource.MakeSecret(resource.NewProperty(withoutCredentials(plain(inputs)))),
	}
	if out["registryServer"].IsNull() {
		out["registryServer"] = resource.NewProperty("")
	}
	context, dockerfile := out["context"], out["dockerfile"]
	if context.IsString() && dockerfile.IsString() {
		if rel, err := relativeTo(context.StringValue(), dockerfile.StringValue()); err == nil {
			out["dockerfile"] = resource.NewProperty(rel)
		}
	}
	return out
}

func relativeTo(dir, file string) (string, error) {
	absDir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	absFile, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	return filepath.Rel(absDir, absFile)
}

// withoutCredentials returns the inputs that the state keeps for later comparisons,
// in which credentials have no part.
func withoutCredentials(inputs resource.PropertyMap) resource.PropertyMap {
	kept := inputs.Copy()
	if registry := inputs["registry"]; registry.IsObject() {
		server := resource.PropertyMap{}
		if registry.ObjectValue().HasValue("server") {
			server["server"] = registry.ObjectValue()["server"]
		}
		kept["registry"] = resource.NewProperty(server)
	}
	return kept
}

// hidePassword makes the registry's password a secret if the program did not: the
// state would contain it in plain text.
func hidePassword(inputs resource.PropertyMap) resource.PropertyMap {
	registry := inputs["registry"]
	if !registry.IsObject() || !registry.ObjectValue().HasValue("password") || registry.ObjectValue()["password"].IsSecret() {
		return inputs
	}
	hidden := registry.ObjectValue().Copy()
	hidden["password"] = resource.MakeSecret(hidden["password"])
	inputs = inputs.Copy()
	inputs["registry"] = resource.NewProperty(hidden)
	return inputs
}

// field is the value at a path, a secret if anything on the way is one.
func field(m resource.PropertyMap, path ...resource.PropertyKey) resource.PropertyValue {
	v, secret := resource.NewProperty(m), false
	for _, key := range path {
		if v.IsSecret() {
			v, secret = v.SecretValue().Element, true
		}
		if v.IsComputed() {
			break
		}
		if !v.IsObject() {
			return resource.NewNullProperty()
		}
		v = v.ObjectValue()[key]
	}
	if secret && !v.IsSecret() && !v.IsNull() {
		v = resource.MakeSecret(v)
	}
	return v
}

// plain is the map with every secret opened.
func plain(m resource.PropertyMap) resource.PropertyMap {
	opened := resource.PropertyMap{}
	for key, v := range m {
		opened[key] = plainValue(v)
	}
	return opened
}

func plainValue(v resource.PropertyValue) resource.PropertyValue {
	switch {
	case v.IsSecret():
		return plainValue(v.SecretValue().Element)
	case v.IsObject():
		return resource.NewProperty(plain(v.ObjectValue()))
	case v.IsArray():
		opened := []resource.PropertyValue{}
		for _, element := range v.ArrayValue() {
			opened = append(opened, plainValue(element))
		}
		return resource.NewProperty(opened)
	}
	return v
}

// restoreSecrets makes those values of a plain map secret that were secret in the
// original.
func restoreSecrets(m, original resource.PropertyMap) resource.PropertyMap {
	restored := resource.PropertyMap{}
	for key, v := range m {
		restored[key] = restoreSecret(v, original[key])
	}
	return restored
}

func restoreSecret(v, original resource.PropertyValue) resource.PropertyValue {
	switch {
	case original.IsSecret():
		return resource.MakeSecret(v)
	case v.IsObject() && original.IsObject():
		return resource.NewProperty(restoreSecrets(v.ObjectValue(), original.ObjectValue()))
	case v.IsArray() && original.IsArray() && original.ContainsSecrets():
		return resource.MakeSecret(v)
	}
	return v
}

func isTrue(v resource.PropertyValue) bool { return v.IsBool() && v.BoolValue() }
