package local

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// oldestEngine is the first minor release of Pulumi 3 whose hooks behave as the
// program needs (an After hook's error keeps the state: 3.238).
const oldestEngine = 238

// Pulumi puts a link to the Pulumi CLI into the work tree's bin folder: to the
// machine's own if it is new enough, or else to one built from its Go module.
func Pulumi(ctx context.Context, t Tree, p Progress) error {
	link := filepath.Join(t.Bin(), "pulumi")
	if found, err := exec.LookPath("pulumi"); err == nil && newEnough(ctx, found) {
		if found, err = filepath.EvalSymlinks(found); err != nil { // under `sandbox exec` it is the link
			return err
		}
		return linkTo(found, link)
	}
	built, err := buildNested(ctx, t, p, "engine", "pulumi", "building the Pulumi CLI", "none is installed; about 2 minutes, once a machine")
	if err != nil {
		return err
	}
	return linkTo(built, link)
}

// PulumiInstalled reports whether the work tree has a CLI.
func PulumiInstalled(t Tree) bool { return exists(filepath.Join(t.Bin(), "pulumi")) }

var engineRelease = regexp.MustCompile(`^v?3\.(\d+)\.`)

func newEnough(ctx context.Context, pulumi string) bool {
	out, err := exec.CommandContext(ctx, pulumi, "version").Output()
	if err != nil {
		return false
	}
	m := engineRelease.FindStringSubmatch(strings.TrimSpace(string(out)))
	if m == nil {
		return false
	}
	minor, err := strconv.Atoi(m[1])
	return err == nil && minor >= oldestEngine
}

// Plugin is a provider that the program needs.
type Plugin struct {
	Name, Version string
	Stands        string // describes the sandbox's own build of it
	build         func(context.Context, Tree, Progress) (path string, err error)
}

// Plugins are the program's providers. awsx is not among them: the sandbox uses an
// existing VPC.
var Plugins = []Plugin{
	{"aws", "v6.83.2", "the real Terraform AWS provider 5.82 behind Pulumi's bridge, narrowed to the services in use", buildAWSProvider},
	{"docker", "v4.10.0", "a small stand-in that knows docker.Image only, on the real Docker", buildDockerProvider},
}

// InstallPlugins installs the released providers if they can be downloaded, or else
// the sandbox's own builds. That is decided once for a work tree.
func InstallPlugins(ctx context.Context, t Tree, p Progress) error {
	for _, plugin := range Plugins {
		if err := plugin.install(ctx, t, p); err != nil {
			return err
		}
	}
	return nil
}

// PluginsInstalled reports whether the work tree has every provider.
func PluginsInstalled(t Tree) bool {
	return !slices.ContainsFunc(Plugins, func(plugin Plugin) bool { return !exists(plugin.binary(t)) })
}

// binary returns the path at which the engine looks for the plugin.
func (plugin Plugin) binary(t Tree) string {
	folder := fmt.Sprintf("resource-%s-%s", plugin.Name, plugin.Version)
	return filepath.Join(t.PulumiHome(), "plugins", folder, "pulumi-resource-"+plugin.Name)
}

func (plugin Plugin) install(ctx context.Context, t Tree, p Progress) error {
	binary := plugin.binary(t)
	// A released provider is a file, the sandbox's own build a link.
	switch found, err := os.Lstat(binary); {
	case err == nil && found.Mode().IsRegular():
		return nil
	case err != nil && plugin.download(ctx, t, p):
		return nil
	}
	path, err := plugin.build(ctx, t, p)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return err
	}
	return linkTo(path, binary)
}

func (plugin Plugin) download(ctx context.Context, t Tree, p Progress) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := command(ctx, t.Root, []string{"PULUMI_HOME=" + t.PulumiHome(), "PULUMI_SKIP_UPDATE_CHECK=true"},
		filepath.Join(t.Bin(), "pulumi"), "plugin", "install", "resource", plugin.Name, plugin.Version)
	if err := p.Command(ctx, cmd); err != nil {
		p.Say("the released provider %s %s can't be downloaded; using %s", plugin.Name, plugin.Version, plugin.Stands)
		return false
	}
	p.Say("installed the released provider %s %s", plugin.Name, plugin.Version)
	return true
}

func buildAWSProvider(ctx context.Context, t Tree, p Progress) (string, error) {
	return buildNested(ctx, t, p, "awsprovider", "pulumi-resource-aws", "building the AWS provider", "the released one can't be downloaded; about 3 minutes, once a machine")
}

// buildNested runs the ./build of a nested module, whose result is kept in the cache
// under a key that ./build computes from all of its inputs.
func buildNested(ctx context.Context, t Tree, p Progress, module, file, name, why string) (string, error) {
	dir := filepath.Join(t.Root, "sandbox", module)
	key, err := command(ctx, dir, nil, "go", "run", "-trimpath", "./build", "-key").Output()
	if err != nil {
		return "", fmt.Errorf("the key of sandbox/%s: %w", module, err)
	}
	built := filepath.Join(t.Cache, module+"-"+strings.TrimSpace(string(key)), file)
	err = buildOnce(built, func(out string) error {
		return p.Step(name, why, func() error {
			return p.Command(ctx, command(ctx, dir, nil, "go", "run", "-trimpath", "./build", "-o", out))
		})
	})
	if err != nil {
		return "", err
	}
	return built, Use(filepath.Dir(built))
}

func buildDockerProvider(ctx context.Context, t Tree, p Progress) (string, error) {
	built := t.path("providers", "pulumi-resource-docker") // not in Bin, which is on the engine's PATH
	return built, goBuild(ctx, t, p, built, "./dockerprovider", "the released one can't be downloaded")
}

// DeployBuilt reports whether the work tree has the program that BuildDeploy builds.
func DeployBuilt(t Tree) bool { return exists(t.deploy()) }

func (t Tree) deploy() string { return filepath.Join(t.Bin(), "deploy") }

// BuildDeploy builds the program that runs infra's stack by the Automation API.
func BuildDeploy(ctx context.Context, t Tree, p Progress) error {
	return goBuild(ctx, t, p, t.deploy(), "./deploy", "the first time compiles Pulumi's AWS packages: up to 4 minutes")
}

// goBuild builds a package of the sandbox's module. It always runs Go, which knows
// whether anything has changed.
func goBuild(ctx context.Context, t Tree, p Progress, out, pkg, why string) error {
	build := func() error {
		return p.Command(ctx, command(ctx, filepath.Join(t.Root, "sandbox"), nil, "go", "build", "-v", "-trimpath", "-o", out, pkg)) // -v prints the packages as they are compiled: the step's progress
	}
	if exists(out) {
		return build()
	}
	return p.Step("building "+filepath.Base(out), why, build)
}

// buildOnce builds a file of the cache unless it exists. The file appears complete or
// not at all, even if another process builds it at the same time.
func buildOnce(path string, build func(out string) error) error {
	if exists(path) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out := fmt.Sprintf("%s.%d", path, os.Getpid())
	defer os.Remove(out)
	if err := build(out); err != nil {
		return err
	}
	return os.Rename(out, path)
}

// exists reports whether a path is a file, or a link to one.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func linkTo(target, link string) error {
	if now, err := os.Readlink(link); err == nil && now == target {
		return nil
	}
	if err := os.RemoveAll(link); err != nil {
		return err
	}
	return os.Symlink(target, link)
}
